"""One supervised child process: start, lifeline, restart with back-off, stop."""

import asyncio
import subprocess
import time
from collections.abc import Callable
from typing import Any

import structlog

from gateway.app.lifeline import Lifeline, lifeline_pair

__all__ = ["Child"]

_FIRST_DELAY_S = 0.2
_MAX_DELAY_S = 5.0
_HEALTHY_AFTER_S = 30.0
_END_S = 5.0
_log = structlog.get_logger("supervisor.child")

OnMessage = Callable[["Child", dict[str, Any], list[int]], None]


class Child:
    """Keeps one command running until stopped.

    `command(lifeline_fd)` gives the arguments and the descriptors to inherit, asked anew for each start.
    `on_message` gets what it says, with descriptors that are then the receiver's; ``{"died": True}`` is its end.
    """

    def __init__(self, name: str, command: Callable[[int], tuple[list[str], list[int]]], on_message: OnMessage) -> None:
        self.name = name
        self.ready = False
        self.restarts = 0
        self._command = command
        self._on_message = on_message
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = Lifeline()
        self._stopping = False
        self._delay_s = _FIRST_DELAY_S

    @property
    def pid(self) -> int:
        """Process id, 0 while it is not running."""
        return self._process.pid if self._process is not None else 0

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> bool:
        """Tell the child something. False if it is not running."""
        return self._lifeline.send(message, descriptors)

    async def run(self) -> None:
        """Start, and start again, until `retire` or `stop`."""
        while not self._stopping:
            await self._live_and_rest()

    async def _live_and_rest(self) -> None:
        started = time.monotonic()
        code = await self._live()
        self.ready = False
        self._on_message(self, {"died": True}, [])
        if self._stopping:
            return
        if time.monotonic() - started > _HEALTHY_AFTER_S:
            self._delay_s = _FIRST_DELAY_S
        _log.error("child_died", child=self.name, exit_code=code, restart_in_s=self._delay_s)
        await asyncio.sleep(self._delay_s)
        self._delay_s = min(self._delay_s * 2, _MAX_DELAY_S)
        self.restarts += 1

    async def _live(self) -> int | None:
        """One life of the process; its exit code, None if it could not even be started."""
        gone = asyncio.Event()
        try:
            self._start(gone)
        except (OSError, subprocess.SubprocessError) as error:
            _log.error("child_not_started", child=self.name, error=str(error))
            return None
        await gone.wait()
        return await asyncio.to_thread(self._reap)

    def _start(self, gone: asyncio.Event) -> None:
        ours, theirs = lifeline_pair()
        arguments, descriptors = self._command(theirs.fileno())
        try:
            # A group of its own: Ctrl-C in a terminal is for the supervisor, which drains; see also `Lifeline`.
            self._process = subprocess.Popen(  # noqa: S603  our own executable
                arguments, pass_fds=[theirs.fileno(), *descriptors], process_group=0
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._lifeline = Lifeline()
        self._lifeline.start(
            asyncio.get_running_loop(), ours, lambda message, fds: self._on_message(self, message, fds), gone.set
        )

    def _reap(self) -> int | None:
        """The exit code; a child that lets go of its lifeline but does not end is killed."""
        process = self._process
        if process is None:
            return None
        try:
            code = process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._process = None
        return code

    def kill(self) -> None:
        """End it at once; it is started again."""
        process = self._process
        if process is not None:
            process.kill()

    def retire(self) -> None:
        """Leave it running, but do not start it again when it ends."""
        self._stopping = True

    def stop(self) -> None:
        """Let go of the lifeline; the child ends by itself."""
        self._stopping = True
        self._lifeline.close()

    async def stopped(self, timeout_s: float) -> None:
        """Wait for the end, then make sure."""
        process = self._process
        if process is None:
            return
        try:
            await asyncio.to_thread(process.wait, timeout_s)
        except subprocess.TimeoutExpired:
            _log.warning("child_killed", child=self.name)
            process.kill()
            await asyncio.to_thread(process.wait)
