"""Failure mode ``block``: what cannot be recorded is not relayed. Sessions end when the audit log cannot be written."""

import time
from collections.abc import Callable
from typing import ClassVar, Final

from typing_extensions import override

from gateway.config.model import Config
from gateway.control.part import NodePart
from gateway.control.sessions import Sessions
from gateway.link.messages import Disconnect

__all__ = ["UnrecordedTraffic"]

_WHY: Final = "the audit log cannot be written"


class UnrecordedTraffic(NodePart):
    """`may_relay`: can what sessions say be recorded, or may they say it all the same? `clock`: monotonic seconds.

    A moment without a log ends nobody: records wait in memory for as long as a dangerous command would wait for its own.
    """

    name: ClassVar[str] = "unrecorded_traffic"
    tick_every_s: ClassVar[float] = 0.5

    def __init__(
        self,
        sessions: Sessions,
        may_relay: Callable[[], bool],
        report: Callable[..., None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._may_relay = may_relay
        self._report = report
        self._clock = clock
        self._patience_s = 0.0
        self._since: float | None = None
        """When it was first seen that nothing can be recorded; None while it can."""
        self._told: set[str] = set()
        """Sessions that were ended for it."""

    @override
    def use(self, config: Config) -> None:
        self._patience_s = config.audit.record_timeout_s

    @override
    async def tick(self) -> None:
        if self._may_relay():
            self._since, self._told = None, set()
            return
        now = self._clock()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._patience_s:
            self._end_sessions()

    def _end_sessions(self) -> None:
        ended = 0
        for entry in self._sessions:
            if entry.edge is not None and entry.session not in self._told:
                self._told.add(entry.session)
                entry.edge.tell_disconnect(Disconnect(entry.session, _WHY, "unrecorded"))
                ended += 1
        if ended:
            self._report("audit.sessions_ended", "critical", "disconnect", f"{ended} sessions end: {_WHY} (block)")
