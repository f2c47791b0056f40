"""Tasks that are owned: their errors are told, and none outlives its owner."""

import asyncio

import pytest
import structlog

from gateway.link.tasks import TaskOwner


async def test_a_task_runs_and_is_forgotten_when_it_ends() -> None:
    owner = TaskOwner()

    async def work() -> int:
        return 5

    assert await owner.start(work(), "work") == 5
    await asyncio.sleep(0)
    assert owner._tasks == set()


async def test_what_a_task_raises_is_logged_with_its_name() -> None:
    owner = TaskOwner()

    async def work() -> None:
        raise LookupError("gone")

    with structlog.testing.capture_logs() as logs:
        task = owner.start(work(), "fetch")
        with pytest.raises(LookupError):
            await task
        await asyncio.sleep(0)
    assert [(entry["event"], entry["task"]) for entry in logs] == [("task_failed", "fetch")]


async def test_close_cancels_what_still_runs_and_that_is_no_error() -> None:
    owner = TaskOwner()
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    with structlog.testing.capture_logs() as logs:
        task = owner.start(work(), "forever")
        await started.wait()
        await owner.close()
        await owner.close()
    assert task.cancelled()
    assert logs == []
