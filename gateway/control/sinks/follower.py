"""A thread that follows the log for one sink. A receiver that is down costs this thread its patience and nothing else."""

import random
import threading
import time
from pathlib import Path
from typing import Any, Final

import structlog

from gateway import __version__
from gateway.audit.canonical import NotCanonical
from gateway.audit.note import NoteInvalid
from gateway.audit.siem import Located, render
from gateway.config.model import Sink
from gateway.control.sinks.cursor import LogCursor, Position
from gateway.control.sinks.receivers import Lines, NotDelivered, Receiver, receiver_for
from gateway.control.trail.disk import Disk
from gateway.control.trail.reader import RecordMissing

__all__ = ["SinkFollower"]

_BATCH: Final = 500
_LOOK_S: Final = 0.5
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_log = structlog.get_logger("control.sinks")


class SinkFollower:
    """Delivers records in order, at least once each."""

    def __init__(self, sink: Sink, root: Path, state: Path) -> None:
        """`root`: the audit directory. `state`: where positions are remembered."""
        self._sink = sink
        self._cursor = LogCursor(root, state / sink.name, Disk())
        self._receiver: Receiver | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)
        self._pause_s = _FIRST_PAUSE_S
        self._last_delivery = time.monotonic()
        self.delivered = 0
        self.dead_letters = 0
        """Records that cannot be said in this format; they stay in the log."""
        self.why = ""
        """Why nothing is delivered at the moment."""

    @property
    def name(self) -> str:
        """As configured."""
        return self._sink.name

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Stop soon; what was not delivered comes first the next time."""
        self._stop.set()
        self._thread.join(timeout_s)

    def status(self) -> dict[str, Any]:
        """For `ocpp-gateway status` and the metrics."""
        try:
            behind = self._cursor.behind()
        except OSError:
            behind = -1
        return {
            "name": self._sink.name,
            "kind": self._sink.kind,
            "delivered": self.delivered,
            "dead_letters": self.dead_letters,
            "behind": behind,
            "seconds_behind": round(time.monotonic() - self._last_delivery, 1) if behind else 0.0,
            "why": self.why,
        }

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self._step():
                    self._stop.wait(_LOOK_S)
                    continue
                self._pause_s = _FIRST_PAUSE_S
                if self.why:
                    _log.info("sink_delivers_again", sink=self._sink.name)
                    self.why = ""
            except (NotDelivered, RecordMissing, NoteInvalid, OSError) as error:
                self._complain(str(error))
            except Exception as error:  # noqa: BLE001  a defect in one sink must not end it in silence
                _log.error("sink_failed", sink=self._sink.name, error=repr(error), exc_info=error)
                self._complain(repr(error))
        if self._receiver is not None:
            self._receiver.close()

    def _step(self) -> bool:
        """Deliver one batch; False if there is none. Raises what keeps it from being delivered."""
        if self._receiver is None:
            self._receiver = receiver_for(self._sink)
        found, after = self._cursor.batch(_BATCH)
        if not found:
            self._last_delivery = time.monotonic()
            return False
        lines = [line for where in found if (line := self._line(where)) is not None]
        if lines:
            self._receiver.deliver(lines)
        self._delivered(lines, after)
        return True

    def _line(self, where: Located) -> tuple[Located, bytes] | None:
        try:
            return where, render(where, self._sink.format, __version__)
        except (NotCanonical, TypeError, ValueError, AttributeError) as error:
            self.dead_letters += 1
            _log.error("sink_dead_letter", sink=self._sink.name, index=where.index, error=str(error))
            return None

    def _delivered(self, lines: Lines, after: Position) -> None:
        self._cursor.save(after)
        self.delivered += len(lines)
        self._last_delivery = time.monotonic()

    def _complain(self, why: str) -> None:
        """Once when it begins; then wait, longer each time, and not in step with others."""
        if not self.why:
            _log.warning("sink_does_not_deliver", sink=self._sink.name, why=why)
        self.why = why
        self._stop.wait(self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311  no secret
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
