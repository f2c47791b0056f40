"""The witness: signs what continues all it has seen, and answers everything else as c2sp.org/tlog-witness says."""

import shutil
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from gateway.audit.checkpoint import LogSigner, WitnessSigner, verify_checkpoint
from gateway.audit.proof_file import ProofFile
from gateway.audit.tiles import TileNodes
from gateway.audit.tree import consistency_proof
from gateway.control.trail.disk import Disk
from gateway.control.trail.kit import prove
from gateway.control.trail.layout import Shard
from gateway.control.trail.recovery import open_shard
from gateway.control.trail.successor import signer_of
from gateway.control.trail.witness import Witness, request_body
from tests.control.trail.test_shards import Log as ShardedLog
from tests.support.trail import NOW_S, ORIGIN, SIGNER, FailingDisk, Fault, grown_shard, opened, records

KEY = Ed25519PrivateKey.generate()


class Log:
    """A log that grows, and the requests it makes."""

    def __init__(self, directory: Path, size: int) -> None:
        self.shard = Shard(directory)
        self.writer = grown_shard(directory, size)

    def grow(self, count: int) -> None:
        batch = records(self.writer.size, count)
        self.writer.commit(batch)
        self.writer.grow(batch)
        self.writer.publish(NOW_S)

    @property
    def note(self) -> bytes:
        return self.shard.checkpoint.read_bytes()

    def request(self, old: int) -> bytes:
        size = self.writer.size
        return request_body(old, consistency_proof(TileNodes(self.shard.read_tile, size), old, size), self.note)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log", 300)


def witness(state: Path, disk: Disk | None = None) -> Witness:
    state.mkdir(exist_ok=True)
    return Witness(WitnessSigner("w.example", KEY), {ORIGIN: SIGNER.keys}, state, disk or Disk())


def test_what_continues_is_signed_and_remembered_across_restarts(log: Log, tmp_path: Path) -> None:
    for old in (0, 300, 310):
        answer = witness(tmp_path / "w").add_checkpoint(log.request(old), NOW_S)
        assert answer.status == 200
        verified = verify_checkpoint(
            log.note + answer.body.encode(), SIGNER.keys, [WitnessSigner("w.example", KEY).key]
        )
        assert (len(verified.by), verified.time_s) == (3, NOW_S)
        log.grow(10)
    assert witness(tmp_path / "w").newest(ORIGIN).size == 320


def test_the_same_head_again_is_signed_again(log: Log, tmp_path: Path) -> None:
    asked = witness(tmp_path / "w")
    assert asked.add_checkpoint(log.request(0), NOW_S).status == 200
    assert asked.add_checkpoint(log.request(300), NOW_S + 60).status == 200


def test_an_old_size_that_is_not_the_newest_is_told_the_newest(log: Log, tmp_path: Path) -> None:
    asked = witness(tmp_path / "w")
    asked.add_checkpoint(log.request(0), NOW_S)
    log.grow(5)
    answer = asked.add_checkpoint(log.request(0), NOW_S)
    assert (answer.status, answer.body, answer.content_type) == (409, "300\n", "text/x.tlog.size")


def test_a_log_that_was_rolled_back_is_not_signed(log: Log, tmp_path: Path) -> None:
    asked, old = witness(tmp_path / "w"), log.request(0)
    log.grow(5)
    assert asked.add_checkpoint(log.request(0), NOW_S).status == 200
    assert asked.add_checkpoint(old, NOW_S).status == 409
    assert asked.add_checkpoint(old.replace(b"old 0", b"old 305"), NOW_S).status == 400
    assert asked.newest(ORIGIN).size == 305


@pytest.mark.parametrize(("size", "status"), [(300, 409), (310, 422)])
def test_another_history_is_not_signed(log: Log, tmp_path: Path, size: int, status: int) -> None:
    asked = witness(tmp_path / "w")
    asked.add_checkpoint(log.request(0), NOW_S)
    writer, _ = opened(tmp_path / "forged")
    batch = [b'{"forged":%d}' % number for number in range(size)]
    writer.commit(batch)
    writer.grow(batch)
    writer.publish(NOW_S)
    proof = consistency_proof(TileNodes(Shard(tmp_path / "forged").read_tile, size), 300, size)
    body = request_body(300, proof, (tmp_path / "forged/checkpoint").read_bytes())
    assert asked.add_checkpoint(body, NOW_S).status == status


def test_an_unknown_log_and_an_unknown_key(log: Log, tmp_path: Path) -> None:
    asked = witness(tmp_path / "w")
    assert asked.add_checkpoint(log.request(0).replace(ORIGIN.encode(), b"other/log"), NOW_S).status == 404
    stranger = LogSigner(ORIGIN, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
    body = request_body(0, [], stranger.sign(1, bytes(32), NOW_S))
    assert asked.add_checkpoint(body, NOW_S).status == 403


@pytest.mark.parametrize(
    "head",
    [
        b"old 01",
        b"old -1",
        b"old",
        b"",
        b"new 0",
        b"old 0\nAAAA",
        b"old 0\n" + b"A" * 43 + b"=\n" * 64,
        b"old " + b"1" * 30,
    ],
)
def test_what_is_no_request(log: Log, tmp_path: Path, head: bytes) -> None:
    assert witness(tmp_path / "w").add_checkpoint(head + b"\n\n" + log.note, NOW_S).status == 400


def test_a_proof_is_needed_and_must_be_empty_at_first(log: Log, tmp_path: Path) -> None:
    asked = witness(tmp_path / "w")
    assert asked.add_checkpoint(request_body(0, [bytes(32)], log.note), NOW_S).status == 422
    asked.add_checkpoint(log.request(0), NOW_S)
    log.grow(5)
    assert asked.add_checkpoint(request_body(300, [], log.note), NOW_S).status == 422


def test_nothing_is_signed_that_could_not_be_remembered(log: Log, tmp_path: Path) -> None:
    disk = FailingDisk(Fault("fdatasync", 0))
    with pytest.raises(OSError):
        witness(tmp_path / "w", disk).add_checkpoint(log.request(0), NOW_S)
    assert witness(tmp_path / "w").newest(ORIGIN).size == 0


class TestShards:
    """A witness that was given the keys of the first shard follows the log from there."""

    @pytest.fixture
    def shards(self, tmp_path: Path) -> ShardedLog:
        log = ShardedLog(tmp_path / "sharded").grown()
        shutil.copytree(log.keys, log.place / "old-keys")
        return log.grown(300, 3, 5, new_keys=(2,))

    def witness(self, shards: ShardedLog, name: str = "w") -> Witness:
        state = shards.place / name
        state.mkdir(exist_ok=True)
        keys = shards.keys_of("0001")
        return Witness(WitnessSigner("w.example", KEY), {keys[0].name: keys}, state, Disk())

    def head(self, shards: ShardedLog, name: str) -> bytes:
        return request_body(0, [], (shards.root / name / "checkpoint").read_bytes())

    def end(self, shards: ShardedLog, name: str, index: int | None = None) -> ProofFile:
        shard = Shard(shards.root / name)
        size = verify_checkpoint(shard.checkpoint.read_bytes(), shard.read_keys()).checkpoint.size
        record, proof = prove(shard, size - 1 if index is None else index)
        return ProofFile(proof.index, proof.hashes, proof.checkpoint, record)

    def test_it_follows_also_to_new_keys_and_remembers(self, shards: ShardedLog) -> None:
        for name, following in (("0001", "0002"), ("0002", "0003")):
            asked = self.witness(shards)
            assert asked.add_checkpoint(self.head(shards, following), NOW_S).status == 404
            assert asked.add_successor(self.end(shards, name).encode()).status == 409, "the head must be known first"
            assert asked.add_checkpoint(self.head(shards, name), NOW_S).status == 200
            assert asked.add_successor(self.end(shards, name).encode()).status == 200
            assert self.witness(shards).add_successor(self.end(shards, name).encode()).status == 200, "and once more"
        answer = self.witness(shards).add_checkpoint(self.head(shards, "0003"), NOW_S)
        assert answer.status == 200

    def test_what_is_no_end_leads_nowhere(self, shards: ShardedLog) -> None:
        asked = self.witness(shards)
        asked.add_checkpoint(self.head(shards, "0001"), NOW_S)
        end = self.end(shards, "0001")
        assert asked.add_successor(self.end(shards, "0001", 5).encode()).status == 422
        other = msgspec.structs.replace(end, extra=end.extra.replace(b"0002", b"0003"))
        assert asked.add_successor(other.encode()).status == 422
        assert asked.add_successor(b"nonsense").status == 400
        assert asked.add_checkpoint(self.head(shards, "0002"), NOW_S).status == 404

    def test_a_shard_that_has_ended_is_not_signed_on(self, shards: ShardedLog) -> None:
        """Not even with its own keys, which somebody may have stolen."""
        asked = self.witness(shards)
        shard = Shard(shards.root / "0001")
        asked.add_checkpoint(self.head(shards, "0001"), NOW_S)
        signer = signer_of(shards.place / "old-keys", shard.read_keys())
        writer, _ = open_shard(shard, signer, Disk(), NOW_S)
        size = writer.size
        assert asked.add_successor(self.end(shards, "0001").encode()).status == 200
        writer.commit([b"{}"])
        writer.grow([b"{}"])
        writer.publish(NOW_S)
        proof = consistency_proof(TileNodes(shard.read_tile, size + 1), size, size + 1)
        answer = asked.add_checkpoint(request_body(size, proof, shard.checkpoint.read_bytes()), NOW_S)
        assert (answer.status, "has ended" in answer.body) == (403, True)

    def test_new_keys_that_have_not_signed_are_not_followed(self, shards: ShardedLog) -> None:
        """A last record may name any keys: whoever owns them must have agreed."""
        asked, first = self.witness(shards), self.end(shards, "0001")
        asked.add_checkpoint(self.head(shards, "0001"), NOW_S)
        assert asked.add_successor(first.encode()).status == 200
        asked.add_checkpoint(self.head(shards, "0002"), NOW_S)
        end, keys = self.end(shards, "0002"), shards.keys_of("0002")
        text, _, lines = end.checkpoint.decode().partition("\n\n")
        only_old = "\n".join(lines.split("\n")[:2]) + "\n"
        unsigned = msgspec.structs.replace(end, checkpoint=f"{text}\n\n{only_old}".encode())
        assert verify_checkpoint(unsigned.checkpoint, keys).by == keys
        assert asked.add_successor(unsigned.encode()).status == 403
        assert asked.add_successor(end.encode()).status == 200
