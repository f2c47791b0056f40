"""What a campaign says of single charge points: a sentence for each, who does not get on, who has to be visited."""

from typing import Any

import msgspec
import pytest

from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.campaign import Campaign, Member
from gateway.provisioning.campaign_report import explained, site_visits, stuck
from gateway.provisioning.campaign_states import CampaignState, MemberState
from tests.provisioning.campaigning import START, campaign_of, identity, plan

CP = identity(0)


def one(state: MemberState, **fields: Any) -> Member:
    _, (member,) = campaign_of((1,), plan())
    return msgspec.structs.replace(member, state=state, **fields)


def campaign(state: CampaignState = CampaignState.RUNNING, halted: str = "") -> Campaign:
    found, _ = campaign_of((1,), plan())
    strata = (msgspec.structs.replace(found.strata[0], halted=halted),)
    return msgspec.structs.replace(found, state=state, strata=strata)


@pytest.mark.parametrize("state", MemberState)
def test_every_state_has_its_sentence_with_the_reason(state: MemberState) -> None:
    assert explained(one(state))
    assert explained(one(state, detail="for a reason")).endswith(": for a reason")


@pytest.mark.parametrize(
    ("state", "fields", "after_s", "why"),
    [
        (MemberState.ELIGIBLE, {"attempts": 2, "detail": "no answer"}, 1.0, "tried 2 times: no answer"),
        (MemberState.ELIGIBLE, {}, 1e6, ""),
        (MemberState.PREPARING, {}, 601.0, "is the gateway running?"),
        (MemberState.PREPARING, {}, 600.0, ""),
        (MemberState.SWITCH, {}, 601.0, "is the gateway running?"),
        (MemberState.WINDOW, {}, 601.0, "not connected, or others are before it"),
        (MemberState.WINDOW, {"detail": "it is charging"}, 601.0, "it is charging"),
        (MemberState.WINDOW, {}, 600.0, ""),
        (MemberState.PREPARED, {}, 7 * 86_400.0 + 1.0, "not opened for a week"),
        (MemberState.PREPARED, {}, 7 * 86_400.0, ""),
        (MemberState.WAITING, {"due_at": START + 100.0}, 701.0, "it is late"),
        (
            MemberState.WAITING,
            {"due_at": START + 100.0},
            700.0,
            "",
        ),  # it may not have had its turn, or we have just started
        (MemberState.SOAK, {"due_at": START + 100.0}, 701.0, "it is not connected"),
        (MemberState.SOAK, {"due_at": START + 100.0}, 700.0, ""),
        (MemberState.COMMITTED, {}, 1e9, ""),
        (MemberState.LOST, {}, 1e9, ""),
    ],
)
def test_who_is_stuck_and_on_what(state: MemberState, fields: dict[str, Any], after_s: float, why: str) -> None:
    found = stuck(campaign(), [one(state, **fields)], START + after_s)
    assert list(found) == ([CP] if why else [])
    assert why in found.get(CP, "")


def test_a_halt_and_a_pause_are_why_nobody_of_those_before_gets_on() -> None:
    before, begun = one(MemberState.PREPARED), one(MemberState.WAITING, due_at=START + 9.0)
    halted = stuck(campaign(halted="1 lost in the first wave"), [before], START + 1.0)
    assert halted == {CP: "its stratum has halted: 1 lost in the first wave"}
    assert stuck(campaign(CampaignState.PAUSED), [before], START + 1.0) == {CP: "the campaign is paused"}
    assert stuck(campaign(CampaignState.PAUSED, "halted"), [begun], START + 1.0) == {}
    assert stuck(campaign(CampaignState.PLANNED), [one(MemberState.ELIGIBLE, attempts=3)], START + 1e6) == {}


def record(charge_point_id: ChargePointId, group: str, last_seen_at: float) -> ChargePointRecord:
    return ChargePointRecord(
        charge_point_id=charge_point_id,
        security_profile=SecurityProfile(2),
        serial_number="SN-1",
        group=group,
        notes="behind the barrier",
        last_seen_at=last_seen_at,
    )


def test_only_the_lost_are_visited_one_site_after_the_other() -> None:
    the_campaign, members = campaign_of((4,), plan())
    states = (MemberState.LOST, MemberState.LOST, MemberState.FELL_BACK, MemberState.LOST)
    rows = [
        msgspec.structs.replace(each, state=state, changed_at=START + 10.0, switched_at=START + 5.0, detail="gone")
        for each, state in zip(members, states, strict=True)
    ]
    records = {
        identity(0): record(identity(0), "west", START + 9.0),
        identity(1): record(identity(1), "east", START + 11.0),
        identity(2): record(identity(2), "east", START),
    }
    gone, east, west = site_visits(the_campaign, rows, records)
    assert [each.charge_point_id for each in (gone, east, west)] == [identity(3), identity(1), identity(0)]
    assert (east.came_back, west.came_back, gone.came_back) == (True, False, False)
    assert (west.notes, west.serial_number, west.model, west.told_at) == (
        "behind the barrier",
        "SN-1",
        "M0",
        START + 5.0,
    )
    assert (gone.notes, gone.why, gone.what) == ("it is not registered any more", "gone", "certificate")
