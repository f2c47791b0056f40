"""May another server chain be shown? Each reason against it, and the near-miss that lets it through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.chain_switch import judge_switch

HAVE = {f"CP-{number}": True for number in range(9)}


def why_not(
    lists: dict[str, bool], *exceptions: str, share: float = 1.0, link: bool = True, strands: bool = False
) -> str:
    named = {ChargePointId(identity): has for identity, has in lists.items()}
    return judge_switch(named, exceptions, share, has_link=link, strands_by_name=strands).why_not


@pytest.mark.parametrize(
    ("lists", "exceptions", "options", "words"),
    [
        (HAVE, (), {}, ""),
        (HAVE, (), {"link": False}, ""),
        ({}, (), {}, "no charge point would see"),
        (HAVE | {"CP-X": False}, (), {}, "1 of 10 have not listed the new root: CP-X"),
        (HAVE | {"CP-X": False}, (), {"share": 0.91}, "1 of 10 have not"),
        (HAVE | {"CP-X": False}, (), {"share": 0.9}, ""),
        (HAVE | {"CP-X": False}, ("CP-X",), {}, ""),
        (HAVE | {"CP-X": False}, ("CP-0",), {}, "1 of 9 have not listed"),
        (HAVE | {"CP-X": False}, ("CP-Y",), {}, "CP-Y would not see the new chain"),
        (HAVE | {"CP-X": False}, ("CP-X",), {"link": False}, "1 could not verify the new chain"),
        (HAVE | {"CP-X": False}, (), {"share": 0.9, "link": False}, "1 could not verify the new chain"),
        (HAVE | {"CP-X": False}, ("CP-X",), {"link": False, "strands": True}, ""),
        (HAVE | {"CP-X": False}, (), {"strands": True}, "1 of 10 have not"),
    ],
)
def test_each(lists: dict[str, bool], exceptions: tuple[str, ...], options: dict[str, bool], words: str) -> None:
    found = why_not(lists, *exceptions, **options)
    assert words in found
    assert bool(words) is bool(found)


@given(st.dictionaries(st.sampled_from("ABCDEFGH"), st.booleans()), st.sets(st.sampled_from("ABCDEFGH")), st.booleans())
def test_nobody_unnamed_is_without_the_root_and_nobody_is_stranded(
    lists: dict[str, bool], exceptions: set[str], link: bool
) -> None:
    if not why_not(lists, *exceptions, link=link):
        lacking = {identity for identity, has in lists.items() if not has}
        assert lacking <= exceptions
        assert link or not lacking
