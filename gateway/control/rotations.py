"""When the audit log goes on in a new shard, and the steps to get there. Owned by the writer's thread, `ask` excepted."""

import datetime
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import structlog

from gateway.audit.record import envelope
from gateway.audit.succession import CLOSED, Closing, Why, closing_facts
from gateway.config.model import Audit
from gateway.control.trail.keys import KeyUnusable
from gateway.control.trail.reader import RecordMissing, ShardReader, decoded
from gateway.control.trail.recovery import HistoryDiffers
from gateway.control.trail.root import LogRefused, TrailRoot
from gateway.control.trail.shard_writer import DiskFull, ShardWriter, TrailBroken
from gateway.control.trail.stamp import Stamper

__all__ = ["Rotations", "When"]

When = Callable[[str, str], None]
"""Told the name of the new shard, or why there is none."""
_TEXTS: Final[dict[Why, str]] = {
    "month": "a month is over",
    "asked": "somebody has asked for a new shard",
    "keys": "the log is signed with new keys from here on",
}
_log = structlog.get_logger("control.audit")


class _Asked:
    def __init__(self, why: Why, reason: str, when_done: When) -> None:
        self.why, self.reason, self.when_done = why, reason, when_done


class Rotations:
    """Between `step` and `step` the log is one shard that may be written, unless `is_under_way`."""

    def __init__(self, root: TrailRoot, settings: Audit, stamper: Stamper, later: ThreadPoolExecutor) -> None:
        self._root, self._settings, self._stamper, self._later = root, settings, stamper, later
        self._asking = threading.Lock()
        self._asked: _Asked | None = None
        self._refused = ""
        self._settling: Future[None] | None = None
        self._closing: Closing | None = None
        self._month = ""

    @property
    def is_under_way(self) -> bool:
        """True if the shard is closed and the next one could not be begun yet: nothing can be appended."""
        return self._closing is not None

    def ask(self, reason: str, when_done: When, *, new_keys: bool) -> None:
        """Let the log go on in a new shard soon; from any thread."""
        with self._asking:
            why = self._refused or ("another one is under way" if self._asked is not None else "")
            if not why:
                self._asked = _Asked("keys" if new_keys else "asked", reason, when_done)
                return
        when_done("", why)

    def refuse(self, why: str) -> None:
        """Nothing is begun until `accept`. One that is under way is finished when that is possible."""
        with self._asking:
            asked, self._asked, self._refused = self._asked, None, why
        if asked is not None:
            asked.when_done("", f"{why}; it is finished later" if self.is_under_way else why)

    def accept(self) -> None:
        """Take questions again."""
        with self._asking:
            self._refused = ""

    def opened(self, writer: ShardWriter) -> None:
        """This shard is written from here on."""
        self._closing = self._settling = None
        self._month = _month_of(_beginning_us(writer))

    def step(self, writer: ShardWriter, now_us: int) -> ShardWriter:
        """The shard to write to from here on: the same, or its successor. Raises DiskFull, TrailBroken.

        What is in tiles already is brought to the disk beforehand and in the background, so that the step itself is short.
        """
        asked = self._asked
        if self._closing is None:
            if asked is None and not self._is_month_over(now_us):
                return writer
            if not self._has_settled(writer, now_us):
                return writer
            self._settling = None
            try:
                self._close(writer, asked)
            except (LogRefused, OSError) as error:
                self._give_up(asked, str(error), now_us)
                return writer
        return self.finish(writer, now_us)

    def finish(self, writer: ShardWriter, now_us: int) -> ShardWriter:
        """Begin the successor of a closed shard. Raises DiskFull, TrailBroken."""
        if self._closing is None:
            return writer
        try:
            following = self._root.succeed(
                writer, self._closing, now_us // 1_000_000, self._stamper, self._run_later, self._wait
            )
        except (KeyUnusable, HistoryDiffers, OSError) as error:
            raise TrailBroken(f"the next shard cannot be begun: {error}") from error
        self.opened(following)
        _log.info("audit_rotated", shard=following.shard.name)
        with self._asking:
            asked, self._asked = self._asked, None
        if asked is not None:
            asked.when_done(following.shard.name, "")
        return following

    def _close(self, writer: ShardWriter, asked: _Asked | None) -> None:
        """The last record. Raises LogRefused, DiskFull, TrailBroken, OSError."""
        why: Why = asked.why if asked is not None else "month"
        closing = self._root.plan(writer.shard, self._settings.origin, new_keys=why == "keys")
        facts: dict[str, Any] = closing_facts(writer.shard.name, closing, why)
        if asked is not None:
            facts["reason"] = asked.reason
        severity = "medium" if why == "keys" else "info"
        record = envelope(CLOSED, self._stamper.stamp(), sev=severity, text=_TEXTS[why], log=facts)
        try:
            writer.commit([record])
        except DiskFull:
            self._stamper.take_back()
            raise
        self._closing = closing
        writer.grow([record])

    def _give_up(self, asked: _Asked | None, why: str, now_us: int) -> None:
        _log.error("audit_not_rotated", why=why)
        with self._asking:
            self._asked = None
        if asked is not None:
            asked.when_done("", why)
        else:
            self._month = _month_of(now_us)

    def _is_month_over(self, now_us: int) -> bool:
        return self._settings.rotate == "month" and _month_of(now_us) > self._month

    def _has_settled(self, writer: ShardWriter, now_us: int) -> bool:
        if self._settling is None:
            writer.publish(now_us // 1_000_000)
            writer.begin_segment()
            self._settling = self._later.submit(_nothing)
        return self._settling.done()

    def _run_later(self, work: Callable[[], None]) -> None:
        self._later.submit(work)

    def _wait(self) -> None:
        """Until all that was to be done later is done."""
        self._later.submit(_nothing).result()


def _nothing() -> None:
    """Ends when all before it has ended: there is one thread."""


def _beginning_us(writer: ShardWriter) -> int:
    """Time stamp of the first record; 0 for a shard that has none."""
    try:
        found = decoded(ShardReader(writer.shard).record(0)).get("ts") if writer.size else 0
    except RecordMissing:
        return 0
    return found if isinstance(found, int) else 0


def _month_of(ts_us: int) -> str:
    """Year and month in UTC; what cannot be a time is before all others."""
    try:
        return datetime.datetime.fromtimestamp(ts_us // 1_000_000, datetime.UTC).strftime("%Y-%m")
    except (ValueError, OverflowError, OSError):
        return ""
