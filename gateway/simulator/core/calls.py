"""Calls of the charge point's own: one at a time, in which order, and what becomes of their answers (part 4, 4.1)."""

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.simulator.core import boot, charging, enrolment
from gateway.simulator.core.memory import QueuedCall
from gateway.simulator.core.station import OpenCall, Payload, Station

__all__ = ["answered", "next_calls", "refused", "timed_out"]

_TRANSACTION: Final = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
_NEVER_MORE: Final = frozenset({"NotImplemented", "NotSupported"})

_OUTCOMES: Final[dict[str, Callable[[Station, Payload], None]]] = {
    "BootNotification": boot.answered,
    "Heartbeat": boot.heartbeat_answered,
    "SignCertificate": enrolment.request_answered,
}


def next_calls(station: Station) -> None:
    """Send what may be sent now."""
    live, all_at_once = station.live, "queue-at-once" in station.quirks
    while live.link == "up" and (not live.open or (all_at_once and live.registration == "accepted")):
        call = _next(station)
        if call is None:
            return
        station.send_call(call)


def _next(station: Station) -> OpenCall | None:
    live = station.live
    if live.wants_boot or live.boot_triggered:
        if any(call.action == "BootNotification" for call in live.open.values()):
            return None
        live.wants_boot = False
        return OpenCall(action="BootNotification", payload=boot.payload(station))
    if live.registration == "accepted":
        queued = _head_of_queue(station)
        if queued is not None:
            return OpenCall(action=queued.action, payload=charging.filled_in(station, queued), queued=queued)
        if live.waiting:
            waiting = live.waiting.popleft()
            return OpenCall(action=waiting.action, payload=waiting.payload)
    if live.registration == "pending":
        for waiting in live.waiting:
            if waiting.triggered:
                live.waiting.remove(waiting)
                return OpenCall(action=waiting.action, payload=waiting.payload)
    return None


def _head_of_queue(station: Station) -> QueuedCall | None:
    """The oldest that is not on its way. In order: a StopTransaction never overtakes its StartTransaction."""
    if station.live.queue_rests:
        return None
    on_the_way = [id(call.queued) for call in station.live.open.values()]
    return next((queued for queued in station.memory.queue if id(queued) not in on_the_way), None)


def answered(station: Station, message_id: str, answer: Payload) -> None:
    """A CALLRESULT."""
    call = station.live.open.pop(message_id, None)
    if call is None:
        station.note("unexpected answer")
        return
    station.stop_timer(f"answer:{message_id}")
    if call.queued is not None:
        _take_out(station, call.queued)
        if call.action == "StartTransaction":
            charging.started(station, call.queued, answer)
        if call.action == "StopTransaction" and call.queued.transaction is not None:
            station.memory.transaction_ids.pop(call.queued.transaction, None)
    outcome = _OUTCOMES.get(call.action)
    if outcome is not None:
        outcome(station, answer)


def refused(station: Station, message_id: str, code: str) -> None:
    """A CALLERROR."""
    call = station.live.open.pop(message_id, None)
    if call is None:
        return
    station.stop_timer(f"answer:{message_id}")
    station.note("refused", action=call.action, code=code)
    _without_answer(station, call, gives_up=code in _NEVER_MORE)


def timed_out(station: Station, message_id: str) -> None:
    """No answer in time."""
    call = station.live.open.pop(message_id, None)
    if call is not None:
        station.note("not answered", action=call.action)
        _without_answer(station, call, gives_up=False)


def _without_answer(station: Station, call: OpenCall, *, gives_up: bool) -> None:
    """Repeat what must get through, a few times (1.6, TransactionMessageAttempts; 2.x, MessageAttempts)."""
    if call.action == "BootNotification":
        station.timer("boot", float(station.number("HeartbeatInterval")))
    if call.action == "SignCertificate":
        enrolment.request_not_answered(station)
    queued = call.queued
    if queued is None:
        return
    attempts = queued.attempts + 1
    if gives_up or (call.action in _TRANSACTION and attempts >= station.number("MessageAttempts")):
        _take_out(station, queued)
        station.note("given up", action=call.action)
        return
    place = next(index for index, each in enumerate(station.memory.queue) if each is queued)
    station.memory.queue[place] = msgspec.structs.replace(queued, attempts=attempts)
    station.live.queue_rests = True
    station.timer("queue", float(station.number("MessageAttemptInterval") * min(attempts, 10)))


def _take_out(station: Station, queued: QueuedCall) -> None:
    memory = station.memory
    memory.queue = [each for each in memory.queue if each is not queued]
