"""New signing keys: introduced under both, verified from either side; and what a stolen old key is good for."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.checkpoint import LogSigner, verify_checkpoint
from gateway.audit.note import VerifierKey
from gateway.audit.succession import closing_of, renamed
from gateway.control.audit_writer import LogRefused
from gateway.control.trail.chain import verify_log
from gateway.control.trail.keys import KeyUnusable, load_or_make_keys
from gateway.control.trail.layout import Shard
from gateway.control.trail.reader import ShardReader, decoded
from gateway.control.trail.recovery import open_shard
from tests.control.trail.test_shards import Log, QuickDisk
from tests.support.trail import NOW_S


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Four shards; the third one begins with new keys. The old ones are in `stolen`."""
    log = Log(tmp_path)
    log.grown(3)
    shutil.copytree(log.keys, tmp_path / "stolen")
    writer = log.open()
    log.rotated(writer)
    log.write(writer, 3)
    log.rotated(writer, new_keys=True)
    log.write(writer, 3)
    log.rotated(writer)
    writer.close()
    return log


def old_signer(log: Log, origin: str) -> LogSigner:
    keys = load_or_make_keys(log.place / "stolen", may_make=False)
    return LogSigner(origin, keys.ed25519, keys.ml_dsa_44)


def materials(keys: tuple[VerifierKey, ...]) -> set[bytes]:
    return {key.public for key in keys}


def proves(log: Log, keys: tuple[VerifierKey, ...], **more: Any) -> bool:
    """Nothing is wrong, and nobody's signature is taken on trust."""
    reports = verify_log(log.root, keys, **more)
    trusted = all(not each.startswith("who signed") for report in reports for each in report.not_proven)
    return trusted and all(report.ok for report in reports)


def test_they_are_introduced_under_both(log: Log) -> None:
    first, second, third, fourth = (log.keys_of(f"000{number}") for number in range(1, 5))
    assert materials(first) == materials(second)
    assert materials(second).isdisjoint(materials(third))
    assert materials(third) == materials(fourth)
    shard = Shard(log.root / "0002")
    head = verify_checkpoint(shard.checkpoint.read_bytes(), (*second, *renamed(third, second[0].name)))
    assert len(head.by) == 4
    last = closing_of(decoded(ShardReader(shard).record(head.checkpoint.size - 1)))
    assert last is not None
    assert last.keys == third


def test_the_old_ones_are_gone_and_the_new_ones_are_for_their_owner_alone(log: Log) -> None:
    assert not (log.keys / "next").exists()
    for name in ("ed25519.seed", "ml-dsa-44.seed"):
        assert (log.keys / name).read_bytes() != (log.place / "stolen" / name).read_bytes()
        assert (log.keys / name).stat().st_mode & 0o777 == 0o600
    log.open().close()
    assert log.states() == {}


@pytest.mark.parametrize("shard", ["0001", "0002", "0003", "0004"])
def test_the_keys_of_any_shard_prove_all(log: Log, shard: str) -> None:
    assert proves(log, log.keys_of(shard))


def test_no_keys_prove_it_without_naming_whose_they_are(log: Log) -> None:
    assert log.states() == {}
    assert not proves(log, ())


def test_keys_of_somebody_else_prove_nothing(log: Log, tmp_path: Path) -> None:
    other = Log(tmp_path / "other").grown(1)
    assert set(log.states(trusted=other.keys_of("0001"))) == {"0001", "0002", "0003", "0004"}


class TestAThiefOfTheOldKeys:
    def forged(self, log: Log, name: str, count: int) -> None:
        """A shard in the place of the log's own, signed with the old keys."""
        origin = log.keys_of("0001")[0].name.rpartition("/")[0]
        shutil.rmtree(log.root / name)
        writer, _ = open_shard(Shard(log.root / name), old_signer(log, f"{origin}/{name}"), QuickDisk(), NOW_S)
        for number in range(count):
            writer.commit([b'{"forged":%d}' % number])
            writer.grow([b'{"forged":%d}' % number])
        writer.publish(NOW_S)
        writer.close()

    def test_cannot_write_on_where_they_ended(self, log: Log) -> None:
        shard = Shard(log.root / "0002")
        writer, _ = open_shard(shard, old_signer(log, log.keys_of("0002")[0].name), QuickDisk(), NOW_S)
        writer.commit([b'{"forged":1}'])
        writer.grow([b'{"forged":1}'])
        writer.publish(NOW_S)
        writer.close()
        assert "chain-broken" in log.states()["0002"]

    @pytest.mark.parametrize("name", ["0001", "0002"])
    def test_cannot_put_another_history_before_the_new_keys(self, log: Log, name: str) -> None:
        self.forged(log, name, 5)
        assert name in log.states()
        assert name in log.states(trusted=log.keys_of("0004"))

    @pytest.mark.parametrize("name", ["0003", "0004"])
    def test_cannot_make_a_shard_after_them(self, log: Log, name: str) -> None:
        new = log.keys_of("0004")
        self.forged(log, name, 5)
        assert name in log.states()
        assert name in log.states(trusted=new)
        if name == "0004":
            with pytest.raises(LogRefused):
                log.open()

    def test_who_cuts_off_all_that_the_new_keys_signed_is_found_out_by_whoever_has_these(self, log: Log) -> None:
        new, kept = log.keys_of("0003"), (log.root / "0003/checkpoint").read_bytes()
        for name in ("0003", "0004"):
            shutil.rmtree(log.root / name)
        self.forged(log, "0002", 5)
        assert "keys-untrusted" in log.states(trusted=new)["0002"]
        assert log.states(earlier=[kept])["0003"] == ["shard-missing"]
        with pytest.raises(LogRefused, match="0004 was published"):
            log.open()


def test_what_the_new_keys_signed_is_cut_off_and_the_note_beside_them_too(log: Log) -> None:
    """The old keys were overwritten, so that the gateway cannot go on there either."""
    shutil.rmtree(log.root / "0004")
    shutil.rmtree(log.root / "0003")
    (log.keys / "last-head").unlink()
    with pytest.raises(LogRefused, match="restore them, or begin a new history"):
        log.open()


def test_keys_that_were_made_and_never_came_into_use_do_no_harm(log: Log) -> None:
    load_or_make_keys(log.keys / "next", may_make=True)
    unused = (log.keys / "next/ed25519.seed").read_bytes()
    writer = log.open()
    log.rotated(writer, new_keys=True)
    writer.close()
    assert log.states() == {}
    assert (log.keys / "ed25519.seed").read_bytes() != unused, "whoever put them there does not choose the next keys"


def test_a_crash_between_the_two_files_of_the_keys(log: Log) -> None:
    """One of each is in use; the next start puts the other in its place."""
    (log.keys / "next").mkdir()
    (log.keys / "ml-dsa-44.seed").rename(log.keys / "next/ml-dsa-44.seed")
    (log.keys / "next/ml-dsa-44.seed").chmod(0o600)
    shutil.copy(log.place / "stolen/ml-dsa-44.seed", log.keys / "ml-dsa-44.seed")
    log.open().close()
    assert log.states() == {}
    assert not (log.keys / "next").exists()


def test_keys_at_hand_are_never_made(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable):
        load_or_make_keys(tmp_path / "keys", may_make=False)
