"""When a certificate is renewed by itself: the time, the spread, the failures before."""

import pytest
from msgspec.structs import replace

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.enrolment import Enrolment, rejected_in_shape
from gateway.provisioning.renewal import RenewalTiming, Urgency, due_at, urgency
from gateway.provisioning.states import State

DAY = 86_400.0
TIMING = RenewalTiming(retry_s=DAY)
IN_USE = Enrolment(
    charge_point_id=ChargePointId("CP-1"),
    state=State.SEEN_IN_HANDSHAKE,
    created_at=0.0,
    changed_at=0.0,
    serial="1f",
    certificate_sha256="old",
    not_after=360 * DAY,
)
DUE = due_at(IN_USE, TIMING)


def failed(at: float, state: State = State.REJECTED_BY_STATION) -> Enrolment:
    return replace(
        IN_USE, state=state, changed_at=at, created_at=at, certificate_sha256="new", not_after=at + 360 * DAY
    )


def test_at_two_thirds_of_its_life_and_not_before() -> None:
    assert urgency([IN_USE], DUE - 1.0, TIMING, "old") is Urgency.NONE
    assert urgency([IN_USE], DUE, TIMING, "old") is Urgency.DUE
    assert urgency([IN_USE], 324 * DAY, TIMING, "old") is Urgency.PRESSING


def test_a_fleet_is_spread_over_a_twelfth_of_it() -> None:
    dues = [due_at(replace(IN_USE, charge_point_id=ChargePointId(f"CP-{n}")), TIMING) / DAY for n in range(1_000)]
    assert min(dues) >= 240.0
    assert max(dues) < 270.0
    per_day = [sum(day <= due < day + 1 for due in dues) for day in range(240, 270)]
    assert max(per_day) < 3 * 1_000 / 30


@pytest.mark.parametrize("state", [State.TRIGGER_SENT, State.HELD, State.DELIVERY_SENT, State.STATION_ACCEPTED])
def test_one_under_way_is_not_disturbed(state: State) -> None:
    assert urgency([failed(300 * DAY, state), IN_USE], 300.5 * DAY, TIMING, "old") is Urgency.NONE


@pytest.mark.parametrize(
    "state", [State.REJECTED_BY_STATION, State.DISCARDED, State.DENIED, State.EXPIRED, State.SUPERSEDED]
)
def test_after_a_failure_later_and_later(state: State) -> None:
    once = [failed(300 * DAY, state), IN_USE]
    assert urgency(once, 301 * DAY - 1, TIMING, "old") is Urgency.NONE
    assert urgency(once, 301 * DAY, TIMING, "old") is Urgency.DUE
    twice = [failed(301 * DAY, state), *once]
    assert urgency(twice, 303 * DAY - 1, TIMING, "old") is Urgency.NONE
    assert urgency(twice, 303 * DAY, TIMING, "old") is Urgency.DUE


@pytest.mark.requirement("A02.FR.28")
def test_one_that_was_accepted_and_is_not_used_counts_as_discarded_after_a_day() -> None:
    rows = [failed(300 * DAY, State.STATION_ACCEPTED), IN_USE]
    assert urgency(rows, 302 * DAY, TIMING, "old") is Urgency.DUE
    assert urgency(rows, 302 * DAY, TIMING, "new") is Urgency.NONE
    assert urgency(rows, 302 * DAY, TIMING, "") is Urgency.NONE  # on a password nobody can tell


def test_a_charge_point_without_a_certificate_of_ours_is_nobodys_business() -> None:
    assert urgency([], DUE, TIMING, "old") is Urgency.NONE
    assert urgency([failed(1.0)], 400 * DAY, TIMING, "old") is Urgency.NONE


def test_three_shapes_are_one_failure_and_what_is_in_use_is_not_forgotten_behind_them() -> None:
    ended, _ = rejected_in_shape(failed(300 * DAY, State.DELIVERY_SENT), 300 * DAY, 2)
    once = [failed(300 * DAY), ended, ended, IN_USE]
    assert urgency(once, 301 * DAY - 1, TIMING, "old") is Urgency.NONE
    assert urgency(once, 301 * DAY, TIMING, "old") is Urgency.DUE
