"""Long work of control gives way: its thread alone has a lower priority."""

import os
import sys
import threading

import pytest

from gateway.control.background import in_background


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
async def test_the_thread_of_the_work_gives_way_and_no_other() -> None:
    def priority() -> tuple[int, int]:
        return threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0)

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread, lowered = await in_background(priority)
    assert thread != threading.get_native_id()
    assert lowered == min(19, before + 5)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


async def test_what_the_work_raises_is_raised() -> None:
    def fail() -> None:
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        await in_background(fail)
