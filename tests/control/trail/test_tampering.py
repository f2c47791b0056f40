"""What somebody with write access to the log may try, beyond flipping bits: detours, forged fields, shards that come and go."""

import json
import os
import shutil
from pathlib import Path

import pytest

from gateway.audit.checkpoint import LogSigner, SignatureInvalid, verify_checkpoint
from gateway.audit.note import Note, NoteSignature, parse_note
from gateway.audit.record import Stamp, envelope
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditWriter, LogRefused
from gateway.control.trail.layout import Shard
from gateway.control.trail.reader import RecordMissing, ShardReader, decoded
from gateway.control.trail.root import begin_new_history
from gateway.control.trail.verify import verify_shard
from tests.control.trail.test_verify import checked, states
from tests.support.trail import NOW_S, SIGNER, grown_shard, opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    grown_shard(tmp_path / "0001", 100, 250, 350)
    return tmp_path / "0001"


def shard_of(directory: Path, *entries: bytes) -> Path:
    """A shard of exactly these records, however odd they are."""
    writer, _ = opened(directory)
    writer.commit(entries)
    writer.grow(entries)
    writer.publish(NOW_S)
    writer.close()
    return directory


class TestDetours:
    @pytest.mark.parametrize("level", ["0", "entries"])
    def test_tiles_behind_a_symbolic_link_are_compared_like_others(self, log: Path, level: str) -> None:
        (log / "tile" / level).rename(log.parent / "elsewhere")
        (log / "tile" / level).symlink_to(log.parent / "elsewhere")
        assert checked(log).findings == [], "a directory on another disk is no tampering"
        tile = log.parent / "elsewhere/001"
        data = bytearray(tile.read_bytes())
        data[40] ^= 1
        tile.write_bytes(bytes(data))
        assert not checked(log).ok

    @pytest.mark.parametrize("name", ["tile/0/001", "tile/entries/001", "tile/0/077", "checkpoint"])
    def test_what_is_no_file_is_named_and_not_waited_for(self, log: Path, name: str) -> None:
        (log / name).unlink(missing_ok=True)
        os.mkfifo(log / name)
        assert not checked(log).ok

    def test_a_dangling_link_where_a_bundle_should_be(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3)
        bundle = tmp_path / "tile/entries/000.p/3"
        bundle.unlink()
        bundle.symlink_to("nowhere")
        assert states(checked(tmp_path)) == {"entry-missing"}
        with pytest.raises(RecordMissing):
            ShardReader(Shard(tmp_path)).record(0)

    def test_any_bit_of_the_public_keys(self, tmp_path: Path) -> None:
        grown_shard(tmp_path, 3)
        keys = tmp_path / "keys"
        data = keys.read_bytes()
        for place in [*range(60), *range(len(data) - 60, len(data))]:
            for bit in range(8):
                changed = bytearray(data)
                changed[place] ^= 1 << bit
                keys.write_bytes(bytes(changed))
                assert not checked(tmp_path).ok, (place, bit)
        keys.write_bytes(data)
        assert checked(tmp_path).ok


class TestForgedFields:
    """Records that were hashed and signed, and are not what a record should be: a finding or nothing, never a failure."""

    @pytest.mark.parametrize(
        "record",
        [
            b'{"type":"audit.gap","log":[]}',
            b'{"type":"audit.gap","log":{"count":"many"}}',
            b'{"type":"audit.gap","log":{"count":-5}}',
            b'{"type":["audit.gap"],"boot":{},"worker":[],"seq":true,"ts":true,"mono":true}',
            b"[" * 60_000,
            b'{"a":' * 10_000,
            b'{"ts":1e400}',
            b"\xff",
            b"",
        ],
    )
    def test_verify_goes_on(self, tmp_path: Path, record: bytes) -> None:
        shard_of(tmp_path, record, b"{}")
        assert states(checked(tmp_path)) <= {"record-unreadable"}
        assert isinstance(decoded(record), dict)

    def test_a_gap_of_less_than_nothing_announces_nothing(self, tmp_path: Path) -> None:
        def numbered(seq: int) -> bytes:
            stamp = Stamp(id="x", ts_us=seq, mono_ns=seq * 1000, node="n", boot="b", worker="w", seq=seq)
            return envelope("auth.failed", stamp)

        shard_of(tmp_path / "a", numbered(1), b'{"type":"audit.gap","log":{"count":1}}', numbered(3))
        assert checked(tmp_path / "a").ok
        shard_of(tmp_path / "b", numbered(1), b'{"type":"audit.gap","log":{"count":true}}', numbered(3))
        assert states(checked(tmp_path / "b")) == {"record-lost"}


class TestNames:
    def test_a_signature_under_another_name_is_none_of_this_log(self) -> None:
        """One key signs all shards: the head of one must not pass as that of another."""
        other = LogSigner("gateway.example/audit/0002", SIGNER._ed25519, SIGNER._ml_dsa_44)
        note = parse_note(other.sign(0, bytes(32), NOW_S))
        assert verify_checkpoint(note.encode(), [other.keys[0]]).checkpoint.origin == other.origin
        mine = SIGNER.keys[0]
        renamed = Note(note.text, (NoteSignature(mine.name, mine.key_id, note.signatures[0].data),))
        with pytest.raises(SignatureInvalid):
            verify_checkpoint(renamed.encode(), [mine])


class TestShardsThatComeAndGo:
    def settings(self, tmp_path: Path) -> Audit:
        return Audit(directory=str(tmp_path / "audit"), reserve_bytes=0)

    def run(self, tmp_path: Path) -> None:
        writer = AuditWriter(self.settings(tmp_path), tmp_path / "keys")
        writer.open()
        writer.close()

    def test_a_new_history_is_not_begun_by_making_a_directory(self, tmp_path: Path) -> None:
        self.run(tmp_path)
        (tmp_path / "audit/0002").mkdir()
        with pytest.raises(LogRefused, match="0002"):
            self.run(tmp_path)
        (tmp_path / "audit/0002").rmdir()
        self.run(tmp_path)

    def test_nor_by_a_copy_of_the_old_one(self, tmp_path: Path) -> None:
        self.run(tmp_path)
        shutil.copytree(tmp_path / "audit/0001", tmp_path / "audit/0002")
        with pytest.raises(LogRefused, match="0002"):
            self.run(tmp_path)

    def test_what_was_begun_in_halves_is_given_up_by_name_and_the_next_one_goes_on(self, tmp_path: Path) -> None:
        self.run(tmp_path)
        (tmp_path / "audit/0002").mkdir()
        begun = begin_new_history(tmp_path / "audit", tmp_path / "keys", "", "0002", "a crash", NOW_S)
        assert begun.name == "0003"
        self.run(tmp_path)
        self.run(tmp_path)
        assert json.loads(ShardReader(begun).record(0))["log"]["shard"] == "0003"
        assert verify_shard(begun).findings == []
