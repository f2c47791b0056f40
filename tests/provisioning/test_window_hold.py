"""Whose row is it that waits for a window: the campaign's, or that of an operator who has come later."""

import pytest

from gateway.provisioning.campaign import Member
from gateway.provisioning.campaign_states import MemberState
from gateway.provisioning.window_hold import is_begun_by
from tests.provisioning.campaigning import identity


@pytest.mark.parametrize(
    ("state", "created_at", "is_campaigns"),
    [
        (MemberState.SWITCH, 100.0, True),
        (MemberState.WAITING, 150.0, True),
        (MemberState.WAITING, 250.0, True),  # what follows from it: its key was gone, and it asks again
        (MemberState.WAITING, 99.0, False),  # it was there before
        (MemberState.LOST, 250.0, True),
        (MemberState.FELL_BACK, 150.0, True),  # 1.6 may still be told
        (MemberState.FELL_BACK, 201.0, False),  # an operator tries again by hand
        (MemberState.COMMITTED, 201.0, False),
        (MemberState.WINDOW, 150.0, False),  # told nothing, in the end
    ],
)
def test_what_a_campaign_has_begun(state: MemberState, created_at: float, is_campaigns: bool) -> None:
    member = Member(charge_point_id=identity(0), stratum=0, rank=0, state=state, changed_at=200.0, switched_at=100.0)
    assert is_begun_by(member, created_at) is is_campaigns
