"""The writer with real threads, files and processes: nothing acknowledged is lost, whatever happens to disk and process."""

import asyncio
import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from typing_extensions import override

from gateway.audit.record import RecordClass
from gateway.config.model import Audit
from gateway.control.audit_queue import AuditQueue, Pending
from gateway.control.audit_writer import AuditUnavailable, AuditWriter, LogRefused
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import Shard, shards_in
from gateway.control.trail.root import begin_new_history
from gateway.control.trail.segment import segments_in
from gateway.control.trail.shard_writer import DiskFull
from gateway.control.trail.verify import verify_shard
from tests.support.trail import NOW_S, FailingDisk, Fault, entries_on_disk

WAIT_S = 90.0
SYNC, GROUP, LOSSY = RecordClass.SYNC, RecordClass.GROUP, RecordClass.LOSSY


def settings(tmp_path: Path, **more) -> Audit:
    return Audit(**{"directory": str(tmp_path / "audit"), "reserve_bytes": 4096, "checkpoint_interval_s": 0.05, **more})


def writer(tmp_path: Path, disk: Disk | None = None, **more) -> AuditWriter:
    made = AuditWriter(settings(tmp_path, **more), tmp_path / "keys", disk=disk)
    made.open()
    return made


def shard(tmp_path: Path) -> Shard:
    return shards_in(tmp_path / "audit")[-1]


def log_of(tmp_path: Path) -> list[dict[str, Any]]:
    """Every record under the checkpoint, after `verify` has found nothing wrong."""
    report = verify_shard(shard(tmp_path))
    assert report.findings == []
    return [json.loads(entry) for entry in entries_on_disk(shard(tmp_path).directory, report.size)]


def kinds(tmp_path: Path) -> list[str]:
    return [record["type"] for record in log_of(tmp_path) if "type" in record]


def until(condition) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Durable:
    """Collects acknowledgements."""

    def __init__(self) -> None:
        self.indexes: list[int | None] = []

    def __call__(self, index: int | None) -> None:
        self.indexes.append(index)


class SlowDisk(Disk):
    """Waits for the disk only when told that it is there."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.ready.set()

    @override
    def fdatasync(self, descriptor: int) -> None:
        assert self.ready.wait(WAIT_S)
        super().fdatasync(descriptor)


class TestWriting:
    def test_records_are_in_the_log_in_the_order_in_which_they_came(self, tmp_path: Path) -> None:
        audit, done = writer(tmp_path), Durable()
        for number in range(3000):
            assert audit.append(GROUP, b'{"n":%d}' % number, done if number == 2999 else None)
        until(lambda: done.indexes)
        audit.close()
        assert [record["n"] for record in log_of(tmp_path) if "n" in record] == list(range(3000))
        assert kinds(tmp_path) == ["audit.start", "audit.stop"]
        assert done.indexes == [3000]
        assert audit.status()["state"] == "stopped"

    def test_a_checkpoint_comes_by_itself_while_the_log_grows(self, tmp_path: Path) -> None:
        audit = writer(tmp_path)
        audit.append(GROUP, b'{"n":1}')
        until(lambda: audit.status()["published_size"] == 2)
        audit.close()

    def test_and_a_heartbeat_while_it_does_not(self, tmp_path: Path) -> None:
        audit = writer(tmp_path, heartbeat_s=0.05)
        before = (shard(tmp_path).checkpoint).read_bytes()
        until(lambda: shard(tmp_path).checkpoint.read_bytes() != before)
        audit.close()
        old, new = before.split(b"\n"), shard(tmp_path).checkpoint.read_bytes().split(b"\n")
        assert old[0] == new[0]

    def test_whoever_waits_is_told_when_it_is_durable_and_where(self, tmp_path: Path) -> None:
        disk = SlowDisk()
        audit, done = writer(tmp_path, disk), Durable()
        disk.ready.clear()
        audit.append(SYNC, b'{"n":1}', done)
        until(lambda: any(b'{"n":1}' in path.read_bytes() for path in segments_in(shard(tmp_path).state)))
        assert done.indexes == []
        disk.ready.set()
        until(lambda: done.indexes)
        assert done.indexes == [1]
        audit.close()

    async def test_somebody_can_wait_until_all_before_is_on_the_disk_without_a_record_of_that(
        self, tmp_path: Path
    ) -> None:
        disk = SlowDisk()
        audit = await asyncio.to_thread(writer, tmp_path, disk)
        assert await audit.durable(WAIT_S)
        disk.ready.clear()
        audit.append(GROUP, b'{"n":1}')
        assert not await audit.durable(0.05)
        waits = asyncio.create_task(audit.durable(WAIT_S))
        disk.ready.set()
        assert await waits
        assert any(b'{"n":1}' in path.read_bytes() for path in segments_in(shard(tmp_path).state))
        await asyncio.to_thread(audit.close)
        assert not await audit.durable(WAIT_S)
        assert [record.get("n", record.get("type")) for record in log_of(tmp_path)] == ["audit.start", 1, "audit.stop"]

    async def test_a_coroutine_can_wait(self, tmp_path: Path) -> None:
        audit = await asyncio.to_thread(writer, tmp_path)
        assert await asyncio.gather(*(audit.append_durably(b"{}") for _ in range(5))) == [1, 2, 3, 4, 5]
        await asyncio.to_thread(audit.close)
        with pytest.raises(AuditUnavailable):
            await audit.append_durably(b"{}")

    def test_a_record_too_large_for_a_bundle_is_a_mistake_of_the_caller(self, tmp_path: Path) -> None:
        audit = writer(tmp_path)
        with pytest.raises(ValueError, match="65536"):
            audit.append(GROUP, b"x" * 65536)
        assert audit.append(GROUP, b'"' + b"x" * 65533 + b'"')
        audit.close()

    def test_a_disk_too_small_for_the_reserve_is_written_all_the_same(self, tmp_path: Path) -> None:
        with structlog.testing.capture_logs() as logs:
            audit = writer(tmp_path, reserve_bytes=1 << 60)
        audit.close()
        assert [log["event"] for log in logs] == ["audit_without_reserve"]
        assert kinds(tmp_path) == ["audit.start", "audit.stop"]

    def test_the_next_run_goes_on(self, tmp_path: Path) -> None:
        for number in range(3):
            audit = writer(tmp_path)
            audit.append(GROUP, b'{"n":%d}' % number)
            audit.close()
        assert [record["n"] for record in log_of(tmp_path) if "n" in record] == [0, 1, 2]
        assert kinds(tmp_path) == ["audit.start", "audit.stop"] * 3
        assert len({record["boot"] for record in log_of(tmp_path) if "boot" in record}) == 3

    def test_a_clock_that_jumps_does_not_harm_the_log_and_is_seen_in_it(self, tmp_path: Path) -> None:
        wall = [NOW_S * 10**9]
        audit = AuditWriter(settings(tmp_path), tmp_path / "keys", wall_ns=lambda: wall[0])
        audit.open()
        wall[0] -= 3600 * 10**9
        audit.close()
        report = verify_shard(shard(tmp_path))
        assert report.ok
        assert len(report.notes) == 1
        assert "jumped by -3600" in report.notes[0]


class TestOneWriter:
    def test_a_second_one_is_refused(self, tmp_path: Path) -> None:
        audit = writer(tmp_path)
        with pytest.raises(LogRefused, match="Another process"):
            writer(tmp_path)
        audit.append(GROUP, b'{"n":1}')
        audit.close()
        assert [record.get("n") for record in log_of(tmp_path)][1] == 1
        writer(tmp_path).close()

    def test_keys_are_for_their_owner_alone_and_others_are_not_used(self, tmp_path: Path) -> None:
        writer(tmp_path).close()
        key = tmp_path / "keys/ed25519.seed"
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.parent.stat().st_mode & 0o777 == 0o700
        key.chmod(0o640)
        with pytest.raises(LogRefused, match="chmod 600"):
            writer(tmp_path)
        key.chmod(0o600)
        writer(tmp_path).close()
        key.write_bytes(b"x" * 31)
        with pytest.raises(LogRefused, match="not the 32 bytes"):
            writer(tmp_path)
        key.write_bytes(b"x" * 32)
        with pytest.raises(LogRefused, match="not those of the log"):
            writer(tmp_path)
        key.unlink()
        with pytest.raises(LogRefused, match="missing"):
            writer(tmp_path)


class TestHistory:
    def test_an_older_copy_put_back_is_not_continued(self, tmp_path: Path) -> None:
        writer(tmp_path).close()
        subprocess.run(["cp", "-a", tmp_path / "audit", tmp_path / "backup"], check=True)
        writer(tmp_path).close()
        subprocess.run(["rm", "-r", tmp_path / "audit"], check=True)
        with pytest.raises(LogRefused, match="gone"):
            writer(tmp_path)
        subprocess.run(["rm", "-r", tmp_path / "audit"], check=True)
        (tmp_path / "backup").rename(tmp_path / "audit")
        with pytest.raises(LogRefused, match=r"smaller.*new-history 0001"):
            writer(tmp_path)

    def test_a_new_history_is_begun_by_name_and_says_so(self, tmp_path: Path) -> None:
        writer(tmp_path).close()
        old = {path: path.read_bytes() for path in (tmp_path / "audit/0001").rglob("*") if path.is_file()}
        with pytest.raises(LogRefused, match="newest shard is 0001"):
            begin_new_history(tmp_path / "audit", tmp_path / "keys", "", "0002", "why not", NOW_S)
        begin_new_history(tmp_path / "audit", tmp_path / "keys", "", "0001", "disk was replaced", NOW_S)
        assert {path: path.read_bytes() for path in old} == old
        writer(tmp_path).close()
        assert kinds(tmp_path) == ["audit.new_history", "audit.start", "audit.stop"]
        first = log_of(tmp_path)[0]
        assert first["log"]["given_up"] == "0001"
        assert first["log"]["reason"] == "disk was replaced"
        assert first["log"]["checkpoint"] == (tmp_path / "audit/0001/checkpoint").read_text()
        assert verify_shard(shard(tmp_path)).origin.endswith("/0002")

    def test_not_while_a_gateway_writes(self, tmp_path: Path) -> None:
        audit = writer(tmp_path)
        with pytest.raises(LogRefused, match="Another process"):
            begin_new_history(tmp_path / "audit", tmp_path / "keys", "", "0001", "x", NOW_S)
        audit.close()


class TestQueue:
    def pending(self, record_class: RecordClass, size: int = 100_000, done=None) -> Pending:
        return Pending(record_class, b"x" * size, done)

    def test_what_matters_least_is_given_up_first(self) -> None:
        queue = AuditQueue(1_000_000)
        taken = dict.fromkeys((LOSSY, GROUP, SYNC), 0)
        for each in taken:
            while queue.put(self.pending(each), 1):
                taken[each] += 1
        assert taken[LOSSY] == 5
        assert taken[LOSSY] + taken[GROUP] == 9
        assert taken[SYNC] == 1
        assert queue.size_bytes < 1_200_000
        gap = queue.take_gap()
        assert gap is not None
        assert gap.by_class == {"lossy": 1, "group": 1, "sync": 1}
        assert queue.take_gap() is None

    def test_memory_comes_back(self) -> None:
        queue = AuditQueue(1_000_000)
        for each in (GROUP, SYNC):
            queue.put(self.pending(each), 1)
        batch = queue.take(0)
        assert (len(batch), queue.size_bytes) == (2, 0)
        queue.put_back(batch)
        assert queue.size_bytes > 200_000
        assert [each.record_class for each in queue.take(0)] == [GROUP, SYNC]

    def test_what_somebody_waits_for_is_refused_and_not_lost(self) -> None:
        queue, done = AuditQueue(1_000_000), Durable()
        queue.put(self.pending(GROUP), 1)
        queue.put(self.pending(SYNC, done=done), 1)
        assert len(queue.refuse_waiting(0)) == 1
        assert not queue.put(self.pending(SYNC, done=done), 1)
        assert queue.put(self.pending(SYNC), 1)
        gap = queue.take_gap()
        assert gap is not None
        assert gap.by_class == {"refused": 2}, "their numbers are announced"
        queue.accept_waiting()
        assert queue.put(self.pending(SYNC, done=done), 1)


@pytest.mark.parametrize(
    ("mode", "sync", "group"), [("block", False, False), ("guard", False, True), ("open", True, True)]
)
class TestFailureModes:
    def test_a_disk_that_has_failed(self, tmp_path: Path, mode: str, sync: bool, group: bool) -> None:
        disk = FailingDisk()
        audit, done = writer(tmp_path, disk, failure_mode=mode), Durable()
        assert audit.may_proceed(SYNC)
        disk.faults = [Fault("fdatasync", disk.calls.count("fdatasync"))]
        with structlog.testing.capture_logs() as logs:
            audit.append(SYNC, b'{"n":1}', done)
            until(lambda: audit.state == "broken")
        assert [log["event"] for log in logs] == ["audit_broken"]
        until(lambda: done.indexes)
        assert done.indexes == [None], "never acknowledged"
        assert (audit.may_proceed(SYNC), audit.may_proceed(GROUP)) == (sync, group)
        assert not audit.append(SYNC, b'{"n":2}', done)
        assert done.indexes == [None, None]
        assert "has failed" in audit.status()["why"]
        audit.close()
        disk.faults = []
        again = writer(tmp_path)
        again.close()
        assert kinds(tmp_path)[0] == "audit.start"
        assert kinds(tmp_path)[-2:] != ["audit.start", "audit.start"]

    def test_a_disk_that_is_full(self, tmp_path: Path, mode: str, sync: bool, group: bool) -> None:
        disk = FullDisk()
        audit, done = writer(tmp_path, disk, failure_mode=mode), Durable()
        disk.full = True
        audit.append(SYNC, b'{"n":1}', done)
        until(lambda: audit.state == "full")
        until(lambda: done.indexes)
        assert done.indexes == [None]
        assert (audit.may_proceed(SYNC), audit.may_proceed(GROUP)) == (sync, group)
        audit.append(GROUP, b'{"n":2}')
        assert not (tmp_path / "audit/reserve").exists()
        disk.full = False
        until(lambda: audit.state == "running")
        assert audit.may_proceed(SYNC)
        assert (tmp_path / "audit/reserve").exists()
        audit.append(SYNC, b'{"n":3}', done)
        until(lambda: len(done.indexes) == 2)
        audit.close()
        assert [record["n"] for record in log_of(tmp_path) if "n" in record] == [2, 3]
        assert kinds(tmp_path) == ["audit.start", "audit.stop", "audit.start", "audit.gap", "audit.stop"]


class TestAtTheStart:
    """A restart of control on a full disk."""

    def full(self, tmp_path: Path) -> "FullDisk":
        before = writer(tmp_path)
        before.append(GROUP, b'{"n":1}')
        before.close()
        disk = FullDisk()
        disk.full = True
        return disk

    @pytest.mark.parametrize("mode", ["guard", "open"])
    def test_turns_nobody_away_and_the_log_goes_on_when_there_is_room(self, tmp_path: Path, mode: str) -> None:
        disk, done = self.full(tmp_path), Durable()
        audit = writer(tmp_path, disk, failure_mode=mode)
        assert (audit.state, audit.may_proceed(GROUP), audit.may_proceed(SYNC)) == ("full", True, mode == "open")
        assert (audit.status()["size"], "no room" in audit.status()["why"]) == (0, True)
        audit.append(GROUP, b'{"n":2}')
        assert not audit.append(SYNC, b'{"n":3}', done), "nobody waits for a disk without room"
        disk.full = False
        until(lambda: audit.state == "running")
        audit.append(SYNC, b'{"n":4}', done)
        until(lambda: len(done.indexes) == 2)
        audit.close()
        assert [record["n"] for record in log_of(tmp_path) if "n" in record] == [1, 2, 4]
        assert kinds(tmp_path) == ["audit.start", "audit.stop", "audit.start", "audit.gap", "audit.stop"]

    def test_admits_nobody_where_the_operator_wants_that(self, tmp_path: Path) -> None:
        with pytest.raises(DiskFull):
            writer(tmp_path, self.full(tmp_path), failure_mode="block")
        again = writer(tmp_path)
        again.close()
        assert kinds(tmp_path)[0] == "audit.start"

    def test_ends_without_ever_having_had_room(self, tmp_path: Path) -> None:
        audit = writer(tmp_path, self.full(tmp_path))
        audit.append(GROUP, b'{"n":2}')
        audit.close()
        assert [record["n"] for record in log_of(tmp_path) if "n" in record] == [1]


class FullDisk(Disk):
    """Without room, except for what the reserve gives back."""

    def __init__(self) -> None:
        self.full = False
        self.room = 0

    @override
    def write(self, descriptor: int, data: bytes) -> int:
        if self.full and len(data) > self.room:
            written = os.write(descriptor, data[: len(data) // 2])
            assert written == len(data) // 2
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.full:
            self.room -= len(data)
        return super().write(descriptor, data)

    @override
    def remove(self, path: Path) -> None:
        if path.name == "reserve" and path.exists():
            self.room += path.stat().st_size * 4
        super().remove(path)

    @override
    def free_bytes(self, path: Path) -> int:
        return 0 if self.full else super().free_bytes(path)


class TestBoundedMemory:
    def test_what_finds_no_room_is_counted_and_the_log_says_so(self, tmp_path: Path) -> None:
        disk = SlowDisk()
        audit = writer(tmp_path, disk, max_queue_bytes=1 << 20)
        disk.ready.clear()
        record = json.dumps({"x": "x" * 10_000}).encode()
        taken = sum(audit.append(GROUP, record) for _ in range(300))
        assert 0 < taken < 200
        assert audit.status()["waiting_bytes"] <= 1 << 20
        assert audit.status()["lost"]["group"] == 300 - taken
        disk.ready.set()
        audit.close()
        gaps = [each["log"] for each in log_of(tmp_path) if each.get("type") == "audit.gap"]
        assert sum(gap["count"] for gap in gaps) == 300 - taken
        assert gaps[0]["by_class"].keys() == {"group"}

    def test_records_that_come_together_are_acknowledged_by_the_last_of_them(self, tmp_path: Path) -> None:
        disk, done = SlowDisk(), Durable()
        audit = writer(tmp_path, disk, max_queue_bytes=1 << 20)
        audit.append_all([b'{"n":%d}' % number for number in range(5)], done)
        disk.ready.clear()
        record = json.dumps({"x": "x" * 10_000}).encode()
        audit.append_all([record] * 300, done)
        until(lambda: None in done.indexes)  # the last of them found no room
        disk.ready.set()
        audit.close()
        log = log_of(tmp_path)
        assert [each["n"] for each in log if "n" in each and "type" not in each] == [0, 1, 2, 3, 4]
        (index,) = [each for each in done.indexes if each is not None]
        assert log[index] == {"n": 4}
        lost = sum(each["log"]["count"] for each in log if each.get("type") == "audit.gap")
        assert (lost + sum("x" in each for each in log), lost > 0) == (300, True)

    def test_one_that_is_too_long_is_refused_with_those_that_came_with_it(self, tmp_path: Path) -> None:
        audit, done = writer(tmp_path), Durable()
        with pytest.raises(ValueError, match="65536"):
            audit.append_all([b"{}", b"x" * 65_536], done)
        audit.close()
        assert (done.indexes, kinds(tmp_path)[-1]) == ([], "audit.stop")

    def test_a_guarded_gateway_stops_when_no_more_can_wait(self, tmp_path: Path) -> None:
        disk = FailingDisk()
        audit = writer(tmp_path, disk, max_queue_bytes=1 << 20)
        disk.faults = [Fault("fdatasync", disk.calls.count("fdatasync"))]
        audit.append(GROUP, b"{}")
        until(lambda: audit.state == "broken")
        assert audit.may_proceed(GROUP)
        while audit.append(GROUP, b"x" * 10_000):
            pass
        assert not audit.may_proceed(GROUP)
        audit.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_real_file_system_without_room(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        audit, done = writer(place, reserve_bytes=131_072), Durable()
        record = json.dumps({"x": "x" * 3000}).encode()
        acknowledged = 0
        while audit.state == "running":
            before = len(done.indexes)
            audit.append(SYNC, record, done)
            until(lambda before=before: len(done.indexes) > before)
            acknowledged += done.indexes[-1] is not None
        assert acknowledged > 20
        audit.close()
        report = verify_shard(shard(place))
        assert report.findings == []
        assert report.size + report.unsealed >= 1 + acknowledged
    finally:
        subprocess.run(["umount", "-l", place], check=True)


WRITER = """
import sys, threading, structlog
from pathlib import Path
from gateway.audit.record import RecordClass
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditWriter
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
place, first = Path(sys.argv[1]), int(sys.argv[2])
audit = AuditWriter(Audit(directory=str(place / "audit"), reserve_bytes=0, checkpoint_interval_s=0.02), place / "keys")
audit.open()
room = threading.Semaphore(400)
def durable(number):
    def told(index):
        sys.stdout.buffer.write(b"%d %d\\n" % (index, number))
        sys.stdout.buffer.flush()
        room.release()
    return told
for number in range(first, first + 1_000_000):
    room.acquire()
    audit.append(RecordClass.SYNC if number % 50 == 0 else RecordClass.GROUP, b'{"n":%d,"x":"%s"}' % (number, b"x" * (number % 300)), durable(number))
"""


class TestKill:
    def test_again_and_again_nothing_acknowledged_is_missing(self, tmp_path: Path) -> None:
        """kill -9 under load, ten times; each next run finds everything in its place, and so does `verify`."""
        chosen = random.Random(9)
        acknowledged: dict[int, int] = {}
        for turn in range(10):
            command = [sys.executable, "-c", WRITER, str(tmp_path), str(turn * 1_000_000)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                lines = [process.stdout.readline() for _ in range(chosen.randrange(300, 3000))]
                process.send_signal(signal.SIGKILL)
                lines += process.stdout.read().splitlines(keepends=True)
                for each in lines:
                    if each.endswith(b"\n"):
                        index, number = map(int, each.split())
                        acknowledged[index] = number
            assert verify_shard(shard(tmp_path)).findings == []
        writer(tmp_path).close()
        log = log_of(tmp_path)
        assert len(acknowledged) > 100
        assert {index: log[index].get("n") for index in acknowledged} == acknowledged
        numbers = [record["n"] for record in log if "n" in record]
        assert numbers == sorted(set(numbers)), "nothing twice, nothing out of order"
        assert kinds(tmp_path).count("audit.start") == 11
