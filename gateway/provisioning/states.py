"""The states of an enrolment, and which may follow which. `gateway.provisioning.enrolment` says when."""

from enum import Enum
from typing import Final

__all__ = ["FOLLOWS", "State"]


class State(Enum):
    """Where the way to one certificate has got to. Each is on disk before anything is done that rests on it."""

    TRIGGER_WANTED = "trigger-wanted"
    """The charge point is to ask; it has not been told to yet, or not for a while."""
    TRIGGER_SENT = "trigger-sent"
    CSR_RECEIVED = "csr-received"
    HELD = "held"
    """An operator has to approve it."""
    ISSUED = "issued"
    DELIVERY_SENT = "delivery-sent"
    STATION_ACCEPTED = "station-accepted"
    SEEN_IN_HANDSHAKE = "seen-in-handshake"
    """The charge point has connected with the new certificate."""
    OLD_RETIRED = "old-retired"
    """It has done so for a quiet period: the certificate before is not expected any more. The end, if all is well."""
    REJECTED_BY_STATION = "rejected-by-station"
    DISCARDED = "discarded"
    """It said Accepted, could not connect with it, and has gone back to the certificate before (A02.FR.28, 29)."""
    DENIED = "denied"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"

    @property
    def is_open(self) -> bool:
        """Something is still to come before the new certificate is in use."""
        return self in _OPEN

    @property
    def is_watched(self) -> bool:
        """Time or a handshake may change it."""
        return self in _WATCHED


_OPEN: Final = frozenset(
    {
        State.TRIGGER_WANTED,
        State.TRIGGER_SENT,
        State.CSR_RECEIVED,
        State.HELD,
        State.ISSUED,
        State.DELIVERY_SENT,
        State.STATION_ACCEPTED,
    }
)
_WATCHED: Final = _OPEN | {State.SEEN_IN_HANDSHAKE, State.REJECTED_BY_STATION, State.DISCARDED}
_ENDS: Final = frozenset({State.EXPIRED, State.SUPERSEDED})
FOLLOWS: Final[dict[State, frozenset[State]]] = {
    State.TRIGGER_WANTED: frozenset({State.TRIGGER_WANTED, State.TRIGGER_SENT, State.CSR_RECEIVED, *_ENDS}),
    State.TRIGGER_SENT: frozenset({State.TRIGGER_SENT, State.TRIGGER_WANTED, State.CSR_RECEIVED, *_ENDS}),
    State.CSR_RECEIVED: frozenset({State.CSR_RECEIVED, State.HELD, State.ISSUED, State.DENIED, *_ENDS}),
    # Back to CSR_RECEIVED once approved, where another CA has yet to be asked.
    State.HELD: frozenset({State.HELD, State.CSR_RECEIVED, State.ISSUED, State.DENIED, *_ENDS}),
    # Accepted although it is to be sent once more: the same request has come again while the certificate was on the way.
    State.ISSUED: frozenset(
        {State.ISSUED, State.DELIVERY_SENT, State.STATION_ACCEPTED, State.SEEN_IN_HANDSHAKE, *_ENDS}
    ),
    State.DELIVERY_SENT: frozenset(
        {
            State.ISSUED,
            State.DELIVERY_SENT,
            State.STATION_ACCEPTED,
            State.REJECTED_BY_STATION,
            State.SEEN_IN_HANDSHAKE,
            *_ENDS,
        }
    ),
    State.STATION_ACCEPTED: frozenset({State.ISSUED, State.SEEN_IN_HANDSHAKE, State.DISCARDED, *_ENDS}),
    # The answer was no, or we had given up; and then it connects with it all the same: it has it.
    State.DISCARDED: frozenset({State.SEEN_IN_HANDSHAKE}),
    State.REJECTED_BY_STATION: frozenset({State.SEEN_IN_HANDSHAKE}),
    State.SEEN_IN_HANDSHAKE: frozenset({State.OLD_RETIRED}),
    State.OLD_RETIRED: frozenset(),
    State.DENIED: frozenset(),
    State.EXPIRED: frozenset(),
    State.SUPERSEDED: frozenset(),
}
"""What is not here cannot happen. In particular nothing but SEEN_IN_HANDSHAKE leads to OLD_RETIRED."""
