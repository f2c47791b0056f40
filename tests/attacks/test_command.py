"""`python -m tests.attacks` says no: to a gateway that differs, and to a case that it does not understand."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.__main__ import main
from tests.attacks.case import VECTORS


def _case(name: str) -> dict[str, Any]:
    """A case of the vectors, to be changed."""
    lines = (VECTORS / "attacks.jsonl").read_text().splitlines()
    found: dict[str, Any] = next(case for case in map(json.loads, lines) if case["id"] == name)
    return found


def _file(path: Path, *cases: dict[str, Any]) -> str:
    file = path / "cases.jsonl"
    file.write_text("\n".join(map(json.dumps, cases)) + "\n")
    return str(file)


@pytest.mark.integration
def test_right_expectations_give_0(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path_factory.mktemp("k")  # short: the gateways' sockets are below it, and such paths have a limit
    file = _file(tmp_path, _case("TLS-04"), _case("AUD-09"))
    assert main(["--cases", file, "--json", "--keep", str(kept)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("TLS-04   ok")
    assert lines[1].startswith("AUD-09   ok")
    assert "2 cases run: 2 as expected, 0 differ, 0 not understood" in lines
    told = json.loads(lines[-1])
    assert (told["ok"], [case["outcome"] for case in told["cases"]]) == (True, ["as expected", "as expected"])
    assert (kept / "ordinary" / "gateway.log").exists()


@pytest.mark.integration
def test_wrong_expectations_give_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alert, status, event = _case("TLS-01"), _case("HTTP-22"), _case("HTTP-18")
    alert["expected"]["tls_alert"] = "handshake_failure"
    status["expected"]["http_status"] = 401
    event["expected"]["event"] = "http.origin"
    assert main(["--cases", _file(tmp_path, alert, status, event)]) == 1
    out = capsys.readouterr().out
    assert "alerts ['protocol_version'] instead of handshake_failure" in out
    assert "HTTP 403 instead of 401" in out
    assert "no event http.origin (there are: http.malformed)" in out
    assert "3 cases run: 0 as expected, 3 differ, 0 not understood" in out


def _broken(**changes: Any) -> dict[str, Any]:
    return {**_case("WS-04"), **changes}


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (_broken(preconditions="upgrade done; the moon is full"), "precondition 'the moon is full'"),
        (_broken(bytes_hex="", generator={"shout": True}), "generator shout"),
        (_broken(colour="red"), "unknown field `colour`"),
        (_broken(layer="carrier-pigeon"), "layer 'carrier-pigeon'"),
        (_broken(expected={"decision": "shrug", "forwarded": False}), "Invalid enum value 'shrug'"),
        (_broken(layer="tls", bytes_hex="", preconditions="", tls={"early_data": True}), "tls early_data"),
        ({"id": "X-1"}, "missing required field"),
    ],
)
def test_a_case_that_is_not_understood_gives_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: dict[str, Any], why: str
) -> None:
    assert main(["--cases", _file(tmp_path, case)]) == 1
    out = capsys.readouterr().out
    assert "NOT UNDERSTOOD" in out
    assert why in out


def test_a_line_that_is_no_json_gives_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text("{nonsense\n")
    assert main(["--cases", str(file), "--layer", "tls"]) == 1
    assert "cases.jsonl:1 NOT UNDERSTOOD" in capsys.readouterr().out


def test_nothing_to_run_gives_2(tmp_path: Path) -> None:
    assert main(["--id", "NO-SUCH"]) == 2
    assert main(["--cases", str(tmp_path / "missing.jsonl")]) == 2
    assert main(["--cases", _file(tmp_path, _case("AUD-09")), "--layer", "tls"]) == 2
    assert main(["--cases", _file(tmp_path), "--layer", "tls"]) == 2
