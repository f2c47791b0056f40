"""Limits guessing without letting anybody lock out the real charge point. Pure: time is an argument.

Only failures are counted: per source, and per identity over all sources. A source is an IPv4 address or an IPv6 /64,
because whoever has one IPv6 address has 2^64. Three ways around the limits belong to the real charge point:

- a source from which the identity has proven itself is exempt, for that identity, from both limits;
- a source that has not failed for an identity yet has one attempt even if strangers have used up that identity's
  budget: a charge point whose address has changed gets in at once;
- a password that is already known good is never even asked about here.

So somebody who hammers an identity, from elsewhere or from behind the same address translation, uses up budgets that
the real charge point does not draw from. Attempts that are checked at the same time may overdraw a budget; that debt,
of at most one minute's budget, is paid off before the next attempt.

A request without credentials guesses nothing, and many charge points send theirs only after a 401. Going through names
without credentials is a sweep all the same: per source, each name is counted once, and given back when it proves itself.
"""

import ipaddress
from collections import OrderedDict
from functools import lru_cache
from typing import Final

from gateway.identity.claim import fold

__all__ = ["GuessingLimiter", "source_of"]

_MAX_ENTRIES = 65_536
_MAX_PROVEN = 262_144
_MAX_SWEEPERS = 16_384
_MAX_TRIED: Final = 16
"""More than enough to call it a sweep."""
_MAX_EXEMPT_FAILURES = 100
_PREFIX_BITS: Final = 64


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """What is counted as one source: an IPv4 address (IPv4-mapped ones too), or the /64 of an IPv6 address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip), _PREFIX_BITS), strict=False))


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
        tokens = max(-float(self.per_minute), self.tokens(key, now) - 1.0)
        if key not in self._buckets and len(self._buckets) >= _MAX_ENTRIES:
            self._buckets.popitem(last=False)
        self._buckets[key] = (tokens, now)
        self._buckets.move_to_end(key)

    def give_back(self, key: str) -> None:
        if key in self._buckets:
            tokens, at = self._buckets[key]
            self._buckets[key] = (tokens + 1.0, at)

    def wait_s(self, key: str, now: float) -> int:
        tokens = self.tokens(key, now)
        return 0 if tokens >= 1.0 else max(1, int((1.0 - tokens) * 60.0 / self.per_minute + 0.999))


class GuessingLimiter:
    """Asks before an attempt, hears its outcome. Identities are folded: another case is not another budget."""

    def __init__(self, per_address_per_minute: int, per_identity_per_minute: int) -> None:
        self._sources = _Buckets(per_address_per_minute)
        self._identities = _Buckets(per_identity_per_minute)
        self._names = _Buckets(per_address_per_minute)
        self._asked: OrderedDict[tuple[str, int], None] = OrderedDict()
        """(source, hash of the identity) of names that were only asked for so far."""
        self._proven: OrderedDict[int, int] = OrderedDict()
        self._tried: OrderedDict[str, set[int]] = OrderedDict()
        """By source, the identities it has failed for, as hashes: names that peers choose take memory of their choice."""

    def limit(self, per_address_per_minute: int, per_identity_per_minute: int) -> None:
        """New limits after a reload; what was counted stays."""
        self._sources.per_minute = self._names.per_minute = per_address_per_minute
        self._identities.per_minute = per_identity_per_minute

    def has_proven(self, address: str, identity: str) -> bool:
        """True if the identity has proven itself from this source."""
        return _pair(source_of(address), fold(identity)) in self._proven

    def may_try(self, address: str, identity: str, now: float) -> int:
        """0 if this attempt may be checked, else seconds to wait."""
        source, name = source_of(address), fold(identity)
        if _pair(source, name) in self._proven:
            return 0
        wait_s = self._sources.wait_s(source, now)
        tried = self._tried.get(source, set())
        if hash(name) in tried or len(tried) >= _MAX_TRIED:
            wait_s = max(wait_s, self._identities.wait_s(name, now))
        return wait_s

    def may_ask(self, address: str, identity: str, now: float) -> int:
        """0 if a request without credentials may hear that they are missing, else seconds to wait."""
        source, name = source_of(address), fold(identity)
        if _pair(source, name) in self._proven or (source, hash(name)) in self._asked:
            return 0
        return self._names.wait_s(source, now)

    def asked(self, address: str, identity: str, now: float) -> None:
        """Count a request without credentials."""
        source, name = source_of(address), fold(identity)
        pair = (source, hash(name))
        if _pair(source, name) in self._proven or pair in self._asked:
            return
        self._names.take(source, now)
        self._asked[pair] = None
        if len(self._asked) > _MAX_ENTRIES:
            self._asked.popitem(last=False)

    def failed(self, address: str, identity: str, now: float) -> int:
        """Count a failed attempt.

        Returns how many different identities this source has failed for, up to 16, when this one is new among them,
        else 0: so each number is heard once, however often the same few keep failing.
        """
        source, name = source_of(address), fold(identity)
        self._sources.take(source, now)
        if _pair(source, name) not in self._proven:
            self._identities.take(name, now)
        elif self._worn_out(source, name):
            del self._proven[_pair(source, name)]
        tried = self._tried.setdefault(source, set())
        self._tried.move_to_end(source)
        if len(self._tried) > _MAX_SWEEPERS:
            self._tried.popitem(last=False)
        if hash(name) in tried or len(tried) >= _MAX_TRIED:
            return 0
        tried.add(hash(name))
        return len(tried)

    def _worn_out(self, source: str, name: str) -> bool:
        """True once an exempt pair has failed so often that the exemption itself would serve a guesser."""
        pair = _pair(source, name)
        failures = self._proven[pair] = self._proven[pair] + 1
        return failures > _MAX_EXEMPT_FAILURES

    def proven(self, address: str, identity: str) -> None:
        """The identity proved itself from this address."""
        source, name = source_of(address), fold(identity)
        pair, asked = _pair(source, name), (source, hash(name))
        self._proven[pair] = 0
        self._proven.move_to_end(pair)
        self._tried.get(source, set()).discard(hash(name))
        if asked in self._asked:
            del self._asked[asked]
            self._names.give_back(source)
        if len(self._proven) > _MAX_PROVEN:
            self._proven.popitem(last=False)


def _pair(source: str, name: str) -> int:
    """Stands for the two: there are as many as charge points. Salted per process: nobody can look for one that is equal."""
    return hash((source, name))
