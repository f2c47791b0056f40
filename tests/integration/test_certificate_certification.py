"""What the certification of a CSMS asks about certificates, with simulated charge points that behave as the tool does.

1.6: TC_074, TC_077, TC_078. 2.0.1: TC_A_11, TC_A_12, TC_A_14, of ISO 15118 TC_M_03, 04, 14 to 16. Upgrades (TC_083, TC_A_19) are in test_upgrade.py.
"""

import asyncio
import json
from typing import Any

import pytest

from tests.support.fleet import until
from tests.support.simulated import Simulated
from tests.support.upgrading import UpgradeSite, command, upgrade_site

pytestmark = pytest.mark.integration


async def charge_point(site: UpgradeSite, *words: str) -> dict[str, Any]:
    code, found = await command("charge-point", *words, config=site.rig.config_path)
    assert code == 0, found
    return dict(found)


def enrolment_state(site: UpgradeSite, identity: str) -> str:
    with site.rig.registry() as registry:
        newest = registry.enrolments.newest(identity)
    return newest.state.value if newest is not None else ""


async def confirmed(site: UpgradeSite, cp: Simulated, event: str) -> None:
    """The CSMS has got the event, and the charge point its confirmation: it keeps it until then."""
    identity = cp.memory.identity
    await until(lambda: any(f'"{event}"' in text for text in site.csms.texts[identity]), f"{event} at the CSMS")
    await until(lambda: cp.memory.queue == [], "nothing waits for a confirmation")


@pytest.mark.requirement("TC_074_CSMS", "TC_A_11_CSMS")
@pytest.mark.timeout(200)
async def test_renewal_is_asked_for_delivered_and_the_new_certificate_is_used(tmp_path: Any) -> None:
    async def one(site: UpgradeSite, identity: str, version: str) -> None:
        async with site.charge_point(identity, version) as cp:
            await site.upgrade(identity, 3)
            await site.approve(identity)
            first = (await site.comes_to(identity, "proven")).certificate_serial
            await charge_point(site, "certificate", identity, "--renew")
            await until(lambda: enrolment_state(site, identity) == "seen-in-handshake", "it has been seen")
            await until(lambda: cp.player.charge_point.is_registered, "connected at the end")
            accepted = cp.said("certificate accepted")
            assert [each["type"] for each in accepted] == ["ChargingStationCertificate"] * 2
            assert [accepted[0]["serial_number"], len({each["serial_number"] for each in accepted})] == [first, 2]
            assert not [each for each in cp.said("connection failed") if each["failure"] == "tls"]

    async with upgrade_site(tmp_path) as site:
        await asyncio.gather(one(site, "CP-16", "1.6"), one(site, "CP-201", "2.0.1"))


@pytest.mark.requirement("TC_077_CSMS", "TC_A_14_CSMS")
async def test_a_rejected_certificate_is_borne_and_its_event_confirmed(tmp_path: Any) -> None:
    async with upgrade_site(tmp_path) as site:
        for identity, version, event in (
            ("CP-16", "1.6", "InvalidChargePointCertificate"),
            ("CP-201", "2.0.1", "InvalidChargingStationCertificate"),
        ):
            async with site.charge_point(identity, version, 2, "rejects-certificate", to_profile=2) as cp:
                await charge_point(site, "certificate", identity, "--renew")
                await site.approve(identity)
                await until(lambda i=identity: enrolment_state(site, i) == "rejected-by-station", "rejected")  # type: ignore[misc]
                await confirmed(site, cp, event)
                assert cp.player.charge_point.is_registered


@pytest.mark.requirement("TC_078_CSMS")
async def test_a_rejected_root_is_borne_and_its_event_confirmed(tmp_path: Any) -> None:
    async with upgrade_site(tmp_path) as site, site.charge_point("CP-16", "1.6", 2, "store-full", to_profile=2) as cp:
        root = {"certificateType": "CentralSystemRootCertificate", "certificate": site.ca_root.replace("A", "B")}
        found = await charge_point(site, "call", "CP-16", "InstallCertificate", json.dumps(root))
        assert found["payload"] == {"status": "Rejected"}
        await confirmed(site, cp, "InvalidCentralSystemCertificate")


async def asked_by_the_csms(site: UpgradeSite, identity: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The charge point's answer to a call of the CSMS."""
    number = f"csms-{len(site.csms.texts[identity])}"
    await site.csms.connections[identity].send(json.dumps([2, number, action, payload]))

    def answers() -> list[str]:
        return [text for text in site.csms.texts[identity] if text.startswith(f'[3,"{number}",')]

    await until(lambda: answers() != [], f"an answer to {action}")
    return dict(json.loads(answers()[0])[2])


@pytest.mark.requirement("TC_A_12_CSMS", "TC_M_03_CSMS", "TC_M_04_CSMS", "TC_M_14_CSMS", "TC_M_15_CSMS", "TC_M_16_CSMS")
async def test_what_is_of_iso_15118_is_the_csms_s_to_ask_for_and_to_give(tmp_path: Any) -> None:
    async with (
        upgrade_site(tmp_path) as site,
        site.charge_point("CP-201", "2.0.1", 2, organization="CPO", to_profile=2) as cp,
    ):
        asked = json.dumps([2, "q", "TriggerMessage", {"requestedMessage": "SignV2GCertificate"}])
        await site.csms.connections["CP-201"].send(asked)
        await site.csms.received("CP-201", '[3,"q",{"status":"Accepted"}]')
        await until(
            lambda: any("SignCertificate" in t and '"V2GCertificate"' in t for t in site.csms.texts["CP-201"]),
            "the request is at the CSMS",
        )
        assert enrolment_state(site, "CP-201") == ""
        for kind in ("V2GRootCertificate", "MORootCertificate"):
            root = {"certificateType": kind, "certificate": site.ca_root}
            assert await asked_by_the_csms(site, "CP-201", "InstallCertificate", root) == {"status": "Accepted"}
            found = await asked_by_the_csms(site, "CP-201", "GetInstalledCertificateIds", {"certificateType": [kind]})
            assert [each["certificateType"] for each in found["certificateHashDataChain"]] == [kind]
        none = {"certificateType": ["V2GCertificateChain"]}
        found = await asked_by_the_csms(site, "CP-201", "GetInstalledCertificateIds", none)
        assert found == {"status": "NotFound"}
        count = len(cp.memory.roots)
        ours = {"certificateType": "CSMSRootCertificate", "certificate": site.ca_root}
        assert await asked_by_the_csms(site, "CP-201", "InstallCertificate", ours) == {"status": "Rejected"}
        assert len(cp.memory.roots) == count
