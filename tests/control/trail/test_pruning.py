"""Old shards are emptied: on record, provable as far as anything is left, and never what is held or was not delivered."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.succession import pruned_in
from gateway.config.model import Audit, Config, Sink
from gateway.control.audit_trail import AuditTrail
from gateway.control.log_shards import LogShards, PruneRequest
from gateway.control.operator_requests import RequestRefused
from gateway.control.sinks.cursor import Position, read_raw
from gateway.control.trail.chain import verify_log
from gateway.control.trail.disk import Disk
from gateway.control.trail.holds import Hold
from gateway.control.trail.index import Query, SearchIndex
from gateway.control.trail.kit import NotProvable, prove
from gateway.control.trail.layout import Shard, shards_in
from gateway.control.trail.pruning import prune_shard
from gateway.control.trail.reader import RecordMissing, ShardReader, decoded
from tests.control.trail.test_shards import Log
from tests.support.trail import NOW_S

DAY_S = 86_400


class Site:
    """A trail with a sink, as control has it, above a log whose shards are a month apart."""

    def __init__(self, place: Path, keep_days: int = 60) -> None:
        self.log = Log(place, rotate="never")
        writer = self.log.open()
        for number in range(4):
            if number:
                self.log.now_ns += 31 * DAY_S * 10**9
                self.log.rotated(writer)
            self.log.write(writer, 300)
        writer.close()
        audit = Audit(
            directory=str(self.log.root),
            keys_directory=str(self.log.keys),
            reserve_bytes=0,
            rotate="never",
            checkpoint_interval_s=0.02,
        )
        config = Config(
            path="",
            database_url="",
            edge_workers=1,
            log_level="info",
            state_dir=str(place),
            audit=audit,
            sinks=(Sink(name="siem", kind="file", target=str(place / "siem.jsonl")),),
            csms=(),
            listeners=(),
        )
        self.trail = AuditTrail(config)
        self.trail.writer.open()
        self.shards = LogShards(self.trail.writer, self.trail.retention, lambda: self.log.now_ns / 1e9)
        self.shards._keep_days = keep_days

    def delivered(self, shard: str, index: int) -> None:
        """The sink has come so far."""
        self.trail._sinks._followers["siem"]._cursor.save(Position(shard, index))

    def close(self) -> None:
        self.trail.writer.close()

    async def prune(self, **more: Any) -> dict[str, Any]:
        answer = await self.shards.prune(PruneRequest(reason="too old", **{"dry_run": False, **more}))
        return {each["shard"]: each for each in answer["shards"]}

    def pruned(self) -> list[str]:
        return [shard.name for shard in shards_in(self.log.root) if shard.is_pruned]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "sinks").mkdir()
    made = Site(tmp_path)
    made.delivered("0004", 0)
    return made


async def test_what_is_old_enough_goes_and_the_rest_is_proven_as_before(site: Site) -> None:
    told = await site.prune(dry_run=True)
    assert {name: row["prune"] for name, row in told.items()} == {"0001": True}
    assert site.pruned() == []
    site.log.now_ns += 31 * DAY_S * 10**9
    assert {name: row["prune"] for name, row in (await site.prune()).items()} == {"0001": True, "0002": True}
    site.close()
    assert site.pruned() == ["0001", "0002"]
    assert {path.name for path in (site.log.root / "0001").iterdir()} == {"checkpoint", "keys", "ends"}
    assert site.log.states() == {}
    first, _, third, fourth = verify_log(site.log.root)
    assert (first.pruned, third.pruned) == (True, False)
    assert any("what its 302 records were" in each for each in first.not_proven)
    assert fourth.size > 300
    record = next(
        decoded(data) for _, data in ShardReader(Shard(site.log.root / "0004")).records() if b"audit.pruned" in data
    )
    assert [each.shard for each in pruned_in(record)] == ["0001", "0002"]
    assert "too old" in record["text"]
    # And the next run goes on with this log.
    writer = site.log.open()
    site.log.write(writer, 1)
    writer.close()
    assert site.log.states() == {}


async def test_nothing_by_default(site: Site) -> None:
    site.shards._keep_days = 0
    with pytest.raises(RequestRefused, match="everything is kept"):
        await site.prune()
    site.close()
    assert site.pruned() == []


async def test_what_a_sink_has_not_delivered_stays_unless_the_danger_is_named(site: Site) -> None:
    site.delivered("0001", 301)
    row = (await site.prune())["0001"]
    assert (row["prune"], row["unread_by"]) == (False, ["siem"])
    assert site.pruned() == []
    site.delivered("0001", 302)
    assert (await site.prune(dry_run=True))["0001"]["prune"]
    site.delivered("0001", 5)
    assert (await site.prune(lose_what_sinks_have_not_read=True))["0001"]["prune"]
    site.close()
    assert site.pruned() == ["0001"]
    assert site.log.states() == {}
    shard, found, _ = read_raw(site.log.root, Position("0001", 5), 10)
    assert shard is not None
    assert (shard.name, found[0][0]) == ("0002", 0), "and the sink goes on behind it"


@pytest.mark.parametrize(
    ("days_after_the_beginning", "is_held"), [(0, True), (31, True), (-2, False), (34, False), (15, True)]
)
async def test_what_is_held_stays(site: Site, days_after_the_beginning: int, is_held: bool) -> None:
    import datetime

    day = datetime.datetime.fromtimestamp(NOW_S + days_after_the_beginning * DAY_S, datetime.UTC).date().isoformat()
    site.trail.shredding.holds.add(Hold(name="case-17", since=day, until=day))
    row = (await site.prune())["0001"]
    site.close()
    assert (row["prune"], row["held"]) == (not is_held, ["case-17"] if is_held else [])
    assert site.pruned() == ([] if is_held else ["0001"])


async def test_a_damaged_shard_stays_as_it_is_all_the_evidence_there_is(site: Site) -> None:
    bundle = site.log.root / "0001/tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"audit.start"', b'"audit.stare"', 1))
    row = (await site.prune())["0001"]
    site.close()
    assert "does not prove record 0" in row["failed"]
    assert bundle.exists()
    assert site.pruned() == []


def test_a_shard_that_is_emptied_without_a_record_of_that(tmp_path: Path) -> None:
    log = Log(tmp_path).grown(3, 3)
    prune_shard(Shard(log.root / "0001"), Disk())
    assert log.states() == {"0001": ["shard-missing"]}


async def test_what_somebody_else_has_emptied_does_not_come_onto_the_record(site: Site) -> None:
    """The ends can be made by anybody who can read the log; a later, honest record must not cover for it."""
    prune_shard(Shard(site.log.root / "0002"), Disk())
    told = await site.prune()
    assert {name: row["prune"] for name, row in told.items()} == {"0001": True, "0002": False}
    assert "no record says so" in told["0002"]["damaged"]
    (site.log.root / "0004/ends").mkdir()
    shutil.copy(site.log.root / "0002/ends/last.tlog-proof", site.log.root / "0004/ends/last.tlog-proof")
    await site.prune()
    assert (site.log.root / "0004/tile").exists(), "the shard that is written is never one that was pruned"
    shutil.rmtree(site.log.root / "0004/ends")
    site.close()
    assert site.log.states() == {"0002": ["shard-missing"]}


async def test_a_later_record_names_what_was_pruned_before(site: Site) -> None:
    await site.prune()
    site.log.now_ns += 31 * DAY_S * 10**9
    await site.prune()
    site.close()
    last = [pruned_in(decoded(data)) for _, data in ShardReader(Shard(site.log.root / "0004")).records()]
    assert [[each.shard for each in found] for found in last if found] == [["0001"], ["0001", "0002"]]
    assert site.log.states() == {}


async def test_what_is_left_of_a_shard_is_compared_too(site: Site) -> None:
    site.log.now_ns += 31 * DAY_S * 10**9
    await site.prune()
    site.close()
    for name in (
        "checkpoint",
        "keys",
        "ends/first.json",
        "ends/last.json",
        "ends/first.tlog-proof",
        "ends/last.tlog-proof",
    ):
        for shard in ("0001", "0002"):
            path = site.log.root / shard / name
            whole = path.read_bytes()
            for at in (5, len(whole) // 2):
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
                assert site.log.states(), f"{path} {at}"
            path.write_bytes(whole)
    assert site.log.states() == {}
    shutil.rmtree(site.log.root / "0001")
    assert site.log.states() == {"0001": ["shard-missing"]}


async def test_a_crash_between_the_record_and_the_end(site: Site, tmp_path: Path) -> None:
    """Whatever was deleted when it came: the shard is one that was pruned, and the next time the rest goes."""
    shutil.copytree(site.log.root / "0001/tile", tmp_path / "tile")
    await site.prune()
    shutil.copytree(tmp_path / "tile", site.log.root / "0001/tile")
    (site.log.root / "0001/tile/entries/000").unlink()
    assert site.log.states(live=True) == {}, "the record was under a checkpoint before anything was deleted"
    assert any("not all of its records" in each for each in verify_log(site.log.root)[0].notes)
    await site.prune()
    site.close()
    assert not (site.log.root / "0001/tile").exists()


async def test_readers_go_over_what_is_not_here(site: Site, tmp_path: Path) -> None:
    index = SearchIndex(tmp_path / "index")
    index.follow(shards_in(site.log.root))
    before = index.search(Query(limit=10_000))
    await site.prune()
    site.close()
    index.follow(shards_in(site.log.root))
    found = index.search(Query(limit=10_000))
    assert {hit.shard for hit in before} == {"0001", "0002", "0003", "0004"}
    assert {hit.shard for hit in found} == {"0002", "0003", "0004"}
    index.close()
    assert site.log.numbers() == list(range(301, 1201))
    with pytest.raises(RecordMissing, match="were pruned"):
        ShardReader(Shard(site.log.root / "0001")).record(3)
    with pytest.raises(NotProvable):
        prove(Shard(site.log.root / "0001"), 3)
    assert len(prove(Shard(site.log.root / "0002"), 3)[1].hashes) > 0


async def test_kept_checkpoints_of_a_shard_that_was_pruned(site: Site) -> None:
    kept = (site.log.root / "0001/checkpoint").read_bytes()
    other = Log(site.log.place / "other").grown(300, 1)
    await site.prune()
    site.close()
    assert site.log.states(earlier=[kept]) == {}
    forged = (other.root / "0001/checkpoint").read_bytes()
    assert site.log.states(earlier=[forged]) == {"0001": ["checkpoint-invalid"]}
