"""A tick of passwords, enrolments and upgrades looks at the rows whose time has come, and at no others. A real registry."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.automatic_renewals import AutomaticRenewals
from gateway.control.directory import Directory
from gateway.control.enrolments import Enrolments
from gateway.control.part import NodePart
from gateway.control.passwords import Passwords
from gateway.control.record_gate import RecordGate
from gateway.control.rollovers import Rollovers
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.control.upgrades import Upgrades
from gateway.identity.evidence import PasswordProof
from gateway.link.messages import LiveSession
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.password import PasswordChange
from gateway.provisioning.password_states import PasswordState
from gateway.provisioning.states import State
from gateway.provisioning.upgrade import Upgrade
from gateway.provisioning.upgrade_states import UpgradeState
from gateway.store.password_changes import PasswordChangeTable
from gateway.store.registry import Registry
from gateway.store.roots import Rollover, RootTables
from tests.control.conftest import new_registry, record_of
from tests.support.edges import TableEdge
from tests.support.tls_material import Authority

CP = ChargePointId("CP-1")
NOBODY = cast("Any", None)
"""What a part does not need as long as nothing is to be said to a charge point."""


class Site:
    def __init__(self, url: str) -> None:
        self.registry, self.path = Registry.open(url), url.removeprefix("sqlite:///")
        self.registry.add(record_of(CP, 1))
        self.store = StoreThread(url)
        self.directory, self.sessions, self.tasks = Directory(), Sessions(1), TaskOwner()
        self.events: list[tuple[str, ...]] = []
        gate = RecordGate(self.nothing_may_be_said)
        self.enrolments = Enrolments(self.store, self.directory, self.sessions, NOBODY, self.report, self.tasks, NOBODY)
        self.passwords = Passwords(
            self.store, self.directory, self.sessions, NOBODY, NOBODY, self.report, self.tasks, gate
        )
        self.upgrades = Upgrades(
            self.store, self.directory, self.sessions, NOBODY, self.enrolments, self.report, self.tasks, NOBODY
        )

    async def nothing_may_be_said(self) -> bool:
        return False

    def report(self, *event: str) -> None:
        self.events.append(event)

    def connect(self, opened_at: float, who: ChargePointId = CP) -> Entry:
        live = LiveSession(
            f"s-{who}", who, 7, SecurityProfile(1), "ocpp1.6", "192.0.2.1", "plain", "main", opened_at,
            PasswordProof(slot="current", reading="raw"),
        )  # fmt: skip
        entry = self.sessions.opened(live, TableEdge())
        assert entry is not None
        return entry


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(new_registry(tmp_path))
    await made.directory.load(made.store)
    yield made
    await made.tasks.close()
    await made.store.close()
    made.registry.close()


async def looks(part: Any) -> int:
    """Of one tick."""
    before = part._due.looked_at
    await part.tick()
    await asyncio.sleep(0)
    return int(part._due.looked_at - before)


def password(site: Site, state: PasswordState) -> NodePart:
    PasswordChangeTable(site.registry.database).put(
        PasswordChange(charge_point_id=CP, state=state, created_at=1.0, changed_at=1.0)
    )
    return site.passwords


def enrolment(site: Site, state: State, **more: Any) -> NodePart:
    times = {"created_at": 1.0, "changed_at": 1.0} | more
    site.registry.enrolments.put(Enrolment(charge_point_id=CP, state=state, **times))
    site.enrolments._ca = cast("Any", QuietCA())
    return site.enrolments


class QuietCA:
    """One that nobody has decided anything at."""

    def has_news(self) -> bool:
        return False

    async def rest(self) -> None:
        pass


def upgrade(site: Site, state: UpgradeState, **more: Any) -> NodePart:
    one, two = SecurityProfile(1), SecurityProfile(2)
    site.registry.upgrades.put(
        Upgrade(
            charge_point_id=CP,
            state=state,
            from_profile=one,
            to_profile=two,
            created_at=1.0,
            changed_at=1.0,
            **more,
        )
    )
    return site.upgrades


@pytest.mark.parametrize(
    "made",
    [
        lambda site: password(site, PasswordState.ACCEPTED),
        lambda site: password(site, PasswordState.STAGED),
        lambda site: enrolment(site, State.SEEN_IN_HANDSHAKE, seen_at=1e12),
        lambda site: enrolment(site, State.HELD, created_at=1e12),
        lambda site: enrolment(site, State.STATION_ACCEPTED, not_after=1e12),
        lambda site: upgrade(site, UpgradeState.LOST),
    ],
)
async def test_who_only_waits_is_looked_at_once(site: Site, made: Callable[[Site], NodePart]) -> None:
    part = made(site)
    await part.load()
    assert [await looks(part) for _ in range(4)] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    "made",
    [
        lambda site: password(site, PasswordState.WANTED),
        lambda site: enrolment(site, State.TRIGGER_WANTED),
        lambda site: upgrade(site, UpgradeState.WANTED),
    ],
)
async def test_who_is_away_is_looked_at_when_it_comes(site: Site, made: Callable[[Site], NodePart]) -> None:
    part = made(site)
    await part.load()
    assert [await looks(part) for _ in range(3)] == [1, 0, 0]
    entry = site.connect(opened_at=1e12)  # a moment ago, and it has not settled
    part.opened(entry)
    await asyncio.sleep(0.0)
    await site.store.call(lambda _: None)  # what it was asked for is read
    await asyncio.sleep(0.0)
    assert await looks(part) + await looks(part) <= 1
    assert await looks(part) == 0


async def test_a_profile_that_an_operator_sets_ends_the_upgrade_at_the_next_tick(site: Site) -> None:
    part = upgrade(site, UpgradeState.LOST)
    await part.load()
    assert [await looks(part) for _ in range(2)] == [1, 0]
    record = site.registry.get(CP)
    assert record is not None
    site.registry.replace(msgspec.structs.replace(record, security_profile=SecurityProfile(2)))
    changed, _ = await site.directory.refresh(site.store)
    part.records_changed(changed | {ChargePointId("CP-unheard-of")})
    assert await looks(part) == 1
    while (found := site.registry.upgrades.newest(CP)) is not None and found.state is UpgradeState.LOST:
        await site.store.call(lambda _: None)
    assert found is not None
    assert found.state is UpgradeState.ABORTED


async def test_a_row_that_makes_no_sense_is_on_record_and_stops_no_other(site: Site) -> None:
    """`ends_as` names no state: a row of another release, or one that somebody has edited."""
    site.registry.add(record_of("CP-2", 1))
    part = upgrade(site, UpgradeState.RETURNING, ends_as="somewhere")
    site.registry.upgrades.put(
        msgspec.structs.replace(
            site.registry.upgrades.open()[0], charge_point_id=ChargePointId("CP-2"), number=0, ends_as="fell-back"
        )
    )
    await site.directory.load(site.store)
    await part.load()
    assert await looks(part) == 2
    while len(site.events) < 2:
        await site.store.call(lambda _: None)
    assert [(event[0], event[4]) for event in site.events] == [
        ("provisioning.stuck", CP),
        ("upgrade.fell_back", "CP-2"),
    ]
    assert await looks(part) == 0


@pytest.mark.parametrize(
    ("made", "table", "column"),
    [
        (lambda site: password(site, PasswordState.ACCEPTED), "password_changes", "origin"),
        (lambda site: enrolment(site, State.SEEN_IN_HANDSHAKE), "enrolments", "created_at"),
        (lambda site: upgrade(site, UpgradeState.LOST), "upgrades", "from_profile"),
    ],
)
async def test_a_row_that_cannot_be_read_is_on_record_and_keeps_no_gateway_from_starting(
    site: Site, made: Callable[[Site], NodePart], table: str, column: str
) -> None:
    part = made(site)
    with contextlib.closing(sqlite3.connect(site.path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {table} SET {column} = 'nonsense'")
    await part.load()
    assert await looks(part) == 0
    ((event, severity, _, detail, identity),) = site.events
    assert (event, severity, identity) == ("provisioning.stuck", "high", CP)
    assert "is damaged" in detail
    assert await looks(part) == 0
    assert len(site.events) == 1


async def test_a_row_of_a_rollover_that_cannot_be_read_is_on_record_and_keeps_no_gateway_from_starting(
    site: Site,
) -> None:
    old, new = (Authority(name).root.public_bytes(Encoding.PEM).decode() for name in ("Old", "New"))
    site.registry.add(record_of(ChargePointId("CP-2"), 1))
    rollover = Rollover(group="default", created_at=1.0, threshold=0.9, old=old, new=new)
    RootTables(site.registry.database).start(rollover, [CP, ChargePointId("CP-2")])
    with contextlib.closing(sqlite3.connect(site.path, isolation_level=None)) as connection:
        connection.execute("UPDATE rollover_stations SET state = 'nonsense' WHERE charge_point_id = 'CP-1'")
    part = Rollovers(site.store, site.directory, site.sessions, NOBODY, site.report, site.tasks)
    await part.load()
    await part.tick()
    await part.tick()
    ((event, severity, _, detail, identity),) = site.events
    assert (event, severity, identity) == ("provisioning.stuck", "high", CP)
    assert "row in a rollover" in detail
    assert [list(running.open) for running in part._running.values()] == [[ChargePointId("CP-2")]]


async def test_a_row_that_cannot_be_read_stops_no_renewal_but_its_own(site: Site) -> None:
    other = ChargePointId("CP-2")
    site.registry.add(record_of(other, 1))
    await site.directory.load(site.store)
    now = time.time()
    rows = [
        Enrolment(charge_point_id=who, state=state, created_at=now - 100.0, changed_at=1.0, not_after=now + 1.0 + late)
        for late, who in enumerate((CP, other))  # CP ends first, so that it is the first to be looked at
        for state in (State.SUPERSEDED, State.SEEN_IN_HANDSHAKE)
    ]
    for row in rows:
        site.registry.enrolments.put(row)
    with contextlib.closing(sqlite3.connect(site.path, isolation_level=None)) as connection:
        connection.execute("UPDATE enrolments SET created_at = 'nonsense' WHERE number = 1")
    for who in (CP, other):
        site.connect(opened_at=1.0, who=who)
    site.enrolments._ca = cast("Any", QuietCA())
    renewals = AutomaticRenewals(site.store, site.sessions, NOBODY, site.enrolments)
    renewals._at_once, renewals._given_by = 5, frozenset({"main"})
    await renewals.tick()
    assert renewals.metrics() == {"ocpp_gateway_renewals_under_way": 1.0}
    newest = site.registry.enrolments.newest(other)
    assert newest is not None
    assert newest.state is State.TRIGGER_WANTED
    assert site.registry.enrolments.latest(CP, 1)[0].state is State.SEEN_IN_HANDSHAKE


async def test_an_upgrade_that_is_stopped_says_why(site: Site) -> None:
    part = cast("Upgrades", upgrade(site, UpgradeState.WANTED))
    await part.load()
    await part.abort(CP, "stopped by the campaign")
    newest = site.registry.upgrades.newest(CP)
    assert newest is not None
    assert (newest.state, newest.detail) == (UpgradeState.ABORTED, "stopped by the campaign")
