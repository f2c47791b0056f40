"""`simulate`: what it prints, how it ends, and that every mistake is a sentence."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.exit_codes import INTERRUPTED, NOT_OK, OK, USAGE
from gateway.simulator.core.quirks import QUIRKS
from tests.cli.conftest import Cli
from tests.support.csms import FakeCSMS
from tests.support.simulated import csms_answer
from tests.support.tls_material import Authority

PASSWORD = "password-of-cp-1"
NOWHERE = "ws://127.0.0.1:9/ocpp"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    return path


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_quirks_are_listed(cli: Cli) -> None:
    shown = cli("simulate", "--list-quirks")
    assert shown.code == OK
    assert [name for name in QUIRKS if name not in shown.out] == []
    assert {each["name"] for each in cli("simulate", "--list-quirks", "--json").json()} == set(QUIRKS)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--url is missing"),
        (("--url", "http://x/y"), "is not ws://HOST/PATH"),
        (("--url", "ws://h/p?q"), "is not ws://HOST/PATH"),
        (("--url", NOWHERE), "--password-file is missing"),
        (("--url", NOWHERE, "--security-profile", "2"), "needs a URL that begins with wss://"),
        (("--url", "wss://h/p", "--security-profile", "1"), "needs a URL that begins with ws://"),
        (("--url", "wss://h/p", "--security-profile", "3"), "--root is missing"),
        (("--url", NOWHERE, "--quirk", "unheard"), "There is no quirk 'unheard'. --list-quirks"),
        (("--url", NOWHERE, "--count", "2", "--id", "CP"), "needs --id with {n}"),
        (("--url", NOWHERE, "--id", ""), "1 to 48 printable characters"),
    ],
)
def test_what_does_not_go_together(cli: Cli, words: tuple[str, ...], says: str) -> None:
    plain = cli("simulate", *words)
    assert (plain.code, plain.out) == (USAGE, "")
    assert says in plain.err
    assert says in cli("simulate", *words, "--json").json()["error"]


def test_files_that_are_not_what_they_should_be(cli: Cli, tmp_path: Path, password: Path) -> None:
    authority = Authority()
    one, other = authority.charge_point("A"), authority.charge_point("B")
    for name, content in {
        "root.pem": authority.pem,
        "one.pem": one.pem,
        "one.key": one.key_pem,
        "other.key": other.key_pem,
        "nonsense": b"nonsense and more",
    }.items():
        (tmp_path / name).write_bytes(content)
    base = ("simulate", "--url", "wss://127.0.0.1:9/p", "--security-profile", "3", "--duration", "0.1")
    at = tmp_path.joinpath
    root = ("--root", at("root.pem"))
    for words, says in (
        (("--root", at("nonsense"), "--certificate", at("one.pem"), "--key", at("one.key")), "not PEM certificates"),
        ((*root, "--certificate", at("nonsense"), "--key", at("one.key")), "not PEM certificates"),
        ((*root, "--certificate", at("one.pem"), "--key", at("nonsense")), "not an unencrypted PEM key"),
        ((*root, "--certificate", at("one.pem"), "--key", at("other.key")), "is not the key of"),
        ((*root, "--certificate", at("none.pem"), "--key", at("one.key")), "No such file"),
    ):
        result = cli(*base, *words)
        assert (result.code, result.out) == (NOT_OK, "")
        assert says in result.err
    bad = cli("simulate", "--url", NOWHERE, "--password-file", at("nonsense"), "--duration", "0.1")
    assert (bad.code, "one password, or lines of" in bad.err) == (NOT_OK, True)
    state = tmp_path / "state"
    state.mkdir()
    (state / "CP-1.json").write_text("{}")
    kept = cli("simulate", "--url", NOWHERE, "--password-file", password, "--state-directory", state)
    assert (kept.code, "is no memory of a simulated charge point" in kept.err) == (NOT_OK, True)


def test_nobody_there_ends_with_1(cli: Cli, password: Path) -> None:
    result = cli("simulate", "--url", NOWHERE, "--password-file", password, "--duration", "0.3", "--json")
    assert result.code == NOT_OK
    last = lines(result.out)[-1]
    assert (last["what"], last["charge_points"], last["registered"]) == ("end", 1, 0)
    assert last["failed_connections"] >= 1


def start(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "simulate", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


async def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    import asyncio

    out, err = await asyncio.to_thread(process.communicate, timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_says_goodbye_and_goes(password: Path, number: signal.Signals) -> None:
    async with FakeCSMS(answer=csms_answer) as csms:
        process = start("--url", csms.url, "--password-file", password)
        await csms.until(lambda: any("StatusNotification" in text for text in csms.texts["CP-1"]))
        process.send_signal(number)
        code, out, err = await finished(process)
        assert (code, err) == (INTERRUPTED, "")
        assert "CP-1  registration  status=Accepted" in out
        assert out.splitlines()[-1].startswith("1 of 1 accepted by the CSMS")
        assert await csms.closed("CP-1") == [1000]


async def test_many_with_passwords_of_their_own(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("".join(f"CP-{number:02} password-number-{number:02}\n" for number in range(1, 31)))
    async with FakeCSMS(answer=csms_answer) as csms:
        process = start(
            *("--url", csms.url, "--password-file", passwords, "--id", "CP-{n:02}", "--count", "30"),
            *("--ramp-up", "0.5", "--duration", "5", "--version", "2.0.1", "--quirk", "trailing-slash"),
        )
        code, out, err = await finished(process)
        assert (code, err) == (OK, "")
        assert out.splitlines()[-1].startswith("30 of 30 accepted")
        assert "connecting" not in out
        paths = {request.path for request in csms.requests}
        assert paths == {f"/up/CP-{number:02}/" for number in range(1, 31)}
        assert len({request.headers["Authorization"] for request in csms.requests}) == 30


async def test_killed_it_goes_on_with_the_memory_that_it_has_kept(tmp_path: Path, password: Path) -> None:
    state = tmp_path / "state"
    words = ("--password-file", password, "--state-directory", state, "--charge-every", "0.1", "--json")
    async with FakeCSMS(answer=csms_answer) as csms:
        process = start("--url", csms.url, *words)
        await csms.until(lambda: any("StartTransaction" in text for text in csms.texts["CP-1"]))
        process.kill()
        await finished(process)
        assert (state / "CP-1.json").stat().st_mode & 0o077 == 0
        process = start("--url", csms.url, *words, "--duration", "4")
        code, out, _ = await finished(process)
        assert code == OK
        said = lines(out)
        assert {"transaction", "reason"} <= next(each for each in said if each["what"] == "charged").keys()
        assert any('"StopTransaction"' in text and "PowerLoss" in text for text in csms.texts["CP-1"])
