"""The gateway's own calls to charge points, on behalf of control. They wait their turn with those of the CSMS."""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.edge.control_link import ControlLink
from gateway.link.messages import CallOutcome, GatewayCall, GatewayCallDone
from gateway.ocpp.codec import Payload
from gateway.relay.effects import Answered

if TYPE_CHECKING:
    from gateway.edge.pump import Bridge

__all__ = ["OwnCalls"]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict).decode


class _Open(msgspec.Struct, frozen=True):
    session: str
    timer: asyncio.TimerHandle


class OwnCalls:
    """One per worker. `bridges`: live sessions by name."""

    def __init__(self, link: ControlLink, bridges: "Mapping[str, Bridge]") -> None:
        self._link = link
        self._bridges = bridges
        self._open: dict[str, _Open] = {}
        """By message id."""

    def call(self, request: GatewayCall) -> None:
        """Send it when its turn comes; control hears what becomes of it, once."""
        message_id, bridge = request.request_id, self._bridges.get(request.session)
        if bridge is None or bridge.close_deadline:
            self._link.send(GatewayCallDone(message_id, request.session, "gone"))
            return
        timer = asyncio.get_running_loop().call_later(request.timeout_s, self._too_late, message_id)
        self._open[message_id] = _Open(request.session, timer)
        payload: Payload = _decode(request.payload)
        now = time.monotonic()
        is_old = now - bridge.opened_at >= request.quiet_s if request.quiet_s >= 0.0 else None
        effects = bridge.relay.ask(message_id, request.action, payload, now, is_old=is_old)
        bridge.perform(bridge.csms, effects, b"")

    def answered(self, effect: Answered) -> None:
        """The charge point has answered, or the call is not sent."""
        outcome: CallOutcome = "error" if effect.error else "result"
        payload = _encode(effect.payload) if effect.payload is not None else b""
        self._done(
            effect.message_id, outcome if effect.is_sent else "not_sent", payload, effect.error, effect.description
        )

    def _too_late(self, message_id: str) -> None:
        """Nobody waits any longer: a call that has not been sent is not sent any more."""
        waiting = self._open.get(message_id)
        if waiting is not None and self._withdraw(message_id, waiting):
            self._done(message_id, "not_sent", error="others were waited for")
        else:
            self._done(message_id, "timeout", error="no answer")

    def _withdraw(self, message_id: str, waiting: _Open) -> bool:
        """True if it has not been sent, and now never is."""
        bridge = self._bridges.get(waiting.session)
        return bridge is not None and bridge.relay.withdraw(message_id)

    def ended(self, session: str) -> None:
        """The session is over, and with it whatever it was asked."""
        for message_id in [key for key, each in self._open.items() if each.session == session]:
            self._done(message_id, "gone")

    def control_lost(self) -> None:
        """Whoever has asked hears nothing any more: what waits is not sent, and answers are for nobody."""
        opened, self._open = self._open, {}
        for message_id, waiting in opened.items():
            waiting.timer.cancel()
            self._withdraw(message_id, waiting)

    def _done(
        self, message_id: str, outcome: CallOutcome, payload: bytes = b"", error: str = "", description: str = ""
    ) -> None:
        call = self._open.pop(message_id, None)
        if call is not None:
            call.timer.cancel()
            self._link.send(GatewayCallDone(message_id, call.session, outcome, payload, error, description))
