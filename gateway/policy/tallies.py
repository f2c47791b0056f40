"""How often rules were asked and could not say: a rule that errs in more than one of a hundred evaluations is degraded.

An evaluation is a message whose conditions were looked at; one that the bytes alone had ruled out is none. Pure.
"""

from typing import Final

import msgspec

__all__ = ["RuleTally", "Tally", "is_degraded"]

_MOST_ERRORS_OF_HUNDRED: Final = 1
_FEWEST_ERRORS: Final = 3
"""Before so many nothing is said: the first message of all may be an odd one, and each error has its own event."""
_HUNDRED: Final = 100


class Tally:
    """Of one rule, since its snapshot was made."""

    __slots__ = ("errors", "evaluations")

    def __init__(self) -> None:
        self.evaluations = 0
        self.errors = 0


class RuleTally(msgspec.Struct, frozen=True, array_like=True):
    """What one edge worker has counted of one rule since it last told."""

    rule: str
    evaluations: int = 0
    errors: int = 0
    overflows: int = 0
    """How often a key of its counter had to share a spare window (`gateway.policy.counter_table`)."""
    overflow_owner: str = ""
    """The charge point whose key it was the last time."""


def is_degraded(evaluations: int, errors: int) -> bool:
    """Whether a rule errs so often that it has to be mended."""
    return errors >= _FEWEST_ERRORS and errors * _HUNDRED > evaluations * _MOST_ERRORS_OF_HUNDRED
