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
from gateway.control.sinks.cursor import LogCursor
from gateway.control.sinks.dead_letters import DeadLetters
from gateway.control.sinks.receiver import Lines, NotDelivered, Receiver, Rejected
from gateway.control.sinks.receivers import receiver_for
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
        self._dead = DeadLetters(state / f"{sink.name}.dead-letters.jsonl")
        self._receiver: Receiver | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)
        self._pause_s = _FIRST_PAUSE_S
        self._began = time.time()
        self._after: SinkFollower | None = None
        self._renew = False
        self._delivered_ts_us = 0
        """Time of the last record that was delivered."""
        self.delivered = 0
        self.dead_letters = 0
        """Records that cannot be said in this format; they stay in the log."""
        self.why = ""
        """Why nothing is delivered at the moment."""

    @property
    def name(self) -> str:
        """As configured."""
        return self._sink.name

    @property
    def settings(self) -> Sink:
        """As configured."""
        return self._sink

    def is_past(self, shard: str, records: int) -> bool:
        """True if a shard of so many records was delivered, or what of it could not be is given up."""
        position = self._cursor.position
        return (position.shard, position.index) >= (shard, records)

    def start(self, after: "SinkFollower | None" = None) -> None:
        """Begin to follow, as soon as the one that had this name `after` ends: both remember their position in one file."""
        self._after = after
        self._thread.start()

    def renew(self) -> None:
        """Read certificates and secrets anew before the next batch."""
        self._renew = True

    def end(self) -> None:
        """Stop soon, without waiting for it."""
        self._stop.set()

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
            "seconds_behind": self._seconds_behind() if behind else 0.0,
            "why": self.why,
        }

    def _seconds_behind(self) -> float:
        """Age of the last record that was delivered; before the first one, how long we have tried."""
        since_s = self._delivered_ts_us / 1e6 or self._began
        return round(max(0.0, time.time() - since_s), 1)

    def _run(self) -> None:
        if self._after is not None:
            self._after.stop(_LONGEST_PAUSE_S)
            self._cursor.reload()
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
        receiver = self._ready_receiver()
        found, after = self._cursor.batch(_BATCH)
        if not found:
            return False
        lines, dead = self._rendered(found)
        thrown_away = 0
        if lines:
            try:
                thrown_away = receiver.deliver(lines)
            except Rejected as error:
                unwanted = _deliver_apart(receiver, lines, error)
                dead += ((where, str(error)) for where in unwanted)
        self._cursor.save(after)
        self._account(dead, thrown_away)
        self.delivered += len(found) - len(dead) - thrown_away
        ts = found[-1].record.get("ts")
        self._delivered_ts_us = ts if isinstance(ts, int) else 0
        return True

    def _ready_receiver(self) -> Receiver:
        """Raises OSError."""
        if self._renew and self._receiver is not None:
            self._receiver.close()
            self._receiver = None
        self._renew = False
        if self._receiver is None:
            self._receiver = receiver_for(self._sink)
        return self._receiver

    def _rendered(self, found: list[Located]) -> tuple[Lines, list[tuple[Located, str]]]:
        """Records in the words of the format, and those it has none for."""
        lines: Lines = []
        dead: list[tuple[Located, str]] = []
        for where in found:
            try:
                lines.append((where, render(where, self._sink.format, __version__)))
            except (NotCanonical, TypeError, ValueError, AttributeError) as error:
                dead.append((where, str(error)))
        return lines, dead

    def _account(self, dead: list[tuple[Located, str]], thrown_away: int) -> None:
        """Count what has not arrived and never will; once, as the batch is done with."""
        self.dead_letters += len(dead) + thrown_away
        for where, why in dead:
            _log.error("sink_dead_letter", sink=self._sink.name, index=where.index, error=why)
            self._dead.add(where, why)
        if thrown_away:
            _log.error("sink_receiver_threw_away", sink=self._sink.name, count=thrown_away)

    def _complain(self, why: str) -> None:
        """Once when it begins; then wait, longer each time, and not in step with others."""
        if not self.why:
            _log.warning("sink_does_not_deliver", sink=self._sink.name, why=why)
        self.why = why
        self._stop.wait(self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311  no secret
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


def _deliver_apart(receiver: Receiver, lines: Lines, error: Rejected) -> list[Located]:
    """Halves of halves, until only what does not please the receiver is left over; returns that.

    If nothing pleases it, the fault is not in the records: that is NotDelivered, and nothing is given up.
    """
    unwanted: list[Located] = []
    waiting = [lines]
    while waiting:
        some = waiting.pop()
        middle = len(some) // 2
        if len(some) == 1:
            unwanted.append(some[0][0])
            continue
        for half in (some[:middle], some[middle:]):
            try:
                receiver.deliver(half)
            except Rejected:
                waiting.append(half)
    if len(unwanted) == len(lines):
        raise NotDelivered(f"{error}, whatever it is offered") from error
    return sorted(unwanted, key=lambda where: where.index)
