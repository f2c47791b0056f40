"""The registry for an event loop: one thread for what somebody waits for, one for what nobody waits for.

What admissions read and write stays in order in one thread. Observations and refusals are gathered and written in
batches in the other one, so that a database locked by somebody else delays an admission by its own write only.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from gateway.store.errors import StoreError
from gateway.store.registry import Registry

__all__ = ["StoreThread"]

_T = TypeVar("_T")
_log = structlog.get_logger("control.store")


class StoreThread:
    """Asynchronous access to a Registry."""

    def __init__(self, url: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._later = ThreadPoolExecutor(1, thread_name_prefix="store-later")
        self._registry: Registry = self._pool.submit(Registry.open, url).result()
        self._observed: dict[str, dict[str, Any]] = {}

    @property
    def is_shared(self) -> bool:
        """True where other nodes may use the database too."""
        return self._registry.database.is_shared

    async def call(self, function: Callable[[Registry], _T]) -> _T:
        """Run `function` with the registry, in order. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, self._registry)

    async def call_later(self, function: Callable[[Registry], _T]) -> _T:
        """The same for housekeeping, beside `call` and in order among itself."""
        return await asyncio.get_running_loop().run_in_executor(self._later, function, self._registry)

    def observe(self, charge_point_id: str, **fields: Any) -> None:
        """Remember an observation for the next `flush`."""
        self._observed.setdefault(charge_point_id, {}).update(fields)

    async def flush(self) -> None:
        """Write what was observed. A locked or full database costs observations, nothing else."""
        if not self._observed:
            return
        observed, self._observed = self._observed, {}
        try:
            await self.call_later(lambda registry: registry.learn_many(observed))
        except StoreError as error:
            _log.warning("observations_lost", count=len(observed), error=str(error))

    async def close(self) -> None:
        """Write what is left and close the database."""
        await self.flush()
        self._later.shutdown()
        await self.call(lambda registry: registry.close())
        self._pool.shutdown()
