"""Two connections with one identity: the living one stays, a dead one is replaced, and there are never two."""

import asyncio
import contextlib
import os
import signal
from contextlib import AsyncExitStack

import pytest

from tests.support.csms import FakeCSMS
from tests.support.fleet import ChargePoint, answering, until
from tests.support.peer import Answer, Peer
from tests.support.rig import GatewayProcess, Rig

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def short(rig: Rig) -> None:
    # Long enough for a living one to answer on a loaded machine.
    rig.config["limits"] = {"duplicate_probe_timeout_s": 2.0, "drain_timeout_s": 2.0}
    rig.config["websocket"] = {"close_timeout_s": 0.5}


async def test_a_living_session_stays_and_the_newcomer_gets_409_and_an_event(rig: Rig, csms: FakeCSMS) -> None:
    rig.config["gateway"]["edge_workers"] = 2
    one, other = ChargePoint(rig, "CP-1"), ChargePoint(rig, "CP-2")
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        await until(lambda: gateway.sessions()["CP-1"]["state"] == "open", "control has heard that it is open")
        first = gateway.sessions()["CP-1"]
        since = gateway.mark()
        # Who only claims the identity does not even cause a probe, which would find nobody answering and end it.
        right, one.password = one.password, "a guess"
        assert (await one.ask(gateway)).status == 401
        one.password = right
        await one.exchange(peer, csms)
        async with answering(peer):
            for _ in range(4):  # on either edge
                assert (await one.ask(gateway)).status == 409
        event = await gateway.event("identity.duplicate", since)
        assert (event["charge_point_id"], event["verified"], event["severity"]) == ("CP-1", True, "critical")
        assert gateway.sessions()["CP-1"] == first
        await one.exchange(peer, csms)
        async with await other.enter(gateway) as second:
            await other.exchange(second, csms)
        assert len([request for request in csms.requests if request.path.endswith("/CP-1")]) == 1


async def test_a_dead_session_is_replaced_after_the_probe_and_its_late_end_does_not_remove_the_new_one(
    rig: Rig, csms: FakeCSMS
) -> None:
    rig.config["gateway"]["edge_workers"] = 2
    one = ChargePoint(rig, "CP-1", 3)
    async with rig.gateway() as gateway, AsyncExitStack() as stack:
        # It reads nothing and answers nothing, but its TCP connection is there.
        dead = living = await stack.enter_async_context(await one.enter(gateway))
        await csms.connected("CP-1")
        generations = [gateway.sessions()["CP-1"]["generation"]]
        for _ in range(2):
            living = await stack.enter_async_context(await one.enter(gateway))
            assert await dead.ended()
            await csms.closed("CP-1", len(generations))
            await one.exchange(living, csms)
            sessions = gateway.sessions()
            assert sessions["CP-1"]["state"] == "open"
            generations.append(sessions["CP-1"]["generation"])
            dead = living
        assert generations == sorted(set(generations))
        async with answering(living):
            assert (await one.ask(gateway)).status == 409


async def _race(one: ChargePoint, gateway: GatewayProcess, stack: AsyncExitStack, number: int) -> list[Answer]:
    """So many upgrade requests at once, each on a connection that is there already, all of them alive."""
    peers = [await stack.enter_async_context(await one.connect(gateway)) for _ in range(number)]

    async def ask(peer: Peer) -> Answer:
        answer = await peer.ask(f"/ocpp/{one.identity}", authorization=one.authorization)
        if answer.status == 101:
            await stack.enter_async_context(answering(peer))
        return answer

    return await asyncio.gather(*map(ask, peers))


async def test_of_parallel_connections_with_one_identity_exactly_one_gets_in(rig: Rig, csms: FakeCSMS) -> None:
    rig.config["gateway"]["edge_workers"] = 2
    fleet = [ChargePoint(rig, f"CP-{n}") for n in range(4)]
    async with rig.gateway() as gateway, AsyncExitStack() as stack:
        for delay_s, racers in ((0.0, fleet[:2]), (2.5, fleet[2:])):  # the second is longer than a probe waits
            csms.delay_s = delay_s
            for answers in await asyncio.gather(*(_race(one, gateway, stack, 5) for one in racers)):
                assert sorted(answer.status for answer in answers) == [101, 409, 409, 409, 409]
        names = [one.identity for one in fleet]
        assert sorted(request.path for request in csms.requests) == [f"/up/{name}" for name in names]
        assert sorted(gateway.sessions()) == names


async def test_a_charge_point_that_gave_up_waiting_for_a_slow_csms_is_no_duplicate_of_itself(
    rig: Rig, csms: FakeCSMS
) -> None:
    fleet = [ChargePoint(rig, f"CP-{profile}", profile) for profile in (1, 3)]
    async with rig.gateway() as gateway:
        since = gateway.mark()
        for one in fleet:
            csms.delay_s = 60.0
            async with await one.connect(gateway) as impatient:
                asking = asyncio.create_task(impatient.ask(f"/ocpp/{one.identity}", authorization=one.authorization))
                await csms.asked(one.identity)
                assert (await one.ask(gateway)).status == 409  # it is still waiting
                asking.cancel()
                await asyncio.wait([asking])
                impatient.writer.close()  # FIN, behind close_notify where there is TLS
            csms.delay_s = 0.0
            async with await one.enter_soon(gateway) as peer:
                await one.exchange(peer, csms)
                assert gateway.sessions().keys() == {one.identity}
            await until(lambda: not gateway.sessions(), "it has left")
        # The last event in the file: all others are there by then.
        async with await Peer.connect(gateway.plain) as stranger:
            assert (await stranger.ask("/ocpp/CP-1")).status == 401
        await gateway.event("auth.missing", since)
        assert [e["event"] for e in gateway.events(since)].count("identity.duplicate") == len(fleet)


async def test_a_control_that_is_killed_during_the_race_lets_no_second_one_in(rig: Rig, csms: FakeCSMS) -> None:
    """Admitted by the first control, still on its way to the CSMS when the second one has taken over."""
    csms.delay_s = 60.0
    rig.config["csms"][0]["connect_timeout_s"] = 60.0
    one, other = ChargePoint(rig, "CP-1", 1), ChargePoint(rig, "CP-2", 1)
    async with rig.gateway() as gateway, await one.connect(gateway) as early:
        asking = asyncio.create_task(early.ask("/ocpp/CP-1", authorization=one.authorization))
        await csms.asked("CP-1")
        os.kill(gateway.children()["control"], signal.SIGKILL)
        assert (await asking).status == 503
        csms.delay_s = 0.0
        async with await one.enter_soon(gateway) as living, answering(living):
            assert (await one.ask(gateway)).status == 409
            assert gateway.sessions().keys() == {"CP-1"}
            assert list(csms.connections) == ["CP-1"]
            async with await other.enter(gateway) as second:
                await other.exchange(second, csms)


async def test_a_charge_point_that_reconnects_too_often_gets_429_with_the_time_to_wait_and_others_do_not(
    rig: Rig, csms: FakeCSMS
) -> None:
    rig.config["limits"]["reconnects_per_hour"] = 3
    one, other = ChargePoint(rig, "CP-1", 1), ChargePoint(rig, "CP-2", 1)
    async with rig.gateway() as gateway:
        since = gateway.mark()
        for _ in range(3):
            async with await one.enter(gateway) as peer:
                await one.exchange(peer, csms)
        answer = await one.ask(gateway)
        assert answer.status == 429
        assert 0 < int(answer.headers["retry-after"]) <= 1200
        event = await gateway.event("identity.flapping", since)
        assert (event["charge_point_id"], event["verified"], event["decision"]) == ("CP-1", True, "rate_limit")
        async with await other.enter(gateway) as peer:
            await other.exchange(peer, csms)
        # Somebody else's wrong password is not its flapping.
        right, other.password = other.password, "wrong"
        for _ in range(4):
            assert (await other.ask(gateway)).status == 401
        other.password = right
        with contextlib.suppress(OSError):
            async with await other.enter_soon(gateway) as peer:
                await other.exchange(peer, csms)
