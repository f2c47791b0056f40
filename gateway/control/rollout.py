"""How other settings come into force at the edges: all of them can use them, or nothing changes."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from gateway.control.link_server import EdgeLink
from gateway.link.messages import EdgeSettings, SettingsUpdate

__all__ = ["try_out"]

_TRY_S: Final = 10.0


async def try_out(settings: EdgeSettings, links: Mapping[int, EdgeLink]) -> str:
    """Give settings to every edge, also to one that comes meanwhile; empty if at least one is there and all apply.

    Else why not. `links`: by slot; changes while this waits.
    """
    tried: set[EdgeLink] = set()
    deadline = time.monotonic() + _TRY_S
    while time.monotonic() < deadline:
        present = list(links.values())
        for link in present:
            if link not in tried:
                tried.add(link)
                link.send(SettingsUpdate(settings))
        applied = [link for link in present if link.applied_generation == settings.generation]
        for link in applied:
            if link.settings_error:
                return link.settings_error
        if present and len(applied) == len(present):
            return ""
        await asyncio.sleep(0.02)
    return "an edge worker does not answer" if links else "no edge worker is there to try it"
