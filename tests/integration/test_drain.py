"""SIGTERM: every charge point is told to come back later, the CSMS too, and nothing that happened is forgotten."""

import asyncio
import contextlib
import os
import signal
from contextlib import AsyncExitStack

import pytest

from tests.support.csms import FakeCSMS
from tests.support.fleet import ChargePoint, suspended, until
from tests.support.peer import CLOSE, Peer, basic, frame
from tests.support.rig import GatewayProcess, Rig

pytestmark = pytest.mark.integration
GOING_AWAY = 1001


@pytest.fixture(autouse=True)
def short(rig: Rig) -> None:
    rig.config["limits"] = {"drain_timeout_s": 4.0}
    rig.config["websocket"] = {"close_timeout_s": 1.0}


async def _exit_code(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    return await asyncio.to_thread(gateway.process.wait, 30)


async def _accepts(address: tuple[str, int]) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except OSError:
        return False
    writer.close()
    return True


async def test_sigterm_closes_every_session_on_both_legs_and_ends_with_0_and_all_events_written(
    rig: Rig, csms: FakeCSMS
) -> None:
    rig.config["gateway"]["edge_workers"] = 2
    fleet = [ChargePoint(rig, f"CP-{profile}-{n}", profile) for profile in (1, 2, 3) for n in (1, 2)]
    async with rig.gateway() as gateway, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(await one.enter(gateway)) for one in fleet]
        for one, peer in zip(fleet, peers, strict=True):
            await one.exchange(peer, csms)
        children = gateway.children()
        addresses = (gateway.plain, gateway.tls, gateway.mtls, ("127.0.0.1", rig.operations))
        # Refused at the last moment, each once: in the files all the same.
        async with await Peer.connect(gateway.plain) as stranger:
            assert (await stranger.ask("/ocpp/CP-1-1", authorization=basic("CP-1-1", "wrong"))).status == 401
        async with await Peer.connect(gateway.plain) as stranger:
            assert (await stranger.ask("/elsewhere/CP-1-1")).status == 404
        os.kill(gateway.pid, signal.SIGTERM)
        for peer in peers:
            assert await peer.close_code() == GOING_AWAY
        for peer in peers[1:]:  # the first one never answers and is cut off
            peer.send(frame(CLOSE, b"\x03\xe9"))
        for peer in peers:
            assert await peer.ended()
        assert await _exit_code(gateway) == 0
        assert not any([await _accepts(address) for address in addresses])
        assert all(not _alive(pid) for pid in children.values())
        for one in fleet:
            assert await csms.closed(one.identity) == [GOING_AWAY]
        found = [event["event"] for event in gateway.events()]
        assert "auth.failed" in found or "auth.password_wrong" in found, found
        assert any(event.get("http_status") == 404 for event in gateway.events()), found
        with rig.registry() as registry:
            assert {entry.reason for entry in registry.refusals(address="127.0.0.1")} >= {"password-wrong"}
        assert "Traceback" not in gateway.log()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_who_is_on_the_way_in_when_the_drain_begins_gets_503_and_no_session(rig: Rig, csms: FakeCSMS) -> None:
    rig.config["limits"]["drain_timeout_s"] = 30.0
    rig.config["websocket"]["close_timeout_s"] = 30.0
    one, two, three = (ChargePoint(rig, f"CP-{n}", 1) for n in (1, 2, 3))
    async with rig.gateway() as gateway, AsyncExitStack() as stack:
        # Does not answer the close frame yet, which keeps the drain going.
        slow = await stack.enter_async_context(await one.enter(gateway))
        asks, late = [await stack.enter_async_context(await each.connect(gateway)) for each in (two, three)]
        csms.delay_s = 60.0
        asking = asyncio.create_task(asks.ask("/ocpp/CP-2", authorization=two.authorization))
        await csms.asked("CP-2")
        os.kill(gateway.pid, signal.SIGTERM)
        assert (await asking).status == 503
        assert (await late.ask("/ocpp/CP-3", authorization=three.authorization)).status == 503
        assert gateway.http("/readyz")[0] == 503
        assert await slow.close_code() == GOING_AWAY
        slow.send(frame(CLOSE, b"\x03\xe9"))
        assert await _exit_code(gateway) == 0
        assert [request.path for request in csms.requests] == ["/up/CP-1", "/up/CP-2"]


async def test_ctrl_c_in_a_terminal_reaches_all_processes_and_drains_like_sigterm_and_a_second_one_changes_nothing(
    rig: Rig, csms: FakeCSMS
) -> None:
    one = ChargePoint(rig, "CP-1")
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        await one.exchange(peer, csms)
        for group in {os.getpgid(pid) for pid in (gateway.pid, *gateway.children().values())}:
            os.killpg(group, signal.SIGINT)
        assert await peer.close_code() == GOING_AWAY
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
            os.kill(gateway.pid, number)
        peer.send(frame(CLOSE, b"\x03\xe9"))
        assert await _exit_code(gateway) == 0
        assert "Traceback" not in gateway.log()
        assert "config.reloaded" not in [event["event"] for event in gateway.events()]


async def test_sigterm_in_the_middle_of_a_reload_still_drains(rig: Rig, csms: FakeCSMS) -> None:
    one = ChargePoint(rig, "CP-1", 1)
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        await one.exchange(peer, csms)
        with suspended(gateway.children()["edge-0"]):
            os.kill(gateway.pid, signal.SIGHUP)
            os.kill(gateway.pid, signal.SIGTERM)
            await until(lambda: '"event": "draining"' in gateway.log(), "the drain has begun")
        assert await peer.close_code() == GOING_AWAY
        peer.send(frame(CLOSE, b"\x03\xe9"))
        assert await _exit_code(gateway) == 0


async def test_an_edge_that_hangs_or_dies_does_not_keep_the_others_from_draining_nor_the_gateway_from_ending(
    rig: Rig, csms: FakeCSMS
) -> None:
    rig.config["gateway"]["edge_workers"] = 2
    rig.config["limits"]["drain_timeout_s"] = 1.0
    fleet = [ChargePoint(rig, f"CP-{n}", 1) for n in range(6)]
    async with rig.gateway() as gateway, AsyncExitStack() as stack:
        peers = {one.identity: await stack.enter_async_context(await one.enter(gateway)) for one in fleet}
        for one in fleet:
            await csms.connected(one.identity)
        sessions = gateway.sessions()
        hanging = sessions["CP-0"]["edge"]
        pid, draining = (gateway.children()[f"edge-{slot}"] for slot in (hanging, 1 - hanging))
        os.kill(pid, signal.SIGSTOP)
        os.kill(gateway.pid, signal.SIGTERM)
        for one in fleet:
            if sessions[one.identity]["edge"] != hanging:
                assert await peers[one.identity].close_code() == GOING_AWAY
        # One that dies while it drains is not started again.
        with contextlib.suppress(ProcessLookupError):
            os.kill(draining, signal.SIGKILL)
        assert await _exit_code(gateway) == 0
        assert not _alive(pid)
        for trouble in ("task_failed", "child_not_started", "Traceback"):
            assert trouble not in gateway.log()
