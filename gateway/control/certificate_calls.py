"""The gateway's own calls about certificates: trigger, and deliver in the shape and size that the charge point takes."""

from typing import Any, Final

import msgspec
from cryptography import x509

from gateway.audit.event import printable
from gateway.control.own_calls import CallAnswer, CallRefused, OwnCalls
from gateway.control.sessions import Entry
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.messages import (
    Message,
    ask_chain_limit,
    ask_organization,
    certificate_signed,
    chain_limit,
    organization_of,
    set_organization,
    status_of,
    trigger,
)
from pki.chains import ChainShape, ChainTooLong, pem_chain, shaped

__all__ = ["CertificateCalls", "Said", "fitting"]

_LIMIT_TIMEOUT_S: Final = 10.0
_TIMEOUT_S: Final = 60.0
_QUIET_S: Final = 900.0
"""How old a session without a BootNotification must be for it to be known that no transaction runs."""
_UNABLE: Final = frozenset({"NotImplemented", "NotSupported"})


class Said(msgspec.Struct, frozen=True):
    """What the charge point has said. `known` is False where it may or may not have understood."""

    accepted: bool
    known: bool = True
    why: str = ""
    status: str = ""
    """In its result; empty where there is none."""


class CertificateCalls:
    """Calls to live sessions."""

    def __init__(self, own_calls: OwnCalls) -> None:
        self._own_calls = own_calls

    async def trigger(self, entry: Entry | None, organization: str) -> Said:
        """Let it make a key and ask (A02), for this operator where one is given."""
        version = _version(entry)
        if entry is None or version is None:
            return Said(accepted=False, known=False, why="it is not connected")
        if organization:
            await self._name_operator(entry, version, organization)
        return await self._call(entry, trigger(version))

    async def _name_operator(self, entry: Entry, version: OCPPVersion, organization: str) -> None:
        """CpoName, OrganizationName: what goes into the request. Whether it has helped, the CA will see."""
        has = organization_of(version, await self._payload(entry, ask_organization(version)))
        if has is not None and has != organization:
            await self._payload(entry, set_organization(version, organization))

    async def is_idle(self, entry: Entry) -> bool:
        """True if it answers, and is certainly not charging."""
        version = _version(entry)
        if version is None:
            return False
        asked = ask_chain_limit(version)
        try:
            answer = await self._own_calls.call(
                entry.charge_point_id, entry, asked.action, asked.payload, _LIMIT_TIMEOUT_S, quiet_s=_QUIET_S
            )
        except CallRefused:
            return False
        return answer.outcome in {"result", "error"}

    async def deliver(
        self, entry: Entry | None, enrolment: Enrolment, shape: ChainShape, *, may_be_alone: bool
    ) -> Said:
        """CertificateSigned; `shape`: what is sent beside the certificate. Raises ChainTooLong (see `fitting`)."""
        version = _version(entry)
        if entry is None or version is None:
            return Said(accepted=False, known=False, why="it is not connected")
        asked = ask_chain_limit(version)
        limit = chain_limit(version, await self._payload(entry, asked))
        message = certificate_signed(
            version,
            fitting(enrolment.chain, shape, limit, may_be_alone=may_be_alone),
            certificate_type=enrolment.certificate_type,
            request_id=enrolment.request_id,
        )
        return await self._call(entry, message)

    async def _payload(self, entry: Entry, message: Message) -> Any:
        """The result, None where there is none: then it is as if it had said nothing."""
        try:
            answer = await self._own_calls.call(
                entry.charge_point_id, entry, message.action, message.payload, _LIMIT_TIMEOUT_S
            )
        except CallRefused:
            return None
        return answer.payload if answer.outcome == "result" else None

    async def _call(self, entry: Entry, message: Message) -> Said:
        try:
            answer = await self._own_calls.call(
                entry.charge_point_id, entry, message.action, message.payload, _TIMEOUT_S
            )
        except CallRefused as refused:
            return Said(accepted=False, known=False, why=str(refused))
        return _said(answer)


def _said(answer: CallAnswer) -> Said:
    if answer.outcome == "result":
        status = status_of(answer.payload)
        if status == "Accepted":
            return Said(accepted=True)
        why = f"{answer.action}: {printable(status, 32) or 'no status'}"
        return Said(accepted=False, known=bool(status), why=why, status=status)
    why = f"{answer.action}: {answer.outcome} {printable(answer.error, 64)}".rstrip()
    return Said(accepted=False, known=answer.outcome == "error" and answer.error in _UNABLE, why=why)


def fitting(chain: str, shape: ChainShape, max_chars: int, *, may_be_alone: bool) -> str:
    """PEM of a chain as the peer wants it; the certificate alone if no more fits and it may be. Raises ChainTooLong."""
    certificates = tuple(x509.load_pem_x509_certificates(chain.encode("ascii")))
    try:
        wanted = shaped(certificates, shape)
    except ValueError:
        wanted = certificates  # no root is known: what there is
    try:
        return pem_chain(wanted, max_chars).decode("ascii")
    except ChainTooLong:
        if not may_be_alone:
            raise
        return pem_chain(certificates[:1], max_chars).decode("ascii")


def _version(entry: Entry | None) -> OCPPVersion | None:
    live = entry.live if entry is not None else None
    return OCPPVersion.from_subprotocol(live.subprotocol) if live is not None else None
