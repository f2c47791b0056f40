"""What a campaign has begun does not go on while its window is closed: on a real registry, and nothing is ever said."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from gateway.control.campaign_windows import CampaignWindows
from gateway.control.directory import Directory
from gateway.control.enrolments import Enrolments
from gateway.control.passwords import Passwords
from gateway.control.record_gate import RecordGate
from gateway.control.sessions import Sessions
from gateway.control.store_thread import StoreThread
from gateway.control.upgrades import Upgrades
from gateway.identity.evidence import CertificateProof, PasswordProof, Proof
from gateway.link.messages import LiveSession
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.campaign_states import CampaignState, MemberState
from gateway.provisioning.campaign_window import Window
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.password import PasswordChange
from gateway.provisioning.password_states import PasswordState
from gateway.provisioning.states import State
from gateway.provisioning.upgrade import Upgrade
from gateway.provisioning.upgrade_states import UpgradeState
from gateway.provisioning.window_hold import HELD
from gateway.store.password_changes import PasswordChangeTable
from gateway.store.registry import Registry
from tests.control.conftest import new_registry, record_of
from tests.provisioning.campaigning import campaign_of, identity, plan
from tests.support.edges import TableEdge

CP = identity(0)
NOBODY = cast("Any", None)
PASSWORD = PasswordProof(slot="current", reading="raw")
EXPIRED = CertificateProof(
    sha256="aa", spki_sha256="bb", serial_number="cc", common_name="SN-1", not_after=1.0, renewal_only="expired"
)
OPEN = Window(from_minute=0, to_minute=1_440)
CLOSED = Window(days=(), from_minute=0, to_minute=1)
"""One that never opens."""


class Site:
    def __init__(self, url: str) -> None:
        self.registry = Registry.open(url)
        self.registry.add(record_of(CP, 1))
        self.store, self.directory, self.sessions, self.tasks = StoreThread(url), Directory(), Sessions(1), TaskOwner()
        self.gate = RecordGate(self.may_happen)

    async def may_happen(self) -> bool:
        return True

    def told(self, kind: str, *windows: Window, state: MemberState = MemberState.WAITING, zone: str = "UTC") -> None:
        """By a campaign, at 100."""
        campaign, members = campaign_of((1,), plan(windows=windows, time_zone=zone))
        stored = self.registry.campaigns.add(msgspec.structs.replace(campaign, kind=kind, number=0), members)
        member = msgspec.structs.replace(members[0], state=state, switched_at=100.0, changed_at=200.0)
        self.registry.campaigns.put(msgspec.structs.replace(stored, state=CampaignState.RUNNING), [member])

    def connect(self, proof: Proof = PASSWORD) -> None:
        live = LiveSession(
            "s-1", CP, 7, SecurityProfile(1), "ocpp1.6", "192.0.2.1", "plain", "main", time.time() - 1_000.0, proof
        )
        assert self.sessions.opened(live, TableEdge()) is not None


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(new_registry(tmp_path))
    await made.directory.load(made.store)
    yield made
    await made.tasks.close()
    await made.store.close()
    made.registry.close()


@pytest.mark.parametrize(
    ("windows", "state", "created_at", "is_closed"),
    [
        ((CLOSED,), MemberState.WAITING, 100.0, True),
        ((CLOSED, OPEN), MemberState.WAITING, 100.0, False),
        ((), MemberState.WAITING, 100.0, False),
        ((CLOSED,), MemberState.WAITING, 99.0, False),
        ((CLOSED,), MemberState.FELL_BACK, 201.0, False),
    ],
)
async def test_when_a_row_may_go_on(
    site: Site, windows: tuple[Window, ...], state: MemberState, created_at: float, is_closed: bool
) -> None:
    site.told("password", *windows, state=state)
    opens = await CampaignWindows(site.store, "password").closed_until(CP, created_at)
    assert (opens > time.time()) is is_closed
    assert bool(opens) is is_closed
    assert await CampaignWindows(site.store, "certificate").closed_until(CP, created_at) == 0.0
    assert await CampaignWindows(site.store, "password").closed_until(ChargePointId("CP-9"), created_at) == 0.0


async def test_a_time_zone_that_this_machine_does_not_know_opens_nothing(site: Site) -> None:
    site.told("password", OPEN, zone="Nowhere/Here")
    assert await CampaignWindows(site.store, "password").closed_until(CP, 100.0) > time.time()


def upgrades(site: Site, state: UpgradeState, **more: Any) -> tuple[Any, Callable[[], Any]]:
    one, two = SecurityProfile(1), SecurityProfile(2)
    row = Upgrade(
        charge_point_id=CP, state=state, from_profile=one, to_profile=two, created_at=100.0, changed_at=100.0, **more
    )
    site.registry.upgrades.put(row)
    enrolments, _ = enrolled(site, None)
    part = Upgrades(
        site.store, site.directory, site.sessions, NOBODY, enrolments, lambda *_: None, site.tasks, site.gate
    )
    return part, lambda: site.registry.upgrades.newest(CP)


def enrolled(site: Site, state: State | None, **more: Any) -> tuple[Any, Callable[[], Any]]:
    if state is not None:
        row = Enrolment(charge_point_id=CP, state=state, created_at=100.0, changed_at=100.0, **more)
        site.registry.enrolments.put(row)
    part = Enrolments(site.store, site.directory, site.sessions, NOBODY, lambda *_: None, site.tasks, site.gate)
    part._ca = QuietCA()  # type: ignore[assignment]
    return part, lambda: site.registry.enrolments.newest(CP)


class QuietCA:
    """One that nobody has decided anything at."""

    def has_news(self) -> bool:
        return False

    async def rest(self) -> None:
        pass


def passwords(site: Site) -> tuple[Any, Callable[[], Any]]:
    table = PasswordChangeTable(site.registry.database)
    table.put(PasswordChange(charge_point_id=CP, state=PasswordState.WANTED, created_at=100.0, changed_at=100.0))
    part = Passwords(site.store, site.directory, site.sessions, NOBODY, NOBODY, lambda *_: None, site.tasks, site.gate)
    return part, lambda: table.latest(CP, 1)[0]


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("security-profile", lambda site: upgrades(site, UpgradeState.WANTED)),
        ("security-profile", lambda site: upgrades(site, UpgradeState.BOTH_ACCEPTED)),
        ("security-profile", lambda site: upgrades(site, UpgradeState.TOLD)),
        ("security-profile", lambda site: upgrades(site, UpgradeState.SWITCHING, reset_at=time.time())),
        ("certificate", lambda site: enrolled(site, State.TRIGGER_WANTED)),
        ("certificate", lambda site: enrolled(site, State.TRIGGER_SENT, attempts=1)),
        ("certificate", lambda site: enrolled(site, State.ISSUED, csr_at=time.time())),
        ("password", passwords),
    ],
)
async def test_nothing_is_said_before_the_window_opens(
    site: Site, kind: str, made: Callable[[Site], tuple[Any, Callable[[], Any]]]
) -> None:
    """Whoever would say something would have to say it to NOBODY."""
    site.told(kind, CLOSED)
    site.connect()
    part, newest = made(site)
    before = newest()
    await part.load()
    await part.tick()
    async with asyncio.timeout(60):
        while newest().detail != HELD:
            await asyncio.sleep(0.01)
    after = newest()
    assert (after.state, after.attempts) == (before.state, before.attempts)
    assert after.due_at > time.time()


async def test_who_was_let_in_for_its_renewal_only_does_not_wait_for_it(site: Site) -> None:
    site.told("certificate", CLOSED)
    site.connect(EXPIRED)
    part, newest = enrolled(site, State.TRIGGER_WANTED)
    await part.load()
    await part.tick()
    async with asyncio.timeout(60):
        while newest().state is not State.TRIGGER_SENT:
            await asyncio.sleep(0.01)
