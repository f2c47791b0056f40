"""The state table of one certificate: each step, what may not follow, and what a crash or a lost answer changes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import enrolment as core
from gateway.provisioning.enrolment import CertificateRequested, Enrolment, Given, Step, Timing, next_step
from gateway.provisioning.states import FOLLOWS, State

CP = ChargePointId("CP-1")
TIMING = Timing(key_patience_s=3_600.0, retire_old_after_s=1_000.0)
FIRST = CertificateRequested(charge_point_id=CP, csr="csr 1", csr_sha256="1", presented_sha256="old")
SECOND = CertificateRequested(charge_point_id=CP, csr="csr 2", csr_sha256="2", presented_sha256="old")
GIVEN = Given(request="r1", serial="1f", sha256="new", spki_sha256="k", not_after=1_000_000.0, chain="pem")


def requested(now: float = 100.0) -> Enrolment:
    return core.asked_for(FIRST, now, None)[0]


def issued(now: float = 100.0) -> Enrolment:
    return core.issued(requested(now), now, GIVEN)


def sent(now: float = 100.0) -> Enrolment:
    return core.delivery_sent(issued(now), now, TIMING)


def accepted(now: float = 100.0) -> Enrolment:
    return core.station_accepted(sent(now), now)


def in_use(now: float = 100.0) -> Enrolment:
    found = core.seen(accepted(now), now, "new")
    assert found is not None
    return found


def step(enrolment: Enrolment, now: float = 100.0, *, reachable: bool = True) -> Step:
    return next_step(enrolment, now, TIMING, reachable=reachable)


class TestSteps:
    """What each state asks for."""

    @pytest.mark.parametrize(
        ("made", "expected"),
        [
            (lambda: core.wanted(CP, 100.0, ""), Step.TRIGGER),
            (requested, Step.SUBMIT),
            (lambda: core.held(requested(), 100.0, "r1", "first-enrolment"), Step.LOOK),
            (issued, Step.DELIVER),
            (accepted, Step.WAIT),
            (in_use, Step.WAIT),
            (lambda: core.denied(requested(), 100.0, "no"), Step.WAIT),
            (lambda: core.delivery_rejected(sent(), 100.0, "no"), Step.WAIT),
        ],
    )
    def test_of_each_state(self, made: Callable[[], Enrolment], expected: Step) -> None:
        assert step(made()) is expected

    @pytest.mark.parametrize("made", [lambda: core.wanted(CP, 100.0, ""), issued])
    def test_nothing_is_said_to_a_charge_point_that_is_away(self, made: Callable[[], Enrolment]) -> None:
        assert step(made(), reachable=False) is Step.WAIT

    @pytest.mark.parametrize("made", [requested, lambda: core.held(requested(), 100.0, "r", "rule")])
    def test_the_ca_does_not_wait_for_the_charge_point(self, made: Callable[[], Enrolment]) -> None:
        assert step(made(), reachable=False) is not Step.WAIT


@pytest.mark.requirement("A02.FR.17")
class TestTheSameRequestAgain:
    """The charge point has seen no certificate: it gets the one that there is, and no other."""

    @pytest.mark.parametrize("made", [issued, sent, accepted])
    def test_what_was_issued_is_delivered_again(self, made: Callable[[], Enrolment]) -> None:
        again, ended = core.asked_for(FIRST, 200.0, made())
        assert (again.state, again.serial, again.csr_at, ended) == (State.ISSUED, "1f", 200.0, None)
        assert step(again, 200.0) is Step.DELIVER

    def test_what_is_held_stays_held_and_its_key_is_known_to_live(self) -> None:
        held = core.held(requested(), 100.0, "r1", "first-enrolment")
        again, ended = core.asked_for(FIRST, 3_000.0, held)
        assert (again.state, again.csr_at, again.ca_request, ended) == (State.HELD, 3_000.0, "r1", None)

    @pytest.mark.parametrize(
        "made", [lambda: core.denied(requested(), 100.0, "no"), in_use, lambda: core.old_retired(in_use(), 200.0)]
    )
    def test_after_the_end_it_is_a_new_enrolment(self, made: Callable[[], Enrolment]) -> None:
        before = replace(made(), number=7)
        again, ended = core.asked_for(FIRST, 200.0, before)
        assert (again.state, again.number, again.serial, ended) == (State.CSR_RECEIVED, 0, "", None)

    def test_it_has_what_it_accepts_although_it_has_asked_once_more_before_that_came(self) -> None:
        on_its_way = replace(sent(), number=7)
        again, _ = core.asked_for(FIRST, 101.0, on_its_way)
        delivered = core.delivered(again, on_its_way)
        assert delivered is not None
        has_it = core.station_accepted(delivered, 102.0)
        assert (has_it.state, has_it.number, has_it.serial) == (State.STATION_ACCEPTED, 7, "1f")
        assert step(has_it, 10_000.0) is Step.WAIT

    @pytest.mark.parametrize(
        "made",
        [
            lambda: None,
            lambda: core.superseded(replace(sent(), number=7), 101.0, "another request has come"),
            lambda: replace(issued(), number=8),
            lambda: replace(issued(), number=7, certificate_sha256="another"),
        ],
    )
    def test_an_acceptance_says_nothing_of_another_certificate(self, made: Callable[[], Enrolment | None]) -> None:
        assert core.delivered(made(), replace(sent(), number=7)) is None

    def test_nothing_has_happened_meanwhile(self) -> None:
        assert core.delivered(sent(), sent()) == sent()


class TestAnotherRequest:
    @pytest.mark.parametrize("made", [requested, issued, sent, accepted])
    def test_supersedes_one_that_is_open(self, made: Callable[[], Enrolment]) -> None:
        fresh, ended = core.asked_for(SECOND, 200.0, replace(made(), number=7))
        assert ended is not None
        assert (fresh.state, fresh.number, fresh.csr_sha256) == (State.CSR_RECEIVED, 0, "2")
        assert (ended.state, ended.number) == (State.SUPERSEDED, 7)

    def test_answers_a_trigger(self) -> None:
        triggered = core.trigger_sent(replace(core.wanted(CP, 100.0, ""), number=7), 100.0, TIMING)
        fresh, ended = core.asked_for(SECOND, 200.0, triggered)
        assert (fresh.state, fresh.number, ended) == (State.CSR_RECEIVED, 7, None)

    def test_leaves_one_that_is_in_use_as_it_is(self) -> None:
        assert core.asked_for(SECOND, 200.0, in_use())[1] is None


class TestDelivery:
    def test_waits_for_the_answer_and_doubles_its_patience(self) -> None:
        once = sent()
        assert step(once, 159.0) is Step.WAIT
        assert step(once, 160.0) is Step.DELIVER
        twice = core.delivery_sent(once, 160.0, TIMING)
        assert step(twice, 279.0) is Step.WAIT
        assert step(twice, 280.0) is Step.DELIVER

    def test_a_reconnect_brings_it_forward(self) -> None:
        assert step(core.reconnected(sent(), 101.0), 101.0) is Step.DELIVER

    def test_a_key_that_is_gone_by_now_gets_no_certificate(self) -> None:
        assert step(sent(), 3_699.0) is Step.DELIVER
        assert step(sent(), 3_700.0) is Step.ASK_AGAIN
        assert step(sent(), 3_700.0, reachable=False) is Step.ASK_AGAIN


class TestSeen:
    """A handshake with the new certificate is the acknowledgement."""

    @pytest.mark.parametrize("made", [issued, sent, accepted, lambda: core.delivery_rejected(sent(), 100.0, "timeout")])
    def test_also_where_the_answer_was_lost(self, made: Callable[[], Enrolment]) -> None:
        found = core.seen(made(), 200.0, "new")
        assert found is not None
        assert (found.state, found.seen_at) == (State.SEEN_IN_HANDSHAKE, 200.0)

    def test_what_is_not_needed_any_more_is_not_kept(self) -> None:
        used = in_use()
        assert (used.csr, used.chain, used.csr_sha256, used.serial) == ("", "", "1", "1f")

    @pytest.mark.parametrize("sha256", ["old", "", "NEW"])
    def test_another_certificate_proves_nothing(self, sha256: str) -> None:
        assert core.seen(accepted(), 200.0, sha256) is None

    def test_nothing_is_seen_before_there_is_a_certificate(self) -> None:
        assert core.seen(requested(), 200.0, "") is None

    def test_once(self) -> None:
        assert core.seen(in_use(), 200.0, "new") is None


@pytest.mark.requirement("A02.FR.29")
class TestDiscarded:
    """`accepted` is of second 100."""

    def test_in_a_later_session_with_the_old_certificate_and_the_old_one_is_not_retired(self) -> None:
        found = core.discarded(accepted(), 120.0, "old", 110.0)
        assert found is not None
        assert (found.state, found.changed_at, found.state.is_open) == (State.DISCARDED, 120.0, False)
        assert step(found, 900_000.0) is Step.WAIT
        with pytest.raises(ValueError, match="old-retired cannot follow discarded"):
            core.old_retired(found, 130.0)

    @pytest.mark.parametrize(("connected_with", "began_at"), [("new", 110.0), ("", 110.0), ("old", 99.0)])
    def test_not_with_the_new_one_nor_on_a_password_nor_in_a_session_from_before(
        self, connected_with: str, began_at: float
    ) -> None:
        assert core.discarded(accepted(), 120.0, connected_with, began_at) is None

    def test_nothing_else_can_be_discarded(self) -> None:
        for other in (requested(), issued(), sent(), in_use()):
            assert core.discarded(other, 120.0, "old", 110.0) is None

    def test_one_that_is_used_after_all_is_in_use(self) -> None:
        found = core.discarded(accepted(), 120.0, "old", 110.0)
        assert found is not None
        used = core.seen(found, 130.0, "new")
        assert used is not None
        assert used.state is State.SEEN_IN_HANDSHAKE


class TestOldCertificate:
    def test_is_retired_after_the_quiet_period_and_not_before(self) -> None:
        assert step(in_use(), 1_099.0) is Step.WAIT
        assert step(in_use(), 1_100.0) is Step.RETIRE_OLD
        assert core.old_retired(in_use(), 1_100.0).presented_sha256 == "old"

    def test_stays_as_long_as_the_new_one_was_not_seen(self) -> None:
        assert step(accepted(), 900_000.0) is Step.WAIT
        assert step(accepted(), 1_000_000.0) is Step.EXPIRE

    def test_only_what_was_seen_can_retire_it(self) -> None:
        assert [state for state, follows in FOLLOWS.items() if State.OLD_RETIRED in follows] == [
            State.SEEN_IN_HANDSHAKE
        ]
        with pytest.raises(ValueError, match="old-retired cannot follow station-accepted"):
            core.old_retired(accepted(), 200.0)


class TestApproval:
    def test_covers_the_next_request_of_the_same_charge_point_for_a_day(self) -> None:
        held = core.held(requested(), 100.0, "r1", "first-enrolment")
        late = core.approved(held, 10_000.0, GIVEN, TIMING)
        assert step(late, 10_000.0) is Step.ASK_AGAIN
        again = core.wanted(CP, 10_000.0, "", late)
        fresh, _ = core.asked_for(SECOND, 10_100.0, again)
        assert core.is_released(fresh, 10_100.0)
        assert core.is_released(fresh, 96_399.0)
        assert not core.is_released(fresh, 96_400.0)

    def test_in_time_is_delivered_to_the_key_that_was_approved(self) -> None:
        held = core.held(requested(), 100.0, "r1", "first-enrolment")
        assert step(core.approved(held, 3_000.0, GIVEN, TIMING), 3_000.0) is Step.DELIVER

    def test_does_not_outlive_the_certificate_that_came_of_it(self) -> None:
        held = core.held(requested(), 100.0, "r1", "first-enrolment")
        used = core.seen(core.approved(held, 200.0, GIVEN, TIMING), 300.0, "new")
        assert used is not None
        assert not core.is_released(core.asked_for(SECOND, 400.0, used)[0], 400.0)

    def test_what_nobody_decides_expires(self) -> None:
        held = core.held(requested(), 100.0, "r1", "first-enrolment")
        assert step(held, 100.0 + 30 * 86_400.0) is Step.EXPIRE


class TestAnotherCA:
    """It is asked after the approval, and again for as long as it thinks."""

    def test_what_was_held_is_asked_for_at_once_when_it_is_approved(self) -> None:
        released = core.released(core.held(requested(), 100.0, "r1", "first-enrolment"), 200.0, TIMING)
        assert step(released, 200.0) is Step.SUBMIT
        assert core.is_released(released, 200.0)
        assert released.released_by == "approval of r1"

    def test_it_is_asked_again_when_it_said_and_not_before(self) -> None:
        waits = core.waiting(requested(), 100.0, "r1", 300.0, TIMING)
        assert [step(waits, now) for now in (399.0, 400.0)] == [Step.WAIT, Step.SUBMIT]
        assert (waits.ca_request, waits.attempts) == ("r1", 0)

    def test_an_approval_outlives_a_ca_that_thinks_for_long_and_nothing_else_becomes_one(self) -> None:
        released = core.released(core.held(requested(), 100.0, "r1", "first-enrolment"), 200.0, TIMING)
        late = 200.0 + 5 * TIMING.released_for_s
        waits = core.waiting(released, late - 10.0, "r1", 5.0, TIMING)
        assert core.is_released(waits, late)
        assert not core.is_released(core.waiting(requested(), late, "r1", 5.0, TIMING), late)


class TestTrigger:
    def test_gives_up_after_six_times(self) -> None:
        enrolment, now = core.wanted(CP, 100.0, ""), 100.0
        for _ in range(6):
            assert step(enrolment, now) is Step.TRIGGER
            enrolment = core.trigger_sent(enrolment, now, TIMING)
            assert step(enrolment, now) is Step.WAIT
            now = enrolment.due_at
        assert step(enrolment, now) is Step.EXPIRE

    def test_a_refusal_is_waited_out_like_a_silence(self) -> None:
        triggered = core.trigger_sent(core.wanted(CP, 100.0, ""), 100.0, TIMING)
        refused = core.trigger_refused(triggered, 101.0, "TriggerMessage: Rejected")
        assert step(refused, 101.0) is Step.WAIT
        assert step(refused, triggered.due_at) is Step.TRIGGER

    def test_one_that_was_lost_is_repeated_soon(self) -> None:
        triggered = core.trigger_sent(core.wanted(CP, 100.0, ""), 100.0, TIMING)
        lost = core.trigger_lost(triggered, 101.0, "TriggerMessage: gone", TIMING)
        assert step(lost, 110.0) is Step.WAIT
        assert step(lost, 111.0) is Step.TRIGGER

    def test_a_reconnect_repeats_it_but_for_the_last_time(self) -> None:
        enrolment = core.wanted(CP, 100.0, "")
        for attempt in range(1, 7):
            enrolment = core.trigger_sent(enrolment, 100.0, TIMING)
            again = core.reconnected(enrolment, 101.0)
            assert step(again, 101.0) is (Step.TRIGGER if attempt < 6 else Step.WAIT)
            enrolment = again


def test_a_reconnect_changes_nothing_about_what_does_not_wait_for_it() -> None:
    for enrolment in (core.held(requested(), 100.0, "r", "rule"), accepted(), in_use()):
        assert core.reconnected(enrolment, 200.0) is enrolment


def test_the_ca_is_asked_again_with_growing_patience() -> None:
    away = core.put_off(requested(), 100.0, "in use", TIMING)
    assert step(away, 104.0) is Step.WAIT
    assert step(away, 105.0) is Step.SUBMIT
    assert core.put_off(away, 105.0, "in use", TIMING).due_at == 115.0


EVENTS: list[Callable[[Enrolment, float], Enrolment | None]] = [
    lambda e, now: core.asked_for(FIRST, now, e)[0],
    lambda e, now: core.asked_for(SECOND, now, e)[0],
    lambda e, now: core.held(e, now, "r", "rule"),
    lambda e, now: core.issued(e, now, GIVEN),
    lambda e, now: core.delivery_sent(e, now, TIMING),
    core.station_accepted,
    lambda e, now: core.delivery_rejected(e, now, "no"),
    lambda e, now: core.seen(e, now, "new"),
    core.reconnected,
    lambda e, now: core.superseded(e, now, "x"),
    core.old_retired,
]


@given(st.lists(st.integers(0, len(EVENTS) - 1), max_size=40))
def test_whatever_happens_the_old_one_is_retired_only_after_the_new_one_was_seen(numbers: list[int]) -> None:
    enrolment, seen_since_request = core.wanted(CP, 0.0, ""), False
    for now, number in enumerate(numbers, 1):
        try:
            after = EVENTS[number](enrolment, float(now))
        except ValueError:
            continue
        if after is None:
            continue
        if after.state is State.SEEN_IN_HANDSHAKE:
            seen_since_request = True
        if after.state is State.CSR_RECEIVED:
            seen_since_request = False
        if after.state is State.OLD_RETIRED:
            assert seen_since_request
            assert after.certificate_sha256 == "new"
        if after.serial and after.csr_sha256 == enrolment.csr_sha256 and enrolment.serial:
            assert after.serial == enrolment.serial
        enrolment = after


class TestWhatIsWaitedFor:
    """Times and attempts, as the next attempt sees them."""

    def test_a_ca_that_cannot_be_reached_is_asked_ever_more_seldom_up_to_a_bound(self) -> None:
        row, waits = requested(), []
        for _ in range(9):
            row = core.put_off(row, 100.0, "away", TIMING)
            waits.append(row.due_at - 100.0)
        assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 320.0, 320.0]

    def test_a_trigger_that_was_lost_is_repeated_when_it_comes_back(self) -> None:
        sent_once = core.trigger_sent(core.wanted(CP, 100.0, ""), 100.0, TIMING)
        row = core.trigger_lost(sent_once, 100.0, "gone", TIMING)
        assert (row.state, step(row, 101.0)) == (State.TRIGGER_WANTED, Step.WAIT)
        assert step(core.reconnected(row, 101.0), 101.0) is Step.TRIGGER

    def test_one_that_asks_before_it_is_told_to_answers_the_wish(self) -> None:
        wish = replace(core.wanted(CP, 100.0, ""), number=7)
        row, ended = core.asked_for(FIRST, 101.0, wish)
        assert (row.state, row.number, ended) == (State.CSR_RECEIVED, 7, None)

    def test_an_approval_covers_the_next_request_for_its_time_only(self) -> None:
        held = core.held(requested(), 100.0, "r1", "first-enrolment")
        before = core.approved(held, 100.0, GIVEN, TIMING)
        row = core.wanted(CP, 200.0, "", before)
        assert row.released_until == before.released_until
        assert core.is_released(row, 100.0 + TIMING.released_for_s - 1.0)
        assert not core.is_released(row, 100.0 + TIMING.released_for_s)
        assert not core.is_released(core.wanted(CP, 200.0, ""), 1.0)

    def test_a_certificate_that_was_accepted_is_sent_anew_as_if_for_the_first_time(self) -> None:
        again = core.delivery_sent(sent(), 200.0, TIMING)
        accepted_late = core.station_accepted(again, 300.0)
        row = core.delivery_sent(core.asked_for_again(accepted_late, FIRST, 400.0), 400.0, TIMING)
        assert row.due_at == 400.0 + TIMING.retry_s

    def test_a_session_from_the_moment_of_its_acceptance_may_speak_of_it(self) -> None:
        assert core.discarded(accepted(100.0), 200.0, "old", 100.0) is not None
        assert core.discarded(accepted(100.0), 200.0, "old", 99.0) is None

    def test_a_long_reason_is_cut(self) -> None:
        assert len(core.denied(requested(), 100.0, "x" * 999).detail) == 200
