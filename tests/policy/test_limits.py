import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.limits import Distinct, Rates, Sum

WINDOW = 60.0
moments = st.lists(st.floats(0, 300, allow_nan=False), min_size=1, max_size=60).map(sorted)


def most_in_any_window(taken: list[float]) -> int:
    return max((sum(begin <= other < begin + WINDOW for other in taken) for begin in taken), default=0)


@given(moments, st.integers(1, 6))
def test_a_rate_never_lets_more_through_than_its_limit_in_any_window(times, limit):
    rates = Rates()
    taken = [now for now in times if rates.take("k", limit, WINDOW, now)]
    assert most_in_any_window(taken) <= limit


@given(moments, st.integers(1, 6))
def test_a_rate_refuses_only_what_would_be_too_much(times, limit):
    rates = Rates()
    taken: list[float] = []
    for now in times:
        fits = sum(other > now - WINDOW for other in taken) < limit
        assert rates.peek("k", limit, WINDOW, now) is fits
        assert rates.take("k", limit, WINDOW, now) is fits
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
        fits = distinct.peek("k", value, limit, WINDOW, now)
        assert distinct.take("k", value, limit, WINDOW, now) is fits
        if fits:
            taken.append((now, value))
    for begin, _ in taken:
        assert len({value for now, value in taken if begin <= now < begin + WINDOW}) <= limit


@given(st.lists(st.tuples(st.floats(0, 300, allow_nan=False), st.integers(-50, 50)), min_size=1, max_size=60))
def test_a_sum_of_magnitudes_never_exceeds_the_limit_in_any_window(events):
    sums, taken = Sum(), []
    for now, amount in sorted(events):
        if sums.take("k", float(amount), 100.0, WINDOW, now):
            taken.append((now, abs(amount)))
    for begin, _ in taken:
        assert sum(amount for now, amount in taken if begin <= now < begin + WINDOW) <= 100


def test_a_value_that_is_there_already_is_free():
    distinct = Distinct()
    assert distinct.take("k", "a", 1, WINDOW, 0)
    assert distinct.take("k", "a", 1, WINDOW, 1)
    assert not distinct.take("k", "b", 1, WINDOW, 2)


def test_what_moves_down_does_not_pay_for_what_moves_up():
    sums = Sum()
    assert sums.take("k", -80.0, 100.0, WINDOW, 0)
    assert not sums.take("k", 30.0, 100.0, WINDOW, 1)


def test_a_full_table_shares_one_slot_and_forgets_nobody():
    rates = Rates(max_keys=2)
    assert rates.take("a", 1, WINDOW, 0)
    assert rates.take("b", 1, WINDOW, 0)
    assert rates.take("c", 1, WINDOW, 0)
    assert not rates.take("d", 1, WINDOW, 0), "d shares the overflow slot with c"
    assert not rates.take("a", 1, WINDOW, 0), "a was not pushed out"
    assert rates.overflowed == 2


def test_a_window_that_is_over_makes_room():
    rates = Rates(max_keys=1)
    assert rates.take("a", 1, WINDOW, 0)
    assert rates.take("b", 1, WINDOW, 61)
    assert rates.overflowed == 0


def test_ever_new_keys_cannot_reset_a_distinct_counter():
    distinct = Distinct(max_keys=2)
    assert distinct.take("victim", "a", 1, WINDOW, 0)
    for number in range(10):
        distinct.take(f"k{number}", "x", 1, WINDOW, 0)
    assert not distinct.take("victim", "b", 1, WINDOW, 0)
    assert distinct.overflowed >= 9


@pytest.mark.parametrize("back", [1, 1000])
def test_a_clock_that_steps_back_frees_nothing(back):
    rates = Rates()
    assert rates.take("k", 2, WINDOW, 1000)
    assert rates.take("k", 2, WINDOW, 1000 - back)
    assert not rates.take("k", 2, WINDOW, 1001)


def test_what_is_no_number_is_beyond_every_sum_and_leaves_the_others_counted():
    sums = Sum()
    assert sums.take("k", 60.0, 100.0, 60.0, 0.0)
    assert not sums.take("k", float("nan"), 100.0, 60.0, 1.0)
    assert not sums.take("k", float("-inf"), 100.0, 60.0, 1.0)
    assert not sums.take("k", 60.0, 100.0, 60.0, 2.0)
    assert sums.take("k", 40.0, 100.0, 60.0, 2.0)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_lets_nothing_pass(limit):
    """An operator may say so by a parameter: no firmware commands at all."""
    rates, distinct = Rates(), Distinct()
    for now in (1.0, 1.0, 1_000.0):
        assert rates.peek("k", limit, WINDOW, now) is False
        assert rates.take("k", limit, WINDOW, now) is False
        assert distinct.peek("k", "value", limit, WINDOW, now) is False
        assert distinct.take("k", "value", limit, WINDOW, now) is False


def test_a_limit_that_becomes_nothing_stops_what_it_let_pass_before():
    rates = Rates()
    assert rates.take("k", 2, WINDOW, 1.0)
    assert (rates.peek("k", 0, WINDOW, 2.0), rates.take("k", 0, WINDOW, 200.0)) == (False, False)
    assert rates.take("k", 2, WINDOW, 2.0)
