"""What a new user does: init --dev, charge-point add, run; and how the other commands see that gateway."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.exit_codes import NOT_OK, OK
from gateway.demo.ports import free_ports
from tests.cli.conftest import Cli

pytestmark = pytest.mark.integration


@pytest.fixture
def running(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPP_GATEWAY_CONFIG", raising=False)
    assert cli("init", "--dev").code == OK
    path = tmp_path / "gateway.toml"
    text = path.read_text().replace("127.0.0.1:8443", f"127.0.0.1:{free_ports(1)[0]}")
    path.write_text(text.replace('#address = "127.0.0.1:9180"', f'address = "127.0.0.1:{free_ports(1)[0]}"'))
    assert cli("charge-point", "add", "CP-1", "--security-profile", "2").code == OK
    with (tmp_path / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "run", "--json"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, (tmp_path / "gateway.log").read_text()
        assert json.loads(first)["ready"]
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=120)


def test_new_user_has_a_running_gateway_that_every_command_understands(
    running: subprocess.Popen[bytes], cli: Cli
) -> None:
    status = cli("status", "--json")
    assert (status.code, status.json()["registered_charge_points"]) == (OK, 1)
    shown = cli("status")
    assert (shown.code, "ready" in shown.out, "Sessions (0)" in shown.out) == (OK, True, True)
    assert cli("why", "CP-1", "--json").json()["connected"] is False
    assert cli("charge-point", "show", "CP-1", "--json").json()["connected"] is False
    doctor = cli("doctor", "--json")
    levels = {(check["check"], check["level"]) for check in doctor.json()["checks"]}
    # There is no CSMS, and nothing else is wrong.
    assert (doctor.code, {check for check, level in levels if level == "error"}) == (NOT_OK, {"csms"})
    assert {("gateway", "ok"), ("port", "ok"), ("registry", "ok"), ("file-descriptors", "ok")} <= levels
    second = subprocess.run(
        [sys.executable, "-m", "gateway", "run", "--json"], capture_output=True, timeout=120, check=False
    )
    assert (second.returncode, second.stdout.count(b"\n")) == (NOT_OK, 1)
    assert "cannot start" in json.loads(second.stdout)["error"]
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=120)
    assert running.returncode == OK
