"""All detections over one log, in the order of its records."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

import msgspec

from gateway.audit.detections.conduct import Clock, Drift, Flapping, Travel
from gateway.audit.detections.entry import BruteForce, Enumeration, SharedCredential, Takeover
from gateway.audit.detections.model import MICROSECONDS, Detection, Seen, Thresholds, seen
from gateway.audit.detections.sessions import Sessions
from gateway.audit.detections.windows import Recent
from gateway.audit.record import part

__all__ = ["PREFIX", "Detector"]

PREFIX: Final = "detect."
"""What the types of their records begin with."""
_MAX_EVIDENCE: Final = 32


class _Watcher(Protocol):
    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]: ...


class Detector:
    """Sees every record once. What was told is remembered from its own records, also those of a run before."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self._sessions = Sessions()
        self._watchers: tuple[_Watcher, ...] = (
            BruteForce(self._sessions),
            Enumeration(self._sessions),
            Takeover(self._sessions),
            SharedCredential(),
            Travel(self._sessions),
            Flapping(self._sessions),
            Clock(),
            Drift(self._sessions),
        )
        self._told: Recent[int] = Recent()

    def follow(self, records: Iterable[tuple[str, dict[str, Any]]]) -> list[Detection]:
        """Records with their places, in order. Returns what is to be told and is not among these records already."""
        untold: dict[str, Detection] = {}
        for place, record in records:
            one = seen(place, record)
            if one.kind.startswith(PREFIX):
                key = f"{one.kind.removeprefix(PREFIX)} {part(record, 'ref').get('subject')}"
                self._told.put(key, one.ts_us)
                untold.pop(key, None)
                continue
            for watcher in self._watchers:
                for detection in watcher.see(one, self.thresholds):
                    key = f"{detection.kind} {detection.subject}"
                    if not self._is_quiet(key, one.ts_us):
                        self._told.put(key, one.ts_us)
                        untold[key] = detection
            if one.session is not None:  # those who have looked at it have seen what was before it
                window_s = max(self.thresholds.travel_window_s, self.thresholds.flapping_window_s)
                self._sessions.opened(one.charge_point_id, one.session, window_s)
        return list(map(_cut, untold.values()))

    def _is_quiet(self, key: str, ts_us: int) -> bool:
        told = self._told.get(key)
        return told is not None and abs(ts_us - told) < self.thresholds.quiet_s * MICROSECONDS


def _cut(detection: Detection) -> Detection:
    """The first and the latest of what it rests on, if that is much."""
    places = tuple(dict.fromkeys(detection.evidence))
    half = _MAX_EVIDENCE // 2
    kept = places if len(places) <= _MAX_EVIDENCE else places[:half] + places[-half:]
    return msgspec.structs.replace(detection, evidence=kept)
