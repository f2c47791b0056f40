"""Recording what is relayed, and trying rules on it: what a charge point said yesterday, under the policy of tomorrow."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_policy import admitted, ask_csms, firmware, register, with_site
from tests.support.csms import FakeCSMS
from tests.support.peer import Peer
from tests.support.rig import GatewayProcess, Rig

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("csms")]
PASSWORD_SET = '[2,"k","ChangeConfiguration",{"key":"AuthorizationKey","value":"Marked-S3cret-Of-Nobody"}]'
TOKEN = "04AABBCCDD"


def recording(rig: Rig) -> Path:
    return rig.state / "recording.jsonl"


def frames(rig: Rig) -> list[dict[str, Any]]:
    path = recording(rig)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def recorded(rig: Rig, count: int) -> list[dict[str, Any]]:
    """The recording, once it has so many frames."""
    async with asyncio.timeout(120):
        while len(found := frames(rig)) < count:
            await asyncio.sleep(0.02)
    return found


async def conversation(peer: Peer, csms: FakeCSMS) -> None:
    """An authorisation, a firmware update that the rules refuse, one that they let through."""
    peer.send_text(json.dumps([2, "a", "Authorize", {"idTag": TOKEN}]))
    await peer.text()
    await ask_csms(csms, "CP-1", firmware("f1", "https://evil.test/fw.bin"))
    await csms.until(lambda: any('"f1"' in text for text in csms.texts["CP-1"]))
    await ask_csms(csms, "CP-1", firmware("f2", "https://fw.vendor.example/fw.bin"))
    await peer.text()
    peer.send_text('[3,"f2",{}]')


async def test_what_is_recorded_can_be_replayed_and_holds_no_secret(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    with_site(rig)
    rig.config["recording"] = {"enabled": True}
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        await conversation(peer, csms)
        await ask_csms(csms, "CP-1", PASSWORD_SET)
        await peer.text()
        found = await recorded(rig, 8)
        assert gateway.status()["recording"]["frames"] >= 8
    text = recording(rig).read_text()
    assert "Marked-S3cret" not in text
    assert TOKEN not in text
    assert (recording(rig).stat().st_mode & 0o777, (rig.state / "recording.key").stat().st_mode & 0o777) == (
        0o600,
        0o600,
    )
    said = [(frame["origin"], json.loads(frame["text"])[1], frame["decision"]) for frame in found]
    assert said[:4] == [
        ("charge-point", "b", "forward"),
        ("csms", "b", "forward"),
        ("charge-point", "a", "forward"),
        ("csms", "a", "forward"),
    ]
    assert ("csms", "f1", "refuse") in said
    assert ("csms", "f2", "forward") in said
    _, shown = command(rig, "policy", "show")
    assert {frame["revision"] for frame in found} == {shown["revision"][:12]}
    refused = next(frame for frame in found if '"f1"' in frame["text"])
    assert any(
        match["rule"] == "firmware/location-allowlist" and match["effect"] == "deny"
        for match in refused["matches"]
        if "rule" in match
    )

    # A policy without rules about firmware: what was refused would pass.
    site = str(rig.write_private("no-values.yaml", b"apiVersion: ocpp-gateway/v1\nkind: PolicySite\n"))
    capture = ("policy", "replay", "--capture", str(recording(rig)))
    code, result = command(rig, *capture, "--candidate", "reservation", "--candidate", site)
    assert (code, result["new_denies"], result["new_allows"], result["unjudged"]) == (0, 0, 1, 0)
    # And the other way round it is seen before it is put in force.
    code, result = command(rig, *capture, "--against", "reservation", "--against", site)
    assert (code, result["new_denies"]) == (1, 1)


async def test_shadow_verdicts_stand_in_the_same_record(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    rig.config["policy"] = {"packs": ["baseline", "observe"]}
    rig.config["recording"] = {"enabled": True}
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1"):
        await ask_csms(csms, "CP-1", firmware("f1", "http://203.0.113.9/fw.bin"))
        found = await recorded(rig, 3)
    frame = next(frame for frame in found if '"f1"' in frame["text"])
    assert frame["decision"] == "forward"
    assert any(match.get("would") == "deny" and match["rule"].startswith("firmware/") for match in frame["matches"])


async def test_it_is_switched_on_and_off_on_live_sessions(rig: Rig) -> None:
    register(rig, "CP-1")
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        await heartbeat(peer, "h1")
        rig.config["recording"] = {"enabled": True}
        await reload(gateway)
        await heartbeat(peer, "h2")
        await recorded(rig, 2)
        rig.config["recording"] = {"enabled": False}
        await reload(gateway)
        await heartbeat(peer, "h3")
    assert [json.loads(frame["text"])[1] for frame in frames(rig)] == ["h2", "h2"]


async def test_only_the_groups_that_are_asked_for(rig: Rig) -> None:
    register(rig, "CP-1")
    rig.add("CP-2", security_profile=1, password="password-of-the-charge-point", versions=["ocpp1.6"], group="depot")
    rig.config["recording"] = {"enabled": True, "groups": ["depot"]}
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1"), await admitted(gateway, "CP-2"):
        found = await recorded(rig, 2)
    assert {frame["identity"] for frame in found} == {"CP-2"}


async def test_what_is_no_message_is_not_kept(rig: Rig) -> None:
    register(rig, "CP-1")
    rig.config["recording"] = {"enabled": True}
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        peer.send_text('[2,"m","Authorize",{"password":"Marked-S3cret"]')
        await peer.text()
        await heartbeat(peer, "h")
        await recorded(rig, 4)
    assert "Marked" not in recording(rig).read_text()


async def heartbeat(peer: Peer, number: str) -> None:
    peer.send_text(f'[2,"{number}","Heartbeat",{{}}]')
    assert number in await peer.text()


async def reload(gateway: GatewayProcess) -> None:
    assert (await gateway.reload())["event"] == "config.reloaded"


def command(rig: Rig, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of a command line."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *words, "--json", "--config", str(rig.config_path)],
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


async def test_a_key_that_is_none_is_a_line_in_status_and_nobody_is_turned_away(rig: Rig) -> None:
    register(rig, "CP-1")
    rig.config["recording"] = {"enabled": True}
    rig.write_config()
    rig.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    (rig.state / "recording.key").write_bytes(b"")
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        await heartbeat(peer, "h1")
        assert "recording.key is not a key" in gateway.status()["recording"]["error"]
        (rig.state / "recording.key").unlink()
        await reload(gateway)
        await heartbeat(peer, "h2")
        await recorded(rig, 2)
        assert gateway.status()["recording"]["error"] == ""
