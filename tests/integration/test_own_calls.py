"""The gateway's own calls to a live charge point: in turn, on record, and unseen by the CSMS."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import pytest

from tests.integration.test_policy import admitted, ask_csms, register
from tests.support.csms import FakeCSMS
from tests.support.peer import Peer
from tests.support.rig import GatewayProcess, Rig

pytestmark = pytest.mark.integration
GET = '{"key":["HeartbeatInterval"]}'
CONFIGURATION = {
    "configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}],
    "unknownKey": [],
}


async def command(rig: Rig, *words: str, stdin: bytes = b"") -> tuple[int, Any]:
    """Exit code and answer of `charge-point call`."""
    line = [sys.executable, "-m", "gateway", "charge-point", "call", *words, "--json", "--config", str(rig.config_path)]
    process = await asyncio.create_subprocess_exec(
        *line, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate(stdin)
    assert process.returncode is not None
    assert b"Traceback" not in error
    return process.returncode, json.loads(out)


async def asked(peer: Peer, action: str) -> str:
    """The id of the call that comes next."""
    kind, message_id, came, _ = json.loads(await peer.text())
    assert (kind, came) == (2, action)
    return str(message_id)


async def until_events(gateway: GatewayProcess, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(120):
        while len(found := [event for event in gateway.events() if event["event"] == "gateway.call"]) < count:
            await asyncio.sleep(0.02)
    return found


async def test_call_and_answer_pass_the_csms_by_and_are_on_record(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        call = asyncio.create_task(command(rig, "CP-1", "GetConfiguration", GET))
        message_id = await asked(peer, "GetConfiguration")
        before = len(csms.texts["CP-1"])
        peer.send_text(json.dumps([3, message_id, CONFIGURATION]))
        code, answer = await call
        assert (code, answer["outcome"], answer["payload"], answer["schema_violation"]) == (
            0,
            "result",
            CONFIGURATION,
            "",
        )
        peer.send_text('[2,"h","Heartbeat",{}]')
        assert '"h"' in await peer.text()
        assert csms.texts["CP-1"][before:] == ['[2,"h","Heartbeat",{}]']
        events = await until_events(gateway, 2)
    (who,) = {event["actor"]["name"] for event in events}
    assert [event["detail"] for event in events] == [
        f"GetConfiguration {message_id}: asked: {GET}; by {who}",
        f"GetConfiguration {message_id}: result; by {who}",
    ]
    assert answer["request_id"] == message_id
    assert {event["charge_point_id"] for event in events} == {"CP-1"}


async def test_it_waits_its_turn_behind_a_command_of_the_csms(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        await ask_csms(csms, "CP-1", '[2,"c","ClearCache",{}]')
        assert await asked(peer, "ClearCache") == "c"
        call = asyncio.create_task(command(rig, "CP-1", "GetConfiguration", "-", stdin=GET.encode()))
        await until_events(gateway, 1)
        peer.send_text('[3,"c",{"status":"Accepted"}]')
        message_id = await asked(peer, "GetConfiguration")
        await csms.until(lambda: '[3,"c",{"status":"Accepted"}]' in csms.texts["CP-1"])
        peer.send_text(json.dumps([4, message_id, "InternalError", "no\x1b[2J", {}]))
        code, answer = await call
        assert (code, answer["outcome"], answer["error"]) == (1, "error", "InternalError")
        assert not any(message_id in text for text in csms.texts["CP-1"])


async def test_no_answer_and_an_answer_that_comes_too_late(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        code, answer = await command(rig, "CP-1", "GetConfiguration", GET, "--timeout", "0.3")
        assert (code, answer["outcome"], answer["error"]) == (1, "timeout", "no answer")
        message_id = await asked(peer, "GetConfiguration")
        peer.send_text(json.dumps([3, message_id, CONFIGURATION]))
        peer.send_text('[2,"h","Heartbeat",{}]')
        assert '"h"' in await peer.text()
        assert not any(message_id in text for text in csms.texts["CP-1"])


async def test_after_a_restart_of_control_nobody_is_told_the_answer_of_another(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1", "CP-2")
    async with (
        rig.gateway() as gateway,
        await admitted(gateway, "CP-1") as first,
        await admitted(gateway, "CP-2") as second,
    ):
        lost = asyncio.create_task(command(rig, "CP-1", "GetConfiguration", GET, "--timeout", "60"))
        stale = await asked(first, "GetConfiguration")
        os.kill(gateway.children()["control"], signal.SIGKILL)
        assert (await lost)[0] == 3
        async with asyncio.timeout(120):
            while gateway.http("/readyz")[0] != 200:
                await asyncio.sleep(0.05)
        call = asyncio.create_task(command(rig, "CP-2", "GetConfiguration", GET))
        message_id = await asked(second, "GetConfiguration")
        first.send_text(json.dumps([3, stale, {"unknownKey": ["of CP-1"]}]))
        first.send_text('[2,"h","Heartbeat",{}]')
        assert '"h"' in await first.text()
        assert not any(stale in text for text in csms.texts["CP-1"])
        second.send_text(json.dumps([3, message_id, {"unknownKey": ["of CP-2"]}]))
        code, answer = await call
    assert (code, answer["outcome"], answer["payload"]) == (0, "result", {"unknownKey": ["of CP-2"]})


async def test_the_session_ends_meanwhile(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    async with rig.gateway() as gateway:
        async with await admitted(gateway, "CP-1") as peer:
            call = asyncio.create_task(command(rig, "CP-1", "GetConfiguration", GET))
            await asked(peer, "GetConfiguration")
        code, answer = await call
        assert (code, answer["outcome"]) == (1, "gone")
        assert csms.texts["CP-1"]


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("CP-1", "DataTransfer", json.dumps({"vendorId": "v", "data": "x" * 100_000})), 2, "max_message_bytes, 65536"),
        (("CP-1", "Fuzz"), 1, "OCPP 1.6 has no action Fuzz"),
        (("CP-1", "Heartbeat"), 1, "Heartbeat is not for a charge point"),
        (("CP-1", "Reset", '{"type":"Gentle"}'), 1, "the payload does not fit Reset: Enum at type"),
        (("CP-2", "Reset", '{"type":"Soft"}'), 1, "it is not connected"),
        (("CP-9", "Reset", '{"type":"Soft"}'), 1, "no charge point of this identity is registered"),
        (("cp-1", "Reset", '{"type":"Soft"}'), 1, "no charge point of this identity is registered"),
        (("CP-1", "Reset", "[]"), 2, "must be a JSON object"),
        (("CP-1", "Reset", "{"), 2, "not JSON"),
    ],
)
async def test_what_is_not_sent(rig: Rig, csms: FakeCSMS, words: tuple[str, ...], code: int, why: str) -> None:
    register(rig, "CP-1", "CP-2")
    rig.config["websocket"] = {"max_message_bytes": 65_536}
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        done, answer = await command(rig, *words)
        assert done == code
        assert why in answer["error"]
        peer.send_text('[2,"h","Heartbeat",{}]')
        assert '"h"' in await peer.text(), "nothing else came"
        assert csms.texts["CP-1"]


async def test_without_a_gateway(rig: Rig) -> None:
    rig.write_config()
    code, answer = await command(rig, "CP-1", "Reset")
    assert code == 3
    assert "not running" in answer["error"]
