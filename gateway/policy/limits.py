"""Rates, distinct counts and sums over a sliding window, in bounded memory. Pure: time is an argument.

Exact: in no window of `window_s` seconds does more than `limit` pass, wherever the window begins. Keys belong to a rule and
its parameters, so a reload that does not touch a limit does not reset it. What happens where there are too many keys is in
`gateway.policy.counter_table`.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.policy.counter_table import CounterKey, CounterTables, KeptWindow, Overflow

__all__ = ["MAX_LIMIT", "Distinct", "Rates", "Sum"]

MAX_LIMIT: Final = 10_000
"""The largest limit a rule may have: so many moments are remembered for a key."""
_MAX_KEYS: Final = 16_384
"""Of one rule, and as many spare ones."""
_MAX_SHARE: Final = 256
"""Keys of one charge point: it may have as many connectors."""


class Rates:
    """At most `limit` events per key in any window; all of them at once if need be."""

    __slots__ = ("_tables",)

    def __init__(self, max_keys: int = _MAX_KEYS, max_share: int = _MAX_SHARE) -> None:
        self._tables: CounterTables[deque[float]] = CounterTables(deque, max_keys, max_share)

    def take_overflows(self) -> dict[str, Overflow]:
        """By table, how often a key had to share a spare window since the last time."""
        return self._tables.take_overflows()

    def peek(self, key: CounterKey, limit: int, window_s: float, now: float) -> bool:
        """True if one more event now would be within the limit. Consumes nothing."""
        window = self._tables.find(key)
        return limit > 0 if window is None else _fits(window.content, limit, window_s, now)

    def take(self, key: CounterKey, limit: int, window_s: float, now: float) -> bool:
        """Consume one event; False (and nothing consumed) if it is above the limit. A limit of 0 lets nothing pass."""
        if limit <= 0:
            return False
        window = self._tables.open(key, now)
        moments = window.content
        while len(moments) > limit:  # the limit was larger once
            moments.popleft()
        if not _fits(moments, limit, window_s, now):
            return False
        if len(moments) >= limit:
            moments.popleft()
        # The clock of a host may step back; moments stay in order all the same.
        moments.append(now if not moments else max(now, moments[-1]))
        self._tables.drawn(key, window, moments[-1] + window_s)
        return True

    def kept(self, owner: str, now: float) -> Iterator[KeptWindow[float]]:
        """What still counts for an owner: moments."""
        for table, text, window in self._tables.of_owner(owner, now):
            yield KeptWindow(table, text, window.ends, tuple(window.content))

    def restore(self, owner: str, kept: Iterable[KeptWindow[float]], now: float) -> None:
        """Remember what another worker has counted. What both have counted together counts once."""
        for each in kept:
            self._tables.take_in(owner, each, now, _add_moments)


def _add_moments(here: deque[float], there: tuple[float, ...]) -> None:
    either = sorted((Counter(here) | Counter(there)).elements())
    here.clear()
    here.extend(either[-MAX_LIMIT:])


def _fits(moments: deque[float], limit: int, window_s: float, now: float) -> bool:
    return len(moments) < limit or (limit > 0 and moments[-limit] <= now - window_s)


class Distinct:
    """Different values per key: at most `limit` in any window."""

    __slots__ = ("_tables",)

    def __init__(self, max_keys: int = _MAX_KEYS, max_share: int = _MAX_SHARE) -> None:
        self._tables: CounterTables[OrderedDict[str, float]] = CounterTables(OrderedDict, max_keys, max_share)

    def take_overflows(self) -> dict[str, Overflow]:
        """By table, how often a key had to share a spare window since the last time."""
        return self._tables.take_overflows()

    def peek(self, key: CounterKey, value: str, limit: int, window_s: float, now: float) -> bool:
        """True if `value` would be within the limit. Counts nothing."""
        window = self._tables.find(key)
        if window is None:
            return limit > 0
        live = {text for text, moment in window.content.items() if moment > now - window_s}
        return value in live or len(live) < limit

    def take(self, key: CounterKey, value: str, limit: int, window_s: float, now: float) -> bool:
        """Count `value`; False (and not counted) if it would be one more than `limit`. A value that is there is free."""
        window = self._tables.open(key, now)
        seen = window.content
        while seen and next(iter(seen.values())) <= now - window_s:
            seen.popitem(last=False)
        if value not in seen and len(seen) >= min(limit, MAX_LIMIT):
            return False
        seen[value] = now
        seen.move_to_end(value)
        self._tables.drawn(key, window, now + window_s)
        return True

    def kept(self, owner: str, now: float) -> Iterator[KeptWindow[tuple[str, float]]]:
        """What still counts for an owner: values and when they were seen last."""
        for table, text, window in self._tables.of_owner(owner, now):
            yield KeptWindow(table, text, window.ends, tuple(window.content.items()))

    def restore(self, owner: str, kept: Iterable[KeptWindow[tuple[str, float]]], now: float) -> None:
        """Remember what another worker has counted."""
        for each in kept:
            self._tables.take_in(owner, each, now, _add_values)


def _add_values(here: OrderedDict[str, float], there: tuple[tuple[str, float], ...]) -> None:
    newest = dict(here)
    for value, moment in there:
        newest[value] = max(moment, newest.get(value, moment))
    here.clear()
    here.update(sorted(newest.items(), key=lambda item: item[1])[-MAX_LIMIT:])


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

    __slots__ = ("_tables",)

    def __init__(self, max_keys: int = _MAX_KEYS, max_share: int = _MAX_SHARE) -> None:
        self._tables: CounterTables[_Amounts] = CounterTables(_Amounts, max_keys, max_share)

    def take_overflows(self) -> dict[str, Overflow]:
        """By table, how often a key had to share a spare window since the last time."""
        return self._tables.take_overflows()

    def peek(self, key: CounterKey, amount: float, limit: float, window_s: float, now: float) -> bool:
        """True if `amount` would be within the limit. Adds nothing."""
        window = self._tables.find(key)
        if window is None:
            return abs(amount) <= limit
        live = sum(each for moment, each in window.content.entries if moment > now - window_s)
        return live + abs(amount) <= limit

    def take(self, key: CounterKey, amount: float, limit: float, window_s: float, now: float) -> bool:
        """Add the magnitude of `amount`; False (and not added) if the sum would exceed `limit`.

        Also False where more moments than `MAX_LIMIT` would have to be remembered.
        """
        window = self._tables.open(key, now)
        amounts = window.content
        amounts.expire(now - window_s)
        within = amounts.total + abs(amount) <= limit  # not what is no number (NaN): the sum would be none either
        if not within or len(amounts.entries) >= MAX_LIMIT:
            return False
        if amount:
            amounts.entries.append((now, abs(amount)))
            amounts.total += abs(amount)
            self._tables.drawn(key, window, now + window_s)
        return True

    def kept(self, owner: str, now: float) -> Iterator[KeptWindow[tuple[float, float]]]:
        """What still counts for an owner: moments and amounts."""
        for table, text, window in self._tables.of_owner(owner, now):
            yield KeptWindow(table, text, window.ends, tuple(window.content.entries))

    def restore(self, owner: str, kept: Iterable[KeptWindow[tuple[float, float]]], now: float) -> None:
        """Remember what another worker has counted. What both have counted together counts once."""
        for each in kept:
            self._tables.take_in(owner, each, now, _add_amounts)


def _add_amounts(here: _Amounts, there: tuple[tuple[float, float], ...]) -> None:
    either = sorted((Counter(here.entries) | Counter(there)).elements())
    here.entries = deque(either[-MAX_LIMIT:])
    here.total = sum(amount for _, amount in here.entries)
