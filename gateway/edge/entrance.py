"""One connection from accept to admission: PROXY header, TLS, HTTP upgrade, claim, admission, CSMS, 101.

The stages run strictly in order and each is the only way to the next; whatever fails becomes one refusal, one event
and at most one fixed answer. After the 101 the transport belongs to the pump.
"""

import asyncio
import ipaddress
import time
from enum import IntEnum
from typing import TYPE_CHECKING, cast

import msgspec

from gateway.audit.event import SecurityEvent, printable
from gateway.edge.client_hello import read_client_hello
from gateway.edge.control_link import RefusedByControl
from gateway.edge.csms import Dialled
from gateway.edge.listener import ListenerState
from gateway.edge.proxy_protocol import ProxyHeaderInvalid, read_proxy_header
from gateway.edge.refusals import http_refusal, status_of
from gateway.edge.tls import TLSConnection, TLSFailure, first_bytes_refusal
from gateway.identity.basic_auth import read_basic
from gateway.identity.claim import Target, read_target
from gateway.identity.evidence import Admission, BasicCredentials, Claim, Peer, TLSFacts, Transport
from gateway.identity.refusal import Reason, Refusal, Stage
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.websocket.deflate import DeflateParameters, negotiate
from gateway.websocket.handshake import UpgradeRequest, UpgradeViolation, build_accepted, read_upgrade
from gateway.websocket.head import HeadLimits, HeadViolation, RequestHead, RequestHeadReader

if TYPE_CHECKING:
    from gateway.edge.worker import Worker

__all__ = ["Entrance"]

_HEAD_REASONS = {
    "malformed": Reason.HTTP_MALFORMED,
    "ambiguous": Reason.HTTP_AMBIGUOUS,
    "limit": Reason.HTTP_LIMIT,
    "uri-too-long": Reason.HTTP_URI_TOO_LONG,
    "authorization-too-long": Reason.AUTH_MALFORMED,
    "method": Reason.HTTP_METHOD,
}
_UPGRADE_REASONS = {
    "method": Reason.HTTP_METHOD,
    "not-websocket": Reason.HTTP_NOT_WEBSOCKET,
    "websocket-version": Reason.HTTP_WEBSOCKET_VERSION,
    "ambiguous": Reason.HTTP_AMBIGUOUS,
    "malformed": Reason.HTTP_MALFORMED,
}
_LINGER_S = 2.0
"""How long a refused peer may take to read its answer; sending RST at once could destroy the answer on the way."""


class _Step(IntEnum):
    PROXY = 0
    FIRST_BYTES = 1
    TLS = 2
    HEAD = 3
    ADMITTING = 4
    DONE = 5


class Entrance(asyncio.Protocol):
    """State of a connection that is not admitted yet."""

    __slots__ = (
        "_buffer",
        "_claimed",
        "_counted",
        "_first_flight",
        "_head_reader",
        "_listener",
        "_name",
        "_peer",
        "_step",
        "_timer",
        "_tls",
        "_tls_facts",
        "_transport",
        "_worker",
    )

    def __init__(self, worker: "Worker", listener: ListenerState, name: str) -> None:
        self._worker = worker
        self._listener = listener
        self._name = name
        self._step = _Step.FIRST_BYTES
        self._buffer = b""
        self._claimed = ""
        self._counted = ""
        self._first_flight: bytes = b""
        self._tls: TLSConnection | None = None
        self._tls_facts: TLSFacts | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._head_reader: RequestHeadReader | None = None

    # -- accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)
        name = self._transport.get_extra_info("peername")
        host, port = (str(name[0]).partition("%")[0], int(name[1])) if name else ("", 0)
        listener = self._listener
        self._peer = Peer(address=host, port=port, listener=listener.listener.name)
        self._worker.counts.add(f'ocpp_gateway_connections_total{{listener="{listener.listener.name}"}}')
        if listener.expects_proxy_header(host):
            self._step = _Step.PROXY
        elif not self._source_may_enter():
            return
        timeout_s = self._worker.settings.limits.handshake_timeout_s
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._timed_out)

    def _source_may_enter(self) -> bool:
        """Limits per source address, before the first TLS byte is looked at."""
        address, limits, now = self._peer.address, self._worker.limits, time.monotonic()
        if not self._listener.allows(address):
            self._refuse(Refusal(Reason.SOURCE_NOT_ALLOWED))
        elif not limits.may_connect(address, now):
            self._refuse(Refusal(Reason.CONNECT_RATE))
        elif not limits.begin_handshake(address, now):
            self._refuse(Refusal(Reason.TOO_MANY_CONNECTIONS))
        else:
            self._counted = address
            return True
        return False

    def _timed_out(self) -> None:
        if self._step < _Step.ADMITTING:
            self._refuse(Refusal(Reason.HANDSHAKE_TIMEOUT, f"in step {self._step.name.lower()}"))

    # -- bytes in

    def data_received(self, data: bytes) -> None:
        try:
            self._advance(data)
        except TLSFailure as failure:
            self._tls_failed(failure)
        except Refusal as refusal:
            self._refuse(refusal)

    def _advance(self, data: bytes) -> None:
        if self._step is _Step.PROXY:
            rest = self._proxy_header(data)
            if rest is None:
                return
            data = rest
        if self._step is _Step.FIRST_BYTES and data:
            self._judge_first_bytes(data)
        if self._tls is not None and self._step in {_Step.TLS, _Step.HEAD}:
            data = self._tls_bytes(data)
        if self._step is _Step.HEAD and data:
            self._head_bytes(data)

    def _proxy_header(self, data: bytes) -> bytes | None:
        self._buffer += data
        try:
            found = read_proxy_header(self._buffer)
        except ProxyHeaderInvalid as invalid:
            raise Refusal(Reason.PROXY_PROTOCOL_INVALID, str(invalid)) from None
        if found is None:
            return None
        source, size = found
        rest, self._buffer = self._buffer[size:], b""
        self._step = _Step.FIRST_BYTES
        if source.address:
            peer = self._peer
            self._peer = Peer(address=source.address, port=source.port, listener=peer.listener, proxied_by=peer.address)
        return rest if self._source_may_enter() else None

    def _judge_first_bytes(self, data: bytes) -> None:
        context = self._listener.tls
        reason = first_bytes_refusal(data, tls_expected=context is not None)
        if reason is not None:
            self._first_flight = data[:4096]
            raise Refusal(reason, "first bytes " + printable(data[:8]))
        if context is None:
            self._step = _Step.HEAD
        else:
            self._tls = context.accept()
            self._step = _Step.TLS

    def _tls_bytes(self, data: bytes) -> bytes:
        tls = self._tls
        assert tls is not None
        if self._tls_facts is not None:
            return tls.decrypt(data)
        if len(self._first_flight) < 4096:  # noqa: PLR2004  enough for versions and SNI
            self._first_flight += data
        done = tls.handshake(data)
        flight = tls.output()
        if flight:
            self._transport.write(flight)
        if not done:
            return b""
        self._tls_facts = tls.facts()
        self._first_flight = b""
        self._step = _Step.HEAD
        return tls.decrypt(b"")

    def _head_bytes(self, data: bytes) -> None:
        if self._head_reader is None:
            limits = self._worker.settings.limits
            self._head_reader = RequestHeadReader(
                HeadLimits(
                    max_head_bytes=limits.max_head_bytes,
                    max_headers=limits.max_headers,
                    max_request_line_bytes=limits.max_request_line_bytes,
                )
            )
        try:
            head = self._head_reader.feed(data)
        except HeadViolation as violation:
            raise Refusal(_HEAD_REASONS[violation.kind], violation.detail) from None
        if head is None:
            return
        rest = self._head_reader.rest
        self._head_reader = None
        try:
            self._upgrade(head, rest)
        except Refusal:
            if rest:
                self._event(Reason.HTTP_SMUGGLING, f"{len(rest)} bytes behind a refused request", "http_reject")
            raise

    # -- upgrade, identify

    def _upgrade(self, head: RequestHead, rest: bytes) -> None:
        try:
            upgrade = read_upgrade(head)
        except UpgradeViolation as violation:
            raise Refusal(_UPGRADE_REASONS[violation.kind], violation.detail) from None
        listener = self._listener.listener
        limits = self._worker.settings.limits
        self._check_host(upgrade)
        if upgrade.origin is not None and upgrade.origin not in listener.allowed_origins:
            raise Refusal(Reason.HTTP_ORIGIN, printable(upgrade.origin))
        target = read_target(upgrade.target, listener.path_prefix, limits.max_identity_chars)
        self._claimed = target.charge_point_id
        claim = self._claim(upgrade, target)
        if upgrade.foreign_headers:
            self._sanitized(upgrade.foreign_headers)
        if self._worker.draining:
            raise Refusal(Reason.DRAINING)
        self._step = _Step.ADMITTING
        self._transport.pause_reading()
        self._worker.tasks.start(self._enter(claim, upgrade, rest), f"enter-{self._name}")

    def _check_host(self, upgrade: UpgradeRequest) -> None:
        """Two tenants on one listener: the name that chose the certificate must be the name that is asked for."""
        server_name = self._tls_facts.server_name if self._tls_facts else ""
        if not server_name or not self._listener.listener.server_name_must_match_host or server_name == upgrade.host:
            return
        if not _is_address(upgrade.host):
            raise Refusal(Reason.SNI_HOST_MISMATCH, f"SNI {printable(server_name)}, Host {printable(upgrade.host)}")

    def _claim(self, upgrade: UpgradeRequest, target: Target) -> Claim:
        has_certificate = self._tls_facts is not None and bool(self._tls_facts.leaf_der)
        basic: BasicCredentials | None = None
        try:
            basic = read_basic(upgrade.authorization, target.charge_point_id)
        except Refusal:
            # Appendix B vector 5: with a certificate, what stands in the header does not count.
            if not has_certificate:
                raise
        needs = dict.fromkeys((*target.needs, *upgrade.flaws))
        return Claim(
            charge_point_id=target.charge_point_id,
            transport=Transport(peer=self._peer, tls=self._tls_facts),
            basic=basic,
            subprotocols=upgrade.subprotocols,
            needs=tuple(needs),
            offers_deflate=bool(upgrade.extensions),
        )

    def _sanitized(self, names: tuple[str, ...]) -> None:
        shown = ", ".join(printable(name, 40) for name in names[:8])
        self._worker.events.add(
            self._build_event("http.spoofed_header", "high", "upgrade", decision="sanitize", detail=f"dropped: {shown}")
        )

    # -- authenticate, admit, CSMS, 101

    async def _enter(self, claim: Claim, upgrade: UpgradeRequest, rest: bytes) -> None:
        worker = self._worker
        admission: Admission | None = None
        try:
            admission = await worker.link.admit(self._name, claim)
            dialler = worker.diallers.get(admission.csms)
            if dialler is None:
                raise Refusal(Reason.CSMS_UNREACHABLE, f"no CSMS named {admission.csms!r}")
            deflate = self._negotiate(upgrade, admission)
            dialled = await dialler.dial(admission, claim.transport, upgrade.authorization, deflate=deflate is not None)
            version = _chosen_version(dialled, admission)
        except Refusal as refusal:
            if admission is not None:
                worker.released(admission, refusal.reason.code)
            self._refuse(refusal)
            return
        if self._step is _Step.DONE or self._transport.is_closing():
            dialled.transport.abort()
            worker.released(admission, Reason.PEER_WENT_AWAY.code)
            return
        self._accept(upgrade, admission, claim.transport, dialled, version, deflate, rest)

    def _negotiate(self, upgrade: UpgradeRequest, admission: Admission) -> tuple[DeflateParameters, str] | None:
        """permessage-deflate with the charge point: 2.x where offered, 1.6 only with the tolerance."""
        if not upgrade.extensions:
            return None
        only_2x = all(
            (version := OCPPVersion.from_subprotocol(token)) is not None and version.is_2x
            for token in admission.subprotocols
        )
        if not (only_2x and admission.subprotocols) and "deflate-1.6" not in admission.tolerances:
            return None
        return negotiate(upgrade.extensions)

    def _accept(
        self,
        upgrade: UpgradeRequest,
        admission: Admission,
        facts: Transport,
        dialled: Dialled,
        version: OCPPVersion,
        deflate: tuple[DeflateParameters, str] | None,
        rest: bytes,
    ) -> None:
        subprotocol = dialled.subprotocol if admission.assumed_version is None else None
        answer = build_accepted(upgrade.key, subprotocol, deflate[1] if deflate else None)
        self._finish_handshake()
        self._worker.open_session(
            admission=admission,
            facts=facts,
            version=version,
            charge_point=self._transport,
            tls=self._tls,
            deflate=deflate[0] if deflate else None,
            dialled=dialled,
            answer=answer,
            early=rest,
        )

    # -- ends

    def _finish_handshake(self) -> None:
        self._step = _Step.DONE
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._counted:
            self._worker.limits.end_handshake(self._counted)
            self._counted = ""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._step < _Step.DONE and (self._step is not _Step.FIRST_BYTES or exc is not None):
            self._event(Reason.PEER_WENT_AWAY, f"in step {self._step.name.lower()}", "disconnect")
        self._finish_handshake()

    def eof_received(self) -> bool:
        return False

    def _tls_failed(self, failure: TLSFailure) -> None:
        if self._step is _Step.DONE:
            return
        alert = self._tls.output() if self._tls is not None else b""
        self._event(failure.reason, failure.detail, "tls_alert" if alert else "disconnect")
        self._say_goodbye(alert)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, record, close. A refusal by control has been recorded there."""
        if self._step is _Step.DONE:
            return
        reason = refusal.reason
        proven = refusal.proven if isinstance(refusal, RefusedByControl) else reason.stage is Stage.CSMS
        unknown_status = self._listener.listener.unknown_identity_status
        answer = b""
        if self._step >= _Step.HEAD:
            answer = http_refusal(
                reason, proven=proven, unknown_identity_status=unknown_status, retry_after_s=refusal.retry_after_s
            )
        if not isinstance(refusal, RefusedByControl):
            status = status_of(reason, proven=proven, unknown_identity_status=unknown_status) if answer else 0
            self._event(reason, refusal.detail, "http_reject" if answer else "disconnect", status)
        if answer and self._tls is not None:
            try:
                answer = self._tls.encrypt(answer) + self._tls.shutdown()
            except TLSFailure:
                answer = b""
        self._say_goodbye(answer)

    def _say_goodbye(self, answer: bytes) -> None:
        """Write the answer, drop whatever else the peer sends, and close."""
        self._finish_handshake()
        transport = self._transport
        if transport.is_closing():
            return
        if not answer:
            transport.abort()
            return
        transport.write(answer)
        transport.set_protocol(_Farewell(transport))

    def _build_event(self, event: str, severity: str, stage: str, **fields: object) -> SecurityEvent:
        values: dict[str, object] = {
            "event": event,
            "time": 0.0,
            "severity": severity,
            "stage": stage,
            "charge_point_id": printable(self._claimed, 64),
            "peer": self._peer.address,
            "peer_port": self._peer.port,
            "listener": self._peer.listener,
            "connection": self._name,
            **fields,
        }
        if self._tls_facts is not None:
            values |= {"tls_version": self._tls_facts.version, "server_name": printable(self._tls_facts.server_name)}
        elif self._first_flight:
            hello = read_client_hello(self._first_flight)
            values |= {"tls_offered": hello.versions, "server_name": printable(hello.server_name)}
        return msgspec.convert(values, SecurityEvent)

    def _event(self, reason: Reason, detail: str, decision: str, status: int = 0) -> None:
        self._worker.counts.add(f'ocpp_gateway_refusals_total{{reason="{reason.code}"}}')
        self._worker.events.add(
            self._build_event(
                reason.event,
                reason.severity,
                reason.stage.value,
                reason=reason.code,
                decision=decision,
                http_status=status,
                detail=printable(detail),
            )
        )


class _Farewell(asyncio.Protocol):
    """After the answer: half-close, discard input, and make sure the connection ends."""

    __slots__ = ("_timer", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        if transport.can_write_eof():
            transport.write_eof()
        transport.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Nothing a refused peer says matters any more."""

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._timer.cancel()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _chosen_version(dialled: Dialled, admission: Admission) -> OCPPVersion:
    """What the CSMS agreed to speak. Raises Refusal SUBPROTOCOL, closing the CSMS connection, if that is nothing."""
    if dialled.subprotocol is not None:
        version = OCPPVersion.from_subprotocol(dialled.subprotocol)
        if version is not None:
            return version
    elif admission.assumed_version is not None:
        return admission.assumed_version
    dialled.transport.abort()
    raise Refusal(Reason.SUBPROTOCOL, "the CSMS chose no version")
