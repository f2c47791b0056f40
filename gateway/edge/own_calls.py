"""The gateway's own calls to charge points, on behalf of control. They wait their turn with those of the CSMS."""

import asyncio
import secrets
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

_ID_BYTES: Final = 16
"""32 hexadecimal digits: within the 36 characters of a message id, and nobody can guess one (RFC 4122 has 122 bits)."""
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict).decode


class _Open(msgspec.Struct, frozen=True):
    request_id: int
    session: str
    timer: asyncio.TimerHandle


class OwnCalls:
    """One per worker. `bridges`: live sessions by name."""

    def __init__(self, link: ControlLink, bridges: "Mapping[str, Bridge]") -> None:
        self._link = link
        self._bridges = bridges
        self._open: dict[str, _Open] = {}

    def call(self, request: GatewayCall) -> None:
        """Send it when its turn comes; control hears what becomes of it, once."""
        bridge = self._bridges.get(request.session)
        if bridge is None or bridge.close_deadline:
            self._link.send(GatewayCallDone(request.request_id, "gone"))
            return
        message_id = secrets.token_hex(_ID_BYTES)
        timer = asyncio.get_running_loop().call_later(request.timeout_s, self._too_late, message_id)
        self._open[message_id] = _Open(request.request_id, request.session, timer)
        payload: Payload = _decode(request.payload)
        bridge.perform(bridge.csms, bridge.relay.ask(message_id, request.action, payload, time.monotonic()), b"")

    def answered(self, effect: Answered) -> None:
        """The charge point has answered, or the call did not get its turn."""
        outcome: CallOutcome = "error" if effect.error else "result"
        payload = _encode(effect.payload) if effect.payload is not None else b""
        self._done(effect.message_id, outcome, payload, effect.error, effect.description)

    def _too_late(self, message_id: str) -> None:
        """Nobody waits any longer: a call that has not been sent is not sent any more."""
        waiting = self._open.get(message_id)
        bridge = self._bridges.get(waiting.session) if waiting is not None else None
        not_sent = bridge is not None and bridge.relay.withdraw(message_id)
        self._done(message_id, "timeout", error="not sent: others were waited for" if not_sent else "no answer")

    def ended(self, session: str) -> None:
        """The session is over, and with it whatever it was asked."""
        for message_id in [key for key, each in self._open.items() if each.session == session]:
            self._done(message_id, "gone")

    def _done(
        self, message_id: str, outcome: CallOutcome, payload: bytes = b"", error: str = "", description: str = ""
    ) -> None:
        call = self._open.pop(message_id, None)
        if call is not None:
            call.timer.cancel()
            self._link.send(GatewayCallDone(call.request_id, outcome, payload, error, description))
