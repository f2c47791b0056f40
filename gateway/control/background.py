"""Work of control that takes seconds of CPU time, such as checking a thousand rules: in a thread that gives way to others."""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

__all__ = ["in_background", "step_back"]

_NICE: Final = 5
"""An edge on the same core gets three times as much of it, and does not wait when it has something to do."""
_T = TypeVar("_T")


def step_back() -> None:
    """Lower the priority of this thread only: on Linux each has its own. For good, as raising it takes a privilege."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)


async def in_background(work: Callable[[], _T]) -> _T:
    """Run `work` in a thread made for it. Raises what it raises."""
    executor = ThreadPoolExecutor(1, "background", initializer=step_back)
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, work)
    finally:
        executor.shutdown(wait=False)
