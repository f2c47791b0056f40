"""Certificates that are issued, shown and replaced come to be known by themselves, with a real gateway."""

from typing import Any

import pytest

from tests.integration.test_enrolment import command
from tests.support.csms import FakeCSMS
from tests.support.embedded_ca import EmbeddedCA
from tests.support.fleet import until
from tests.support.rig import OPERATOR, Rig, shared_authority
from tests.support.site import Site
from tests.support.tls_material import DAY, Issued

pytestmark = pytest.mark.integration


async def listed(rig: Rig, *options: str) -> dict[str, dict[str, Any]]:
    """By serial number."""
    code, found = await command("pki", "list", "--registry", *options, config=rig.config_path)
    assert code == 0
    return {each["serial"]: each for each in found}


def serial(shown: Issued) -> str:
    return f"{shown.certificate.serial_number:x}"


def last_seen(rig: Rig, shown: Issued) -> float:
    with rig.registry() as registry:
        found = registry.inventory.find(0.0, 0.0, serial(shown))
    return found[0][0].last_seen_at if found else 0.0


async def test_issued_then_seen_then_superseded_then_revoked(rig: Rig, csms: FakeCSMS) -> None:
    ca = EmbeddedCA(rig)
    rig.add("CP-1", security_profile=3, serial_number="SN-1")
    first, spare = ca.issue("SN-1"), ca.issue("SN-2")
    async with rig.gateway() as gateway:
        site = Site(rig, csms, gateway)
        async with await site.session("CP-1", "mtls", certificate=first, password=""):
            await until(lambda: last_seen(rig, first) > 0, "the sighting is in the registry")
        await site.closed("CP-1")
        found = await listed(rig)
        assert (found[serial(first)]["charge_point_id"], found[serial(first)]["source"]) == ("CP-1", "issued")
        assert found[serial(first)]["profile"] == "ChargePointCertificate"
        assert (found[serial(spare)]["charge_point_id"], found[serial(spare)]["last_seen_at"]) == ("", None)
        second = ca.issue("SN-1")
        async with await site.session("CP-1", "mtls", certificate=second, password=""):
            await until(lambda: last_seen(rig, second) > 0, "the sighting is in the registry")
        ca.revoke(spare)
        await gateway.event("certificate.revoked")
        states = {name: each["state"] for name, each in (await listed(rig)).items()}
        assert states == {serial(first): "superseded", serial(second): "valid", serial(spare): "revoked"}


async def test_one_of_another_ca_that_ends_soon(rig: Rig, csms: FakeCSMS) -> None:
    rig.add("CP-1", security_profile=3, serial_number="SN-1")
    rig.add("CP-2", security_profile=3, serial_number="SN-2")
    soon = shared_authority().charge_point("SN-1", OPERATOR, end=6 * DAY)
    later = shared_authority().charge_point("SN-2", OPERATOR, end=80 * DAY)
    async with rig.gateway() as gateway:
        site = Site(rig, csms, gateway)
        for identity, shown in (("CP-1", soon), ("CP-2", later)):
            (await site.session(identity, "mtls", certificate=shown, password="")).abort()
        await until(lambda: min(last_seen(rig, soon), last_seen(rig, later)) > 0, "the sightings are in the registry")
        assert (await listed(rig, "--expiring", "7d")).keys() == {serial(soon)}
        assert {each["state"] for each in (await listed(rig)).values()} == {"expiring", "valid"}
    async with rig.gateway() as gateway:  # counted anew at the start
        sample = "ocpp_gateway_certificate_days_to_nearest_end "
        await until(lambda: sample in gateway.http("/metrics")[1], "the certificates are counted")
        page = gateway.http("/metrics")[1]
        days = next(float(line.removeprefix(sample)) for line in page.splitlines() if line.startswith(sample))
        assert 5 < days <= 6
        assert 'ocpp_gateway_certificates{state="expiring"} 1.0' in page
        assert gateway.live_status()["certificates"]["by_state"]["valid"] == 1
