"""`charge-point import` and `export`: all or nothing, by line, and files that keep their secrets."""

import csv
import io
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from gateway.control.credentials import hash_password
from gateway.identity.record import StoredPassword
from gateway.store.registry import Registry
from tests.cli.conftest import Accepts, Cli, Place, everything
from tests.support.records import make_record

IMPORT = ("charge-point", "import")
EXPORT = ("charge-point", "export")
CSV = b"charge_point_id,security_profile,group\nCP-1,2,depot\nCP-2,2,depot\n"


class TestImport:
    def test_csv_from_a_file(self, cli: Cli, registry: Registry, tmp_path: Path) -> None:
        (tmp_path / "fleet.csv").write_bytes(CSV)
        result = cli(*IMPORT, tmp_path / "fleet.csv")
        assert (result.code, result.out) == (OK, "Done: 2 added, 0 updated, 0 skipped.\n")
        assert {record.group for record in registry.find()} == {"depot"}
        assert "CP-1 cannot connect: security profile 2 needs a password" in result.err

    def test_json_is_told_by_its_content(self, cli: Cli, registry: Registry) -> None:
        rows = [{"charge_point_id": "CP-1", "security_profile": 3, "serial_number": "S"}]
        found = cli(*IMPORT, "-", "--json", stdin=json.dumps(rows).encode()).json()
        assert found == {"dry_run": False, "added": ["CP-1"], "updated": [], "skipped": [], "warnings": []}
        assert list(registry.load_all()) == ["CP-1"]

    def test_format_that_is_given_counts(self, cli: Cli, registry: Registry) -> None:
        result = cli(*IMPORT, "-", "--format", "json", stdin=CSV)
        assert (result.code, "not a JSON array" in result.err) == (NOT_OK, True)
        assert registry.load_all() == {}

    def test_password_column_is_hashed(self, cli: Cli, registry: Registry, accepts: Accepts) -> None:
        text = b"charge_point_id;security_profile;password\r\nCP-1;2;correct-horse-battery\r\n"
        assert cli(*IMPORT, "-", stdin=b"\xef\xbb\xbf" + text).code == OK
        assert accepts("CP-1", b"correct-horse-battery") == "current"
        assert "horse" not in str(registry.find())

    def test_dry_run_changes_nothing(self, cli: Cli, registry: Registry) -> None:
        found = cli(*IMPORT, "-", "--dry-run", "--json", stdin=CSV).json()
        assert (found["added"], found["dry_run"]) == (["CP-1", "CP-2"], True)
        assert registry.load_all() == {}

    @pytest.mark.parametrize(
        ("choice", "code", "groups"),
        [
            ("error", NOT_OK, {"CP-1": "default"}),
            ("skip", OK, {"CP-1": "default", "CP-2": "depot"}),
            ("update", OK, {"CP-1": "depot", "CP-2": "depot"}),
        ],
    )
    def test_duplicates(self, choice: str, code: int, groups: dict[str, str], cli: Cli, registry: Registry) -> None:
        registry.add(make_record("CP-1"))
        assert cli(*IMPORT, "-", "--on-duplicate", choice, stdin=CSV).code == code
        assert {record.charge_point_id: record.group for record in registry.find()} == groups

    def test_every_mistake_is_named_by_line_and_nothing_is_imported(self, cli: Cli, registry: Registry) -> None:
        text = CSV + b"CP-3,7,depot\nCP-4,3,depot\na/b,2,depot\n"
        result = cli(*IMPORT, "-", stdin=text)
        assert (result.code, registry.load_all()) == (NOT_OK, {})
        *lines, last = result.err.splitlines()
        assert [line.rpartition(":")[0].split(":")[1] for line in (each.split(": ")[0] + ": " for each in lines)] == [
            "4",
            "5",
            "6",
        ]
        assert last == "Nothing was imported."
        found = cli(*IMPORT, "-", "--json", stdin=text).json()
        assert [problem["line"] for problem in found["details"]] == [4, 5, 6]

    def test_text_in_another_encoding_is_told_with_its_line(self, cli: Cli, registry: Registry) -> None:
        result = cli(*IMPORT, "-", stdin=CSV + "CP-3,2,Zürich\n".encode("latin-1"))
        assert (result.code, "line 4" in result.err, "CSV UTF-8" in result.err) == (NOT_OK, True, True)
        assert registry.load_all() == {}

    @pytest.mark.parametrize("name", ["/nonexistent", "/"])
    def test_file_that_cannot_be_read_is_told(self, name: str, cli: Cli, registry: Registry) -> None:
        result = cli(*IMPORT, name)
        assert (result.code, result.err.startswith(f"{name}: ")) == (NOT_OK, True)
        assert registry.load_all() == {}

    def test_endless_file_is_told(self, cli: Cli, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.cli.files._MAX_BYTES", 1_000)
        assert "too large" in cli(*IMPORT, "/dev/zero").err
        assert cli(*IMPORT, "-", stdin=CSV.ljust(1_000, b"\n")).code == OK
        assert len(registry.load_all()) == 2

    def test_progress_is_on_standard_error_of_a_terminal(self, place: Place, registry: Registry) -> None:
        (place.directory / "fleet.csv").write_bytes(
            b"charge_point_id,security_profile,password\nCP-1,2,correct-horse-battery\n"
        )
        ours, theirs = pty.openpty()
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *IMPORT, "fleet.csv", "--json"],
            cwd=place.directory, stdout=subprocess.PIPE, stderr=theirs, timeout=120, check=False,
        )  # fmt: skip
        os.close(theirs)
        shown = everything(ours)
        os.close(ours)
        assert json.loads(done.stdout)["added"] == ["CP-1"]
        assert b"Hashing passwords" in shown
        assert list(registry.load_all()) == ["CP-1"]


class TestExport:
    @pytest.fixture(autouse=True)
    def fleet(self, registry: Registry) -> None:
        password = StoredPassword(phc=hash_password(b"secret"))
        registry.add(make_record("CP-1", group="depot", password=password))
        registry.add(make_record("CP-2", notes='two\nlines, "quoted"', password=password))

    @pytest.mark.parametrize("file_format", ["csv", "json"])
    def test_comes_back_by_import(self, file_format: str, cli: Cli, registry: Registry) -> None:
        exported = cli(*EXPORT, "--format", file_format)
        assert (exported.code, exported.err) == (OK, "")
        before = {record.charge_point_id: (record.group, record.notes) for record in registry.find()}
        for name in before:
            registry.remove(name)
        assert cli(*IMPORT, "-", stdin=exported.out.encode()).code == OK
        assert {record.charge_point_id: (record.group, record.notes) for record in registry.find()} == before

    def test_of_a_group(self, cli: Cli) -> None:
        rows = list(csv.DictReader(io.StringIO(cli(*EXPORT, "--group", "depot").out)))
        assert [row["charge_point_id"] for row in rows] == ["CP-1"]
        assert cli(*EXPORT, "--group", "nobody", "--json").json() == []

    def test_json_flag_means_json(self, cli: Cli) -> None:
        assert [row["charge_point_id"] for row in cli(*EXPORT, "--json").json()] == ["CP-1", "CP-2"]
        assert cli(*EXPORT, "--json", "--format", "csv").code == USAGE

    def test_file_is_for_us_alone(self, cli: Cli, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            result = cli(*EXPORT, "--output", tmp_path / "fleet.csv")
        finally:
            os.umask(before)
        assert (result.code, "2 charge points" in result.out) == (OK, True)
        assert stat.S_IMODE((tmp_path / "fleet.csv").stat().st_mode) == 0o600
        assert (tmp_path / "fleet.csv").read_text() == cli(*EXPORT).out

    def test_file_that_exists_is_replaced_only_when_forced(self, cli: Cli, tmp_path: Path) -> None:
        target = tmp_path / "fleet.csv"
        target.write_text("mine")
        target.chmod(0o644)
        refused = cli(*EXPORT, "--output", target, "--json")
        assert (refused.code, "--force" in refused.json()["error"]) == (NOT_OK, True)
        assert target.read_text() == "mine"
        found = cli(*EXPORT, "--output", target, "--force", "--json").json()
        assert found == {"exported": 2, "format": "json", "file": str(target)}
        assert stat.S_IMODE(target.stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        ("name", "said"), [("/dev/full", "not a file"), ("missing/fleet.csv", "No such file"), (".", "not a file")]
    )
    def test_place_that_cannot_be_written_is_told(self, name: str, said: str, cli: Cli, tmp_path: Path) -> None:
        result = cli(*EXPORT, "--output", name, "--force")
        assert (result.code, said in result.err) == (NOT_OK, True)
        assert not (tmp_path / "missing").exists()

    def test_value_that_csv_cannot_say_is_told(self, cli: Cli, registry: Registry) -> None:
        registry.update("CP-1", operator_names=("a|b",))
        result = cli(*EXPORT)
        assert (result.code, result.out, "export as JSON" in result.err) == (NOT_OK, "", True)
        assert cli(*EXPORT, "--json").code == OK
