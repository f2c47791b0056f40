"""A shard on disk: durable before acknowledged, recovered after every torn write, refused where history differs."""

import contextlib
import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from typing_extensions import override

from gateway.audit.checkpoint import LogSigner, verify_checkpoint
from gateway.audit.tiles import tiles_of
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import Published, Shard
from gateway.control.trail.recovery import HistoryDiffers
from gateway.control.trail.segment import frames, header, read_segment, segments_in
from gateway.control.trail.shard_writer import DiskFull, TrailBroken
from gateway.control.trail.verify import verify_shard
from tests.support.trail import (
    NOW_S,
    ORIGIN,
    SIGNER,
    FailingDisk,
    Fault,
    entries_on_disk,
    grown_shard,
    opened,
    plain_root,
    records,
)


def head(directory: Path):
    return verify_checkpoint((directory / "checkpoint").read_bytes(), SIGNER.keys).checkpoint


class TestGrowing:
    @pytest.mark.parametrize("batches", [(), (1,), (3, 4), (256,), (255, 2), (100, 156, 300), (700, 1)])
    def test_bundles_tiles_and_checkpoint_are_those_of_the_tree(self, tmp_path: Path, batches: tuple[int, ...]) -> None:
        grown_shard(tmp_path, *batches)
        size = sum(batches)
        assert entries_on_disk(tmp_path, size) == records(0, size)
        assert (head(tmp_path).size, head(tmp_path).root) == (size, plain_root(records(0, size)))
        assert head(tmp_path).origin == ORIGIN
        assert [tile for tile in tiles_of(size) if not (tmp_path / tile.path).exists()] == []

    def test_records_are_in_the_segment_and_waited_for_before_commit_returns(self, tmp_path: Path) -> None:
        disk = FailingDisk()
        writer, _ = opened(tmp_path, disk=disk)
        disk.calls.clear()
        assert writer.commit(records(0, 3)) == 0
        assert disk.calls == ["write", "fdatasync"]
        (segment,) = segments_in(tmp_path / "state")
        assert read_segment(segment).records == records(0, 3)
        assert head(tmp_path).size == 0

    def test_a_large_segment_is_succeeded_and_goes_when_its_tiles_are_on_the_disk(self, tmp_path: Path) -> None:
        waiting: list[Callable[[], None]] = []
        writer, _ = opened(tmp_path, later=waiting.append)
        writer._segment_bytes = 10_000
        while waiting:
            waiting.pop(0)()
        for _ in range(4):
            batch = records(writer.size, 50)
            writer.commit(batch)
            writer.grow(batch)
            writer.publish(NOW_S)
        firsts = [read_segment(path).first for path in segments_in(tmp_path / "state")]
        assert firsts == [0, 100, 200]
        while waiting:
            waiting.pop(0)()
        assert [read_segment(path).first for path in segments_in(tmp_path / "state")] == [200]
        again, recovered = opened(tmp_path)
        assert (again.size, recovered.replayed) == (200, 0)

    def test_partial_tiles_go_once_the_full_one_is_on_the_disk(self, tmp_path: Path) -> None:
        writer = grown_shard(tmp_path, 10, 20)
        assert {path.name for path in (tmp_path / "tile/0/000.p").iterdir()} == {"10", "30"}
        batch = records(30, 240)
        writer.commit(batch)
        writer.grow(batch)
        writer.publish(NOW_S)
        writer.begin_segment()
        assert not (tmp_path / "tile/0/000.p").exists()
        assert {path.name for path in (tmp_path / "tile/0/001.p").iterdir()} == {"14"}


class TestTornWrites:
    def test_at_every_byte_of_the_last_batch(self, tmp_path: Path) -> None:
        """Whatever part of a batch reaches the disk: what was durable before stays, no half record appears."""
        grown_shard(tmp_path / "whole", 5).commit(records(5, 3))
        (segment,) = segments_in(tmp_path / "whole/state")
        data = segment.read_bytes()
        before = len(header(0)) + len(frames(0, records(0, 5)))
        batch_ends = [before + len(frames(5, records(5, count))) for count in range(4)]
        for cut in range(before, len(data) + 1):
            place = tmp_path / "torn"
            shutil.copytree(tmp_path / "whole", place)
            (place / "state" / segment.name).write_bytes(data[:cut])
            writer, recovered = opened(place)
            whole = max(count for count in range(4) if batch_ends[count] <= cut)
            assert writer.size == 5 + whole
            assert len(recovered.torn) == cut - batch_ends[whole]
            assert recovered.replayed == whole
            assert entries_on_disk(place, writer.size) == records(0, 8)[: writer.size]
            assert head(place).size == writer.size
            # And it goes on as if nothing had happened.
            writer.commit([b"next"])
            writer.grow([b"next"])
            writer.publish(NOW_S)
            assert entries_on_disk(place, writer.size)[-1] == b"next"
            assert opened(place)[1].torn == b""
            shutil.rmtree(place)

    @pytest.mark.parametrize("place", [0, 1, 7, 50, 100])
    def test_zeros_and_rubbish_where_a_batch_should_be_are_no_records(self, tmp_path: Path, place: int) -> None:
        grown_shard(tmp_path, 5)
        (segment,) = segments_in(tmp_path / "state")
        rubbish = bytearray(frames(5, records(5, 3)))
        rubbish[place] ^= 0x40
        segment.write_bytes(segment.read_bytes() + bytes(rubbish))
        writer, recovered = opened(tmp_path)
        assert 5 <= writer.size < 8
        assert recovered.torn
        assert entries_on_disk(tmp_path, writer.size) == records(0, writer.size)

    def test_a_frame_from_another_place_is_no_record(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 5)
        (segment,) = segments_in(tmp_path / "state")
        segment.write_bytes(segment.read_bytes() + frames(6, records(6, 1)))
        assert opened(tmp_path)[0].size == 5

    def test_files_that_were_not_waited_for_may_be_empty_after_a_power_cut(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 200, 100)
        for path in (tmp_path / "tile").rglob("*"):
            if path.is_file():
                path.write_bytes(b"")
        writer, _ = opened(tmp_path)
        assert writer.size == 300
        assert entries_on_disk(tmp_path, 300) == records(0, 300)
        empty = [path for path in (tmp_path / "tile").rglob("*") if path.is_file() and not path.stat().st_size]
        assert empty == []

    def test_a_crash_while_a_segment_was_succeeded(self, tmp_path: Path) -> None:
        writer = grown_shard(tmp_path, 5)
        (old,) = segments_in(tmp_path / "state")
        kept = old.read_bytes()
        writer.begin_segment()
        old.write_bytes(kept + b"torn")
        again, recovered = opened(tmp_path)
        assert (again.size, recovered.torn) == (5, b"")


class Killed(BaseException):
    """kill -9, as the code that is killed sees it."""


class KillingDisk(Disk):
    """Kills whoever removes the n-th file."""

    def __init__(self, number: int) -> None:
        self._left = number

    @override
    def remove(self, path: Path) -> None:
        if path.exists() and self._left == 0:
            raise Killed
        self._left -= path.exists()
        super().remove(path)


@pytest.mark.parametrize("sizes", [(300, 20, 5), (11_400, 200, 70), (250, 6, 1), (256, 256, 256)])
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_crash_while_segments_go_leaves_a_log_that_goes_on(
    tmp_path: Path, sizes: tuple[int, ...], number: int
) -> None:
    """Runs that are killed before, or while, their old segments are removed; each next one finds all records."""
    writer = grown_shard(tmp_path, sizes[0])
    for count in sizes[1:]:
        writer, _ = opened(tmp_path, later=lambda _: None)
        batch = records(writer.size, count)
        writer.commit(batch)
        writer.grow(batch)
        writer.write_tiles()
    with contextlib.suppress(Killed):
        opened(tmp_path, disk=KillingDisk(number))
    writer, recovered = opened(tmp_path)
    assert (writer.size, recovered.torn) == (sum(sizes), b"")
    assert entries_on_disk(tmp_path, sum(sizes)) == records(0, sum(sizes))
    assert head(tmp_path).root == plain_root(records(0, sum(sizes)))
    assert len(segments_in(tmp_path / "state")) == 1


class TestHistory:
    def test_a_note_of_what_is_in_tiles_that_cannot_be_read(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3)
        (tmp_path / "state/settled").write_bytes(b"{")
        assert self.refused(tmp_path) == "damaged"

    def refused(self, directory: Path, **more) -> str:
        with pytest.raises(HistoryDiffers) as refusal:
            opened(directory, **more)
        return refusal.value.state

    def test_fewer_records_than_were_published(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 5, 5)
        (segment,) = segments_in(tmp_path / "state")
        segment.write_bytes(header(0) + frames(0, records(0, 7)))
        assert self.refused(tmp_path) == "smaller"

    def test_an_older_state_than_somebody_remembers(self, tmp_path: Path) -> None:
        grown_shard(tmp_path / "log", 5)
        shutil.copytree(tmp_path / "log", tmp_path / "backup")
        writer, _ = opened(tmp_path / "log")
        writer.commit([b"more"])
        writer.grow([b"more"])
        later = writer.publish(NOW_S)
        assert self.refused(tmp_path / "backup", heads=[later]) == "smaller"
        assert opened(tmp_path / "log", heads=[later])[0].size == 6

    def test_another_record_in_the_segment(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 5)
        (segment,) = segments_in(tmp_path / "state")
        segment.write_bytes(header(0) + frames(0, [b"forged", *records(1, 4)]))
        assert self.refused(tmp_path) == "different"

    def test_other_hashes_in_the_tiles(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 300).begin_segment()
        tile = tmp_path / "tile/1/000.p/1"
        tile.write_bytes(bytes(32))
        assert self.refused(tmp_path) == "different"

    def test_another_record_in_the_partial_bundle(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3).begin_segment()
        bundle = tmp_path / "tile/entries/000.p/3"
        bundle.write_bytes(bundle.read_bytes().replace(b'"n":1', b'"n":7'))
        assert self.refused(tmp_path) == "damaged"

    @pytest.mark.parametrize("name", ["tile/0/000.p/3", "tile/entries/000.p/3"])
    def test_a_tile_is_gone(self, tmp_path: Path, name: str) -> None:
        grown_shard(tmp_path, 3).begin_segment()
        (tmp_path / name).unlink()
        assert self.refused(tmp_path) == "damaged"

    def test_all_but_the_tiles_is_gone(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3).begin_segment()
        (tmp_path / "checkpoint").unlink()
        shutil.rmtree(tmp_path / "state")
        assert self.refused(tmp_path) == "damaged"

    def test_without_segment_the_published_head_is_the_end(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3).begin_segment()
        for segment in segments_in(tmp_path / "state"):
            segment.unlink()
        assert opened(tmp_path)[0].size == 3

    def test_a_segment_is_missing_in_between(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3)
        (tmp_path / "state" / "segment-0000000000000004").write_bytes(header(4) + frames(4, records(4, 1)))
        assert self.refused(tmp_path) == "damaged"

    def test_a_checkpoint_of_somebody_else(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3)
        other = LogSigner(ORIGIN, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
        (tmp_path / "checkpoint").write_bytes(other.sign(3, plain_root(records(0, 3)), NOW_S))
        assert self.refused(tmp_path) == "checkpoint-invalid"

    def test_an_older_checkpoint_put_back_is_only_an_older_checkpoint(self, tmp_path: Path) -> None:
        writer = grown_shard(tmp_path, 3)
        old = (tmp_path / "checkpoint").read_bytes()
        writer.commit(records(3, 2))
        writer.grow(records(3, 2))
        writer.publish(NOW_S)
        (tmp_path / "checkpoint").write_bytes(old)
        assert opened(tmp_path)[0].size == 5
        assert head(tmp_path).size == 5

    def test_an_unreadable_note_of_the_head(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3)
        (tmp_path / "state/published").write_bytes(b"{}")
        assert self.refused(tmp_path) == "damaged"

    def test_a_head_in_the_tiles_that_was_another(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 5).begin_segment()
        assert self.refused(tmp_path, heads=[Published(3, bytes(32))]) == "different"
        assert opened(tmp_path, heads=[Published(3, plain_root(records(0, 3)))])[0].size == 5


class TestFailures:
    def test_a_full_disk_costs_the_batch_and_nothing_else(self, tmp_path: Path) -> None:
        disk = FailingDisk()
        writer, _ = opened(tmp_path, disk=disk)
        writer.commit(records(0, 2))
        disk.faults = [Fault("write", disk.calls.count("write"), errno.ENOSPC, written=9)]
        with pytest.raises(DiskFull):
            writer.commit(records(2, 2))
        assert writer.size == 2
        (segment,) = segments_in(tmp_path / "state")
        assert read_segment(segment).torn == b""
        assert writer.commit(records(2, 1)) == 2
        assert read_segment(segment).records == records(0, 3)

    def test_a_failed_wait_for_the_disk_is_final(self, tmp_path: Path) -> None:
        disk = FailingDisk()
        writer, _ = opened(tmp_path, disk=disk)
        writer.commit(records(0, 2))
        writer.grow(records(0, 2))
        disk.faults = [Fault("fdatasync", disk.calls.count("fdatasync"))]
        with pytest.raises(TrailBroken):
            writer.commit(records(2, 1))
        disk.faults, calls = [], list(disk.calls)
        for again in (lambda: writer.commit(records(2, 1)), lambda: writer.publish(NOW_S), writer.begin_segment):
            with pytest.raises(TrailBroken):
                again()
        assert disk.calls == calls, "nothing is written after that"
        assert writer.size == 2

    @pytest.mark.parametrize("operation", ["write", "truncate"])
    def test_other_errors_are_final_too(self, tmp_path: Path, operation: str) -> None:
        disk = FailingDisk()
        writer, _ = opened(tmp_path, disk=disk)
        code = errno.EIO if operation == "write" else errno.ENOSPC
        disk.faults = [Fault("write", disk.calls.count("write"), code), Fault("truncate", 0)]
        with pytest.raises(TrailBroken):
            writer.commit(records(0, 1))
        with pytest.raises(TrailBroken):
            writer.commit(records(0, 1))

    def test_a_disk_that_is_full_when_tiles_are_written_can_go_on(self, tmp_path: Path) -> None:
        disk = FailingDisk()
        writer, _ = opened(tmp_path, disk=disk)
        stopped = 0
        for turn in range(12):
            batch = records(writer.size, 300)
            writer.commit(batch)
            writer.grow(batch)
            disk.faults = [Fault("write", disk.calls.count("write") + turn, errno.ENOSPC, written=5)]
            try:
                writer.publish(NOW_S)
            except DiskFull:
                stopped += 1
            disk.faults = []
            writer.publish(NOW_S)
        assert stopped >= 6
        assert entries_on_disk(tmp_path, 3600) == records(0, 3600)
        assert head(tmp_path).root == plain_root(records(0, 3600))

    def test_a_disk_that_is_full_when_a_segment_is_given_up_can_go_on(self, tmp_path: Path) -> None:
        """Its tiles are on the disk; only the note that they are has no room."""
        disk = FailingDisk()
        writer, _ = opened(tmp_path, disk=disk)

        def grow(first: int) -> None:
            writer.commit(records(first, 300))
            writer.grow(records(first, 300))
            writer.publish(NOW_S)

        grow(0)
        kept = set(segments_in(tmp_path / "state"))
        disk.faults = [Fault("write", disk.calls.count("write") + 1, errno.ENOSPC)]
        writer.begin_segment()
        assert kept < set(segments_in(tmp_path / "state"))
        grow(300)
        writer.begin_segment()
        assert not kept & set(segments_in(tmp_path / "state")), "the next one to be given up takes it along"
        grow(600)
        writer.close()
        assert verify_shard(Shard(tmp_path)).findings == []
        again, _ = opened(tmp_path)
        assert again.size == 900

    def test_what_fails_when_a_segment_is_given_up_is_told_at_the_next_write(self, tmp_path: Path) -> None:
        disk = FailingDisk()
        writer, _ = opened(tmp_path, disk=disk)
        writer.commit(records(0, 300))
        writer.grow(records(0, 300))
        writer.publish(NOW_S)
        kept = segments_in(tmp_path / "state")
        disk.faults = [Fault("fdatasync", disk.calls.count("fdatasync") + 1)]
        writer.begin_segment()
        with pytest.raises(TrailBroken):
            writer.commit([b"x"])
        assert set(kept) < set(segments_in(tmp_path / "state")), "what may not be in tiles stays in its segment"
        disk.faults = []
        assert opened(tmp_path)[0].size == 300

    def test_keys_that_are_not_those_of_the_log_are_refused(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 1)
        other = LogSigner(ORIGIN, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
        with pytest.raises(HistoryDiffers):
            opened(tmp_path, signer=other)

    def test_public_keys_lie_beside_the_checkpoint(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 1)
        assert Shard(tmp_path).read_keys() == SIGNER.keys
