"""The states of a campaign and of each charge point in one, and which may follow which. `campaign_run` says when."""

from enum import Enum
from typing import Final

__all__ = ["FOLLOWS", "CampaignState", "MemberState"]


class CampaignState(Enum):
    """Where a campaign is as a whole."""

    PLANNED = "planned"
    """Nothing happens before somebody starts it."""
    RUNNING = "running"
    PAUSED = "paused"
    """Nothing new begins; what has begun is watched to its end."""
    ABORTING = "aborting"
    """Nothing will begin any more; what has begun is watched to its end."""
    ABORTED = "aborted"
    FINISHED = "finished"

    @property
    def is_over(self) -> bool:
        """Nothing changes any more."""
        return self in {CampaignState.ABORTED, CampaignState.FINISHED}


class MemberState(Enum):
    """Where one charge point is. Each is on disk before anything is done that rests on it."""

    ELIGIBLE = "eligible"
    """Nothing stands in its way; its wave has not come, or it is not connected."""
    PREPARING = "preparing"
    PREPARED = "prepared"
    """It waits for the maintenance window."""
    WINDOW = "window"
    """The window is open; it waits for its turn, and until it is connected and idle."""
    SWITCH = "switch"
    """It is being told. Whether it has heard it is not known."""
    WAITING = "waiting"
    """It has been told; it has not proven itself yet."""
    VERIFIED = "verified"
    """It was seen with the new."""
    SOAK = "soak"
    """It has to stay with it for a while."""
    COMMITTED = "committed"
    FELL_BACK = "fell-back"
    """It is on what it had before: it refused the new, could not use it, or did not in time. It can be reached."""
    LOST = "lost"
    """It was told, and has not come back."""
    INELIGIBLE = "ineligible"
    """Something stands in its way; nothing was changed."""
    NOT_REACHED = "not-reached"
    """Its turn never came before the campaign ended; nothing was changed."""
    WITHDRAWN = "withdrawn"
    """The campaign was aborted before its turn; nothing was switched."""

    @property
    def has_begun(self) -> bool:
        """It has been told, perhaps, and its fate is not decided: it is watched whatever becomes of the campaign."""
        return self in _BEGUN

    @property
    def is_underway(self) -> bool:
        """It may be between the old and the new at this moment: what a wave's rate counts."""
        return self in {MemberState.SWITCH, MemberState.WAITING}

    @property
    def is_before(self) -> bool:
        """It has not been told anything yet."""
        return self in _BEFORE

    @property
    def is_over(self) -> bool:
        """Its fate is decided, though a lost one may come back."""
        return self not in _BEFORE and self not in _BEGUN


_BEFORE: Final = frozenset({MemberState.ELIGIBLE, MemberState.PREPARING, MemberState.PREPARED, MemberState.WINDOW})
_BEGUN: Final = frozenset({MemberState.SWITCH, MemberState.WAITING, MemberState.VERIFIED, MemberState.SOAK})
_LEFT_OUT: Final = frozenset({MemberState.INELIGIBLE, MemberState.NOT_REACHED, MemberState.WITHDRAWN})
FOLLOWS: Final[dict[MemberState, frozenset[MemberState]]] = {
    MemberState.ELIGIBLE: frozenset({MemberState.ELIGIBLE, MemberState.PREPARING, *_LEFT_OUT}),
    MemberState.PREPARING: frozenset({MemberState.ELIGIBLE, MemberState.PREPARED, *_LEFT_OUT}),
    MemberState.PREPARED: frozenset({MemberState.WINDOW, *_LEFT_OUT}),
    # Back to ELIGIBLE: it gives its place in the wave to another one, as it is not there.
    MemberState.WINDOW: frozenset({MemberState.PREPARED, MemberState.SWITCH, MemberState.ELIGIBLE, *_LEFT_OUT}),
    # Back to WINDOW: it was not told, because the moment was wrong (a transaction runs, say).
    MemberState.SWITCH: frozenset({MemberState.WINDOW, MemberState.WAITING, MemberState.FELL_BACK}),
    # Once more: the window has closed before it could be switched, and it waits for the next one.
    MemberState.WAITING: frozenset(
        {MemberState.WAITING, MemberState.VERIFIED, MemberState.FELL_BACK, MemberState.LOST}
    ),
    MemberState.VERIFIED: frozenset({MemberState.SOAK}),
    MemberState.SOAK: frozenset({MemberState.COMMITTED, MemberState.FELL_BACK, MemberState.LOST}),
    MemberState.COMMITTED: frozenset(),
    MemberState.FELL_BACK: frozenset(),
    MemberState.LOST: frozenset({MemberState.VERIFIED, MemberState.FELL_BACK}),
    MemberState.INELIGIBLE: frozenset(),
    MemberState.NOT_REACHED: frozenset(),
    MemberState.WITHDRAWN: frozenset(),
}
"""What is not here cannot happen. In particular nothing but SOAK leads to COMMITTED, and nothing leads out of it."""
