"""What another node has written about a charge point takes the place of what this one knows, if it is later."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from gateway.ocpp.vocabulary import ChargePointId

__all__ = ["Row", "news"]


class Row(Protocol):
    """Of a table that nodes write in turn (`gateway.store.taking_turns`)."""

    @property
    def charge_point_id(self) -> ChargePointId:
        """Whose."""

    @property
    def number(self) -> int:
        """Grows from row to row of a charge point."""

    @property
    def revision(self) -> int:
        """Grows whenever the row is written."""


_R = TypeVar("_R", bound=Row)


async def news(
    found: Iterable[_R],
    known: Callable[[ChargePointId], _R | None],
    lock: Callable[[ChargePointId], AbstractAsyncContextManager[Any]],
    keep: Callable[[_R], None],
) -> list[_R]:
    """Keep those of the rows that are later than what is known; gives them back.

    One at a time under the lock of its charge point: what this node is writing at the moment is known before it is compared.
    """
    later = []
    for each in found:
        async with lock(each.charge_point_id):
            before = known(each.charge_point_id)
            if before is None or (each.number, each.revision) > (before.number, before.revision):
                keep(each)
                later.append(each)
    return later
