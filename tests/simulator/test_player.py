"""The shell over real sockets, against a CSMS that knows nothing of it."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator.core.events import ChargingStarted, PowerCut
from gateway.simulator.core.memory import Memory
from gateway.simulator.core.model import Model
from tests.simulator.scenario import KEY, VERSIONS, sign
from tests.support.csms import FakeCSMS
from tests.support.simulated import csms_answer, identity_of, memory_of, simulated
from tests.support.tls_material import Authority

PASSWORD = "password-of-cp-1"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def csms() -> AsyncIterator[FakeCSMS]:
    async with FakeCSMS(answer=csms_answer) as running:
        yield running


def plain(csms: FakeCSMS, version: str = "1.6") -> Memory:
    return memory_of("CP-1", csms.url, 1, version, password=PASSWORD)


async def ask(csms: FakeCSMS, action: str, payload: dict[str, Any]) -> None:
    connection = await csms.connected("CP-1")
    await connection.send(json.dumps([2, f"ask-{action}", action, payload]))


def got(csms: FakeCSMS, action: str) -> list[dict[str, Any]]:
    frames = [json.loads(text) for text in csms.texts["CP-1"]]
    return [frame[3] for frame in frames if frame[0] == 2 and frame[2] == action]


def answer(csms: FakeCSMS, action: str) -> Any:
    frames = [json.loads(text) for text in csms.texts["CP-1"]]
    return next((frame[2] for frame in frames if frame[:2] == [3, f"ask-{action}"]), None)


@pytest.mark.parametrize("version", VERSIONS)
async def test_boots_and_charges(csms: FakeCSMS, version: str) -> None:
    async with simulated(plain(csms, version)) as cp:
        await cp.registered()
        assert csms.requests[0].headers["Sec-WebSocket-Protocol"] == f"ocpp{version}"
        assert csms.header("Authorization") == ["Basic " + base64.b64encode(f"CP-1:{PASSWORD}".encode()).decode()]
        cp.player.happens(ChargingStarted(now=0.0))
        action = "StartTransaction" if version == "1.6" else "TransactionEvent"
        await csms.until(lambda: got(csms, action))


async def test_new_password_is_shown_at_the_next_connection(csms: FakeCSMS) -> None:
    async with simulated(plain(csms)) as cp:
        await cp.registered()
        await ask(csms, "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY})
        await csms.until(lambda: len(csms.requests) == 2)
        assert base64.b64decode(csms.header("Authorization")[0][6:]) == b"CP-1:" + bytes.fromhex(KEY)
        await csms.until(lambda: answer(csms, "ChangeConfiguration") == {"status": "Accepted"})
        assert cp.memory.password == KEY


async def test_power_cut_and_a_new_life(csms: FakeCSMS) -> None:
    async with simulated(plain(csms)) as cp:
        await cp.registered()
        cp.player.happens(PowerCut(now=0.0))
        await cp.registered(times=2)
        assert len(got(csms, "BootNotification")) == 2
    async with simulated(cp.memory) as again:
        await again.registered()
        assert again.memory.boots == 3


async def test_reset(csms: FakeCSMS) -> None:
    async with simulated(plain(csms, "2.0.1")) as cp:
        await cp.registered()
        await ask(csms, "Reset", {"type": "Immediate"})
        await cp.registered(times=2)
        assert got(csms, "BootNotification")[1]["reason"] == "RemoteReset"
        await csms.until(lambda: answer(csms, "Reset") == {"status": "Accepted"})


async def test_refused_then_accepted(csms: FakeCSMS) -> None:
    csms.refuse = HTTPStatus.UNAUTHORIZED
    async with simulated(plain(csms)) as cp:
        await cp.until(lambda: len(cp.said("connection failed")) >= 2)
        assert cp.said("connection failed")[0] == {"failure": "refused", "detail": "HTTP 401"}
        csms.refuse = HTTPStatus.SERVICE_UNAVAILABLE
        await cp.until(lambda: {"failure": "unreachable", "detail": "HTTP 503"} in cp.said("connection failed"))
        csms.refuse = None
        await cp.registered()


async def test_nobody_there_then_there(csms: FakeCSMS) -> None:
    memory = plain(csms)
    await csms.stop()
    async with simulated(memory) as cp:
        await cp.until(lambda: cp.said("connection failed"))
        async with FakeCSMS(answer=csms_answer, port=csms.port):
            await cp.registered()


async def test_answer_lost_with_the_connection(csms: FakeCSMS) -> None:
    async with simulated(plain(csms), "drops-before-answer=ChangeConfiguration") as cp:
        await cp.registered()
        await ask(csms, "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY})
        await csms.until(lambda: len(csms.requests) == 2)
        assert answer(csms, "ChangeConfiguration") is None
        assert csms.closes["CP-1"] == [1006]


async def test_answer_sent_and_then_gone(csms: FakeCSMS) -> None:
    async with simulated(plain(csms), "drops-after-answer=ClearCache") as cp:
        await cp.registered()
        await ask(csms, "ClearCache", {})
        await csms.until(lambda: len(csms.requests) == 2)
        assert csms.closes["CP-1"] == [1006]


async def test_oddities_of_the_upgrade(csms: FakeCSMS) -> None:
    async with simulated(plain(csms), "empty-subprotocol", "trailing-slash", "no-pong") as cp:
        await cp.until(lambda: csms.requests)
        assert csms.requests[0].path == "/up/CP-1/"
        assert csms.header("Sec-WebSocket-Protocol", 0) == [",ocpp1.6"]
        await csms.until(lambda: "" in csms.connections)
        pong = asyncio.ensure_future(await csms.connections[""].ping())
        await ask_unnamed(csms)
        assert not pong.done()
        pong.cancel()


async def ask_unnamed(csms: FakeCSMS) -> None:
    """A whole exchange behind the ping."""
    await csms.connections[""].send('[2,"behind","ClearCache",{}]')
    await csms.until(lambda: any('"behind"' in text for text in csms.texts[""]))


async def test_pong_comes_without_the_quirk(csms: FakeCSMS) -> None:
    async with simulated(plain(csms)) as cp:
        await cp.registered()
        await asyncio.wait_for(await csms.connections["CP-1"].ping(), 10)


@pytest.fixture
async def secure(authority: Authority, tmp_path: Path) -> AsyncIterator[FakeCSMS]:
    """Wants a client certificate."""
    server = authority.server()
    (tmp_path / "server.pem").write_bytes(server.pem + server.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.load_verify_locations(cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    async with FakeCSMS(answer=csms_answer, tls=context) as running:
        yield running


def presented(csms: FakeCSMS) -> int:
    """Serial number of the client certificate of the connection that is there."""
    tls = csms.connections["CP-1"].transport.get_extra_info("ssl_object")
    return int(tls.getpeercert()["serialNumber"], 16)


async def test_certificate_over_ocpp_is_used_for_the_next_connection(secure: FakeCSMS, authority: Authority) -> None:
    first = authority.charge_point("SN-1")
    memory = memory_of(
        "CP-1",
        secure.url,
        3,
        serial_number="SN-1",
        certificate=identity_of(first),
        roots=(authority.pem.decode(),),
        organization="Example CPO",
    )
    async with simulated(memory, model=Model(renew_before_s=0)) as cp:
        await cp.registered()
        assert presented(secure) == first.certificate.serial_number
        await ask(secure, "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
        await secure.until(lambda: got(secure, "SignCertificate"))
        chain = sign(got(secure, "SignCertificate")[0]["csr"], by=authority)
        await ask(secure, "CertificateSigned", {"certificateChain": chain})
        await cp.until(lambda: len(secure.requests) == 2)
        await cp.until(lambda: cp.player.charge_point.is_registered)
        assert presented(secure) != first.certificate.serial_number


async def test_certificate_that_the_server_does_not_take(secure: FakeCSMS, authority: Authority) -> None:
    other = Authority("Other Root").charge_point("SN-1")
    memory = memory_of("CP-1", secure.url, 3, certificate=identity_of(other), roots=(authority.pem.decode(),))
    async with simulated(memory) as cp:
        await cp.until(lambda: cp.said("connection failed"))
        assert cp.said("connection failed")[0]["failure"] == "tls"


async def test_server_that_it_does_not_trust(secure: FakeCSMS, authority: Authority) -> None:
    own = identity_of(authority.charge_point("SN-1"))
    memory = memory_of("CP-1", secure.url, 3, certificate=own, roots=(Authority("Other Root").pem.decode(),))
    async with simulated(memory) as cp:
        await cp.until(lambda: cp.said("connection failed"))
        assert cp.said("connection failed")[0]["failure"] == "tls"
    memory = memory_of("CP-1", secure.url, 3, certificate=own)
    async with simulated(memory) as cp:
        await cp.until(lambda: cp.said("connection failed"))
        assert cp.said("connection failed")[0] == {"failure": "tls", "detail": "no root to trust"}
    assert secure.requests == []


async def test_own_clock_is_held_against_the_server(secure: FakeCSMS, authority: Authority) -> None:
    own = identity_of(authority.charge_point("SN-1"))
    memory = memory_of("CP-1", secure.url, 3, certificate=own, roots=(authority.pem.decode(),))
    async with simulated(memory, "clock-1970") as cp:
        await cp.until(lambda: len(cp.said("connection failed")) >= 2)
        assert "by its own clock" in cp.said("connection failed")[0]["detail"]
        assert got(secure, "BootNotification") == []


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_from_profile_1_to_3_over_ocpp_alone(
    csms: FakeCSMS, secure: FakeCSMS, authority: Authority, version: str
) -> None:
    memory = memory_of(
        "CP-1", csms.url, 1, version, serial_number="SN-1", password=PASSWORD, organization="Example CPO"
    )
    async with simulated(memory, model=Model(secure_url=secure.url, reboot_s=0.05, renew_before_s=0)) as cp:
        await cp.registered()
        await prepare_for_profile_3(csms, authority, version)
        assert cp.memory.security_profile == 1
        if version == "1.6":
            await ask(csms, "ChangeConfiguration", {"key": "SecurityProfile", "value": "3"})
            await ask(csms, "Reset", {"type": "Hard"})
        else:
            await stage_profile_3(csms, secure.url)
            await ask(csms, "Reset", {"type": "Immediate"})
        await cp.registered(times=2)
        assert (cp.memory.security_profile, list(cp.memory.slots)) == (3, [2])
        assert len(secure.requests) == 1
        assert presented(secure) > 0
        assert "Authorization" not in secure.requests[0].headers


async def prepare_for_profile_3(csms: FakeCSMS, authority: Authority, version: str) -> None:
    """A root, and a certificate of its own."""
    is_1_6 = version == "1.6"
    kind = "CentralSystemRootCertificate" if is_1_6 else "CSMSRootCertificate"
    await ask(csms, "InstallCertificate", {"certificateType": kind, "certificate": authority.pem.decode()})
    action = "ExtendedTriggerMessage" if is_1_6 else "TriggerMessage"
    wanted = "SignChargePointCertificate" if is_1_6 else "SignChargingStationCertificate"
    await ask(csms, action, {"requestedMessage": wanted})
    await csms.until(lambda: got(csms, "SignCertificate"))
    chain = sign(got(csms, "SignCertificate")[0]["csr"], by=authority)
    await ask(csms, "CertificateSigned", {"certificateChain": chain})
    await csms.until(lambda: answer(csms, "CertificateSigned") == {"status": "Accepted"})


async def stage_profile_3(csms: FakeCSMS, url: str) -> None:
    data = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": 3,
        "ocppInterface": "Wired0",
    }
    await ask(csms, "SetNetworkProfile", {"configurationSlot": 2, "connectionData": data})
    variable = {
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": "NetworkConfigurationPriority"},
        "attributeValue": "2,1",
    }
    await ask(csms, "SetVariables", {"setVariableData": [variable]})


async def test_profile_that_cannot_be_reached_is_given_up(csms: FakeCSMS, authority: Authority) -> None:
    memory = memory_of("CP-1", csms.url, 1, password=PASSWORD, roots=(authority.pem.decode(),))
    async with simulated(memory, model=Model(secure_url="wss://127.0.0.1:9/up", reboot_s=0.05)) as cp:
        await cp.registered()
        await ask(csms, "ChangeConfiguration", {"key": "SecurityProfile", "value": "2"})
        await ask(csms, "Reset", {"type": "Hard"})
        await cp.registered(times=2)
        assert cp.said("fell back") == [{"security_profile": 1}]
        assert (cp.memory.security_profile, list(cp.memory.slots)) == (1, [1])
