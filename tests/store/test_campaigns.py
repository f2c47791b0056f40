"""The tables of campaigns and capabilities, on SQLite and PostgreSQL."""

import msgspec
import pytest
from sqlalchemy import text

from gateway.provisioning.campaign import Campaign, Member, Order, OrderRefused
from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.campaign_states import CampaignState, MemberState
from gateway.provisioning.campaign_window import parse_window
from gateway.provisioning.capability import Count, Evidence
from gateway.store import capabilities
from gateway.store.database import open_database
from gateway.store.errors import StoreError
from gateway.store.registry import Registry
from tests.provisioning.campaigning import campaign_of, identity, plan

STRATUM = Stratum("Vendor", "Model", "1.0")


def stored(registry: Registry, name: str = "test", **fields: object) -> tuple[Campaign, list[Member]]:
    campaign, members = campaign_of((2, 1), plan(windows=(parse_window("mon 01:00-02:00"),), **fields))
    campaign = registry.campaigns.add(msgspec.structs.replace(campaign, name=name, number=0), members)
    return campaign, members


def started(registry: Registry, campaign: Campaign) -> Campaign:
    running = msgspec.structs.replace(campaign, state=CampaignState.RUNNING, started_at=5.0)
    registry.campaigns.put(running, [])
    return running


def order(what: str) -> Order:
    return msgspec.convert({"what": what, "by": "anna"}, Order)


def test_everything_comes_back(registry: Registry) -> None:
    campaign, members = stored(registry)
    assert campaign.number > 0
    assert registry.campaigns.get("test") == (campaign, None)
    assert registry.campaigns.members(campaign.number) == members
    assert registry.campaigns.counts(campaign.number) == {(0, MemberState.ELIGIBLE): 2, (1, MemberState.ELIGIBLE): 1}


def test_a_change_is_kept_with_its_step(registry: Registry) -> None:
    campaign, members = stored(registry)
    running = msgspec.structs.replace(campaign, state=CampaignState.RUNNING)
    moved = msgspec.structs.replace(
        members[0], state=MemberState.PREPARING, wave=0, changed_at=7.0, detail="why", mark="3"
    )
    registry.campaigns.put(running, [moved])
    assert registry.campaigns.get("test")[0] == running
    assert registry.campaigns.members(campaign.number) == [moved, *members[1:]]
    steps = registry.campaigns.steps(campaign.number, identity(0))
    assert [(step.state, step.at, step.detail) for step in steps][1:] == [(MemberState.PREPARING, 7.0, "why")]
    assert len(registry.campaigns.steps(campaign.number)) == 4


def test_a_name_is_given_once(registry: Registry) -> None:
    stored(registry)
    with pytest.raises(StoreError, match="a campaign 'test' already"):
        stored(registry)
    stored(registry, "other")
    assert [each.name for each in registry.campaigns.all()] == ["other", "test"]


def test_one_that_is_not_there_is_named(registry: Registry) -> None:
    with pytest.raises(StoreError, match="no campaign 'x'"):
        registry.campaigns.get("x")
    with pytest.raises(StoreError, match="no campaign 'x'"):
        registry.campaigns.order("x", order("start"), 1.0)


class TestOrders:
    def test_one_is_there_until_it_has_been_performed(self, registry: Registry) -> None:
        campaign, _ = stored(registry)
        registry.campaigns.order("test", order("start"), 1.0)
        assert registry.campaigns.get("test")[1] == order("start")
        assert registry.campaigns.active() == [(campaign, order("start"))]
        running = msgspec.structs.replace(campaign, state=CampaignState.RUNNING)
        registry.campaigns.put(running, [], order("start"))
        assert registry.campaigns.active() == [(running, None)]

    def test_a_newer_one_is_not_taken_for_the_one_performed(self, registry: Registry) -> None:
        campaign = started(registry, stored(registry)[0])
        registry.campaigns.order("test", order("abort"), 1.0)
        registry.campaigns.put(campaign, [], order("pause"))
        assert registry.campaigns.get("test")[1] == order("abort")
        registry.campaigns.drop_order(campaign.number, order("abort"))
        assert registry.campaigns.get("test")[1] is None

    def test_what_is_planned_is_left_alone_without_an_order(self, registry: Registry) -> None:
        campaign = started(registry, stored(registry)[0])
        stored(registry, "planned")
        assert registry.campaigns.active() == [(campaign, None)]

    def test_what_does_not_fit_is_not_left_behind(self, registry: Registry) -> None:
        stored(registry)
        with pytest.raises(OrderRefused, match="it is planned"):
            registry.campaigns.order("test", order("pause"), 1.0)
        assert registry.campaigns.active() == []

    def test_nobody_is_in_two_campaigns_at_once(self, registry: Registry) -> None:
        first, members = stored(registry)
        second, _ = stored(registry, "second")
        running = started(registry, first)
        with pytest.raises(OrderRefused, match="3 of its charge points are in another campaign: CP-0"):
            registry.campaigns.order("second", order("start"), 1.0)
        assert len(registry.campaigns.members_elsewhere(second.number)) == 3
        done = [msgspec.structs.replace(each, state=MemberState.WITHDRAWN) for each in members]
        registry.campaigns.put(running, done)
        registry.campaigns.order("second", order("start"), 1.0)
        assert registry.campaigns.open_elsewhere() == {identity(number): "second" for number in range(3)}


class TestApproval:
    def test_by_somebody_else_and_once(self, registry: Registry) -> None:
        stored(registry, needs_approval=True)
        with pytest.raises(OrderRefused, match="a second person"):
            registry.campaigns.order("test", order("start"), 1.0)
        with pytest.raises(OrderRefused, match="somebody else"):
            registry.campaigns.approve("test", " Anna ", 1.0)
        registry.campaigns.approve("test", "bert", 1.0)
        with pytest.raises(OrderRefused, match="bert has approved it already"):
            registry.campaigns.approve("test", "carl", 1.0)
        registry.campaigns.order("test", order("start"), 1.0)

    def test_not_after_the_start(self, registry: Registry) -> None:
        started(registry, stored(registry)[0])
        with pytest.raises(OrderRefused, match="nothing to approve"):
            registry.campaigns.approve("test", "bert", 1.0)


def test_removed_with_all_about_it_but_not_while_it_runs(registry: Registry) -> None:
    campaign, _ = stored(registry)
    running = started(registry, campaign)
    with pytest.raises(OrderRefused, match="it is running"):
        registry.campaigns.remove("test")
    registry.campaigns.put(msgspec.structs.replace(running, state=CampaignState.FINISHED), [])
    registry.campaigns.remove("test")
    assert registry.campaigns.all() == []
    assert registry.campaigns.steps(campaign.number) == []
    with pytest.raises(StoreError, match="is gone"):
        registry.campaigns.put(running, [])


@pytest.mark.parametrize("change", ["plan = 'x'", "strata = '{}'"])
def test_a_row_edited_into_nonsense_is_named(url: str, registry: Registry, change: str) -> None:
    stored(registry)
    database = open_database(url)
    with database.writing() as connection:
        connection.execute(text(f"UPDATE campaigns SET {change}"))
    database.close()
    with pytest.raises(StoreError, match="'test' is damaged"):
        registry.campaigns.get("test")


def count(value: str = "Accepted", number: int = 1, at: float = 1.0, evidence: Evidence = "here") -> Count:
    return Count(
        stratum=STRATUM, fact="call:Reset", value=value, count=number, first_at=at, last_at=at, evidence=evidence
    )


class TestCapabilities:
    def test_what_is_learnt_is_counted(self, registry: Registry) -> None:
        registry.capabilities.learn([count(), count("Rejected", 2)])
        registry.capabilities.learn([count(at=5.0)])
        assert registry.capabilities.of(STRATUM) == [
            msgspec.structs.replace(count(number=2), last_at=5.0),
            count("Rejected", 2),
        ]
        assert registry.capabilities.of(Stratum("Other", "Model", "1.0")) == []

    def test_an_import_replaces_the_one_before_and_nothing_of_ours(self, registry: Registry) -> None:
        registry.capabilities.learn([count()])
        registry.capabilities.replace_imported([count(number=7, evidence="imported")])
        registry.capabilities.replace_imported([count(number=9, evidence="imported")])
        assert [(each.evidence, each.count) for each in registry.capabilities.all()] == [("here", 1), ("imported", 9)]

    def test_a_full_table_counts_on_and_takes_nothing_new(
        self, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(capabilities, "MAX_ROWS", 1)
        assert registry.capabilities.learn([count(), count("Rejected")]) == 1
        assert registry.capabilities.learn([count()]) == 0
        assert [each.count for each in registry.capabilities.all()] == [2]
        with pytest.raises(StoreError, match="2 facts, and 1 can be kept"):
            registry.capabilities.replace_imported([count(evidence="imported"), count("x", evidence="imported")])


def test_who_was_told_last_is_found_with_its_campaign(registry: Registry) -> None:
    who = identity(0)
    for number, (name, kind) in enumerate((("a", "certificate"), ("b", "certificate"), ("c", "password"))):
        campaign, members = stored(registry, name=name)
        campaign = msgspec.structs.replace(campaign, kind=kind, state=CampaignState.FINISHED)
        told = msgspec.structs.replace(members[0], state=MemberState.COMMITTED, switched_at=7.0 + number)
        registry.campaigns.put(campaign, [told])
    found = registry.campaigns.told_last(who, "certificate")
    assert found is not None
    assert (found[0].name, found[0].kind, found[1].switched_at) == ("b", "certificate", 8.0)
    assert registry.campaigns.told_last(identity(1), "certificate") is None, "it has not had its turn"
    assert registry.campaigns.told_last(who, "security-profile") is None
