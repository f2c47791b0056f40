"""The lease by which one of several nodes does what only one may do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.provisioning.lease import NOBODY, Lease, claimed, is_held_by, released

TERM_S = 10.0
ANNAS = Lease(holder="anna", generation=3, lapses_at=100.0)


def test_the_first_one_has_it() -> None:
    assert claimed(None, "anna", 5.0, TERM_S) == Lease(holder="anna", generation=1, lapses_at=15.0)


def test_it_is_renewed_in_the_same_generation_and_nobody_else_gets_it_meanwhile() -> None:
    assert claimed(ANNAS, "anna", 99.9, TERM_S) == Lease(holder="anna", generation=3, lapses_at=109.9)
    assert claimed(ANNAS, "ben", 99.9, TERM_S) is None


@pytest.mark.parametrize("claimant", ["ben", "anna"])
def test_whoever_gets_it_after_it_has_lapsed_has_another_generation(claimant: str) -> None:
    assert claimed(ANNAS, claimant, 100.0, TERM_S) == Lease(holder=claimant, generation=4, lapses_at=110.0)


def test_one_that_was_given_back_is_free_at_once() -> None:
    free = released(ANNAS, "anna")
    assert (free.holder, free.generation) == (NOBODY, 3)
    assert claimed(free, "ben", 1.0, TERM_S) == Lease(holder="ben", generation=4, lapses_at=11.0)


def test_only_its_holder_gives_it_back() -> None:
    assert released(ANNAS, "ben") == ANNAS


def test_who_holds_it() -> None:
    assert is_held_by(ANNAS, "anna", 99.9)
    assert not is_held_by(ANNAS, "anna", 100.0)
    assert not is_held_by(ANNAS, "ben", 99.9)
    assert not is_held_by(released(ANNAS, "anna"), NOBODY, -1.0)
    assert not is_held_by(None, "anna", 0.0)


@pytest.mark.parametrize(("claimant", "term_s"), [("", 10.0), ("anna", 0.0)])
def test_nobody_and_no_time_are_no_claim(claimant: str, term_s: float) -> None:
    with pytest.raises(ValueError, match="needs a holder and a term"):
        claimed(None, claimant, 1.0, term_s)


EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["claim", "release"]), st.floats(0.0, 25.0)))


@given(EVENTS)
def test_no_two_have_the_same_generation_and_it_never_shrinks(events: list[tuple[str, str, float]]) -> None:
    held: Lease | None = None
    now, owners = 0.0, dict[int, str]()
    for who, what, later_s in events:
        now += later_s
        before = held
        if what == "claim":
            held = claimed(held, who, now, TERM_S) or held
        elif held is not None:
            held = released(held, who)
        if held is None or held.holder == NOBODY:
            continue
        assert owners.setdefault(held.generation, held.holder) == held.holder
        if before is not None:
            assert held.generation >= before.generation
            was_free = before.holder == NOBODY or now >= before.lapses_at
            assert was_free or held.holder == before.holder
