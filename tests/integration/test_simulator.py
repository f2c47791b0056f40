"""Simulated charge points through the running gateway, on every profile and version; and a few hundred of them."""

import asyncio
import contextlib
import json
from typing import Any

import pytest

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.simulator.core.model import Model
from gateway.simulator.core.quirks import read_quirks
from gateway.simulator.shell.fleet import Fleet
from tests.support.csms import FakeCSMS
from tests.support.rig import GatewayProcess, Rig
from tests.support.simulated import Simulated, csms_answer, identity_of, memory_of, simulated
from tests.support.tls_material import Authority

pytestmark = pytest.mark.integration
PASSWORD = "password-of-cp-1"
MANY = 200
VERSIONS = tuple(map(str, OCPPVersion))


@pytest.fixture(autouse=True)
def _right_time(csms: FakeCSMS) -> None:
    csms.answer = csms_answer


def url(gateway: GatewayProcess, security_profile: int) -> str:
    port = (gateway.tls if security_profile > 1 else gateway.plain)[1]
    return f"wss://localhost:{port}/ocpp" if security_profile > 1 else f"ws://127.0.0.1:{port}/ocpp"


def credentials(rig: Rig, security_profile: int, serial_number: str = "SN-1") -> dict[str, Any]:
    roots = (rig.authority.pem.decode(),)
    if security_profile == 3:
        return {"roots": roots, "certificate": identity_of(rig.authority.charge_point(serial_number))}
    return {"password": PASSWORD, "roots": roots if security_profile == 2 else ()}


async def test_every_profile_and_version_registers_and_answers(rig: Rig, csms: FakeCSMS) -> None:
    cast = [(f"CP-{version}-{profile}", version, profile) for version in VERSIONS for profile in (1, 2, 3)]
    for identity, _, profile in cast:
        rig.add(identity, security_profile=profile, password=PASSWORD if profile < 3 else "", serial_number=identity)
    async with rig.gateway() as gateway, contextlib.AsyncExitStack() as stack:
        for identity, version, profile in cast:
            made = credentials(rig, profile, identity)
            memory = memory_of(identity, url(gateway, profile), profile, version, **made)
            model = Model(charge_every_s=0.05, charge_for_s=0.05)
            cp = await stack.enter_async_context(simulated(memory, model=model))
            await answers_and_charges(csms, identity, cp)
            assert gateway.sessions()[identity]["security_profile"] == profile


async def answers_and_charges(csms: FakeCSMS, identity: str, cp: Simulated) -> None:
    await cp.registered()
    await csms.connections[identity].send('[2,"q","TriggerMessage",{"requestedMessage":"Heartbeat"}]')
    await csms.received(identity, '[3,"q",{"status":"Accepted"}]')
    await csms.until(lambda: any('"Heartbeat"' in text for text in csms.texts[identity]))
    await cp.until(lambda: cp.said("charged"))


async def test_certificate_that_the_gateway_does_not_trust_gives_way_to_the_old_one(rig: Rig) -> None:
    rig.add("CP-1", security_profile=3, serial_number="SN-1")
    async with rig.gateway() as gateway:
        memory = memory_of("CP-1", url(gateway, 3), 3, "2.0.1", serial_number="SN-1", **credentials(rig, 3))
        memory.certificates.insert(0, identity_of(Authority("Other Root").charge_point("SN-1")))
        async with simulated(memory) as cp:
            await cp.registered()
            assert cp.said("connection failed")[0]["failure"] == "tls"
            assert cp.said("security event")[-1] == {"type": "DiscardedRenewedClientCertificate"}
            assert len(cp.memory.certificates) == 1


async def test_wrong_password_is_refused_and_the_reason_is_there(rig: Rig) -> None:
    rig.add("CP-1", security_profile=2, password=PASSWORD)
    async with rig.gateway() as gateway:
        made = credentials(rig, 2) | {"password": "another-password-1"}
        async with simulated(memory_of("CP-1", url(gateway, 2), 2, **made)) as cp:
            await cp.until(lambda: {"failure": "refused", "detail": "HTTP 401"} in cp.said("connection failed"))


async def test_hundreds_in_one_process(rig: Rig, csms: FakeCSMS) -> None:
    identities = [f"CP-{number:03}" for number in range(MANY)]
    for identity in identities:
        rig.add(identity, security_profile=2, password=PASSWORD)
    async with rig.gateway() as gateway:
        fleet = Fleet(Model(), read_quirks([]), lambda *_: None)
        for identity in identities:
            fleet.add(memory_of(identity, url(gateway, 2), 2, **credentials(rig, 2)))
        running = asyncio.get_running_loop().create_task(fleet.run(ramp_up_s=5.0))
        try:
            async with asyncio.timeout(120):
                while not all(player.charge_point.is_registered for player in fleet.players.values()):
                    await asyncio.sleep(0.05)
            assert fleet.registered == set(identities)
            assert len(gateway.sessions()) == MANY
            asked = json.dumps([2, "q", "TriggerMessage", {"requestedMessage": "Heartbeat"}])
            for identity in identities:
                await csms.connections[identity].send(asked)
            for identity in identities:
                await csms.received(identity, '[3,"q",{"status":"Accepted"}]')
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
