"""The quick way of reading the usual form of a timestamp reads what the grammar reads, and refuses what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.cel import times

USUAL = ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123Z")


def slowly(text: str) -> object:
    original = times._is_plain
    times._is_plain = lambda _: False  # type: ignore[assignment]
    try:
        return times.parse_timestamp(text)
    except ValueError:
        return ValueError
    finally:
        times._is_plain = original


def quickly(text: str) -> object:
    try:
        return times.parse_timestamp(text)
    except ValueError:
        return ValueError


@pytest.mark.parametrize("text", USUAL)
def test_the_usual_forms_go_the_quick_way(text: str) -> None:
    assert times._is_plain(text)
    assert quickly(text) == slowly(text)
    assert quickly(text) is not ValueError


@given(
    st.sampled_from(USUAL),
    st.lists(st.tuples(st.integers(0, 23), st.sampled_from("0123456789-:.,TtZzW+ 6é٣")), max_size=4),
)
def test_what_looks_like_one_is_read_alike(text: str, changes: list[tuple[int, str]]) -> None:
    letters = list(text)
    for place, letter in changes:
        if place < len(letters):
            letters[place] = letter
    changed = "".join(letters)
    assert quickly(changed) == slowly(changed)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:00:60Z",
        "2026-W1-1T12:00:00.0Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_odd_moments_in_the_usual_form(text: str) -> None:
    assert quickly(text) == slowly(text)
