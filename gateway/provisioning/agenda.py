"""Which of many keys are due, without a look at the others. Pure: whoever asks says what time it is."""

import heapq
import math
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

__all__ = ["NEVER", "Agenda"]

NEVER: Final = math.inf
"""When something is due that time alone does not bring about."""
_MAX_STALE: Final = 64
"""Entries of the heap that count no more, over as many as count, before it is made anew."""
_K = TypeVar("_K")


class Agenda(Generic[_K]):
    """One time for each key, in seconds since the epoch. All operations take O(log n), counted over many of them."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _K]] = []
        self._entries: dict[_K, tuple[float, int, _K]] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._entries)

    def at(self, key: _K) -> float:
        """When it is due; NEVER if it is not on the agenda."""
        entry = self._entries.get(key)
        return NEVER if entry is None else entry[0]

    def put(self, key: _K, at: float) -> None:
        """It is due at this time, and at no other. NEVER takes it off the agenda."""
        if at == NEVER:
            self.drop(key)
            return
        heapq.heappush(self._heap, self._entry(key, at))
        self._tidy()

    def drop(self, key: _K) -> None:
        """It is not due any more."""
        if self._entries.pop(key, None) is not None:
            self._tidy()

    def take(self, now: float) -> _K | None:
        """The one that has been due for longest, which is off the agenda now; None if nothing is due."""
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            key = entry[2]
            if self._entries.get(key) is entry:
                del self._entries[key]
                return key
        return None

    def bring_forward(self, keys: Iterable[_K], at: float) -> None:
        """Each of these is due at this time, or earlier if it is so already. O(n)."""
        for key in keys:
            self._entry(key, min(self.at(key), at))
        self._renew()

    def bring_all_forward(self, at: float) -> None:
        """What is on the agenda is due at this time, or earlier if it is so already. O(n)."""
        self.bring_forward(list(self._entries), at)

    def _entry(self, key: _K, at: float) -> tuple[float, int, _K]:
        """Kept at the end, whatever there was before: of two that are due at once the one that was put first comes first."""
        self._entries.pop(key, None)
        self._number += 1
        entry = self._entries[key] = (at, self._number, key)
        return entry

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + _MAX_STALE:
            self._renew()

    def _renew(self) -> None:
        self._heap = list(self._entries.values())
        heapq.heapify(self._heap)
