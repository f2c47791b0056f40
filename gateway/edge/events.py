"""Collects security events and counters of this edge worker and hands them to control in batches.

Repeats are folded: the same event from the same address within the flush interval counts up instead of queueing, so a
scanner cannot fill memory; beyond `_MAX_PENDING` kinds, further ones are only counted.
"""

from collections.abc import Callable

import msgspec

from gateway.audit.event import SecurityEvent

__all__ = ["DROPPED", "Counts", "EventCollector"]

DROPPED = "ocpp_gateway_security_events_dropped_total"
"""Counter of events that control never heard of."""

_MAX_PENDING = 2_000


class Counts:
    """Plain counters by Prometheus sample name; absolute values since the worker started."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add(self, name: str, amount: float = 1) -> None:
        """Count up."""
        self.values[name] = self.values.get(name, 0) + amount

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self.values[name] = value


class EventCollector:
    """A bounded list of events waiting for the next flush."""

    def __init__(self, clock: Callable[[], float], counts: Counts) -> None:
        self._clock = clock
        self._counts = counts
        self._pending: dict[tuple[str, ...], SecurityEvent] = {}

    def add(self, event: SecurityEvent) -> None:
        """Queue one event; its time is filled in if it is 0. Raises nothing, drops by counting."""
        mode = "monitor" if event.decision.startswith("would:") else "enforce"
        self._counts.add(f'ocpp_gateway_security_events_total{{event="{event.event}",mode="{mode}"}}')
        connection = event.connection if event.verified else ""
        key = (event.event, event.reason, event.peer, event.charge_point_id, connection, event.decision, _rule(event))
        known = self._pending.get(key)
        if known is not None:
            self._pending[key] = msgspec.structs.replace(known, count=known.count + event.count)
            return
        if len(self._pending) >= _MAX_PENDING:
            self._counts.add(DROPPED)
            return
        self._pending[key] = event if event.time else msgspec.structs.replace(event, time=self._clock())

    def take(self) -> tuple[SecurityEvent, ...]:
        """Everything collected so far, in order of arrival."""
        events = tuple(self._pending.values())
        self._pending.clear()
        return events


def _rule(event: SecurityEvent) -> str:
    """The rule that a detail begins with: several rules have one event. Other words do not count, there is no end of them."""
    first = event.detail.partition(":")[0].partition(" ")[0]
    return first if event.policy_revision and first.count("/") == 1 else ""
