"""The audit log of a real gateway: what happens is in it, also when control is killed, and a changed one stops the start."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.control.trail.layout import shards_in
from gateway.control.trail.reader import ShardReader, decoded
from gateway.control.trail.verify import verify_shard
from tests.support.csms import FakeCSMS
from tests.support.fleet import ChargePoint, until
from tests.support.peer import Peer, basic
from tests.support.rig import GatewayProcess, Rig

pytestmark = pytest.mark.integration


def records(rig: Rig) -> list[dict[str, Any]]:
    """Everything in the log, which must be whole."""
    (shard,) = shards_in(rig.state / "audit")
    assert verify_shard(shard).findings == []
    return [decoded(data) for _, data in ShardReader(shard).records()]


def cli(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gateway", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


async def guess(address: tuple[str, int], identity: str) -> None:
    async with await Peer.connect(address) as peer:
        await peer.ask(f"/ocpp/{identity}", authorization=basic(identity, "guess"))


async def _guess_and_kill_control(rig: Rig, gateway: GatewayProcess, name: str) -> None:
    since = gateway.mark()
    await guess(gateway.plain, name)
    await gateway.event("identity.unknown", since, lambda event: event["charge_point_id"] == name)
    # The record is on its way into the log as the event is into its file: wait for it, then kill.
    await until(lambda: any(name == each.get("cp") for each in live(rig)), "it is in the log")
    killed = gateway.children()["control"]
    os.kill(killed, signal.SIGKILL)
    await until(lambda: gateway.children().get("control", killed) != killed, "control is back")
    await until(lambda: gateway.http("/readyz")[0] == 200, "it is ready")


async def test_what_happened_before_and_after_control_was_killed_is_in_one_log(rig: Rig, csms: FakeCSMS) -> None:
    one = ChargePoint(rig, "CP-AUDITED")
    async with rig.gateway() as gateway:
        async with await one.enter(gateway) as peer:
            await one.exchange(peer, csms)
            for turn in range(3):
                await _guess_and_kill_control(rig, gateway, f"CP-GUESS-{turn}")
        done = cli("audit", "verify", "--config", rig.config_path)
        assert done.returncode == 0, done.stdout
        assert cli("audit", "search", "--config", rig.config_path, "--identity", "CP-AUDITED").returncode == 0
    log = records(rig)
    kinds = [record["type"] for record in log]
    assert kinds.count("audit.start") == 4
    assert kinds[-1] == "audit.stop"
    assert [record["cp"] for record in log if record["type"] == "identity.unknown"] == [
        f"CP-GUESS-{n}" for n in range(3)
    ]
    sessions = [record for record in log if record.get("cp") == "CP-AUDITED" and record["type"].startswith("session.")]
    assert sessions[0]["type"] == "session.opened"
    assert sessions[-1]["type"] == "session.closed"
    text = "".join(map(str, log))
    assert "guess" not in text
    assert not re.search(r"Basic [A-Za-z0-9]", text)


def live(rig: Rig) -> list[dict[str, Any]]:
    """What is in the log of a running gateway, perhaps not signed yet."""
    return [decoded(data) for shard in shards_in(rig.state / "audit") for _, data in ShardReader(shard).records()]


async def test_a_gateway_does_not_continue_a_log_that_was_changed_and_says_what_to_do(rig: Rig) -> None:
    async with rig.gateway() as gateway:
        await guess(gateway.plain, "CP-X")
    checkpoint = rig.state / "audit/0001/checkpoint"
    kept = checkpoint.read_bytes()
    checkpoint.write_bytes(kept.replace(b"\n", b"x\n", 1))
    done = cli("run", "--json", "--config", rig.config_path)
    assert done.returncode != 0
    assert "new-history 0001" in done.stdout
    checkpoint.write_bytes(kept)
    async with rig.gateway():
        pass
    checkpoint.write_bytes(kept.replace(b"\n", b"x\n", 1))
    assert cli("audit", "new-history", "0001", "--reason", "test", "--config", rig.config_path).returncode == 0
    async with rig.gateway():
        pass
    assert [shard.name for shard in shards_in(rig.state / "audit")] == ["0001", "0002"]
