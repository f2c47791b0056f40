"""From frames to messages that can be judged, outside the relay: for trials, explanations and replays.

Keeps what a session remembers for that: open calls per direction and the transaction tracker. Wrapped calls are unwrapped.
The gates (state, schema, one call at a time) are the relay's business and not repeated here.
"""

from typing import Any, Final

import msgspec

from gateway.ocpp.codec import MalformedFrame, decode, decode_payload
from gateway.ocpp.frames import Call, CallError, CallResult, Frame, Send
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.ocpp.wrapped import Unreadable, inner_call
from gateway.policy.boot_times import BootTimes
from gateway.policy.rules import Phase
from gateway.policy.session import Message, Request, SessionFacts
from gateway.policy.set_points import SetPoints
from gateway.policy.transactions import Transactions

__all__ = ["Conversation", "NotJudged"]

_MAX_OPEN_CALLS: Final = 64
_OTHER: Final = {Origin.CHARGE_POINT: Origin.CSMS, Origin.CSMS: Origin.CHARGE_POINT}


class NotJudged(Exception):  # noqa: N818  what became of the frame
    """A frame that no rule sees because a gate has refused it before."""

    def __init__(self, event: str, detail: str) -> None:
        super().__init__(detail)
        self.event = event
        self.detail = detail


class _OpenCall(msgspec.Struct):
    action: str
    payload: dict[str, Any]
    version: OCPPVersion
    at: float


class Conversation:
    """One session's frames in order. `set_points` and `boot_times`: those of all sessions, where there are others."""

    def __init__(
        self, session: SessionFacts, set_points: SetPoints | None = None, boot_times: BootTimes | None = None
    ) -> None:
        self.session = session
        self.transactions = Transactions(set_points, session.identity, boot_times)
        self._calls: dict[tuple[Origin, str], _OpenCall] = {}
        self.outer: str = ""
        """Action of the last call as it stood in the frame."""

    def message(self, origin: Origin, data: bytes, now: float) -> Message:
        """The message in a frame. Raises NotJudged."""
        try:
            frame = decode(data, self.session.version)
        except MalformedFrame as malformed:
            raise NotJudged(malformed.event, malformed.detail) from None
        if isinstance(frame, Call | Send):
            return self._call(frame, origin, len(data))
        return self._answer(frame, origin, len(data), now)

    def _call(self, frame: Call | Send, origin: Origin, size: int) -> Message:
        session = self.session
        payload = decode_payload(frame.payload)
        self.outer = frame.action
        try:
            inner = inner_call(session.version, frame.action, payload)
        except Unreadable as unreadable:
            raise NotJudged("policy.unreadable_wrapper", str(unreadable)) from None
        is_call = isinstance(frame, Call)
        return Message(
            origin=origin,
            phase=Phase.CALL if is_call else Phase.SEND,
            action=frame.action if inner is None else inner.action,
            payload=payload if inner is None else inner.payload,
            type=2 if is_call else 6,
            id=frame.message_id,
            size=size,
            signed=inner is not None and inner.signed,
            version=session.version if inner is None else inner.version,
        )

    def _answer(self, frame: Frame, origin: Origin, size: int, now: float) -> Message:
        asked = self._calls.get((_OTHER[origin], frame.message_id))
        if asked is None:
            raise NotJudged("rpc.unsolicited_result", "answer to no open call")
        is_result = isinstance(frame, CallResult)
        return Message(
            origin=origin,
            phase=Phase.RESULT if is_result else Phase.ERROR,
            action=asked.action,
            payload=decode_payload(frame.payload if isinstance(frame, CallResult) else frame.details),  # type: ignore[union-attr]
            type=3 if is_result else 4 if isinstance(frame, CallError) else 5,
            id=frame.message_id,
            size=size,
            request=Request(asked.action, asked.payload, int((now - asked.at) * 1000)),
            version=asked.version,
        )

    def passed(self, message: Message, now: float) -> None:
        """The message was forwarded: remember the call, or learn from its answer."""
        session = self.session
        version = message.version or session.version
        if message.request is None:
            if message.phase is Phase.CALL:
                if len(self._calls) >= _MAX_OPEN_CALLS:
                    self._calls.pop(next(iter(self._calls)))
                self._calls[message.origin, message.id] = _OpenCall(message.action, message.payload, version, now)
            self.transactions.seen(version, message.action, message.payload)
            return
        self._calls.pop((_OTHER[message.origin], message.id), None)
        if message.phase is Phase.RESULT:
            called_at = now - message.request.age_ms / 1000
            self.transactions.seen(
                version, message.action, message.request.payload, message.payload, called_at=called_at
            )
            if message.action == "BootNotification":
                status = str(message.payload.get("status", ""))
                session.boot_state = (
                    status.lower() if status in {"Accepted", "Pending", "Rejected"} else session.boot_state
                )
