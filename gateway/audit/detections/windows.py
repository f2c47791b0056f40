"""Recent things by key, bounded in every direction: keys, things per key, and time."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from gateway.audit.detections.model import MICROSECONDS

__all__ = ["MAX_MARKS", "Mark", "Recent", "Windows"]

_MAX_KEYS: Final = 20_000
MAX_MARKS: Final = 256
"""Things of one key."""
_V = TypeVar("_V")


class Mark(msgspec.Struct, frozen=True, gc=False):
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

    def forget(self, key: str) -> None:
        """What was put is not kept any longer."""
        self._items.pop(key, None)


class Windows:
    """Marks by key. A clock that steps back ends what is in the future of it."""

    def __init__(self, max_keys: int = _MAX_KEYS) -> None:
        self._marks: Recent[Mark | tuple[Mark, ...]] = Recent(max_keys)
        """Most hold one mark: it stands there without anything around it."""

    def add(self, key: str, mark: Mark, window_s: float) -> Sequence[Mark]:
        """Add a mark; returns all of that key that are at most `window_s` away from it, the oldest first."""
        marks = (*self._all(key), mark)[-MAX_MARKS:]
        window_us, first = window_s * MICROSECONDS, 0
        while abs(mark.ts_us - marks[first].ts_us) > window_us:
            first += 1
        marks = marks[first:]
        self._marks.put(key, marks if len(marks) > 1 else mark)
        return marks

    def near(self, key: str, mark: Mark, window_s: float) -> Sequence[Mark]:
        """The marks of a key that are at most `window_s` away from this one, which is not added."""
        window_us = window_s * MICROSECONDS
        return [each for each in self._all(key) if abs(mark.ts_us - each.ts_us) <= window_us]

    def drop(self, key: str, which: Callable[[Mark], bool]) -> None:
        """Forget marks of a key."""
        marks = self._all(key)
        left = tuple(mark for mark in marks if not which(mark))
        if not left:
            self._marks.forget(key)
        elif len(left) < len(marks):
            self._marks.put(key, left if len(left) > 1 else left[0])

    def _all(self, key: str) -> tuple[Mark, ...]:
        marks = self._marks.get(key)
        if marks is None:
            return ()
        return marks if isinstance(marks, tuple) else (marks,)
