"""All sinks of a configuration. A reload starts, ends and exchanges them; what a sink has delivered it does not deliver again."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from gateway.config.model import Sink
from gateway.control.sinks.follower import SinkFollower

__all__ = ["SinkSet"]

_LAST_DELIVERIES_S: Final = 1.0
_METRICS: Final = (
    ("behind_records", "behind"),
    ("behind_seconds", "seconds_behind"),
    ("delivered_total", "delivered"),
    ("dead_letters_total", "dead_letters"),
)


class SinkSet:
    """Followers by name."""

    def __init__(self, sinks: Iterable[Sink], root: Path, state: Path) -> None:
        """`root`: the audit directory. `state`: where positions are remembered."""
        self._root, self._state = root, state
        self._followers = {sink.name: SinkFollower(sink, root, state) for sink in sinks}
        self._running = False

    def start(self) -> None:
        """Begin to deliver."""
        self._running = True
        for follower in self._followers.values():
            follower.start()

    def use(self, sinks: Iterable[Sink]) -> None:
        """Deliver to these from now on. Does not wait: one that is exchanged begins when the old one has ended."""
        if not self._running:
            return
        before, self._followers = self._followers, {}
        for sink in sinks:
            old = before.pop(sink.name, None)
            if old is not None and old.settings == sink:
                old.renew()
                self._followers[sink.name] = old
                continue
            if old is not None:
                old.end()
            follower = self._followers[sink.name] = SinkFollower(sink, self._root, self._state)
            follower.start(after=old)
        for old in before.values():
            old.end()

    def close(self) -> None:
        """Let sinks that deliver have what there is. Blocks for some seconds at most."""
        self._running = False
        deadline = time.monotonic() + _LAST_DELIVERIES_S
        followers = self._followers.values()
        while time.monotonic() < deadline and any(not each.why and each.status()["behind"] for each in followers):
            time.sleep(0.05)
        for follower in followers:
            follower.end()
        for follower in followers:
            follower.stop()

    def not_past(self, shard: str, records: int) -> list[str]:
        """Names of the sinks that have not delivered all records of a shard."""
        return [each.name for each in self._followers.values() if not each.is_past(shard, records)]

    def status(self) -> list[dict[str, Any]]:
        """For `ocpp-gateway status`."""
        return [follower.status() for follower in self._followers.values()]

    def metrics(self) -> dict[str, float]:
        """Prometheus samples."""
        return {
            f'ocpp_gateway_sink_{what}{{sink="{sink["name"]}"}}': float(sink[key])
            for sink in self.status()
            for what, key in _METRICS
        }
