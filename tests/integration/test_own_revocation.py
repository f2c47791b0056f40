"""What the embedded CA revokes, with real processes: while the gateway is down, without a record, with a journal that is damaged."""

from pathlib import Path

import pytest

from tests.support.csms import FakeCSMS
from tests.support.embedded_ca import EmbeddedCA
from tests.support.fleet import until
from tests.support.rig import Rig
from tests.support.site import Site
from tests.support.tls_material import Issued

pytestmark = pytest.mark.integration


async def refused(site: Site, identity: str, shown: Issued) -> str:
    status, event = await site.refused(await site.peer("mtls", shown), f"/ocpp/{identity}")
    assert status == 403
    return str(event["reason"])


async def test_revoked_while_the_gateway_was_down_counts_from_its_first_moment(rig: Rig, csms: FakeCSMS) -> None:
    ca = EmbeddedCA(rig)
    rig.add("CP-1", security_profile=3, serial_number="SN-1")
    lost, kept = ca.issue("SN-1"), ca.issue("SN-1")
    ca.revoke(lost)
    async with rig.gateway() as gateway:
        site = Site(rig, csms, gateway)
        assert await refused(site, "CP-1", lost) == "certificate-revoked"
        (await site.session("CP-1", "mtls", certificate=kept, password="")).abort()


async def test_a_certificate_that_was_in_no_record_is_refused_when_it_comes(rig: Rig, csms: FakeCSMS) -> None:
    ca = EmbeddedCA(rig)
    stranger = ca.issue("SN-9")
    async with rig.gateway() as gateway:
        site, since = Site(rig, csms, gateway), gateway.mark()
        ca.revoke(stranger)
        await gateway.event("certificate.revoked", since)
        rig.add("CP-9", security_profile=3, serial_number="SN-9")
        await until(lambda: gateway.live_status()["registered_charge_points"] == 1, "the record is known")
        assert await refused(site, "CP-9", stranger) == "certificate-revoked"


async def test_a_damaged_journal_is_told_and_takes_nothing_back(rig: Rig, csms: FakeCSMS) -> None:
    ca = EmbeddedCA(rig)
    rig.add("CP-1", security_profile=3, serial_number="SN-1")
    lost, kept, last = (ca.issue("SN-1") for _ in range(3))
    ca.revoke(lost)
    journal: Path = ca.directory / "journal"
    async with rig.gateway() as gateway:
        site = Site(rig, csms, gateway)
        good, since = journal.read_bytes(), gateway.mark()
        journal.write_bytes(good + (b"f" * 64 + b" {}\n") * 2)
        told = await gateway.event("trust.journal_failed", since)
        assert (told["severity"], told["decision"]) == ("critical", "keep_last_good")
        assert "journal" in gateway.live_status()["own_revocations"]["failure"]
        assert await refused(site, "CP-1", lost) == "certificate-revoked"
        (await site.session("CP-1", "mtls", certificate=kept, password="")).abort()
        journal.write_bytes(good)
        ca.revoke(last)
        await gateway.event("certificate.revoked", since)
        assert gateway.live_status()["own_revocations"]["failure"] == ""
