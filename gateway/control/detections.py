"""Follows the audit log and records what several records say together. It is behind by a checkpoint, a second or two.

Its memory is not kept: at a start it reads the last records again. What it told of them then is among them, and is not
told a second time.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
import structlog
from typing_extensions import override

from gateway.audit.detections.detector import PREFIX, Detector
from gateway.audit.detections.model import Detection, Thresholds
from gateway.audit.event import SecurityEvent, one_line
from gateway.audit.note import NoteInvalid
from gateway.config.model import Config, Detections
from gateway.control.part import NodePart
from gateway.control.sinks.cursor import Position, read_raw
from gateway.control.trail.reader import RecordMissing, decoded

__all__ = ["LogDetections"]

_AGAIN_AT_A_START: Final = 500_000
"""Records: half an hour of ten thousand charge points, with their messages, which cost little here."""
_BATCH: Final = 5_000
_ORDINARY: Final = (b'"type":"ocpp.message"', b'"type":"ocpp.counted"')
"""What no detection looks at: what rules say about a message is an event of its own."""
_log = structlog.get_logger("control.detections")


class LogDetections(NodePart):
    """A part of the node; what takes time runs in a thread."""

    name: ClassVar[str] = "detections"
    tick_every_s: ClassVar[float] = 1.0

    def __init__(self, root: Path, settings: Detections, report: Callable[[SecurityEvent], None]) -> None:
        """`root`: the audit directory. `report`: records an event."""
        self._root = root
        self._report = report
        self._settings = settings
        self._detector = Detector(_thresholds(settings))
        self._position: Position | None = None
        self._why = ""
        self._told: Counter[str] = Counter()

    @override
    def use(self, config: Config) -> None:
        self._settings = config.audit.detections
        self._detector.thresholds = _thresholds(self._settings)

    @override
    async def tick(self) -> None:
        if not self._settings.enabled:
            self._position = None
            return
        try:
            found = await asyncio.to_thread(self._follow)
            self._why = ""
        except (RecordMissing, NoteInvalid, OSError, msgspec.MsgspecError) as error:
            if not self._why:
                _log.warning("detections_cannot_read_the_log", error=str(error))
            self._why = str(error)
            return
        for detection in found:
            self._told[detection.kind] += 1
            self._report(_event(detection))

    def _follow(self) -> list[Detection]:
        """What has come since the last time; at the first time, the last of what was there. Raises what reading raises."""
        if self._position is None:
            self._position = Position.before_the_end(self._root, _AGAIN_AT_A_START)
        return self._detector.follow(self._records(self._position))

    def _records(self, position: Position) -> Iterator[tuple[str, dict[str, Any]]]:
        """To the end of the log, as what was told must be seen together with what it was told of."""
        while True:
            _, batch, position = read_raw(self._root, position, _BATCH)
            self._position = position
            for index, data in batch:
                if not any(each in data for each in _ORDINARY):
                    yield f"{position.shard}/{index}", decoded(data)
            if not batch:
                return

    @override
    def status(self) -> dict[str, Any]:
        return {"enabled": self._settings.enabled, "why": self._why, "told": dict(self._told)}

    @override
    def metrics(self) -> dict[str, float]:
        return {f'ocpp_gateway_detections_total{{kind="{kind}"}}': float(number) for kind, number in self._told.items()}


def _thresholds(settings: Detections) -> Thresholds:
    return Thresholds(**msgspec.structs.asdict(settings))


def _event(detection: Detection) -> SecurityEvent:
    return SecurityEvent(
        event=PREFIX + detection.kind,
        time=time.time(),
        severity=detection.severity,
        stage="detect",
        charge_point_id=detection.charge_point_id,
        peer=detection.address,
        decision="alert",
        subject=detection.subject,
        evidence=detection.evidence,
        detail=one_line(detection.text),
    )
