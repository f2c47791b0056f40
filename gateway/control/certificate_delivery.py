"""Delivers certificates in the shape that charge points of their kind take, and in another one where it is turned down."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog
from cryptography import x509

from gateway.audit.event import printable
from gateway.control.certificate_calls import CertificateCalls
from gateway.control.directory import Directory
from gateway.control.root_names import root_names
from gateway.control.sessions import Entry
from gateway.control.store_thread import StoreThread
from gateway.link.messages import EdgeSettings
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import enrolment as core
from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.capability import tallied
from gateway.provisioning.chain_shapes import MAX_ROWS, SHAPES, Shape, shapes_in_order, shapes_left
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.roots import RootName
from gateway.store.errors import StoreError
from gateway.store.registry import Registry
from pki.chains import ChainTooLong, is_self_signed, shaped

__all__ = ["Delivered", "Deliveries"]

_REJECTED: Final = "Rejected"
_log = structlog.get_logger("control.certificate_delivery")


class Delivered(NamedTuple):
    """What has come of it. Neither: whether it has arrived is not known."""

    accepted: bool = False
    after: tuple[Enrolment, ...] = ()
    """What follows from a no: its end, perhaps with the row by which another one is asked for."""


class Deliveries:
    """One per node. `shape`: what is tried first of a charge point of which nothing is known.

    A charge point that has its certificate alone shows nothing else, and is let in only where the listeners know the CA above it.
    """

    def __init__(self, store: StoreThread, directory: Directory, calls: CertificateCalls) -> None:
        self.shape: Shape = "leaf+subs"
        self._store = store
        self._directory = directory
        self._calls = calls
        self._trusted: list[frozenset[x509.Certificate]] = []
        """By each listener that takes client certificates."""

    def follow(self, settings: EdgeSettings) -> None:
        """Which CAs the listeners know."""
        files = [each.client_trust_pem for each in settings.listeners if each.client_trust_pem]
        self._trusted = [frozenset(x509.load_pem_x509_certificates(pem)) for pem in files]

    def why_other_root(self, named: Sequence[str]) -> str:
        """What there is to say of a root that a charge point names for its certificate (A02.FR.27); empty if it is one of ours.

        There is one CA, so it gets its certificate from that: charge points name the root of our servers as well, and one
        that wants no other root says no to the certificate.
        """
        if len(named) != len(RootName.__struct_fields__):
            return ""
        root = RootName(*named)
        ours = (each for trusted in self._trusted for each in trusted if is_self_signed(each))
        if any(root.is_same(name) for each in ours for name in root_names(each)):
            return ""
        shown = f"{printable(root.hash_algorithm, 8)} {printable(root.issuer_key_hash, 16)}, {printable(root.serial_number, 40)}"
        return f"it wants its certificate under a root that no listener believes ({shown}), and gets it under ours"

    def _is_known_by_itself(self, chain: tuple[x509.Certificate, ...]) -> bool:
        """True if wherever anything above the certificate is believed, the CA right above it is known."""
        believing = [trusted for trusted in self._trusted if not trusted.isdisjoint(chain[1:])]
        return bool(believing) and all(chain[1] in trusted for trusted in believing)

    async def deliver(self, entry: Entry | None, sent: Enrolment) -> Delivered:
        """CertificateSigned. Raises StoreError."""
        certificates = tuple(x509.load_pem_x509_certificates(sent.chain.encode("ascii")))
        may_be_alone = self.shape == "leaf" or self._is_known_by_itself(certificates)
        lengths = _lengths(certificates, may_be_alone=may_be_alone)
        shapes = await self._shapes(sent, lengths)
        try:
            said = await self._calls.deliver(entry, sent, shapes[0], may_be_alone=may_be_alone)
        except ChainTooLong as error:
            hint = "" if may_be_alone else "; the certificate alone would do if its CA were in client_trust"
            why = f"it takes no certificate of this size: {error}{hint}"
            return Delivered(after=(core.expired(sent, time.time(), why),))
        if said.accepted or not said.known:
            return Delivered(accepted=said.accepted)
        now = time.time()
        if said.status == _REJECTED and len(shapes) > 1:
            return Delivered(after=core.rejected_in_shape(sent, now, lengths[shapes[0]]))
        return Delivered(after=(core.delivery_rejected(sent, now, said.why),))

    async def _shapes(self, sent: Enrolment, lengths: dict[Shape, int]) -> tuple[Shape, ...]:
        """Those that are left, the one to be tried now first. Raises StoreError."""
        identity = sent.charge_point_id
        rows = await self._store.call(lambda registry: registry.enrolments.latest(identity, MAX_ROWS))
        ordered = shapes_in_order(lengths, await self._known(identity), self.shape)
        return shapes_left(ordered, lengths, rows)

    async def _known(self, identity: ChargePointId) -> dict[str, dict[str, int]]:
        """Of its kind; nothing where that cannot be read, as it only saves a try."""
        record = self._directory.get(identity)
        if record is None or not (record.vendor or record.model):
            return {}
        kind = Stratum(record.vendor, record.model, record.firmware)

        def read(registry: Registry) -> dict[str, dict[str, int]]:
            return tallied(registry.capabilities.of(kind))

        try:
            return await self._store.call(read)
        except StoreError as error:
            _log.warning("capabilities_unread", error=str(error))
            return {}


def _lengths(certificates: tuple[x509.Certificate, ...], *, may_be_alone: bool) -> dict[Shape, int]:
    """In certificates, of each shape that the chain can be given."""
    found: dict[Shape, int] = {}
    for shape in SHAPES:
        try:
            found[shape] = len(shaped(certificates, shape))
        except ValueError:
            continue  # no root is known
    if not may_be_alone and found["leaf"] < found["leaf+subs"]:
        del found["leaf"]
    return found
