"""Rates and distinct counts in bounded memory. Pure: time is an argument.

`Rates` is GCRA: one number a key. `Distinct` counts different values in a sliding window. Keys belong to a rule and its
parameters, so a reload that does not touch a limit does not reset it. When a table is full, new keys share one
overflow slot: an attacker with ever new keys shares a budget with himself, and `overflowed` says so.
"""

from collections import OrderedDict

__all__ = ["Distinct", "Rates", "Sum"]

_OVERFLOW = "\0overflow"


class Rates:
    """GCRA per key: `limit` events per `window_s`, all of them at once if need be."""

    __slots__ = ("_max_keys", "_tat", "overflowed")

    def __init__(self, max_keys: int = 65_536) -> None:
        self._max_keys = max_keys
        self._tat: OrderedDict[str, float] = OrderedDict()
        """Theoretical arrival time of the next event, by key."""
        self.overflowed = 0

    def _slot(self, key: str, now: float) -> str:
        if key in self._tat or len(self._tat) < self._max_keys:
            return key
        oldest, tat = next(iter(self._tat.items()))
        if tat <= now:
            del self._tat[oldest]
            return key
        self.overflowed += 1
        return _OVERFLOW

    def peek(self, key: str, limit: int, window_s: float, now: float) -> bool:
        """True if one more event now would be within the limit. Consumes nothing."""
        slot = key if key in self._tat or len(self._tat) < self._max_keys else _OVERFLOW
        return max(self._tat.get(slot, 0.0), now) - now <= window_s - window_s / limit + 1e-9

    def take(self, key: str, limit: int, window_s: float, now: float) -> bool:
        """Consume one event; False (and nothing consumed) if it is above the limit."""
        slot = self._slot(key, now)
        interval = window_s / limit
        tat = max(self._tat.get(slot, 0.0), now)
        if tat - now > window_s - interval + 1e-9:
            return False
        self._tat[slot] = tat + interval
        self._tat.move_to_end(slot)
        return True


class Distinct:
    """Different values per key within the last `window_s` seconds."""

    __slots__ = ("_max_keys", "_max_values", "_seen", "overflowed")

    def __init__(self, max_keys: int = 4_096, max_values: int = 4_096) -> None:
        self._max_keys, self._max_values = max_keys, max_values
        self._seen: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        self.overflowed = 0

    def _window(self, key: str, window_s: float, now: float) -> OrderedDict[str, float]:
        if key not in self._seen and len(self._seen) >= self._max_keys:
            self._seen.popitem(last=False)
            self.overflowed += 1
        seen = self._seen.setdefault(key, OrderedDict())
        self._seen.move_to_end(key)
        while seen and next(iter(seen.values())) <= now - window_s:
            seen.popitem(last=False)
        return seen

    def count(self, key: str, window_s: float, now: float) -> int:
        """How many different values there are."""
        return len(self._window(key, window_s, now))

    def take(self, key: str, value: str, limit: int, window_s: float, now: float) -> bool:
        """Count `value`; False (and not counted) if it would be one more than `limit`. A value that is there is free."""
        seen = self._window(key, window_s, now)
        if value not in seen and (len(seen) >= limit or len(seen) >= self._max_values):
            return False
        seen[value] = now
        seen.move_to_end(value)
        return True


class Sum:
    """A sliding sum per key: how much has been moved within the last `window_s` seconds (kW swing)."""

    __slots__ = ("_entries", "_max_entries", "_max_keys", "_totals")

    def __init__(self, max_keys: int = 4_096, max_entries: int = 16_384) -> None:
        self._max_keys, self._max_entries = max_keys, max_entries
        self._entries: OrderedDict[str, list[tuple[float, float]]] = OrderedDict()
        self._totals: dict[str, float] = {}

    def _expire(self, key: str, window_s: float, now: float) -> float:
        entries = self._entries.get(key)
        if entries is None:
            return 0.0
        kept = [entry for entry in entries if entry[0] > now - window_s]
        if len(kept) != len(entries):
            self._entries[key] = kept
            self._totals[key] = sum(amount for _, amount in kept)
        return self._totals.get(key, 0.0)

    def take(self, key: str, amount: float, limit: float, window_s: float, now: float) -> bool:
        """Add `amount`; False (and not added) if the sum would exceed `limit`, or too much is already remembered."""
        total = self._expire(key, window_s, now)
        entries = self._entries.setdefault(key, [])
        self._entries.move_to_end(key)
        if total + amount > limit or len(entries) >= self._max_entries:
            return False
        entries.append((now, amount))
        self._totals[key] = total + amount
        if len(self._entries) > self._max_keys:
            forgotten, _ = self._entries.popitem(last=False)
            self._totals.pop(forgotten, None)
        return True
