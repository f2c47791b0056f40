"""The table of enrolments, on SQLite and PostgreSQL."""

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.control.automatic_renewals import rows_for_renewal
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.enrolment import (
    CertificateRequested,
    Enrolment,
    Given,
    Timing,
    asked_for,
    delivery_sent,
    issued,
    old_retired,
    seen,
    superseded,
    wanted,
)
from gateway.provisioning.states import State
from gateway.store.database import open_database
from gateway.store.errors import NotFound, Overtaken, StoreError
from gateway.store.registry import Registry
from tests.support.records import make_record

CP = ChargePointId("CP-1")
REQUEST = CertificateRequested(charge_point_id=CP, csr="csr", csr_sha256="c", request_id=7)
GIVEN = Given(request="r", serial="1f", sha256="aa", spki_sha256="bb", not_after=9e9, chain="pem")


@pytest.fixture
def stored(registry: Registry) -> Enrolment:
    registry.add(make_record("CP-1"))
    (first,) = registry.enrolments.put(asked_for(REQUEST, 1.0, None)[0])
    return first


def test_every_field_comes_back(registry: Registry, stored: Enrolment) -> None:
    (enrolment,) = registry.enrolments.put(issued(stored, 2.0, GIVEN))
    assert registry.enrolments.newest(CP) == enrolment
    assert enrolment == replace(issued(stored, 2.0, GIVEN), revision=2)
    assert enrolment.number > 0


def test_the_newest_counts_and_both_change_together(registry: Registry, stored: Enrolment) -> None:
    other = CertificateRequested(charge_point_id=CP, csr="csr 2", csr_sha256="d")
    fresh, ended = asked_for(other, 3.0, stored)
    assert ended is not None
    _, second = registry.enrolments.put(ended, fresh)
    assert registry.enrolments.newest(CP) == second
    assert [each.state for each in registry.enrolments.latest(CP, 9)] == [State.CSR_RECEIVED, State.SUPERSEDED]


def test_all_or_nothing(registry: Registry, stored: Enrolment) -> None:
    stranger = wanted(ChargePointId("CP-2"), 1.0, "")
    with pytest.raises(NotFound):
        registry.enrolments.put(superseded(stored, 2.0, "x"), stranger)
    assert registry.enrolments.newest(CP) == stored


def test_each_state_is_a_step_and_a_repetition_without_a_word_is_none(registry: Registry, stored: Enrolment) -> None:
    enrolment = issued(stored, 2.0, GIVEN)
    for at in (3.0, 4.0):
        (enrolment,) = registry.enrolments.put(delivery_sent(enrolment, at, Timing()))
    steps = registry.enrolments.steps(CP, 9)
    assert [(step.state, step.at) for step in steps] == [(State.DELIVERY_SENT, 3.0), (State.CSR_RECEIVED, 1.0)]


def test_of_two_nodes_that_decide_by_the_same_row_one_does_it(registry: Registry, stored: Enrolment) -> None:
    (ours,) = registry.enrolments.put(issued(stored, 2.0, GIVEN))
    with pytest.raises(Overtaken):
        registry.enrolments.put(superseded(stored, 3.0, "by the other node"), wanted(CP, 3.0, ""))
    assert registry.enrolments.latest(CP, 9) == [ours]
    registry.enrolments.put(delivery_sent(ours, 4.0, Timing()))


def test_of_two_nodes_that_begin_at_the_same_time_one_does(registry: Registry, stored: Enrolment) -> None:
    with pytest.raises(Overtaken):
        registry.enrolments.put(wanted(CP, 2.0, "the other node knows of none"))
    assert registry.enrolments.newest_of([CP, ChargePointId("CP-2")]) == [stored]
    _, second = registry.enrolments.put(superseded(stored, 3.0, "x"), wanted(CP, 3.0, ""))
    assert registry.enrolments.newest_of([CP]) == [second]


def test_what_is_over_is_not_watched(registry: Registry, stored: Enrolment) -> None:
    assert registry.enrolments.watched() == [stored]
    used = seen(issued(stored, 2.0, GIVEN), 3.0, "aa")
    assert used is not None
    (used,) = registry.enrolments.put(used)
    assert registry.enrolments.watched() == [used]
    registry.enrolments.put(old_retired(used, 4.0))
    assert registry.enrolments.watched() == []


def test_it_goes_with_its_charge_point(registry: Registry, stored: Enrolment) -> None:
    registry.remove("CP-1")
    assert registry.enrolments.newest(CP) is None
    with pytest.raises(NotFound):
        registry.enrolments.put(issued(stored, 2.0, GIVEN))


def test_the_largest_request_id_that_json_can_carry_comes_back(registry: Registry, stored: Enrolment) -> None:
    (large,) = registry.enrolments.put(replace(stored, request_id=2**53))
    assert large.request_id == 2**53
    assert registry.enrolments.newest(CP) == large


def test_a_damaged_row_is_named(registry: Registry, stored: Enrolment, url: str) -> None:
    database = open_database(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE enrolments SET state = 'dreaming'"))
    database.close()
    with pytest.raises(StoreError, match=f"enrolment of charge point '{stored.charge_point_id}' is damaged"):
        registry.enrolments.newest(CP)


def test_what_is_in_use_is_found_behind_any_number_of_failures(registry: Registry, stored: Enrolment) -> None:
    (used,) = registry.enrolments.put(replace(issued(stored, 2.0, GIVEN), state=State.OLD_RETIRED))
    for number in range(60):
        (tried,) = registry.enrolments.put(wanted(CP, 5.0 + number, "renewal"))
        registry.enrolments.put(superseded(tried, 5.5 + number, "came to nothing"))
    assert registry.enrolments.in_use(CP, 3) == [used]
    rows = rows_for_renewal(registry, CP)
    assert (len(rows), rows[-1]) == (25, used)
    assert [row.number for row in rows] == sorted((row.number for row in rows), reverse=True)
    assert rows_for_renewal(registry, ChargePointId("CP-2")) == []
