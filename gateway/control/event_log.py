"""Security events as JSON lines in a file, one object each; and each of them to the audit log as well.

Events are buffered for at most a flush interval; a file that cannot be written costs events, which are counted and
complained about, and never the traffic. `write` may block (standard output can be a pipe that nobody reads) and is
for a thread of its own; everything else belongs to the event loop.
"""

import asyncio
import datetime
import os
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from gateway.audit.actor import by
from gateway.audit.event import Actor, SecurityEvent, one_line
from gateway.audit.throttle import EventThrottle
from gateway.config.model import Config
from gateway.control.acting import who_acts
from gateway.store.refusals import RefusalEntry

__all__ = ["EventLog", "event_path"]

_encode = msgspec.json.Encoder().encode
_MAX_DETAIL_CHARS = 2_000
_MAX_BUFFERED = 50_000
_MAX_REFUSALS = 5_000
_FOLD_S = 15.0
_Key = tuple[str, str, str]
_log = structlog.get_logger("control.events")


def event_path(config: Config) -> str:
    """Where a configuration puts the file."""
    return config.security_events.path or str(Path(config.state_dir) / "security-events.jsonl")


def _line(event: SecurityEvent) -> bytes:
    """The event as one JSON object with its time in RFC 3339."""
    fields = msgspec.to_builtins(event)
    moment = datetime.datetime.fromtimestamp(event.time, datetime.UTC)
    fields["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return bytes(_encode(fields)) + b"\n"


def _open(path: str) -> int:
    """A descriptor of our own, also for standard output. Raises OSError."""
    if path == "-":
        return os.dup(sys.stdout.fileno())
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


class EventLog:
    """Collects events; `flush` writes them."""

    def __init__(self, path: str, also: Callable[[SecurityEvent], None] | None = None) -> None:
        """`also`: takes every event that is recorded."""
        self._path = path
        self._also = also
        self._throttle = EventThrottle()
        self._descriptor = -1
        self._torn = False
        """True if the last write stopped inside a line."""
        self._writing = threading.Lock()
        self._next: tuple[str, int] | None = None
        self._buffer: deque[bytes] = deque()
        self._refusals: dict[_Key, RefusalEntry] = {}
        self._told: OrderedDict[_Key, float] = OrderedDict()
        self.counts: dict[str, int] = {}
        self.lost = 0
        try:
            self._descriptor = _open(path)
        except OSError as error:
            _log.error("event_log_unusable", path=path, error=str(error))

    @staticmethod
    def open(path: str) -> int:
        """A descriptor for `use`: whether a new file can be written is known before the old one is given up.

        Raises OSError.
        """
        return _open(path)

    @staticmethod
    def abandon(descriptor: int) -> None:
        """It is not used after all."""
        os.close(descriptor)

    def use(self, path: str, descriptor: int) -> None:
        """Write there from the next write on, as the one that is running may be stuck: log rotation and reload."""
        replaced, self._next = self._next, (path, descriptor)
        if replaced is not None:
            self.abandon(replaced[1])

    def _take_over(self) -> None:
        """Start on the file that `use` has named, if it has named one."""
        coming, self._next = self._next, None
        if coming is not None:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            (self._path, self._descriptor), self._torn = coming, False

    def add(self, event: SecurityEvent) -> None:
        """Take one event; of many equal ones only their number is recorded."""
        self.counts[event.event] = self.counts.get(event.event, 0) + event.count
        if event.reason:
            self._remember(event)
        if self._throttle.admit(event, time.monotonic()):
            self._record(event)

    def summarise(self, *, everything: bool = False) -> None:
        """Record how many equal events were not recorded one by one, where their ten seconds have passed."""
        for summary in self._throttle.due(time.monotonic(), time.time(), everything=everything):
            self.counts[summary.event] = self.counts.get(summary.event, 0) + 1
            self._record(summary)

    def _record(self, event: SecurityEvent) -> None:
        if self._also is not None:
            self._also(event)
        if len(self._buffer) >= _MAX_BUFFERED:
            self.lost += 1
        else:
            self._buffer.append(_line(event))

    def _remember(self, event: SecurityEvent) -> None:
        """Keep a refusal for `why`, folded with equal ones that wait for the registry."""
        key = (event.charge_point_id, event.peer, event.reason)
        known = self._refusals.get(key)
        if known is None and len(self._refusals) >= _MAX_REFUSALS:
            return
        self._refusals[key] = RefusalEntry(
            time=event.time,
            charge_point_id=event.charge_point_id,
            address=event.peer,
            listener=event.listener,
            reason=event.reason,
            detail=event.detail,
            connection=event.connection,
            count=event.count + (known.count if known is not None else 0),
        )

    async def write_aside(self) -> None:
        """Write what waits, if anything does, in a thread: standard output may be a pipe that nobody reads."""
        self.summarise()
        if self._buffer or self._next is not None:
            lost = await asyncio.to_thread(self.write)
            self.lost += lost  # not in one: meanwhile others are lost and counted

    def write(self, wait_s: float = -1.0) -> int:
        """Write what has been added so far; returns how many events were lost.

        `wait_s`: how long to wait for another write that is running; what cannot be written after that is lost.
        """
        if not self._writing.acquire(timeout=wait_s):
            return len(self._buffer)
        try:
            self._take_over()
            lines = [self._buffer.popleft() for _ in range(len(self._buffer))]
            return self._write(b"".join(lines)) if lines else 0
        finally:
            self._writing.release()

    def _write(self, lines: bytes) -> int:
        text, done = (b"\n" if self._torn else b"") + lines, 0
        try:
            if self._descriptor < 0:
                self._descriptor = _open(self._path)
            while done < len(text):
                done += os.write(self._descriptor, memoryview(text)[done:])
        except OSError as error:
            lost = text.count(b"\n", done)
            _log.error("events_lost", count=lost, error=str(error))
            return lost
        finally:
            if done:
                self._torn = not text[:done].endswith(b"\n")
        return 0

    def flush(self, wait_s: float = 2.0) -> None:
        """Write what waits, here and now: at the end."""
        self.summarise(everything=True)
        self.lost += self.write(wait_s)

    def take_refusals(self, now: float, *, everything: bool = False) -> list[RefusalEntry]:
        """Refusals for the registry: the first of its kind at once, equal ones folded until 15 s later.

        Without that, one noisy peer would push all that is older out of the bounded log within seconds.
        """
        taken = []
        for key, entry in list(self._refusals.items()):
            told = self._told.get(key)
            if told is not None and 0.0 <= now - told < _FOLD_S and not everything:
                continue
            del self._refusals[key]
            self._told[key] = now
            self._told.move_to_end(key)
            taken.append(entry)
        while len(self._told) > _MAX_REFUSALS:
            self._told.popitem(last=False)
        return taken

    def own_event(
        self,
        event: str,
        severity: str,
        decision: str,
        detail: str,
        charge_point_id: str = "",
        actor: Actor | None = None,
    ) -> None:
        """An event of the gateway itself. `actor`: who has asked for it, if not whoever is acted for just now."""
        actor = actor or who_acts()
        self.add(
            SecurityEvent(
                event=event,
                time=time.time(),
                severity=severity,  # type: ignore[arg-type]
                stage="gateway",
                charge_point_id=charge_point_id,
                verified=bool(charge_point_id),
                decision=decision,
                detail=one_line("; ".join(detail.splitlines()), _MAX_DETAIL_CHARS) + by(actor),
                actor=actor,
            )
        )
