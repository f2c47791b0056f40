"""What a worker knew of a charge point reaches the worker of its next session before anything else does."""

from typing import Any, cast

from gateway.control.link_server import EdgeLink
from gateway.control.remembered_counters import RememberedCounters
from gateway.link.policy_counts import CountersKept
from gateway.ocpp.vocabulary import ChargePointId

CP = ChargePointId("CP-1")


class Edge:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def send(self, message: Any) -> None:
        self.heard.append(message)

    @property
    def link(self) -> EdgeLink:
        return cast("EdgeLink", self)


def kept(size: int = 1, until: float = 100.0, identity: ChargePointId = CP) -> CountersKept:
    return CountersKept(identity, until, b"x" * size)


def test_another_worker_is_told_and_the_one_that_knows_is_not() -> None:
    first, second, remembered = Edge(), Edge(), RememberedCounters()
    remembered.bring(first.link, CP, 1.0)
    remembered.keep(first.link, kept())
    remembered.bring(first.link, CP, 2.0)
    assert first.heard == []
    remembered.bring(second.link, CP, 3.0)
    remembered.bring(second.link, ChargePointId("CP-2"), 3.0)
    assert second.heard == [kept()]
    remembered.keep(second.link, kept(2))
    remembered.bring(first.link, CP, 4.0)
    assert first.heard == [kept(2)]


def test_a_session_that_ends_after_the_next_one_was_granted_is_told_at_once() -> None:
    first, second, remembered = Edge(), Edge(), RememberedCounters()
    remembered.bring(first.link, CP, 1.0)
    remembered.bring(second.link, CP, 2.0)
    remembered.keep(first.link, kept())
    assert (first.heard, second.heard) == ([], [kept()])


def test_what_is_worth_nothing_any_more_is_forgotten() -> None:
    first, second, remembered = Edge(), Edge(), RememberedCounters()
    remembered.keep(first.link, kept(until=10.0))
    remembered.bring(second.link, CP, 10.0)
    assert second.heard == []
    assert remembered._bytes == 0


def test_there_is_a_limit_to_what_is_remembered_and_the_oldest_goes_first() -> None:
    first, second, remembered = Edge(), Edge(), RememberedCounters(max_bytes=2_000)
    for number in range(10):
        remembered.keep(first.link, kept(100, identity=ChargePointId(f"CP-{number}")))
        remembered.keep(first.link, kept(100, identity=ChargePointId(f"CP-{number}")))
    for number in range(10):
        remembered.bring(second.link, ChargePointId(f"CP-{number}"), 1.0)
    assert [message.charge_point_id for message in second.heard] == ["CP-6", "CP-7", "CP-8", "CP-9"]


def test_where_nothing_is_left_nothing_older_is_told() -> None:
    first, second, remembered = Edge(), Edge(), RememberedCounters()
    empty = CountersKept(CP, 0.0, b"")
    remembered.bring(first.link, CP, 1.0)
    remembered.keep(first.link, kept())
    remembered.bring(second.link, CP, 2.0)
    remembered.keep(first.link, empty)
    third = Edge()
    remembered.bring(third.link, CP, 3.0)
    assert third.heard == [kept()], "an old session that ends late is no news"
    remembered.keep(third.link, empty)
    remembered.bring(first.link, CP, 4.0)
    assert first.heard == []
