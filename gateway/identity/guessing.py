"""Limits guessing without letting anybody lock out the real charge point. Pure: time is an argument.

Only failures are counted: per source address, and per identity over all addresses that never proved it. An address
from which the identity has proven itself is exempt, for that identity, from both limits, and a password that is
already known good is never even asked about here. So somebody who hammers an identity, from elsewhere or from behind
the same address translation, uses up budgets that the real charge point does not draw from.
"""

from collections import OrderedDict

__all__ = ["GuessingLimiter"]

_MAX_ENTRIES = 65_536
_MAX_EXEMPT_FAILURES = 100


class _Buckets:
    """Token buckets in a bounded map; when it is full the least recently used key starts afresh, which favours peers."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def tokens(self, key: str, now: float) -> float:
        known = self._buckets.get(key)
        if known is None:
            return float(self.per_minute)
        tokens, at = known
        return min(float(self.per_minute), tokens + (now - at) * self.per_minute / 60.0)

    def take(self, key: str, now: float) -> None:
        tokens = max(0.0, self.tokens(key, now) - 1.0)
        if key not in self._buckets and len(self._buckets) >= _MAX_ENTRIES:
            self._buckets.popitem(last=False)
        self._buckets[key] = (tokens, now)
        self._buckets.move_to_end(key)

    def wait_s(self, key: str, now: float) -> int:
        tokens = self.tokens(key, now)
        return 0 if tokens >= 1.0 else max(1, int((1.0 - tokens) * 60.0 / self.per_minute + 0.999))


class GuessingLimiter:
    """Asks before an attempt, hears its outcome."""

    def __init__(self, per_address_per_minute: int, per_identity_per_minute: int) -> None:
        self._addresses = _Buckets(per_address_per_minute)
        self._identities = _Buckets(per_identity_per_minute)
        self._proven: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._tried: OrderedDict[str, set[str]] = OrderedDict()

    def limit(self, per_address_per_minute: int, per_identity_per_minute: int) -> None:
        """New limits after a reload; what was counted stays."""
        self._addresses.per_minute = per_address_per_minute
        self._identities.per_minute = per_identity_per_minute

    def may_try(self, address: str, identity: str, now: float) -> int:
        """0 if this attempt may be checked, else seconds to wait."""
        if (address, identity) in self._proven:
            return 0
        return max(self._addresses.wait_s(address, now), self._identities.wait_s(identity, now))

    def failed(self, address: str, identity: str, now: float) -> int:
        """Count a failed attempt. Returns how many different identities this address has failed for."""
        self._addresses.take(address, now)
        if (address, identity) not in self._proven:
            self._identities.take(identity, now)
        elif self._worn_out(address, identity):
            del self._proven[(address, identity)]
        tried = self._tried.setdefault(address, set())
        self._tried.move_to_end(address)
        if len(tried) < 64:  # noqa: PLR2004  enough to call it a sweep
            tried.add(identity)
        if len(self._tried) > _MAX_ENTRIES:
            self._tried.popitem(last=False)
        return len(tried)

    def _worn_out(self, address: str, identity: str) -> bool:
        """True once an exempt pair has failed so often that the exemption itself would serve a guesser."""
        failures = self._proven[(address, identity)] = self._proven[(address, identity)] + 1
        return failures > _MAX_EXEMPT_FAILURES

    def proven(self, address: str, identity: str) -> None:
        """The identity proved itself from this address."""
        self._proven[(address, identity)] = 0
        self._proven.move_to_end((address, identity))
        self._tried.pop(address, None)
        if len(self._proven) > _MAX_ENTRIES:
            self._proven.popitem(last=False)
