"""A new root of the CSMS for one charge point of a rollover: what is next, and what its answers mean. Pure.

    WANTED > SENT > CONFIRMED
    WANTED > UNABLE            SENT > REFUSED

Its own list of roots decides, never what it has said to InstallCertificate: it is asked before anything is sent, again after
it has answered, and again whenever nobody knows. So every step can be repeated. The old root is never taken away here.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final, Literal, NamedTuple

import msgspec

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.roots import CSMS_ROOT, RootName, RootStore, has, refusal_to_install

__all__ = [
    "FOLLOWS",
    "Coverage",
    "RolloverNames",
    "RolloverState",
    "RolloverStation",
    "coverage",
    "listed",
    "next_is_due",
    "not_listed",
    "refused",
    "sent",
    "to_send",
]

_RETRY_S: Final = 30.0
_MAX_BACK_OFF: Final = 6
_MAX_ATTEMPTS: Final = 8
_DETAIL_CHARS: Final = 200


class RolloverState(Enum):
    """Where one charge point is. Each is on disk before anything is done that rests on it."""

    WANTED = "wanted"
    SENT = "sent"
    """InstallCertificate may have reached it."""
    CONFIRMED = "confirmed"
    """The new root is in its list."""
    UNABLE = "unable"
    """It cannot take it as things are; `detail` says what stands in the way."""
    REFUSED = "refused"
    FAILED = "failed"
    """It does not answer, or does not list what it says it has installed."""

    @property
    def is_open(self) -> bool:
        """Something is still to be done."""
        return self in {RolloverState.WANTED, RolloverState.SENT}


_ENDS: Final = frozenset({RolloverState.CONFIRMED, RolloverState.UNABLE, RolloverState.REFUSED, RolloverState.FAILED})
FOLLOWS: Final[dict[RolloverState, frozenset[RolloverState]]] = {
    RolloverState.WANTED: frozenset({RolloverState.WANTED, RolloverState.SENT, *_ENDS}),
    RolloverState.SENT: frozenset({RolloverState.WANTED, RolloverState.SENT, *_ENDS}),
    RolloverState.CONFIRMED: frozenset(),
    # Whoever was unable may be able now: a rollover that is started again looks again.
    RolloverState.UNABLE: frozenset({RolloverState.WANTED}),
    RolloverState.REFUSED: frozenset({RolloverState.WANTED}),
    RolloverState.FAILED: frozenset({RolloverState.WANTED}),
}


class RolloverStation(msgspec.Struct, frozen=True, kw_only=True):
    """A row: one charge point of one rollover."""

    rollover: int
    charge_point_id: ChargePointId
    state: RolloverState = RolloverState.WANTED
    changed_at: float = 0.0
    attempts: int = 0
    due_at: float = 0.0
    detail: str = ""


class RolloverNames(NamedTuple):
    """What the certificates of a rollover are called, in every algorithm and by every way of naming them."""

    old: tuple[RootName, ...]
    new: tuple[RootName, ...]
    link: tuple[RootName, ...]
    """The new root's key signed by the old one; empty where there is no such certificate."""


def next_is_due(station: RolloverStation, now: float, *, reachable: bool) -> bool:
    """True if it is to be asked now."""
    return station.state.is_open and reachable and now >= station.due_at


def to_send(
    store: RootStore, names: RolloverNames, new_chars: int, link_chars: int
) -> tuple[Literal["new", "link", "nothing"], str]:
    """Which certificate it needs; `nothing` with an empty text if it has it, else with what stands in the way."""
    if has(store, CSMS_ROOT, (*names.new, *names.link)):
        return "nothing", ""
    wants_link = store.demands_link and bool(store.of(CSMS_ROOT))
    knows_old = has(store, CSMS_ROOT, names.old)
    if wants_link and not knows_old:
        return "nothing", "it demands a link to the root that it has, which is not the old one of this rollover"
    if wants_link and not names.link:
        return "nothing", "it demands a root that is signed by the old one, and this rollover has none: --link"
    chars = link_chars if wants_link else new_chars
    why = refusal_to_install(store, CSMS_ROOT, chars, is_root=not wants_link, is_linked=wants_link)
    return ("nothing", why) if why else ("link" if wants_link else "new", "")


def sent(station: RolloverStation, now: float) -> RolloverStation:
    """InstallCertificate is about to be sent."""
    return _to(RolloverState.SENT, station, now, detail="")


def listed(station: RolloverStation, now: float, *, has_new: bool, why_not: str) -> RolloverStation:
    """It has shown its list. `why_not`: what keeps the new root from being sent."""
    if has_new:
        return _to(RolloverState.CONFIRMED, station, now, detail="")
    if why_not:
        return _to(RolloverState.UNABLE, station, now, detail=why_not)
    return station


def refused(station: RolloverStation, now: float, why: str) -> RolloverStation:
    """It does not want it."""
    return _to(RolloverState.REFUSED, station, now, detail=why)


def not_listed(station: RolloverStation, now: float, why: str) -> RolloverStation:
    """It does not say what it has: it is asked again later, and some day no more."""
    attempts = station.attempts + 1
    if attempts >= _MAX_ATTEMPTS:
        return _to(RolloverState.FAILED, station, now, attempts=attempts, detail=why)
    due_at = now + _RETRY_S * float(1 << min(station.attempts, _MAX_BACK_OFF))
    return _to(RolloverState.WANTED, station, now, attempts=attempts, due_at=due_at, detail=why)


class Coverage(NamedTuple):
    """How far a rollover has got: the evidence for switching the server's certificate, or for waiting."""

    confirmed: int
    total: int
    stragglers: tuple[RolloverStation, ...]
    """Who would not know the new chain: they need the old one, on a listener of its own, or a visit."""
    threshold: float

    @property
    def is_go(self) -> bool:
        """True if enough have confirmed. Nobody is no reason to go."""
        return self.total > 0 and self.confirmed >= self.threshold * self.total


def coverage(stations: Sequence[RolloverStation], threshold: float) -> Coverage:
    """Of all charge points of a rollover."""
    stragglers = tuple(each for each in stations if each.state is not RolloverState.CONFIRMED)
    return Coverage(len(stations) - len(stragglers), len(stations), stragglers, threshold)


def _to(state: RolloverState, station: RolloverStation, now: float, /, **fields: object) -> RolloverStation:
    if state not in FOLLOWS[station.state]:
        raise ValueError(f"{state.value} cannot follow {station.state.value}")
    if "detail" in fields:
        fields["detail"] = str(fields["detail"])[:_DETAIL_CHARS]
    return msgspec.structs.replace(station, state=state, changed_at=now, **fields)
