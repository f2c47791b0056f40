"""In which shape a charge point is sent its chain, by what its kind has taken, and the next one where it says no. Pure.

Vendors disagree whether the root belongs to it, or nothing but the certificate itself. A "no" does not say why, and after one a
charge point waits for a certificate no more (A02.FR.20). So it is asked for another request, and what comes of that is sent in
the next shape, until there is none left.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from gateway.provisioning.enrolment import Enrolment, turned_down_with
from gateway.provisioning.states import State

__all__ = ["MAX_ROWS", "SHAPES", "Shape", "shapes_in_order", "shapes_left"]

Shape = Literal["leaf+subs", "+root", "leaf"]
SHAPES: Final[tuple[Shape, ...]] = ("leaf+subs", "+root", "leaf")
MAX_ROWS: Final = 8
"""So many rows of a charge point say with what it was tried."""
_ENOUGH: Final = 3
"""So often all of a kind must have said no before what an operator has configured is not tried first."""


def shapes_in_order(
    lengths: Mapping[Shape, int], facts: Mapping[str, Mapping[str, int]], configured: Shape
) -> tuple[Shape, ...]:
    """The first is to be tried first; those that come out as the same chain only once.

    `lengths`: certificates in each shape that this chain can be given. `facts`: of the charge point's kind, as `tallied` has them.
    A kind is what a charge point says of itself: it changes what is tried first, and never what is tried.
    """
    preferred = sorted(lengths, key=lambda shape: (shape != configured, SHAPES.index(shape)))
    different = list({lengths[shape]: shape for shape in reversed(preferred)}.values())
    different.sort(key=preferred.index)
    return tuple(sorted(different, key=lambda shape: _rank(facts.get(_fact(lengths[shape]), {}))))


def shapes_left(ordered: Sequence[Shape], lengths: Mapping[Shape, int], rows: Iterable[Enrolment]) -> tuple[Shape, ...]:
    """Those that it has not turned down since it was told to ask; where none is left, the last one.

    `rows`: the newest first, and that is the present one. They say what was tried: the order may have become another since.
    """
    tried: set[int | None] = set()
    for row in list(rows)[1:]:
        if row.state is not State.SUPERSEDED:
            break
        tried.add(turned_down_with(row))
    return tuple(shape for shape in ordered if lengths[shape] not in tried) or tuple(ordered[-1:])


def _rank(values: Mapping[str, int]) -> int:
    """What was taken comes first, and what was only ever turned down comes last."""
    if values.get("Accepted", 0):
        return 0
    return 2 if values.get("Rejected", 0) >= _ENOUGH else 1


def _fact(certificates: int) -> str:
    """As `gateway.control.capabilities` names it."""
    return f"call:CertificateSigned chain of {certificates}"
