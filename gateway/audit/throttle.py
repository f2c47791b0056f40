"""Equal events one after the other are counted and told as one: nobody can fill a disk, or bury a record, by repeating.

The first of a kind are recorded one by one; what follows within the same ten seconds is summarised by one
``audit.throttled`` with its count. Kinds differ by event, reason, detail, charge point and address.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from gateway.audit.event import SecurityEvent

__all__ = ["EventThrottle"]

WINDOW_S: Final = 10.0
_SINGLY: Final = {True: 12, False: 60}
"""So many of a kind are recorded one by one in each window, of proven charge points and of others: those come one
connection after the other, which is limited already, and each attempt may be somebody else's behind one address."""
_MAX_KINDS: Final = 20_000
_Kind = tuple[str, str, str, str, str]


class _Window:
    __slots__ = ("began", "first", "folded", "told")

    def __init__(self, event: SecurityEvent, began: float) -> None:
        self.began, self.first = began, event
        self.told = self.folded = 0


class EventThrottle:
    """Time comes in as seconds of any clock that does not jump."""

    def __init__(self) -> None:
        self._windows: OrderedDict[_Kind, _Window] = OrderedDict()

    def admit(self, event: SecurityEvent, now: float) -> bool:
        """True if this event is to be recorded itself, False if it is in a summary that `due` gives later."""
        if event.actor is not None:
            return True  # who asked for what is never only a number
        kind = (event.event, event.reason, event.detail, event.charge_point_id, event.peer)
        window = self._windows.get(kind)
        if window is None:
            if len(self._windows) >= _MAX_KINDS:
                return True  # more kinds than anybody can fold; their number is limited where events are made
            window = self._windows[kind] = _Window(event, now)
        if window.told < _SINGLY[event.verified]:
            window.told += 1
            return True
        window.folded += event.count
        return False

    def due(self, now: float, wall: float, *, everything: bool = False) -> list[SecurityEvent]:
        """Summaries of the windows that have ended. `wall`: the time that they bear, seconds since the epoch."""
        summaries = []
        while self._windows:
            window = next(iter(self._windows.values()))
            if not everything and now - window.began < WINDOW_S:
                break
            self._windows.popitem(last=False)
            if window.folded:
                summaries.append(_summary(window, wall))
        return summaries


def _summary(window: _Window, wall: float) -> SecurityEvent:
    event = window.first
    return msgspec.structs.replace(
        event,
        event="audit.throttled",
        time=wall,
        decision="rate_limit",
        count=window.folded,
        detail=f"{window.folded} more {event.event} in {WINDOW_S:.0f} s were not recorded one by one",
    )
