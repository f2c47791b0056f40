"""Kill -9 of control and of the edge around every durable step of an upgrade, with the charge points going on.

One charge point of each OCPP version for each step. First each is stopped before its step is on the disk (a trigger in the
database refuses the row, control has tried, and what the state before asks for is done), and all of them are in the air when
the process dies. Then the process dies as soon as a step is there, once for each. Afterwards the charge point is registered
on the new profile with the floor there, or, if it could not use that, on the old one; and no floor was ever lowered.
"""

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from gateway.cli.gateway_client import GatewayUnreachable, order
from gateway.config.load import load_config
from gateway.provisioning.upgrade_states import UpgradeState
from tests.support.fleet import until
from tests.support.simulated import Simulated
from tests.support.upgrading import UpgradeSite, upgrade_site

pytestmark = pytest.mark.integration
VERSIONS = ("1.6", "2.0.1", "2.1")
GOES_UP = (
    UpgradeState.INSTALLING_ROOT,
    UpgradeState.ENROLLING,
    UpgradeState.BOTH_ACCEPTED,
    UpgradeState.TOLD,
    UpgradeState.SWITCHING,
    UpgradeState.PROVEN,
)
COMES_BACK = (UpgradeState.RETURNING, UpgradeState.FELL_BACK)
STOPPED = (*GOES_UP, *COMES_BACK, UpgradeState.ABORTED)
FOLLOWED = {
    "control": (*GOES_UP, UpgradeState.RETURNING),
    "edge-0": (*GOES_UP[:-1], UpgradeState.RETURNING),
}
"""As soon as which steps are there each of them dies: an edge has nothing to do with the others."""


class Played(NamedTuple):
    """A charge point, and the step around which a process dies."""

    step: UpgradeState
    version: str
    identity: str
    cp: Simulated

    @property
    def from_profile(self) -> int:
        return 2 if self.step is UpgradeState.ENROLLING else 1

    @property
    def comes_back(self) -> bool:
        return self.step in {*COMES_BACK, UpgradeState.ABORTED}


def execute(site: UpgradeSite, *statements: str) -> None:
    connection = sqlite3.connect(site.rig.state / "registry.sqlite", timeout=15, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def refuse(site: UpgradeSite, one: Played) -> None:
    """From now on no row of this charge point can come into its state; that it was tried is written down."""
    execute(
        site,
        f"CREATE TRIGGER \"stop {one.identity}\" BEFORE UPDATE ON upgrades WHEN NEW.state = '{one.step.value}'"
        f" AND NEW.charge_point_id = '{one.identity}' BEGIN SELECT RAISE(ABORT, 'stopped {one.identity}.'); END",
    )


def permit(site: UpgradeSite, one: Played) -> None:
    execute(site, f'DROP TRIGGER "stop {one.identity}"')


def watch_floors(site: UpgradeSite) -> None:
    """A floor that is lowered, by whomever and for however short a time, fails and is in the log."""
    execute(
        site,
        "CREATE TRIGGER floors BEFORE UPDATE ON charge_points WHEN OLD.floor IS NOT NULL"
        " AND (NEW.floor IS NULL OR NEW.floor < OLD.floor) BEGIN SELECT RAISE(ABORT, 'a floor lowered'); END",
    )


async def kill(site: UpgradeSite, victim: str) -> None:
    before = site.gateway.children()[victim]
    os.kill(before, signal.SIGKILL)
    await until(lambda: site.gateway.children().get(victim, before) != before, f"another {victim}")


async def ordered(site: UpgradeSite, one: Played, what: str, **question: Any) -> None:
    """Asked as often as it takes."""
    config = load_config(site.rig.config_path)
    while True:
        with contextlib.suppress(GatewayUnreachable):
            asked = {"charge_point_id": one.identity, **question}
            why = (await asyncio.to_thread(order, config, f"/upgrade/{what}", asked))["refused"]
            if not why or "already" in why:
                return
        await asyncio.sleep(0.1)


async def upgrade(site: UpgradeSite, one: Played) -> None:
    to_profile = one.from_profile + 1
    lacks_root = one.step is UpgradeState.INSTALLING_ROOT
    target = {"to_profile": to_profile, "url": site.url(to_profile), "install_root": lacks_root}
    await ordered(site, one, "start", **target)


@contextlib.asynccontextmanager
async def played(site: UpgradeSite, step: UpgradeState, version: str, name: str) -> AsyncIterator[Played]:
    quirks: tuple[str, ...] = ("falls-back",) if step in COMES_BACK else ()
    if step is UpgradeState.ABORTED:
        quirks = ("rejects=Reset",)
    factory: dict[str, Any] = {"roots": ()} if step is UpgradeState.INSTALLING_ROOT else {}
    identity = f"CP-{name}-{step.value}-{VERSIONS.index(version)}"  # its serial number has 25 characters at most
    profile = 2 if step is UpgradeState.ENROLLING else 1
    async with site.charge_point(identity, version, profile, *quirks, to_profile=profile + 1, **factory) as cp:
        yield Played(step, version, identity, cp)


async def stopped_before(site: UpgradeSite, victim: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        parts = [(step, version) for step in STOPPED for version in VERSIONS]
        cast = [await stack.enter_async_context(played(site, *part, "S")) for part in parts]
        log = len(site.gateway.log())
        for one in cast:
            refuse(site, one)
            await upgrade(site, one)
        for one in cast:
            if one.step is UpgradeState.ABORTED:
                await site.comes_to(one.identity, "told", "switching")
                await ordered(site, one, "abort")
        for one in cast:
            await until(lambda one=one: f"stopped {one.identity}." in site.gateway.log()[log:], f"{one} was tried")  # type: ignore[misc]
        await kill(site, victim)
        for one in cast:
            permit(site, one)
        for one in cast:
            await verify(site, one)


async def killed_at(site: UpgradeSite, step: UpgradeState, version: str, victim: str) -> None:
    async with played(site, step, version, "F") as one:
        asking = asyncio.create_task(upgrade(site, one))
        await until(lambda: step.value in site.states(one.identity), f"{step} has come")
        await kill(site, victim)
        await asking
        await verify(site, one)


async def verify(site: UpgradeSite, one: Played) -> None:
    """Wherever it has ended, it is there, and is let in by nothing but what it uses now."""
    if one.step is UpgradeState.ENROLLING:
        await site.approve(one.identity)
    await site.comes_to(one.identity, "proven", "fell-back", "aborted")
    if one.comes_back:
        # Of 1.6 nothing can be taken back: it may use the new one at any later start, and must find it open.
        assert site.profiles(one.identity) == (1, 1, 2 if one.version == "1.6" else 0), one.identity
        assert site.state(one.identity) == ("aborted" if one.step is UpgradeState.ABORTED else "fell-back")
        if one.version != "1.6":
            assert one.cp.memory.next_priority == [1], one.identity
    else:
        await goes_up(site, one)
    await until(lambda: one.cp.player.charge_point.is_registered, f"{one.identity} is registered")


async def goes_up(site: UpgradeSite, one: Played) -> None:
    if site.state(one.identity) == "fell-back":
        # It tried the new profile just while nobody could let it in. It is where it was, and can be asked again.
        await upgrade(site, one)
        await site.comes_to(one.identity, "proven")
    to_profile = one.from_profile + 1
    assert site.profiles(one.identity) == (to_profile, to_profile, 0), one.identity
    await until(lambda: one.cp.memory.security_profile == to_profile, f"{one.identity} is on the new profile")
    assert len(one.cp.memory.roots) == (1 if one.step is UpgradeState.INSTALLING_ROOT else 2), one.identity
    if one.step is UpgradeState.ENROLLING:
        with site.rig.registry() as registry:
            enrolments = registry.enrolments.latest(one.identity, 10)
        proven = site.newest(one.identity)
        assert proven is not None
        issued = [each.serial for each in enrolments if each.serial]
        assert issued == [proven.certificate_serial], "one certificate, and it is in use"


@pytest.mark.requirement("A05.FR.07", "A05.FR.09")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["control", "edge-0"])
async def test_whatever_dies_it_ends_registered_and_with_the_floor_of_what_it_has_proven(
    tmp_path: Any, victim: str
) -> None:
    async with upgrade_site(tmp_path, restart_s=2.0) as site:
        watch_floors(site)
        await stopped_before(site, victim)
        first = 0 if victim == "control" else 1
        for number, step in enumerate(FOLLOWED[victim], first):
            await killed_at(site, step, VERSIONS[number % len(VERSIONS)], victim)
        assert "a floor lowered" not in site.gateway.log()
