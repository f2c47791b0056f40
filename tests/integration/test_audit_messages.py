"""What is relayed and decided, in the audit log of a real gateway: every message, of every edge worker, also across a restart of control."""

import json
import os
import signal
from typing import Any

import pytest

from gateway.control.trail.layout import shards_in
from gateway.control.trail.payloads import PayloadStore
from gateway.control.trail.reader import ShardReader, decoded
from gateway.control.trail.verify import verify_shard
from tests.integration.test_policy import admitted, ask_csms, firmware, register, with_site
from tests.support.csms import FakeCSMS
from tests.support.fleet import until
from tests.support.rig import Rig

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("csms")]
TOKEN = "04AABBCCDD"
SECRET = "Marked-S3cret-Of-Nobody"


def live(rig: Rig) -> list[dict[str, Any]]:
    return [decoded(data) for shard in shards_in(rig.state / "audit") for _, data in ShardReader(shard).records()]


def messages(rig: Rig) -> list[dict[str, Any]]:
    return [record for record in live(rig) if record.get("type") == "ocpp.message"]


def said(rig: Rig) -> list[tuple[str, str, str, str]]:
    found = [(each["ocpp"], each["dec"]["act"]) for each in messages(rig)]
    return [(ocpp["from"], ocpp["kind"], ocpp["action"], act) for ocpp, act in found]


async def test_every_message_is_in_the_log_with_what_was_decided_and_without_secrets(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    with_site(rig)
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        peer.send_text(json.dumps([2, "a", "Authorize", {"idTag": TOKEN}]))
        await peer.text()
        await ask_csms(csms, "CP-1", firmware("f1", "https://evil.test/fw.bin"))
        await csms.until(lambda: any('"f1"' in text for text in csms.texts["CP-1"]))
        await ask_csms(
            csms, "CP-1", json.dumps([2, "k", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}])
        )
        await peer.text()
        peer.send_text('[2,"h","Heartbeat",{}]')
        await peer.text()
        await until(lambda: any(each[2] == "ChangeConfiguration" for each in said(rig)), "it is in the log")
    found = said(rig)
    assert [each for each in found if each[2] in {"BootNotification", "Authorize"}] == [
        ("charge-point", "call", "BootNotification", "forward"),
        ("csms", "result", "BootNotification", "forward"),
        ("charge-point", "call", "Authorize", "forward"),
        ("csms", "result", "Authorize", "forward"),
    ]
    assert ("csms", "call", "UpdateFirmware", "refuse") in found
    assert not any(each[2] == "Heartbeat" for each in found)
    (counted,) = (each for each in live(rig) if each["type"] == "ocpp.counted")
    assert counted["counts"] == {"Heartbeat": 2}
    refused = next(each for each in messages(rig) if each["ocpp"]["action"] == "UpdateFirmware")
    assert refused["dec"]["rule"] == "firmware/location-allowlist"
    payloads = PayloadStore(rig.state / "audit" / "payload", rig.state / "audit-keys" / "payload")
    assert b"evil.test" in payloads.of(refused["body"]["day"]).text(refused["body"]["commit"])
    assert {each["worker"] for each in messages(rig)} == {"edge-0"}
    for path in (rig.state / "audit").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert TOKEN.encode() not in data, path
            assert SECRET.encode() not in data, path
    (shard,) = shards_in(rig.state / "audit")
    assert verify_shard(shard).findings == []


async def test_no_message_is_missing_when_control_is_killed(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        for turn in range(2):
            killed = gateway.children()["control"]
            for number in range(50):
                peer.send_text(json.dumps([2, f"{turn}-{number}", "StatusNotification", STATUS]))
                await peer.text()
                if number == 25:
                    os.kill(killed, signal.SIGKILL)
            await until(lambda killed=killed: gateway.children().get("control", killed) != killed, "control is back")  # type: ignore[misc]
            await until(lambda: gateway.http("/readyz")[0] == 200, "it is ready")
    numbers = {(each["edge"]["boot"], each["edge"]["frame"]) for each in messages(rig)}
    assert {number for _, number in numbers} == set(range(1, 203))
    assert len({boot for boot, _ in numbers}) == 1
    (shard,) = shards_in(rig.state / "audit")
    assert verify_shard(shard).findings == []
    del csms


STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


async def test_a_reload_changes_how_much_is_kept(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        peer.send_text(json.dumps([2, "1", "StatusNotification", STATUS]))
        await peer.text()
        await until(lambda: len(messages(rig)) == 4, "both are in the log")
        rig.config["audit"] = {"full": ["StatusNotification"], "counted": []}
        await gateway.reload()
        peer.send_text(json.dumps([2, "2", "StatusNotification", STATUS]))
        await peer.text()
        await until(lambda: len(messages(rig)) == 6, "both are in the log")
    assert ["body" in each for each in messages(rig)] == [False, False, False, False, True, True]
    del csms


async def test_what_a_charge_point_reports_of_itself_is_on_record_also_where_its_csms_does_not_know_such_messages(
    rig: Rig, csms: FakeCSMS
) -> None:
    register(rig, "CP-1")
    event = {"type": "TamperDetectionActivated", "timestamp": "2026-01-01T00:00:00Z", "techInfo": SECRET}
    rig.config["csms"][0]["owners"] = {"SecurityEventNotification": "gateway"}
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        peer.send_text(json.dumps([2, "e", "SecurityEventNotification", event]))
        assert json.loads(await peer.text()) == [3, "e", {}]
        await until(lambda: any(each.get("type") == "charger.security_event" for each in live(rig)), "it is in the log")
    (reported,) = (each for each in live(rig) if each["type"] == "charger.security_event")
    assert (reported["cp"], reported["ocpp"]["event"], reported["sev"]) == ("CP-1", "TamperDetectionActivated", "high")
    assert ("charge-point", "call", "SecurityEventNotification", "answer") in said(rig)
    assert not any("SecurityEventNotification" in text for text in csms.texts["CP-1"])
    assert SECRET not in str(live(rig))
