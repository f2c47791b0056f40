"""`report`: a page, JSON, or a bundle with proofs that somebody else can check; and no report from a log that was changed."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gateway.audit.reports.frameworks import FRAMEWORKS
from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from tests.cli.conftest import Cli
from tests.cli.test_audit import log, made

__all__ = ["log", "made"]

PERIOD = ("--from", "2027-01-01", "--to", "2027-02-01")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_framework_as_text_json_and_page(log: Path, cli: Cli, framework: str, tmp_path: Path) -> None:
    result = cli("report", framework, *PERIOD, "--dir", log, "-o", tmp_path / "r.html")
    assert result.code == OK
    assert "402 records, verified" in result.out
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    document = cli("report", framework, *PERIOD, "--dir", log, "--json").json()
    assert {row["id"] for row in document["rows"]} == {control.id for control in FRAMEWORKS[framework].controls}
    assert document["records"] == 400
    assert document["logs"][0]["verified"] is True


def test_a_bundle_whose_proofs_somebody_else_can_check(log: Path, cli: Cli, tmp_path: Path) -> None:
    output = tmp_path / "incident.zip"
    words = ("report", "nis2", *PERIOD, "--aware", "2027-01-15T10:00:00Z", "--dir", log, "-o", output)
    assert "Early warning: due 2027-01-16T10:00:00Z" in cli(*words).out
    with zipfile.ZipFile(output) as bundle:
        names = bundle.namelist()
        document = json.loads(bundle.read("report.json"))
        proofs = [name for name in names if name.startswith("proofs/")]
        assert {"report.html", "checkpoints/0001"} <= set(names)
        assert len(proofs) == 25
        (tmp_path / "kit.zip").write_bytes(bundle.read(proofs[0]))
    assert [stage["name"] for stage in document["stages"]] == ["Early warning", "Incident notification", "Final report"]
    with zipfile.ZipFile(io.BytesIO((tmp_path / "kit.zip").read_bytes())) as kit:
        (tmp_path / "verify.py").write_bytes(kit.read("verify.py"))
    done = subprocess.run(
        [sys.executable, tmp_path / "verify.py", tmp_path / "kit.zip"], capture_output=True, check=False, text=True
    )
    assert (done.returncode, "PROVEN" in done.stdout) == (0, True)


def test_a_log_that_was_changed(log: Path, cli: Cli) -> None:
    bundle = log / "0001/tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"CP-7"', b'"CP-8"', 1))
    result = cli("report", "nevi", *PERIOD, "--dir", log)
    assert (result.code, "NOT what was signed" in result.out) == (NOT_OK, True)
    unverified = cli("report", "nevi", *PERIOD, "--unverified", "--dir", log)
    assert (unverified.code, "not verified" in unverified.out) == (OK, True)


@pytest.mark.parametrize(
    "words",
    [
        ("nevi", "--aware", "1h"),
        ("nis2", "--from", "1h", "--to", "2h"),
        ("nis2", "-o", "report.pdf"),
        ("gdpr",),
        ("nis2", "--aware", "soon"),
        ("nis2", "--aware", "9999-12-31T23:59:59Z"),
        ("nis2", "--aware", "999999d"),
    ],
)
def test_what_cannot_be_asked(log: Path, cli: Cli, words: tuple[str, ...]) -> None:
    assert cli("report", *words, "--dir", log).code == USAGE
