"""A supervised child comes back when it dies, and stays away when it has been told to."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.app.children import Child

SAYS_READY_AND_WAITS = """
import socket
lifeline = socket.socket(fileno={fd})
lifeline.send(b'{"ready":true}')
while lifeline.recv(65536):
    pass
"""
ENDS = "raise SystemExit(3)"
IGNORES_US = "import time; time.sleep(60)"


class _Supervised:
    """A child with a script as its program, and what it said."""

    def __init__(self, script: str) -> None:
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.starts = 0
        self._script = script
        self.child = Child("tried", self._command, lambda _, message, __: self.heard.put_nowait(message))
        self.task = asyncio.get_running_loop().create_task(self.child.run())

    def _command(self, lifeline: int) -> tuple[list[str], list[int]]:
        self.starts += 1
        return [sys.executable, "-I", "-S", "-c", self._script.replace("{fd}", str(lifeline))], []

    async def hears(self, word: str) -> None:
        async with asyncio.timeout(120):
            while word not in await self.heard.get():
                pass


@pytest.fixture
async def supervise() -> AsyncIterator[Callable[[str], _Supervised]]:
    started: list[_Supervised] = []

    def start(script: str) -> _Supervised:
        started.append(_Supervised(script))
        return started[-1]

    yield start
    for one in started:
        one.child.stop()
        one.child.kill()
        await one.child.stopped(5)
        one.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await one.task


async def test_a_killed_child_is_reaped_reported_and_started_again(supervise: Callable[[str], _Supervised]) -> None:
    one = supervise(SAYS_READY_AND_WAITS)
    await one.hears("ready")
    first = one.child.pid
    os.kill(first, signal.SIGKILL)
    await one.hears("died")
    assert one.child.pid == 0
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)  # not even a zombie
    await one.hears("ready")
    assert one.child.pid not in {0, first}
    assert one.child.restarts == 1


async def test_one_that_keeps_ending_is_started_again_ever_more_slowly(
    supervise: Callable[[str], _Supervised],
) -> None:
    with capture_logs() as logs:
        one = supervise(ENDS)
        for _ in range(3):
            await one.hears("died")
    ends = [line for line in logs if line["event"] == "child_died"]
    assert [line["exit_code"] for line in ends] == [3, 3, 3]
    assert [line["restart_in_s"] for line in ends] == [0.2, 0.4, 0.8]


async def test_a_program_that_cannot_be_started_is_tried_again(supervise: Callable[[str], _Supervised]) -> None:
    one = supervise("")
    one.child._command = lambda _: (["/nowhere/at/all"], [])
    await one.hears("died")
    assert one.child.pid == 0
    one.child._command = one._command
    one._script = SAYS_READY_AND_WAITS
    await one.hears("ready")


async def test_a_retired_child_goes_on_but_is_not_started_again(supervise: Callable[[str], _Supervised]) -> None:
    one = supervise(SAYS_READY_AND_WAITS)
    await one.hears("ready")
    one.child.retire()
    assert one.child.send({"still": "there"})
    one.child.kill()
    await one.hears("died")
    await one.task
    assert (one.starts, one.child.pid) == (1, 0)


async def test_a_stop_before_the_first_start_or_between_two_starts_starts_nothing(
    supervise: Callable[[str], _Supervised],
) -> None:
    never = supervise(ENDS)
    never.child.stop()
    await never.task
    assert never.starts == 0
    once = supervise(ENDS)
    await once.hears("died")
    once.child.stop()
    await once.task
    assert once.starts == 1


async def test_a_stopped_child_ends_by_itself_because_its_lifeline_does(
    supervise: Callable[[str], _Supervised],
) -> None:
    one = supervise(SAYS_READY_AND_WAITS)
    await one.hears("ready")
    process = one.child._process
    one.child.stop()
    await one.child.stopped(15)
    assert process is not None
    assert process.returncode == 0
    assert not one.child.send({"late": True})


async def test_a_child_that_does_not_end_is_killed(supervise: Callable[[str], _Supervised]) -> None:
    one = supervise(IGNORES_US)
    async with asyncio.timeout(120):
        while not one.child.pid:
            await asyncio.sleep(0.01)
    process = one.child._process
    one.child.stop()
    await one.child.stopped(0.1)
    assert process is not None
    assert process.returncode == -signal.SIGKILL
