"""One connection from accept to admission: PROXY header, TLS, HTTP upgrade, claim, admission, CSMS, 101.

The stages run strictly in order and each is the only way to the next; whatever fails becomes one refusal, one event
and at most one fixed answer. After the 101 the transport belongs to the pump.
"""

import asyncio
import time
from enum import IntEnum
from typing import TYPE_CHECKING, cast

import msgspec
import structlog

from gateway.audit.event import SecurityEvent, one_line, printable
from gateway.edge.agreement import chosen_version, deflates, may_deflate, passed_on, used_tolerances
from gateway.edge.client_hello import read_client_hello
from gateway.edge.control_link import RefusedByControl
from gateway.edge.csms import Dialled
from gateway.edge.farewell import Farewell, has_hung_up
from gateway.edge.listener import ListenerState
from gateway.edge.proxy_protocol import ProxyHeaderInvalid, read_proxy_header
from gateway.edge.refusals import asker_of, http_refusal, status_of, tls_refusal
from gateway.edge.tls import TLSConnection, TLSFailure, first_bytes_refusal
from gateway.identity.basic_auth import read_basic
from gateway.identity.claim import Target, read_target
from gateway.identity.evidence import Admission, BasicCredentials, Claim, Peer, TLSFacts, Tolerance, Transport
from gateway.identity.refusal import Reason, Refusal, Stage
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.websocket.deflate import negotiate
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
_FIRST_FLIGHT_BYTES = 4_096
"""Enough for the versions and the SNI of a ClientHello."""


_log = structlog.get_logger("edge.entrance")


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
        "_task",
        "_timer",
        "_tls",
        "_tls_facts",
        "_transport",
        "_turned_away",
        "_worker",
    )

    def __init__(self, worker: "Worker", listener: ListenerState, name: str) -> None:
        self._worker = worker
        self._listener = listener
        self._name = name
        self._step = _Step.FIRST_BYTES
        self._buffer = b""
        self._claimed = self._counted = ""
        self._first_flight: bytes = b""
        self._task: asyncio.Task[None]
        self._turned_away: Refusal | None = None
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
        if self._tls is not None and _Step.TLS <= self._step <= _Step.ADMITTING:
            data = self._tls_bytes(data)
        if self._step is _Step.ADMITTING and data:
            self._buffer += data
            self._transport.pause_reading()  # the rest waits for the 101
        elif self._step is _Step.HEAD and data:
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
            self._first_flight = data[:_FIRST_FLIGHT_BYTES]
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
            return self._decrypt(tls, data)
        if len(self._first_flight) < _FIRST_FLIGHT_BYTES:
            self._first_flight += data[:_FIRST_FLIGHT_BYTES]
        done = tls.handshake(data)
        flight = tls.output()
        if flight:
            self._transport.write(flight)
        if not done:
            return b""
        self._tls_facts = tls.facts()
        self._first_flight = b""
        self._step = _Step.HEAD
        return self._decrypt(tls, b"")

    def _decrypt(self, tls: TLSConnection, data: bytes) -> bytes:
        """Plain bytes of an established TLS connection; what TLS itself has to say goes out at once."""
        plain = tls.decrypt(data)
        unasked = tls.output()
        if unasked and tls.knows_renegotiation:
            self._event(Reason.TLS_RENEGOTIATION, "refused at the first attempt", "tls_alert")
            self._say_goodbye(unasked + tls.shutdown())
            return b""
        if unasked:
            self._transport.write(unasked)
        if tls.closed and not plain:
            self._event(Reason.PEER_WENT_AWAY, f"in step {self._step.name.lower()}", "disconnect")
            self._say_goodbye(tls.shutdown())
        return plain

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
        self._step, self._buffer = _Step.ADMITTING, rest
        self._task = self._worker.tasks.start(self._enter(claim, upgrade), f"enter-{self._name}")

    def _check_host(self, upgrade: UpgradeRequest) -> None:
        server_name = self._tls_facts.server_name if self._tls_facts else ""
        if not self._listener.serves(server_name, upgrade.host):
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

    async def _enter(self, claim: Claim, upgrade: UpgradeRequest) -> None:
        worker = self._worker
        admission: Admission | None = None
        dialled: Dialled | None = None
        worker.entering[self._name] = self
        try:
            admission = await worker.link.admit(self._name, claim)
            dialled = await self._dial(claim, upgrade, admission)
            version = chosen_version(dialled, admission)
            self._require_still_wanted()
            self._accept(upgrade, claim, admission, dialled, version)
        except Refusal as refusal:
            self._give_back(admission, dialled, refusal)
        except Exception as error:  # noqa: BLE001  nobody may be left hanging between admission and 101
            _log.exception("admission_failed", connection=self._name)
            self._give_back(admission, dialled, Refusal(Reason.CONTROL_DOWN, f"defect: {type(error).__name__}"))
        except asyncio.CancelledError:
            if self._turned_away is None:
                raise
            self._give_back(admission, dialled, self._turned_away)
        finally:
            worker.entering.pop(self._name, None)

    def turn_away(self, refusal: Refusal) -> None:
        """The admission is revoked before its 101. The CSMS must not see a late connection of it: it may have another."""
        self._turned_away = refusal
        self._task.cancel()

    def has_gone(self) -> bool:
        """True if the peer has hung up, which nobody notices where reading is paused."""
        return self._transport.is_closing() or has_hung_up(self._transport)

    async def _dial(self, claim: Claim, upgrade: UpgradeRequest, admission: Admission) -> Dialled:
        dialler = self._worker.diallers.get(admission.csms)
        if dialler is None:
            raise Refusal(Reason.CSMS_UNREACHABLE, f"no CSMS named {admission.csms!r}")
        offered = bool(upgrade.extensions) and may_deflate(admission)
        return await dialler.dial(admission, claim.transport, passed_on(upgrade, claim, admission), deflate=offered)

    def _require_still_wanted(self) -> None:
        """Dialling the CSMS takes time."""
        if self._step is _Step.DONE or self._transport.is_closing():
            raise Refusal(Reason.PEER_WENT_AWAY)
        if self._worker.draining:
            raise Refusal(Reason.DRAINING)

    def _give_back(self, admission: Admission | None, dialled: Dialled | None, refusal: Refusal) -> None:
        """An admission that does not become a session."""
        if dialled is not None:
            dialled.transport.abort()
        if admission is not None:
            self._worker.released(admission, refusal.reason.code)
        if self._step is _Step.DONE:
            self._transport.abort()
        self._refuse(refusal)

    def _accept(
        self,
        upgrade: UpgradeRequest,
        claim: Claim,
        admission: Admission,
        dialled: Dialled,
        version: OCPPVersion,
    ) -> None:
        subprotocol = dialled.subprotocol if admission.assumed_version is None else None
        # 2.x where offered, 1.6 only with the tolerance; the two legs need not agree.
        deflate = negotiate(upgrade.extensions) if deflates(version, admission) else None
        answer = build_accepted(upgrade.key, subprotocol, deflate[1] if deflate else None)
        self._tolerated(used_tolerances(claim, admission, version, deflated=deflate is not None))
        self._finish_handshake()
        self._worker.open_session(
            admission=admission,
            facts=claim.transport,
            version=version,
            charge_point=self._transport,
            tls=self._tls,
            deflate=deflate[0] if deflate else None,
            dialled=dialled,
            answer=answer,
            early=self._buffer,
        )

    def _tolerated(self, tolerances: list[Tolerance]) -> None:
        """Leniency is visible: one event a connection, one counter a tolerance."""
        if not tolerances:
            return
        for tolerance in tolerances:
            self._worker.counts.add(f'ocpp_gateway_tolerances_used_total{{tolerance="{tolerance}"}}')
        used = ", ".join(tolerances)
        self._worker.events.add(
            self._build_event("identity.tolerance", "info", "admit", decision="allow_alert", verified=True, detail=used)
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
        refused = failure.certificate_sha256
        self._event(failure.reason, failure.detail, "tls_alert" if alert else "disconnect", certificate_sha256=refused)
        self._say_goodbye(alert)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, record, close. A refusal by control has been recorded there."""
        if self._step is _Step.DONE:
            return
        reason = refusal.reason
        proven = refusal.proven if isinstance(refusal, RefusedByControl) else reason.stage is Stage.CSMS
        asker = asker_of(self._listener.listener, self._tls_facts, proven=proven)
        answer, status, decision = b"", 0, "disconnect"
        if self._step >= _Step.HEAD:
            answer = http_refusal(reason, asker, retry_after_s=refusal.retry_after_s)
            if answer:
                decision, status = "http_reject", status_of(reason, asker)
        elif answer := tls_refusal(reason):
            decision = "tls_alert"
        if not isinstance(refusal, RefusedByControl):
            self._event(reason, refusal.detail, decision, status)
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
        transport.set_protocol(Farewell(transport))

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

    def _event(self, reason: Reason, detail: str, decision: str, status: int = 0, **more: str) -> None:
        self._worker.counts.add(f'ocpp_gateway_refusals_total{{reason="{reason.code}"}}')
        self._worker.events.add(
            self._build_event(
                reason.event,
                reason.severity,
                reason.stage.value,
                reason=reason.code,
                ocpp_event=reason.ocpp_event,
                decision=decision,
                http_status=status,
                detail=one_line(detail),
                **more,
            )
        )
