"""Names of this machine's users, for who cannot wait: a directory of users elsewhere (LDAP) may answer late, or never."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.control.accounts import in_numbers, user_name

__all__ = ["AccountNames"]

_PATIENCE_S: Final = 2.0


class AccountNames:
    """Lives on an event loop. Each look-up has a daemon thread, so that none holds up other work, or the end of the process."""

    def __init__(self, look_up: Callable[[int], str] = user_name, patience_s: float = _PATIENCE_S) -> None:
        self._look_up = look_up
        self._patience_s = patience_s
        self._open: dict[int, asyncio.Future[str]] = {}
        """By number of the user. One that hangs is waited for again, never asked about twice: threads do not pile up."""

    async def of(self, uids: Iterable[int]) -> Mapping[int, str]:
        """By number; ``user 4711`` where the name is not known in time."""
        asked = {uid: self._ask(uid) for uid in uids}
        if asked:
            await asyncio.wait(asked.values(), timeout=self._patience_s)
        return {uid: answer.result() if answer.done() else in_numbers(uid) for uid, answer in asked.items()}

    def _ask(self, uid: int) -> "asyncio.Future[str]":
        if uid not in self._open:
            loop = asyncio.get_running_loop()
            self._open[uid] = loop.create_future()
            threading.Thread(target=self._run, args=(loop, uid), name=f"user-{uid}", daemon=True).start()
        return self._open[uid]

    def _run(self, loop: asyncio.AbstractEventLoop, uid: int) -> None:
        name = self._look_up(uid)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._known, uid, name)

    def _known(self, uid: int, name: str) -> None:
        self._open.pop(uid).set_result(name)
