"""`audit` at the prompt, over a log that somebody has worked on: an exit code and words, never a traceback, nothing removed."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from gateway.cli.exit_codes import NOT_OK, OK
from gateway.control.trail.root import begin_new_history
from tests.cli.conftest import Cli
from tests.cli.test_audit import found, log, made
from tests.support.trail import NOW_S, grown_shard, opened

__all__ = ["log", "made"]

ODD = [
    b'{"type":"auth.failed","peer":[1],"dec":"x","ocpp":7,"subj":5,"ts":"soon","sev":["x"],"cp":{},"text":[]}',
    b'{"type":["x"],"ts":99999999999999999999,"dec":{"status":"x","act":"y"},"n":{}}',
    b'{"type":"http.x","dec":{"status":"teapot"}}',
    b"[" * 50_000,
    b"not json",
]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    writer, _ = opened(tmp_path / "odd/0001")
    writer.commit(ODD)
    writer.grow(ODD)
    writer.publish(NOW_S)
    writer.close()
    return tmp_path / "odd"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("verify",), NOT_OK),
        (("tail", "--dir"), OK),
        (("tail", "--json", "--dir"), OK),
        (("search", "--dir"), OK),
        (("search", "--event", "auth.", "--dir"), OK),
        *((("show", str(index), "--dir"), OK) for index in range(len(ODD))),
    ],
)
def test_odd_records_end_no_command(odd: Path, cli: Cli, words: tuple[str, ...], code: int) -> None:
    result = cli("audit", *words, odd)
    assert (result.code, "defect" in result.err) == (code, False)


@pytest.mark.parametrize("form", ["jsonl", "ecs", "cef", "ocsf"])
def test_what_has_no_words_in_a_format_is_counted(odd: Path, cli: Cli, form: str, tmp_path: Path) -> None:
    document = cli("audit", "export", "--format", form, "--dir", odd, "-o", tmp_path / "out", "--json").json()
    written = len((tmp_path / "out").read_bytes().splitlines())
    assert (document["records"], document["records"] + document["unsaid"]) == (written, len(ODD))


class TestIndexFile:
    @pytest.mark.parametrize("kind", ["text", "another database"])
    def test_a_file_of_somebody_else_is_left_alone(self, log: Path, cli: Cli, tmp_path: Path, kind: str) -> None:
        mine = tmp_path / "mine"
        if kind == "text":
            mine.write_text("dear diary\n")
        else:
            db = sqlite3.connect(mine)
            db.executescript("create table charge_point (id text); insert into charge_point values ('CP-1');")
            db.close()
        before = mine.read_bytes()
        result = cli("audit", "search", "--dir", log, "--index", mine)
        assert (result.code, "no search index" in result.err) == (NOT_OK, True)
        assert mine.read_bytes() == before

    def test_an_empty_one_and_one_of_ours_are_used(self, log: Path, cli: Cli, tmp_path: Path) -> None:
        mine = tmp_path / "mine"
        mine.touch()
        for _ in range(2):
            assert len(found(cli, log, "--identity", "CP-3", "--index", str(mine))) == 40

    def test_one_that_is_damaged_inside(self, log: Path, cli: Cli) -> None:
        assert len(found(cli, log, "--identity", "CP-3")) == 40
        index = log / "index.sqlite"
        data = bytearray(index.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        index.write_bytes(bytes(data))
        result = cli("audit", "search", "--dir", log, "--identity", "CP-3")
        assert (result.code, "Delete it" in result.err) == (NOT_OK, True)


class TestShards:
    @pytest.fixture
    def three(self, log: Path) -> Path:
        for given_up in ("0001", "0002"):
            begin_new_history(log, log.parent / "audit-keys", "", given_up, "a test", NOW_S)
        return log

    def test_all_of_them(self, three: Path, cli: Cli, tmp_path: Path) -> None:
        assert cli("audit", "checkpoint", three, "-o", tmp_path / "kept").code == OK
        assert cli("audit", "verify", three, "--since-checkpoint", tmp_path / "kept").code == OK
        assert cli("audit", "verify", three / "0002").code == OK, "one alone can be verified"

    @pytest.mark.parametrize("gone", ["0001", "0002"])
    def test_one_taken_out(self, three: Path, cli: Cli, gone: str) -> None:
        shutil.rmtree(three / gone)
        result = cli("audit", "verify", three, "--json")
        (missing,) = [shard for shard in result.json()["shards"] if shard["shard"] == gone]
        assert (result.code, missing["findings"][0]["state"]) == (NOT_OK, "shard-missing")

    def test_the_last_one_taken_away_from_somebody_who_kept_its_checkpoint(
        self, three: Path, cli: Cli, tmp_path: Path
    ) -> None:
        cli("audit", "checkpoint", three, "-o", tmp_path / "kept")
        shutil.rmtree(three / "0003")
        assert cli("audit", "verify", three).code == OK, "nothing that is here speaks of it"
        result = cli("audit", "verify", three, "--since-checkpoint", tmp_path / "kept")
        assert (result.code, "shard-missing: shard 0003" in result.out) == (NOT_OK, True)

    @pytest.mark.usefixtures("place")
    def test_a_reason_longer_than_a_record(self, log: Path, cli: Cli) -> None:
        result = cli("audit", "new-history", "0001", "--reason", "x" * 70_000)
        assert (result.code, "too long" in result.err) == (NOT_OK, True)
        assert not (log / "0002").exists()
        assert cli("audit", "new-history", "0001", "--reason", "x" * 30_000).code == OK


def test_every_byte_of_every_file_of_a_small_log(tmp_path: Path, cli: Cli) -> None:
    """One bit each, through the command."""
    from gateway.control.trail.layout import Shard
    from gateway.control.trail.verify import verify_shard

    grown_shard(tmp_path / "0001", 2, 3).close()
    assert cli("audit", "verify", tmp_path).code == OK
    files = [tmp_path / "0001/checkpoint", *(path for path in (tmp_path / "0001/tile").rglob("*") if path.is_file())]
    assert len(files) == 5
    for path in files:
        data = path.read_bytes()
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= 1 << place % 8
            path.write_bytes(changed)
            assert not verify_shard(Shard(tmp_path / "0001")).ok, (path, place)
        assert cli("audit", "verify", tmp_path).code == NOT_OK, path
        path.write_bytes(data)
    assert json.loads(cli("audit", "verify", tmp_path, "--json").out)["ok"]


@pytest.mark.parametrize("how", ["gone", "a link to itself"])
def test_nobody_takes_a_part_of_the_log_for_the_whole(log: Path, cli: Cli, tmp_path: Path, how: str) -> None:
    assert cli("audit", "export", "--dir", log, "-o", tmp_path / "whole").code == OK
    bundle = log / "0001/tile/entries/000"
    bundle.unlink()
    if how != "gone":
        bundle.symlink_to(bundle)
    for words in (("tail",), ("search",), ("export", "-o", str(tmp_path / "part")), ("show", "5")):
        result = cli("audit", *words, "--dir", log)
        assert (result.code, "audit verify" in result.err) == (NOT_OK, True), words
    assert cli("audit", "verify", log).code == NOT_OK


@pytest.mark.parametrize("file", ["0001/tile/0/000", "0001/tile/entries/000", "0001/checkpoint"])
@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_what_is_no_file_is_none(log: Path, cli: Cli, file: str, kind: str) -> None:
    (log / file).unlink()
    if kind == "directory":
        (log / file).mkdir()
    else:
        os.mkfifo(log / file)
    assert cli("audit", "verify", log).code == NOT_OK


def test_a_segment_that_would_keep_us_waiting(log: Path, cli: Cli) -> None:
    (segment,) = (log / "0001/state").glob("segment-*")
    segment.unlink()
    assert cli("audit", "verify", log).code == OK, "there is nothing in it"
    os.mkfifo(segment)
    result = cli("audit", "verify", log, "--json")
    (finding,) = result.json()["shards"][0]["findings"]
    assert (result.code, finding["state"]) == (NOT_OK, "state-damaged")
    assert cli("audit", "tail", "--dir", log).code == NOT_OK
