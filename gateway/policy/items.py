"""How many items of a kind rules may read in one message: facts cost little, whatever a message is stuffed with.

An honest message is far below. Of one above it a fact has no value, rather than one that leaves something out: a rule that
restricts matches, and every rule reports it.
"""

import itertools
from collections.abc import Iterable
from typing import Final, TypeVar

from gateway.policy.cel.operations import OperationError

__all__ = ["MAX_ITEMS", "MAX_READINGS", "TooManyItems", "bounded"]

T = TypeVar("T")

MAX_ITEMS: Final = 2_000
"""As many as a comprehension may enter anyway."""
MAX_READINGS: Final = 1_500
"""And as many moments: reading those takes longer. One a minute makes 1 440 a day."""


class TooManyItems(OperationError):  # noqa: N818  names the state
    """A fact would have to look at more than it may."""


def bounded(items: Iterable[T], limit: int, what: str) -> list[T]:
    """The items as a list; an iterator is read no further than needed. Raises TooManyItems."""
    found = list(itertools.islice(items, limit + 1))
    if len(found) > limit:
        raise TooManyItems(f"more than {limit} {what}")
    return found
