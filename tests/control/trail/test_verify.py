"""`verify` names what is wrong: every file, every byte of small ones, and what only somebody else's memory tells."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.checkpoint import Checkpoint, WitnessSigner
from gateway.audit.record import Stamp, envelope
from gateway.control.trail.layout import Shard
from gateway.control.trail.verify import ShardReport, verify_shard
from tests.audit.test_checkpoint import WITNESS
from tests.support.trail import NOW_S, SIGNER, grown_shard, opened, records


def checked(directory: Path, **more) -> ShardReport:
    return verify_shard(Shard(directory), **more)


def states(report: ShardReport) -> set[str]:
    return {finding.state for finding in report.findings}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """700 records in three batches: full and partial tiles on two levels, partial ones of earlier sizes."""
    directory = tmp_path_factory.mktemp("whole") / "0001"
    grown_shard(directory, 100, 250, 350)
    return directory


@pytest.fixture
def log(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "0001")
    return tmp_path / "0001"


def signed_files(directory: Path) -> Iterator[Path]:
    yield directory / "checkpoint"
    yield from sorted(path for path in (directory / "tile").rglob("*") if path.is_file())


class TestUntouched:
    def test_all_is_well_and_what_that_does_not_say_is_said(self, whole: Path) -> None:
        report = checked(whole)
        assert (report.ok, report.findings, report.size) == (True, [], 700)
        assert (report.signed_at, report.unsealed) == (NOW_S, 0)
        assert any("who signed" in each for each in report.not_proven)
        assert any("cut off" in each for each in report.not_proven)

    def test_with_keys_and_an_older_checkpoint_less_is_left_open(self, log: Path) -> None:
        kept = (log / "checkpoint").read_bytes()
        writer, _ = opened(log)
        writer.commit(records(700, 30))
        writer.grow(records(700, 30))
        writer.publish(NOW_S)
        report = checked(log, trusted=SIGNER.keys, earlier=[kept])
        assert report.ok
        assert not any("who signed" in each or "cut off" in each for each in report.not_proven)

    @pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512])
    def test_of_any_size(self, tmp_path: Path, size: int) -> None:
        grown_shard(tmp_path, size)
        assert checked(tmp_path).findings == []

    def test_records_that_nobody_has_signed_yet_are_counted(self, tmp_path: Path) -> None:
        writer = grown_shard(tmp_path, 200)
        writer.commit(records(200, 100))
        writer.grow(records(200, 100))
        writer.write_tiles()
        report = checked(tmp_path)
        assert (report.findings, report.size, report.unsealed) == ([], 200, 100)
        assert any("last 100 records" in each for each in report.not_proven)

    def test_the_end_of_an_unfinished_write_is_no_tampering(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3)
        with next((tmp_path / "state").glob("segment-*")).open("ab") as file:
            file.write(b"torn")
        report = checked(tmp_path)
        assert report.ok
        assert any("4 bytes of an unfinished write" in note for note in report.notes)

    def test_a_partial_tile_may_have_been_removed_for_the_full_one(self, log: Path) -> None:
        shutil.rmtree(log / "tile/0/000.p", ignore_errors=True)
        assert checked(log).ok


class TestBits:
    def test_any_bit_of_any_file_is_noticed(self, log: Path) -> None:
        """Every file; every byte of small ones, a sample of the others."""
        chosen = random.Random(6962)
        files = list(signed_files(log))
        assert len(files) > 10
        for path in files:
            data = path.read_bytes()
            small = len(data) <= 256
            for place in range(len(data)) if small else chosen.sample(range(len(data)), 6):
                changed = bytearray(data)
                changed[place] ^= 1 << chosen.randrange(8)
                path.write_bytes(bytes(changed))
                assert not checked(log).ok, f"{path} byte {place}"
            path.write_bytes(data)
        assert checked(log).ok

    def test_a_changed_record_is_named(self, log: Path) -> None:
        bundle = log / "tile/entries/001"
        bundle.write_bytes(bundle.read_bytes().replace(b'"n":300,', b'"n":999,'))
        report = checked(log)
        assert [(f.state, f.where) for f in report.findings] == [("entry-altered", "record 300")]

    def test_a_changed_hash_is_told_from_a_changed_record(self, log: Path) -> None:
        tile = log / "tile/0/001"
        data = bytearray(tile.read_bytes())
        data[40] ^= 1
        tile.write_bytes(bytes(data))
        report = checked(log)
        assert [(f.state, f.where) for f in report.findings] == [("tile-altered", "tile/0/001")]

    def test_a_record_and_its_hashes_changed_together_do_not_make_the_root(self, log: Path, tmp_path: Path) -> None:
        forged = tmp_path / "forged"
        writer, _ = opened(forged)
        batch = records(0, 700)
        batch[300] = b'{"n":999}'
        writer.commit(batch)
        writer.grow(batch)
        writer.publish(NOW_S)
        shutil.rmtree(log / "tile")
        shutil.copytree(forged / "tile", log / "tile")
        assert states(checked(log)) == {"log-different"}


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "state"),
        [
            ("tile/0/001", "tile-missing"),
            ("tile/1/000.p/2", "tile-missing"),
            ("tile/0/002.p/188", "tile-missing"),
            ("tile/entries/001", "entry-missing"),
            ("tile/entries/002.p/188", "entry-missing"),
            ("checkpoint", "checkpoint-missing"),
            ("keys", "keys-unreadable"),
        ],
    )
    def test_one_that_is_gone(self, log: Path, name: str, state: str) -> None:
        (log / name).unlink()
        assert states(checked(log)) == {state}

    @pytest.mark.parametrize(
        "name", ["tile/0/003", "tile/entries/003.p/7", "tile/2/000.p/1", "tile/0/000.exe", "tile/x"]
    )
    def test_one_too_many(self, log: Path, name: str) -> None:
        (log / name).parent.mkdir(parents=True, exist_ok=True)
        (log / name).write_bytes(b"x")
        assert states(checked(log)) == {"file-unknown"}

    def test_what_a_running_writer_has_made_meanwhile_is_not_one_too_many(self, log: Path) -> None:
        (log / "tile/0/003").write_bytes(b"x")
        (log / "tile/rubbish").write_bytes(b"x")
        report = checked(log, live=True)
        assert [finding.where for finding in report.findings] == ["tile/rubbish"]

    @pytest.mark.parametrize(
        ("noted", "state"),
        [
            (b"rubbish", "state-damaged"),
            (b'{"size":700,"root":"AAAA"}', "state-damaged"),
            (b'{"size":699,"root":"AAAA"}', "state-damaged"),
            (b'{"size":701,"root":"AAAA"}', "rolled-back"),
        ],
    )
    def test_the_note_of_the_head_is_another_one(self, log: Path, noted: bytes, state: str) -> None:
        (log / "state/published").write_bytes(noted)
        assert states(checked(log)) == {state}

    def test_records_deleted_inserted_and_exchanged(self, log: Path) -> None:
        bundle = log / "tile/entries/000"
        data = bundle.read_bytes()
        first = 2 + int.from_bytes(data[:2])
        second = first + 2 + int.from_bytes(data[first : first + 2])
        for forged in (data[first:], data[:first] + data, data[first:second] + data[:first] + data[second:]):
            bundle.write_bytes(forged)
            assert "entry-altered" in states(checked(log))

    def test_a_log_cut_off_behind_its_checkpoint(self, log: Path) -> None:
        for name in ("tile/entries/002.p/188", "tile/0/002.p/188"):
            (log / name).unlink()
        assert "entry-missing" in states(checked(log))


class TestMemoryOfOthers:
    def test_a_log_put_back_is_rolled_back(self, log: Path, tmp_path: Path) -> None:
        shutil.copytree(log, tmp_path / "backup")
        writer, _ = opened(log)
        writer.commit([b"{}"])
        writer.grow([b"{}"])
        writer.publish(NOW_S)
        kept = (log / "checkpoint").read_bytes()
        assert checked(tmp_path / "backup").ok, "nothing in the directory can tell"
        assert states(checked(tmp_path / "backup", earlier=[kept])) == {"rolled-back"}

    @pytest.mark.parametrize("size", [1, 350, 700])
    def test_another_history_under_the_same_name_is_a_split_view(self, log: Path, tmp_path: Path, size: int) -> None:
        other = tmp_path / "other"
        writer, _ = opened(other)
        batch = [b'{"other":%d}' % number for number in range(size)]
        writer.commit(batch)
        writer.grow(batch)
        writer.publish(NOW_S)
        assert states(checked(log, earlier=[(other / "checkpoint").read_bytes()])) == {"split-view"}

    def test_keys_that_we_do_not_trust(self, log: Path) -> None:
        stranger = WitnessSigner("x", WITNESS._ed25519).key
        assert states(checked(log, trusted=[stranger])) == {"checkpoint-invalid"}

    def test_a_witness_counts_if_its_key_is_known(self, log: Path) -> None:
        checkpoint = log / "checkpoint"
        head = Checkpoint.parse(checkpoint.read_text().partition("\n\n")[0] + "\n")
        checkpoint.write_bytes(checkpoint.read_bytes() + WITNESS.cosign(head, NOW_S + 9).line.encode())
        assert checked(log, witnesses=[WITNESS.key]).signed_at == NOW_S + 9
        unknown = checked(log)
        assert unknown.ok
        assert any("witness.example/w1" in each for each in unknown.not_proven)


def stamped(boot: str, seq: int, ts_us: int, mono_ns: int, worker: str = "audit") -> Stamp:
    return Stamp(id="i", ts_us=ts_us, mono_ns=mono_ns, node="n", boot=boot, worker=worker, seq=seq)


class TestNumbersAndClocks:
    def log_of(self, directory: Path, *batch: bytes) -> ShardReport:
        writer, _ = opened(directory)
        writer.commit(batch)
        writer.grow(batch)
        writer.publish(NOW_S)
        return checked(directory)

    def test_a_missing_number_is_a_missing_record(self, tmp_path: Path) -> None:
        report = self.log_of(
            tmp_path, *(envelope("a", stamped("b", seq, seq * 10**6, seq * 10**9)) for seq in (1, 2, 5))
        )
        assert states(report) == {"record-lost"}
        assert report.findings[0].where == "record 2"

    def test_unless_the_log_says_so(self, tmp_path: Path) -> None:
        gap = envelope("audit.gap", stamped("b", 1, 0, 0, "log"), log={"count": 2})
        report = self.log_of(
            tmp_path, *(envelope("a", stamped("b", seq, seq * 10**6, seq * 10**9)) for seq in (1, 2, 5)), gap
        )
        assert report.ok
        assert report.notes == ["2 records are announced as lost (audit.gap)"]

    def test_a_number_that_comes_twice(self, tmp_path: Path) -> None:
        report = self.log_of(tmp_path, *(envelope("a", stamped("b", seq, 0, 0)) for seq in (1, 2, 2)))
        assert states(report) == {"record-lost"}

    def test_each_run_and_each_worker_counts_for_itself(self, tmp_path: Path) -> None:
        runs = [("b", 1, "audit"), ("b", 1, "edge-0"), ("b", 2, "audit"), ("c", 1, "audit"), ("b", 2, "edge-0")]
        report = self.log_of(tmp_path, *(envelope("a", stamped(boot, seq, 0, 0, w)) for boot, seq, w in runs))
        assert (report.findings, report.notes) == ([], [])

    @pytest.mark.parametrize(("jump_s", "told"), [(-3600.0, "-3600.0 s"), (7.0, "+7.0 s"), (1.5, "")])
    def test_a_clock_that_jumped_is_remarkable_and_no_tampering(self, tmp_path: Path, jump_s: float, told: str) -> None:
        second = stamped("b", 2, int((100 + jump_s) * 10**6), 10**9)
        report = self.log_of(tmp_path, envelope("a", stamped("b", 1, 99 * 10**6, 0)), envelope("a", second))
        assert report.ok
        assert [told in note for note in report.notes] == ([True] if told else [])
