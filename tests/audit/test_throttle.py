"""Repeats are counted, and nothing is lost by it: what is told singly and what is summed up is all there was."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.event import SecurityEvent
from gateway.audit.throttle import EventThrottle

WALL = 1_800_000_000.0


def event(name: str = "policy.denied", peer: str = "192.0.2.1", count: int = 1, *, verified: bool = True):
    return SecurityEvent(
        event=name, time=WALL, peer=peer, count=count, severity="high", charge_point_id="CP-1", verified=verified
    )


def test_twelve_of_a_kind_are_recorded_and_the_rest_is_one_summary() -> None:
    throttle = EventThrottle()
    assert [throttle.admit(event(), 0.0) for _ in range(14)] == [True] * 12 + [False] * 2
    assert throttle.due(9.9, WALL) == []
    (summary,) = throttle.due(10.0, WALL)
    assert (summary.event, summary.count, summary.severity) == ("audit.throttled", 2, "high")
    assert (summary.peer, summary.charge_point_id, summary.decision) == ("192.0.2.1", "CP-1", "rate_limit")
    assert "policy.denied" in summary.detail
    assert throttle.admit(event(), 10.0), "a new window"


def test_before_anybody_is_proven_more_attempts_are_recorded_singly() -> None:
    throttle = EventThrottle()
    assert [throttle.admit(event(verified=False), 0.0) for _ in range(61)] == [True] * 60 + [False]


def test_no_repeats_no_summary() -> None:
    throttle = EventThrottle()
    assert throttle.admit(event(), 0.0)
    assert throttle.due(100.0, WALL) == []


def test_another_address_or_event_is_another_kind() -> None:
    throttle = EventThrottle()
    for _ in range(30):
        throttle.admit(event(), 0.0)
    assert throttle.admit(event(peer="192.0.2.2"), 0.0)
    assert throttle.admit(event("auth.failed"), 0.0)


def test_at_the_end_everything_is_told() -> None:
    throttle = EventThrottle()
    for _ in range(30):
        throttle.admit(event(), 0.0)
    assert [summary.count for summary in throttle.due(0.0, WALL, everything=True)] == [18]


def test_more_kinds_than_can_be_folded_are_recorded_singly() -> None:
    throttle = EventThrottle()
    for number in range(20_000):
        throttle.admit(event(peer=str(number)), 0.0)
    assert all(throttle.admit(event(peer="new"), 0.0) for _ in range(30))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.floats(0, 4))))
def test_every_event_is_recorded_or_counted(steps: list[tuple[str, int, float]]) -> None:
    throttle, now, came, recorded = EventThrottle(), 0.0, 0, 0
    for peer, count, wait_s in steps:
        now += wait_s
        came += count
        recorded += sum(each.count for each in throttle.due(now, WALL))
        recorded += count if throttle.admit(event(peer=peer, count=count), now) else 0
    assert recorded + sum(each.count for each in throttle.due(now, WALL, everything=True)) == came
