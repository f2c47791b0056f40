"""Through the real gateway: one command on the way at a time, a time-out that makes way, and a peer that answers nothing."""

import asyncio
import contextlib
import json

import pytest

from tests.integration.test_policy import admitted, ask_csms, register
from tests.support.csms import FakeCSMS
from tests.support.peer import Peer
from tests.support.rig import Rig

pytestmark = pytest.mark.integration


def command(number: int) -> str:
    return f'[2,"c{number}","TriggerMessage",{{"requestedMessage":"Heartbeat"}}]'


def answer(number: int) -> str:
    return f'[3,"c{number}",{{"status":"Accepted"}}]'


async def numbers_of(peer: Peer, count: int) -> list[str]:
    return [json.loads(await peer.text())[1] for _ in range(count)]


async def test_commands_wait_for_the_answer_to_the_one_before(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        for number in (1, 2, 3):
            await ask_csms(csms, "CP-1", command(number))
        peer.send_text('[2,"h","Heartbeat",{}]')  # its own calls do not wait for those of the other side
        first, own = await numbers_of(peer, 2)
        assert {first, own} == {"c1", "h"}
        peer.send_text('[2,"i","Heartbeat",{}]')
        assert await numbers_of(peer, 1) == ["i"], "c2 has not been sent meanwhile"
        for number in (1, 2):
            peer.send_text(answer(number))
            assert await numbers_of(peer, 1) == [f"c{number + 1}"]
        peer.send_text(answer(3))
        await csms.received("CP-1", answer(3))


async def test_a_command_that_gets_no_answer_makes_way_and_one_that_has_waited_too_long_is_not_sent(
    rig: Rig, csms: FakeCSMS
) -> None:
    register(rig, "CP-1")
    rig.config["websocket"] = {"call_timeout_s": 2.0}
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        await ask_csms(csms, "CP-1", command(1))
        assert await numbers_of(peer, 1) == ["c1"]
        await asyncio.sleep(1.3)
        await ask_csms(csms, "CP-1", command(2))
        await ask_csms(csms, "CP-1", command(3))
        assert await numbers_of(peer, 1) == ["c2"], "the first one has timed out"
        event = await gateway.event("rpc.call_timeout")
        assert event["charge_point_id"] == "CP-1"
        await csms.until(lambda: any(text.startswith('[4,"c3"') for text in csms.texts["CP-1"]))
        peer.send_text(answer(1))
        await csms.received("CP-1", answer(1))  # late, and still of use


async def test_a_charge_point_that_says_nothing_at_all_while_commands_pile_up_is_dropped(
    rig: Rig, csms: FakeCSMS
) -> None:
    register(rig, "CP-1", "CP-2")
    rig.config["websocket"] = {"max_waiting_calls": 2, "write_deadline_s": 2.0}
    async with (
        rig.gateway() as gateway,
        await admitted(gateway, "CP-1") as silent,
        await admitted(gateway, "CP-2") as busy,
    ):
        for identity in ("CP-1", "CP-2"):
            for number in range(5):
                await ask_csms(csms, identity, command(number))

        async def goes_on_talking() -> None:
            for number in range(1_000):
                busy.send_text(f'[2,"h{number}","Heartbeat",{{}}]')
                await busy.text()
                await asyncio.sleep(0.3)

        talking = asyncio.get_running_loop().create_task(goes_on_talking())
        event = await gateway.event("net.slow_reader")
        assert event["charge_point_id"] == "CP-1"
        assert await silent.ended()
        assert not talking.done(), "the one that is only slow to answer stays"
        talking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talking
