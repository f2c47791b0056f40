"""The state table of an upgrade: each step, what may not follow, and what a crash or a lost answer changes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning import upgrade as core
from gateway.provisioning.upgrade import Step, Upgrade, UpgradeTiming, next_step
from gateway.provisioning.upgrade_states import ENDS, FOLLOWS, UpgradeState

CP = ChargePointId("CP-1")
ONE, THREE = SecurityProfile(1), SecurityProfile(3)
TIMING = UpgradeTiming(look_again_s=60.0, retry_s=10.0, restart_s=300.0, lost_after_s=1_000.0)
Made = Callable[[], Upgrade]


def wanted(now: float = 100.0) -> Upgrade:
    return core.wanted(CP, ONE, THREE, now, url="wss://gw/ocpp")


def both(priority: str = "1") -> Upgrade:
    return core.both_accepted(wanted(), 100.0, priority)


def told(priority: str = "1") -> Upgrade:
    return core.told(both(priority), 100.0)


def switching(priority: str = "1") -> Upgrade:
    return core.resetting(told(priority), 100.0, TIMING)


def returning() -> Upgrade:
    found = core.on_old_profile(switching(), 120.0, TIMING, session_began_at=110.0, has_started=True)
    assert found is not None
    return found


def lost() -> Upgrade:
    return core.lost(switching(), 2_000.0)


def proven(upgrade: Upgrade) -> Upgrade:
    found = core.proven(upgrade, 130.0, "1f")
    assert found is not None
    return found


def step(upgrade: Upgrade, now: float = 100.0, *, reachable: bool = True) -> Step:
    return next_step(upgrade, now, TIMING, reachable=reachable)


class TestSteps:
    @pytest.mark.parametrize(
        ("made", "expected"),
        [
            (wanted, Step.CHECK),
            (lambda: core.certificate_wanted(wanted(), 100.0, ""), Step.LOOK_AT_CERTIFICATE),
            (lambda: core.root_wanted(wanted(), 100.0, ""), Step.INSTALL_ROOT),
            (both, Step.TELL),
            (told, Step.RESET),
            (switching, Step.WAIT),
            (lost, Step.WAIT),
            (lambda: proven(switching()), Step.WAIT),
            (lambda: core.refused(wanted(), 100.0, "no"), Step.WAIT),
        ],
    )
    def test_of_each_state(self, made: Made, expected: Step) -> None:
        assert step(made()) is expected

    @pytest.mark.parametrize("made", [wanted, both, told])
    def test_nothing_is_said_to_a_charge_point_that_is_away(self, made: Made) -> None:
        assert step(made(), reachable=False) is Step.WAIT

    def test_what_has_to_be_waited_for_is_looked_at_again_and_not_before(self) -> None:
        waits = core.put_off(wanted(), 100.0, "idle: a transaction runs", TIMING)
        assert (step(waits, 159.0), step(waits, 160.0)) == (Step.WAIT, Step.CHECK)

    def test_a_reconnect_brings_forward_what_may_not_have_been_heard(self) -> None:
        unheard = core.not_told(both(), 100.0, "timeout", TIMING)
        assert step(unheard, 101.0) is Step.WAIT
        assert step(core.reconnected(unheard, 101.0), 101.0) is Step.TELL

    def test_but_no_second_restart(self) -> None:
        assert step(core.reconnected(switching(), 101.0), 101.0) is Step.WAIT


class TestRestart:
    def test_is_asked_for_again_after_a_while_and_then_given_up(self) -> None:
        upgrade, now, resets = switching(), 100.0, 1
        timing = UpgradeTiming(restart_s=1.0, lost_after_s=10_000.0)
        while (found := next_step(upgrade, now, timing, reachable=True)) in {Step.WAIT, Step.RESET}:
            if found is Step.RESET:
                upgrade, resets = core.resetting(upgrade, now, timing), resets + 1
            now += 0.5
        assert (found, resets) == (Step.GIVE_UP, 6)

    def test_of_one_that_charges_is_put_off_and_counts_as_no_attempt(self) -> None:
        busy = switching()
        for _ in range(20):
            later = core.reset_put_off(busy, 100.0, "a transaction runs", TIMING)
            assert (step(later, 100.0), step(later, 160.0)) == (Step.WAIT, Step.RESET)
            busy = core.resetting(later, 160.0, TIMING)
        assert busy.reset_at == 160.0

    def test_of_one_that_is_not_seen_again_is_lost_after_the_time_for_it(self) -> None:
        assert step(switching(), 1_099.0, reachable=False) is Step.WAIT
        assert step(switching(), 1_100.0, reachable=False) is Step.LOSE


class TestNotSentToRestart:
    """It said no, or was not asked: it is asked later, and its time to come back has not begun."""

    def test_a_no_counts_as_an_attempt_and_is_waited_after(self) -> None:
        found = core.reset_refused(switching(), 100.0, "Rejected", TIMING)
        assert (found.state, found.attempts, found.reset_at, found.due_at) == (UpgradeState.TOLD, 1, 0.0, 220.0)

    def test_one_that_was_not_asked_has_its_attempt_back(self) -> None:
        found = core.reset_put_off(switching(), 100.0, "it is charging", TIMING)
        assert (found.state, found.attempts, found.reset_at, found.due_at) == (UpgradeState.TOLD, 0, 0.0, 160.0)
        twice = core.reset_put_off(core.resetting(switching(), 400.0, TIMING), 400.0, "gone", TIMING)
        assert twice.attempts == 1
        assert core.resetting(found, 500.0, TIMING).reset_at == 500.0


class TestOnTheOldProfile:
    def test_one_that_was_lost_has_come_back_too(self) -> None:
        found = core.on_old_profile(lost(), 3_000.0, TIMING, session_began_at=2_900.0, has_started=True)
        assert found is not None
        assert found.state is UpgradeState.RETURNING

    def test_a_session_that_began_with_the_reset_is_the_one_before(self) -> None:
        assert core.on_old_profile(switching(), 120.0, TIMING, session_began_at=100.0, has_started=True) is None

    def test_started_after_the_reset_it_has_come_back(self) -> None:
        assert (returning().state, returning().ends_as) == (UpgradeState.RETURNING, "fell-back")

    @pytest.mark.parametrize(("began_at", "has_started"), [(99.0, True), (110.0, False)])
    def test_a_session_from_before_or_a_mere_reconnect_proves_nothing(self, began_at: float, has_started: bool) -> None:
        found = core.on_old_profile(switching(), 120.0, TIMING, session_began_at=began_at, has_started=has_started)
        assert found is None

    @pytest.mark.parametrize("made", [wanted, both, told])
    def test_before_it_was_sent_to_restart_it_belongs_there(self, made: Made) -> None:
        assert core.on_old_profile(made(), 120.0, TIMING, session_began_at=110.0, has_started=True) is None

    def test_its_network_profiles_are_restored_a_few_times_at_most(self) -> None:
        upgrade, now = returning(), 120.0
        for _ in range(3):
            assert step(upgrade, now) is Step.RESTORE
            upgrade = core.restore_tried(upgrade, now, "Rejected", TIMING)
            assert step(upgrade, now) is not Step.RESTORE
            now += 1_000.0
        assert step(upgrade, now) is Step.END
        assert core.ended(upgrade, now).state is UpgradeState.FELL_BACK

    def test_2_x_that_does_not_say_that_it_has_gone_back_is_left_open_and_one_that_does_is_not(self) -> None:
        back = returning()
        assert not core.restore_tried(back, 120.0, "", TIMING).accepts_both
        for _ in range(3):
            back = core.restore_tried(back, 120.0, "timeout", TIMING)
        ended = core.ended(back, 120.0)
        assert (ended.state, ended.accepts_both) == (UpgradeState.FELL_BACK, True)
        assert proven(ended).state is UpgradeState.PROVEN


class TestNothingToTakeBack:
    """1.6: what it has accepted it may use after any later start; refused then, it would be stranded."""

    def back(self) -> Upgrade:
        found = core.on_old_profile(switching(""), 120.0, TIMING, session_began_at=110.0, has_started=True)
        assert found is not None
        return found

    def test_its_restart_is_waited_for_before_it_has_fallen_back(self) -> None:
        """Its line may have dropped before it restarts, and it sends a BootNotification whenever it connects."""
        assert step(self.back(), 419.0) is Step.WAIT
        assert step(core.reconnected(self.back(), 200.0), 419.0) is Step.WAIT
        assert step(self.back(), 420.0, reachable=False) is Step.END
        assert proven(self.back()).state is UpgradeState.PROVEN

    def test_2_x_is_not_waited_for(self) -> None:
        assert step(returning(), 120.0) is Step.RESTORE

    def test_fallen_back_or_stopped_it_may_still_come_on_the_new_profile(self) -> None:
        fell_back = core.ended(self.back(), 420.0)
        assert (fell_back.state, fell_back.accepts_both) == (UpgradeState.FELL_BACK, True)
        assert proven(fell_back).state is UpgradeState.PROVEN
        for made in (both, told, switching):
            stopped = core.aborted(made(""), 140.0)
            assert step(stopped, 140.0, reachable=False) is Step.END
            stopped = core.ended(stopped, 140.0)
            assert (stopped.state, stopped.accepts_both) == (UpgradeState.ABORTED, True)
            assert proven(stopped).state is UpgradeState.PROVEN

    def test_one_that_is_lost_can_be_stopped_before_it_starts_again(self) -> None:
        gone = core.lost(switching(""), 2_000.0)
        assert core.why_not_abortable(gone) == ""
        stopped = core.ended(core.aborted(gone, 2_000.0), 2_000.0)
        assert (stopped.state, stopped.state.is_open, stopped.accepts_both) == (UpgradeState.ABORTED, False, True)

    def test_before_it_was_told_anything_the_end_leaves_nothing_open(self) -> None:
        stopped = core.aborted(wanted(), 140.0)
        assert (stopped.state, stopped.accepts_both) == (UpgradeState.ABORTED, False)
        assert core.proven(stopped, 150.0, "") is None

    def test_what_an_operator_has_set_by_hand_closes_the_other_way(self) -> None:
        for made in (self.back, lambda: core.aborted(told(""), 130.0)):
            found = core.overtaken(made(), 140.0, SecurityProfile(2))
            assert found is not None
            assert not found.accepts_both

    @pytest.mark.parametrize("made", [wanted, told])
    def test_who_has_stopped_it_is_said_to_the_end(self, made: Callable[[], Upgrade]) -> None:
        stopped = core.aborted(made(), 140.0, "stopped by the campaign")
        if stopped.state.is_open:
            stopped = core.restore_tried(stopped, 141.0, "", TIMING)
        assert (stopped.state, stopped.detail) == (UpgradeState.ABORTED, "stopped by the campaign")

    def test_2_x_that_was_taken_back_is_closed(self) -> None:
        ended = core.restore_tried(core.aborted(told(), 140.0), 141.0, "", TIMING)
        assert (ended.state, ended.accepts_both) == (UpgradeState.ABORTED, False)
        assert core.proven(ended, 150.0, "") is None


class TestTurnedDown:
    def test_at_once_it_has_not_taken_it(self) -> None:
        assert core.turned_down(both(""), 101.0, "Rejected", TIMING).state is UpgradeState.REFUSED

    def test_after_it_may_have_heard_it_once_its_no_says_nothing(self) -> None:
        again = core.turned_down(core.not_told(both(""), 101.0, "timeout", TIMING), 120.0, "Rejected", TIMING)
        assert (again.state, again.attempts) == (UpgradeState.BOTH_ACCEPTED, 2)


class TestGivenUp:
    def test_takes_back_what_can_be_taken_back(self) -> None:
        assert core.given_up(told(), 200.0).state is UpgradeState.RETURNING

    def test_where_nothing_can_both_stay_open(self) -> None:
        """A 1.6 charge point may use its new profile after its next start: refused, it would be stranded."""
        found = core.given_up(told(""), 200.0)
        assert (found.state, found.state.accepts_both) == (UpgradeState.LOST, True)

    def test_says_what_it_was_at_and_why(self) -> None:
        assert core.given_up(told(), 200.0).detail == "given up while told: it does not switch"
        refused = core.reset_refused(switching(), 100.0, "Reset: Rejected", TIMING)
        assert core.given_up(refused, 200.0).detail == "given up while told: Reset: Rejected"


class TestProven:
    @pytest.mark.parametrize("made", [both, told, switching, lost, returning])
    def test_by_a_session_in_every_state_that_lets_it_in(self, made: Made) -> None:
        assert proven(made()).certificate_serial == "1f"

    @pytest.mark.parametrize("made", [wanted, lambda: core.refused(wanted(), 1.0, ""), lambda: proven(switching())])
    def test_in_no_other(self, made: Made) -> None:
        assert core.proven(made(), 130.0, "1f") is None

    def test_it_cannot_be_undone(self) -> None:
        with pytest.raises(ValueError, match="cannot follow"):
            core.aborted(proven(switching()), 200.0)


class TestAborted:
    def test_before_anything_was_changed_at_once(self) -> None:
        assert core.aborted(wanted(), 100.0).state is UpgradeState.ABORTED

    def test_afterwards_by_taking_back(self) -> None:
        found = core.aborted(told(), 100.0)
        assert (step(found), core.ended(found, 100.0).state) == (Step.RESTORE, UpgradeState.ABORTED)

    @pytest.mark.parametrize(
        ("made", "possible"),
        [(wanted, True), (told, True), (lambda: told(""), True), (returning, False), (lambda: proven(told()), False)],
    )
    def test_where_it_cannot_be_says_why(self, made: Made, possible: bool) -> None:
        assert bool(core.why_not_abortable(made())) is not possible


@pytest.mark.parametrize(("start", "to"), [(3, 3), (2, 1)])
def test_never_downwards(start: int, to: int) -> None:
    with pytest.raises(ValueError, match="is not above"):
        core.wanted(CP, SecurityProfile(start), SecurityProfile(to), 1.0)


def test_nothing_leads_out_of_an_end_and_everything_to_one() -> None:
    for state in UpgradeState:
        seen, front = {state}, {state}
        while front:
            front = {after for each in front for after in FOLLOWS[each]} - seen
            seen |= front
        assert seen & ENDS
        assert state not in ENDS or FOLLOWS[state] <= {UpgradeState.PROVEN}
        assert state in ENDS or FOLLOWS[state]


def test_what_lets_in_both_ends_by_proof_by_return_or_by_a_refusal_to_be_told() -> None:
    ways = {(before, after) for before in UpgradeState if before.accepts_both for after in FOLLOWS[before] & ENDS}
    assert {before for before, after in ways if after is UpgradeState.FELL_BACK} == {UpgradeState.RETURNING}
    assert {before for before, after in ways if after is UpgradeState.REFUSED} == {UpgradeState.BOTH_ACCEPTED}


@given(now=st.floats(0.0, 1e6), reachable=st.booleans(), index=st.integers(0, 6))
def test_a_step_is_the_same_whoever_asks_for_it(now: float, reachable: bool, index: int) -> None:
    made: list[Made] = [wanted, both, told, switching, returning, lost, lambda: proven(told())]
    upgrade = made[index]()
    assert step(upgrade, now, reachable=reachable) is step(upgrade, now, reachable=reachable)


@pytest.mark.parametrize("made", [wanted, both, told, switching, returning, lost])
def test_a_profile_that_was_set_by_hand_ends_it(made: Made) -> None:
    found = core.overtaken(made(), 140.0, SecurityProfile(2))
    assert found is not None
    assert (found.state, found.state.accepts_both) == (UpgradeState.ABORTED, False)
    assert "profile 2" in found.detail
    assert core.overtaken(made(), 140.0, ONE) is None


@pytest.mark.parametrize("made", [both, told, switching, lost])
def test_one_that_is_stopped_takes_back_what_it_has_told(made: Made) -> None:
    assert core.aborted(made(), 140.0).state is UpgradeState.RETURNING


def test_one_that_is_over_is_not_ended_again() -> None:
    assert core.overtaken(proven(switching()), 140.0, THREE) is None


class TestRootFirst:
    """The root of our server certificates, where the charge point lacks it."""

    def test_it_is_asked_again_while_nobody_knows_and_then_no_more(self) -> None:
        row = core.root_wanted(wanted(), 100.0, "none")
        waits = core.root_not_installed(row, 100.0, "timeout", TIMING)
        assert (step(waits, 109.0), step(waits, 110.0)) == (Step.WAIT, Step.INSTALL_ROOT)
        assert step(core.reconnected(waits, 101.0), 101.0) is Step.INSTALL_ROOT
        assert core.root_installed(waits, 110.0).attempts == 0
        for _ in range(5):
            row = core.root_not_installed(row, 100.0, "timeout", TIMING)
        ended = core.root_not_installed(row, 100.0, "timeout", TIMING)
        assert (row.state, ended.state) == (UpgradeState.INSTALLING_ROOT, UpgradeState.REFUSED)
        assert ended.detail == "root: timeout"

    def test_once_it_is_there_nothing_is_installed_again(self) -> None:
        row = core.root_wanted(replace(wanted(), install_root=True), 100.0, "none")
        there = core.root_installed(row, 120.0)
        assert (there.state, there.install_root, step(there, 120.0)) == (UpgradeState.WANTED, False, Step.CHECK)

    def test_nothing_lets_the_charge_point_in_on_the_new_profile_meanwhile(self) -> None:
        row = core.root_wanted(wanted(), 100.0, "none")
        assert core.proven(row, 110.0, "") is None
        assert not row.state.accepts_both
        assert core.aborted(row, 110.0).state is UpgradeState.ABORTED


@pytest.mark.parametrize(
    "made",
    [wanted, lambda: core.root_wanted(wanted(), 100.0, ""), both, told, switching, returning, lambda: returning_of("")],
)
def test_whatever_waits_for_a_time_says_for_which(made: Made) -> None:
    """Nobody looks at a row before that: one that says NEVER, and has something to do, would wait for ever."""
    row = made()
    at = core.due_at(row, TIMING)
    assert step(row, at) is not Step.WAIT
    assert at == 0.0 or step(row, at - 0.5) is Step.WAIT


def returning_of(priority: str) -> Upgrade:
    found = core.on_old_profile(switching(priority), 120.0, TIMING, session_began_at=110.0, has_started=True)
    assert found is not None
    return found
