"""What workers remember of charge points, between one session and the next, which may be at another worker. Bounded, in memory.

A worker that has it still is told nothing. Where an old session ends only after the new one was granted (a dead connection that was
replaced), what it tells goes on at once.
"""

from collections import OrderedDict
from typing import Final

from gateway.control.link_server import EdgeLink
from gateway.link.policy_counts import CountersKept
from gateway.ocpp.vocabulary import ChargePointId

__all__ = ["RememberedCounters"]

_MAX_BYTES: Final = 64 * 1024 * 1024
_COST_BYTES: Final = 400
"""Of one, beside what it holds."""


class RememberedCounters:
    """By charge point, the one that was told longest ago first."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[ChargePointId, tuple[EdgeLink, CountersKept]] = OrderedDict()
        self._at: dict[ChargePointId, EdgeLink] = {}
        """Where a charge point was admitted last."""

    def keep(self, link: EdgeLink, message: CountersKept) -> None:
        """A session at this worker has ended."""
        identity = message.charge_point_id
        if not message.kept:
            if self._at.get(identity) is link:  # else an old session has ended late, and says nothing of the newer one
                self._forget(identity)
            return
        self._forget(identity)
        self._kept[identity] = link, message
        self._bytes += len(message.kept) + _COST_BYTES
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._kept)))
        now_at = self._at.get(identity)
        if now_at is not None and now_at is not link:
            now_at.send(message)

    def bring(self, link: EdgeLink, identity: ChargePointId, now: float) -> None:
        """A session is about to begin at this worker: it is told what another one has told. `now`: since the epoch."""
        self._at[identity] = link
        source, message = self._kept.get(identity, (link, None))
        if message is not None and message.until <= now:
            self._forget(identity)
        elif message is not None and source is not link:
            link.send(message)

    def _forget(self, identity: ChargePointId) -> None:
        known = self._kept.pop(identity, None)
        if known is not None:
            self._bytes -= len(known[1].kept) + _COST_BYTES
