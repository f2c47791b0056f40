"""The demo is a promise of the README: it is run as a new user would run it."""

import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.control.trail.layout import shards_in
from gateway.control.trail.verify import verify_shard
from gateway.demo.cast import ACTORS, MISFITS, UPGRADED

pytestmark = pytest.mark.integration


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gateway", "demo", *arguments]
    wide = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=wide)


class Played(NamedTuple):
    done: "subprocess.CompletedProcess[str]"
    audit: Path


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One run, looked at from two sides."""
    place = tmp_path_factory.mktemp("demo")
    audit = place / "audit"
    return Played(run("--once", "--json", "--directory", str(place / "pki"), "--audit-dir", str(audit)), audit)


def test_once_as_json_shows_every_charge_point_charging_and_every_misfit_refused(played: Played) -> None:
    done = played.done
    result = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert {x["id"] for x in result["charge_points"]} == {actor.id for actor in ACTORS}
    assert [x for x in result["charge_points"] if not (x["admitted"] and x["transaction_completed"])] == []
    played_here = {(x["ocpp_version"], x["security_profile"]) for x in result["charge_points"]}
    assert played_here == set(itertools.product(("1.6", "2.0.1", "2.1"), (1, 2, 3)))
    assert [(x["case"], x["reason"]) for x in result["refused"]] == [(m.case, m.reason.code) for m in MISFITS]
    assert [x for x in result["refused"] if not x["stage"] or not x["seen"]] == []
    moved = [(x["id"], x["from_profile"], x["to_profile"]) for x in result["upgraded"]]
    assert moved == [(actor.id, 1, 3) for actor in UPGRADED]
    serials = {serial for x in result["upgraded"] for serial in (x["certificate_serial"], x["renewed_serial"])}
    assert len(serials) == 2 * len(UPGRADED)
    assert all(int(serial, 16) for serial in serials)


def test_once_for_people_shows_names_and_ends_with_success(tmp_path: Path) -> None:
    done = run("--once", "--directory", str(tmp_path / "pki"))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in [*(actor.id for actor in ACTORS), *(misfit.case for misfit in MISFITS), *(x.id for x in UPGRADED)]:
        assert name in done.stdout, name


def test_json_without_once_is_a_usage_error() -> None:
    done = run("--json")
    assert done.returncode == 2
    assert "--once" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_the_audit_log_of_the_demo_is_left_whole_and_any_bit_flipped_in_it_is_noticed(played: Played) -> None:
    """Every bundle, tile and checkpoint: every byte of small files, a sample of larger ones."""
    done, audit = played
    assert done.returncode == 0, done.stderr
    (shard,) = shards_in(audit)
    assert verify(audit) == 0
    assert verify_shard(shard).size > len(MISFITS) + len(ACTORS)
    chosen = random.Random(1)
    files = [shard.checkpoint, *sorted(path for path in (shard.directory / "tile").rglob("*") if path.is_file())]
    assert {path.relative_to(shard.directory / "tile").parts[0] for path in files[1:]} >= {"0", "entries"}
    for number, path in enumerate(files):
        data = path.read_bytes()
        places = range(len(data)) if len(data) <= 512 else chosen.sample(range(len(data)), 40)
        for place in places:
            changed = bytearray(data)
            changed[place] ^= 1 << chosen.randrange(8)
            path.write_bytes(bytes(changed))
            assert not verify_shard(shard).ok, f"{path} byte {place}"
        if number < 3:
            assert verify(audit) == 1
        path.write_bytes(data)
    assert verify(audit) == 0


def verify(directory: Path) -> int:
    command = [sys.executable, "-m", "gateway", "audit", "verify", str(directory)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode


def test_a_directory_that_is_in_use_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    done = run("--once", "--audit-dir", str(tmp_path))
    assert (done.returncode, "is not empty" in done.stderr) == (2, True)
