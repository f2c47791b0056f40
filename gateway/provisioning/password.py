"""One change of one charge point's password (A01), from the wish to its use: events in, the new state out. Pure.

    WANTED > SENT > ACCEPTED > IN_USE
             SENT > STAGED > IN_USE
             SENT > REFUSED

The registry's two slots hold the hashes: the candidate goes into the pending one before SENT, and ACCEPTED or a handshake
makes it the current one. Here is what the change is at, so that whoever comes after a crash goes on. Nobody keeps the
candidate itself: a process that has lost it can only wait which of the two the charge point uses, and start again.

Every function takes the time (seconds since the epoch); one that cannot follow the state raises ValueError.
"""

from enum import Enum
from typing import Final, Literal

import msgspec

from gateway.ocpp.password_messages import Outcome
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.agenda import NEVER
from gateway.provisioning.password_states import FOLLOWS, PasswordState

__all__ = [
    "Origin",
    "PasswordChange",
    "PasswordStep",
    "answered",
    "as_stored",
    "believed",
    "due_at",
    "failed",
    "learnt",
    "may_be_for_later",
    "next_step",
    "postponed",
    "put_off",
    "returned",
    "sent",
    "sent_again",
    "sent_by_csms_again",
    "superseded",
    "used",
    "wanted",
]

Origin = Literal["gateway", "csms"]
"""Who changes it."""
_REPEAT_S: Final = 60.0
"""After which the same candidate is sent again over a connection that has not answered, doubling."""
_AGAIN_S: Final = 5.0
"""After which another candidate is made, where the last one has come to nothing, doubling."""
_MAX_ATTEMPTS: Final = 6
_MAX_BACK_OFF: Final = 6
_DETAIL_CHARS: Final = 200


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table; empty is what is not known yet."""

    charge_point_id: ChargePointId
    state: PasswordState
    created_at: float
    changed_at: float
    number: int = 0
    """Of the row; 0 until it is stored."""
    revision: int = 0
    """Of the row as it was read or stored: another node may have written it since."""
    origin: Origin = "gateway"
    candidate: str = ""
    """The hash of the new password, as it stands in the registry."""
    session: str = ""
    """Over which it was sent."""
    attempts: int = 0
    due_at: float = 0.0
    detail: str = ""
    """For people: why it is as it is. Never a password."""

    def __repr__(self) -> str:
        return f"PasswordChange({self.charge_point_id!r}, {self.state.value!r}, number={self.number})"


class PasswordStep(Enum):
    """What is to be done now."""

    WAIT = "wait"
    CHANGE = "change"
    """Make a candidate, store its hash, send it."""
    REPEAT = "repeat"
    """Send the same candidate again; whoever does not have it any more waits."""
    GIVE_UP = "give-up"


def next_step(change: PasswordChange, now: float, *, reachable: bool) -> PasswordStep:
    """What the state asks for. `reachable`: the charge point is connected and has registered."""
    if now < change.due_at or change.origin == "csms":
        return PasswordStep.WAIT
    if change.state is PasswordState.WANTED:
        if change.attempts >= _MAX_ATTEMPTS:
            return PasswordStep.GIVE_UP
        return PasswordStep.CHANGE if reachable else PasswordStep.WAIT
    if change.state is PasswordState.SENT and reachable and change.attempts < _MAX_ATTEMPTS:
        return PasswordStep.REPEAT
    return PasswordStep.WAIT


def due_at(change: PasswordChange) -> float:
    """From when on `next_step` asks for something, of a charge point that can be reached; NEVER if it has to be told."""
    if change.origin == "csms":
        return NEVER
    is_open = change.state is PasswordState.WANTED
    is_repeated = change.state is PasswordState.SENT and change.attempts < _MAX_ATTEMPTS
    return change.due_at if is_open or is_repeated else NEVER


def wanted(charge_point_id: ChargePointId, now: float) -> PasswordChange:
    """The charge point is to get another password."""
    return PasswordChange(charge_point_id=charge_point_id, state=PasswordState.WANTED, created_at=now, changed_at=now)


def learnt(charge_point_id: ChargePointId, now: float, candidate: str, session: str) -> PasswordChange:
    """The CSMS gives it another one. On disk before the call goes on."""
    return PasswordChange(
        charge_point_id=charge_point_id,
        state=PasswordState.SENT,
        created_at=now,
        changed_at=now,
        origin="csms",
        candidate=candidate,
        session=session,
        attempts=1,
    )


def sent(change: PasswordChange, now: float, candidate: str, session: str) -> PasswordChange:
    """The candidate is in the registry and is about to be sent."""
    return _to(
        PasswordState.SENT,
        change,
        now,
        candidate=candidate,
        session=session,
        attempts=change.attempts + 1,
        due_at=now + _backed_off(_REPEAT_S, change),
        detail="",
    )


def sent_again(change: PasswordChange, now: float, session: str) -> PasswordChange:
    """The same candidate once more."""
    return sent(change, now, change.candidate, session)


def believed(outcome: Outcome, *, sent_before: bool) -> Outcome:
    """What an answer says of a candidate that may have been sent before without one.

    A charge point that has taken it then, and now refuses to set what it has already, must not be locked out.
    """
    return "unknown" if outcome == "refused" and sent_before else outcome


def sent_by_csms_again(change: PasswordChange, now: float, session: str) -> PasswordChange:
    """The CSMS gives it the same one once more, or it was pending before."""
    return _to(PasswordState.SENT, change, now, session=session, attempts=change.attempts + 1)


def answered(change: PasswordChange, now: float, outcome: Outcome, why: str) -> PasswordChange:
    """The charge point has said what becomes of the candidate, or nobody knows (`unknown`)."""
    match outcome:
        case "accepted":
            return _to(PasswordState.ACCEPTED, change, now, due_at=0.0, detail="")
        case "later":
            return _to(PasswordState.STAGED, change, now, due_at=0.0, detail=why)
        case "refused":
            return _to(PasswordState.REFUSED, change, now, candidate="", detail=why)
        case "unknown":
            return _to(PasswordState.SENT, change, now, detail=why)


def may_be_for_later(change: PasswordChange) -> bool:
    """True if a handshake with the password before says nothing about the candidate.

    It was taken for after a reboot; or nobody has heard an answer, and then it may have been, as long as it is sent again.
    """
    is_unheard = change.state is PasswordState.SENT and change.origin == "gateway" and change.attempts < _MAX_ATTEMPTS
    return is_unheard or change.state is PasswordState.STAGED


def returned(change: PasswordChange, now: float) -> PasswordChange:
    """A handshake with the password before, and nobody has heard what became of the candidate: soon it is sent again."""
    return _to(
        PasswordState.SENT,
        change,
        now,
        due_at=now + _backed_off(_AGAIN_S, change),
        detail="the password before was used",
    )


def used(change: PasswordChange, now: float) -> PasswordChange:
    """A handshake with the candidate."""
    return _to(PasswordState.IN_USE, change, now, candidate="", due_at=0.0, detail="")


def as_stored(change: PasswordChange, now: float, current: str, pending: str) -> PasswordChange:
    """The change as it must be, by the two hashes that the registry has now; itself if nothing has happened to them.

    A candidate that is neither was refuted by a handshake with the old password, or an operator has replaced it.
    """
    if change.state not in {PasswordState.SENT, PasswordState.STAGED, PasswordState.ACCEPTED}:
        return change
    if change.candidate == current:
        return change if change.state is PasswordState.ACCEPTED else _to(PasswordState.ACCEPTED, change, now, detail="")
    if change.state is PasswordState.ACCEPTED:
        return superseded(change, now, "another password was set meanwhile")
    if change.candidate == pending:
        return change
    if change.origin == "csms" or change.state is PasswordState.STAGED:
        return failed(change, now, "the password before is the one in use")
    again = {"candidate": "", "session": "", "due_at": now + _backed_off(_AGAIN_S, change)}
    return _to(PasswordState.WANTED, change, now, detail="the password before was used", **again)


def put_off(change: PasswordChange, now: float, why: str) -> PasswordChange:
    """It was certainly not sent: the candidate is void, another one is made later."""
    due_at = now + _backed_off(_AGAIN_S, change)
    return _to(PasswordState.WANTED, change, now, candidate="", session="", due_at=due_at, detail=why)


def postponed(change: PasswordChange, now: float, until: float, why: str) -> PasswordChange:
    """Nothing has been sent, and nothing is before then: its maintenance window is closed."""
    return _to(PasswordState.WANTED, change, now, due_at=until, detail=why)


def failed(change: PasswordChange, now: float, why: str) -> PasswordChange:
    """Nothing comes of it; the password before stays."""
    return _to(PasswordState.FAILED, change, now, candidate="", detail=why)


def superseded(change: PasswordChange, now: float, why: str) -> PasswordChange:
    """Something else has taken its place."""
    return _to(PasswordState.SUPERSEDED, change, now, candidate="", detail=why)


def _backed_off(wait_s: float, change: PasswordChange) -> float:
    return wait_s * float(1 << min(change.attempts, _MAX_BACK_OFF))


def _to(state: PasswordState, change: PasswordChange, now: float, /, **fields: object) -> PasswordChange:
    if state not in FOLLOWS[change.state]:
        raise ValueError(f"{state.value} cannot follow {change.state.value}")
    if "detail" in fields:
        fields["detail"] = str(fields["detail"])[:_DETAIL_CHARS]
    return msgspec.structs.replace(change, state=state, changed_at=now, **fields)
