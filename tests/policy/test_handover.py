"""A charge point that reconnects comes to any worker: what one of them has counted counts at the other one too."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.counter_table import CounterKey
from gateway.policy.engine import PolicyState, decide
from gateway.policy.handover import Kept, hand_over, take_over
from gateway.policy.rules import Effect
from gateway.policy.transactions import Transactions
from tests.policy.build import NOW, call, session_of, snapshot_of

CP = "CP-A01"
HEARTBEAT = call("Heartbeat", {})
AUTHORIZE = call("Authorize", {"idTag": "A"})
LIMITED = {"rate": {"key": ["session.identity"], "limit": "3/1m"}}
WINDOW = 60.0


def moved(state, other, snapshot, now):
    """Over the link, as bytes."""
    kept = hand_over(state, CP, now)
    if kept is not None:
        take_over(other, CP, msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Kept), snapshot, now)
    return kept


def passes(snapshot, state, message, now, identity=CP):
    view = snapshot.view(session_of(identity=identity))
    return decide(view, message, Transactions(), state, now).passes


def test_who_goes_from_worker_to_worker_has_its_limit_once():
    """The attack: reconnect after each few messages, so that another worker begins to count at nothing."""
    snapshot, workers = snapshot_of(LIMITED), [PolicyState() for _ in range(4)]
    passed = 0
    for number in range(40):
        here, there = workers[number % 4], workers[(number + 1) % 4]
        passed += passes(snapshot, here, HEARTBEAT, NOW + number)
        moved(here, there, snapshot, NOW + number)
    assert passed == 3
    assert passes(snapshot, workers[1], HEARTBEAT, NOW, "CP-OTHER"), "nobody else pays for it"
    assert passes(snapshot, workers[0], HEARTBEAT, NOW + 100), "and it may again when its window is over"


def test_a_throttle_goes_with_it_as_long_as_it_lasts_and_its_rule_is_there():
    throttling = {
        "match": {"action": "Heartbeat"},
        "action": "throttle",
        "throttle": {"action": ["Authorize"], "limit": "1/1h", "for": "10m"},
    }
    snapshot = snapshot_of(throttling)
    for later, with_rule, throttled in ((1.0, True, True), (601.0, True, False), (1.0, False, False)):
        here, there = PolicyState(), PolicyState()
        passes(snapshot, here, HEARTBEAT, NOW)
        target = snapshot if with_rule else snapshot_of()
        moved(here, there, target, NOW + later)
        passes(target, there, AUTHORIZE, NOW + later)
        verdict = decide(target.view(session_of(identity=CP)), AUTHORIZE, Transactions(), there, NOW + later + 1)
        assert (verdict.effect is Effect.THROTTLE) is throttled


def test_set_points_and_the_next_boot_go_with_it():
    here, there = PolicyState(), PolicyState()
    here.set_points.accepted(CP, 1, 11_000.0)
    there.set_points.accepted(CP, 1, 500.0)
    here.boot_times.answered(CP, {"status": "Pending", "interval": 100}, NOW)
    kept = moved(here, there, snapshot_of(), NOW + 10_000.0)
    assert kept is not None
    assert kept.until > NOW + 1e9
    assert there.set_points.find(CP, 1) == (11_000.0, 0.0)
    assert there.boot_times.is_early(CP, NOW + 50)
    here.boot_times.sent(CP)
    moved(here, there, snapshot_of(), NOW)
    assert not there.boot_times.is_early(CP, NOW + 50)


def test_what_is_over_is_not_handed_over():
    snapshot, state = snapshot_of(LIMITED), PolicyState()
    assert hand_over(state, CP, NOW) is None
    passes(snapshot, state, HEARTBEAT, NOW)
    kept = hand_over(state, CP, NOW + 59)
    assert kept is not None
    assert kept.until == NOW + 60
    assert hand_over(state, CP, NOW + 60) is None
    assert hand_over(state, "CP-OTHER", NOW) is None


def test_made_up_keys_push_no_other_counter_out_and_share_their_spare_one_over_there():
    here, there = PolicyState(), PolicyState()
    counted, flood = (CounterKey(name, CP, "x") for name in ("counted", "flood"))
    here.rates.take(counted, 1, WINDOW, NOW)
    for number in range(1_000):
        for _ in range(100):
            here.rates.take(flood._replace(text=str(number)), 100, WINDOW, NOW)
    kept = moved(here, there, snapshot_of(), NOW)
    assert kept is not None
    assert sum(len(each.entries) for each in kept.rates) <= 16_384
    assert not there.rates.take(counted, 1, WINDOW, NOW)
    assert not there.rates.take(flood._replace(text="never before"), 100, WINDOW, NOW)
    assert there.rates.take(CounterKey("flood", "CP-OTHER", "another"), 100, WINDOW, NOW)


STEPS = st.lists(st.tuples(st.floats(0, 200), st.integers(0, 2), st.integers(0, 2)), max_size=50)


@pytest.mark.parametrize("kind", ["rate", "distinct", "sum"])
@given(STEPS)
def test_it_is_as_if_there_were_one_worker(kind, steps):
    """Wherever it goes, and however often it comes back to where it has been."""

    def take(state, now, value):
        key = CounterKey("rule", CP, "k")
        match kind:
            case "rate":
                return state.rates.take(key, 3, WINDOW, now)
            case "distinct":
                return state.distinct.take(key, str(value), 2, WINDOW, now)
            case _:
                return state.sums.take(key, float(value), 4.0, WINDOW, now)

    one, workers, snapshot, here = PolicyState(), [PolicyState() for _ in range(3)], snapshot_of(), 0
    for now, worker, value in sorted(steps, key=lambda step: step[0]):
        if worker != here:
            moved(workers[here], workers[worker], snapshot, now)
            here = worker
        assert take(workers[here], now, value) == take(one, now, value)
