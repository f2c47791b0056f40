"""Lets credentials and certificates go on once the audit log has what was reported about them."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

__all__ = ["RecordGate"]

_AGAIN_S: Final = 5.0
"""A log that could not be written is not asked by each charge point every second."""
_log = structlog.get_logger("control.record_gate")


class RecordGate:
    """One per node. `may_happen`: what was reported is in the log for good, or need not be; bounded in time.

    Whoever finds it shut changes nothing, uses up no attempt and comes again: work that waits for a disk is not lost.
    """

    def __init__(self, may_happen: Callable[[], Awaitable[bool]], clock: Callable[[], float] = time.monotonic) -> None:
        self._may_happen = may_happen
        self._clock = clock
        self._shut_until = -1.0
        self._is_shut = False

    async def is_open(self) -> bool:
        """True if everything that was reported before this call is durable, or the failure mode does without."""
        if self._clock() < self._shut_until:
            return False
        if await self._may_happen():
            self._is_shut = False
            return True
        self._shut_until = self._clock() + _AGAIN_S
        if not self._is_shut:
            _log.error("credentials_wait_for_audit_log")
        self._is_shut = True
        return False
