"""What is sent when the turn of calls has come that waited, and what is said about those that have waited for too long. Pure."""

from collections.abc import Callable

from gateway.ocpp.build import build_call_error
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import Deliver, Effects, Reply, ReportEvent
from gateway.relay.errors import REUSED
from gateway.relay.lanes import Entry, Lane, LaneLimits

__all__ = ["next_calls", "refuse_overdue"]

_ToSender = Callable[[bytes], Deliver | Reply]


def refuse_overdue(version: OCPPVersion, lane: Lane, limits: LaneLimits, now: float, to_sender: _ToSender) -> Effects:
    """A command that comes long after it was given may do harm. Its sender has given up on it anyway."""
    effects: Effects = ()
    for late in lane.overdue(limits, now):
        text = build_call_error(version, late.call.message_id, ErrorMeaning.GENERIC, "no answer in time")
        effects += (ReportEvent("rpc.call_timeout", "low", "callerror", late.call.action), to_sender(text))
    return effects


def next_calls(lane: Lane, limits: LaneLimits, now: float, to_receiver: _ToSender) -> Effects:
    """The calls whose turn has come, for the other side."""
    effects: Effects = ()
    for each, entry in lane.next(limits, now):
        reused = (REUSED,) if entry is Entry.REUSED else ()
        effects += (*reused, to_receiver(each.text))
    return effects
