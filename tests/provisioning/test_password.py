"""The state table of one password change: each step, what may not follow, and what slots and answers mean to it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import password as core
from gateway.provisioning.agenda import NEVER
from gateway.provisioning.password import PasswordChange, PasswordStep, next_step
from gateway.provisioning.password_states import FOLLOWS, PasswordState

CP = ChargePointId("CP-1")
NOW = 100.0


def sent() -> PasswordChange:
    return core.sent(core.wanted(CP, NOW), NOW, "new", "s-1")


def staged() -> PasswordChange:
    return core.answered(sent(), NOW, "later", "RebootRequired")


def accepted() -> PasswordChange:
    return core.answered(sent(), NOW, "accepted", "")


def step(change: PasswordChange, now: float = NOW, *, reachable: bool = True) -> PasswordStep:
    return next_step(change, now, reachable=reachable)


class TestSteps:
    """What each state asks for."""

    def test_a_wish_waits_for_the_charge_point(self) -> None:
        assert step(core.wanted(CP, NOW)) is PasswordStep.CHANGE
        assert step(core.wanted(CP, NOW), reachable=False) is PasswordStep.WAIT

    def test_a_silent_charge_point_gets_the_same_candidate_again_after_a_while(self) -> None:
        change = sent()
        assert step(change, change.due_at - 1.0) is PasswordStep.WAIT
        assert step(change, change.due_at) is PasswordStep.REPEAT
        again = core.sent_again(change, change.due_at, "s-2")
        assert (again.candidate, again.session) == ("new", "s-2")
        assert again.due_at - change.due_at > change.due_at - NOW

    def test_what_the_csms_changes_is_its_own_to_repeat(self) -> None:
        assert step(core.learnt(CP, NOW, "new", "s-1"), NOW + 10_000.0) is PasswordStep.WAIT

    def test_many_attempts_end(self) -> None:
        change = core.wanted(CP, NOW)
        for _ in range(6):
            assert step(change, change.due_at) is PasswordStep.CHANGE
            change = core.sent(change, change.due_at, "new", "s")
            change = core.as_stored(change, change.changed_at, "old", "")
        assert step(change, change.due_at) is PasswordStep.GIVE_UP

    @pytest.mark.parametrize("made", [staged, accepted])
    def test_an_answer_needs_nothing_more(self, made: object) -> None:
        change = made()  # type: ignore[operator]
        assert step(change, NOW + 1e9) is PasswordStep.WAIT


class TestSlots:
    """What the registry's two hashes mean to a change, after a crash or a handshake."""

    def test_a_candidate_beside_the_old_one_is_still_open(self) -> None:
        assert core.as_stored(sent(), NOW, "old", "new") == sent()

    def test_one_that_may_have_been_taken_for_later_outlives_the_old_one_s_use_and_is_sent_again_soon(self) -> None:
        assert core.may_be_for_later(sent())
        assert core.may_be_for_later(staged())
        again = core.returned(sent(), NOW)
        assert (again.state, again.candidate, again.attempts) == (PasswordState.SENT, "new", 1)
        assert NOW < again.due_at <= NOW + 30.0
        assert core.next_step(again, again.due_at, reachable=True) is PasswordStep.REPEAT

    def test_but_not_one_that_is_sent_no_more_or_that_somebody_else_sends(self) -> None:
        tired = msgspec.structs.replace(sent(), attempts=6)
        assert not core.may_be_for_later(tired)
        assert not core.may_be_for_later(core.learnt(CP, NOW, "new", "s1"))
        assert not core.may_be_for_later(accepted())
        assert not core.may_be_for_later(core.wanted(CP, NOW))

    def test_a_candidate_that_is_the_password_was_accepted(self) -> None:
        assert core.as_stored(sent(), NOW, "new", "").state is PasswordState.ACCEPTED
        assert core.as_stored(staged(), NOW, "new", "").state is PasswordState.ACCEPTED

    def test_a_candidate_that_is_gone_is_made_anew(self) -> None:
        again = core.as_stored(sent(), NOW, "old", "")
        assert (again.state, again.candidate) == (PasswordState.WANTED, "")
        assert again.due_at > NOW

    @pytest.mark.parametrize("made", [lambda: core.learnt(CP, NOW, "new", "s"), staged])
    def test_but_not_where_that_is_for_somebody_else_to_do(self, made: object) -> None:
        change = made()  # type: ignore[operator]
        assert core.as_stored(change, NOW, "old", "").state is PasswordState.FAILED

    def test_an_operator_who_sets_another_one_has_the_last_word(self) -> None:
        assert core.as_stored(accepted(), NOW, "operators", "").state is PasswordState.SUPERSEDED

    def test_a_wish_has_no_candidate_to_look_for(self) -> None:
        assert core.as_stored(core.wanted(CP, NOW), NOW, "old", "") == core.wanted(CP, NOW)


class TestAnswers:
    @pytest.mark.requirement("A01.FR.03")
    def test_accepted_then_in_use(self) -> None:
        in_use = core.used(accepted(), NOW)
        assert (in_use.state, in_use.candidate) == (PasswordState.IN_USE, "")

    @pytest.mark.requirement("A01.FR.04")
    def test_refused_is_the_end(self) -> None:
        refused = core.answered(sent(), NOW, "refused", "Rejected")
        assert FOLLOWS[refused.state] == frozenset()
        assert (refused.candidate, refused.detail) == ("", "Rejected")

    @pytest.mark.parametrize("outcome", ["accepted", "later", "refused", "unknown"])
    def test_a_refusal_of_what_it_may_have_taken_before_proves_nothing(self, outcome: Any) -> None:
        assert core.believed(outcome, sent_before=False) == outcome
        assert core.believed(outcome, sent_before=True) == ("unknown" if outcome == "refused" else outcome)

    def test_the_csms_may_say_it_twice(self) -> None:
        change = core.sent_by_csms_again(core.learnt(CP, NOW, "new", "s-1"), NOW, "s-2")
        assert (change.state, change.attempts, change.candidate) == (PasswordState.SENT, 2, "new")
        assert change.session == "s-2"

    def test_unknown_changes_nothing(self) -> None:
        unknown = core.answered(sent(), NOW, "unknown", "timeout")
        assert (unknown.state, unknown.candidate, unknown.due_at) == (PasswordState.SENT, "new", sent().due_at)

    def test_what_was_never_sent_is_wanted_again(self) -> None:
        assert core.put_off(sent(), NOW, "not connected").state is PasswordState.WANTED

    def test_nothing_is_accepted_that_was_not_stored_first(self) -> None:
        with pytest.raises(ValueError, match="accepted cannot follow wanted"):
            core.answered(core.wanted(CP, NOW), NOW, "accepted", "")


def test_no_state_is_left_once_it_is_an_end() -> None:
    for state, after in FOLLOWS.items():
        assert (not after) is (not state.is_watched), state


def test_hashes_are_in_no_repr() -> None:
    assert "new" not in repr(sent())


@given(st.lists(st.sampled_from(["accepted", "later", "refused", "unknown"]), max_size=4))
def test_whatever_is_answered_a_candidate_is_kept_exactly_while_it_may_be_the_password(answers: list[str]) -> None:
    change = sent()
    for answer in answers:
        try:
            change = core.answered(change, NOW, answer, "")  # type: ignore[arg-type]
        except ValueError:
            continue
    assert bool(change.candidate) is (
        change.state in {PasswordState.SENT, PasswordState.STAGED, PasswordState.ACCEPTED}
    )


class TestWaits:
    """Ever longer, up to a bound."""

    def test_the_same_candidate_is_sent_again_after_a_minute_and_then_after_two(self) -> None:
        first = sent()
        again = core.sent_again(first, NOW, "s-1")
        assert (first.due_at, again.due_at) == (NOW + 60.0, NOW + 120.0)

    def test_six_times_and_then_only_a_handshake_tells(self) -> None:
        row = sent()
        for _ in range(5):
            assert step(row, NOW + 10_000.0) is PasswordStep.REPEAT
            row = core.sent_again(row, NOW, "s-1")
        assert (row.attempts, step(row, NOW + 10_000.0), core.due_at(row)) == (6, PasswordStep.WAIT, NEVER)

    def test_after_one_that_came_to_nothing_another_one_is_made_later(self) -> None:
        row, waits = core.wanted(CP, NOW), []
        for _ in range(8):
            row = core.put_off(core.sent(row, NOW, "new", "s-1"), NOW, "not sent")
            waits.append(row.due_at - NOW)
        assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 320.0, 320.0]

    def test_a_long_reason_is_cut(self) -> None:
        assert len(core.failed(sent(), NOW, "x" * 999).detail) == 200
