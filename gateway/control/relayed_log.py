"""Makes records of what edges relay: by action in full, in short, or counted; numbered, and what is missing told.

Edges hand over frames as they came, with what they have read of them, and counts of those of which no more is wanted.
Records are made here, in a thread of its own: the event loop, on which admissions wait, only passes them on.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import msgspec
import structlog

from gateway.audit.canonical import NotCanonical
from gateway.audit.charger_events import ChargerEvent, charger_event_of, charger_event_record
from gateway.audit.crowd import Crowd
from gateway.audit.plain_records import PlainRecords, filled, is_plain
from gateway.audit.record import RecordClass, envelope
from gateway.audit.relayed import (
    Head,
    Levels,
    Message,
    RuleSaid,
    counted_record,
    is_security_event,
    message_record,
)
from gateway.control.frame_bodies import FrameBodies, names_nobody
from gateway.control.trail.stamp import Stamper
from gateway.link.messages import ControlMessage
from gateway.link.relayed import FrameSource, FramesRecorded, RelayedFrame, RelayedFrames

__all__ = ["RelayedLog"]

_MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
_COUNT_FOR_S: Final = 900.0
"""How long frames of a session are counted before a record says how many."""
_MOST_COUNTED: Final = 200
"""Actions by name in one record: a peer may invent more, and a record has its size."""
_AFTER_END_S: Final = 2.0
"""What an edge still has of a session that has ended comes within this."""
_log = structlog.get_logger("control.audit")


class Edge(Protocol):
    """Where answers go."""

    slot: int

    def send(self, message: ControlMessage) -> None: ...


WhenDone = Callable[[int | None], None]
Tell = Callable[[FramesRecorded], None]


class Log(Protocol):
    """The way into the log, from any thread: `AuditWriter`."""

    def append(
        self,
        record_class: RecordClass,
        record: bytes,
        when_done: WhenDone | None = None,
        *,
        keep: bool = False,
    ) -> bool: ...

    def append_all(self, records: Sequence[bytes], when_done: WhenDone) -> None: ...


class _Counted(msgspec.Struct):
    """Frames of a session that stand in no record yet."""

    stamper: Stamper
    charge_point_id: str
    since: float
    due: float
    """Monotonic seconds."""
    counts: dict[str, int]
    size: int = 0


class _Plain:
    """What plain records of one run of an edge are made with, under one policy and one choice of levels."""

    __slots__ = ("_in_short", "levels", "policy", "records")

    def __init__(self, levels: Levels, policy: str, records: PlainRecords) -> None:
        self.levels, self.policy, self.records = levels, policy, records
        self._in_short: dict[str, bool] = {}

    def is_in_short(self, action: str) -> bool:
        """True of an action each of whose messages gets a record that holds nothing of its text."""
        found = self._in_short.get(action)
        if found is None:
            if len(self._in_short) >= _MOST_COUNTED:
                self._in_short.clear()
            is_meta = self.levels.of(action, is_remarkable=False) == "meta"
            found = self._in_short[action] = is_meta and not is_security_event(action)
        return found


class RelayedLog:
    """One per node. `levels` may be replaced at any time."""

    def __init__(self, log: Log, boot: str, bodies: FrameBodies) -> None:
        self.levels = Levels()
        self.goes_on_without = False
        """Whether a command happens although the log cannot be written (mode ``open``)."""
        self.on_report: Callable[[FrameSource, ChargerEvent], None] | None = None
        """Hears, on the event loop, of each SecurityEventNotification of a charge point, once."""
        self._append = log.append
        self._append_all = log.append_all
        self._boot = boot
        self._bodies = bodies
        self._pool = ThreadPoolExecutor(1, "audit-frames")
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting_bytes = 0
        # The rest belongs to the thread.
        self._stampers: dict[tuple[int, str], Stamper] = {}
        self._numbers: dict[tuple[Stamper, str], int] = {}
        self._batches: dict[tuple[Stamper, str], tuple[int, int]] = {}
        """The last batch, and how many frames were only counted up to then."""
        self._plain: dict[tuple[Stamper, str], _Plain] = {}
        self._counted: dict[str, _Counted] = {}
        self._crowd = Crowd()
        self._ending: deque[tuple[float, str]] = deque()
        """When nothing more comes (monotonic seconds) of which session that is over. The event loop appends, the thread takes."""

    # -- from the event loop

    def take(self, edge: Edge, message: RelayedFrames) -> None:
        """Frames of an edge. What finds no room is missing by its number: the next ones say so."""
        loop = self._loop = asyncio.get_running_loop()
        size = sum(len(frame.data) for frame in message.frames)
        with self._lock:
            if self._waiting_bytes + size > _MAX_WAITING_BYTES:
                edge.send(FramesRecorded(message.boot, message.batch))
                return
            self._waiting_bytes += size

        def tell(answer: FramesRecorded) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(edge.send, answer)

        with contextlib.suppress(RuntimeError):  # after `close`: it is missing by its number
            self._pool.submit(self._take, edge.slot, message, size, tell)

    def ended(self, session: str) -> None:
        """A session is over: what was counted of it is said soon."""
        # Not handed to the thread, which is woken every second anyway: in a reconnect storm waking it costs more than all it does.
        self._ending.append((time.monotonic() + _AFTER_END_S, session))

    async def tick(self) -> None:
        """Say what was counted for long enough."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._say_counted, time.monotonic())

    def close(self) -> None:
        """Make records of all that was taken. Blocks."""
        self._pool.submit(self._say_counted, float("inf"))
        self._pool.shutdown()

    # -- the thread

    def _take(self, slot: int, message: RelayedFrames, size: int, tell: Tell) -> None:
        try:
            self._record(slot, message, tell)
        finally:
            with self._lock:
                self._waiting_bytes -= size

    def _record(self, slot: int, message: RelayedFrames, tell: Tell) -> None:
        who = (slot, message.boot)
        stamper = self._stampers.get(who)
        if stamper is None:
            stamper = self._stampers[who] = Stamper(f"edge-{slot}", f"{message.boot}.{self._boot}")
        plain, records = self._plain_records(stamper, message), list[tuple[RelayedFrame, bytes]]()
        for frame in message.frames:
            record = self._plain_record(plain, stamper, message.boot, frame)
            if record:
                records.append((frame, record))
            else:
                records += self._records_of(stamper, message, frame)
        self._take_counted(stamper, message)
        self._flush_bodies(stamper)
        acknowledge = _acknowledging(tell, message.boot, message.batch)
        runs = [(waits, list(run)) for waits, run in itertools.groupby(records, key=lambda made: made[0].answer)]
        for place, (waits, run) in enumerate(runs, 1):
            done = acknowledge if place == len(runs) else _nobody
            if not waits:
                self._append_all([record for _, record in run], done)
                continue
            for frame, record in run:
                self._append_first(record, message.boot, frame.number, done if record is run[-1][1] else _nobody, tell)
        unanswered = {frame.number for frame in message.frames if frame.answer}
        unanswered -= {frame.number for frame, _ in records if frame.answer}
        if unanswered:  # no record of them could be made
            tell(FramesRecorded(message.boot, 0, dict.fromkeys(unanswered, self.goes_on_without)))
        if not records:
            tell(FramesRecorded(message.boot, message.batch))

    def _take_counted(self, stamper: Stamper, message: RelayedFrames) -> None:
        """Counts of a batch, unless it was here already; the log says so where some are missing."""
        who = (stamper, message.boot)
        batch, before = self._batches.get(who, (message.batch - 1, -1))
        if message.batch <= batch:
            return  # sent again
        self._batches[who] = (message.batch, message.counted_so_far)
        told = sum(sum(each.counts.values()) for each in message.counted)
        if before >= 0 and (missing := message.counted_so_far - before - told) > 0:
            self._append(RecordClass.GROUP, _gap(stamper, message.boot, missing))
        for each in message.counted:
            counted = self._counting(stamper, each.source, each.since)
            for action, count in each.counts.items():
                _add(counted, action, count)
            counted.size += each.size

    def _plain_records(self, stamper: Stamper, message: RelayedFrames) -> "_Plain":
        who = (stamper, message.boot)
        plain = self._plain.get(who)
        if plain is None or plain.policy != message.revision or plain.levels is not self.levels:
            made = PlainRecords(stamper.form(), message.revision, message.boot)
            plain = self._plain[who] = _Plain(self.levels, message.revision, made)
        return plain

    def _plain_record(self, plain: "_Plain", stamper: Stamper, boot: str, frame: RelayedFrame) -> bytes:
        """The record of a frame that simply went on and names no driver, in one step; empty for any other.

        Most are so, and a record costs a third of what it costs step by step.
        """
        head, source, who = frame.head, frame.source, (stamper, boot)
        is_answer = frame.after_ms is not None
        if (
            frame.note is not None
            or frame.answer
            or head.kind != ("result" if is_answer else "call")
            or frame.number != self._numbers.get(who, frame.number) + 1
            or not plain.is_in_short(frame.action)
            or not is_plain(head.message_id)
            or not is_plain(source.charge_point_id)
            or not is_plain(source.session)
            or not names_nobody(frame.data)
        ):
            return b""
        text = plain.records.text(frame.action, source.version, from_csms=frame.from_csms, is_answer=is_answer)
        if not text:
            return b""
        self._numbers[who] = frame.number
        stamp, size = stamper.stamp(int(frame.time * 1_000_000)), len(frame.data)
        ids = source.charge_point_id, source.session, head.message_id
        return filled(text, stamp, *ids, frame.number, size, frame.after_ms)

    def _records_of(
        self, stamper: Stamper, message: RelayedFrames, frame: RelayedFrame
    ) -> Iterator[tuple[RelayedFrame, bytes]]:
        """The record of a frame, behind that of what is missing before it; none if it is counted, or was here already."""
        who = (stamper, message.boot)
        before = self._numbers.get(who)
        if before is not None and frame.number <= before:
            return  # sent again
        if before is not None and frame.number > before + 1:
            gap = _gap(stamper, message.boot, frame.number - before - 1, before + 1)
            yield msgspec.structs.replace(frame, answer=False), gap
        self._numbers[who] = frame.number
        try:
            record = self._record_of(stamper, message, frame)
        except Exception as error:  # noqa: BLE001  the defect of one frame must not end the records of all
            _log.error("frame_not_recorded", session=frame.source.session, error=repr(error), exc_info=error)
            lost = _gap(stamper, message.boot, 1, frame.number)
            yield msgspec.structs.replace(frame, answer=False), lost
            return
        if record is not None:
            yield frame, record
        event = charger_event_of(frame.data, frame.source.version) if _may_report(frame) else None
        if event is not None:
            self._hear(frame.source, event)
            yield (
                frame,
                charger_event_record(
                    stamper.stamp(int(frame.time * 1_000_000)),
                    event,
                    charge_point_id=frame.source.charge_point_id,
                    session=frame.source.session,
                    version=frame.source.version,
                    edge={"boot": message.boot, "frame": frame.number},
                ),
            )

    def _hear(self, source: FrameSource, event: ChargerEvent) -> None:
        if self.on_report is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; the record is still made
                self._loop.call_soon_threadsafe(self.on_report, source, event)

    def _flush_bodies(self, stamper: Stamper) -> None:
        """Texts are on the disk before their records are."""
        try:
            self._bodies.flush()
        except OSError as error:
            _log.error("audit_payloads_lost", error=str(error))
            lost = envelope("audit.payloads_lost", stamper.stamp(), sev="high", text="texts could not be written")
            self._append(RecordClass.GROUP, lost)

    def _append_first(self, record: bytes, boot: str, number: int, done: WhenDone, tell: Tell) -> None:
        """A record that its effect waits for. What cannot be recorded first is recorded when it can be."""

        def answer(index: int | None) -> None:
            tell(FramesRecorded(boot, 0, {number: index is not None or self.goes_on_without}))
            if index is None:
                self._append(RecordClass.GROUP, record, done, keep=True)
            else:
                done(index)

        self._append(RecordClass.SYNC, record, answer)

    def _record_of(self, stamper: Stamper, message: RelayedFrames, frame: RelayedFrame) -> bytes | None:
        """The record of a frame; None for one that is counted."""
        source, note = frame.source, frame.note
        head, action = frame.head, frame.action
        level = self.levels.of(action, is_remarkable=note is not None and _is_remarkable(note.decision, note.matches))
        if note is not None and not frame.answer and _is_refused(note.decision) and not self._stands_out(frame, action):
            self._count(stamper, frame, f"{action or head.kind}: {note.decision}")
            return None
        if level == "count":
            self._count(stamper, frame, action or head.kind)
            return None
        said = tuple(
            RuleSaid(
                event=each.event, rule=each.rule, severity=each.severity, effect=each.effect, would=each.would,
                detail=each.detail,
            )
            for each in (note.matches if note is not None else ())
        )  # fmt: skip
        told = Message(
            head=head,
            action=action,
            charge_point_id=source.charge_point_id,
            session=source.session,
            version=source.version,
            from_csms=frame.from_csms,
            size=len(frame.data),
            after_ms=frame.after_ms,
            decision=note.decision if note is not None else "forward",
            said=said,
            policy=message.revision,
            edge_boot=message.boot,
            number=frame.number,
            subjects=self._bodies.subjects(frame) if level == "meta" else (),
        )
        if level == "full":
            body, subjects = self._bodies.body(frame)
            told = msgspec.structs.replace(told, body=body, subjects=subjects)
        stamp = stamper.stamp(int(frame.time * 1_000_000))
        try:
            return message_record(stamp, told)
        except NotCanonical:
            head = Head(head.kind)
            return message_record(stamp, msgspec.structs.replace(told, head=head, action="", body=None, subjects=()))

    # -- counting

    def _stands_out(self, frame: RelayedFrame, action: str) -> bool:
        """Whether a refused frame is more than the next one of many that are refused for the same reason."""
        note = frame.note
        assert note is not None
        why = tuple((each.event, each.rule, each.detail) for each in note.matches)
        kind = (frame.source.session, frame.from_csms, action, note.decision, why)
        return self._crowd.has_room(kind, time.monotonic())

    def _count(self, stamper: Stamper, frame: RelayedFrame, action: str) -> None:
        counted = self._counting(stamper, frame.source, frame.time)
        _add(counted, action, 1)
        counted.size += len(frame.data)

    def _counting(self, stamper: Stamper, source: FrameSource, since: float) -> _Counted:
        counted = self._counted.get(source.session)
        if counted is None:
            due = time.monotonic() + _COUNT_FOR_S
            counted = self._counted[source.session] = _Counted(stamper, source.charge_point_id, since, due, {})
        return counted

    def _say_counted(self, now: float) -> None:
        while self._ending and self._ending[0][0] <= now:
            _, session = self._ending.popleft()
            if session in self._counted:
                self._counted[session].due = now
        for session, counted in list(self._counted.items()):
            if counted.due <= now:
                del self._counted[session]
                record = counted_record(
                    counted.stamper.stamp(),
                    charge_point_id=counted.charge_point_id,
                    session=session,
                    counts=counted.counts,
                    size=counted.size,
                    since_us=int(counted.since * 1_000_000),
                )
                self._append(RecordClass.GROUP, record)


def _nobody(_index: int | None) -> None:
    """Waits for it."""


def _acknowledging(tell: Tell, boot: str, number: int) -> WhenDone:
    return lambda _: tell(FramesRecorded(boot, number))


def _may_report(frame: RelayedFrame) -> bool:
    """True for what charge points report of themselves."""
    return not frame.from_csms and frame.head.kind == "call" and is_security_event(frame.action)


def _is_refused(decision: str) -> bool:
    return decision in {"refuse", "close"}


def _is_remarkable(decision: str, matches: tuple[object, ...]) -> bool:
    return bool(matches) or decision not in {"forward", "queue", "own", "answer"}


def _add(counted: _Counted, action: str, count: int) -> None:
    if action not in counted.counts and len(counted.counts) >= _MOST_COUNTED:
        action = "others"
    counted.counts[action] = counted.counts.get(action, 0) + count


def _gap(stamper: Stamper, boot: str, count: int, first: int | None = None) -> bytes:
    """`first`: the number of the first that is missing; None for those that were only counted."""
    facts = {"edge": boot, "count": count, "by_class": {"group": count}}
    if first is not None:
        facts |= {"from": first, "to": first + count - 1}
    _log.error("audit_gap", **facts)
    return envelope("audit.gap", stamper.stamp(), sev="critical", text="frames of an edge were lost", log=facts)
