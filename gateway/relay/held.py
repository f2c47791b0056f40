"""Messages that wait for control: for what it says of a budget, or until the log has their record."""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.ocpp.build import build_call_error
from gateway.ocpp.codec import Payload
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.frames import Call, CallError, CallResult, Send
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.ocpp.wrapped import unsigned
from gateway.relay.effects import CloseBoth, Effects, Forward, Reply, ReportEvent
from gateway.relay.judge import Ruling
from gateway.relay.open_calls import OpenCall

__all__ = ["AFTERWARDS", "MAX_HELD", "Held", "Unrecorded", "instead_of", "waits_for_its_record"]

MAX_HELD: Final = 16
"""So many may wait in one session."""
AFTERWARDS: Final = (ReportEvent, CloseBoth)
"""What can still be done about an answer that has gone on."""


class Held(msgspec.Struct, frozen=True):
    """A call that waits for what control says of a budget; or an answer that has gone on, and whose rules want to know."""

    frame: Call | Send | CallResult | CallError
    payload: Payload
    origin: Origin
    ruling: Ruling
    text: bytes = b""
    """Of a call."""


class Unrecorded(msgspec.Struct, frozen=True):
    """A call of the CSMS that is decided, and waits until the log has it: nothing dangerous is done off the record."""

    call: Call
    record: OpenCall | None
    """What is open once it goes on; None for a call that is refused."""
    effects: Effects
    text: bytes


def waits_for_its_record(
    actions: frozenset[str], call: Call, record: OpenCall | None, held: Mapping[int, Held | Unrecorded] | None
) -> bool:
    """True if a call is about one of these actions, itself or inside, or would overtake another one that waits."""
    if unsigned(call.action) in actions or (record is not None and record.action in actions):
        return True
    return held is not None and any(type(each) is Unrecorded for each in held.values())


def instead_of(version: OCPPVersion, held: Unrecorded) -> Effects:
    """What happens with a call that does not go on. Rules are heard all the same."""
    if held.record is None:
        return held.effects
    said = tuple(effect for effect in held.effects if type(effect) is not Forward)
    reply = build_call_error(version, held.call.message_id, ErrorMeaning.SECURITY, "cannot be recorded")
    return (*said, ReportEvent("audit.command_refused", "high", "callerror", unsigned(held.call.action)), Reply(reply))
