"""Processes die; the gateway does not. Every test kills real processes and looks at what charge points and CSMS see."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.demo.ports import free_ports
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from tests.support.csms import FakeCSMS
from tests.support.fleet import ChargePoint, answering, suspended, until
from tests.support.peer import Peer
from tests.support.rig import Rig
from tests.support.tls_material import useless_server

pytestmark = pytest.mark.integration
_REGISTRY_FILES = 6
"""Two connections: control opens its second one when both of its threads need one at the same moment, or never."""


def _ends(pid: int) -> bool:
    """True once a process is gone, or is a zombie that only waits for its (also dead) parent's parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _open_files(pid: int) -> int:
    """Descriptors of a process. The registry's own count only beyond the connections that two threads may have."""
    names = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            names.append(descriptor.readlink().name)
    return len(names) - min(sum(name.startswith("registry.sqlite") for name in names), _REGISTRY_FILES)


def _connections(path: Path) -> set[str]:
    """Inodes of connections to a Unix socket, established or waiting to be accepted."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {line[6] for line in lines if line[-1] == str(path) and line[3] != "00010000"}  # that one listens


def _children_with_zombies(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def test_while_control_is_dead_live_sessions_go_on_and_newcomers_get_503_and_afterwards_all_is_known_again(
    rig: Rig, csms: FakeCSMS
) -> None:
    old, new = ChargePoint(rig, "CP-OLD"), ChargePoint(rig, "CP-NEW", 3)
    async with rig.gateway() as gateway, await old.enter(gateway) as peer:
        before, path = gateway.children()["control"], rig.state / "run" / "control.sock"
        links = _connections(path)
        since = gateway.mark()
        with suspended(gateway.pid):
            os.kill(before, signal.SIGKILL)
            await until(lambda: _ends(before), "control is gone")
            # The supervisor holds the listening socket: an edge can connect to a control that is not there.
            await until(lambda: _connections(path) - links, "the edge has connected again")
            await old.exchange(peer, csms)
            answer = await new.ask(gateway)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert gateway.http("/readyz")[0] != 200
            await old.exchange(peer, csms)
        await until(lambda: gateway.http("/readyz")[0] == 200, "ready again")
        assert gateway.children()["control"] != before
        assert list(gateway.sessions()) == ["CP-OLD"]
        assert gateway.sessions()["CP-OLD"]["state"] == "open"
        async with answering(peer):
            assert (await old.ask(gateway)).status == 409
        async with await new.enter(gateway) as second:
            await new.exchange(second, csms)
        await old.exchange(peer, csms)
        refused = await gateway.event("gateway.control_down", since)
        assert refused["charge_point_id"] == "CP-NEW"
        assert not refused.get("verified")


async def test_a_killed_edge_takes_its_own_sessions_along_and_comes_back(rig: Rig, csms: FakeCSMS) -> None:
    rig.config["gateway"]["edge_workers"] = 2
    fleet = [ChargePoint(rig, f"CP-{number}", 1) for number in range(8)]
    async with rig.gateway() as gateway, AsyncExitStack() as stack:
        peers = {one.identity: await stack.enter_async_context(await one.enter(gateway)) for one in fleet}
        for one in fleet:
            await csms.connected(one.identity)
        slots = {name: session["edge"] for name, session in gateway.sessions().items()}
        doomed = slots["CP-0"]
        before = gateway.children()
        os.kill(before[f"edge-{doomed}"], signal.SIGKILL)
        for one in fleet:
            if slots[one.identity] == doomed:
                assert await peers[one.identity].ended()
                await csms.closed(one.identity)
            else:
                await one.exchange(peers[one.identity], csms)
        for one in fleet:
            if slots[one.identity] == doomed:
                again = await stack.enter_async_context(await one.enter_soon(gateway))
                await one.exchange(again, csms)
        await until(lambda: gateway.http("/readyz")[0] == 200, "ready again")
        after = gateway.children()
        assert {name for name in before if before[name] != after[name]} == {f"edge-{doomed}"}
        assert gateway.sessions().keys() == slots.keys()


async def test_a_connection_that_waits_while_its_edge_is_dead_is_served_by_the_next_one(
    rig: Rig, csms: FakeCSMS
) -> None:
    one = ChargePoint(rig, "CP-1", 1)
    async with rig.gateway() as gateway:
        with suspended(gateway.pid):
            edge = gateway.children()["edge-0"]
            os.kill(edge, signal.SIGKILL)
            await until(lambda: _ends(edge), "the edge is gone")
            peer = await one.connect(gateway)
        async with peer:
            assert (await peer.ask("/ocpp/CP-1", authorization=one.authorization)).status == 101
            await one.exchange(peer, csms)


async def test_without_their_supervisor_all_children_end_and_the_ports_are_free_for_a_new_gateway(
    rig: Rig, csms: FakeCSMS
) -> None:
    rig.named("plain")["address"] = f"127.0.0.1:{free_ports(1)[0]}"
    one = ChargePoint(rig, "CP-1", 1)
    async with rig.gateway() as gateway:
        async with await one.enter(gateway) as peer:
            children = gateway.children()
            async with await Peer.connect(gateway.plain) as stranger:
                assert (await stranger.ask("/elsewhere/CP-1")).status == 404
            os.kill(gateway.pid, signal.SIGKILL)
            assert await peer.ended()
            await csms.closed("CP-1")
            await until(lambda: all(map(_ends, children.values())), "all children have ended")
            assert gateway.events()[-1].get("http_status") == 404  # written in the last moment
        with pytest.raises(OSError):
            await one.connect(gateway)
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        await one.exchange(peer, csms)


async def test_restarts_and_reloads_leave_no_descriptor_and_no_zombie_behind(rig: Rig, csms: FakeCSMS) -> None:
    one = ChargePoint(rig, "CP-1")
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:

        async def settle() -> None:
            await until(lambda: gateway.http("/readyz")[0] == 200, "ready")
            await until(lambda: set(gateway.children()) == {"control", "edge-0"}, "both children")

        def open_files() -> dict[str, int]:
            pids = {"supervisor": gateway.pid, **gateway.children()}
            return {name: _open_files(pid) for name, pid in pids.items()}

        async def no_more_open(*names: str) -> None:
            """At any moment a request or a look at the registry may have something open, but not for long."""
            await settle()
            for name in names:
                await until(lambda name=name: open_files()[name] <= least[name], f"{name} has closed what it opened")  # type: ignore[misc]

        assert (await gateway.reload())["event"] == "config.reloaded"
        await settle()
        least = open_files()
        for _ in range(20):
            await asyncio.sleep(0.02)
            least = {name: min(least[name], count) for name, count in open_files().items()}
        for _ in range(3):
            assert (await gateway.reload())["event"] == "config.reloaded"
        rig.named("plain")["address"] = f"127.0.0.1:{free_ports(1)[0]}"
        assert (await gateway.reload())["event"] == "config.reloaded"
        rig.named("plain")["csms"] = "nowhere"
        assert (await gateway.reload())["event"] == "config.reload_failed"
        await no_more_open("supervisor", "control", "edge-0")
        await one.exchange(peer, csms)
        os.kill(gateway.children()["control"], signal.SIGKILL)
        await until(lambda: gateway.http("/readyz")[0] == 0, "control is gone")
        await no_more_open("supervisor", "edge-0")
        await one.exchange(peer, csms)
        os.kill(gateway.children()["edge-0"], signal.SIGKILL)
        await until(lambda: gateway.http("/readyz")[0] == 503, "the edge is missed")
        await no_more_open("supervisor")
        assert len(_children_with_zombies(gateway.pid)) == 2


async def test_an_edge_without_descriptors_keeps_its_sessions_and_takes_new_ones_as_soon_as_it_can(
    rig: Rig, csms: FakeCSMS
) -> None:
    one, two = ChargePoint(rig, "CP-1", 1), ChargePoint(rig, "CP-2", 1)
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        await one.exchange(peer, csms)
        edge = gateway.children()["edge-0"]
        limits = resource.prlimit(edge, resource.RLIMIT_NOFILE)
        assert limits[0] == limits[1]  # the soft limit is raised to what the administrator allows
        resource.prlimit(edge, resource.RLIMIT_NOFILE, (_open_files(edge) + 3, limits[1]))
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(await two.connect(gateway)) for _ in range(12)]
            refused = [asyncio.create_task(one_of_them.ended()) for one_of_them in crowd]
            await asyncio.wait(refused, return_when=asyncio.FIRST_COMPLETED)
            await one.exchange(peer, csms)
            for task in refused:
                task.cancel()
            await asyncio.wait(refused)
        resource.prlimit(edge, resource.RLIMIT_NOFILE, limits)
        async with await two.enter_soon(gateway) as second:
            await two.exchange(second, csms)
        await one.exchange(peer, csms)
        assert gateway.children()["edge-0"] == edge


@pytest.mark.requirement("A05.FR.09")
async def test_a_locked_registry_holds_up_only_those_who_need_something_written(rig: Rig, csms: FakeCSMS) -> None:
    known, new = ChargePoint(rig, "CP-KNOWN", 1, floor=SecurityProfile.BASIC), ChargePoint(rig, "CP-NEW", 1)
    async with rig.gateway() as gateway, await new.connect(gateway) as waiting:
        with contextlib.closing(sqlite3.connect(rig.state / "registry.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            # Its floor must be on disk before it is let in (A05.FR.09).
            asking = asyncio.create_task(waiting.ask("/ocpp/CP-NEW", authorization=new.authorization))
            since = gateway.mark()
            async with await known.enter(gateway) as peer:
                await known.exchange(peer, csms)
                known.password = "wrong"
                assert (await known.ask(gateway)).status == 401
                await gateway.event("auth.failed", since)
                assert gateway.http("/readyz")[0] == 200
                assert not asking.done()
                assert "CP-NEW" not in csms.connections
                other.execute("ROLLBACK")
                assert (await asking).status == 101
                await new.exchange(waiting, csms)
                await known.exchange(peer, csms)
        with rig.registry() as registry:
            assert registry.load_all()[ChargePointId("CP-NEW")].floor is SecurityProfile.BASIC


async def test_a_second_gateway_on_the_same_state_directory_does_not_start_and_does_not_disturb(
    rig: Rig, csms: FakeCSMS
) -> None:
    one, two = ChargePoint(rig, "CP-1"), ChargePoint(rig, "CP-2")
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        rig.config["operations"]["address"] = f"127.0.0.1:{free_ports(1)[0]}"
        code, text = await _start_and_fail(rig)
        assert (code, text) == (
            1,
            f"The gateway cannot start: another gateway (process {gateway.pid}) is running with the state directory "
            f"{rig.state}\n",
        )
        await one.exchange(peer, csms)
        async with await two.enter(gateway) as second:
            await two.exchange(second, csms)
        assert set(gateway.sessions()) == {"CP-1", "CP-2"}


async def _start_and_fail(rig: Rig) -> tuple[int, str]:
    """Exit code and last sentence of a gateway that does not get as far as being ready."""
    rig.write_config()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "--config", str(rig.config_path), stdout=-1, stderr=-1
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.terminate()
    assert b"Traceback" not in err
    assert out == b""
    assert process.returncode is not None
    return process.returncode, err.decode().splitlines(keepends=True)[-1]


async def test_a_taken_listener_port_is_a_sentence_and_exit_code_1(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        rig.named("tls")["address"] = address
        code, text = await _start_and_fail(rig)
        assert (code, text) == (1, f"The gateway cannot start: listener tls ({address}): Address already in use\n")


async def test_a_taken_operations_port_is_a_sentence_and_exit_code_1(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", rig.operations)):
        code, text = await _start_and_fail(rig)
        address = f"127.0.0.1:{rig.operations}"
        assert (code, text) == (1, f"The gateway cannot start: operations ({address}): Address already in use\n")


async def test_a_registry_that_is_no_database_is_a_sentence_and_exit_code_1_and_nothing_stays_behind(rig: Rig) -> None:
    (rig.state / "registry.sqlite").write_bytes(b"this is no database, " * 100)
    code, text = await _start_and_fail(rig)
    assert code == 1
    assert text.startswith("The gateway cannot start: ")
    assert "database" in text
    running = subprocess.run(["pgrep", "-f", str(rig.state)], capture_output=True, check=False).stdout
    assert running == b""


async def test_a_certificate_that_only_openssl_refuses_is_a_sentence_and_exit_code_1(rig: Rig) -> None:
    useless = useless_server(rig.authority)
    (rig.work / "server-rsa.pem").write_bytes(useless.pem)
    rig.write_private("server-rsa.key", useless.key_pem)
    code, text = await _start_and_fail(rig)
    assert code == 1
    assert "unknown certificate type" in text


async def test_sigterm_during_the_start_ends_it_cleanly_and_sighup_does_no_harm(rig: Rig) -> None:
    async with rig.gateway(wait_ready=False) as gateway:
        await until(lambda: "control" in gateway.children(), "children have been started")
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGHUP)
        gateway.process.send_signal(signal.SIGTERM)
        children = gateway.children()
        assert await asyncio.to_thread(gateway.process.wait, 20) == 0
        assert all(map(_ends, children.values()))
        assert "Traceback" not in gateway.log()
    async with rig.gateway(wait_ready=False) as gateway:
        await until(lambda: "control" in gateway.children(), "children have been started")
        gateway.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
        await gateway.wait_ready()
        await gateway.event("config.reloaded")
