"""The witness: signs what continues all it has seen, and answers everything else as c2sp.org/tlog-witness says."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from gateway.audit.checkpoint import LogSigner, WitnessSigner, verify_checkpoint
from gateway.audit.tiles import TileNodes
from gateway.audit.tree import consistency_proof
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import Shard
from gateway.control.trail.witness import Witness, request_body
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
