"""Limits per source address before anything is known about the peer. Pure: time is an argument.

An IPv6 /64 is one source, as whoever has one such address has all of them (`source_of`).
"""

from collections import OrderedDict

from gateway.identity.guessing import source_of

__all__ = ["SourceLimits"]

_MAX_SOURCES = 65_536


class _Source:
    __slots__ = ("connects", "handshakes", "refilled_at")

    def __init__(self, burst: float, now: float) -> None:
        self.handshakes = 0
        self.connects = burst
        self.refilled_at = now


class SourceLimits:
    """Counts open handshakes and paces new connections, per source and in all.

    At most 65 536 sources are remembered; the longest unused one without open handshakes is forgotten first, which
    gives it a full budget again: an attacker with that many sources is stopped by `max_handshakes`, not by this.
    """

    def __init__(self, max_handshakes: int, handshakes_per_address: int, connects_per_minute: int) -> None:
        self.max_handshakes = max_handshakes
        self.handshakes_per_address = handshakes_per_address
        self.connects_per_minute = connects_per_minute
        self.handshakes = 0
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def _source(self, address: str, now: float) -> _Source:
        address = source_of(address)
        source = self._sources.get(address)
        if source is None:
            if len(self._sources) >= _MAX_SOURCES:
                self._forget_one()
            source = self._sources[address] = _Source(float(self.connects_per_minute), now)
        else:
            self._sources.move_to_end(address)
        return source

    def _forget_one(self) -> None:
        for address, source in self._sources.items():
            if not source.handshakes:
                del self._sources[address]
                return

    def may_connect(self, address: str, now: float) -> bool:
        """False if this address connects too often; each True uses up one connection."""
        source = self._source(address, now)
        rate_per_s = self.connects_per_minute / 60.0
        gained = (now - source.refilled_at) * rate_per_s
        source.connects = min(float(self.connects_per_minute), source.connects + gained)
        source.refilled_at = now
        if source.connects < 1.0:
            return False
        source.connects -= 1.0
        return True

    def begin_handshake(self, address: str, now: float) -> bool:
        """False if too many handshakes are open; after True, `end_handshake` must follow once."""
        source = self._source(address, now)
        if self.handshakes >= self.max_handshakes or source.handshakes >= self.handshakes_per_address:
            return False
        self.handshakes += 1
        source.handshakes += 1
        return True

    def end_handshake(self, address: str) -> None:
        """The handshake that `begin_handshake` counted is over, admitted or not."""
        self.handshakes -= 1
        source = self._sources.get(source_of(address))
        if source is not None:
            source.handshakes -= 1
