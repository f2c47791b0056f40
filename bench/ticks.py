"""What one tick of the provisioning parts costs control's event loop, with a row for each of 100 000 charge points.

`python -m bench.ticks [--count N]`. A real registry, real rows, sessions without sockets; CPU time of this thread, which is
the one that admissions wait for. `dearest` is the longest that an admission waits for a tick, `usual` is the median.
"""

import argparse
import asyncio
import contextlib
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import msgspec

from gateway.control.campaign_renewals import RenewalOperation
from gateway.control.campaigns import Campaigns
from gateway.control.cluster import Cluster
from gateway.control.directory import Directory
from gateway.control.enrolments import Enrolments
from gateway.control.part import NodePart
from gateway.control.passwords import Passwords
from gateway.control.sessions import EdgePeer, Sessions
from gateway.control.store_thread import StoreThread
from gateway.control.upgrades import Upgrades
from gateway.identity.evidence import PasswordProof
from gateway.link.messages import LiveSession
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.campaign import Campaign, Member, Progress
from gateway.provisioning.campaign_plan import Plan, Stratum
from gateway.provisioning.campaign_states import CampaignState, MemberState
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.password import PasswordChange
from gateway.provisioning.password_states import PasswordState
from gateway.provisioning.states import State
from gateway.provisioning.upgrade import Upgrade
from gateway.provisioning.upgrade_states import UpgradeState
from gateway.store.registry import Registry

_TICKS = 12
_WEEK_S = 7 * 86_400.0
_NOTHING = cast("Any", None)


class _Edge:
    """An edge that nobody sends anything to."""

    slot = 0


class _Site:
    """A registry with nothing in it, and the charge points of a fleet, some of which are connected."""

    def __init__(self, work: Path, count: int, *, connected: bool) -> None:
        self.path = work / "registry.sqlite"
        for each in work.glob("registry.sqlite*"):
            each.unlink()
        self.store = StoreThread(f"sqlite:///{self.path}")
        self.identities = [ChargePointId(f"CP-{n:06}") for n in range(count)]
        self.sessions = Sessions(1)
        self.directory = Directory()
        self.tasks = TaskOwner()
        self.first: Callable[[Registry], object] = lambda _: None
        """What has to be in the registry, where the registry itself has to put it there."""
        for identity in self.identities if connected else ():
            live = LiveSession(
                f"s-{identity}", identity, 7, SecurityProfile(2), "ocpp1.6", "192.0.2.1", "tls", "main", 1.0,
                PasswordProof(slot="current", reading="raw"),
            )  # fmt: skip
            self.sessions.opened(live, cast("EdgePeer", _Edge()))

    def insert(self, table: str, rows: Iterable[msgspec.Struct]) -> None:
        """Past the registry, which would ask for a record of each charge point."""
        found = [msgspec.to_builtins(each) for each in rows]
        names = [name for name in found[0] if name != "number"]
        line = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.executemany(line, [[each[name] for name in names] for each in found])
            connection.execute("COMMIT")

    def report(self, *event: object) -> None:
        """Events cost what they cost elsewhere."""


async def _closed_gate() -> bool:
    return False  # nothing is sent: what is measured is the tick alone


def _passwords(site: _Site, state: PasswordState) -> NodePart:
    now = time.time()
    site.insert(
        "password_changes",
        (PasswordChange(charge_point_id=x, state=state, created_at=now, changed_at=now) for x in site.identities),
    )
    gate = cast("Any", type("Gate", (), {"is_open": staticmethod(_closed_gate)}))
    return Passwords(site.store, site.directory, site.sessions, _NOTHING, _NOTHING, site.report, site.tasks, gate)


def _enrolments(site: _Site, state: State) -> Enrolments:
    now = time.time()
    site.insert(
        "enrolments",
        (
            Enrolment(charge_point_id=x, state=state, created_at=now, changed_at=now, seen_at=now)
            for x in site.identities
        ),
    )
    gate = cast("Any", type("Gate", (), {"is_open": staticmethod(_closed_gate)}))
    made = Enrolments(site.store, site.directory, site.sessions, _NOTHING, site.report, site.tasks, gate)
    made._ca = cast("Any", _CA())  # noqa: SLF001  a CA that nobody asks
    return made


class _CA:
    def has_news(self) -> bool:
        return False

    async def rest(self) -> None:
        pass


def _upgrades(site: _Site, state: UpgradeState) -> NodePart:
    now, one, two = time.time(), SecurityProfile(1), SecurityProfile(2)
    site.insert(
        "upgrades",
        (
            Upgrade(charge_point_id=x, state=state, from_profile=one, to_profile=two, created_at=now, changed_at=now)
            for x in site.identities
        ),
    )
    enrolments = Enrolments(site.store, site.directory, site.sessions, _NOTHING, site.report, site.tasks, _NOTHING)
    return Upgrades(site.store, site.directory, site.sessions, _NOTHING, enrolments, site.report, site.tasks, _NOTHING)


def _campaign(site: _Site, state: MemberState) -> NodePart:
    now = time.time()
    strata = tuple(Progress(stratum=Stratum("V", f"M{n}", "1"), wave=8) for n in range(4))
    members = [
        Member(
            charge_point_id=x, stratum=n % 4, rank=n, state=state, changed_at=now, due_at=now + _WEEK_S,
            verified_at=now, wave=-1 if state is MemberState.ELIGIBLE else 8,
        )
        for n, x in enumerate(site.identities)
    ]  # fmt: skip
    campaign = Campaign(
        name="bench", kind="certificate", state=CampaignState.RUNNING, plan=Plan(soak_s=_WEEK_S), strata=strata,
        created_at=now, changed_at=now, started_at=now, planned_by="bench",
    )  # fmt: skip
    enrolments = Enrolments(site.store, site.directory, site.sessions, _NOTHING, site.report, site.tasks, _NOTHING)
    renewals = RenewalOperation(enrolments, site.directory, site.sessions, site.store)
    cluster = Cluster(site.store, site.sessions, site.report, site.tasks)
    can_do = {"certificate": renewals}
    part = Campaigns(site.store, site.sessions, can_do, site.report, lambda *_: None, site.tasks, cluster)
    site.first = lambda registry: registry.campaigns.add(campaign, members)
    return part


_CASES: dict[str, tuple[bool, Callable[[_Site], NodePart]]] = {
    "passwords, all accepted": (True, lambda site: _passwords(site, PasswordState.ACCEPTED)),
    "passwords, all wanted, nobody there": (False, lambda site: _passwords(site, PasswordState.WANTED)),
    "enrolments, all in use": (True, lambda site: _enrolments(site, State.SEEN_IN_HANDSHAKE)),
    "enrolments, all wanted, nobody there": (False, lambda site: _enrolments(site, State.TRIGGER_WANTED)),
    "upgrades, all lost": (False, lambda site: _upgrades(site, UpgradeState.LOST)),
    "upgrades, all wanted, nobody there": (False, lambda site: _upgrades(site, UpgradeState.WANTED)),
    "campaign, all soak": (True, lambda site: _campaign(site, MemberState.SOAK)),
    "campaign, all eligible, nobody there": (False, lambda site: _campaign(site, MemberState.ELIGIBLE)),
}


async def _measure(site: _Site, part: NodePart) -> list[float]:
    """Seconds of CPU time of this thread for each of some ticks, the first after the start included."""
    await site.store.call(site.first)
    await part.load()
    found = []
    for _ in range(_TICKS):
        before = time.thread_time()
        await part.tick()
        found.append(time.thread_time() - before)
        await asyncio.sleep(0.01)
    return found


async def _run(count: int, work: Path) -> None:
    print(f"{count} rows; milliseconds of CPU time for a tick of the event loop's thread")
    print(f"{'':40} {'first':>8} {'usual':>8} {'dearest':>8}")
    for name, (connected, make) in _CASES.items():
        site = _Site(work, count, connected=connected)
        found = [1e3 * each for each in await _measure(site, make(site))]
        print(f"{name:40} {found[0]:8.1f} {statistics.median(found[1:]):8.1f} {max(found[1:]):8.1f}", flush=True)
        await site.tasks.close()
        await site.store.close()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    with tempfile.TemporaryDirectory(prefix="bench-ticks-") as work:
        asyncio.run(_run(parser.parse_args().count, Path(work)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
