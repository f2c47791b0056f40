"""The states of a security-profile upgrade, and which may follow which. `gateway.provisioning.upgrade` says when."""

from enum import Enum
from typing import Final

__all__ = ["FOLLOWS", "UpgradeState"]


class UpgradeState(Enum):
    """How far an upgrade has got. Each is on disk before anything is done that rests on it."""

    WANTED = "wanted"
    """Nothing is changed yet: the preflight has not passed, or something has to be waited for."""
    INSTALLING_ROOT = "installing-root"
    """The root of our server certificates is not there, and may have been sent to it."""
    ENROLLING = "enrolling"
    """Everything is there but the charge point's certificate, which is on its way (profile 3)."""
    BOTH_ACCEPTED = "both-accepted"
    """The old and the new profile are accepted. The charge point may have been told."""
    TOLD = "told"
    """It has taken the new profile; it uses it after its next start."""
    SWITCHING = "switching"
    """It has been sent to restart."""
    RETURNING = "returning"
    """It has come back on the old profile, or the upgrade is given up: what it was told is taken back."""
    LOST = "lost"
    """It has not switched in time, and may still: not seen since it was sent to restart, or deaf. Both stay accepted."""
    PROVEN = "proven"
    """It has registered on the new profile: nothing lower is accepted any more. The end, if all is well."""
    FELL_BACK = "fell-back"
    REFUSED = "refused"
    """It could not be: what stands in the way is in the detail. Nothing has changed."""
    ABORTED = "aborted"

    @property
    def is_open(self) -> bool:
        """Something is still to come."""
        return self not in ENDS

    @property
    def accepts_both(self) -> bool:
        """The charge point may come in on the old and on the new profile."""
        return self in _BOTH


ENDS: Final = frozenset({UpgradeState.PROVEN, UpgradeState.FELL_BACK, UpgradeState.REFUSED, UpgradeState.ABORTED})
_BOTH: Final = frozenset(
    {
        UpgradeState.BOTH_ACCEPTED,
        UpgradeState.TOLD,
        UpgradeState.SWITCHING,
        UpgradeState.RETURNING,
        UpgradeState.LOST,
    }
)
FOLLOWS: Final[dict[UpgradeState, frozenset[UpgradeState]]] = {
    UpgradeState.WANTED: frozenset(
        {
            UpgradeState.WANTED,
            UpgradeState.INSTALLING_ROOT,
            UpgradeState.ENROLLING,
            UpgradeState.BOTH_ACCEPTED,
            UpgradeState.REFUSED,
            UpgradeState.ABORTED,
        }
    ),
    UpgradeState.INSTALLING_ROOT: frozenset(
        {
            UpgradeState.INSTALLING_ROOT,
            UpgradeState.WANTED,
            UpgradeState.REFUSED,
            UpgradeState.ABORTED,
        }
    ),
    UpgradeState.ENROLLING: frozenset({UpgradeState.WANTED, UpgradeState.REFUSED, UpgradeState.ABORTED}),
    UpgradeState.BOTH_ACCEPTED: frozenset(
        {
            UpgradeState.BOTH_ACCEPTED,
            UpgradeState.TOLD,
            UpgradeState.RETURNING,
            UpgradeState.LOST,
            UpgradeState.PROVEN,
            UpgradeState.ABORTED,
            UpgradeState.REFUSED,
        }
    ),
    UpgradeState.TOLD: frozenset(
        {
            UpgradeState.TOLD,
            UpgradeState.SWITCHING,
            UpgradeState.RETURNING,
            UpgradeState.LOST,
            UpgradeState.PROVEN,
            UpgradeState.ABORTED,
        }
    ),
    UpgradeState.SWITCHING: frozenset(
        {
            UpgradeState.SWITCHING,
            UpgradeState.TOLD,
            UpgradeState.RETURNING,
            UpgradeState.LOST,
            UpgradeState.PROVEN,
            UpgradeState.ABORTED,
        }
    ),
    UpgradeState.LOST: frozenset({UpgradeState.RETURNING, UpgradeState.PROVEN, UpgradeState.ABORTED}),
    UpgradeState.RETURNING: frozenset(
        {UpgradeState.RETURNING, UpgradeState.FELL_BACK, UpgradeState.ABORTED, UpgradeState.PROVEN}
    ),
    UpgradeState.PROVEN: frozenset(),
    # Out of these two only where both are still accepted, as nothing could be taken back (1.6): it uses the new one late.
    UpgradeState.FELL_BACK: frozenset({UpgradeState.PROVEN}),
    UpgradeState.ABORTED: frozenset({UpgradeState.PROVEN}),
    UpgradeState.REFUSED: frozenset(),
}
"""What is not here cannot happen. In particular nothing but a state that accepts both leads to PROVEN, and out of one
that accepts both no way leads back without RETURNING, except where the charge point has refused to be told, or where an
operator has given it another profile: ABORTED."""
