"""One certificate of one charge point, from the wish to its use: events in, the new state out. Pure.

    TRIGGER_WANTED > TRIGGER_SENT > CSR_RECEIVED > [HELD] > ISSUED > DELIVERY_SENT > STATION_ACCEPTED
        > SEEN_IN_HANDSHAKE > OLD_RETIRED

`next_step` says what is to be done about a state at a time. So a crash loses nothing: whoever comes after reads the
state and asks again. Every function takes the time (seconds since the epoch) and returns a new `Enrolment`; one that
cannot follow the state raises ValueError, which is a defect of the caller.

A00.FR.427 (keys), A02, A03; docs/provisioning.md has the table.
"""

import re
from enum import Enum
from typing import Final

import msgspec

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.agenda import NEVER
from gateway.provisioning.states import FOLLOWS, State

__all__ = [
    "CHARGING_STATION",
    "CertificateRequested",
    "Enrolment",
    "Given",
    "Step",
    "Timing",
    "approved",
    "asked_for",
    "asked_for_again",
    "delivered",
    "delivery_rejected",
    "delivery_sent",
    "denied",
    "discarded",
    "due_at",
    "expired",
    "held",
    "is_released",
    "issued",
    "next_step",
    "old_retired",
    "postponed",
    "put_off",
    "reconnected",
    "rejected_in_shape",
    "released",
    "seen",
    "station_accepted",
    "superseded",
    "trigger_lost",
    "trigger_refused",
    "trigger_sent",
    "turned_down_with",
    "waiting",
    "wanted",
]

CHARGING_STATION: Final = "ChargingStationCertificate"
_TURNED_DOWN: Final = re.compile(r"turned down with a chain of ([1-9][0-9]?): ")
_ANOTHER_SHAPE_AFTER_S: Final = 1.0
_MAX_TRIGGERS: Final = 6
_MAX_BACK_OFF: Final = 6
"""Waiting doubles so often."""
_DETAIL_CHARS: Final = 200


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What a site decides, in seconds."""

    key_patience_s: float = 3_600.0
    """How long a charge point keeps the key of a request (EVerest: 60 minutes)."""
    retire_old_after_s: float = 2_678_400.0
    retry_s: float = 60.0
    """After which an undelivered certificate is sent again on the same connection, doubling; after a reconnect at once."""
    issue_retry_s: float = 5.0
    """After which the CA is asked again when it cannot be reached, doubling."""
    trigger_answer_s: float = 300.0
    """How long a triggered charge point may make its key, doubling."""
    held_for_s: float = 30 * 86_400.0
    released_for_s: float = 86_400.0
    """How long an operator's approval covers the next request of the same charge point."""


class CertificateRequested(msgspec.Struct, frozen=True, kw_only=True):
    """SignCertificate, as it came and from whom."""

    charge_point_id: ChargePointId
    csr: str
    csr_sha256: str
    """Of the DER (`gateway.provisioning.csr_digest`): two spellings of one PEM block are the same request."""
    certificate_type: str = ""
    request_id: int | None = None
    presented_sha256: str = ""
    """Fingerprint of the certificate of this very TLS connection; empty for a password."""
    presented_serial: str = ""
    method: str = ""
    """For people: how the charge point has proven itself."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that the CA has issued."""

    request: str
    """The CA's name for the request."""
    serial: str
    """Lower-case hex without leading zeroes."""
    sha256: str
    spki_sha256: str
    not_after: float
    chain: str
    """PEM: the certificate, then those above it, the root last where it is known."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table; empty is what is not known yet."""

    charge_point_id: ChargePointId
    state: State
    created_at: float
    changed_at: float
    number: int = 0
    """Of the row; 0 until it is stored."""
    revision: int = 0
    """Of the row as it was read or stored: another node may have written it since."""
    csr: str = ""
    csr_sha256: str = ""
    csr_at: float = 0.0
    """When the charge point last showed that it has the key."""
    certificate_type: str = ""
    request_id: int | None = None
    presented_sha256: str = ""
    presented_serial: str = ""
    method: str = ""
    ca_request: str = ""
    serial: str = ""
    certificate_sha256: str = ""
    spki_sha256: str = ""
    not_after: float = 0.0
    chain: str = ""
    attempts: int = 0
    """Of what the state is about: triggers, orders to the CA, deliveries."""
    due_at: float = 0.0
    """Not before this time is the next attempt made; a reconnect brings it forward."""
    released_by: str = ""
    """Which approval covers the next request too, because the key it was given for may be gone."""
    released_until: float = 0.0
    seen_at: float = 0.0
    detail: str = ""
    """For people: why it is as it is."""


class Step(Enum):
    """What is to be done now."""

    WAIT = "wait"
    TRIGGER = "trigger"
    SUBMIT = "submit"
    """Hand the request to the CA, once more if need be: the same request gets the same certificate."""
    LOOK = "look"
    """See whether an operator has decided."""
    DELIVER = "deliver"
    ASK_AGAIN = "ask-again"
    """The key is gone by now: supersede, and let the charge point make a new one."""
    EXPIRE = "expire"
    RETIRE_OLD = "retire-old"


def next_step(enrolment: Enrolment, now: float, timing: Timing, *, reachable: bool) -> Step:
    """What the state asks for. `reachable`: the charge point is connected and has had time to settle."""
    step = _by_time(enrolment, now, timing)
    needs_charge_point = step in {Step.TRIGGER, Step.DELIVER}
    if step is Step.WAIT or (now < enrolment.due_at and step in _ATTEMPTS):
        return Step.WAIT
    return Step.WAIT if needs_charge_point and not reachable else step


_SAID_AGAIN: Final = frozenset({State.TRIGGER_WANTED, State.TRIGGER_SENT, State.ISSUED, State.DELIVERY_SENT})
_ATTEMPTS: Final = frozenset({Step.TRIGGER, Step.SUBMIT, Step.DELIVER})


def _by_time(enrolment: Enrolment, now: float, timing: Timing) -> Step:
    match enrolment.state:
        case State.TRIGGER_WANTED | State.TRIGGER_SENT:
            gave_up = enrolment.attempts >= _MAX_TRIGGERS and now >= enrolment.due_at
            return Step.EXPIRE if gave_up else Step.TRIGGER
        case State.CSR_RECEIVED:
            return Step.SUBMIT
        case State.HELD:
            return Step.EXPIRE if now >= enrolment.created_at + timing.held_for_s else Step.LOOK
        case State.ISSUED | State.DELIVERY_SENT:
            return Step.ASK_AGAIN if now >= enrolment.csr_at + timing.key_patience_s else Step.DELIVER
        case State.STATION_ACCEPTED:
            return Step.EXPIRE if now >= enrolment.not_after else Step.WAIT
        case State.SEEN_IN_HANDSHAKE:
            return Step.RETIRE_OLD if now >= enrolment.seen_at + timing.retire_old_after_s else Step.WAIT
        case _:
            return Step.WAIT


def due_at(enrolment: Enrolment, timing: Timing) -> float:
    """From when on `next_step` asks for something, of a charge point that can be reached; NEVER if it has to be told.

    LOOK is left out, as it is done when the CA has news.
    """
    match enrolment.state:
        case State.TRIGGER_WANTED | State.TRIGGER_SENT | State.CSR_RECEIVED:
            return enrolment.due_at
        case State.HELD:
            return enrolment.created_at + timing.held_for_s
        case State.ISSUED | State.DELIVERY_SENT:
            return min(enrolment.due_at, enrolment.csr_at + timing.key_patience_s)
        case State.STATION_ACCEPTED:
            return enrolment.not_after
        case State.SEEN_IN_HANDSHAKE:
            return enrolment.seen_at + timing.retire_old_after_s
        case _:
            return NEVER


# -- the charge point asks


def wanted(charge_point_id: ChargePointId, now: float, detail: str, before: Enrolment | None = None) -> Enrolment:
    """The charge point is to ask for a certificate. `before`: whose approval goes on to count."""
    return Enrolment(
        charge_point_id=charge_point_id,
        state=State.TRIGGER_WANTED,
        created_at=now,
        changed_at=now,
        released_by=before.released_by if before is not None else "",
        released_until=before.released_until if before is not None else 0.0,
        detail=detail,
    )


def trigger_sent(enrolment: Enrolment, now: float, timing: Timing) -> Enrolment:
    """It is about to be told to ask. On disk before it is."""
    wait_s = _backed_off(timing.trigger_answer_s, enrolment.attempts)
    return _to(State.TRIGGER_SENT, enrolment, now, attempts=enrolment.attempts + 1, due_at=now + wait_s)


def trigger_refused(enrolment: Enrolment, now: float, detail: str) -> Enrolment:
    """It said no. It is asked again when `due_at` of `trigger_sent` has come."""
    return _to(State.TRIGGER_WANTED, enrolment, now, detail=detail)


def trigger_lost(enrolment: Enrolment, now: float, detail: str, timing: Timing) -> Enrolment:
    """Whether it has heard it is not known: its connection ended, say. It is told again soon."""
    wait_s = _backed_off(timing.issue_retry_s, enrolment.attempts)
    return _to(State.TRIGGER_WANTED, enrolment, now, due_at=now + wait_s, detail=detail)


def asked_for(
    request: CertificateRequested, now: float, before: Enrolment | None
) -> tuple[Enrolment, Enrolment | None]:
    """SignCertificate has come: the enrolment to go on with, and the one before as it is now, if it has changed.

    - The very request that is under way: it goes on. What was issued for it is delivered again, and no other certificate.
    - One that was triggered: its row takes it.
    - Any other: a new row; an open one is superseded, for its key is gone (A02.FR.02: a new key for each request).
    """
    if before is not None and before.state.is_open and before.csr_sha256 == request.csr_sha256:
        return asked_for_again(before, request, now), None
    if before is not None and before.state in {State.TRIGGER_WANTED, State.TRIGGER_SENT}:
        return _with_request(before, request, now), None
    fresh = wanted(request.charge_point_id, now, "", before if before is not None and before.state.is_open else None)
    ended = superseded(before, now, "another request has come") if before is not None and before.state.is_open else None
    return _with_request(fresh, request, now), ended


def asked_for_again(enrolment: Enrolment, request: CertificateRequested, now: float) -> Enrolment:
    """A02.FR.17: the charge point has seen no certificate yet."""
    state = enrolment.state
    again = State.ISSUED if state in {State.DELIVERY_SENT, State.STATION_ACCEPTED} else state
    return _to(again, enrolment, now, csr_at=now, due_at=now, request_id=request.request_id)


def _with_request(enrolment: Enrolment, request: CertificateRequested, now: float) -> Enrolment:
    return _to(
        State.CSR_RECEIVED,
        enrolment,
        now,
        csr=request.csr,
        csr_sha256=request.csr_sha256,
        csr_at=now,
        certificate_type=request.certificate_type,
        request_id=request.request_id,
        presented_sha256=request.presented_sha256,
        presented_serial=request.presented_serial,
        method=request.method,
        attempts=0,
        due_at=now,
        detail="",
    )


# -- the CA answers


def is_released(enrolment: Enrolment, now: float) -> bool:
    """True if an approval of this charge point's last request covers this one."""
    return bool(enrolment.released_by) and now < enrolment.released_until


def held(enrolment: Enrolment, now: float, ca_request: str, rule: str) -> Enrolment:
    """An operator has to decide."""
    return _to(State.HELD, enrolment, now, ca_request=ca_request, attempts=0, detail=rule)


def issued(enrolment: Enrolment, now: float, given: Given) -> Enrolment:
    """The certificate exists, and its key is bound to the charge point."""
    return _to(
        State.ISSUED,
        enrolment,
        now,
        ca_request=given.request,
        serial=given.serial,
        certificate_sha256=given.sha256,
        spki_sha256=given.spki_sha256,
        not_after=given.not_after,
        chain=given.chain,
        attempts=0,
        due_at=now,
        detail="",
    )


def approved(enrolment: Enrolment, now: float, given: Given, timing: Timing) -> Enrolment:
    """Somebody has approved what was held, perhaps long after the charge point has thrown the key away."""
    released = {"released_by": f"approval of {given.request}", "released_until": now + timing.released_for_s}
    return msgspec.structs.replace(issued(enrolment, now, given), **released)


def released(enrolment: Enrolment, now: float, timing: Timing) -> Enrolment:
    """Somebody has approved what was held, and another CA has yet to be asked for it."""
    return _to(
        State.CSR_RECEIVED,
        enrolment,
        now,
        released_by=f"approval of {enrolment.ca_request}",
        released_until=now + timing.released_for_s,
        attempts=0,
        due_at=now,
        detail="approved",
    )


def waiting(enrolment: Enrolment, now: float, ca_request: str, retry_after_s: float, timing: Timing) -> Enrolment:
    """Another CA has not decided yet. As long as it does not, an approval goes on to count."""
    due_at = now + retry_after_s
    return _to(
        State.CSR_RECEIVED,
        enrolment,
        now,
        ca_request=ca_request,
        released_until=due_at + timing.released_for_s if enrolment.released_by else enrolment.released_until,
        attempts=0,
        due_at=due_at,
        detail="the CA has not decided yet",
    )


def denied(enrolment: Enrolment, now: float, why: str) -> Enrolment:
    """There will be no certificate for this request. The charge point is not told: OCPP has no way to."""
    return _to(State.DENIED, enrolment, now, detail=why)


def put_off(enrolment: Enrolment, now: float, why: str, timing: Timing) -> Enrolment:
    """The CA cannot be asked at the moment."""
    wait_s = _backed_off(timing.issue_retry_s, enrolment.attempts)
    return _to(enrolment.state, enrolment, now, attempts=enrolment.attempts + 1, due_at=now + wait_s, detail=why)


# -- the certificate travels


def delivery_sent(enrolment: Enrolment, now: float, timing: Timing) -> Enrolment:
    """CertificateSigned is about to be sent. On disk before it is."""
    wait_s = _backed_off(timing.retry_s, enrolment.attempts)
    return _to(State.DELIVERY_SENT, enrolment, now, attempts=enrolment.attempts + 1, due_at=now + wait_s)


def reconnected(enrolment: Enrolment, now: float) -> Enrolment:
    """The charge point is back, or we are: what was not said, or may have been lost, is said now.

    The last trigger is not repeated: a charge point that reconnects all the time does not use up its attempts in a minute.
    """
    if enrolment.state not in _SAID_AGAIN or (
        enrolment.state is State.TRIGGER_SENT and enrolment.attempts >= _MAX_TRIGGERS
    ):
        return enrolment
    return msgspec.structs.replace(enrolment, due_at=min(enrolment.due_at, now))


def station_accepted(enrolment: Enrolment, now: float) -> Enrolment:
    """It will connect with it. Whether it can is not known yet: the certificate before stays good."""
    return _to(State.STATION_ACCEPTED, enrolment, now, attempts=0, due_at=0.0, detail="")


def delivered(newest: Enrolment | None, sent: Enrolment) -> Enrolment | None:
    """The row that an acceptance of `sent` is about: `sent`, or what the same request has made of it meanwhile.

    That request was made before the certificate had come. Sent once more, it would be turned down: nothing is asked for any more.
    None if something else has happened since.
    """
    if newest is None or newest == sent:
        return newest
    is_same = (newest.number, newest.certificate_sha256) == (sent.number, sent.certificate_sha256)
    return newest if is_same and newest.state is State.ISSUED else None


def delivery_rejected(enrolment: Enrolment, now: float, why: str) -> Enrolment:
    """It does not want it; it does not ask again by itself (A02.FR.20)."""
    return _to(State.REJECTED_BY_STATION, enrolment, now, detail=why)


def turned_down_with(enrolment: Enrolment) -> int | None:
    """Certificates in the chain with which this one was not wanted, where another shape was tried after it."""
    found = _TURNED_DOWN.match(enrolment.detail) if enrolment.state is State.SUPERSEDED else None
    return int(found[1]) if found else None


def rejected_in_shape(enrolment: Enrolment, now: float, certificates: int) -> tuple[Enrolment, Enrolment]:
    """It does not want the certificate with a chain of so many: what ends, and the row by which it is asked for another request."""
    again = wanted(
        enrolment.charge_point_id, now, "its last certificate was turned down: another shape is tried", enrolment
    )
    why = f"turned down with a chain of {certificates}: it is asked for another request, for a chain of another shape"
    ended = superseded(enrolment, now, why)
    return ended, msgspec.structs.replace(again, due_at=now + _ANOTHER_SHAPE_AFTER_S)


def discarded(enrolment: Enrolment, now: float, connected_with: str, session_began_at: float) -> Enrolment | None:
    """It reports DiscardedRenewedClientCertificate (A02.FR.29). None if that cannot be about this certificate.

    `connected_with`: fingerprint of the certificate of the session in which it says so, empty for a password. A session
    that is older than its acceptance says it of another one: to try this one it has to connect anew.
    """
    if enrolment.state is not State.STATION_ACCEPTED or session_began_at < enrolment.changed_at:
        return None
    if connected_with in {"", enrolment.certificate_sha256}:
        return None
    return _to(State.DISCARDED, enrolment, now, detail="it could not connect with it, and says so")


def seen(enrolment: Enrolment, now: float, certificate_sha256: str) -> Enrolment | None:
    """A handshake with this certificate: the acknowledgement, also where the answer was lost. None if it is not news."""
    if not certificate_sha256 or certificate_sha256 != enrolment.certificate_sha256:
        return None
    if State.SEEN_IN_HANDSHAKE not in FOLLOWS[enrolment.state]:
        return None
    # Request and chain have done their work; the journal has both. A row like this waits for weeks, in memory too.
    done = {"csr": "", "chain": "", "attempts": 0, "due_at": 0.0, "detail": ""}
    return _to(State.SEEN_IN_HANDSHAKE, enrolment, now, seen_at=now, **done)


def postponed(enrolment: Enrolment, now: float, until: float, why: str) -> Enrolment:
    """It is as far as it was, and nothing is said before then: its maintenance window is closed."""
    return _to(enrolment.state, enrolment, now, due_at=until, detail=why)


def old_retired(enrolment: Enrolment, now: float) -> Enrolment:
    """The certificate before is not expected any more. It is not revoked: that is an operator's act."""
    return _to(State.OLD_RETIRED, enrolment, now)


# -- ends


def superseded(enrolment: Enrolment, now: float, why: str) -> Enrolment:
    """Another one takes its place."""
    return _to(State.SUPERSEDED, enrolment, now, detail=why)


def expired(enrolment: Enrolment, now: float, why: str) -> Enrolment:
    """Nothing comes of it any more."""
    return _to(State.EXPIRED, enrolment, now, detail=why)


def _backed_off(wait_s: float, attempts: int) -> float:
    return wait_s * float(1 << min(attempts, _MAX_BACK_OFF))


def _to(state: State, enrolment: Enrolment, now: float, /, **fields: object) -> Enrolment:
    if state not in FOLLOWS[enrolment.state]:
        raise ValueError(f"{state.value} cannot follow {enrolment.state.value}")
    if "detail" in fields:
        fields["detail"] = str(fields["detail"])[:_DETAIL_CHARS]
    return msgspec.structs.replace(enrolment, state=state, changed_at=now, **fields)
