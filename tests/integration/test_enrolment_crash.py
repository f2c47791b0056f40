"""Kill -9 of control and of the edge around every durable step of a renewal, with the charge point going on.

Each step twice: before it is on the disk (a trigger in the database refuses the row, control has tried, and is killed), and
as soon as it is there. Afterwards exactly one certificate is the newest, the charge point uses it, and no certificate
before it was retired before it was seen.
"""

import asyncio
import os
import signal
import sqlite3
from itertools import product
from typing import Any

import pytest

from gateway.provisioning.states import State
from pki.journal import Journal
from tests.integration.test_enrolment import PASSWORD, Site, command, enrolled, register, running
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
]
FINAL = (State.OLD_RETIRED.value,)


def database(site: Site) -> sqlite3.Connection:
    return sqlite3.connect(site.rig.state / "registry.sqlite", timeout=15, isolation_level=None)


def refuse(site: Site, state: State) -> None:
    """From now on no row can come into this state."""
    with database(site) as connection:
        for kind in ("INSERT", "UPDATE"):
            connection.execute(
                f"CREATE TRIGGER stop_{kind} BEFORE {kind} ON enrolments WHEN NEW.state = '{state.value}'"
                " BEGIN SELECT RAISE(ABORT, 'stopped by the test'); END"
            )
    connection.close()


def permit(site: Site) -> None:
    with database(site) as connection:
        for kind in ("INSERT", "UPDATE"):
            connection.execute(f"DROP TRIGGER IF EXISTS stop_{kind}")
    connection.close()


async def kill(site: Site, victim: str) -> None:
    """And wait until another one is there."""
    before = site.gateway.children()[victim]
    os.kill(before, signal.SIGKILL)
    await until(lambda: site.gateway.children().get(victim, before) != before, f"another {victim}")


async def renew(site: Site, *, refused: bool) -> None:
    """By the command, as often as it takes; where the very wish is refused, once."""
    while True:
        code, answer = await command("charge-point", "certificate", "CP-1", "--renew", config=site.rig.config_path)
        if code == 0 or refused:
            return
        assert code == 3 or "under way" in str(answer), answer
        if "under way" in str(answer):
            return
        await asyncio.sleep(0.1)


def came_to(site: Site, state: State, since: int) -> bool:
    with site.rig.registry() as registry:
        return any(step.state is state and step.enrolment > since for step in registry.enrolments.steps("CP-1", 20))


def newest_number(site: Site) -> int:
    with site.rig.registry() as registry:
        newest = registry.enrolments.newest("CP-1")
    assert newest is not None
    return newest.number


async def renewed_over_a_crash(site: Site, step: State, victim: str, *, is_refused: bool) -> None:
    """A renewal in which `victim` dies, before or as soon as `step` is on the disk."""
    since, log = newest_number(site), len(site.gateway.log())
    wish_is_refused = is_refused and step is State.TRIGGER_WANTED
    if is_refused:
        refuse(site, step)
    asking = asyncio.create_task(renew(site, refused=wish_is_refused))

    def was_tried() -> bool:
        """Or the table has gone past it, as it does where a handshake is faster than an answer."""
        over = site.state("CP-1") in FINAL and newest_number(site) > since
        return "not_written" in site.gateway.log()[log:] or over

    if wish_is_refused:
        await asking
    elif is_refused:
        await until(was_tried, f"{step} was tried")
    else:
        await until(lambda: came_to(site, step, since), f"{step} has come")
    await kill(site, victim)
    permit(site)
    await asking
    if wish_is_refused:
        await renew(site, refused=False)
    await until(lambda: newest_number(site) > since, f"a new enrolment after {step}")
    await site.comes_to("CP-1", *FINAL)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["control", "edge-0"])
async def test_whatever_dies_one_certificate_is_the_newest_and_in_use(tmp_path: Any, victim: str) -> None:
    async with running(tmp_path, retire_old_after_s=0.2) as site:
        register(site.rig, "CP-1")
        charge_point = EnrollingChargePoint(site.rig, "CP-1", password=PASSWORD)
        charge_point.enrols_by_itself = True
        async with charge_point.running(site.gateway):
            await enrolled(site, charge_point)
            for step, is_refused in product(STEPS, (True, False)):
                await site.comes_to("CP-1", *FINAL)
                await renewed_over_a_crash(site, step, victim, is_refused=is_refused)
                verify(site, charge_point)
        verify_issued(site)


def verify(site: Site, charge_point: EnrollingChargePoint) -> None:
    """The newest certificate is the one that the charge point has and was seen with."""
    with site.rig.registry() as registry:
        newest = registry.enrolments.newest("CP-1")
    assert newest is not None
    assert newest.serial == charge_point.serial == charge_point.connected_with[-1]
    states: dict[str, list[str]] = {}
    for serial, state in site.history("CP-1"):
        states.setdefault(serial, []).append(state)
    for serial, history in states.items():
        if "old-retired" in history:
            assert history.index("seen-in-handshake") < history.index("old-retired"), serial


def verify_issued(site: Site) -> None:
    """No request got two certificates, none is revoked, and every one is on record."""
    with site.rig.registry() as registry:
        known = {each.serial for each in registry.enrolments.latest("CP-1", 1000) if each.serial}
    journal = Journal(site.rig.work / "ca" / "journal", read_only=True)
    entries = list(journal.inventory.issued())
    journal.close()
    requests = [entry.request.csr_sha256 for entry in entries]
    assert len(requests) == len(set(requests))
    assert [entry for entry in entries if entry.revocation is not None] == []
    assert known <= {f"{entry.serial:x}" for entry in entries}
