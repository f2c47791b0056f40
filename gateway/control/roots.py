"""Roots of single charge points, for operators: list, install, delete, each with its guards."""

import hashlib
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.certificate_calls import Said
from gateway.control.directory import Directory
from gateway.control.enrolment_events import Report
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.control.own_calls import OwnCalls
from gateway.control.part import NodePart
from gateway.control.reachable import Reachable
from gateway.control.root_calls import RootCalls
from gateway.control.root_names import linked_names, names_above, root_names, unfit
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.link.messages import EdgeSettings
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.roots import (
    CSMS_ROOT,
    InstalledRoot,
    RootKind,
    RootName,
    RootStore,
    has,
    refusal_to_delete,
    refusal_to_install,
)
from gateway.store.roots import RootTables
from pki.chains import is_issued_by, is_self_signed
from pki.unreadable import UNREADABLE

__all__ = ["DeleteRootRequest", "InstallRootRequest", "RootsRequest", "StationRoots", "root_id"]

_ID_DIGITS: Final = 12


class RootsRequest(msgspec.Struct, frozen=True):
    """Of an operator: which roots has it?"""

    charge_point_id: str


class InstallRootRequest(msgspec.Struct, frozen=True):
    """Of an operator: it shall have this root."""

    charge_point_id: str
    kind: RootKind
    certificate: str
    """PEM, one certificate."""
    signed_by: str = ""
    """PEM of the root that has signed it, for a charge point that demands such a link."""


class DeleteRootRequest(msgspec.Struct, frozen=True):
    """Of an operator: it shall not have this root any more."""

    charge_point_id: str
    root: str
    """As in the list (`root_id`)."""


def root_id(root: InstalledRoot) -> str:
    """A short name for people: equal for equal roots, whoever reports them in whatever spelling."""
    name = root.name
    digits = [name.issuer_name_hash.lower(), name.issuer_key_hash.lower(), name.serial_number.lower().lstrip("0")]
    text = "|".join([root.kind, name.hash_algorithm, *digits])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_DIGITS]


class StationRoots(NodePart):
    """One per node."""

    name = "roots"

    def __init__(
        self, store: StoreThread, directory: Directory, sessions: Sessions, own_calls: OwnCalls, report: Report
    ) -> None:
        self._store = store
        self._directory = directory
        self._calls = RootCalls(own_calls)
        self._reachable = Reachable(sessions)
        self._report = report
        self._needed: tuple[str, ...] = ()

    def follow(self, settings: EdgeSettings) -> None:
        """Under which roots the server certificates are that charge points see."""
        self._needed = names_above(settings)

    def requests(self) -> Sequence[OperatorRequest]:
        """`ocpp-gateway charge-point roots`."""
        return (
            OperatorRequest("/roots", RootsRequest, self._answer_list, changes=False),
            OperatorRequest("/install-root", InstallRootRequest, self._answer_install),
            OperatorRequest("/delete-root", DeleteRootRequest, self._answer_delete),
        )

    async def _answer_list(self, asked: RootsRequest) -> dict[str, Any]:
        entry = self._entry(asked.charge_point_id)
        return _public(await self._listed(entry))

    async def _answer_install(self, asked: InstallRootRequest) -> dict[str, Any]:
        entry, certificate = self._entry(asked.charge_point_id), _certificate(asked.certificate)
        if why := unfit(certificate, time.time()):
            raise RequestRefused(why)
        store = await self._listed(entry)
        issuer = _certificate(asked.signed_by) if asked.signed_by else None
        names = _names(certificate, issuer)
        if has(store, asked.kind, names):
            return _public(store)
        is_linked = issuer is not None and has(store, CSMS_ROOT, root_names(issuer))
        pem = certificate.public_bytes(Encoding.PEM).decode("ascii")  # nothing but the block, with plain line ends
        why = refusal_to_install(store, asked.kind, len(pem), is_root=is_self_signed(certificate), is_linked=is_linked)
        if why:
            raise RequestRefused(why)
        said = await self._calls.install(entry, asked.kind, pem)
        self._told(entry, "roots.install", said, root_id(InstalledRoot(asked.kind, names[0])))
        after = await self._listed(entry)
        if not has(after, asked.kind, names):
            raise RequestRefused("it has said Accepted and does not list the root")
        return _public(after)

    async def _answer_delete(self, asked: DeleteRootRequest) -> dict[str, Any]:
        entry = self._entry(asked.charge_point_id)
        store = await self._listed(entry)
        root = next((each for each in store.roots if root_id(each) == asked.root), None)
        if root is None:
            raise RequestRefused("it has no such root: charge-point roots list ID", is_gone=True)
        if why := refusal_to_delete(store, root, self._needed):
            raise RequestRefused(why)
        said = await self._calls.delete(entry, root.name)
        self._told(entry, "roots.delete", said, asked.root)
        after = await self._listed(entry)
        if root in after.roots:
            raise RequestRefused("it has said Accepted and still lists the root")
        return _public(after)

    def _entry(self, charge_point_id: str) -> Entry:
        record = self._directory.get(charge_point_id)
        if record is None or record.charge_point_id != charge_point_id:
            raise RequestRefused("no charge point of this identity is registered", is_gone=True)
        entry = self._reachable.connected(ChargePointId(charge_point_id))
        if entry is None:
            raise RequestRefused("it is not connected, or here to renew its certificate alone", is_gone=True)
        return entry

    async def _listed(self, entry: Entry) -> RootStore:
        """What it has, which is remembered."""
        found = await self._calls.store(entry)
        if isinstance(found, Said):
            raise RequestRefused(f"it does not say which roots it has: {found.why}")
        identity = entry.charge_point_id
        await self._store.call(lambda registry: RootTables(registry.database).remember(identity, found))
        return found

    def _told(self, entry: Entry, event: str, said: Said, root: str) -> None:
        """On record; raise RequestRefused unless it has agreed."""
        became = "Accepted" if said.accepted else said.why
        decision = "allow" if said.accepted else "allow_alert"
        self._report(event, "medium", decision, f"{root}: {became}", entry.charge_point_id)
        if not said.accepted:
            unknown = "" if said.known else "; whether it has done it is not known: charge-point roots list ID"
            raise RequestRefused(f"{said.why}{unknown}")


def _certificate(pem: str) -> x509.Certificate:
    try:
        (certificate,) = x509.load_pem_x509_certificates(pem.encode("ascii"))
    except UNREADABLE:
        raise RequestRefused("it is not one certificate in PEM") from None
    return certificate


def _names(certificate: x509.Certificate, issuer: x509.Certificate | None) -> tuple[RootName, ...]:
    """Raises RequestRefused for a certificate that is neither a root nor signed by the one that was named."""
    if is_self_signed(certificate):
        return root_names(certificate)
    if issuer is None or not is_issued_by(certificate, issuer):
        raise RequestRefused("it is no root: a charge point may not be able to show or delete it")
    return linked_names(certificate, issuer)


def _public(store: RootStore) -> dict[str, Any]:
    roots = [{"root": root_id(each), "kind": each.kind, **msgspec.structs.asdict(each.name)} for each in store.roots]
    return {
        "refused": "",
        "roots": roots,
        "demands_link": store.demands_link,
        "capacity": store.capacity,
        "asked_at": store.asked_at,
    }
