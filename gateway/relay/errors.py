"""What is told about messages that cannot be read, and what is left of errors that peers send."""

from collections.abc import Callable
from typing import Final

from gateway.ocpp.build import UNREADABLE_ID, build_call_error, build_call_result_error
from gateway.ocpp.codec import MalformedFrame
from gateway.ocpp.error_codes import ErrorMeaning, meaning_of
from gateway.ocpp.frames import Call, CallError, CallResultError
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import FORWARD, CloseBoth, Deliver, Effects, Reply, ReportEvent

__all__ = [
    "REUSED",
    "UNSOLICITED",
    "answer_to_malformed",
    "cleaned",
    "instead_of_answer",
    "taken",
    "too_many",
]

REUSED: Final = ReportEvent("rpc.id_reused", "low", "allow_alert", "an open message id with another action")
UNSOLICITED: Final[Effects] = (ReportEvent("rpc.unsolicited_result", "high", "drop"),)

_MAX_DESCRIPTION_CHARS: Final = 255
_MAX_DETAILS_BYTES: Final = 1_024
_CALL: Final = 2
_CALL_RESULT: Final = 3
_CALL_ERROR: Final = 4
_ANSWERS: Final = frozenset({_CALL_RESULT, _CALL_ERROR})
_NEVER_ANSWERED: Final = frozenset({3, 4, 5, 6})
_MEANINGS: Final = {
    "json.number_range": ErrorMeaning.PROPERTY_CONSTRAINT,
    "rpc.unknown_action": ErrorMeaning.NOT_IMPLEMENTED,
}


def too_many(version: OCPPVersion, call: Call, *, keeps: bool) -> Effects:
    """A lane is full. `keeps`: the call carries billing data; unanswered, it stays in its sender's queue and comes again."""
    if keeps:
        event = ReportEvent("rpc.too_many_pending", "medium", "ws_close", call.action)
        return (event, CloseBoth(1008, "too many open calls"))
    reply = build_call_error(version, call.message_id, ErrorMeaning.GENERIC, "too many open calls")
    return (ReportEvent("rpc.too_many_pending", "medium", "callerror"), Reply(reply))


def taken(version: OCPPVersion, call: Call) -> Effects:
    """A call comes under the id of one of the gateway's, which nobody can guess."""
    reply = build_call_error(version, call.message_id, ErrorMeaning.GENERIC, "message id in use")
    return (ReportEvent("rpc.id_reused", "high", "callerror", "the id of a call of the gateway"), Reply(reply))


def answer_to_malformed(version: OCPPVersion, malformed: MalformedFrame) -> bytes:
    """CALLERROR for what looks like a Call, under its id; for a text that is no frame under "-1", an id nobody waits for.

    What is a frame of another kind is never answered, whatever its payload: OCPP has no answers to answers.
    """
    kind, no_frame = malformed.message_type, malformed.event == "rpc.malformed" and not malformed.parsed
    if malformed.event == "rpc.message_type" or (kind in _NEVER_ANSWERED and not (kind in _ANSWERS and no_frame)):
        return b""
    if malformed.message_id is None or kind != _CALL:
        return build_call_error(version, UNREADABLE_ID, ErrorMeaning.RPC_FRAMEWORK, "not an OCPP-J message")
    meaning = _MEANINGS.get(malformed.event, ErrorMeaning.FORMAT if malformed.parsed else ErrorMeaning.RPC_FRAMEWORK)
    return build_call_error(version, malformed.message_id, meaning, malformed.detail)


def instead_of_answer(version: OCPPVersion, malformed: MalformedFrame, message_id: str) -> Effects:
    """What whoever waits for a malformed answer hears, and in 2.1 its sender too (FR.06)."""
    instead = Deliver(build_call_error(version, message_id, ErrorMeaning.FORMAT, "the answer was malformed"))
    if malformed.message_type == _CALL_RESULT and version is OCPPVersion.V2_1:
        reply = build_call_result_error(version, message_id, ErrorMeaning.FORMAT, malformed.detail)
        return (instead, Reply(reply))
    return (instead,)


def cleaned(version: OCPPVersion, error: CallError | CallResultError, build: Callable[..., bytes]) -> Effects:
    """Forward an error as it is if it is one that may be shown and logged; else what is left of it (CWE-117)."""
    meaning, description = meaning_of(error.code), error.description
    if (
        meaning is not None
        and len(description) <= _MAX_DESCRIPTION_CHARS
        and description.isprintable()
        and len(error.details) <= _MAX_DETAILS_BYTES
    ):
        return FORWARD
    shown = "".join(char for char in description if char.isprintable())[:_MAX_DESCRIPTION_CHARS]
    text = build(version, error.message_id, meaning or ErrorMeaning.GENERIC, shown)
    return (ReportEvent("rpc.error_sanitized", "medium", "sanitize"), Deliver(text))
