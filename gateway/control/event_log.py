"""Security events as JSON lines in a file, one object each. The audit issue replaces this sink, not its callers.

Events are buffered for at most a flush interval; a file that cannot be written costs events, which are counted and
complained about, and never the traffic.
"""

import datetime
import os
import sys
import time

import msgspec
import structlog

from gateway.audit.event import SecurityEvent
from gateway.store.refusals import RefusalEntry

__all__ = ["EventLog"]

_encode = msgspec.json.Encoder().encode
_MAX_BUFFERED = 50_000
_FOLD_S = 60.0
_log = structlog.get_logger("control.events")


def _line(event: SecurityEvent) -> bytes:
    """The event as one JSON object with its time in RFC 3339."""
    fields = msgspec.to_builtins(event)
    moment = datetime.datetime.fromtimestamp(event.time, datetime.UTC)
    fields["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return bytes(_encode(fields)) + b"\n"


class EventLog:
    """Collects events; `flush` writes them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._buffer: list[bytes] = []
        self._refusals: dict[tuple[str, str, str], RefusalEntry] = {}
        self.counts: dict[str, int] = {}
        self.lost = 0
        self.reopen(path)

    def reopen(self, path: str) -> None:
        """Open the file again, perhaps another one: log rotation and reload."""
        if self._descriptor > 2:  # noqa: PLR2004  never close standard output
            os.close(self._descriptor)
        self._path = path
        self._descriptor = -1
        try:
            self._descriptor = (
                sys.stdout.fileno()
                if path == "-"
                else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            )
        except OSError as error:
            _log.error("event_log_unusable", path=path, error=str(error))

    def add(self, event: SecurityEvent) -> None:
        """Take one event."""
        self.counts[event.event] = self.counts.get(event.event, 0) + event.count
        if len(self._buffer) >= _MAX_BUFFERED:
            self.lost += 1
        else:
            self._buffer.append(_line(event))
        if event.reason:
            self._remember(event)

    def _remember(self, event: SecurityEvent) -> None:
        """Keep a refusal for `why`, equal ones within a minute folded."""
        key = (event.charge_point_id, event.peer, event.reason)
        known = self._refusals.get(key)
        count = event.count + (known.count if known is not None and event.time - known.time < _FOLD_S else 0)
        self._refusals[key] = RefusalEntry(
            time=event.time,
            charge_point_id=event.charge_point_id,
            address=event.peer,
            listener=event.listener,
            reason=event.reason,
            detail=event.detail,
            connection=event.connection,
            count=count,
        )

    def flush(self) -> None:
        """Write what is buffered."""
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        try:
            if self._descriptor < 0:
                self.reopen(self._path)
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self.lost += len(self._buffer)
            _log.error("events_lost", count=len(self._buffer), total=self.lost, error=str(error))
        self._buffer.clear()

    def take_refusals(self) -> list[RefusalEntry]:
        """Refusals since the last call, for the registry."""
        taken = list(self._refusals.values())
        self._refusals.clear()
        return taken

    def own_event(self, event: str, severity: str, decision: str, detail: str) -> None:
        """An event of the gateway itself."""
        self.add(
            SecurityEvent(
                event=event,
                time=time.time(),
                severity=severity,  # type: ignore[arg-type]
                stage="gateway",
                decision=decision,
                detail=detail[:2000],
            )
        )
