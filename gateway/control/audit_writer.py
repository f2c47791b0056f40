"""The audit log of this node: records from anywhere in control, made durable by one thread of its own.

`append` is the way in, for security events and for whatever edges send. It never blocks and never touches the disk.
What happens when the log cannot be written is the failure mode's business; callers that are about to do something
ask `may_proceed` first, and those whose effect must not come before its record use `append_durably`.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal

import structlog

from gateway import __version__
from gateway.audit.record import RecordClass, envelope
from gateway.audit.tiles import MAX_ENTRY_BYTES
from gateway.config.model import Audit
from gateway.control.audit_queue import AuditQueue, Pending
from gateway.control.rotations import Rotations
from gateway.control.trail.disk import Disk
from gateway.control.trail.recovery import Recovered
from gateway.control.trail.root import LogRefused, TrailRoot
from gateway.control.trail.shard_writer import DiskFull, ShardWriter, TrailBroken
from gateway.control.trail.stamp import Stamper

__all__ = ["AuditUnavailable", "AuditWriter", "LogRefused"]

State = Literal["running", "full", "broken", "stopped"]
_LOOK_AGAIN_S: Final = 1.0
_CLOSE_S: Final = 10.0
_LOOK_FOR_HEAD_S: Final = 0.05
_log = structlog.get_logger("control.audit")


class AuditUnavailable(Exception):  # noqa: N818  a state
    """A record could not be made durable; what it was to be the record of must not happen."""


class AuditWriter:
    """Made by `open`, which recovers the log first."""

    def __init__(
        self,
        settings: Audit,
        keys: Path,
        *,
        disk: Disk | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._settings = settings
        self.directory = Path(settings.directory)
        self._disk = disk or Disk()
        self._wall_ns = wall_ns
        self._boot = os.urandom(8).hex()
        self._stamper = Stamper("audit", self._boot, wall_ns, monotonic_ns)
        self._queue = AuditQueue(settings.max_queue_bytes)
        self._keys = keys
        self._later = ThreadPoolExecutor(1, "audit-later")
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._root: TrailRoot
        self._rotations: Rotations
        self._shard: ShardWriter
        self.last_published = 0.0
        """When a checkpoint was signed last, on the monotonic clock."""
        self._published_size = -1
        self._first: list[bytes] | None = None
        """What the log has to be told of its beginning; None until it could be opened."""
        self.state: State = "stopped"
        self.why = ""
        """Why nothing is written, in words; empty while all is well."""

    # -- life

    def open(self) -> None:
        """Recover the log and start. Blocks. Raises LogRefused, OSError, in mode `block` DiskFull.

        In the other modes a disk without room is now what it is later: a restart of control turns nobody away for it.
        """
        self._root = TrailRoot(self.directory, self._keys, self._disk)
        self._rotations = Rotations(self._root, self._settings, self._stamper, self._later)
        try:
            self._begin()
            self._take_reserve_if_there_is_room()
            self.state = "running"
        except DiskFull:
            if self._settings.failure_mode == "block":
                self._root.close()
                raise
            self._note_full()
        except BaseException:
            self._root.close()
            raise
        self._thread.start()

    def _begin(self) -> None:
        """Open the newest shard, unless that was done, and say that it is written. Raises LogRefused, DiskFull, OSError."""
        if self._first is None:
            self._shard, recovered = self._root.open_current(
                self._settings.origin, self._now_s(), self._stamper, self._run_later, self._wait_for_later
            )
            self._first = self._first_words(recovered)
        first = self._first
        self._shard.commit(first)
        self._first = []
        self._hash(first)
        self._publish()
        self._rotations.opened(self._shard)

    def _run_later(self, work: Callable[[], None]) -> None:
        self._later.submit(work)

    def _wait_for_later(self) -> None:
        self._later.submit(lambda: None).result()

    def _first_words(self, recovered: Recovered) -> list[bytes]:
        facts: dict[str, Any] = {"version": __version__, "shard": self._shard.shard.name, "size": recovered.size}
        if missing := self._root.unproven_before():
            facts["unproven"] = missing
            _log.error("audit_shards_unproven", shards=missing, directory=self._settings.directory)
        severity = "high" if missing else "info"
        words = [self._own("audit.start", severity, "the gateway starts to write", facts)]
        if recovered.torn or recovered.replayed:
            lost = {"bytes": len(recovered.torn), "records": recovered.replayed}
            text = (
                "the log was not closed; an unfinished write was cut off"
                if recovered.torn
                else "the log was not closed"
            )
            words.append(self._own("audit.recovered", "low", text, lost))
            _log.warning("audit_recovered", **lost)
        return words

    def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Write what waits, and the last checkpoint. Blocks."""
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._later.shutdown()
        if self.state != "stopped":
            _log.error("audit_not_closed", state=self.state, waiting=len(self._queue), why=self.why)

    # -- the way in

    def append(
        self,
        record_class: RecordClass,
        record: bytes,
        when_done: Callable[[int | None], None] | None = None,
        *,
        keep: bool = False,
    ) -> bool:
        """Hand over one canonical envelope, from any thread; False if it is lost, which the log itself will say.

        `when_done`: told the record's index when it is on the disk, or None when it never will be. It is called in the
        writer's thread, or right here when False is returned. `keep`: it waits for a disk without room as others do,
        instead of being refused. Raises ValueError for more than 65535 bytes.
        """
        if len(record) > MAX_ENTRY_BYTES:
            raise ValueError(f"a record of {len(record)} bytes")
        taken = self._queue.put(Pending(record_class, record, when_done, keep), self._now_us())
        if not taken and when_done is not None:
            when_done(None)
        return taken

    def append_all(self, records: Sequence[bytes], when_done: Callable[[int | None], None]) -> None:
        """Hand over canonical envelopes of class GROUP in one step, from any thread; what is lost the log itself will say.

        `when_done` is told of the last of them, as by `append` with `keep`. Raises ValueError for more than 65535 bytes.
        """
        for record in records:
            if len(record) > MAX_ENTRY_BYTES:
                raise ValueError(f"a record of {len(record)} bytes")
        group = RecordClass.GROUP
        items = [Pending(group, record, None, True) for record in records[:-1]]
        items.append(Pending(group, records[-1], when_done, True))
        lost = self._queue.put_all(items, self._now_us())
        if lost and lost[-1] is items[-1]:
            when_done(None)

    async def append_durably(self, record: bytes) -> int:
        """Append a record of class SYNC and wait for the disk; returns its index. Raises AuditUnavailable."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int | None] = loop.create_future()

        def tell(index: int | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everybody who waits
                loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(index))

        self.append(RecordClass.SYNC, record, tell)
        index = await done
        if index is None:
            raise AuditUnavailable(self.why or "no room")
        return index

    async def append_signed(self, record: bytes) -> None:
        """As `append_durably`, and wait until a checkpoint is over it. Raises AuditUnavailable."""
        written: list[tuple[ShardWriter, int]] = []

        def tell(index: int | None) -> None:
            if index is not None:
                written.append((self._shard, index))  # in the writer's thread: it is this shard

        self.append(RecordClass.SYNC, record, tell)
        if not await self.durable(_CLOSE_S) or not written:
            raise AuditUnavailable(self.why or "no room")
        shard, index = written[0]
        while self._shard is shard and self._published_size <= index:
            if self.state != "running":
                raise AuditUnavailable(self.why or self.state)
            await asyncio.sleep(_LOOK_FOR_HEAD_S)

    async def durable(self, timeout_s: float) -> bool:
        """Wait until everything that was appended so far is on the disk; False if it is not by then, or cannot be."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int | None] = loop.create_future()

        def tell(index: int | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everybody who waits
                loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(index))

        self.append(RecordClass.SYNC, b"", tell)
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(done, timeout_s) is not None
        return False

    async def rotate(self, reason: str, *, new_keys: bool) -> str:
        """Let the log go on in a new shard, and tell its name. Raises AuditUnavailable."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[str, str]] = loop.create_future()

        def tell(shard: str, why: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everybody who waits
                loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result((shard, why)))

        if self.state != "running":
            raise AuditUnavailable(self.why or self.state)
        self._rotations.ask(reason, tell, new_keys=new_keys)
        shard, why = await done
        if not shard:
            raise AuditUnavailable(why)
        return shard

    def may_proceed(self, record_class: RecordClass) -> bool:
        """May something be done whose record has this class? The failure mode's answer."""
        mode = self._settings.failure_mode
        if mode == "open":
            return True
        if self.state == "running":
            return self._queue.has_room(record_class)
        return mode == "guard" and record_class is not RecordClass.SYNC and self._queue.has_room(record_class)

    def status(self) -> dict[str, Any]:
        """For `ocpp-gateway status` and the metrics."""
        running = self.state != "stopped" and self._first is not None
        return {
            "state": self.state,
            "why": self.why,
            "failure_mode": self._settings.failure_mode,
            "directory": self._settings.directory,
            "shard": self._shard.shard.name if running else "",
            "size": self._shard.size if running else 0,
            "published_size": max(self._published_size, 0),
            "waiting": len(self._queue),
            "waiting_bytes": self._queue.size_bytes,
            "lost": dict(self._queue.lost),
        }

    # -- the thread

    def _run(self) -> None:
        try:
            while not (self._queue.closed and not len(self._queue)) and self.state != "broken":
                self._turn()
            if self.state == "running":
                self._say("audit.stop", "info", "the gateway stops to write", {})
                self._publish()
                self._shard.begin_segment()
                self.state = "stopped"
        except (DiskFull, TrailBroken, OSError) as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  whatever it is: no record is acknowledged any more
            _log.error("audit_failed", error=repr(error), exc_info=error)
            self._fail(error)
        finally:
            self._rotations.refuse(self.why or "the gateway stops")
            if self._first is not None:
                self._shard.close()
            self._root.close()

    def _turn(self) -> None:
        if self.state == "full" and not self._try_again():
            time.sleep(_LOOK_AGAIN_S if not self._queue.closed else 0)
            if self._queue.closed:
                raise DiskFull(self.why)
            return
        batch = self._queue.take(self._until_due_s())
        try:
            if batch:
                self._commit(batch)
            self._tell_gap()
            if self._is_due():
                self._publish()
            self._rotate()
        except DiskFull as error:
            self._go_full(error)
        except TrailBroken as error:
            self._fail(error)

    def _rotate(self) -> None:
        """Go on in a new shard, if it is time. Raises DiskFull, TrailBroken."""
        following = self._rotations.step(self._shard, self._now_us())
        if following is not self._shard:
            self._shard = following
            self._publish()

    def _commit(self, batch: list[Pending]) -> None:
        """Durable, acknowledged, hashed: in this order. Raises DiskFull, TrailBroken."""
        envelopes = [pending.envelope for pending in batch if pending.envelope]
        try:
            index = self._shard.commit(envelopes) if envelopes else self._shard.size
        except (DiskFull, TrailBroken):
            self._queue.put_back(batch)
            raise
        for pending in batch:
            if pending.when_done is not None:
                pending.when_done(index)
            index += bool(pending.envelope)  # one that is empty only asks whether those before it are there
        if envelopes:
            self._hash(envelopes)

    def _hash(self, envelopes: list[bytes]) -> None:
        """What was committed goes into the tree. Raises DiskFull, TrailBroken."""
        self._shard.grow(envelopes)
        self._shard.write_tiles()

    def _refuse_waiting(self) -> None:
        """Nobody waits for ever. It is no loss: what they would be the records of does not happen."""
        for pending in self._queue.refuse_waiting(self._now_us()):
            if pending.when_done is not None:
                pending.when_done(None)

    def _publish(self) -> None:
        """Raises DiskFull, TrailBroken."""
        head = self._shard.publish(self._now_s())
        self._published_size, self.last_published = head.size, time.monotonic()
        try:
            self._root.note(self._shard.shard, head)
        except OSError as error:
            _log.warning("audit_head_not_noted", error=str(error))

    def _is_due(self) -> bool:
        since = time.monotonic() - self.last_published
        grown = self._shard.size > self._published_size
        return since >= (self._settings.checkpoint_interval_s if grown else self._settings.heartbeat_s)

    def _until_due_s(self) -> float:
        grown = self._shard.size > self._published_size
        every = self._settings.checkpoint_interval_s if grown else self._settings.heartbeat_s
        return max(0.0, min(every - (time.monotonic() - self.last_published), _LOOK_AGAIN_S))

    # -- failures

    def _go_full(self, error: DiskFull) -> None:
        """Give up the reserve for the last words."""
        if self.state == "full":
            return
        self._note_full()
        try:
            self._disk.remove(self._root.reserve)
            if self._rotations.is_under_way:
                return  # that shard has had its last words
            self._say("audit.stop", "critical", "there is no room on the disk", {"why": str(error)})
            self._publish()
        except DiskFull:
            pass
        except (TrailBroken, OSError) as failed:
            self._fail(failed)

    def _note_full(self) -> None:
        self.state, self.why = "full", f"no room on the disk of {self._settings.directory}"
        self._refuse_waiting()
        self._rotations.refuse(self.why)
        _log.error("audit_disk_full", directory=self._settings.directory)

    def _try_again(self) -> bool:
        """True once there is room for the reserve and as much again."""
        try:
            if self._disk.free_bytes(self._root.directory) < 2 * self._settings.reserve_bytes:
                return False
            self._take_reserve()
            if self._first is None or self._first:
                self._begin()
            else:
                if self._rotations.is_under_way:
                    self._rotate()
                self._say("audit.start", "high", "there is room on the disk again", {})
        except (OSError, DiskFull):
            return False
        except (LogRefused, TrailBroken) as error:
            self._fail(error)
            return False
        self.state, self.why = "running", ""
        self._queue.accept_waiting()
        self._rotations.accept()
        _log.warning("audit_running_again")
        return True

    def _take_reserve_if_there_is_room(self) -> None:
        """At the start a small disk is no reason to refuse everybody: the log may end without its last words."""
        try:
            self._take_reserve()
        except OSError as error:
            _log.warning("audit_without_reserve", reserve_bytes=self._settings.reserve_bytes, error=str(error))

    def _take_reserve(self) -> None:
        if self._settings.reserve_bytes:
            self._disk.reserve(self._root.reserve, self._settings.reserve_bytes)

    def _fail(self, error: BaseException) -> None:
        """For good: what the disk said once is believed until somebody has looked at it and starts us again."""
        self.state, self.why = "broken", f"the disk has failed: {error}"
        self._refuse_waiting()
        self._rotations.refuse(self.why)
        _log.error("audit_broken", why=str(error), directory=self._settings.directory)

    # -- records of the log itself

    def _own(self, kind: str, severity: str, text: str, facts: dict[str, Any]) -> bytes:
        return envelope(kind, self._stamper.stamp(), sev=severity, text=text, log=facts)

    def _tell_gap(self) -> None:
        """Raises DiskFull, TrailBroken; what could not be told is told later."""
        gap, size = self._queue.take_gap(), self._shard.size
        if gap is None:
            return
        facts = {"from": gap.from_us, "to": gap.to_us, "count": gap.count, "by_class": gap.by_class}
        only_refused = gap.by_class.keys() == {"refused"}
        text = "what was to be recorded first did not happen" if only_refused else "records were lost"
        _log.error("audit_gap", **facts)
        try:
            self._say("audit.gap", "medium" if only_refused else "critical", text, facts)
        except DiskFull:
            if self._shard.size == size:
                self._queue.return_gap(gap)
            raise

    def _say(self, kind: str, severity: str, text: str, facts: dict[str, Any]) -> None:
        """Write a record of the log itself. Raises DiskFull, TrailBroken."""
        record = self._own(kind, severity, text, facts)
        try:
            self._shard.commit([record])
        except DiskFull:
            self._stamper.take_back()
            raise
        self._hash([record])

    def _now_us(self) -> int:
        return self._wall_ns() // 1000

    def _now_s(self) -> int:
        return self._wall_ns() // 1_000_000_000
