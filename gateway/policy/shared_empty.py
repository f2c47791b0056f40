"""An empty table that all sessions share. Pure.

An idle session has no use for tables of its own. What one wrote into the shared one would be seen in all others: it cannot
be written.
"""

from typing import Any, NoReturn, TypeVar

__all__ = ["SharedEmpty"]

_K = TypeVar("_K")
_V = TypeVar("_V")


class SharedEmpty(dict[_K, _V]):
    """Reads like a dict that is empty. Whatever would put something into it raises TypeError."""

    __slots__ = ()

    def __setitem__(self, key: _K, value: _V) -> NoReturn:
        raise TypeError("all sessions share this: give the session a table of its own first")

    def setdefault(self, *_: Any) -> NoReturn:
        """Raises TypeError."""
        raise TypeError("all sessions share this")

    def update(self, *_: Any, **__: Any) -> NoReturn:
        """Raises TypeError."""
        raise TypeError("all sessions share this")

    def __ior__(self, other: Any) -> NoReturn:  # type: ignore[misc]
        raise TypeError("all sessions share this")
