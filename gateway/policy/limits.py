"""Rates, distinct counts and sums over a sliding window, in bounded memory. Pure: time is an argument.

Exact: in no window of `window_s` seconds does more than `limit` pass, wherever the window begins. Keys belong to a rule and
its parameters, so a reload that does not touch a limit does not reset it. When a table is full, the key that has been quiet
longest makes room if its window is over; if none is, new keys share one overflow slot: an attacker with ever new keys shares
a budget with himself and cannot push anybody else's counter out. `overflowed` counts how often that happened.
"""

from collections import OrderedDict, deque
from typing import Final, Generic, TypeVar

__all__ = ["MAX_LIMIT", "Distinct", "Rates", "Sum"]

MAX_LIMIT: Final = 10_000
"""The largest limit a rule may have: so many moments are remembered for a key."""
_OVERFLOW: Final = "\0overflow"
_T = TypeVar("_T")


class _Window(Generic[_T]):
    """What one key has used up; `ends` is when nothing of it counts any more."""

    __slots__ = ("content", "ends")

    def __init__(self, content: _T) -> None:
        self.content = content
        self.ends = 0.0


class _Table(Generic[_T]):
    """Windows by key, least recently used first."""

    __slots__ = ("_max_keys", "_windows", "overflowed")

    def __init__(self, max_keys: int) -> None:
        self._max_keys = max_keys
        self._windows: OrderedDict[str, _Window[_T]] = OrderedDict()
        self.overflowed = 0

    def __len__(self) -> int:
        return len(self._windows)

    def find(self, key: str) -> _Window[_T] | None:
        """The window of a key without touching anything; of the overflow slot where the key would end there."""
        found = self._windows.get(key)
        if found is None and len(self._windows) >= self._max_keys:
            return self._windows.get(_OVERFLOW)
        return found

    def open(self, key: str, empty: _T, now: float) -> _Window[_T]:
        """The window of a key, made if need be."""
        found = self._windows.get(key)
        if found is None:
            if len(self._windows) >= self._max_keys:
                oldest, window = next(iter(self._windows.items()))
                if window.ends <= now:
                    del self._windows[oldest]
                else:
                    self.overflowed += 1
                    key = _OVERFLOW
            found = self._windows.get(key)
            if found is None:
                found = self._windows[key] = _Window(empty)
        self._windows.move_to_end(key)
        return found


class Rates:
    """At most `limit` events per key in any window; all of them at once if need be."""

    __slots__ = ("_table",)

    def __init__(self, max_keys: int = 16_384) -> None:
        self._table: _Table[deque[float]] = _Table(max_keys)

    @property
    def overflowed(self) -> int:
        """How often a new key had to share the overflow slot."""
        return self._table.overflowed

    def peek(self, key: str, limit: int, window_s: float, now: float) -> bool:
        """True if one more event now would be within the limit. Consumes nothing."""
        window = self._table.find(key)
        return limit > 0 if window is None else _fits(window.content, limit, window_s, now)

    def take(self, key: str, limit: int, window_s: float, now: float) -> bool:
        """Consume one event; False (and nothing consumed) if it is above the limit. A limit of 0 lets nothing pass."""
        if limit <= 0:
            return False
        window = self._table.open(key, deque(), now)
        moments = window.content
        while len(moments) > limit:  # the limit was larger once
            moments.popleft()
        if not _fits(moments, limit, window_s, now):
            return False
        if len(moments) >= limit:
            moments.popleft()
        # The clock of a host may step back; moments stay in order all the same.
        moments.append(now if not moments else max(now, moments[-1]))
        window.ends = moments[-1] + window_s
        return True


def _fits(moments: deque[float], limit: int, window_s: float, now: float) -> bool:
    return len(moments) < limit or (limit > 0 and moments[-limit] <= now - window_s)


class Distinct:
    """Different values per key: at most `limit` in any window."""

    __slots__ = ("_table",)

    def __init__(self, max_keys: int = 4_096) -> None:
        self._table: _Table[OrderedDict[str, float]] = _Table(max_keys)

    @property
    def overflowed(self) -> int:
        """How often a new key had to share the overflow slot."""
        return self._table.overflowed

    def peek(self, key: str, value: str, limit: int, window_s: float, now: float) -> bool:
        """True if `value` would be within the limit. Counts nothing."""
        window = self._table.find(key)
        if window is None:
            return limit > 0
        live = {text for text, moment in window.content.items() if moment > now - window_s}
        return value in live or len(live) < limit

    def take(self, key: str, value: str, limit: int, window_s: float, now: float) -> bool:
        """Count `value`; False (and not counted) if it would be one more than `limit`. A value that is there is free."""
        window = self._table.open(key, OrderedDict(), now)
        seen = window.content
        while seen and next(iter(seen.values())) <= now - window_s:
            seen.popitem(last=False)
        if value not in seen and len(seen) >= min(limit, MAX_LIMIT):
            return False
        seen[value] = now
        seen.move_to_end(value)
        window.ends = now + window_s
        return True


class _Amounts:
    """Moments and amounts with their sum."""

    __slots__ = ("entries", "total")

    def __init__(self) -> None:
        self.entries: deque[tuple[float, float]] = deque()
        self.total = 0.0

    def expire(self, before: float) -> None:
        """Forget what lies outside the window."""
        gone = False
        while self.entries and self.entries[0][0] <= before:
            self.entries.popleft()
            gone = True
        if gone:
            self.total = sum(amount for _, amount in self.entries)


class Sum:
    """A sliding sum of magnitudes per key: how much has been moved within a window (kW swing)."""

    __slots__ = ("_table",)

    def __init__(self, max_keys: int = 4_096) -> None:
        self._table: _Table[_Amounts] = _Table(max_keys)

    @property
    def overflowed(self) -> int:
        """How often a new key had to share the overflow slot."""
        return self._table.overflowed

    def peek(self, key: str, amount: float, limit: float, window_s: float, now: float) -> bool:
        """True if `amount` would be within the limit. Adds nothing."""
        window = self._table.find(key)
        if window is None:
            return abs(amount) <= limit
        live = sum(each for moment, each in window.content.entries if moment > now - window_s)
        return live + abs(amount) <= limit

    def take(self, key: str, amount: float, limit: float, window_s: float, now: float) -> bool:
        """Add the magnitude of `amount`; False (and not added) if the sum would exceed `limit`.

        Also False where more moments than `MAX_LIMIT` would have to be remembered.
        """
        window = self._table.open(key, _Amounts(), now)
        amounts = window.content
        amounts.expire(now - window_s)
        within = amounts.total + abs(amount) <= limit  # not what is no number (NaN): the sum would be none either
        if not within or len(amounts.entries) >= MAX_LIMIT:
            return False
        if amount:
            amounts.entries.append((now, abs(amount)))
            amounts.total += abs(amount)
            window.ends = now + window_s
        return True
