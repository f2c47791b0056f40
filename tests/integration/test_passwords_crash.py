"""Kill -9 of control and of the edge around every durable step of a password change, with the charge point going on.

Each step twice: before it is on the disk (a trigger in the database refuses the row, control has tried, and is killed), and
as soon as it is there. Afterwards the charge point is let in with exactly one password, which is the one that it has.
"""

import asyncio
import os
import signal
import sqlite3
from itertools import product
from pathlib import Path

import pytest

from gateway.provisioning.password_states import PasswordState
from tests.integration.test_enrolment import command
from tests.integration.test_passwords import Site, running, text_of
from tests.support.fleet import until
from tests.support.simulated import Simulated, simulated

pytestmark = pytest.mark.integration
STEPS = [PasswordState.WANTED, PasswordState.SENT, PasswordState.ACCEPTED, PasswordState.IN_USE]


def database(site: Site) -> sqlite3.Connection:
    return sqlite3.connect(site.rig.state / "registry.sqlite", timeout=15, isolation_level=None)


def refuse(site: Site, state: PasswordState) -> None:
    """From now on no row can come into this state."""
    with database(site) as connection:
        for kind in ("INSERT", "UPDATE"):
            connection.execute(
                f"CREATE TRIGGER stop_{kind} BEFORE {kind} ON password_changes WHEN NEW.state = '{state.value}'"
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


def newest_number(site: Site) -> int:
    found = site.changes()
    return found[0].number if found else 0


async def rotate(site: Site, *, refused: bool) -> None:
    """By the command, as often as it takes; where the very wish is refused, once."""
    while True:
        code, answer = await command("charge-point", "password", "CP-1", "--rotate", config=site.rig.config_path)
        if code == 0 or refused or "under way" in str(answer):
            return
        assert code == 3, answer
        await asyncio.sleep(0.1)


async def rotated_over_a_crash(site: Site, step: PasswordState, victim: str, *, is_refused: bool) -> None:
    """A change in which `victim` dies, before or as soon as `step` is on the disk."""
    since, log = newest_number(site), len(site.gateway.log())
    wish_is_refused = is_refused and step is PasswordState.WANTED
    if is_refused:
        refuse(site, step)
    asking = asyncio.create_task(rotate(site, refused=wish_is_refused))

    def has_come() -> bool:
        """Or the table has gone past it."""
        found = site.changes()[0]
        return found.number > since and STEPS.index(found.state) >= STEPS.index(step)

    def was_tried() -> bool:
        return "not_written" in site.gateway.log()[log:] or (newest_number(site) > since and site.state() == "in-use")

    if wish_is_refused:
        await asking
    else:
        await until(was_tried if is_refused else has_come, f"{step}, refused: {is_refused}")
    await kill(site, victim)
    permit(site)
    await asking
    if wish_is_refused:
        await rotate(site, refused=False)

    def is_over() -> bool:
        return newest_number(site) > since and site.state() == "in-use"

    if victim == "control":
        await until(lambda: is_over() or site.state() == "sent", f"over, or unknown, after {step}")
        if site.state() == "sent":
            # Killed before it was said: nobody has the candidate any more, and its next handshake says what it uses.
            await until(lambda: site.gateway.http("/readyz")[0] == 200, "ready again")
            await kill(site, "edge-0")
    await until(is_over, f"in use after {step}")


async def verify(site: Site, cp: Simulated, before: str) -> str:
    """One password, and it is another one than before."""
    await cp.registered()
    new = text_of(cp.memory)
    await until(lambda: site.is_current(new), "what the charge point has is the password")
    assert site.slots()[1] == ""
    assert new != before
    return new


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("victim", "version"), [("control", "1.6"), ("edge-0", "2.1")])
async def test_whatever_dies_there_is_exactly_one_password(tmp_path: Path, victim: str, version: str) -> None:
    async with running(tmp_path) as site:
        before = "password-of-cp-1"
        async with simulated(site.memory(version)) as cp:
            await cp.registered()
            for step, is_refused in product(STEPS, (True, False)):
                await rotated_over_a_crash(site, step, victim, is_refused=is_refused)
                before = await verify(site, cp, before)
        has = before.encode().hex() if version == "1.6" else before
        async with simulated(site.memory(version, password=has)) as again:
            await again.registered()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["control", "edge-0"])
@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_change_of_the_csms_over_a_crash(tmp_path: Path, victim: str, *, is_refused: bool) -> None:
    """Before its hash is on the disk nothing reaches the charge point; after that both are good."""
    key = "4142434445464748494A4B4C4D4E4F5051525354"
    async with running(tmp_path) as site:
        async with simulated(site.memory()) as cp:
            await cp.registered()
            log = len(site.gateway.log())
            if is_refused:
                refuse(site, PasswordState.SENT)
            asked = f'[2,"pw","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{key}"}}]'
            await site.csms.connections["CP-1"].send(asked)
            if is_refused:
                await until(lambda: "not_learnt" in site.gateway.log()[log:], "control has tried")
            else:
                await until(lambda: bool(site.changes()), "it is on the disk")
            await kill(site, victim)
            permit(site)
            await until(lambda: site.gateway.http("/readyz")[0] == 200, "ready again")
            await cp.registered()
            await until(lambda: not is_refused or site.slots()[1] == "", "nothing is pending")
        # Only now, as it is off, nothing can change any more what it has. It is let in by that, whichever it is.
        has = cp.memory.password
        async with simulated(site.memory(password=has)) as again:
            await again.registered()
        assert site.is_current(has) or site.slots()[1] != ""
        if is_refused and victim == "edge-0":
            assert has != key
