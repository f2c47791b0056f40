"""The live session: two legs, one relay. Moves bytes, performs what the relay decides, closes both legs as a pair.

Who closes the socket? This module. Original frames travel unchanged: the gateway is a client towards the CSMS, so a
masked frame of the charge point is a legal frame there, and the other way round (docs/decisions/0002).
"""

import asyncio
import os
import time
from collections.abc import Iterator
from itertools import chain
from typing import Final

from gateway.edge.bridge_owner import BridgeOwner
from gateway.edge.refusals import CLOSE_CODES
from gateway.edge.tcp import set_user_timeout
from gateway.edge.tls import TLSConnection, TLSFailure
from gateway.identity.evidence import Admission, Transport
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.relay.effects import (
    FORWARD,
    CloseBoth,
    Deliver,
    Effect,
    Effects,
    Forward,
    NoteBootState,
    PauseReading,
    Reply,
    ReportEvent,
)
from gateway.relay.relay import Relay
from gateway.websocket.deflate import DeflateParameters
from gateway.websocket.frames import PING, PONG, TEXT, FrameViolation, build_close, build_frame
from gateway.websocket.messages import CloseReceived, Event, Message, MessageReader, Ping, Pong, ReaderLimits

__all__ = ["Bridge", "BridgeOwner", "Leg"]

_PAUSED_BY_OTHER_LEG: Final = 1
_PAUSED_BY_RATE: Final = 2
_PAUSED_FOR_OTHERS: Final = 4
_MAX_TURN_S: Final = 0.02
"""A peer whose input has cost more than this waits as long as it took: a worker has thousands of other sessions."""
_CHEAP_BYTES: Final = 4_096
"""A message of this size cannot cost that much; the hot path does not look at the clock again."""
_monotonic = time.monotonic


class Leg(asyncio.Protocol):
    """One side of a session. `writes_masked`: we are the client on this leg."""

    __slots__ = (
        "blocked_since", "bridge", "byte_count", "close_received", "close_sent", "held", "judge", "lingers", "lost",
        "message_count", "origin", "other", "passes_compressed", "paused", "pinged_at", "ponged", "reader", "seen_at",
        "tls", "transport", "violated", "writes_masked",
    )  # fmt: skip

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
        self.passes_compressed = False
        self.writes_masked = origin is Origin.CSMS
        self.judge = bridge.relay.judging(origin)
        self.other: Leg = self
        self.seen_at = now
        self.pinged_at = 0.0
        self.ponged = False
        self.blocked_since = 0.0
        self.paused = 0
        self.held: Iterator[Event] | None = None
        """What is left of the last input where reading was paused in the middle of it."""
        self.close_sent = False
        self.close_received = False
        self.violated = False
        self.lingers = False
        self.lost = False
        self.message_count = 0
        self.byte_count = 0

    # -- bytes in

    def data_received(self, data: bytes) -> None:
        """The hot path: one whole text frame, forwarded as it is."""
        if self.lingers:
            return  # not even decrypted: TLS could want to answer, and nothing can be written any more
        tls = self.tls
        if tls is not None:
            try:
                data = tls.decrypt(data)
            except TLSFailure as failure:
                self.bridge.tls_failed(self, failure)
                return
            if not data or tls.closed:
                self._not_only_data(tls, data)
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
        if len(payload) > _CHEAP_BYTES:
            self._let_others(now)

    def _not_only_data(self, tls: TLSConnection, data: bytes) -> None:
        """Something of TLS itself came: part of a record, KeyUpdate, a renegotiation attempt, close_notify."""
        if data:
            self.plain_received(data)
        unasked = tls.output()
        if unasked and not self.transport.is_closing():
            self.transport.write(unasked)
            if tls.knows_renegotiation:
                self.bridge.renegotiation(self)
        if tls.closed:
            self.end()

    def plain_received(self, data: bytes) -> None:
        """Everything but the hot path: fragments, several or partial frames, control frames, compression."""
        now = _monotonic()
        self.seen_at = now
        if self.held is not None:
            self._take(self.held, now)
        if data:
            events = self.reader.feed(data, now)
            if self.held is None:
                self._take(events, now)
            else:
                self.held = chain(self.held, events)
        if self.reader.assembling_since is not None:
            self.bridge.owner.watch(self.bridge)

    def _take(self, events: Iterator[Event], now: float) -> None:
        """Act on events until the other side has enough, or it is the turn of others.

        Few compressed bytes can be very many plain ones. `now`: when this turn began.
        """
        self.held = None
        try:
            for event in events:
                self._event(event, now)
                self._let_others(now)
                if self.paused:
                    self.held = events
                    return
        except FrameViolation as violation:
            self.bridge.violated(self, violation)

    def _let_others(self, began: float) -> None:
        """Wait as long as this turn has taken, if that is long."""
        spent_s = _monotonic() - began
        if spent_s > _MAX_TURN_S:
            self.pause(_PAUSED_FOR_OTHERS)
            asyncio.get_running_loop().call_later(spent_s, self.resume, _PAUSED_FOR_OTHERS)

    def _event(self, event: Event, now: float) -> None:
        if isinstance(event, Message):
            self._message(event, now)
        elif isinstance(event, Ping):
            self.write(build_frame(PONG, event.payload, self._mask()))
        elif isinstance(event, Pong):
            self.ponged = True
        else:
            self.bridge.close_received(self, event)

    def _message(self, message: Message, now: float) -> None:
        if self.close_sent:
            return
        self.message_count += 1
        self.byte_count += len(message.payload)
        effects = self.judge(message.payload, now)
        if not message.compressed or self.passes_compressed:
            wire = message.frames
        else:
            wire = build_frame(TEXT, message.payload, self.other._mask())  # noqa: SLF001  the sibling leg
        self.bridge.perform(self, effects, wire)

    def eof_received(self) -> bool:
        """The peer sent FIN: close, as OCPP knows no half-open connection."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.held = None  # the other side hears that this one is gone, and nothing behind that
        self.bridge.leg_lost(self, exc)

    def let_go(self) -> None:
        """Both legs are lost: leave no cycle, so that the session's memory is free now and not at some collection."""
        self.held = None
        del self.bridge, self.other, self.judge

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
        if self.tls is not None and not self.transport.is_closing() and not self.lingers:
            self.transport.write(self.tls.shutdown())
        if not self.violated:
            self.transport.close()
        elif not self.lingers and not self.transport.is_closing():
            # What it goes on sending would be answered with a TCP reset, which can overtake our close frame: it is read
            # and thrown away until the peer ends the connection too, or the time for that is over.
            self.lingers = True
            self.transport.write_eof()

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
        if was:
            self._read_on()

    def _unpause(self) -> None:
        if self.paused:
            self.paused = 0
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self.held is not None and not self.paused:
            self.plain_received(b"")
        if not (self.paused or self.lost or self.transport.is_closing()):
            self.transport.resume_reading()


class Bridge:
    """One admitted session: both legs, the relay, and how they end together."""

    __slots__ = (
        "__weakref__", "admission", "boot_state", "charge_point", "close_deadline", "csms", "end_reason",
        "opened_at", "owner", "relay", "subprotocol", "transport_facts", "version", "wall_opened_at",
    )  # fmt: skip

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
        self.close_deadline = 0.0
        self.end_reason = ""
        self.boot_state = admission.boot_state

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
        """Put the two transports together; nothing more may be read from either before `start`."""
        now = self.opened_at
        reader = MessageReader.for_peer(limits, charge_point_deflate, from_client=True)
        self.charge_point = Leg(self, Origin.CHARGE_POINT, charge_point, tls, reader, now)
        reader = MessageReader.for_peer(limits, csms_deflate, from_client=False)
        self.csms = Leg(self, Origin.CSMS, csms, None, reader, now)
        self.charge_point.other, self.csms.other = self.csms, self.charge_point
        if charge_point_deflate is not None and csms_deflate is not None:
            # Nobody keeps context: compressed bytes may pass if the reader's window is no smaller than the writer's.
            near, far = charge_point_deflate, csms_deflate
            self.charge_point.passes_compressed = near.client_max_window_bits <= far.client_max_window_bits
            self.csms.passes_compressed = far.server_max_window_bits <= near.server_max_window_bits
        for leg in (self.charge_point, self.csms):
            leg.transport.set_write_buffer_limits(high=max_write_buffer_bytes)
            leg.transport.set_protocol(leg)
        set_user_timeout(csms, tcp_user_timeout_s)  # the other leg has it from the socket that accepted it

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
        if self.relay.has_waiting:
            self.owner.watch(self)

    def tick(self, now: float) -> bool:
        """Send the calls whose turn has come; True if some still wait."""
        if not self.relay.has_waiting or self.close_deadline:
            return False
        for origin, effects in self.relay.tick(now):
            self.perform(self.charge_point if origin is Origin.CHARGE_POINT else self.csms, effects, b"")
        return self.relay.has_waiting

    def _perform_one(self, leg: Leg, effect: Effect, wire: bytes) -> None:
        match effect:
            case Forward():
                leg.other.write(wire)
            case Deliver(text=text):
                leg.other.send_text(text)
            case Reply(text=text):
                leg.send_text(text)
            case ReportEvent(event=event, severity=severity, decision=decision, detail=detail, revision=revision):
                self.owner.report(self, event, severity, decision, detail, revision=revision)
            case CloseBoth(code=code, reason=reason):
                self.close(code, reason, f"relay:{reason}")
            case PauseReading(seconds=seconds):
                leg.pause(_PAUSED_BY_RATE)
                asyncio.get_running_loop().call_later(seconds, leg.resume, _PAUSED_BY_RATE)
            case NoteBootState(state=state):
                self.boot_state = state
                self.owner.told(leg, effect, wire)
            case _:  # all that the owner hears of (`Told`)
                self.owner.told(leg, effect, wire)

    def answered(self, leg: Leg, ticket: int, answers: dict[str, bool], wire: bytes) -> Effects | None:
        """Control has answered an AskFleet; nothing happens, None, where the session has ended meanwhile."""
        if leg.lost or leg.close_sent:
            return None
        effects = self.relay.answered(ticket, answers, _monotonic())
        self.perform(leg, effects, wire)
        return effects

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
        """A peer broke RFC 6455 (a flood is called one whoever floods): it hears why, the other that this one is gone."""
        from_csms = leg is self.csms
        broken = from_csms and not violation.event.endswith("_flood")
        self.owner.report(
            self,
            "upstream.protocol" if broken else violation.event,
            "medium" if from_csms else violation.severity,
            "disconnect" if broken else "ws_close",
            f"by the CSMS: {violation.event}: {violation.detail}" if from_csms else violation.detail,
        )
        other_code = CLOSE_CODES["csms-violation"] if from_csms else CLOSE_CODES["charge-point-lost"]
        leg.close_received = leg.violated = True  # nothing more of it counts
        self.end_reason = self.end_reason or f"violation-by-{leg.origin.value}:{violation.event}"
        leg.send_close(violation.close_code, "")
        leg.other.send_close(other_code, "")
        self._await_closing()

    def tls_failed(self, leg: Leg, failure: TLSFailure) -> None:
        """The TLS stream broke under a live session: send the alert that OpenSSL has for it, if any."""
        if leg.transport.is_closing():
            return
        self.end_reason = self.end_reason or f"tls:{failure.reason.code}"
        alert = leg.tls.output() if leg.tls is not None else b""
        if failure.reason.event != "net.reset":
            decision = "tls_alert" if alert else "disconnect"
            self.owner.report(self, failure.reason.event, failure.reason.severity, decision, failure.detail)
        leg.transport.write(alert)
        leg.transport.close()
        self._await_closing()

    def renegotiation(self, leg: Leg) -> None:
        """A renegotiation attempt: no charge point needs one (CVE-2011-1473)."""
        self.end_reason = "tls-renegotiation"
        self.owner.report(self, "tls.renegotiation", "high", "tls_alert", "connection dropped at the first attempt")
        leg.transport.close()
        self._await_closing()

    def leg_lost(self, leg: Leg, error: Exception | None) -> None:
        """One leg's TCP connection is gone: the other follows (OCPP-J part 4, Local Controller)."""
        self.end_reason = self.end_reason or f"lost:{leg.origin.value}" + (f":{type(error).__name__}" if error else "")
        other = leg.other
        if other.lost:
            self.owner.finished(self, self.end_reason)
            leg.let_go()
            other.let_go()
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
