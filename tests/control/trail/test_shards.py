"""A log over years: shards that follow each other, provable end to end; and what happens when one is tampered with."""

import contextlib
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from gateway.audit.note import VerifierKey
from gateway.audit.record import RecordClass, envelope
from gateway.audit.succession import Closing, beginning_facts, closing_facts, renamed
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditUnavailable, AuditWriter, LogRefused
from gateway.control.rotations import Rotations
from gateway.control.sinks.cursor import Position, read_raw
from gateway.control.trail.chain import verify_log
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import Shard, shards_in
from gateway.control.trail.reader import LogReader, ShardReader, decoded
from gateway.control.trail.root import TrailRoot, begin_new_history
from gateway.control.trail.segment import frames, header, segment_name, segments_in
from gateway.control.trail.stamp import Stamper
from tests.control.test_audit_writer import FullDisk, until
from tests.support.trail import NOW_S, FailingDisk, Fault

GROUP, SYNC = RecordClass.GROUP, RecordClass.SYNC
MONTH_NS = 31 * 86_400 * 10**9


class QuickDisk(Disk):
    """Does not wait for the disk: what a process has written is there after its end, and these tests cut no power."""

    @override
    def fdatasync(self, descriptor: int) -> None:
        """At once."""

    @override
    def sync_directory(self, path: Path) -> None:
        """At once."""


class Log:
    """An audit log whose clock the test sets."""

    def __init__(self, place: Path, disk: Disk | None = None, **more: Any) -> None:
        self.place, self.root, self.keys = place, place / "audit", place / "keys"
        self.disk, self.more = disk or QuickDisk(), more
        self.now_ns = NOW_S * 10**9
        self.number = 0

    def open(self) -> AuditWriter:
        settings = {"directory": str(self.root), "reserve_bytes": 4096, "checkpoint_interval_s": 0.02, **self.more}
        writer = AuditWriter(Audit(**settings), self.keys, disk=self.disk, wall_ns=lambda: self.now_ns)
        writer.open()
        return writer

    def write(self, writer: AuditWriter, count: int) -> None:
        """So many records, on the disk."""
        done: list[int | None] = []
        for _ in range(count):
            self.number += 1
            writer.append(GROUP, b'{"n":%d}' % self.number)
        writer.append(SYNC, b"", done.append)
        until(lambda: done)

    def rotated(self, writer: AuditWriter, *, new_keys: bool = False) -> str:
        """Ask for a new shard, and wait for it."""
        told: list[tuple[str, str]] = []
        writer._rotations.ask("why not", lambda shard, why: told.append((shard, why)), new_keys=new_keys)
        writer.append(SYNC, b"")
        until(lambda: told)
        assert told[0][1] == ""
        return told[0][0]

    def grown(self, *counts: int, new_keys: tuple[int, ...] = ()) -> "Log":
        """A shard for each count; before those in `new_keys` the keys change."""
        writer = self.open()
        for number, count in enumerate(counts):
            if number:
                self.rotated(writer, new_keys=number in new_keys)
            self.write(writer, count)
        writer.close()
        return self

    def kinds(self, shard: str) -> list[str]:
        found = (decoded(data) for _, data in ShardReader(Shard(self.root / shard)).records())
        return [record["type"] for record in found if "type" in record]

    def numbers(self) -> list[int]:
        """Of the test's own records, over all shards."""
        reader = LogReader(self.root)
        return [record["n"] for *_, data in reader.new() if "n" in (record := decoded(data))]

    def keys_of(self, shard: str) -> tuple[VerifierKey, ...]:
        return Shard(self.root / shard).read_keys()

    def states(self, **more: Any) -> dict[str, list[str]]:
        """What `verify` finds, by shard."""
        return {
            report.shard: [finding.state for finding in report.findings]
            for report in verify_log(self.root, **more)
            if report.findings
        }


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


class TestRotating:
    def test_each_shard_ends_with_the_next_and_begins_with_the_one_before(self, log: Log) -> None:
        log.grown(300, 3, 5)
        assert log.kinds("0001") == ["audit.start", "audit.closed"]
        assert log.kinds("0002") == ["audit.continued", "audit.closed"]
        assert log.kinds("0003") == ["audit.continued", "audit.stop"]
        assert log.numbers() == list(range(1, 309))
        assert log.states() == {}
        reports = verify_log(log.root)
        assert [report.size for report in reports] == [302, 5, 7]
        assert [report.origin.rpartition("/")[2] for report in reports] == ["0001", "0002", "0003"]

    def test_with_each_month_by_itself(self, log: Log) -> None:
        writer = log.open()
        log.write(writer, 2)
        log.now_ns += MONTH_NS
        until(lambda: len(shards_in(log.root)) == 2)
        log.write(writer, 1)
        log.now_ns -= 2 * MONTH_NS  # a clock that goes back is no new month
        log.write(writer, 1)
        writer.close()
        log.now_ns += 3 * MONTH_NS
        writer = log.open()
        until(lambda: len(shards_in(log.root)) == 3)
        writer.close()
        assert log.kinds("0001") == ["audit.start", "audit.closed"]
        assert log.kinds("0002") == ["audit.continued", "audit.stop", "audit.start", "audit.closed"]
        assert log.states() == {}

    def test_never_by_itself_if_the_configuration_says_so(self, tmp_path: Path) -> None:
        log = Log(tmp_path, rotate="never")
        writer = log.open()
        log.now_ns += MONTH_NS
        log.write(writer, 1)
        assert log.rotated(writer) == "0002", "and when asked it does"
        writer.close()
        assert len(shards_in(log.root)) == 2

    def test_a_log_of_one_shard_goes_on_as_before(self, log: Log) -> None:
        for _ in range(2):
            log.grown(1)
        assert [shard.name for shard in shards_in(log.root)] == ["0001"]
        assert log.states() == {}

    async def test_one_that_cannot_be_made_is_refused(self, log: Log) -> None:
        disk = log.disk = FailingDisk()
        writer = log.open()
        (log.keys / "next").write_text("in the way")
        with pytest.raises(AuditUnavailable, match="next"):
            await writer.rotate("x", new_keys=True)
        assert await writer.rotate("x", new_keys=False) == "0002"
        disk.faults = [Fault("fdatasync", disk.calls.count("fdatasync"))]
        with pytest.raises(AuditUnavailable, match="has failed"):
            await writer.rotate("x", new_keys=False)
        with pytest.raises(AuditUnavailable, match="has failed"):
            await writer.rotate("x", new_keys=False)
        writer.close()
        disk.faults = []
        log.open().close()
        assert log.states() == {}, "and the next start goes on"

    def test_readers_go_on_from_shard_to_shard(self, log: Log) -> None:
        log.grown(300, 3, 5)
        reader = LogReader(log.root)
        reader.go_before_the_end(10)
        assert [f"{shard}/{index}" for shard, index, _ in reader.new()] == [
            "0002/2", "0002/3", "0002/4", *(f"0003/{number}" for number in range(7))
        ]  # fmt: skip
        assert list(reader.new()) == []
        assert Position.before_the_end(log.root, 10) == Position("0002", 2)
        assert Position.before_the_end(log.root, 10**6) == Position("0001", 0)
        position, seen = Position("", 0), 0
        while True:
            _, found, position = read_raw(log.root, position, 100)
            seen += len(found)
            if not found:
                break
        assert (seen, position) == (314, Position("0003", 7))


class TestTampering:
    """`verify` names what was done; the near-miss, an untouched log, is in every other test here."""

    def test_a_shard_in_the_middle_is_taken_away(self, log: Log) -> None:
        log.grown(3, 3, 3)
        shutil.rmtree(log.root / "0002")
        assert log.states() == {"0002": ["shard-missing"]}

    def test_the_newest_shard_is_taken_away(self, log: Log) -> None:
        log.grown(3, 3)
        shutil.rmtree(log.root / "0002")
        assert log.states() == {"0002": ["shard-missing"]}
        with pytest.raises(LogRefused, match="0002 was published, and it is gone"):
            log.open()

    def test_two_shards_change_places(self, log: Log) -> None:
        log.grown(3, 3, 3)
        (log.root / "0001").rename(log.root / "x")
        (log.root / "0002").rename(log.root / "0001")
        (log.root / "x").rename(log.root / "0002")
        states = log.states()
        assert "chain-broken" in states["0001"]
        assert "chain-broken" in states["0002"]

    def test_a_shard_gets_another_number(self, log: Log) -> None:
        log.grown(3, 3)
        (log.root / "0002").rename(log.root / "0003")
        assert log.states() == {"0002": ["shard-missing"], "0003": ["chain-broken", "chain-broken"]}
        with pytest.raises(LogRefused, match="nobody has begun shard 0003"):
            log.open()

    def test_an_older_copy_of_a_closed_shard(self, log: Log) -> None:
        log.grown(3)
        shutil.copytree(log.root / "0001", log.place / "copy")
        writer = log.open()
        log.rotated(writer)
        writer.close()
        shutil.rmtree(log.root / "0001")
        (log.place / "copy").rename(log.root / "0001")
        assert log.states() == {"0001": ["rolled-back"], "0002": ["chain-broken"]}
        writer = log.open()
        writer.close()
        start = next(record for record in self.records(log, "0002") if record.get("type") == "audit.start")
        assert (start["sev"], start["log"]["unproven"]) == ("high", ["0001"])

    def records(self, log: Log, shard: str) -> list[dict[str, Any]]:
        return [decoded(data) for _, data in ShardReader(Shard(log.root / shard)).records()]

    def test_a_closed_shard_is_written_on_with_its_own_keys(self, log: Log) -> None:
        """As somebody can who has the signing keys."""
        log.grown(3, 3)
        (log.root / "0002").rename(log.place / "kept")
        (log.keys / "last-head").unlink()
        with contextlib.suppress(LogRefused):
            writer = log.open()
            log.write(writer, 1)
            writer.close()
        shutil.rmtree(log.root / "0002")
        (log.place / "kept").rename(log.root / "0002")
        assert log.states() == {}, "what was made in the place of 0002 is not in 0001"

    def test_another_history_of_a_closed_shard(self, log: Log, tmp_path: Path) -> None:
        log.grown(3, 3)
        other = Log(tmp_path / "other")
        shutil.copytree(log.keys, other.keys)
        (other.keys / "last-head").unlink()
        other.grown(3, 1)
        shutil.rmtree(log.root / "0001")
        shutil.copytree(other.root / "0001", log.root / "0001")
        assert log.states() == {"0001": ["split-view"] }  # fmt: skip

    def test_any_bit_at_the_border(self, log: Log) -> None:
        log.grown(3, 3)
        rng = random.Random(6)
        for path in (
            "0001/checkpoint",
            "0001/keys",
            "0001/tile/entries/000.p/5",
            "0002/keys",
            "0002/tile/entries/000.p/5",
        ):
            whole = (log.root / path).read_bytes()
            for _ in range(4):
                changed = bytearray(whole)
                changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
                (log.root / path).write_bytes(changed)
                assert log.states(), path
            (log.root / path).write_bytes(whole)
        assert log.states() == {}

    def test_records_that_were_lost_at_a_border_are_missing(self, log: Log) -> None:
        """Numbers go on over the border; a gap that is announced in the next shard is none."""
        writer = log.open()
        stamped = b'{"boot":"b","mono":1,"seq":%d,"ts":1,"worker":"w"}'
        writer.append(GROUP, stamped % 1)
        log.rotated(writer)
        writer.append(GROUP, stamped % 3)
        log.write(writer, 1)
        writer.close()
        assert log.states() == {"0002": ["record-lost"]}
        writer = log.open()
        writer.append(GROUP, b'{"log":{"count":1},"type":"audit.gap"}')
        writer.close()
        assert log.states() == {}

    def test_a_shard_that_somebody_has_put_there_is_not_signed(self, log: Log) -> None:
        """Its first record says all the right things, and no key was needed to write it."""
        log.grown(3)
        note = (log.root / "0001/checkpoint").read_bytes()
        facts = beginning_facts("0002", "0001", note)
        record = envelope("audit.continued", stamper_of("forged").stamp(), sev="info", log=facts)
        state = log.root / "0002/state"
        state.mkdir(parents=True)
        (state / segment_name(0)).write_bytes(header(0) + frames(0, [record]))
        with pytest.raises(LogRefused, match="0002 has no checkpoint"):
            log.open()
        shutil.rmtree(log.root / "0002")
        log.open().close()

    def test_an_older_copy_of_the_newest_shard(self, log: Log) -> None:
        log.grown(3, 3)
        shutil.copytree(log.root / "0002", log.place / "copy")
        log.grown(5)
        shutil.rmtree(log.root / "0002")
        (log.place / "copy").rename(log.root / "0002")
        with pytest.raises(LogRefused, match="smaller"):
            log.open()

    def test_what_follows_a_history_that_was_given_up(self, log: Log) -> None:
        log.grown(3)
        begin_new_history(log.root, log.keys, "", "0001", "why not", NOW_S)
        log.grown(1, 1)
        assert log.states() == {}
        assert log.kinds("0002") == ["audit.new_history", "audit.start", "audit.closed"]
        shutil.rmtree(log.root / "0003")
        shutil.rmtree(log.root / "0002")
        assert log.states() == {}, "0001 does not know what came after it: that is what anchors are for"
        with pytest.raises(LogRefused, match="0003 was published"):
            log.open()


class Killed(BaseException):
    """kill -9, as the code that is killed sees it."""


class KillingDisk(QuickDisk):
    """Kills whoever makes the n-th change that outlives a process."""

    def __init__(self) -> None:
        self.left = -1
        self.killed = False

    def _step(self) -> None:
        if self.killed or self.left == 0:
            self.killed = True
            raise Killed
        self.left -= 1

    @override
    def write(self, descriptor: int, data: bytes) -> int:
        self._step()
        return super().write(descriptor, data)

    @override
    def replace(self, path: Path, data: bytes, *, durable: bool) -> None:
        self._step()
        super().replace(path, data, durable=durable)

    @override
    def open_append(self, path: Path) -> int:
        self._step()
        return super().open_append(path)

    @override
    def sync_directory(self, path: Path) -> None:
        self._step()
        super().sync_directory(path)

    @override
    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)


class Inline(ThreadPoolExecutor):
    """What may wait is done at once, so that a crash comes there as well."""

    @override
    def submit(self, work: Callable[..., Any], /, *words: Any, **named: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(work(*words, **named))
        return done


def stamper_of(boot: str) -> Stamper:
    return Stamper("audit", boot, lambda: NOW_S * 10**9)


def opened_again(log: Log) -> None:
    """Start once more, with one record."""
    root = TrailRoot(log.root, log.keys, QuickDisk())
    try:
        writer, _ = root.open_current("", NOW_S, stamper_of("after"))
        log.number += 1
        record = b'{"n":%d}' % log.number
        writer.commit([record])
        writer.grow([record])
        root.note(writer.shard, writer.publish(NOW_S))
        writer.close()
    finally:
        root.close()


def rotated_until_killed(log: Log, disk: KillingDisk, step: int, *, new_keys: bool) -> None:
    """One record and a rotation, up to the n-th change of the disk."""
    root, stamper, later = TrailRoot(log.root, log.keys, disk), stamper_of("before"), Inline(1)
    try:
        writer, _ = root.open_current("", NOW_S, stamper)
        rotations = Rotations(root, Audit(rotate="never"), stamper, later)
        rotations.opened(writer)
        log.number += 1
        record = b'{"n":%d}' % log.number
        writer.commit([record])
        writer.grow([record])
        rotations.ask("x", lambda *_: None, new_keys=new_keys)
        disk.left = step
        before = writer
        while writer is before:
            writer = rotations.step(writer, NOW_S * 10**6)
        writer.close()
    except Killed:
        pass
    finally:
        root.close()


@pytest.mark.parametrize(("new_keys", "stride"), [(False, 3), (True, 1)])
def test_a_crash_at_each_step_of_a_rotation(tmp_path: Path, new_keys: bool, stride: int) -> None:
    """The process ends before its n-th change of the disk, for each n; the next start has one log, whole."""
    made = Log(tmp_path / "made").grown(3)
    ends: set[tuple[int, tuple[str, ...]]] = set()
    step = 0
    while True:
        disk, log = KillingDisk(), Log(tmp_path / str(step))
        shutil.copytree(made.place, log.place)
        log.number = 3
        rotated_until_killed(log, disk, step, new_keys=new_keys)
        if not disk.killed:
            break
        found = log.states()
        assert found in ({}, {"0002": ["shard-missing"]}), "at the most it is closed, and has not gone on yet"
        ends.add((len(shards_in(log.root)), tuple(found)))
        opened_again(log)
        assert log.states() == {}
        assert log.numbers() == [1, 2, 3, 4, 5]
        assert len(shards_in(log.root)) == (2 if "audit.closed" in log.kinds("0001") else 1)
        shutil.rmtree(log.place)
        step += stride
    assert step > 30
    assert ends == {(1, ()), (1, ("0002",)), (2, ())}, "before, between and after"


def test_a_last_record_that_is_torn_closes_nothing(tmp_path: Path) -> None:
    """At each byte: either all of it is there, and the log goes on in the next shard, or it is none."""
    made = Log(tmp_path / "made").grown(3)
    keys = made.keys_of("0001")
    closing = Closing("0002", renamed(keys, keys[0].name.replace("0001", "0002")))
    facts = closing_facts("0001", closing, "asked")
    frame = frames(5, [envelope("audit.closed", stamper_of("torn").stamp(), sev="info", log=facts)])
    (segment,) = segments_in(made.root / "0001/state")
    for cut in [*range(0, len(frame), 301), len(frame) - 1, len(frame)]:
        log = Log(tmp_path / f"cut-{cut}")
        shutil.copytree(made.place, log.place)
        with (log.root / "0001/state" / segment.name).open("ab") as file:
            file.write(frame[:cut])
        log.number = 3
        opened_again(log)
        assert log.states() == {}
        assert log.numbers() == [1, 2, 3, 4]
        assert len(shards_in(log.root)) == (2 if cut == len(frame) else 1)
        shutil.rmtree(log.place)


class TestFullDisk:
    @pytest.mark.parametrize("at", [0, 1, 2, 4, 6, 9, 12])
    def test_a_disk_without_room_at_each_step(self, tmp_path: Path, at: int) -> None:
        """It goes on when there is room, in the old shard or in the new one, and loses nothing."""

        class FillingDisk(FullDisk):
            left = 1000

            @override
            def write(self, descriptor: int, data: bytes) -> int:
                self.left -= 1
                self.full = self.full or self.left < 0
                return super().write(descriptor, data)

        disk = FillingDisk()
        log = Log(tmp_path, disk)
        writer = log.open()
        log.write(writer, 3)
        disk.left = at
        told: list[tuple[str, str]] = []
        writer._rotations.ask("x", lambda *both: told.append(both), new_keys=False)
        writer.append(SYNC, b"")
        until(lambda: writer.state == "full")
        disk.left, disk.full = 1000, False
        until(lambda: writer.state == "running")
        until(lambda: told)
        log.write(writer, 2)
        writer.close()
        assert log.states() == {}
        assert log.numbers() == [1, 2, 3, 4, 5]
        assert len(shards_in(log.root)) == (2 if "audit.closed" in log.kinds("0001") else 1)


WRITER = """
import sys, threading, structlog, itertools
from pathlib import Path
from gateway.audit.record import RecordClass, envelope
from gateway.audit.succession import Closing, beginning_facts, closing_facts, renamed
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditWriter
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
place, first = Path(sys.argv[1]), int(sys.argv[2])
audit = AuditWriter(Audit(directory=str(place / "audit"), reserve_bytes=0, checkpoint_interval_s=0.02), place / "keys")
audit.open()
room = threading.Semaphore(400)
def durable(number):
    def told(index):
        sys.stdout.buffer.write(b"%d\\n" % number)
        sys.stdout.buffer.flush()
        room.release()
    return told
def rotated(shard, why):
    if shard:
        sys.stdout.buffer.write(b"rotated\\n")
        sys.stdout.buffer.flush()
for number in itertools.count(first):
    room.acquire()
    audit.append(RecordClass.GROUP, b'{"n":%d,"x":"%s"}' % (number, b"x" * (number % 300)), durable(number))
    if number % 40 == 0:
        audit._rotations.ask("x", rotated, new_keys=number % 3 == 0)
"""


def test_killed_while_it_rotates_again_and_again(tmp_path: Path) -> None:
    """kill -9 under load with a rotation all the time; nothing that was acknowledged is missing, nothing is there twice."""
    log = Log(tmp_path)
    chosen = random.Random(6)
    acknowledged: set[int] = set()
    for turn in range(4):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(turn * 1_000_000 + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            lines: list[bytes] = []
            while lines.count(b"rotated\n") < 2:
                lines.append(process.stdout.readline())
            lines += [process.stdout.readline() for _ in range(chosen.randrange(200))]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.read().splitlines(keepends=True)
            acknowledged.update(int(each) for each in lines if each.endswith(b"\n") and each != b"rotated\n")
        assert set(map(tuple, log.states().values())) <= {("shard-missing",)}
    log.open().close()
    assert log.states() == {}
    numbers = log.numbers()
    assert numbers == sorted(set(numbers))
    assert acknowledged <= set(numbers)
    assert len(shards_in(log.root)) > 8
