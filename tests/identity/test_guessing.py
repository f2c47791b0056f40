"""Guessing is slowed down; the real charge point is not."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.guessing import GuessingLimiter, source_of

HOME, ELSEWHERE, ATTACKER = "192.0.2.1", "198.51.100.9", "203.0.113.7"


def limiter(per_address: int = 30, per_identity: int = 10) -> GuessingLimiter:
    return GuessingLimiter(per_address, per_identity)


def fail(guesses: GuessingLimiter, address: str, identity: str, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        guesses.failed(address, identity, now)


class TestSource:
    @pytest.mark.parametrize(
        ("address", "source"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
            ("2001:db8:0:1:ffff::", "2001:db8:0:1::/64"),
            ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
            ("", ""),
            ("no address", "no address"),
        ],
    )
    def test_an_ipv4_address_and_an_ipv6_64_are_one_source(self, address: str, source: str) -> None:
        assert source_of(address) == source


class TestPerAddress:
    def test_30_failures_a_minute_and_then_none_until_a_token_is_back(self) -> None:
        guesses = limiter()
        for number in range(30):
            assert guesses.may_try(ATTACKER, f"CP-{number}", 0.0) == 0
            guesses.failed(ATTACKER, f"CP-{number}", 0.0)
        assert guesses.may_try(ATTACKER, "CP-99", 0.0) == 2
        assert guesses.may_try(ATTACKER, "CP-99", 1.9) == 1
        assert guesses.may_try(ATTACKER, "CP-99", 2.0) == 0

    def test_another_address_is_not_concerned(self) -> None:
        guesses = limiter()
        fail(guesses, ATTACKER, "X", 30)
        assert guesses.may_try(HOME, "CP-1", 0.0) == 0

    def test_all_addresses_of_one_ipv6_network_share_a_budget(self) -> None:
        guesses = limiter()
        for number in range(30):
            guesses.failed(f"2001:db8::{number:x}", f"CP-{number}", 0.0)
        assert guesses.may_try("2001:db8::ffff", "CP-99", 0.0) > 0
        assert guesses.may_try("2001:db8:0:1::1", "CP-99", 0.0) == 0

    def test_what_is_checked_at_the_same_time_is_paid_off_later(self) -> None:
        guesses = limiter()
        fail(guesses, ATTACKER, "X", 50)
        assert guesses.may_try(ATTACKER, "Y", 40.0) > 0
        assert guesses.may_try(ATTACKER, "Y", 42.0) == 0

    def test_debt_is_never_more_than_a_minutes_budget(self) -> None:
        guesses = limiter()
        fail(guesses, ATTACKER, "X", 10_000)
        assert guesses.may_try(ATTACKER, "Y", 0.0) == 62
        assert guesses.may_try(ATTACKER, "Y", 62.0) == 0

    def test_a_full_budget_is_not_saved_up(self) -> None:
        guesses = limiter()
        fail(guesses, ATTACKER, "X", 1)
        fail(guesses, ATTACKER, "X", 30, now=3_600.0)
        assert guesses.may_try(ATTACKER, "Y", 3_600.0) > 0


class TestPerIdentity:
    def test_ten_failures_from_anywhere_stop_who_has_failed_for_it_before(self) -> None:
        guesses = limiter()
        for number in range(10):
            guesses.failed(f"203.0.113.{number}", "CP-1", 0.0)
        for number in range(10):
            assert guesses.may_try(f"203.0.113.{number}", "CP-1", 0.0) == 6
            assert guesses.may_try(f"203.0.113.{number}", "CP-2", 0.0) == 0
        assert guesses.may_try("203.0.113.1", "CP-1", 6.0) == 0

    def test_another_case_is_not_another_budget(self) -> None:
        guesses = limiter()
        for spelling in ("CP-A", "cp-a", "Cp-a", "cP-A", "CP-a"):
            fail(guesses, ATTACKER, spelling, 2)
        assert guesses.may_try(ATTACKER, "cp-A", 0.0) > 0
        assert guesses.may_try(ATTACKER, "CP-B", 0.0) == 0

    def test_who_has_failed_for_many_gets_no_first_attempt_for_free(self) -> None:
        guesses = limiter(per_address=1_000)
        for number in range(16):
            guesses.failed(ATTACKER, f"X-{number}", 0.0)
        fail(guesses, ELSEWHERE, "CP-1", 10)
        assert guesses.may_try(ATTACKER, "CP-1", 0.0) > 0
        assert guesses.may_try(HOME, "CP-1", 0.0) == 0


class TestTheRealChargePoint:
    def test_proven_from_an_address_it_is_exempt_there_from_both_limits(self) -> None:
        guesses = limiter()
        guesses.proven(HOME, "CP-1")
        fail(guesses, HOME, "CP-2", 30)
        fail(guesses, ATTACKER, "CP-1", 30)
        assert guesses.may_try(HOME, "CP-1", 0.0) == 0
        assert guesses.may_try(HOME, "cp-1", 0.0) == 0
        assert guesses.may_try(HOME, "CP-2", 0.0) > 0
        assert guesses.may_try(ATTACKER, "CP-1", 0.0) > 0

    def test_with_a_new_address_it_gets_in_although_its_budget_is_used_up_for_ever(self) -> None:
        guesses = limiter()
        guesses.proven(HOME, "CP-1")
        for second in range(600):
            fail(guesses, ATTACKER, "CP-1", 1, now=float(second))
        assert guesses.may_try(ELSEWHERE, "CP-1", 600.0) == 0
        guesses.proven(ELSEWHERE, "CP-1")
        assert guesses.may_try(ELSEWHERE, "CP-1", 600.0) == 0

    def test_one_mistyped_password_from_a_new_address_waits_its_turn_like_everybody(self) -> None:
        guesses = limiter()
        fail(guesses, ATTACKER, "CP-1", 10)
        guesses.failed(ELSEWHERE, "CP-1", 0.0)
        assert guesses.may_try(ELSEWHERE, "CP-1", 0.0) > 0

    def test_its_own_failures_do_not_draw_from_its_identity(self) -> None:
        guesses = limiter()
        guesses.proven(HOME, "CP-1")
        fail(guesses, HOME, "CP-1", 20)
        fail(guesses, ELSEWHERE, "CP-1", 1)
        assert guesses.may_try(ELSEWHERE, "CP-1", 0.0) == 0

    def test_an_exemption_wears_out_after_a_hundred_failures_and_success_renews_it(self) -> None:
        guesses = limiter()
        guesses.proven(HOME, "CP-1")
        fail(guesses, HOME, "CP-1", 100)
        assert guesses.has_proven(HOME, "CP-1")
        guesses.proven(HOME, "CP-1")
        fail(guesses, HOME, "CP-1", 100)
        assert guesses.has_proven(HOME, "CP-1")
        fail(guesses, HOME, "CP-1", 1)
        assert not guesses.has_proven(HOME, "CP-1")
        assert guesses.may_try(HOME, "CP-1", 0.0) > 0

    def test_success_clears_what_that_identity_failed_at_and_nothing_else(self) -> None:
        guesses = limiter()
        assert [guesses.failed(HOME, name, 0.0) for name in ("A", "B", "C")] == [1, 2, 3]
        guesses.proven(HOME, "B")
        assert guesses.failed(HOME, "D", 0.0) == 3


class TestAskingWithoutCredentials:
    """A request without credentials guesses nothing; going through names is a sweep all the same."""

    def test_thirty_names_a_minute_and_then_no_new_one_but_any_of_the_old(self) -> None:
        guesses = limiter()
        for number in range(30):
            assert guesses.may_ask(ATTACKER, f"CP-{number}", 0.0) == 0
            guesses.asked(ATTACKER, f"CP-{number}", 0.0)
        assert guesses.may_ask(ATTACKER, "CP-99", 0.0) == 2
        assert guesses.may_ask(ATTACKER, "cp-0", 0.0) == 0
        assert guesses.may_ask(HOME, "CP-99", 0.0) == 0
        assert guesses.may_ask(ATTACKER, "CP-99", 2.0) == 0

    def test_the_same_name_is_counted_once_however_often_it_is_asked_for(self) -> None:
        guesses = limiter(per_address=2)
        for _ in range(50):
            guesses.asked(HOME, "CP-1", 0.0)
        assert guesses.may_ask(HOME, "CP-2", 0.0) == 0

    def test_it_takes_nothing_from_the_budgets_for_guesses(self) -> None:
        guesses = limiter(per_address=1, per_identity=1)
        guesses.asked(HOME, "CP-1", 0.0)
        assert guesses.may_try(HOME, "CP-1", 0.0) == 0

    def test_a_name_that_proves_itself_is_given_back_so_that_a_whole_depot_gets_in(self) -> None:
        guesses = limiter(per_address=2)
        for number in range(100):
            assert guesses.may_ask(HOME, f"CP-{number}", 0.0) == 0
            guesses.asked(HOME, f"CP-{number}", 0.0)
            guesses.proven(HOME, f"CP-{number}")
        guesses.asked(HOME, "CP-1", 0.0)
        assert guesses.may_ask(HOME, "CP-1", 0.0) == 0
        assert len(guesses._asked) == 0

    def test_what_is_remembered_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.identity.guessing._MAX_ENTRIES", 8)
        guesses = limiter()
        for number in range(100):
            guesses.asked(f"192.0.2.{number}", "CP-1", 0.0)
        assert (len(guesses._asked), len(guesses._names._buckets)) == (8, 8)
        guesses.proven("192.0.2.99", "CP-1")
        guesses._names._buckets.clear()
        guesses.proven("192.0.2.98", "CP-1")
        assert len(guesses._asked) == 6


class TestSweep:
    def test_each_number_of_different_identities_is_heard_once(self) -> None:
        guesses = limiter()
        heard = [guesses.failed(ATTACKER, name, 0.0) for name in ("A", "A", "B", "a", "C", "B", "D", "E", "E")]
        assert heard == [1, 0, 2, 0, 3, 0, 4, 5, 0]

    def test_it_stops_counting_at_16(self) -> None:
        guesses = limiter()
        assert [guesses.failed(ATTACKER, str(number), 0.0) for number in range(20)] == [*range(1, 17), 0, 0, 0, 0]


class TestReload:
    def test_new_limits_hold_at_once_and_what_was_counted_stays(self) -> None:
        guesses = limiter()
        fail(guesses, ATTACKER, "CP-1", 5)
        guesses.limit(5, 3)
        assert guesses.may_try(ATTACKER, "CP-2", 0.0) == 0
        fail(guesses, ATTACKER, "CP-1", 5)
        assert guesses.may_try(ATTACKER, "CP-2", 0.0) > 0


class TestMemory:
    def test_every_map_is_bounded_and_forgets_the_longest_unused_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("_MAX_ENTRIES", "_MAX_PROVEN", "_MAX_SWEEPERS"):
            monkeypatch.setattr(f"gateway.identity.guessing.{name}", 8)
        guesses = limiter(per_address=1)
        for number in range(100):
            guesses.failed(f"2001:db8:{number:x}::1", f"CP-{number}", 0.0)
            guesses.proven(f"192.0.2.{number}", f"CP-{number}")
        sizes = [
            len(guesses._sources._buckets),
            len(guesses._identities._buckets),
            len(guesses._tried),
            len(guesses._proven),
        ]
        assert sizes == [8, 8, 8, 8]
        assert guesses.may_try("2001:db8:63::1", "X", 0.0) > 0
        assert guesses.may_try("2001:db8:0::1", "X", 0.0) == 0
        assert guesses.has_proven("192.0.2.99", "CP-99")
        assert not guesses.has_proven("192.0.2.0", "CP-0")

    def test_a_sweep_through_one_ipv6_network_takes_one_entry(self) -> None:
        guesses = limiter()
        for number in range(1_000):
            guesses.failed(f"2001:db8::{number:x}", f"CP-{number}", 0.0)
        assert (len(guesses._sources._buckets), len(guesses._tried), len(guesses._tried["2001:db8::/64"])) == (1, 1, 16)


@given(
    st.lists(
        st.tuples(st.sampled_from([HOME, ELSEWHERE, ATTACKER]), st.sampled_from("AB"), st.floats(0, 5)), max_size=80
    )
)
def test_nobody_waits_longer_than_two_budgets_take_to_refill(attempts: list[tuple[str, str, float]]) -> None:
    guesses, now = limiter(), 0.0
    for address, identity, pause in attempts:
        now += pause
        guesses.failed(address, identity, now)
    for address, identity in itertools.product((HOME, ELSEWHERE, ATTACKER), "AB"):
        wait = guesses.may_try(address, identity, now)
        assert 0 <= wait <= 66 + 1
        assert guesses.may_try(address, identity, now + wait) == 0
