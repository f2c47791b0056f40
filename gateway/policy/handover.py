"""What an edge worker remembers of a charge point, handed over to the worker that it connects to next. Pure.

Counters, throttles, set-points and what it was told of its next BootNotification belong to a worker, because a charge point is
connected to one at a time. Whoever reconnects comes to any of them, and would begin anew there: with N workers an attacker would have
every limit N times. Both sides keep what they know, and what they know alike counts once, so nothing is lost or doubled on the way
there and back.
"""

import math
from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec

from gateway.policy.counter_table import KeptWindow
from gateway.policy.engine import ActiveThrottle, PolicyState
from gateway.policy.set_points import SetPoint
from gateway.policy.snapshot import Snapshot

__all__ = ["Kept", "KeptThrottle", "hand_over", "take_over"]

_T = TypeVar("_T")
_MOST_ENTRIES: Final = 16_384
"""Of all windows together. Rules with the fewest keys come first: made-up keys must not push a counter out."""


class KeptThrottle(msgspec.Struct, frozen=True, array_like=True):
    """One that is active."""

    rule: str
    actions: tuple[str, ...]
    until: float


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """Of one charge point. Moments are seconds since the epoch."""

    rates: tuple[KeptWindow[float], ...] = ()
    distinct: tuple[KeptWindow[tuple[str, float]], ...] = ()
    sums: tuple[KeptWindow[tuple[float, float]], ...] = ()
    throttles: tuple[KeptThrottle, ...] = ()
    set_points: dict[int, SetPoint] = {}
    boot_due: float | None = None

    @property
    def until(self) -> float:
        """When nothing of it is worth anything any more."""
        if self.set_points or self.boot_due is not None:
            return math.inf
        ends = [each.ends for each in self.rates] + [each.ends for each in self.distinct]
        ends += [each.ends for each in self.sums] + [each.until for each in self.throttles]
        return max(ends, default=0.0)


def hand_over(state: PolicyState, identity: str, now: float) -> Kept | None:
    """What another worker has to know, None if there is nothing."""
    throttles = tuple(
        KeptThrottle(rule, tuple(sorted(each.actions)), each.until)
        for rule, each in state.throttles.get(identity, {}).items()
        if each.until > now
    )
    kept = Kept(
        tuple(_within(state.rates.kept(identity, now))),
        tuple(_within(state.distinct.kept(identity, now))),
        tuple(_within(state.sums.kept(identity, now))),
        throttles,
        state.set_points.of(identity),
        state.boot_times.due(identity),
    )
    return kept if kept.until > now else None


def _within(windows: Iterator[KeptWindow[_T]]) -> Iterator[KeptWindow[_T]]:
    left = _MOST_ENTRIES
    for window in windows:
        left -= len(window.entries)
        if left < 0:
            return
        yield window


def take_over(state: PolicyState, identity: str, kept: Kept, snapshot: Snapshot, now: float) -> None:
    """Remember it here as well."""
    state.rates.restore(identity, kept.rates, now)
    state.distinct.restore(identity, kept.distinct, now)
    state.sums.restore(identity, kept.sums, now)
    state.set_points.restore(identity, kept.set_points)
    state.boot_times.restore(identity, kept.boot_due)
    if not kept.throttles:
        return
    rules = {rule.id: rule for rule in snapshot.rules}
    for each in kept.throttles:
        source = rules.get(each.rule)
        if source is None or source.throttle is None or each.until <= now:
            continue
        limits = source.throttle
        state.throttles.setdefault(identity, {})[each.rule] = ActiveThrottle(
            source, frozenset(each.actions), limits.limit, limits.window_s, each.until, limits.response
        )
