"""In whose name something is done just now: so that every record of it can say so, whoever makes it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from gateway.audit.event import Actor

__all__ = ["acting_for", "who_acts"]

_acting: Final[ContextVar[tuple[Actor, "asyncio.Task[Any] | None"] | None]] = ContextVar("acting", default=None)


@contextmanager
def acting_for(actor: Actor) -> Iterator[None]:
    """What this task does meanwhile is done for him. What other tasks do later is the gateway's own, also those it starts."""
    token = _acting.set((actor, asyncio.current_task()))
    try:
        yield
    finally:
        _acting.reset(token)


def who_acts() -> Actor | None:
    """Somebody for whom this task does something; None for the gateway itself."""
    acting = _acting.get()
    if acting is None:
        return None
    actor, task = acting
    return actor if task is asyncio.current_task() else None
