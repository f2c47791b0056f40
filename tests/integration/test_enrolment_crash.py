"""Kill -9 of control and of the edge around every durable step of a renewal, with the charge points going on.

One charge point for each step. First each is stopped before its step is on the disk (a trigger in the database refuses the
row, control has tried), and all of them are in the air when the process dies. Then the process dies as soon as the step of
one of them is there, once for each. Afterwards exactly one certificate of each is the newest, the charge point uses it,
and no certificate before it was retired before it was seen. One takes no certificate but its first: it goes on with that.
"""

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from gateway.cli.gateway_client import GatewayUnreachable, renew_certificate
from gateway.config.load import load_config
from gateway.config.model import Config
from gateway.provisioning.states import State
from pki.journal import Journal
from tests.integration.test_enrolment import PASSWORD, Site, enrolled, register, running
from tests.support.enrolling import EnrollingChargePoint
from tests.support.fleet import until

pytestmark = pytest.mark.integration
STEPS = [
    State.TRIGGER_WANTED,
    State.TRIGGER_SENT,
    State.CSR_RECEIVED,
    State.ISSUED,
    State.DELIVERY_SENT,
    State.STATION_ACCEPTED,
    State.SEEN_IN_HANDSHAKE,
    State.OLD_RETIRED,
    State.REJECTED_BY_STATION,
]
VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
FOLLOWED = {
    "control": STEPS[:-1],
    "edge-0": [State.TRIGGER_SENT, State.CSR_RECEIVED, State.DELIVERY_SENT, State.STATION_ACCEPTED],
}
"""As soon as which steps are there each of them dies: an edge has nothing to do with the others."""
FINAL = (State.OLD_RETIRED.value, State.REJECTED_BY_STATION.value)


class Played(NamedTuple):
    """A charge point, and the step at which its process dies."""

    step: State
    charge_point: EnrollingChargePoint

    @property
    def identity(self) -> str:
        return self.charge_point.identity


def execute(site: Site, statements: list[str]) -> None:
    connection = sqlite3.connect(site.rig.state / "registry.sqlite", timeout=15, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def refuse(site: Site, cast: list[Played]) -> None:
    """From now on no row of these can come into its state; that it was tried is written down."""
    execute(
        site,
        [
            f"CREATE TRIGGER \"stop {one.identity} {kind}\" BEFORE {kind} ON enrolments WHEN NEW.state = '{one.step.value}'"
            f" AND NEW.charge_point_id = '{one.identity}'"
            f" BEGIN SELECT RAISE(ABORT, 'stopped {one.identity}'); END"
            for one in cast
            for kind in ("INSERT", "UPDATE")
        ],
    )


def permit(site: Site, cast: list[Played]) -> None:
    execute(
        site,
        [f'DROP TRIGGER IF EXISTS "stop {one.identity} {kind}"' for one in cast for kind in ("INSERT", "UPDATE")],
    )


async def kill(site: Site, victim: str) -> None:
    """And wait until another one is there."""
    before = site.gateway.children()[victim]
    os.kill(before, signal.SIGKILL)
    await until(lambda: site.gateway.children().get(victim, before) != before, f"another {victim}")


async def renew(config: Config, identity: str, *, refused: bool = False) -> None:
    """Ask as often as it takes; where the very wish is refused, once."""
    while True:
        with contextlib.suppress(GatewayUnreachable):
            why = await asyncio.to_thread(renew_certificate, config, identity)
            if not why or "under way" in why:
                return
        if refused:
            return
        await asyncio.sleep(0.1)


def newest_number(site: Site, identity: str) -> int:
    with site.rig.registry() as registry:
        newest = registry.enrolments.newest(identity)
    assert newest is not None
    return newest.number


def came_to(site: Site, one: Played, since: int) -> bool:
    with site.rig.registry() as registry:
        steps = registry.enrolments.steps(one.identity, 20)
    return any(step.state is one.step and step.enrolment > since for step in steps)


@contextlib.asynccontextmanager
async def played(site: Site) -> AsyncIterator[list[Played]]:
    """One for each step, with its first certificate, on profile 3."""
    async with contextlib.AsyncExitStack() as stack:
        cast = []
        for number, step in enumerate(STEPS):
            identity = f"CP-{step.value}"
            register(site.rig, identity)
            version = VERSIONS[number % len(VERSIONS)]
            charge_point = EnrollingChargePoint(site.rig, identity, version=version, password=PASSWORD)
            charge_point.enrols_by_itself = True
            await stack.enter_async_context(charge_point.running(site.gateway))
            cast.append(Played(step, charge_point))
        for one in cast:
            await enrolled(site, one.charge_point)
        await all_final(site, cast)
        cast[-1].charge_point.rejects_delivery = True
        yield cast


async def all_final(site: Site, cast: list[Played]) -> None:
    for one in cast:
        await site.comes_to(one.identity, *FINAL)


async def stopped_before(site: Site, cast: list[Played], victim: str, config: Config) -> None:
    since = {one.identity: newest_number(site, one.identity) for one in cast}
    log = len(site.gateway.log())
    refuse(site, cast)
    for one in cast:
        await renew(config, one.identity, refused=one.step is State.TRIGGER_WANTED)
    for one in cast:
        # Or the table has gone past it, as it does where a handshake is faster than an answer.
        await until(
            lambda one=one: (
                one.step is State.TRIGGER_WANTED  # type: ignore[misc]
                or f"stopped {one.identity}" in site.gateway.log()[log:]
                or (site.state(one.identity) in FINAL and newest_number(site, one.identity) > since[one.identity])
            ),
            f"{one.step} was tried",
        )
    await kill(site, victim)
    permit(site, cast)
    await renew(config, cast[0].identity)
    for one in cast:
        await until(lambda one=one: newest_number(site, one.identity) > since[one.identity], "a new enrolment")  # type: ignore[misc]
    await all_final(site, cast)


async def killed_at(site: Site, one: Played, victim: str, config: Config) -> None:
    since = newest_number(site, one.identity)
    asking = asyncio.create_task(renew(config, one.identity))
    await until(lambda: came_to(site, one, since), f"{one.step} has come")
    await kill(site, victim)
    await asking
    await until(lambda: newest_number(site, one.identity) > since, "a new enrolment")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["control", "edge-0"])
async def test_whatever_dies_one_certificate_is_the_newest_and_in_use(tmp_path: Any, victim: str) -> None:
    async with running(tmp_path, retire_old_after_s=0.2) as site, played(site) as cast:
        config = load_config(site.rig.config_path)
        await stopped_before(site, cast, victim, config)
        for one in cast:
            verify(site, one.charge_point)
        for one in cast:
            if one.step in FOLLOWED[victim]:
                await killed_at(site, one, victim, config)
        await all_final(site, cast)
        for one in cast:
            verify(site, one.charge_point)
    verify_issued(site, cast)


def verify(site: Site, charge_point: EnrollingChargePoint) -> None:
    """The newest certificate is the one that the charge point has and was seen with."""
    with site.rig.registry() as registry:
        newest = registry.enrolments.newest(charge_point.identity)
    assert newest is not None
    if charge_point.rejects_delivery:
        assert newest.state is State.REJECTED_BY_STATION
        assert newest.serial != charge_point.serial, "it goes on with the one before"
    else:
        assert newest.serial == charge_point.serial
    assert charge_point.serial == charge_point.connected_with[-1]
    states: dict[str, list[str]] = {}
    for serial, state in site.history(charge_point.identity):
        states.setdefault(serial, []).append(state)
    for serial, history in states.items():
        if "old-retired" in history:
            assert history.index("seen-in-handshake") < history.index("old-retired"), serial


def verify_issued(site: Site, cast: list[Played]) -> None:
    """No request got two certificates, none is revoked, and every one is on record."""
    with site.rig.registry() as registry:
        rows = [each for one in cast for each in registry.enrolments.latest(one.identity, 1000)]
    journal = Journal(site.rig.work / "ca" / "journal", read_only=True)
    entries = list(journal.inventory.issued())
    journal.close()
    requests = [entry.request.csr_sha256 for entry in entries]
    assert len(requests) == len(set(requests))
    assert [entry for entry in entries if entry.revocation is not None] == []
    assert {each.serial for each in rows if each.serial} <= {f"{entry.serial:x}" for entry in entries}
