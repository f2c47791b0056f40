"""`status`: a running gateway, one that is not well, and none."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from gateway.cli.exit_codes import INTERRUPTED, NOT_OK, OK, UNREACHABLE, USAGE
from tests.cli.admin_socket import answering, session, status
from tests.cli.conftest import Cli, Place


def test_running_gateway_is_shown(cli: Cli, place: Place) -> None:
    with answering(place.state, status()):
        result = cli("status")
    assert (result.code, result.err) == (OK, "")
    first, edges, title, _, row = result.out.splitlines()
    assert "ready, up 2.0 h, 3 charge points registered" in first
    assert edges == "edges: 0 (pid 4711) of 1"
    assert title == "Sessions (1)"
    assert row.split()[:6] == ["CP-1", "ocpp1.6", "2", "10.0.0.9", "tls", "main"]


def test_json_is_all_that_the_gateway_said(cli: Cli, place: Place) -> None:
    with answering(place.state, status(something_new=[1])):
        assert cli("status", "--json").json() == status(something_new=[1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ready": False}, "NOT READY"),
        ({"ready": False, "edges": []}, "edges: none of 1"),
        ({"ready": False, "edges": [{"slot": 0, "pid": 1, "error": "no [red] key"}]}, "no [red] key"),
    ],
)
def test_gateway_that_is_not_ready_has_exit_code_1(changes: dict[str, Any], said: str, cli: Cli, place: Place) -> None:
    with answering(place.state, status(**changes)):
        result = cli("status")
        assert (result.code, said in result.out) == (NOT_OK, True)
        assert cli("status", "--json").code == NOT_OK


def test_failed_reload_is_told_although_the_gateway_is_ready(cli: Cli, place: Place) -> None:
    with answering(place.state, status(last_reload={"ok": False, "time": 1.0, "why": "[bold]no[/bold]\x1b[2J"})):
        result = cli("status")
    assert result.code == OK
    assert "LAST RELOAD FAILED" in result.out
    assert r"[bold]no[/bold]\x1b[2J" in result.out


@pytest.mark.parametrize(
    ("audit", "said"),
    [
        ({"state": "running", "sinks": []}, ""),
        (
            {"state": "broken", "failure_mode": "guard", "why": "the disk has failed"},
            "NOT WRITTEN (guard): the disk has failed",
        ),
        (
            {"state": "running", "sinks": [{"name": "siem", "behind": 7, "why": "gone"}, {"name": "file", "why": ""}]},
            "sink siem is 7 records behind: gone",
        ),
    ],
)
def test_an_audit_log_that_is_not_written_or_not_fetched_is_told(
    audit: dict[str, Any], said: str, cli: Cli, place: Place
) -> None:
    with answering(place.state, status(audit=audit)):
        shown = cli("status").out
    assert said in shown
    assert ("AUDIT" in shown, "sink" in shown) == ("NOT WRITTEN" in said, "sink" in said)


def test_markup_and_controls_in_an_identity_are_shown_as_text(cli: Cli, place: Place) -> None:
    with answering(place.state, status(sessions=[session("[red]x[/] :bomb: \x1b]0;t\x07")])):
        out = cli("status").out
    assert r"[red]x[/] :bomb: \x1b]0;t\x07" in out


def test_session_without_a_start_yet_has_no_age(cli: Cli, place: Place) -> None:
    with answering(place.state, status(sessions=[{**session("CP-1"), "opened_at": 0, "state": "connecting"}])):
        assert cli("status").out.splitlines()[-1].endswith("connecting")


class TestUnreachable:
    def test_no_gateway(self, cli: Cli, place: Place) -> None:
        result = cli("status")
        assert (result.code, str(place.state / "run" / "admin.sock") in result.err) == (UNREACHABLE, True)
        assert "not running" in cli("status", "--json").json()["error"]

    def test_socket_that_nobody_listens_at(self, cli: Cli, place: Place) -> None:
        with answering(place.state, status()):
            pass
        result = cli("status")
        assert (result.code, "Connection refused" in result.err) == (UNREACHABLE, True)

    @pytest.mark.parametrize(
        "answer", [b"", b"not json", b"[]", b'{"version": 1}', b'{"ready": true}'], ids=lambda answer: answer.decode()
    )
    def test_something_else_that_answers(self, answer: bytes, cli: Cli, place: Place) -> None:
        with answering(place.state, answer):
            assert cli("status").code == UNREACHABLE
            assert "not a gateway of this release" in cli("status", "--json").json()["error"]

    def test_path_that_no_socket_can_have(self, cli: Cli, place: Place) -> None:
        place.replace('#state_dir = "state"', f'state_dir = "{"x" * 120}"')
        result = cli("status")
        assert (result.code, "too long" in result.err) == (UNREACHABLE, True)


def test_watch_survives_a_gateway_that_comes_and_goes(place: Place) -> None:
    watch = subprocess.Popen(
        [sys.executable, "-m", "gateway", "status", "--watch", "--json"], cwd=place.directory, stdout=subprocess.PIPE
    )
    assert watch.stdout is not None
    assert "error" in json.loads(watch.stdout.readline())
    with answering(place.state, status()):
        found = next(line for line in map(json.loads, watch.stdout) if "ready" in line)
    watch.send_signal(signal.SIGINT)
    watch.communicate(timeout=120)
    assert (found["ready"], watch.returncode) == (True, INTERRUPTED)


def test_revocation_lists_are_told_where_somebody_has_to_do_something(cli: Cli, place: Place) -> None:
    base = {"policy": "hard", "issuer": "CN=x", "number": 1, "revoked": 0}
    lists = [
        {**base, "trust": "fine", "source": "a.crl", "state": "current", "next_update": 4e9, "failure": ""},
        {
            **base,
            "trust": "late",
            "source": "b.crl",
            "state": "expired",
            "next_update": 1.0,
            "failure": "HTTP status [503]",
        },
        {**base, "trust": "new", "source": "c.crl", "state": "missing", "next_update": 0.0, "failure": ""},
    ]
    with answering(place.state, status(revocation_lists=lists)):
        out = cli("status").out
    assert "b.crl of trust bundle late (hard) is EXPIRED, until 1970" in out
    assert "HTTP status [503]" in out
    assert "c.crl of trust bundle new (hard) is MISSING\n" in out
    assert "a.crl" not in out


@pytest.mark.parametrize(("error", "told"), [("No such file", True), ("", False)])
def test_a_recording_that_is_not_complete_is_told(cli: Cli, place: Place, error: str, told: bool) -> None:
    with answering(place.state, status(recording={"path": "/r", "frames": 0, "lost": 0, "error": error})):
        assert ("THE RECORDING IS NOT COMPLETE: No such file" in cli("status").out) is told


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[gateway]", "[gateway]\nedge_wrokers = 2", "did you mean 'edge_workers'?"),
        ("[gateway]", "[gateway\n", "not valid TOML"),
        ("[gateway]", '[gateway]\nstate_dir = "elsewhere"\nlog_level = 5', "log_level"),
    ],
)
def test_gateway_is_asked_also_where_the_file_has_a_mistake_by_now(
    old: str, new: str, said: str, cli: Cli, place: Place
) -> None:
    state = place.directory / ("elsewhere" if "elsewhere" in new else "state")
    place.replace(old, new)
    assert cli("status").code == USAGE, "nothing runs there"
    with answering(state, status()):
        result = cli("status", "--json")
        assert (result.code, json.loads(result.out)) == (OK, status())
        assert said in result.err and "kept its last good state" in result.err
    assert cli("why", "CP-1").code in {OK, NOT_OK}
