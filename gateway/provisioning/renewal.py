"""When is a certificate that the gateway has given renewed? From the rows of its charge point and the time. Pure.

At two thirds of its lifetime, spread over a twelfth of it by the identity, so that a fleet that was enrolled in an hour does
not come back in an hour. After a failure later and later; the nearer the end, the less is waited for.
"""

import hashlib
from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

from gateway.provisioning.enrolment import Enrolment, turned_down_with
from gateway.provisioning.states import State

__all__ = ["IN_USE", "RenewalTiming", "Urgency", "due_at", "urgency"]

IN_USE: Final = frozenset({State.STATION_ACCEPTED, State.SEEN_IN_HANDSHAKE, State.OLD_RETIRED})
"""States of an enrolment whose certificate the charge point has."""
_SPREAD: Final = 1.0 / 12.0
_PRESSING: Final = 0.9
"""From this share of the lifetime on a running transaction is not waited for."""
_MAX_DOUBLINGS: Final = 5
_PATIENCE_S: Final = 86_400.0
"""For a certificate that was accepted to be seen, before it counts as discarded (A02.FR.28)."""


class RenewalTiming(msgspec.Struct, frozen=True, kw_only=True):
    """What a site decides."""

    renew_after: float = 2.0 / 3.0
    """Share of the lifetime."""
    retry_s: float = 3_600.0
    """After a renewal that has failed, doubled with each further one."""


class Urgency(Enum):
    """What is to be done about the certificate now."""

    NONE = "none"
    DUE = "due"
    """Renew it, if the charge point is idle."""
    PRESSING = "pressing"
    """Renew it whatever it does."""


def due_at(enrolment: Enrolment, timing: RenewalTiming) -> float:
    """When a certificate in use is to be renewed, in seconds since the epoch."""
    lifetime_s = enrolment.not_after - enrolment.created_at
    digest = hashlib.sha256(f"{enrolment.charge_point_id}/{enrolment.serial}".encode()).digest()
    place = int.from_bytes(digest[:4]) / 2**32
    return enrolment.created_at + lifetime_s * (timing.renew_after + _SPREAD * place)


def urgency(rows: Sequence[Enrolment], now: float, timing: RenewalTiming, connected_with: str) -> Urgency:
    """What is to be done. `rows`: of one charge point, the newest first; the one in use among them, or last.

    `connected_with`: fingerprint of its session's certificate, empty for a password. One that is under way is not disturbed.
    One that the charge point has accepted and does not use counts as discarded after a day: it has fallen back.
    """
    rows = [row for row in rows if turned_down_with(row) is None]  # one renewal, however many shapes it was tried in
    failures = _failures(rows, now, connected_with)
    in_use = next((row for row in rows[len(failures) :] if row.state in IN_USE), None)
    if in_use is None or (not failures and rows[0] is not in_use):
        return Urgency.NONE
    if failures:
        wait_s = timing.retry_s * 2.0 ** min(len(failures) - 1, _MAX_DOUBLINGS)
        if now < failures[0].changed_at + wait_s:
            return Urgency.NONE
    if now < due_at(in_use, timing):
        return Urgency.NONE
    pressing_at = in_use.created_at + _PRESSING * (in_use.not_after - in_use.created_at)
    return Urgency.PRESSING if now >= pressing_at else Urgency.DUE


def _failures(rows: Sequence[Enrolment], now: float, connected_with: str) -> list[Enrolment]:
    """The newest ones that have come to nothing."""
    found: list[Enrolment] = []
    for row in rows:
        discarded = (
            row.state is State.STATION_ACCEPTED
            and bool(connected_with)
            and connected_with != row.certificate_sha256
            and now >= row.changed_at + _PATIENCE_S
        )
        if not discarded and (row.state.is_open or row.state in IN_USE):
            break
        found.append(row)
    return found
