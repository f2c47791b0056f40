"""Holds: which days they are over, and that nothing is destroyed under one, however it was asked for."""

from pathlib import Path

import pytest

from gateway.control.shredding import Found, Shredding
from gateway.control.trail.holds import Hold, HoldRefused, Holds
from gateway.control.trail.payloads import PayloadStore
from gateway.control.trail.pseudonyms import PseudonymKeys

DAY = "2026-11-28"


@pytest.mark.parametrize("day", ["20261101", "2026-W44-7", "2026W447", "2026-11-1", "2026-11-31", "soon"])
def test_a_day_in_another_spelling_is_refused_as_it_would_hold_other_days(tmp_path: Path, day: str) -> None:
    holds = Holds(tmp_path / "holds")
    for hold in (Hold(name="court", since=day), Hold(name="court", since="2026-01-01", until=day)):
        with pytest.raises(HoldRefused, match="is no day"):
            holds.add(hold)
    assert holds.all() == []


def test_a_hold_is_over_its_days_and_no_others(tmp_path: Path) -> None:
    holds = Holds(tmp_path / "holds")
    holds.add(Hold(name="court", since="2026-11-01", until=DAY))
    assert [holds.over(day) for day in ("2026-10-31", "2026-11-01", DAY, "2026-11-29")] == [
        [],
        ["court"],
        ["court"],
        [],
    ]


def test_a_hold_that_comes_after_the_search_still_keeps_the_texts(tmp_path: Path) -> None:
    holds = Holds(tmp_path / "holds")
    payloads = PayloadStore(tmp_path / "payload", tmp_path / "keys")
    shredding = Shredding(tmp_path / "log", payloads, PseudonymKeys(tmp_path / "pseudonyms"), holds)
    commit = payloads.add(DAY, b"text")
    payloads.flush()
    found = Found(texts={DAY: {commit}})
    holds.add(Hold(name="court", since=DAY))
    with pytest.raises(HoldRefused, match="held by court"):
        shredding.destroy(found)
    assert payloads.of(DAY).text(commit) == b"text"
    holds.lift("court")
    assert shredding.destroy(found) == 1
