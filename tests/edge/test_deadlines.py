"""Pings and deadlines of many sessions come in small steps, and every session has its turn."""

from collections import Counter

import pytest
from msgspec.structs import replace

from gateway.config.model import WebSocketSettings
from gateway.edge.deadlines import STEPS_PER_S, Deadlines
from gateway.edge.pump import Bridge
from tests.support.sessions import SilentOwner, make_session

SETTINGS = WebSocketSettings(ping_interval_s=10.0)


def pings(bridge: Bridge) -> int:
    """Ping frames that the charge point has got so far."""
    written: bytes = bridge.charge_point.transport.written  # type: ignore[attr-defined]
    return written.count(b"\x89\x00")


def run(deadlines: Deadlines, sessions: list[Bridge], seconds: float) -> list[int]:
    """How many sessions are pinged at each step."""
    found, before = [], sum(map(pings, sessions))
    for _ in range(round(seconds * STEPS_PER_S)):
        deadlines.tick()
        after = sum(map(pings, sessions))
        found.append(after - before)
        before = after
    return found


@pytest.fixture
def sessions() -> list[Bridge]:
    return [make_session() for _ in range(400)]


def test_every_session_is_pinged_once_in_an_interval_and_never_many_at_once(sessions: list[Bridge]) -> None:
    deadlines = Deadlines(SETTINGS)
    for bridge in sessions:
        deadlines.add(bridge)
    for _ in range(2):
        steps = run(deadlines, sessions, 10.0)
        assert (sum(steps), max(steps)) == (400, 2)
    assert Counter(map(pings, sessions)) == {2: 400}


def test_the_first_ping_comes_a_whole_interval_after_the_beginning() -> None:
    deadlines, bridge = Deadlines(SETTINGS), make_session()
    run(deadlines, [bridge], 3.0)
    deadlines.add(bridge)
    assert sum(run(deadlines, [bridge], 9.9)) == 0
    assert sum(run(deadlines, [bridge], 0.1)) == 1


def test_an_interval_that_changes_leaves_nobody_out(sessions: list[Bridge]) -> None:
    deadlines = Deadlines(SETTINGS)
    for bridge in sessions:
        deadlines.add(bridge)
    run(deadlines, sessions, 3.3)
    deadlines.use(replace(SETTINGS, ping_interval_s=5.0))
    assert sum(run(deadlines, sessions, 5.0)) == 400
    for bridge in sessions[:100]:
        deadlines.remove(bridge)
    assert sum(run(deadlines, sessions, 5.0)) == 300


@pytest.mark.parametrize("changes", [False, True])
def test_what_is_due_is_enforced_within_a_second(changes: bool) -> None:
    settings = replace(SETTINGS, close_timeout_s=0.0)
    deadlines, owner = Deadlines(settings), SilentOwner()
    closing = [make_session(owner) for _ in range(50)]
    for bridge in closing:
        deadlines.add(bridge)
        bridge.close(1001, "", "test")
        deadlines.watch(bridge)
    if changes:
        deadlines.use(replace(settings, ping_interval_s=20.0))
    ended = []
    for _ in range(STEPS_PER_S):
        deadlines.tick()
        ended.append(sum(bridge.charge_point.transport.is_closing() for bridge in closing))
    assert ended[-1] == 50
    assert max(after - before for before, after in zip([0, *ended], ended, strict=False)) < 10


def test_a_session_that_is_gone_is_not_watched_any_more() -> None:
    deadlines, bridge = Deadlines(replace(SETTINGS, close_timeout_s=0.0)), make_session()
    deadlines.add(bridge)
    deadlines.remove(bridge)
    bridge.close(1001, "", "test")
    deadlines.watch(bridge)
    run(deadlines, [bridge], 20.0)
    assert not bridge.charge_point.transport.is_closing()
    assert pings(bridge) == 0
