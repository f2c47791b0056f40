"""Certificates over OCPP with real processes: enrolment with approval, renewal by itself, and what goes wrong."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.ocpp.vocabulary import SecurityProfile
from tests.support.csms import FakeCSMS
from tests.support.enrolling import OPERATOR, EnrollingChargePoint, with_ca
from tests.support.fleet import until
from tests.support.rig import GatewayProcess, Rig

pytestmark = pytest.mark.integration
PASSWORD = "password-of-all-1"
ABOUT_CERTIFICATES = ("SignCertificate", "CertificateSigned", "BEGIN CERTIFICATE", "TriggerMessage", "GetVariables")


async def command(*words: str, config: Any = None) -> tuple[int, Any]:
    """Exit code and JSON of a command."""
    line = [sys.executable, "-m", "gateway", *words, "--json"] + (["--config", str(config)] if config else [])
    process = await asyncio.create_subprocess_exec(
        *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    assert b"Traceback" not in error, error
    assert process.returncode is not None
    return process.returncode, json.loads(out)


class Site(NamedTuple):
    rig: Rig
    csms: FakeCSMS
    gateway: GatewayProcess

    async def certificate(self, identity: str, *options: str) -> dict[str, Any]:
        code, found = await command("charge-point", "certificate", identity, *options, config=self.rig.config_path)
        assert code == 0, found
        return dict(found)

    def state(self, identity: str) -> str:
        """Of the newest enrolment, from the table itself."""
        with self.rig.registry() as registry:
            newest = registry.enrolments.newest(identity)
        return newest.state.value if newest is not None else ""

    async def comes_to(self, identity: str, *states: str) -> str:
        await until(lambda: self.state(identity) in states, f"{identity} in {states}, not {self.state(identity)}")
        return self.state(identity)

    async def approve(self, identity: str) -> None:
        await self.comes_to(identity, "held")
        found = await self.certificate(identity)
        code, answer = await command("pki", "approve", found["request"], "--ca", str(self.rig.work / "ca"))
        assert code == 0, answer

    def secrets_seen_by_csms(self, identity: str) -> list[str]:
        return [text for text in self.csms.texts[identity] if any(word in text for word in ABOUT_CERTIFICATES)]

    def history(self, identity: str) -> list[tuple[str, str]]:
        """(serial of the enrolment, state) of every step, oldest first."""
        with self.rig.registry() as registry:
            serials = {each.number: each.serial for each in registry.enrolments.latest(identity, 100)}
            steps = registry.enrolments.steps(identity, 1000)
        return [(serials[step.enrolment], step.state.value) for step in reversed(steps)]


def register(rig: Rig, identity: str, *, profile: int = 2, **fields: Any) -> None:
    fields.setdefault("serial_number", f"SN-{identity}")
    rig.add(identity, security_profile=profile, password=PASSWORD, operator_names=(OPERATOR,), **fields)


@contextlib.asynccontextmanager
async def running(tmp_path: Any, **pki: float) -> AsyncIterator[Site]:
    async with FakeCSMS() as csms:
        rig = Rig(tmp_path, csms_urls=[csms.url])
        with_ca(rig)
        rig.config["pki"].update(pki)
        rig.config["limits"] = {"reconnects_per_hour": 100_000, "connects_per_address_per_minute": 1_000_000}
        async with rig.gateway() as gateway:
            yield Site(rig, csms, gateway)


def to_profile_3(site: Site, charge_point: EnrollingChargePoint) -> None:
    charge_point.uses_certificate = True
    with site.rig.registry() as registry:
        registry.update(charge_point.identity, security_profile=SecurityProfile(3))


async def enrolled(site: Site, charge_point: EnrollingChargePoint) -> str:
    """With its first certificate, on profile 3. The certificate's serial number."""
    await site.approve(charge_point.identity)
    await site.comes_to(charge_point.identity, "station-accepted")
    to_profile_3(site, charge_point)
    await site.comes_to(charge_point.identity, "seen-in-handshake", "old-retired")
    return charge_point.serial


@pytest.mark.requirement("A02.FR.11", "A02.FR.14", "A03.FR.01", "A00.FR.427")
@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
async def test_first_certificate_with_approval_then_renewal_by_itself(tmp_path: Any, version: str) -> None:
    async with running(tmp_path, retire_old_after_s=0.5) as site:
        register(site.rig, "CP-1")
        charge_point = EnrollingChargePoint(site.rig, "CP-1", version=version, password=PASSWORD)
        charge_point.enrols_by_itself = True
        async with charge_point.running(site.gateway):
            first = await enrolled(site, charge_point)
            await site.certificate("CP-1", "--renew")
            await until(lambda: len(charge_point.connected_with) >= 2, "connected with the renewed certificate")
            await site.comes_to("CP-1", "old-retired")
            found = await site.certificate("CP-1")
        second = charge_point.serial
        assert charge_point.connected_with == [first, second]
        assert (found["serial"], found["instead_of"]) == (second, first)
        assert [answer for action, answer in charge_point.answers if action == "SignCertificate"] == [
            {"status": "Accepted"}
        ] * 2
        assert site.secrets_seen_by_csms("CP-1") == []
        issued = await command("pki", "list", "--ca", str(site.rig.work / "ca"))
        assert len(issued[1]) == 2


async def test_the_csms_can_neither_give_nor_take_what_is_not_its_own(tmp_path: Any) -> None:
    async with running(tmp_path) as site:
        register(site.rig, "CP-1")
        charge_point = EnrollingChargePoint(site.rig, "CP-1", password=PASSWORD)
        async with charge_point.running(site.gateway):
            connection = await site.csms.connected("CP-1")
            chain = {"certificateChain": "-----BEGIN CERTIFICATE-----", "certificateType": "ChargingStationCertificate"}
            await connection.send(json.dumps([2, "s1", "CertificateSigned", chain]))
            await site.csms.received("CP-1", '[3,"s1",{"status":"Rejected"}]')
            event = await site.gateway.event("certificate.not_yours")
        assert charge_point.delivered == []
        assert event["charge_point_id"] == "CP-1"


class TestDenied:
    """Accepted at first, as certification wants it (TC_A_14), looked into afterwards, and then not issued."""

    @pytest.mark.requirement("A02.FR.13")
    @pytest.mark.parametrize(
        ("subject", "reason"),
        [(("SN-OTHER", OPERATOR), "csr-other-common-name"), (("SN-CP-1", "Somebody"), "csr-other-organization")],
    )
    async def test_other_names_than_the_registry_has(self, tmp_path: Any, subject: Any, reason: str) -> None:
        async with running(tmp_path) as site:
            register(site.rig, "CP-1")
            charge_point = EnrollingChargePoint(site.rig, "CP-1", password=PASSWORD)
            charge_point.subject, charge_point.enrols_by_itself = subject, True
            async with charge_point.running(site.gateway):
                await site.comes_to("CP-1", "denied")
                found = await site.certificate("CP-1")
            assert found["detail"].startswith(reason)
            assert charge_point.delivered == []
            assert (await site.gateway.event("certificate.denied"))["severity"] == "high"

    @pytest.mark.requirement("A00.FR.427")
    async def test_the_key_of_somebody_else(self, tmp_path: Any) -> None:
        async with running(tmp_path) as site:
            shared = ec.generate_private_key(ec.SECP256R1())
            for identity in ("CP-1", "CP-2"):
                register(site.rig, identity)
                charge_point = EnrollingChargePoint(site.rig, identity, password=PASSWORD)
                charge_point.next_key, charge_point.enrols_by_itself = shared, True
                async with charge_point.running(site.gateway):
                    if identity == "CP-1":
                        await enrolled(site, charge_point)
                    else:
                        await site.comes_to("CP-2", "denied")
                        assert charge_point.delivered == []
            found = await site.certificate("CP-2")
            assert found["detail"].startswith("key-of-another-identity")


async def test_a_certificate_whose_acceptance_was_lost_is_in_use_when_it_is_seen(tmp_path: Any) -> None:
    async with running(tmp_path) as site:
        register(site.rig, "CP-1")
        charge_point = EnrollingChargePoint(site.rig, "CP-1", password=PASSWORD)
        charge_point.enrols_by_itself = True
        async with charge_point.running(site.gateway):
            first = await enrolled(site, charge_point)
            charge_point.answers_delivery = False
            await site.certificate("CP-1", "--renew")
            await until(lambda: charge_point.serial != first, "the renewed certificate is there")
            await site.comes_to("CP-1", "seen-in-handshake")
        assert charge_point.delivered.count(charge_point.serial) == 1
        assert ("", "station-accepted") not in site.history("CP-1")
        assert (charge_point.serial, "station-accepted") not in site.history("CP-1")


@pytest.mark.requirement("A02.FR.01")
async def test_an_approval_after_the_key_is_gone_lets_the_charge_point_ask_again(tmp_path: Any) -> None:
    patience_s = 5.0
    async with running(tmp_path, key_patience_s=patience_s) as site:
        register(site.rig, "CP-1")
        charge_point = EnrollingChargePoint(site.rig, "CP-1", password=PASSWORD)
        charge_point.enrols_by_itself = True
        async with charge_point.running(site.gateway):
            await site.comes_to("CP-1", "held")
            with site.rig.registry() as registry:
                held = registry.enrolments.newest("CP-1")
            assert held is not None
            before = site.gateway.children()["control"]
            os.kill(before, signal.SIGKILL)  # what waits for an operator waits on the disk
            await until(lambda: site.gateway.children().get("control", before) != before, "another control")
            await until(lambda: time.time() > held.csr_at + patience_s, "the key is gone")
            # Its request once more crosses the certificate on its way: what it has accepted then does not come again.
            charge_point.asks_again_first = True
            await site.approve("CP-1")
            await site.comes_to("CP-1", "station-accepted")
        with site.rig.registry() as registry:
            newest = registry.enrolments.newest("CP-1")
        assert newest is not None
        assert newest.csr_sha256 != held.csr_sha256
        assert charge_point.delivered == [newest.serial]
