"""The registry for an event loop: in order for whom it matters, and never in the way for the rest."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
import structlog

from gateway.control.store_thread import StoreThread
from gateway.store.errors import NotFound
from gateway.store.registry import Registry
from tests.control.conftest import record_of


@pytest.fixture
async def store(url: str):
    made = StoreThread(url)
    yield made
    await made.close()


async def test_calls_run_in_order_and_raise_what_they_raise(store: StoreThread) -> None:
    await store.call(lambda registry: registry.add(record_of()))
    order: list[int] = []
    await asyncio.gather(*(store.call(lambda _, number=number: order.append(number)) for number in range(20)))  # type: ignore[misc]
    assert order == list(range(20))
    with pytest.raises(NotFound):
        await store.call(lambda registry: registry.remove("CP-2"))


async def test_observations_are_gathered_and_written_together(store: StoreThread) -> None:
    await store.call(lambda registry: registry.add(record_of()))
    store.observe("CP-1", vendor="V", last_seen_at=1.0)
    store.observe("CP-1", last_seen_at=2.0)
    store.observe("nobody", vendor="V")
    await store.flush()
    await store.flush()
    record = await store.call(lambda registry: registry.get("CP-1"))
    assert record is not None
    assert (record.vendor, record.last_seen_at) == ("V", 2.0)


async def test_observations_that_cannot_be_written_are_lost_and_nothing_else(
    store: StoreThread, tmp_path: Path
) -> None:
    await store.call(lambda registry: registry.add(record_of()))
    with sqlite3.connect(tmp_path / "registry.sqlite") as database:
        database.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON charge_points BEGIN SELECT RAISE(FAIL, 'disk full'); END"
        )
    store.observe("CP-1", vendor="V")
    with structlog.testing.capture_logs() as logs:
        await store.flush()
    assert [(entry["event"], entry["count"]) for entry in logs] == [("observations_lost", 1)]
    assert await store.call(lambda registry: registry.get("CP-1")) is not None


async def test_what_was_observed_last_is_written_at_the_end(url: str) -> None:
    store = StoreThread(url)
    await store.call(lambda registry: registry.add(record_of()))
    store.observe("CP-1", vendor="V")
    await store.close()
    registry = Registry.open(url)
    assert (registry.get("CP-1") or record_of()).vendor == "V"
    registry.close()
