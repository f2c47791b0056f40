"""Whose row is it that waits for a window: the campaign's, or that of an operator who has come later."""

import pytest

from gateway.provisioning.campaign import Member
from gateway.provisioning.campaign_states import MemberState
from gateway.provisioning.window_hold import is_begun_by
from tests.provisioning.campaigning import identity


@pytest.mark.parametrize(
    ("state", "created_at", "is_over", "is_campaigns"),
    [
        (MemberState.SWITCH, 100.0, False, True),
        (MemberState.WAITING, 150.0, False, True),
        (MemberState.WAITING, 250.0, False, True),  # what follows from it: its key was gone, and it asks again
        (MemberState.WAITING, 99.0, False, False),  # it was there before
        (MemberState.LOST, 250.0, False, True),
        (
            MemberState.LOST,
            250.0,
            True,
            False,
        ),  # months later a renewal is due: nobody waits for that campaign any more
        (MemberState.LOST, 150.0, True, True),
        (MemberState.FELL_BACK, 150.0, False, True),  # 1.6 may still be told
        (MemberState.FELL_BACK, 201.0, False, False),  # an operator tries again by hand
        (MemberState.COMMITTED, 201.0, False, False),
        (MemberState.WINDOW, 150.0, False, False),  # told nothing, in the end
    ],
)
def test_what_a_campaign_has_begun(state: MemberState, created_at: float, is_over: bool, is_campaigns: bool) -> None:
    member = Member(charge_point_id=identity(0), stratum=0, rank=0, state=state, changed_at=200.0, switched_at=100.0)
    assert is_begun_by(member, created_at, is_over=is_over) is is_campaigns
