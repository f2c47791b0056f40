"""Reads rows of which somebody may have edited one into nonsense: it costs that one, and not all others."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from gateway.store.errors import DamagedRow

__all__ = ["OnDamage", "sound_rows"]

OnDamage = Callable[[DamagedRow], None]
_T = TypeVar("_T")


def sound_rows(
    rows: Iterable[Mapping[Any, Any]], read: Callable[[Any], _T], on_damage: OnDamage | None = None
) -> list[_T]:
    """What `read` makes of each. One that is damaged is told to `on_damage` and left out; without it raises DamagedRow."""
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except DamagedRow as error:
            if on_damage is None:
                raise
            on_damage(error)
    return found
