"""Recent things by key, bounded in every direction: keys, things per key, and time."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from gateway.audit.detections.model import MICROSECONDS

__all__ = ["Mark", "Recent", "Windows"]

_MAX_KEYS: Final = 20_000
_MAX_MARKS: Final = 256
_V = TypeVar("_V")


class Mark(msgspec.Struct, frozen=True):
    """One record in a window."""

    ts_us: int
    place: str
    value: str = ""
    count: int = 1


class Recent(Generic[_V]):
    """A map that forgets the key not used for longest."""

    def __init__(self, max_keys: int = _MAX_KEYS) -> None:
        self._items: OrderedDict[str, _V] = OrderedDict()
        self._max_keys = max_keys

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> _V | None:
        """What was put; asking counts as use."""
        if key in self._items:
            self._items.move_to_end(key)
        return self._items.get(key)

    def put(self, key: str, value: _V) -> None:
        """Keep a value."""
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > self._max_keys:
            self._items.popitem(last=False)


class Windows:
    """Marks by key. A clock that steps back ends what is in the future of it."""

    def __init__(self, max_keys: int = _MAX_KEYS) -> None:
        self._marks: Recent[list[Mark]] = Recent(max_keys)
        """Lists: most hold one mark or two, and an empty deque alone takes 600 bytes."""

    def add(self, key: str, mark: Mark, window_s: float) -> Sequence[Mark]:
        """Add a mark; returns all of that key that are at most `window_s` away from it, the oldest first."""
        marks = self._marks.get(key)
        if marks is None:
            marks = []
            self._marks.put(key, marks)
        marks.append(mark)
        window_us = window_s * MICROSECONDS
        first = max(0, len(marks) - _MAX_MARKS)
        while abs(mark.ts_us - marks[first].ts_us) > window_us:
            first += 1
        del marks[:first]
        return marks

    def drop(self, key: str, which: Callable[[Mark], bool]) -> None:
        """Forget marks of a key."""
        marks = self._marks.get(key)
        if marks is not None and any(map(which, marks)):
            self._marks.put(key, [mark for mark in marks if not which(mark)])
