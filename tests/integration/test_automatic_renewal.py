"""Certificates are renewed by the gateway before they end, with a simulated charge point that does not think of it."""

import sqlite3
from typing import Any

import pytest

from gateway.simulator.core.events import ChargingStarted, ChargingStopped
from tests.support.fleet import until
from tests.support.upgrading import UpgradeSite, upgrade_site

pytestmark = pytest.mark.integration


def grow_old(site: UpgradeSite, identity: str, days: float) -> None:
    """As if its certificate had been given so many days ago, and were good for a year from then on."""
    connection = sqlite3.connect(site.rig.state / "registry.sqlite", timeout=15, isolation_level=None)
    connection.execute(
        "UPDATE enrolments SET created_at = created_at - ?, not_after = created_at - ? + 365 * 86400.0"
        " WHERE charge_point_id = ?",
        (days * 86_400.0, days * 86_400.0, identity),
    )
    connection.close()


def serials(site: UpgradeSite, identity: str) -> list[str]:
    with site.rig.registry() as registry:
        return [each.serial for each in registry.enrolments.latest(identity, 9)]


@pytest.mark.timeout(200)
@pytest.mark.requirement("A02.FR.01")
async def test_near_its_end_whatever_the_charge_point_does(tmp_path: Any) -> None:
    async with upgrade_site(tmp_path) as site, site.charge_point("CP-1", "2.0.1") as cp:
        await site.upgrade("CP-1", 3)
        await site.approve("CP-1")
        await site.comes_to("CP-1", "proven")
        first = serials(site, "CP-1")
        await until(lambda: cp.player.charge_point.is_registered, "it is there")
        cp.player.happens(ChargingStarted(now=0.0))
        await until(lambda: cp.said("charging"), "it is charging")
        grow_old(site, "CP-1", 340.0)  # beyond nine tenths: whatever it does
        await until(lambda: serials(site, "CP-1") != first, "a renewal has begun")
        await until(lambda: len(cp.said("certificate accepted")) == 2, "it has the next one")
        cp.player.happens(ChargingStopped(now=0.0))
        await until(lambda: serials(site, "CP-1")[0] not in {"", *first}, "it is issued")
