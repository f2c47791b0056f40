"""Messages that are refused again and again for the same reason: the first of them stand in the log, the others are counted.

Like events (`gateway.audit.throttle`), so that nobody fills a disk, or buries a record, by repeating what is refused anyway.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

__all__ = ["Crowd"]

WINDOW_S: Final = 10.0
_SINGLY: Final = 12
_MAX_KINDS: Final = 20_000


class Crowd:
    """Time comes in as seconds of any clock that does not jump."""

    def __init__(self) -> None:
        self._windows: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        """By kind of message: when its window began, and how many of it stand by themselves. The oldest first."""

    def has_room(self, kind: Hashable, now: float) -> bool:
        """True if one more of this kind is to stand by itself: a dozen in ten seconds."""
        self._forget(now)
        began, told = self._windows.get(kind, (now, 0))
        if told >= _SINGLY:
            return False
        if told or len(self._windows) < _MAX_KINDS:
            self._windows[kind] = (began, told + 1)
        return True

    def _forget(self, now: float) -> None:
        while self._windows:
            kind, (began, _) = next(iter(self._windows.items()))
            if now - began < WINDOW_S:
                return
            del self._windows[kind]
