"""Kill -9 of control and of the edge around every durable step of an upgrade, with the charge point going on.

Each step twice: before it is on the disk (a trigger in the database refuses the row, control has tried, and is killed), and
as soon as it is there. Afterwards the charge point is registered on the new profile, and the floor is there.
"""

import os
import signal
import sqlite3
from itertools import product
from typing import Any

import pytest

from gateway.provisioning.upgrade_states import UpgradeState
from tests.support.fleet import until
from tests.support.upgrading import UpgradeSite, upgrade_site

pytestmark = pytest.mark.integration
STEPS = [UpgradeState.BOTH_ACCEPTED, UpgradeState.TOLD, UpgradeState.SWITCHING, UpgradeState.PROVEN]
CASES = [(*case, version) for case, version in zip(product(STEPS, (True, False)), ("1.6", "2.0.1") * 4, strict=True)]
"""Each step is stopped in one version and followed in the other."""
CASES += [(UpgradeState.INSTALLING_ROOT, True, "2.0.1"), (UpgradeState.INSTALLING_ROOT, False, "1.6")]


def triggers(site: UpgradeSite, statements: list[str]) -> None:
    connection = sqlite3.connect(site.rig.state / "registry.sqlite", timeout=15, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def refuse(site: UpgradeSite, state: UpgradeState, identity: str) -> None:
    """From now on no row of this charge point can come into this state."""
    triggers(
        site,
        [
            f"CREATE TRIGGER stopped BEFORE UPDATE ON upgrades WHEN NEW.state = '{state.value}'"
            f" AND NEW.charge_point_id = '{identity}' BEGIN SELECT RAISE(ABORT, 'stopped by the test'); END"
        ],
    )


async def kill(site: UpgradeSite, victim: str) -> None:
    before = site.gateway.children()[victim]
    os.kill(before, signal.SIGKILL)
    await until(lambda: site.gateway.children().get(victim, before) != before, f"another {victim}")


async def upgraded_over_a_crash(
    site: UpgradeSite, step: UpgradeState, victim: str, version: str, *, is_refused: bool
) -> None:
    identity = f"CP-{step.value}-{is_refused}"
    lacks_root: dict[str, Any] = {"roots": ()} if step is UpgradeState.INSTALLING_ROOT else {}
    async with site.charge_point(identity, version, to_profile=2, **lacks_root) as cp:
        log = len(site.gateway.log())
        if is_refused:
            refuse(site, step, identity)
        await site.upgrade(identity, 2, *(["--install-root"] if lacks_root else []))
        if is_refused:
            await until(lambda: "stopped by the test" in site.gateway.log()[log:], f"{step} was tried")
        else:
            await until(lambda: step.value in site.states(identity), f"{step} has come")
        await kill(site, victim)
        triggers(site, ["DROP TRIGGER IF EXISTS stopped"])
        await until(lambda: site.states(identity)[-1] in {"proven", "fell-back"}, "it has ended")
        if site.states(identity)[-1] == "fell-back":
            # It tried the new profile just while nobody could let it in. It is where it was, and can be asked again.
            await site.upgrade(identity, 2)
            await site.comes_to(identity, "proven")
        assert site.profiles(identity) == (2, 2, 0)
        assert len(cp.memory.roots) == (1 if lacks_root else 2)
        await until(lambda: cp.player.charge_point.is_registered, "it is registered")
        await until(lambda: cp.memory.security_profile == 2, "on the new profile")


@pytest.mark.requirement("A05.FR.09")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["control", "edge-0"])
async def test_whatever_dies_it_ends_registered_on_the_new_profile_with_the_floor_there(
    tmp_path: Any, victim: str
) -> None:
    async with upgrade_site(tmp_path, restart_s=2.0) as site:
        for step, is_refused, version in CASES:
            await upgraded_over_a_crash(site, step, victim, version, is_refused=is_refused)
