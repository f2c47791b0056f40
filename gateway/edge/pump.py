"""The live session: two legs, one relay. Moves bytes, performs what the relay decides, closes both legs as a pair.

Who closes the socket? This module. Original frames travel unchanged: the gateway is a client towards the CSMS, so a
masked frame of the charge point is a legal frame there, and the other way round (docs/decisions/0002).
"""

import asyncio
import os
import socket
import time
from typing import Final, Protocol

from gateway.audit.event import Severity
from gateway.edge.refusals import CLOSE_CODES
from gateway.edge.tls import TLSConnection, TLSFailure
from gateway.identity.evidence import Admission, Transport
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.relay.effects import (
    FORWARD,
    CloseBoth,
    Effect,
    Effects,
    Forward,
    NoteRegistered,
    PauseReading,
    Reply,
    ReportEvent,
)
from gateway.relay.relay import Relay
from gateway.websocket.deflate import DeflateParameters, Inflater
from gateway.websocket.frames import PING, PONG, TEXT, FrameViolation, build_close, build_frame
from gateway.websocket.messages import CloseReceived, Message, MessageReader, Ping, Pong, ReaderLimits

__all__ = ["Bridge", "BridgeOwner", "Leg"]

_TCP_USER_TIMEOUT: Final = 18
_PAUSED_BY_OTHER_LEG: Final = 1
_PAUSED_BY_RATE: Final = 2
_monotonic = time.monotonic


class BridgeOwner(Protocol):
    """What a bridge needs of its worker."""

    def watch(self, bridge: "Bridge") -> None:
        """Look at this bridge every second until its deadlines are gone."""

    def report(
        self, bridge: "Bridge", event: str, severity: Severity, decision: str, detail: str, http_status: int = 0
    ) -> None:
        """A security event of this session."""

    def registered(self, bridge: "Bridge", effect: NoteRegistered) -> None:
        """The charge point registered."""

    def finished(self, bridge: "Bridge", reason: str) -> None:
        """Both legs are closed."""


class Leg(asyncio.Protocol):
    """One side of a session. `writes_masked`: we are the client on this leg."""

    __slots__ = (
        "blocked_since",
        "bridge",
        "byte_count",
        "close_received",
        "close_sent",
        "judge",
        "lost",
        "message_count",
        "origin",
        "other",
        "paused",
        "pinged_at",
        "ponged",
        "reader",
        "seen_at",
        "tls",
        "transport",
        "writes_masked",
    )

    def __init__(
        self,
        bridge: "Bridge",
        origin: Origin,
        transport: asyncio.Transport,
        tls: TLSConnection | None,
        reader: MessageReader,
        now: float,
    ) -> None:
        self.bridge = bridge
        self.origin = origin
        self.transport = transport
        self.tls = tls
        self.reader = reader
        self.writes_masked = origin is Origin.CSMS
        self.judge = bridge.relay.from_charge_point if origin is Origin.CHARGE_POINT else bridge.relay.from_csms
        self.other: Leg = self
        self.seen_at = now
        self.pinged_at = 0.0
        self.ponged = False
        self.blocked_since = 0.0
        self.paused = 0
        self.close_sent = False
        self.close_received = False
        self.lost = False
        self.message_count = 0
        self.byte_count = 0

    # -- bytes in

    def data_received(self, data: bytes) -> None:
        """The hot path: one whole text frame, forwarded as it is."""
        tls = self.tls
        if tls is not None:
            try:
                data = tls.decrypt(data)
            except TLSFailure as failure:
                self.bridge.tls_failed(self, failure)
                return
            if not data:
                self._nothing_decrypted(tls)
                return
        payload = self.reader.single(data)
        if payload is None or self.close_sent:
            self.plain_received(data)
            return
        self.seen_at = now = _monotonic()
        self.message_count += 1
        self.byte_count += len(payload)
        effects = self.judge(payload, now)
        if effects is FORWARD:
            self.other.write(data)
        else:
            self.bridge.perform(self, effects, data)

    def _nothing_decrypted(self, tls: TLSConnection) -> None:
        if tls.closed:
            self.transport.close()
            return
        alert = tls.renegotiation_refused()
        if alert:
            self.transport.write(alert)
            self.bridge.renegotiation(self)

    def plain_received(self, data: bytes) -> None:
        """Everything but the hot path: fragments, several or partial frames, control frames, compression."""
        now = _monotonic()
        self.seen_at = now
        try:
            events = self.reader.feed(data, now)
        except FrameViolation as violation:
            self.bridge.violated(self, violation)
            return
        for event in events:
            if isinstance(event, Message):
                self._message(event, now)
            elif isinstance(event, Ping):
                self.write(build_frame(PONG, event.payload, self._mask()))
            elif isinstance(event, Pong):
                self.ponged = True
            else:
                self.bridge.close_received(self, event)
        if self.reader.assembling_since is not None:
            self.bridge.owner.watch(self.bridge)
        if self.tls is not None and self.tls.closed:
            self.transport.close()

    def _message(self, message: Message, now: float) -> None:
        if self.close_sent:
            return
        self.message_count += 1
        self.byte_count += len(message.payload)
        effects = self.judge(message.payload, now)
        if not message.compressed or self.bridge.compressed_as_is:
            wire = message.frames
        else:
            wire = build_frame(TEXT, message.payload, self.other._mask())  # noqa: SLF001  the sibling leg
        self.bridge.perform(self, effects, wire)

    def eof_received(self) -> bool:
        """The peer sent FIN: close, as OCPP knows no half-open connection."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.bridge.leg_lost(self, exc)

    # -- bytes out

    def _mask(self) -> bytes | None:
        return os.urandom(4) if self.writes_masked else None

    def write(self, frames: bytes) -> None:
        """Write WebSocket frames, encrypted where this leg has our TLS."""
        tls = self.tls
        if tls is None:
            self.transport.write(frames)
        elif not self.lost:
            try:
                self.transport.write(tls.encrypt(frames))
            except TLSFailure as failure:
                self.bridge.tls_failed(self, failure)

    def send_text(self, text: bytes) -> None:
        """A frame that the gateway made itself."""
        if not self.close_sent:
            self.write(build_frame(TEXT, text, self._mask()))

    def send_ping(self, now: float) -> None:
        """Ask for a sign of life, unless the last question is still open or the peer does not read."""
        if self.close_sent or self.blocked_since or self.lost:
            return
        if self.pinged_at <= self.seen_at:
            self.pinged_at = now
        self.write(build_frame(PING, b"", self._mask()))

    def send_close(self, code: int | None, reason: str = "") -> None:
        """A close frame, once."""
        if not self.close_sent and not self.lost:
            self.write(build_close(code, reason, self._mask()))
            self.close_sent = True

    def end(self) -> None:
        """Close the transport after what is written has gone out."""
        if self.lost:
            return
        self._unpause()
        if self.tls is not None and not self.transport.is_closing():
            self.transport.write(self.tls.shutdown())
        self.transport.close()

    # -- backpressure

    def pause_writing(self) -> None:
        """Our peer does not read: stop reading from the other side."""
        self.blocked_since = _monotonic()
        self.other.pause(_PAUSED_BY_OTHER_LEG)
        self.bridge.owner.watch(self.bridge)

    def resume_writing(self) -> None:
        """Our peer reads again."""
        self.blocked_since = 0.0
        self.other.resume(_PAUSED_BY_OTHER_LEG)

    def pause(self, cause: int) -> None:
        """Stop reading for `cause`; causes add up."""
        if not self.paused and not self.lost:
            self.transport.pause_reading()
        self.paused |= cause

    def resume(self, cause: int) -> None:
        """Lift one cause; reading goes on when none is left."""
        was, self.paused = self.paused, self.paused & ~cause
        if was and not self.paused and not self.lost and not self.transport.is_closing():
            self.transport.resume_reading()

    def _unpause(self) -> None:
        if self.paused:
            self.paused = 0
            if not self.transport.is_closing():
                self.transport.resume_reading()


class Bridge:
    """One admitted session: both legs, the relay, and how they end together."""

    __slots__ = (
        "__weakref__",
        "admission",
        "charge_point",
        "close_deadline",
        "compressed_as_is",
        "csms",
        "end_reason",
        "limits",
        "opened_at",
        "owner",
        "relay",
        "settings",
        "subprotocol",
        "transport_facts",
        "version",
        "wall_opened_at",
    )

    def __init__(
        self,
        *,
        owner: BridgeOwner,
        admission: Admission,
        transport_facts: Transport,
        version: OCPPVersion,
        subprotocol: str,
        relay: Relay,
        wall_opened_at: float,
    ) -> None:
        self.owner = owner
        self.admission = admission
        self.transport_facts = transport_facts
        self.version = version
        self.subprotocol = subprotocol
        self.relay = relay
        self.wall_opened_at = wall_opened_at
        self.opened_at = _monotonic()
        self.compressed_as_is = False
        self.close_deadline = 0.0
        self.end_reason = ""

    def connect(
        self,
        *,
        charge_point: asyncio.Transport,
        tls: TLSConnection | None,
        charge_point_deflate: DeflateParameters | None,
        csms: asyncio.Transport,
        csms_deflate: DeflateParameters | None,
        limits: ReaderLimits,
        tcp_user_timeout_s: float,
        max_write_buffer_bytes: int,
    ) -> None:
        """Put the two transports together; reading must still be paused on both."""
        now = self.opened_at
        reader = MessageReader(
            expect_masked=True, limits=limits, inflater=_inflater(charge_point_deflate, limits, server=True)
        )
        self.charge_point = Leg(self, Origin.CHARGE_POINT, charge_point, tls, reader, now)
        reader = MessageReader(
            expect_masked=False, limits=limits, inflater=_inflater(csms_deflate, limits, server=False)
        )
        self.csms = Leg(self, Origin.CSMS, csms, None, reader, now)
        self.charge_point.other, self.csms.other = self.csms, self.charge_point
        # Forwarding compressed bytes needs the same agreement on both legs: no context takeover, full windows.
        self.compressed_as_is = (
            charge_point_deflate is not None and csms_deflate is not None and charge_point_deflate == csms_deflate
        )
        for leg in (self.charge_point, self.csms):
            leg.transport.set_write_buffer_limits(high=max_write_buffer_bytes)
            _set_user_timeout(leg.transport, tcp_user_timeout_s)
            leg.transport.set_protocol(leg)

    def start(self, early_from_charge_point: bytes, early_from_csms: bytes) -> None:
        """Begin: what came before the legs existed is judged first, in order, then both sides are read."""
        if early_from_csms:
            self.csms.data_received(early_from_csms)
        if early_from_charge_point:
            self.charge_point.plain_received(early_from_charge_point)
        for leg in (self.csms, self.charge_point):
            if not leg.lost and not leg.paused and not leg.transport.is_closing():
                leg.transport.resume_reading()

    # -- what the relay decided

    def perform(self, leg: Leg, effects: Effects, wire: bytes) -> None:
        """Perform effects in order. `wire`: the frames to forward if the relay says so."""
        for effect in effects:
            self._perform_one(leg, effect, wire)

    def _perform_one(self, leg: Leg, effect: Effect, wire: bytes) -> None:
        match effect:
            case Forward():
                leg.other.write(wire)
            case Reply(text=text):
                leg.send_text(text)
            case ReportEvent(event=event, severity=severity, decision=decision, detail=detail):
                self.owner.report(self, event, severity, decision, detail)
            case CloseBoth(code=code, reason=reason):
                self.close(code, reason, f"relay:{reason}")
            case PauseReading(seconds=seconds):
                leg.pause(_PAUSED_BY_RATE)
                asyncio.get_running_loop().call_later(seconds, leg.resume, _PAUSED_BY_RATE)
            case NoteRegistered():
                self.owner.registered(self, effect)

    # -- how sessions end

    def close(self, code: int | None, reason: str, why: str, *, csms_code: int | None = None) -> None:
        """Close handshake on both legs; `csms_code` where the CSMS is told something else."""
        self.end_reason = self.end_reason or why
        self.charge_point.send_close(code, reason)
        self.csms.send_close(code if csms_code is None else csms_code, reason)
        self._await_closing()

    def _await_closing(self) -> None:
        if not self.close_deadline:
            self.close_deadline = _monotonic()
            self.owner.watch(self)
        for leg in (self.charge_point, self.csms):
            leg._unpause()  # noqa: SLF001  the close frame of the peer must be seen
            if leg.close_sent and leg.close_received:
                leg.end()

    def close_received(self, leg: Leg, event: CloseReceived) -> None:
        """Paired close: the code travels on, the sender gets its echo."""
        leg.close_received = True
        self.end_reason = self.end_reason or f"closed-by-{leg.origin.value}:{event.code or 1005}"
        leg.send_close(event.code, "")
        leg.other.send_close(event.code, event.reason)
        self._await_closing()

    def violated(self, leg: Leg, violation: FrameViolation) -> None:
        """A peer broke RFC 6455: it hears the code of the rule, the other side that this one is gone."""
        from_csms = leg is self.csms
        self.owner.report(
            self,
            "upstream.protocol" if from_csms else violation.event,
            "medium" if from_csms else "high",
            "disconnect" if from_csms else "ws_close",
            f"{violation.event}: {violation.detail}" if from_csms else violation.detail,
        )
        other_code = CLOSE_CODES["csms-violation"] if from_csms else CLOSE_CODES["charge-point-lost"]
        leg.close_received = True  # nothing more is read from it
        self.end_reason = self.end_reason or f"violation-by-{leg.origin.value}:{violation.event}"
        leg.send_close(violation.close_code, "")
        leg.other.send_close(other_code, "")
        self._await_closing()

    def tls_failed(self, leg: Leg, failure: TLSFailure) -> None:
        """The TLS stream broke under a live session."""
        self.end_reason = self.end_reason or f"tls:{failure.reason.code}"
        if failure.reason.event != "net.reset":
            self.owner.report(self, failure.reason.event, failure.reason.severity, "disconnect", failure.detail)
        leg.transport.abort()

    def renegotiation(self, leg: Leg) -> None:
        """A renegotiation attempt: no charge point needs one (CVE-2011-1473)."""
        self.end_reason = "tls-renegotiation"
        self.owner.report(self, "tls.renegotiation", "high", "tls_alert", "connection dropped at the first attempt")
        leg.transport.close()

    def leg_lost(self, leg: Leg, error: Exception | None) -> None:
        """One leg's TCP connection is gone: the other follows (OCPP-J part 4, Local Controller)."""
        self.end_reason = self.end_reason or f"lost:{leg.origin.value}" + (f":{type(error).__name__}" if error else "")
        other = leg.other
        if other.lost:
            self.owner.finished(self, self.end_reason)
            return
        cause = "csms-lost" if leg is self.csms else "charge-point-lost"
        other.send_close(CLOSE_CODES[cause], "")
        if other.close_received:
            other.end()
        else:
            self._await_closing()

    def abort(self, why: str) -> None:
        """Both legs at once, without ceremony."""
        self.end_reason = self.end_reason or why
        for leg in (self.charge_point, self.csms):
            if not leg.lost:
                leg.transport.abort()


def _inflater(parameters: DeflateParameters | None, limits: ReaderLimits, *, server: bool) -> Inflater | None:
    """What the peer of a leg compresses with: its own window is the client's where we are the server."""
    if parameters is None:
        return None
    bits = parameters.client_max_window_bits if server else parameters.server_max_window_bits
    return Inflater(limits.max_message_bytes, bits)


def _set_user_timeout(transport: asyncio.Transport, seconds: float) -> None:
    """Let the kernel notice a peer that is gone without FIN, whether or not it knows WebSocket pings."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(seconds * 1000))
