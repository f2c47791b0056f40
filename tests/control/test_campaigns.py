"""The part of the node that performs campaigns: a real registry, and charge points that are told by a script."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.control.campaigns import Campaigns
from gateway.control.cluster import Cluster
from gateway.control.sessions import Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.evidence import PasswordProof
from gateway.link.messages import Disconnect, LiveSession
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.campaign import Answer, Member, Observation, Order, Said, Seen
from gateway.provisioning.campaign_plan import Plan, Stratum
from gateway.provisioning.campaign_states import CampaignState, MemberState
from gateway.provisioning.capability import Fact
from gateway.store.errors import StoreError
from tests.provisioning.campaigning import campaign_of, plan

START = Order(what="start", by="anna")
PROOF = PasswordProof(slot="current", reading="raw")
STOP_MEMBERS = "CREATE TRIGGER stop BEFORE UPDATE ON campaign_members WHEN NEW.state = 'switch' BEGIN SELECT RAISE(ABORT, 'disk'); END"


class Edge:
    """An edge that is there."""

    slot = 0

    def tell_disconnect(self, message: Disconnect) -> None:
        raise AssertionError(message)

    async def probe(self, session: str, timeout_s: float) -> bool:
        raise AssertionError(session, timeout_s)


class Script:
    """Charge points that do what they are told, and prove it at once; `breaks`: which question of the campaign fails."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.prepared: list[str] = []
        self.breaks = ""
        self.sees = True

    async def prepare(self, member: Member, plan: Plan) -> Answer:
        assert plan.proof_within_s
        self.prepared.append(member.charge_point_id)
        if self.breaks == "prepare":
            raise RuntimeError("broken")
        return Answer(Said.DONE, mark="m")

    async def switch(self, member: Member, plan: Plan) -> Answer:
        assert (member.mark, plan.time_zone) == ("m", "UTC")
        self.told.append(member.charge_point_id)
        if self.breaks == "switch":
            raise RuntimeError("broken")
        return Answer(Said.DONE)

    async def observe(self, members: Sequence[Member], plan: Plan) -> Mapping[ChargePointId, Observation]:
        del plan
        if self.breaks == "observe":
            raise StoreError("broken")
        if any(each.charge_point_id == self.breaks for each in members):
            raise ValueError("a mark that is no number")
        seen = {each.charge_point_id for each in members if each.charge_point_id in self.told and self.sees}
        untold = {each.charge_point_id for each in members} - set(self.told)
        return dict.fromkeys(seen, Observation(Seen.PROVEN)) | dict.fromkeys(untold, Observation(Seen.NOTHING))


class Site:
    def __init__(self, store: StoreThread, database: Path) -> None:
        self.store, self.database = store, database
        self.script = Script()
        self.events: list[tuple[str, str]] = []
        self.facts: list[tuple[Stratum, Fact]] = []
        self.sessions = Sessions(1)
        self.tasks = TaskOwner()
        self.cluster = Cluster(store, self.sessions, self._report, self.tasks)
        self.restart()

    def restart(self) -> None:
        """The process dies, and another one begins."""
        self.campaigns = Campaigns(
            self.store, self.sessions, {"certificate": self.script}, self._report, self._saw, self.tasks, self.cluster
        )

    def _report(self, event: str, severity: str, decision: str, detail: str, charge_point_id: str) -> None:
        assert severity
        assert decision
        self.events.append((event, charge_point_id or detail))

    def _saw(self, stratum: Stratum, fact: Fact) -> None:
        self.facts.append((stratum, fact))

    def connect(self, identities: Iterable[str]) -> None:
        for number, identity in enumerate(identities):
            live = LiveSession(
                f"s-{number}",
                ChargePointId(identity),
                7,
                SecurityProfile(2),
                "ocpp1.6",
                "192.0.2.1",
                "tls",
                "main",
                1.0,
                PROOF,
            )
            self.sessions.opened(live, Edge())

    async def plan(self, name: str = "test", sizes: tuple[int, ...] = (1,), **fields: Any) -> None:
        campaign, members = campaign_of(sizes, plan(**({"soak_s": 0.0} | fields)))
        kind = "certificate" if name != "odd" else "unheard-of"
        named = msgspec.structs.replace(campaign, name=name, kind=kind, number=0)
        await self.store.call(lambda registry: registry.campaigns.add(named, members))
        self.connect(each.charge_point_id for each in members)

    async def order(self, order: Order = START, name: str = "test") -> None:
        await self.store.call(lambda registry: registry.campaigns.order(name, order, 1.0))

    async def tick(self, times: int = 1) -> None:
        for _ in range(times):
            await self.campaigns.tick()
            await asyncio.sleep(0)  # what was asked is answered
            await asyncio.sleep(0)

    async def members(self, name: str = "test") -> list[str]:
        found = await self.store.call(
            lambda registry: registry.campaigns.members(registry.campaigns.get(name)[0].number)
        )
        return [each.state.value for each in found]

    async def state(self, name: str = "test") -> CampaignState:
        return (await self.store.call(lambda registry: registry.campaigns.get(name)))[0].state

    def sql(self, text: str) -> None:
        with contextlib.closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute(text)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    database = tmp_path / "registry.sqlite"
    store = StoreThread(f"sqlite:///{database}")
    made = Site(store, database)
    yield made
    await made.tasks.close()
    await store.close()


async def test_an_order_is_performed_once_and_to_the_end(site: Site) -> None:
    await site.plan()
    await site.tick()
    assert (await site.members(), site.script.prepared) == (["eligible"], [])
    await site.order()
    await site.tick(6)
    assert (await site.members(), await site.state()) == (["committed"], CampaignState.FINISHED)
    assert site.script.told == ["CP-0"]
    assert [event for event, _ in site.events] == ["campaign.start", "campaign.committed", "campaign.finished"]
    assert site.facts == [(Stratum("V", "M0", "1"), Fact("campaign:certificate", "committed"))]
    await site.tick()
    assert site.campaigns.status() == []


async def test_a_process_that_takes_over_goes_on_and_tells_nobody_twice(site: Site) -> None:
    await site.plan()
    await site.order()
    site.script.sees = False
    for _ in range(5):
        await site.tick(2)
        site.restart()
    assert await site.members() == ["waiting"]
    site.script.sees = True
    site.restart()
    await site.tick(4)
    assert await site.members() == ["committed"]
    assert len(site.script.told) == 1


async def test_what_cannot_be_stored_is_not_done(site: Site) -> None:
    await site.plan()
    await site.order()
    site.sql(STOP_MEMBERS)
    for _ in range(3):
        with contextlib.suppress(StoreError):
            await site.tick()
    assert (await site.members(), site.script.told) == (["preparing"], [])
    site.sql("DROP TRIGGER stop")
    await site.tick(8)
    assert (await site.members(), site.script.told) == (["committed"], ["CP-0"])


@pytest.mark.parametrize("question", ["prepare", "switch"])
async def test_a_question_that_fails_ends_no_campaign(site: Site, question: str) -> None:
    await site.plan(retry_s=1e-6)
    await site.order()
    site.script.breaks = question
    await site.tick(4)
    site.script.breaks = ""
    await site.tick(8)
    assert await site.members() == ["committed"]
    assert site.script.told == ["CP-0"]


async def test_what_cannot_be_seen_is_looked_at_again(site: Site) -> None:
    await site.plan()
    await site.order()
    site.script.sees = False
    await site.tick(4)
    assert await site.members() == ["waiting"]
    site.script.breaks, site.script.sees = "observe", True
    await site.tick()
    assert await site.members() == ["waiting"]
    site.script.breaks = ""
    await site.tick(4)
    assert (await site.members(), site.script.told) == (["committed"], ["CP-0"])


async def test_one_of_whom_nothing_can_be_said_does_not_hide_the_others(site: Site) -> None:
    await site.plan(sizes=(2,), canaries=2)
    await site.order()
    site.script.breaks = "CP-0"
    await site.tick(8)
    assert await site.members() == ["waiting", "committed"]
    assert [event for event in site.events if event[0] == "campaign.stuck"] == [("campaign.stuck", "CP-0")]
    site.script.breaks = ""
    await site.tick(4)
    assert await site.members() == ["committed", "committed"]


async def test_a_campaign_that_fails_pauses_on_record_and_the_others_go_on(site: Site) -> None:
    await site.plan("first")
    await site.plan("second")
    site.sql("UPDATE campaign_members SET charge_point_id = 'CP-9' WHERE campaign = 2")
    site.connect(["CP-9"])
    site.sql("UPDATE campaign_members SET stratum = 7 WHERE campaign = 1")
    await site.order(name="first")
    await site.order(name="second")
    await site.tick(8)
    assert await site.members("second") == ["committed"]
    assert [event for event in site.events if event[0] == "campaign.failed"] == [
        ("campaign.failed", "first: IndexError, see the log of the gateway; it is paused")
    ]
    assert (await site.state("first"), await site.members("first")) == (CampaignState.PLANNED, ["eligible"])
    site.sql("UPDATE campaign_members SET stratum = 0 WHERE campaign = 1")
    await site.order(Order(what="start", by="ben"), name="first")
    await site.tick(8)
    assert await site.members("first") == ["committed"]


async def test_a_campaign_that_fails_while_it_runs_is_paused_until_somebody_lets_it_go_on(site: Site) -> None:
    await site.plan(sizes=(2,))
    await site.order()
    site.script.sees = False
    await site.tick(3)
    site.sql("UPDATE campaign_members SET stratum = 7 WHERE charge_point_id = 'CP-1'")
    site.restart()
    await site.tick(3)
    assert await site.state() is CampaignState.PAUSED
    assert [event for event, _ in site.events].count("campaign.failed") == 1
    site.sql("UPDATE campaign_members SET stratum = 0 WHERE charge_point_id = 'CP-1'")
    site.script.sees = True
    await site.tick(3)
    assert await site.members() == ["waiting", "eligible"]  # nobody has looked yet
    await site.order(Order(what="resume", by="anna"))
    await site.tick(12)
    assert (await site.members(), await site.state()) == (["committed", "committed"], CampaignState.FINISHED)


async def test_a_member_whose_row_is_damaged_is_on_record_and_the_others_go_on(site: Site) -> None:
    await site.plan(sizes=(2,), canaries=2)
    site.sql("UPDATE campaign_members SET rank = 'nonsense' WHERE charge_point_id = 'CP-0'")
    await site.order()
    await site.tick(8)
    assert site.script.told == ["CP-1"]
    assert [event for event in site.events if event[0] == "campaign.stuck"] == [("campaign.stuck", "CP-0")]


async def test_a_campaign_of_which_nobody_can_be_read_is_not_finished(site: Site) -> None:
    await site.plan()
    await site.order()
    await site.tick()
    site.sql("UPDATE campaign_members SET rank = 'nonsense'")
    site.restart()
    await site.tick(3)
    assert await site.state() is CampaignState.PAUSED
    assert [event for event, _ in site.events].count("campaign.failed") == 1


async def test_a_campaign_whose_row_is_damaged_stops_no_other(site: Site) -> None:
    await site.plan("first")
    await site.plan("second")
    site.sql("UPDATE campaign_members SET charge_point_id = 'CP-9' WHERE campaign = 2")
    site.connect(["CP-9"])
    await site.order(name="first")
    await site.order(name="second")
    site.sql("UPDATE campaigns SET plan = '{' WHERE number = 1")
    await site.tick(8)
    assert await site.members("second") == ["committed"]
    assert [detail[:30] for event, detail in site.events if event == "campaign.stuck"] == [
        "The campaign 'first' is damage"
    ]


async def test_two_campaigns_with_the_same_charge_point_do_not_both_begin(site: Site) -> None:
    await site.plan("a", ends_after_s=1e9, max_at_once=1)
    await site.plan("b")
    site.script.sees = False
    await site.order(name="a")
    await site.order(name="b")
    await site.tick(3)
    assert (await site.state("a"), await site.state("b")) == (CampaignState.RUNNING, CampaignState.PLANNED)
    assert [detail for event, detail in site.events if event == "campaign.order_refused"] == [
        "b: 1 of its charge points are in another campaign by now"
    ]
    assert (await site.store.call(lambda registry: registry.campaigns.get("b")))[1] is None


async def test_a_kind_of_another_release_is_said_once(site: Site) -> None:
    await site.plan("odd")
    await site.order(name="odd")
    await site.tick(3)
    assert site.events == [("campaign.stuck", "odd: this release has no campaigns of kind unheard-of")]


async def test_a_time_zone_that_this_machine_does_not_know_stops_it_and_is_said(site: Site) -> None:
    await site.plan(time_zone="Mars/Olympus")
    await site.order()
    await site.tick(3)
    assert await site.members() == ["eligible"]
    assert ("campaign.stuck", "test: this machine knows no time zone Mars/Olympus") in site.events


async def test_status_and_metrics_say_how_many_are_where(site: Site) -> None:
    await site.plan(sizes=(3,))
    await site.order()
    site.script.sees = False
    await site.tick(4)
    (found,) = site.campaigns.status()
    assert (found["name"], found["members"], found["halted"]) == ("test", {"waiting": 1, "eligible": 2}, [])
    assert site.campaigns.metrics() == {
        'ocpp_gateway_campaign_charge_points{state="waiting"}': 1.0,
        'ocpp_gateway_campaign_charge_points{state="eligible"}': 2.0,
        "ocpp_gateway_campaign_strata_halted": 0.0,
    }


def test_every_state_of_a_member_fits_its_column() -> None:
    assert max(len(state.value) for state in MemberState) <= 32
