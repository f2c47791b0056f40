"""The first of many equal refusals stand by themselves; others, and other kinds, are not touched by them."""

import pytest

from gateway.audit import crowd
from gateway.audit.crowd import Crowd


def test_a_dozen_in_ten_seconds_stand_by_themselves() -> None:
    found = Crowd()
    assert [found.has_room("a", 1.0) for _ in range(20)] == [True] * 12 + [False] * 8
    assert found.has_room("b", 1.0)
    assert not found.has_room("a", 10.9)
    assert found.has_room("a", 11.0)


def test_the_kinds_that_are_remembered_are_bounded_and_what_is_not_remembered_stands_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crowd, "_MAX_KINDS", 3)
    found = Crowd()
    assert all(found.has_room(kind, 0.0) for kind in range(5))
    assert all(found.has_room(4, 1.0) for _ in range(20))
    assert sum(found.has_room(0, 1.0) for _ in range(20)) == 11
    assert len(found._windows) == 3
    assert found.has_room(9, 10.0)
    assert len(found._windows) == 1
