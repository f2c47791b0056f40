"""Work that takes long, done in small steps between the other work of an event loop."""

import asyncio
import time
from collections.abc import Iterator

from gateway.link.collector import freeze_survivors

__all__ = ["in_turns"]

_TURN_S = 0.001


async def in_turns(steps: Iterator[object], limit_s: float = float("inf")) -> bool:
    """Take steps until there are no more, each turn followed by as long a time for others. False if `limit_s` is over."""
    end = time.monotonic() + limit_s
    while (began := time.monotonic()) < end:
        for _ in steps:
            spent_s = time.monotonic() - began
            if spent_s > _TURN_S:
                break
        else:
            return True
        await asyncio.sleep(spent_s)
        freeze_survivors()  # or one collection would walk everything that was made
    return False
