"""What all sessions share cannot be written by one of them."""

import pytest

from gateway.policy.shared_empty import SharedEmpty


def test_it_reads_like_an_empty_table() -> None:
    table = SharedEmpty[str, int]()
    assert (len(table), table.get("a"), table.pop("a", None), list(table.values()), table == {}) == (
        0,
        None,
        None,
        [],
        True,
    )
    assert type(table or {}) is dict


def test_nothing_gets_into_it() -> None:
    table = SharedEmpty[str, int]()
    for write in (
        lambda: table.__setitem__("a", 1),
        lambda: table.setdefault("a", 1),
        lambda: table.update(a=1),
        lambda: table.__ior__({"a": 1}),
    ):
        with pytest.raises(TypeError, match="all sessions share this"):
            write()
    assert table == {}
