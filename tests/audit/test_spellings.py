"""One contract or card in several spellings, and its neighbour that is another one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.spellings import spellings


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DE8AACA2B3C4D5L", "DE-8AA-CA2B3C4D5-L"),
        ("DE-8AA-CA2B3C4D5", "de8aaca2b3c4d5l"),
        ("DE-8AA-CA2B3C4D5L", "DE*8AA*CA2B3C4D5*L"),
        ("DE*8AA*123456*X", "DE8AA123456"),
        ("04AABBCCDD", "04:aa:bb:cc:dd"),
        ("04 AA BB CC", "04-aa-bb-cc"),
        (" Driver-7 ", "driver-7"),
    ],
)
def test_the_same_one_however_it_is_written(one: str, other: str) -> None:
    assert other.casefold() in spellings(one)
    assert one.strip().casefold() in spellings(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DE8AACA2B3C4D5L", "DE8AACA2B3C4D6L"),
        ("DE8AACA2B3C4D5L", "DE8ABCA2B3C4D5L"),
        ("04AABBCCDD", "04AABBCCDE"),
        ("04AABBCC", "CCBBAA04"),
        ("DRIVER-7", "DRIVER7"),
        ("04AABBCCDD", "04AABBCC"),
    ],
)
def test_another_one_is_another_one(one: str, other: str) -> None:
    assert spellings(one).isdisjoint(spellings(other))


@given(st.text(max_size=40))
def test_any_text_is_at_least_itself_and_there_are_not_many(token: str) -> None:
    found = spellings(token)
    assert token.strip().casefold() in found
    assert len(found) <= 400
    assert all(each in spellings(each) for each in found)
