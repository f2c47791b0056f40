import pytest

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.set_points import SetPoints
from gateway.policy.transactions import Transactions

V16, V201, V21 = OCPPVersion
START = {"connectorId": 1, "idTag": "A", "meterStart": 1000, "timestamp": "2026-01-01T00:00:00Z"}


def started(number=7, **more):
    tracker = Transactions()
    tracker.seen(V16, "StartTransaction", START | more)
    tracker.seen(V16, "StartTransaction", START | more, {"transactionId": number, "idTagInfo": {"status": "Accepted"}})
    return tracker


@pytest.mark.parametrize("number", [7, 0, -1])
def test_a_transaction_of_1_6_opens_with_the_answer_and_ends_with_the_stop(number):
    tracker = started(number)
    stop = {"transactionId": number, "meterStop": 5000, "timestamp": "2026-01-01T01:00:00Z"}
    view = tracker.view("StopTransaction", stop)
    assert (view.open_ids, view.known, view.meter_start, view.connector, view.tokens) == (
        [number],
        True,
        1000,
        1,
        ["A"],
    )
    tracker.seen(V16, "StopTransaction", stop)
    assert tracker.view("StopTransaction", stop).open_count == 0


def test_what_one_session_learns_is_known_in_no_other_one():
    fresh, tracker = Transactions(), started()
    meter = [{"timestamp": "2026-01-01T00:10:00Z", "sampledValue": [{"value": "1100"}]}]
    tracker.seen(V16, "MeterValues", {"connectorId": 1, "transactionId": 7, "meterValue": meter})
    assert tracker.open
    assert tracker.readings
    for other in (fresh, Transactions()):
        assert (other.open, other.readings) == ({}, {})


def test_a_stop_of_another_number_ends_nothing():
    tracker = started()
    tracker.seen(V16, "StopTransaction", {"transactionId": 8})
    tracker.seen(V16, "StopTransaction", {"transactionId": True})
    tracker.seen(V16, "StopTransaction", {"transactionId": [1]})
    assert list(tracker.open) == [7]


def test_a_transaction_of_2_x():
    tracker = Transactions()
    event = {"timestamp": "2026-01-01T00:00:00Z", "transactionInfo": {"transactionId": "t"}}
    tracker.seen(V201, "TransactionEvent", event | {"eventType": "Started", "evse": {"id": 2, "connectorId": 1}})
    tracker.seen(V201, "TransactionEvent", event | {"eventType": "Updated", "idToken": {"idToken": "A"}})
    view = tracker.view("TransactionEvent", event)
    assert (view.known, view.connector, view.tokens, view.open_connectors) == (True, 2, ["A"], [2])
    tracker.seen(V201, "TransactionEvent", event | {"eventType": "Ended"})
    assert not tracker.open


@pytest.mark.parametrize(("status", "complete"), [("Accepted", True), ("Pending", False), ("Rejected", False)])
@pytest.mark.parametrize("version", [V16, V201])
def test_history_is_complete_from_an_accepted_boot_on(version, status, complete):
    tracker = Transactions()
    tracker.seen(version, "BootNotification", {})
    tracker.seen(version, "BootNotification", {}, {"status": status})
    assert tracker.history_complete is complete


def test_too_many_transactions_forget_the_oldest_and_say_so():
    tracker = started()
    tracker.history_complete = True
    for number in range(100, 164):
        tracker.seen(V16, "StartTransaction", START, {"transactionId": number})
    assert len(tracker.open) == 64
    assert 7 not in tracker.open
    assert not tracker.history_complete


def readings(at, value, evse=1):
    return {"evseId": evse, "meterValue": [{"timestamp": at, "sampledValue": [{"value": value}]}]}


def test_power_between_readings_of_one_connector_by_their_own_clock():
    tracker = Transactions()
    first = readings("2026-01-01T00:00:00Z", 1000)
    assert tracker.view("MeterValues", first).power_w == 0
    tracker.seen(V201, "MeterValues", first)
    assert tracker.view("MeterValues", readings("2026-01-01T01:00:00Z", 23000)).power_w == pytest.approx(22000)
    assert tracker.view("MeterValues", readings("2026-01-01T00:00:01Z", 1100)).power_w == pytest.approx(6000), (
        "coarse clocks"
    )
    assert tracker.view("MeterValues", readings("2026-01-01T00:01:00Z", 9e8)).power_w > 1e9
    assert tracker.view("MeterValues", readings("2026-01-01T00:01:00Z", 9e8, evse=2)).power_w == 0, "another meter"
    assert tracker.view("MeterValues", readings("2026-01-01T00:01:00Z", 1)).power_w == 0


def profile(limit):
    return {
        "csChargingProfiles": {
            "chargingSchedule": {
                "chargingRateUnit": "W",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
            }
        }
    }


def set_point(tracker, **payload):
    view = tracker.view("SetChargingProfile", payload)
    return view.setpoint_w, view.last_change_w


def sets(tracker, limit, status="Accepted", action="SetChargingProfile", **more):
    tracker.seen(V16, action, profile(limit) | more)
    tracker.seen(V16, action, profile(limit) | more, {"status": status})


def test_set_point_and_its_last_change():
    tracker = Transactions()
    for limit, *expected in [(100, 100, 0), (40, 40, -60), (40, 40, -60), (90, 90, 50)]:
        sets(tracker, limit, connectorId=1)
        assert set_point(tracker, connectorId=1) == tuple(expected)
    tracker.seen(V16, "Reset", {"type": "Soft"}, {"status": "Accepted"})
    assert set_point(tracker, connectorId=1) == (90, 50)


@pytest.mark.parametrize(
    "result", [None, {"status": "Rejected"}, {"status": "NotSupported"}, {}, {"status": ["Accepted"]}]
)
def test_a_set_point_counts_once_the_charge_point_has_accepted_it(result):
    tracker = Transactions()
    sets(tracker, 100)
    tracker.seen(V16, "SetChargingProfile", profile(0), result)
    assert set_point(tracker) == (100, 0)


@pytest.mark.parametrize("action", ["ReportChargingProfiles", "NotifyChargingLimit", "DataTransfer"])
def test_what_a_charge_point_reports_is_nothing_that_was_set(action):
    tracker = Transactions()
    sets(tracker, 100, action=action)
    assert set_point(tracker) == (-1, 0)


def test_connectors_have_set_points_of_their_own():
    tracker = Transactions()
    sets(tracker, 100, connectorId=1)
    sets(tracker, 50, evseId=2)
    sets(tracker, 10, connectorId=1)
    assert set_point(tracker, connectorId=1) == (10, -90)
    assert set_point(tracker, evseId=2) == (50, 0)
    assert set_point(tracker, connectorId=0) == (-1, 0)


def test_a_message_that_names_no_connector_may_be_about_any():
    tracker = Transactions()
    sets(tracker, 100, connectorId=1)
    sets(tracker, 50, connectorId=2)
    assert set_point(tracker) == (50, 0), "what was set last"
    sets(tracker, 0, action="UpdateDynamicSchedule")
    assert set_point(tracker, connectorId=1) == (0, -100)
    assert set_point(tracker, connectorId=2) == (0, -50)
    sets(tracker, 100, connectorId=1)
    assert set_point(tracker) == (100, 100)


def test_set_points_outlive_the_session_and_are_those_of_one_identity():
    shared = SetPoints()
    sets(Transactions(shared, "CP-1"), 100, connectorId=1)
    assert set_point(Transactions(shared, "CP-1"), connectorId=1) == (100, 0)
    assert set_point(Transactions(shared, "CP-2"), connectorId=1) == (-1, 0)


def test_set_points_are_bounded_and_what_is_forgotten_is_unknown():
    shared = SetPoints(max_identities=2)
    for identity in ("A", "B", "A", "C"):
        shared.accepted(identity, 1, 100.0)
    assert len(shared) == 2
    assert [shared.find(identity, 1)[0] for identity in "ABC"] == [100, -1, 100]
    for connector in range(1, 1000):
        shared.accepted("A", connector, 100.0)
    assert [shared.find("A", connector)[0] for connector in (1, 999, 967, 968)] == [-1, 100, -1, 100]


@pytest.mark.parametrize(
    ("story", "complete"),
    [
        (["Accepted"], True),
        (["asked", "Accepted"], False),
        (["asked", "Accepted", "Accepted"], False),
        (["Pending", "asked", "Accepted"], True),
        (["Triggered"], False),
    ],
)
def test_a_boot_that_the_csms_has_asked_for_begins_nothing(story, complete):
    tracker = Transactions()
    for step in story:
        if step == "asked":
            tracker.seen(V16, "TriggerMessage", {"requestedMessage": "BootNotification"})
        elif step == "Triggered":
            tracker.seen(V201, "BootNotification", {"reason": "Triggered"}, {"status": "Accepted"})
        else:
            tracker.seen(V16, "BootNotification", {}, {"status": step})
    assert tracker.history_complete is complete


def test_a_certificate_request_is_open_until_refused_or_answered():
    tracker = Transactions()
    pending = [tracker.view("x", {}).csr_pending]
    for action, result in [
        ("SignCertificate", None),
        ("SignCertificate", {"status": "Accepted"}),
        ("CertificateSigned", None),
    ]:
        tracker.seen(V201, action, {}, result)
        pending.append(tracker.view("x", {}).csr_pending)
    assert pending == [False, True, True, False]
    tracker.seen(V201, "SignCertificate", {})
    tracker.seen(V201, "SignCertificate", {}, {"status": "Rejected"})
    assert not tracker.view("x", {}).csr_pending


def test_streams():
    tracker, opening = Transactions(), {"constantStreamData": {"id": 3}}
    tracker.seen(V21, "OpenPeriodicEventStream", opening, {"status": "Rejected"})
    assert tracker.view("x", {}).open_streams == []
    tracker.seen(V21, "OpenPeriodicEventStream", opening, {"status": "Accepted"})
    assert tracker.view("x", {}).open_streams == [3]
    tracker.seen(V21, "ClosePeriodicEventStream", {"id": 4})
    assert tracker.view("x", {}).open_streams == [3]
    tracker.seen(V21, "ClosePeriodicEventStream", {"id": 3})
    assert tracker.view("x", {}).open_streams == []
