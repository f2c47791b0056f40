"""`policy replay`: a candidate on recorded traffic, and its threshold."""

import json
from pathlib import Path

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from tests.cli.conftest import Cli, Place
from tests.cli.policy_files import HARD, SITE, SOFT, recorded, write_pack, write_site


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Three hard resets of two charge points, one soft one, and an answer to nothing."""
    path = tmp_path / "capture.jsonl"
    lines = [recorded(1), recorded(2, SOFT), recorded(3), recorded(4, identity="CP-2", group="depot")]
    path.write_text("".join(lines) + "\n" + recorded(5, '[3,"9",{}]'))
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return write_pack(tmp_path, "rules: []\n", "", name="empty")


def test_new_denies_are_told_by_message_and_by_rule(capture: Path, empty: Path, tmp_path: Path, cli: Cli) -> None:
    words = ("policy", "replay", "--capture", capture, "--against", empty, "--candidate", write_pack(tmp_path))
    result = cli(*words)
    assert (result.code, result.err) == (NOT_OK, "")
    lines = result.out.splitlines()
    assert lines[0].startswith("4 message(s) under ")
    assert lines[0].endswith("1 that no rule sees")
    assert ["4", "CP-2", "depot", "Reset", "allow", "deny", "mine/reset"] in [line.split() for line in lines]
    assert ["mine/reset", "Reset", "public", "CP-1", "0", "2", "0", "2"] in [line.split() for line in lines]
    assert lines[-1] == "3 new denies (75.00%), 0 new allows; allowed are 0 new denies."
    found = cli(*words, "--json").json()
    assert (found["ok"], found["new_denies"], found["rules"]) == (
        False,
        3,
        {"mine/reset": {"current": 0, "candidate": 3}},
    )
    assert [(each["line"], each["identity"]) for each in found["denies"]] == [(1, "CP-1"), (3, "CP-1"), (4, "CP-2")]


@pytest.mark.parametrize(("limit", "code"), [("3", OK), ("2", NOT_OK)])
def test_threshold_is_the_last_number_allowed(
    limit: str, code: int, capture: Path, empty: Path, tmp_path: Path, cli: Cli
) -> None:
    pack = write_pack(tmp_path)
    words = ("--capture", capture, "--against", empty, "--candidate", pack, "--max-new-denies", limit)
    assert cli("policy", "replay", *words).code == code


def test_new_allows_are_no_failure(capture: Path, empty: Path, tmp_path: Path, cli: Cli) -> None:
    words = ("policy", "replay", "--capture", capture, "--candidate", empty, "--against", write_pack(tmp_path))
    found = cli(*words, "--json")
    assert (found.code, found.json()["new_denies"], found.json()["new_allows"]) == (OK, 0, 3)
    assert "New allows (3)" in cli(*words).out


def test_candidate_may_be_other_values_of_the_site(capture: Path, place: Place, cli: Cli) -> None:
    write_pack(place.directory)
    place.replace('#packs = ["baseline"]', 'packs = ["mine.yaml"]')
    site = write_site(place.directory, SITE)
    found = cli("policy", "replay", "--capture", capture, "--candidate", site, "--json").json()
    assert (found["new_denies"], found["new_allows"]) == (1, 3)
    assert [(each["current"], each["candidate"]) for each in found["denies"]] == [("allow", "deny mine/reset")]


def test_site_of_the_configuration_may_name_what_a_candidate_lacks(
    capture: Path, place: Place, empty: Path, cli: Cli
) -> None:
    write_pack(place.directory)
    place.replace('#packs = ["baseline"]', 'packs = ["mine.yaml"]')
    place.replace('#site = ""', f'site = "{write_site(place.directory).name}"')
    found = cli("policy", "replay", "--capture", capture, "--candidate", empty, "--json")
    assert (found.code, found.json()["new_allows"]) == (OK, 1)


def test_recording_may_come_from_standard_input(capture: Path, empty: Path, tmp_path: Path, cli: Cli) -> None:
    words = ("policy", "replay", "--capture", "-", "--against", empty, "--candidate", write_pack(tmp_path), "--json")
    assert cli(*words, stdin=capture.read_bytes()).json()["messages"] == 4


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"null",
        b"\xff",
        b"[]",
        recorded(1, origin="gateway").encode(),
        recorded(1, time=1_767_225_600_000).encode(),
        recorded(1, time=-1).encode(),
        recorded(1, text="\ud800").encode(),
        b'{"time": 1e999}',
        b'{"time": NaN}',
        b"\0" * 100,
    ],
)
def test_line_that_is_no_frame_is_named(line: bytes, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "capture.jsonl"
    path.write_bytes(recorded(1).encode() + line.rstrip(b"\n") + b"\n")
    result = cli("policy", "replay", "--capture", path, "--candidate", "logs")
    assert (result.code, result.err.startswith(f"{path}:2: no recorded frame: ")) == (NOT_OK, True)
    assert cli("policy", "replay", "--capture", path, "--candidate", "logs", "--json").json()["details"] == {"line": 2}


@pytest.mark.parametrize("name", ["/nonexistent", "/", "/dev/null"])
def test_recording_that_cannot_be_read_or_is_empty_is_told(name: str, cli: Cli) -> None:
    result = cli("policy", "replay", "--capture", name, "--candidate", "logs")
    assert (result.code, result.out, result.err.count("\n")) == (NOT_OK, "", 1)


def test_two_policies_are_needed(capture: Path, cli: Cli) -> None:
    assert cli("policy", "replay", "--capture", capture).code == USAGE
    assert "--candidate" in cli("policy", "replay", "--capture", capture, "--json").json()["error"]


def test_candidate_that_cannot_be_used_is_told(capture: Path, cli: Cli) -> None:
    result = cli("policy", "replay", "--capture", capture, "--candidate", "firmwar")
    assert (result.code, "did you mean 'firmware'" in result.err) == (NOT_OK, True)


def test_only_the_first_changes_are_shown_to_people(empty: Path, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text("".join(recorded(number, HARD) for number in range(50)))
    words = ("policy", "replay", "--capture", path, "--against", empty, "--candidate", write_pack(tmp_path))
    out = cli(*words).out
    assert ("New denies (50)" in out, "... and 30 more" in out) == (True, True)
    assert len(json.loads(cli(*words, "--json").out)["denies"]) == 50
