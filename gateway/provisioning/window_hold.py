"""What a campaign has begun goes on within its windows only: whose row is it, and may it go on? Pure."""

from gateway.provisioning.campaign import Member
from gateway.provisioning.campaign_states import MemberState

__all__ = ["HELD", "is_begun_by"]

HELD = "it waits for the maintenance window of its campaign"
"""Why a row stands still, for people."""


def is_begun_by(member: Member, created_at: float, *, is_over: bool) -> bool:
    """True if a row of this charge point that was created then is what the campaign has begun.

    `member`: of the campaign of this kind in which it was told last; `is_over`: that campaign. What is begun after that one has
    ended is somebody else's, an operator's, say, who decides about the hour himself, or a renewal that is due.
    """
    if member.state.is_before or created_at < member.switched_at:
        return False
    may_go_on = not member.state.is_over or (member.state is MemberState.LOST and not is_over)
    return may_go_on or created_at <= member.changed_at
