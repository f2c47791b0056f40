import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.counter_table import CounterKey, Overflow
from gateway.policy.limits import Distinct, Rates, Sum

WINDOW = 60.0


def key(text, owner="CP"):
    return CounterKey("rule", owner, text)


moments = st.lists(st.floats(0, 300, allow_nan=False), min_size=1, max_size=60).map(sorted)


def most_in_any_window(taken: list[float]) -> int:
    return max((sum(begin <= other < begin + WINDOW for other in taken) for begin in taken), default=0)


@given(moments, st.integers(1, 6))
def test_a_rate_never_lets_more_through_than_its_limit_in_any_window(times, limit):
    rates = Rates()
    taken = [now for now in times if rates.take(key("k"), limit, WINDOW, now)]
    assert most_in_any_window(taken) <= limit


@given(moments, st.integers(1, 6))
def test_a_rate_refuses_only_what_would_be_too_much(times, limit):
    rates = Rates()
    taken: list[float] = []
    for now in times:
        fits = sum(other > now - WINDOW for other in taken) < limit
        assert rates.peek(key("k"), limit, WINDOW, now) is fits
        assert rates.take(key("k"), limit, WINDOW, now) is fits
        if fits:
            taken.append(now)


@given(
    st.lists(st.tuples(st.floats(0, 300, allow_nan=False), st.integers(0, 9)), min_size=1, max_size=60),
    st.integers(1, 4),
)
def test_distinct_values_never_exceed_the_limit_in_any_window(events, limit):
    distinct, taken = Distinct(), []
    for now, number in sorted(events):
        value = str(number)
        fits = distinct.peek(key("k"), value, limit, WINDOW, now)
        assert distinct.take(key("k"), value, limit, WINDOW, now) is fits
        if fits:
            taken.append((now, value))
    for begin, _ in taken:
        assert len({value for now, value in taken if begin <= now < begin + WINDOW}) <= limit


@given(st.lists(st.tuples(st.floats(0, 300, allow_nan=False), st.integers(-50, 50)), min_size=1, max_size=60))
def test_a_sum_of_magnitudes_never_exceeds_the_limit_in_any_window(events):
    sums, taken = Sum(), []
    for now, amount in sorted(events):
        if sums.take(key("k"), float(amount), 100.0, WINDOW, now):
            taken.append((now, abs(amount)))
    for begin, _ in taken:
        assert sum(amount for now, amount in taken if begin <= now < begin + WINDOW) <= 100


def test_a_value_that_is_there_already_is_free():
    distinct = Distinct()
    assert distinct.take(key("k"), "a", 1, WINDOW, 0)
    assert distinct.take(key("k"), "a", 1, WINDOW, 1)
    assert not distinct.take(key("k"), "b", 1, WINDOW, 2)


def test_what_moves_down_does_not_pay_for_what_moves_up():
    sums = Sum()
    assert sums.take(key("k"), -80.0, 100.0, WINDOW, 0)
    assert not sums.take(key("k"), 30.0, 100.0, WINDOW, 1)


def test_a_window_that_is_over_makes_room():
    rates = Rates(max_keys=1)
    assert rates.take(key("a"), 1, WINDOW, 0)
    assert rates.take(key("b"), 1, WINDOW, 61)
    assert rates.take_overflows() == {}


def test_ever_new_keys_share_one_window_and_nobody_else_notices():
    """The attack: a charge point makes up connectors, so that each of its messages has a counter of its own."""
    rates = Rates(max_keys=1_000, max_share=4)
    assert rates.take(key("0", "victim"), 1, WINDOW, 0)
    passed = sum(rates.take(key(f"made up {number}", "attacker"), 5, WINDOW, 0) for number in range(10_000))
    assert passed == 4 + 5, "one each of its own keys, and the limit for all the others together"
    assert not rates.take(key("0", "victim"), 1, WINDOW, 1), "its counter was not pushed out"
    assert rates.take(key("1", "victim"), 1, WINDOW, 1), "nor is it locked out"
    assert rates.take(key("newcomer", "newcomer"), 1, WINDOW, 1)
    assert rates.take_overflows() == {"rule": Overflow(9_996, "attacker")}
    assert rates.take_overflows() == {}


def test_a_full_table_is_as_exact_for_who_has_one_key():
    """A large fleet, or the attackers' charge points together, have filled it."""
    rates = Rates(max_keys=2)
    for name in "ab":
        assert rates.take(key(name, name), 2, WINDOW, 0)
    for name in "cd":
        taken = [
            rates.peek(key(name, name), 2, WINDOW, 1) and rates.take(key(name, name), 2, WINDOW, 1) for _ in range(4)
        ]
        assert taken == [True, True, False, False]
    assert not rates.take(key("c", "c"), 2, WINDOW, 60), "that there is room now is no second chance"
    assert rates.take(key("c", "c"), 2, WINDOW, 61)


def test_behind_everything_those_who_are_too_many_share_a_limit_but_have_one():
    rates = Rates(max_keys=2)
    taken = [rates.take(key(f"{number}", f"CP-{number}"), 3, WINDOW, 0) for number in range(100)]
    assert sum(taken) == 2 + 2 + 3
    assert not rates.peek(key("new", "new"), 3, WINDOW, 1)
    assert rates.peek(key("0", "CP-0"), 3, WINDOW, 1)
    assert rates.take(key("new", "new"), 3, WINDOW, 61)


def test_what_fills_the_counters_of_one_rule_leaves_those_of_others():
    rates = Rates(max_keys=2)
    for number in range(10):
        rates.take(CounterKey("flood", "attacker", str(number)), 1, 86_400.0, 0)
    taken = [rates.take(CounterKey("other", name, name), 1, WINDOW, 0) for name in "aabb"]
    assert taken == [True, False, True, False]
    assert set(rates.take_overflows()) == {"flood"}


def test_a_smaller_limit_of_another_rule_makes_no_counter_forget():
    """They once shared one window behind a full table, that the smaller limit cut to its own size."""
    rates = Rates(max_keys=1)
    large, small = (CounterKey(name, "attacker", "x") for name in ("large", "small"))
    for name in ("large", "small"):
        rates.take(CounterKey(name, "somebody", "filler"), 1, WINDOW, 0)
    passed = 0
    for _ in range(50):
        passed += rates.take(large, 10, WINDOW, 1)
        rates.take(small, 1, WINDOW, 1)
    assert passed == 10


def test_keys_that_have_gone_quiet_are_no_part_of_a_share():
    rates = Rates(max_share=2)
    for now in range(0, 1_000, 30):
        assert rates.take(key(str(now), "CP"), 1, WINDOW / 2, float(now))
    assert rates.take_overflows() == {}


def test_ever_new_keys_cannot_reset_a_distinct_counter_or_a_sum():
    distinct, sums = Distinct(max_keys=2), Sum(max_keys=2)
    assert distinct.take(key("victim", "victim"), "a", 1, WINDOW, 0)
    assert sums.take(key("victim", "victim"), 60.0, 100.0, WINDOW, 0)
    for number in range(10):
        distinct.take(key(f"k{number}", "attacker"), "x", 1, WINDOW, 0)
        sums.take(key(f"k{number}", "attacker"), 60.0, 100.0, WINDOW, 0)
    assert not distinct.take(key("victim", "victim"), "b", 1, WINDOW, 0)
    assert not sums.take(key("victim", "victim"), 60.0, 100.0, WINDOW, 0)
    assert distinct.take_overflows()["rule"].times == sums.take_overflows()["rule"].times == 9


def test_tables_of_rules_that_are_gone_are_let_go_and_those_that_count_are_not():
    rates = Rates()
    for number in range(200):
        assert rates.take(CounterKey(f"rule {number}", "CP", ""), 1, WINDOW, number * 10.0)
    assert not rates.take(CounterKey("rule 199", "CP", ""), 1, WINDOW, 1_991.0)
    assert not rates.take(CounterKey("rule 195", "CP", ""), 1, WINDOW, 1_991.0)
    assert len(rates._tables._tables) < 100


def test_a_table_counts_as_long_as_any_window_in_it_does_not_only_the_one_drawn_on_last():
    """What another worker hands over ends when it did there, behind windows of this one that end later."""
    here, there = Rates(), Rates()
    assert there.take(CounterKey("rule", "moved", "m"), 1, WINDOW, 0.0)
    assert here.take(CounterKey("rule", "CP", "k"), 1, WINDOW, 50.0)
    here.restore("moved", there.kept("moved", 50.0), 50.0)
    for number in range(100):
        here.take(CounterKey(f"rule {number}", "CP", ""), 1, WINDOW, 70.0)
    assert here.take(CounterKey("rule", "moved", "m"), 1, WINDOW, 70.0), "that one is over"
    assert not here.take(CounterKey("rule", "CP", "k"), 1, WINDOW, 71.0)


@given(
    st.lists(st.tuples(st.floats(0, 300, allow_nan=False), st.sampled_from("ab"), st.integers(0, 5)), max_size=80),
    st.integers(1, 3),
)
def test_however_full_no_key_gets_more_than_its_limit(events, limit):
    rates, taken = Rates(max_keys=3, max_share=2), dict[str, list[float]]()
    for now, owner, number in sorted(events):
        text = f"{owner}{number}"
        if rates.take(key(text, owner), limit, WINDOW, now):
            taken.setdefault(text, []).append(now)
    assert all(most_in_any_window(times) <= limit for times in taken.values())


@pytest.mark.parametrize("back", [1, 1000])
def test_a_clock_that_steps_back_frees_nothing(back):
    rates = Rates()
    assert rates.take(key("k"), 2, WINDOW, 1000)
    assert rates.take(key("k"), 2, WINDOW, 1000 - back)
    assert not rates.take(key("k"), 2, WINDOW, 1001)


def test_what_is_no_number_is_beyond_every_sum_and_leaves_the_others_counted():
    sums = Sum()
    assert sums.take(key("k"), 60.0, 100.0, 60.0, 0.0)
    assert not sums.take(key("k"), float("nan"), 100.0, 60.0, 1.0)
    assert not sums.take(key("k"), float("-inf"), 100.0, 60.0, 1.0)
    assert not sums.take(key("k"), 60.0, 100.0, 60.0, 2.0)
    assert sums.take(key("k"), 40.0, 100.0, 60.0, 2.0)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_lets_nothing_pass(limit):
    """An operator may say so by a parameter: no firmware commands at all."""
    rates, distinct = Rates(), Distinct()
    for now in (1.0, 1.0, 1_000.0):
        assert rates.peek(key("k"), limit, WINDOW, now) is False
        assert rates.take(key("k"), limit, WINDOW, now) is False
        assert distinct.peek(key("k"), "value", limit, WINDOW, now) is False
        assert distinct.take(key("k"), "value", limit, WINDOW, now) is False


def test_a_limit_that_becomes_nothing_stops_what_it_let_pass_before():
    rates = Rates()
    assert rates.take(key("k"), 2, WINDOW, 1.0)
    assert (rates.peek(key("k"), 0, WINDOW, 2.0), rates.take(key("k"), 0, WINDOW, 200.0)) == (False, False)
    assert rates.take(key("k"), 2, WINDOW, 2.0)
