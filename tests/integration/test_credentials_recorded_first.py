"""Certificates and passwords wait for the audit log, with real processes and files: nothing is done, and nothing is lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cli.gateway_client import renew_certificate, rotate_password
from gateway.config.load import load_config
from gateway.store.password_changes import PasswordChangeTable
from tests.integration.test_audit import guess
from tests.integration.test_enrolment import PASSWORD, Site, register
from tests.support.csms import FakeCSMS
from tests.support.enrolling import EnrollingChargePoint, with_ca
from tests.support.fleet import until
from tests.support.rig import Rig

pytestmark = pytest.mark.integration
WAITS = "credentials_wait_for_audit_log"


@contextlib.asynccontextmanager
async def running(place: Path, failure_mode: str) -> AsyncIterator[Site]:
    async with FakeCSMS() as csms:
        rig = Rig(place, csms_urls=[csms.url])
        with_ca(rig)
        rig.config["audit"]["failure_mode"] = failure_mode
        rig.config["limits"] = {"reconnects_per_hour": 100_000, "connects_per_address_per_minute": 1_000_000}
        async with rig.gateway() as gateway:
            yield Site(rig, csms, gateway)


async def break_log(site: Site) -> None:
    """The directory of hashes is a file now: the log is broken as by a disk that fails."""
    tiles = site.rig.state / "audit/0001/tile"
    tiles.rename(tiles.with_name("aside"))
    tiles.write_bytes(b"")
    await guess(site.gateway.plain, "CP-GUESS")
    await until(lambda: site.gateway.live_status()["audit"]["state"] == "broken", "the log is broken")


async def repair_and_restart(site: Site) -> None:
    site.gateway.stop()
    tiles = site.rig.state / "audit/0001/tile"
    tiles.unlink()
    tiles.with_name("aside").rename(tiles)
    site.gateway.start()
    await site.gateway.wait_ready()


async def test_a_request_waits_for_its_record_and_is_not_lost(tmp_path: Path) -> None:
    async with running(tmp_path, "guard") as site:
        register(site.rig, "CP-1")
        async with EnrollingChargePoint(site.rig, "CP-1", password=PASSWORD).running(site.gateway) as charge_point:
            await until(lambda: charge_point.connection is not None, "it is connected")
            await until(lambda: "CP-1" in site.gateway.sessions(), "control knows it")
            await break_log(site)
            assert charge_point.connection is not None
            await charge_point.ask(charge_point.connection)
            await until(lambda: WAITS in site.gateway.log(), "its request waits")
            assert site.state("CP-1") == "csr-received"
            await repair_and_restart(site)
            await site.approve("CP-1")
            await site.comes_to("CP-1", "station-accepted")


async def test_where_the_log_may_fail_nobody_waits_for_it(tmp_path: Path) -> None:
    async with running(tmp_path, "open") as site:
        register(site.rig, "CP-1")
        async with EnrollingChargePoint(site.rig, "CP-1", password=PASSWORD).running(site.gateway) as charge_point:
            await until(lambda: charge_point.connection is not None, "it is connected")
            await until(lambda: "CP-1" in site.gateway.sessions(), "control knows it")
            await break_log(site)
            assert charge_point.connection is not None
            await charge_point.ask(charge_point.connection)
            await site.approve("CP-1")
            await site.comes_to("CP-1", "station-accepted")
            assert WAITS not in site.gateway.log()


@pytest.mark.parametrize("failure_mode", ["guard", "block"])
async def test_attempts_are_not_used_up_by_a_log_that_cannot_be_written(tmp_path: Path, failure_mode: str) -> None:
    async with running(tmp_path, failure_mode) as site:
        register(site.rig, "CP-1")
        await until(lambda: site.gateway.live_status()["registered_charge_points"] == 1, "the gateway knows it")
        asked = load_config(site.rig.config_path), "CP-1"
        assert await asyncio.to_thread(renew_certificate, *asked) == ""
        assert await asyncio.to_thread(rotate_password, *asked) == ""
        await break_log(site)
        for ask in (renew_certificate, rotate_password):
            assert "recorded first" in await asyncio.to_thread(ask, *asked), "an operator begins nothing now"
        async with EnrollingChargePoint(site.rig, "CP-1", password=PASSWORD).running(site.gateway):
            if failure_mode == "block":
                refused = "the audit log cannot be written"
                await until(
                    lambda: any(refused in each.get("detail", "") for each in site.gateway.events()), "nobody enters"
                )
                assert site.gateway.sessions() == {}
            else:
                await until(lambda: WAITS in site.gateway.log(), "both wait")
            with site.rig.registry() as registry:
                newest = registry.enrolments.newest("CP-1")
                (change,) = PasswordChangeTable(registry.database).latest("CP-1", 9)
                record = registry.get("CP-1")
            assert newest is not None and record is not None
            assert (newest.state.value, newest.attempts) == ("trigger-wanted", 0)
            assert (change.state.value, change.attempts, record.pending_password) == ("wanted", 0, None)
            await repair_and_restart(site)
            await site.approve("CP-1")
