"""The search index: the quick way in says the same as the slow one, and a log that cannot be read to its end leaves nothing half."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.canonical import canonical
from gateway.control.trail import index as module
from gateway.control.trail.index import Query, SearchIndex
from gateway.control.trail.layout import Shard
from gateway.control.trail.reader import RecordMissing
from tests.support.trail import NOW_S, opened

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
PARTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("action", "verdict", "act", "rule", "reason", "ip", "version"), TEXT),
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "ts": st.integers(0, 2**53 - 1),
        "cp": TEXT,
        "type": TEXT,
        "sess": TEXT,
        "text": TEXT,
        "subj": st.lists(TEXT, max_size=3),
        "ocpp": PARTS,
        "dec": PARTS,
        "peer": PARTS,
        "n": st.integers(0, 9),
    },
)


@given(RECORDS)
def test_the_quick_way_and_the_slow_one_say_the_same(record: dict[str, Any]) -> None:
    data = canonical(record)
    assert module._row("0001", 7, data) == module._row_of_odd("0001", 7, data)


@pytest.mark.parametrize(
    "data", [b'{"cp":7}', b'{"peer":[]}', b"[]", b"\xff", b"[" * 20_000, b'{"ts":1e9}', b'{"subj":"x"}']
)
def test_what_is_no_record_of_ours_has_a_row_all_the_same(data: bytes) -> None:
    row = module._row("0001", 7, data)
    assert row[:2] == ("0001", 7)
    assert isinstance(row[2], int)
    assert all(isinstance(each, str) for each in row[3:])


def grown(directory: Path, count: int) -> Shard:
    entries = [json.dumps({"cp": f"CP-{n % 10}", "ts": n, "type": "x"}).encode() for n in range(count)]
    writer, _ = opened(directory)
    writer.commit(entries)
    writer.grow(entries)
    writer.publish(NOW_S)
    writer.close()
    return Shard(directory)


def names(path: Path) -> set[str]:
    with sqlite3.connect(path) as db:
        return {
            name for (name,) in db.execute("select name from sqlite_master where type = 'index' and sql is not null")
        }


def test_transactions_of_any_size_take_in_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 100)
    monkeypatch.setattr(module, "_COMMIT", 250)
    shard, told = grown(tmp_path / "0001", 1_000), list[int]()
    found = SearchIndex(tmp_path / "index")
    found.follow([shard], lambda _, done: told.append(done))
    assert told[-1] == 1_000
    assert len(found.search(Query(identity="CP-3", limit=1_000))) == 100
    found.follow([shard])
    assert len(found.search(Query(limit=10_000))) == 1_000
    found.close()
    assert names(tmp_path / "index") == set(module._INDEXES)


def test_a_log_that_ends_in_damage_leaves_whole_transactions_and_goes_on_when_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 100)
    monkeypatch.setattr(module, "_COMMIT", 250)
    shard = grown(tmp_path / "0001", 1_000)
    bundle = tmp_path / "0001/tile/entries/002"
    data = bundle.read_bytes()
    bundle.write_bytes(data[:100])
    found = SearchIndex(tmp_path / "index")
    with pytest.raises(RecordMissing):
        found.follow([shard])
    assert len(found.search(Query(limit=10_000))) == 500
    bundle.write_bytes(data)
    found.follow([shard])
    assert [hit.index for hit in found.search(Query(limit=10_000))] == list(reversed(range(1_000)))
    found.close()
