"""Two gateways on one PostgreSQL database behind one address, and the one that leads dies in the middle of a campaign."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.ocpp_schemas import schema_gate
from gateway.control.credentials import PasswordVerifier
from gateway.identity.basic_auth import canonical_secret
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.password_states import PasswordState
from gateway.simulator.core.charge_point import ChargePoint
from gateway.simulator.core.model import Model, new_memory
from gateway.simulator.core.quirks import read_quirks
from gateway.simulator.shell.player import Player
from gateway.store.password_changes import PasswordChangeTable
from tests.support.campaign_fleet import until
from tests.support.csms import FakeCSMS
from tests.support.postgresql import PostgreSQL, why_not
from tests.support.rig import GatewayProcess, Rig
from tests.support.simulated import csms_answer

pytestmark = pytest.mark.integration
PASSWORD = "password-of-all-1"
FLEET = tuple(f"CP-{n}" for n in range(8))
QUICK = {
    "RetryBackOffWaitMinimum": "1",
    "RetryBackOffRandomRange": "1",
    "RetryBackOffRepeatTimes": "1",
    "NetworkProfileConnectionAttempts": "2",
}


class Balancer:
    """One address for all nodes: each connection goes to the next one that takes it."""

    def __init__(self) -> None:
        self.targets: list[tuple[str, int]] = []
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.targets.append(self.targets.pop(0))
        for target in list(self.targets):
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection(*target)
                await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
                return
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Balancer"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in list(self._writers):
                writer.close()


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    missing = why_not()
    if missing:
        pytest.skip(missing)
    with PostgreSQL.running() as server:
        yield server


def players(port: int, root: str) -> dict[str, Player]:
    made = {}
    for identity in FLEET:
        url = f"wss://localhost:{port}/ocpp"
        memory = new_memory(
            identity, OCPPVersion.V2_0_1, url, 2, serial_number=f"SN-{identity}", roots=(root,), password=PASSWORD
        )
        memory.settings |= QUICK
        model = Model(vendor="Simulated", model="A", firmware="1.0.0", reboot_s=0.2, secure_url=url)
        charge_point = ChargePoint(memory, model, read_quirks(()), schema_gate(memory.version))
        made[identity] = Player(charge_point, journal=lambda _: None, store=lambda _: None)
    return made


async def command(rig: Rig, *words: str) -> Any:
    line = [sys.executable, "-m", "gateway", "campaign", *words, "--json", "--config", str(rig.config_path)]
    process = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return json.loads(out)


def kill(gateway: GatewayProcess) -> None:
    """The whole machine is gone, without a word."""
    assert gateway.process is not None
    for pid in (gateway.pid, *gateway.children().values()):
        os.kill(pid, signal.SIGKILL)
    gateway.process.wait()


def states(rig: Rig) -> dict[str, int]:
    with rig.registry() as registry:
        campaign, _ = registry.campaigns.get("test")
        found: dict[str, int] = {}
        for each in registry.campaigns.members(campaign.number):
            found[each.state.value] = found.get(each.state.value, 0) + 1
        return found


async def test_the_node_that_leads_dies_in_the_middle_and_nobody_is_stranded(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    url = postgresql.new_url()
    async with (
        FakeCSMS(answer=csms_answer) as csms,
        Balancer().running() as balancer,
        contextlib.AsyncExitStack() as nodes,
    ):
        rigs = [Rig(tmp_path / name, csms_urls=[csms.url], edge_workers=1) for name in ("a", "b")]
        gateways = []
        for rig in rigs:
            rig.config["gateway"]["database_url"] = url
            rig.config["limits"] = {"reconnects_per_hour": 100_000, "connects_per_address_per_minute": 1_000_000}
            gateways.append(await nodes.enter_async_context(rig.gateway()))
        for identity in FLEET:
            rigs[0].add(identity, password=PASSWORD, serial_number=f"SN-{identity}", group="fleet")
        balancer.targets = [gateway.address("tls") for gateway in gateways]
        fleet = players(balancer.port, rigs[0].authority.pem.decode())
        tasks = [asyncio.get_running_loop().create_task(player.run()) for player in fleet.values()]

        def everybody() -> bool:
            return all(player.charge_point.is_registered for player in fleet.values())

        await until(everybody, "all are registered")
        await until(lambda: all(each.sessions() for each in gateways), "both nodes have some of them")
        leads = [gateway.status()["cluster"]["leads"] for gateway in gateways]
        assert sorted(leads) == [False, True]
        leader, other = (0, 1) if leads[0] else (1, 0)
        await until(lambda: known_kinds(rigs[0]), "the registry knows of which kind they are")
        words = (
            "--kind",
            "password",
            "--all",
            "--by",
            "anna",
            "--soak",
            "1s",
            "--proof-within",
            "60s",
            "--growth",
            "7",
        )
        await command(rigs[other], "plan", "test", *words)
        await command(rigs[other], "approve", "test", "--by", "ben")
        await command(rigs[other], "start", "test")
        await until(lambda: states(rigs[other]).get("eligible", 0) < len(FLEET) - 1, "the second wave has begun", 120.0)
        kill(gateways[leader])
        balancer.targets = [gateways[other].address("tls")]
        await until(lambda: states(rigs[other]) == {"committed": len(FLEET)}, "all are committed", 180.0)
        await until(everybody, "all are registered")
        assert gateways[other].status()["cluster"]["leads"]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await one_usable_password(rigs[other], fleet)


def known_kinds(rig: Rig) -> bool:
    with rig.registry() as registry:
        return all(record.model for record in registry.find())


async def one_usable_password(rig: Rig, fleet: dict[str, Player]) -> None:
    """Each has exactly the password that is accepted, and was given no more than one that it has taken."""
    verifier = PasswordVerifier()
    with rig.registry() as registry:
        for identity, player in fleet.items():
            record = registry.get(identity)
            assert record is not None and record.password is not None
            mine = player.charge_point.memory.password
            assert mine != PASSWORD
            assert await verifier.matches(record.password.phc, canonical_secret(mine))
            changes = PasswordChangeTable(registry.database).latest(identity, 9)
            assert [each.state for each in changes] in ([PasswordState.ACCEPTED], [PasswordState.IN_USE])
    verifier.close()
