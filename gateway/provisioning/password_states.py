"""The states of a password change, and which may follow which. `gateway.provisioning.password` says when."""

from enum import Enum
from typing import Final

__all__ = ["FOLLOWS", "PasswordState"]


class PasswordState(Enum):
    """Where the change of one password has got to. Each is on disk before anything is done that rests on it."""

    WANTED = "wanted"
    """It is to get another one; none has been made yet."""
    SENT = "sent"
    """The candidate is stored and may have been sent. Until somebody knows, the old one is accepted as well."""
    STAGED = "staged"
    """It has taken it, for after its next reboot or with its next network profile: both are accepted until then."""
    ACCEPTED = "accepted"
    """It has taken it: the old one is dead (A01.FR.03)."""
    IN_USE = "in-use"
    """It has connected with it. The end, if all is well."""
    REFUSED = "refused"
    """It does not want it: the old one stays (A01.FR.04)."""
    FAILED = "failed"
    SUPERSEDED = "superseded"

    @property
    def is_open(self) -> bool:
        """Which password the charge point has is not settled, or it is still to get one."""
        return self in _OPEN

    @property
    def is_watched(self) -> bool:
        """Time, an answer or a handshake may change it."""
        return self in _OPEN or self is PasswordState.ACCEPTED


_OPEN: Final = frozenset({PasswordState.WANTED, PasswordState.SENT, PasswordState.STAGED})
_ENDS: Final = frozenset({PasswordState.FAILED, PasswordState.SUPERSEDED})
FOLLOWS: Final[dict[PasswordState, frozenset[PasswordState]]] = {
    PasswordState.WANTED: frozenset({PasswordState.WANTED, PasswordState.SENT, *_ENDS}),
    PasswordState.SENT: frozenset(
        {
            PasswordState.WANTED,
            PasswordState.SENT,
            PasswordState.STAGED,
            PasswordState.ACCEPTED,
            PasswordState.IN_USE,
            PasswordState.REFUSED,
            *_ENDS,
        }
    ),
    PasswordState.STAGED: frozenset({PasswordState.ACCEPTED, PasswordState.IN_USE, *_ENDS}),
    PasswordState.ACCEPTED: frozenset({PasswordState.IN_USE, *_ENDS}),
    PasswordState.IN_USE: frozenset(),
    PasswordState.REFUSED: frozenset(),
    PasswordState.FAILED: frozenset(),
    PasswordState.SUPERSEDED: frozenset(),
}
"""What is not here cannot happen. In particular nothing leads from WANTED to ACCEPTED: a candidate is stored first."""
