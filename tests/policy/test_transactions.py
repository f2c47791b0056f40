import pytest

from gateway.ocpp.vocabulary import OCPPVersion
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


def test_set_point_and_its_last_change():
    tracker = Transactions()
    for limit, set_point, change in [(100, 100, 0), (40, 40, -60), (40, 40, -60), (90, 90, 50)]:
        tracker.seen(V16, "SetChargingProfile", profile(limit))
        assert (tracker.setpoint_w, tracker.last_change_w) == (set_point, change)
    tracker.seen(V16, "Reset", {"type": "Soft"})
    assert tracker.setpoint_w == 90


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
