"""Processes are killed under load, at random, again and again; then the records of all peers are compared.

The peers know nothing of the gateway's inside: a charge point writes its identity and a number that is used once into
every message, the CSMS files what arrives under the identity of the connection's URL.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import Counter, defaultdict
from itertools import count

import pytest

from gateway.ocpp.vocabulary import SecurityProfile
from gateway.store.errors import BelowFloor
from tests.support.csms import FakeCSMS, answer_everything
from tests.support.fleet import ChargePoint, exchange, until
from tests.support.peer import PING, PONG, TEXT, Peer, basic, frame
from tests.support.rig import GatewayProcess, Rig

pytestmark = pytest.mark.integration
KILLS = int(os.environ.get("OCPP_CRASH_KILLS", "7"))
SEED = int(os.environ.get("OCPP_CRASH_SEED", "20260101"))
"""For longer runs by hand."""
LOST = (OSError, asyncio.IncompleteReadError, TimeoutError)
UNLIMITED = 1_000_000


def _echo(text: str) -> str | None:
    """The CSMS gives back who the message claims to be from, under the message's own id."""
    kind, message_id, *rest = json.loads(text)
    return json.dumps([3, message_id, {"status": "Accepted", "data": rest[1]["vendorId"]}]) if kind == 2 else None


class _Records:
    """What the simulated peers saw and did."""

    def __init__(self) -> None:
        self.sent: dict[str, set[str]] = defaultdict(set)
        self.sessions: Counter[str] = Counter()
        self.answers = 0
        self.crossed: list[str] = []
        self.impostors: Counter[int] = Counter()
        self.floors: dict[str, list[int]] = defaultdict(list)


class _Load:
    """Charge points that connect, exchange messages and disconnect, and impostors that try to, until cancelled."""

    def __init__(self, gateway: GatewayProcess, csms: FakeCSMS, seed: int) -> None:
        self.gateway, self.csms, self.records = gateway, csms, _Records()
        self._random = random.Random(seed)
        self._numbers = count(1)

    async def charge_point(self, one: ChargePoint) -> None:
        while True:
            with contextlib.suppress(*LOST, AssertionError):
                async with await one.enter(self.gateway) as peer:
                    self.records.sessions[one.identity] += 1
                    for _ in range(self._random.randint(1, 12)):
                        await self._one_exchange(peer, one.identity)
                    if self._random.random() < 0.5:
                        peer.send(frame(8, b"\x03\xe8"))
                        await peer.ended()
            await asyncio.sleep(self._random.uniform(0.05, 0.3))

    async def _one_exchange(self, peer: Peer, identity: str) -> None:
        number = f"{identity}.{next(self._numbers)}"
        text = json.dumps([2, number, "DataTransfer", {"vendorId": identity, "data": number}])
        self.records.sent[identity].add(text)
        peer.send_text(text)
        while True:
            received = await peer.frame()
            if received.opcode == PING:
                peer.send(frame(PONG, received.payload))
            elif received.opcode == TEXT:
                message = json.loads(received.payload)
                if message[0] == 2:
                    self._called(peer, identity, message)
                else:
                    self._answered(identity, number, message)
                    return
            else:
                raise ConnectionResetError

    def _called(self, peer: Peer, identity: str, message: list[object]) -> None:
        if message[3] != {"key": [identity]}:
            self.records.crossed.append(f"{identity} was called as {message}")
        text = json.dumps([3, message[1], {"unknownKey": [identity]}])
        self.records.sent[identity].add(text)
        peer.send_text(text)

    def _answered(self, identity: str, number: str, message: list[object]) -> None:
        self.records.answers += 1
        if message[1:] != [number, {"status": "Accepted", "data": identity}]:
            self.records.crossed.append(f"{identity} asked {number} and was answered {message}")

    async def csms_calls(self) -> None:
        """The CSMS calls whoever is connected, by the name in the URL of the connection."""
        while True:
            for identity, connection in list(self.csms.connections.items()):
                call = json.dumps([2, f"cs.{next(self._numbers)}", "GetConfiguration", {"key": [identity]}])
                with contextlib.suppress(Exception):  # it may be closing
                    await connection.send(call)
            await asyncio.sleep(0.25)

    async def impostor(self, target: ChargePoint) -> None:
        """Wrong password, no password, another charge point's password, the wrong certificate."""
        wrong = [basic(target.identity, "not the password at all"), basic("CP-1", "password of CP-1"), None]
        tls = None
        if target.security_profile == 3:
            tls = target.rig.client_tls(target.rig.authority.charge_point("SN-of-nobody"))
        elif target.security_profile == 2:
            tls = target.rig.client_tls()
        while True:
            with contextlib.suppress(*LOST):
                async with await Peer.connect(self.gateway.address(target.listener), tls=tls) as peer:
                    answer = await peer.ask(f"/ocpp/{target.identity}", authorization=self._random.choice(wrong))
                    self.records.impostors[answer.status] += 1
            await asyncio.sleep(self._random.uniform(0.1, 0.4))

    async def watch_floors(self, rig: Rig) -> None:
        while True:
            for identity, floor in (await asyncio.to_thread(_floors, rig)).items():
                self.records.floors[identity].append(floor)
            await asyncio.sleep(0.3)


def _floors(rig: Rig) -> dict[str, int]:
    with rig.registry() as registry:
        return {str(identity): int(record.floor or 0) for identity, record in registry.load_all().items()}


async def _kill_at_random(gateway: GatewayProcess, seed: int) -> list[str]:
    """SIGKILL for children one after the other, also while the last one is not back yet, and reloads in between."""
    choose, killed = random.Random(seed), []
    for _ in range(KILLS):
        await asyncio.sleep(choose.uniform(0.4, 1.8))
        await until(lambda: "control" in gateway.children(), "control is there")
        children = gateway.children()
        if choose.random() < 0.4:
            os.kill(gateway.pid, signal.SIGHUP)
        name = choose.choice(sorted(children))
        with contextlib.suppress(ProcessLookupError):
            os.kill(children[name], signal.SIGKILL)
            killed.append(name)
    return killed


def _unlimited(rig: Rig) -> None:
    rig.config["gateway"]["edge_workers"] = 2
    rig.config["limits"] = {
        "reconnects_per_hour": UNLIMITED,
        "failed_attempts_per_address_per_minute": UNLIMITED,
        "failed_attempts_per_identity_per_minute": UNLIMITED,
        "connects_per_address_per_minute": UNLIMITED,
        "handshakes_per_address": 1000,
        "duplicate_probe_timeout_s": 0.5,
        "drain_timeout_s": 2.0,
    }
    rig.config["websocket"] = {"close_timeout_s": 1.0}


def _verify(load: _Load, fleet: list[ChargePoint], csms: FakeCSMS) -> None:
    records = load.records
    for identity, texts in csms.texts.items():
        strangers = [text for text in texts if text not in records.sent[identity]]
        assert not strangers, f"the CSMS heard as {identity}: {strangers[:3]}"
        twice = [text for text, times in Counter(texts).items() if times > 1]
        assert not twice, f"the CSMS heard twice: {twice[:3]}"
    assert not records.crossed
    assert not records.impostors[101]
    assert records.impostors[401]
    reached = {request.path.rpartition("/")[2] for request in csms.requests}
    assert reached == {one.identity for one in fleet}
    assert all(records.sessions[one.identity] for one in fleet)
    assert records.answers > len(fleet) * KILLS
    for identity, floors in records.floors.items():
        assert floors == sorted(floors), f"the floor of {identity} went down: {floors}"


@pytest.mark.requirement("A05.FR.07", "A05.FR.09", "A00.FR.207", "A00.FR.324", "A00.FR.405")
async def test_kill_9_under_load_lets_nobody_in_unproven_crosses_nothing_and_lowers_no_floor(
    rig: Rig, csms: FakeCSMS
) -> None:
    _unlimited(rig)
    csms.answer = _echo
    fleet = [ChargePoint(rig, f"CP-{number}", 1 + number % 3) for number in range(20)]
    targets = [ChargePoint(rig, f"CP-TARGET-{profile}", profile) for profile in (1, 2, 3)]
    climber = fleet[0]
    async with rig.gateway() as gateway:
        load = _Load(gateway, csms, SEED)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(load.charge_point(one)) for one in fleet]
            tasks += [group.create_task(load.impostor(target)) for target in (*targets, fleet[4])]
            tasks += [group.create_task(load.csms_calls()), group.create_task(load.watch_floors(rig))]
            await until(lambda: all(load.records.sessions[one.identity] for one in fleet), "everybody was in once")
            killing = group.create_task(_kill_at_random(gateway, SEED))
            await _climb(rig, climber, 2)
            killed = await killing
            sessions = load.records.sessions.copy()
            await until(lambda: not sessions.keys() - (load.records.sessions - sessions).keys(), "everybody is back in")
            for task in tasks:
                task.cancel()
        _verify(load, fleet, csms)
        assert len(killed) == KILLS
    await _floor_holds_after_a_restart(rig, csms, climber)


async def _climb(rig: Rig, climber: ChargePoint, profile: int) -> None:
    """The operator asks for a higher profile in the middle of it all, and the charge point follows."""

    def change() -> None:
        with rig.registry() as registry:
            registry.update(climber.identity, security_profile=SecurityProfile(profile))

    await asyncio.to_thread(change)
    climber.use(profile)
    await until(lambda: _floors(rig)[climber.identity] == profile, "the new profile is proven")


async def _floor_holds_after_a_restart(rig: Rig, csms: FakeCSMS, climber: ChargePoint) -> None:
    """Neither the charge point nor a slip of the operator goes back below what was proven."""
    csms.answer = answer_everything
    with rig.registry() as registry, pytest.raises(BelowFloor):
        registry.update(climber.identity, security_profile=SecurityProfile.BASIC)
    async with rig.gateway() as gateway:
        climber.use(1)
        assert (await climber.ask(gateway)).status == 403
        climber.use(2)
        async with await climber.enter(gateway) as peer:
            await exchange(peer, csms, climber.identity)
