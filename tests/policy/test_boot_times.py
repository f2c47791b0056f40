import pytest

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.boot_times import BootTimes
from gateway.policy.transactions import Transactions

V16 = OCPPVersion.V1_6


def answer(status="Pending", interval=100):
    return {"status": status, "interval": interval}


def said(times, now, identity="CP"):
    return times.is_due(identity, now), times.is_early(identity, now)


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_who_waits_as_told_is_on_time_and_who_does_not_is_early(status):
    times = BootTimes()
    times.answered("CP", answer(status), 1_000.0)
    assert [said(times, now) for now in (1_000.0, 1_089.0, 1_090.0, 9_999.0)] == [
        (False, True),
        (False, True),
        (True, False),
        (True, False),
    ]
    assert said(times, 1_500.0, "another") == (False, False)


@pytest.mark.parametrize(
    "told",
    [answer("Accepted"), answer(interval=0), answer(interval=-5), answer(interval=True), answer(interval="9"), {}],
)
def test_an_answer_that_says_no_time_excuses_nothing_and_forbids_nothing(told):
    times = BootTimes()
    times.asked("CP")
    times.answered("CP", told, 1_000.0)
    assert [said(times, now) for now in (1_000.0, 9_999.0)] == [(False, False)] * 2


def test_one_time_is_good_for_one_boot():
    times = BootTimes()
    times.answered("CP", answer(), 1_000.0)
    times.sent("CP")
    assert said(times, 2_000.0) == (False, False)


def test_what_is_forgotten_for_want_of_room_excuses_nothing():
    times = BootTimes(max_identities=2)
    for name in "abc":
        times.asked(name)
    assert [times.is_due(name, 0.0) for name in "abc"] == [False, True, True]
    assert len(times) == 2


def test_it_outlives_the_session_and_begins_with_the_call():
    times = BootTimes()
    tracker = Transactions(None, "CP", times)
    tracker.seen(V16, "BootNotification", {})
    tracker.seen(V16, "BootNotification", {}, answer(), called_at=1_000.0)
    view = Transactions(None, "CP", times).view("BootNotification", {}, 1_050.0)
    assert (view.boot_due, view.boot_early) == (False, True)
    view = Transactions(None, "CP", times).view("BootNotification", {}, 1_100.0)
    assert (view.boot_due, view.boot_early) == (True, False)


@pytest.mark.parametrize(
    ("action", "payload", "result", "due"),
    [
        ("TriggerMessage", {"requestedMessage": "BootNotification"}, None, True),
        ("TriggerMessage", {"requestedMessage": "Heartbeat"}, None, False),
        ("Reset", {"type": "Soft"}, {"status": "Accepted"}, True),
        ("Reset", {"type": "Soft"}, {"status": "Rejected"}, False),
    ],
)
def test_a_csms_that_asks_for_it_need_not_be_waited_for(action, payload, result, due):
    tracker = Transactions(None, "CP")
    tracker.seen(V16, "BootNotification", {}, answer(), called_at=1_000.0)
    tracker.seen(V16, action, payload)
    if result is not None:
        tracker.seen(V16, action, payload, result)
    assert tracker.view("BootNotification", {}, 1_001.0).boot_due is due
