"""The audit log, read by Go's own transparency log (golang.org/x/mod/sumdb): notes, tiles, records and their proofs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.trail import grown_shard

SOURCES = Path("/usr/share/gocode")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        shutil.which("go") is None or not (SOURCES / "src/golang.org/x/mod/sumdb/tlog").is_dir(),
        reason="JUDGE MISSING: no Go with x/mod (apt-get install golang-go golang-golang-x-mod-dev)",
    ),
]
SIZES = (1, 255, 256, 257, 700)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("judge")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(SOURCES), "GOCACHE": str(place / "cache")}
    source = Path(__file__).parent / "tlog" / "judge.go"
    subprocess.run(["go", "build", "-o", str(place / "judge"), str(source)], env=environment, check=True, timeout=300)
    return place / "judge"


def said(judge: Path, shard: Path) -> tuple[int, str]:
    done = subprocess.run([str(judge), str(shard)], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize("size", SIZES)
def test_it_reads_checkpoint_tiles_and_every_record(judge: Path, tmp_path: Path, size: int) -> None:
    grown_shard(tmp_path, size)
    assert said(judge, tmp_path) == (0, str(size))


def test_a_log_of_three_levels(judge: Path, tmp_path: Path) -> None:
    grown_shard(tmp_path, 65_536 + 300)
    assert said(judge, tmp_path) == (0, "65836")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("checkpoint", 30),
        ("tile/0/000", 5000),
        ("tile/0/002.p/188", 40),
        ("tile/1/000.p/2", 40),
        ("tile/entries/001", 9),
    ],
)
def test_it_refuses_what_was_changed(judge: Path, tmp_path: Path, name: str, place: int) -> None:
    grown_shard(tmp_path, 700)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert said(judge, tmp_path)[0] == 1
