"""Transactions: in order, without gaps, kept until they are confirmed (E04, E08; 1.6, 4.1)."""

import pytest

from gateway.simulator.core.effects import Connect, Reboot
from gateway.simulator.core.events import ChargingStarted, ChargingStopped, PowerCut
from gateway.simulator.core.model import Model
from tests.simulator.scenario import Error, Scenario, answers, calls


def test_1_6_names_the_transaction_as_the_csms_has() -> None:
    s = Scenario().up()
    s >> ChargingStarted(now=s.now) << calls("StartTransaction", idTag="SIMULATED-TOKEN", meterStart=0)
    s >> s.answer() << calls("StatusNotification", status="Charging")
    s >> s.answer()
    s >> s.due("meter") << calls("MeterValues", transactionId=77, connectorId=1)
    s >> s.answer()
    s >> ChargingStopped(now=s.now) << calls("StopTransaction", transactionId=77, meterStop=100, reason="Local")
    s >> s.answer() << calls("StatusNotification", status="Available")
    s >> s.answer()
    assert (s.memory.queue, s.memory.transaction, s.memory.transaction_ids) == ([], None, {})


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_2_x_numbers_its_events_without_gaps(version: str) -> None:
    s = Scenario(version).up()
    s >> ChargingStarted(now=s.now) << calls("TransactionEvent", eventType="Started", seqNo=0)
    name = s.last["transactionInfo"]["transactionId"]
    s.settle()
    s >> s.due("meter") << calls("TransactionEvent", eventType="Updated", seqNo=1)
    s >> s.answer()
    s >> ChargingStopped(now=s.now) << calls("TransactionEvent", eventType="Ended", seqNo=2)
    assert s.last["transactionInfo"] == {"transactionId": name, "stoppedReason": "Local"}
    assert "offline" not in s.last


def test_offline_it_queues_and_sends_in_order_later() -> None:
    s = Scenario("2.0.1").up()
    s >> s.disconnected()
    s >> ChargingStarted(now=s.now)
    s >> s.due("meter")
    s >> ChargingStopped(now=s.now)
    s >> s.due("connect") << Connect
    s >> s.connected() << calls("TransactionEvent", eventType="Started", seqNo=0, offline=True)
    s >> s.answer() << calls("TransactionEvent", eventType="Updated", seqNo=1, offline=True)
    s >> s.answer() << calls("TransactionEvent", eventType="Ended", seqNo=2, offline=True)


def test_answer_lost_with_the_connection_means_sent_again() -> None:
    s = Scenario().up()
    s >> ChargingStarted(now=s.now) << calls("StartTransaction")
    s >> s.disconnected()
    s >> s.due("connect") << Connect
    s >> s.connected() << calls("StartTransaction")


def test_power_cut_ends_the_transaction_and_loses_nothing() -> None:
    s = Scenario().up()
    s >> ChargingStarted(now=s.now) << calls("StartTransaction")
    s >> s.answer() << calls("StatusNotification")
    s >> PowerCut(now=s.now) << Reboot
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer() << calls("SecurityEventNotification")
    s >> s.answer() << calls("StopTransaction", transactionId=77, reason="PowerLoss")


def test_no_answer_is_tried_again_and_given_up_in_the_end() -> None:
    s = Scenario().up()
    s >> ChargingStarted(now=s.now) << calls("StartTransaction")
    for waits in (10, 20):
        s.open.popitem()
        (timer,) = [timer for timer in s.timers if timer.startswith("answer:")]
        s >> s.due(timer)
        s.settle()  # what else there is goes on meanwhile
        assert s.timers["queue"] == waits
        s >> s.due("queue") << calls("StartTransaction")
    s >> s.error("InternalError")
    assert (s.memory.queue, s.said("given up")) == ([], [{"action": "StartTransaction"}])


def test_token_not_accepted_ends_it() -> None:
    s = Scenario().up()
    s >> ChargingStarted(now=s.now) << calls("StartTransaction")
    s >> s.answer(transactionId=5, idTagInfo={"status": "Blocked"})
    s << calls("StopTransaction", transactionId=5, reason="DeAuthorized")


def test_remote_start_and_stop_1_6() -> None:
    s = Scenario().up()
    (
        s
        >> s.csms("RemoteStartTransaction", idTag="T")
        << answers(status="Accepted")
        << calls("StartTransaction", idTag="T")
    )
    s.settle()
    s >> s.csms("RemoteStartTransaction", idTag="T") << answers(status="Rejected")
    s >> s.csms("RemoteStopTransaction", transactionId=78) << answers(status="Rejected")
    s >> s.csms("RemoteStopTransaction", transactionId=77) << answers(status="Accepted") << calls("StopTransaction")


def test_remote_start_and_stop_2_x_and_reset_when_idle() -> None:
    s = Scenario("2.0.1").up()
    token = {"idToken": "T", "type": "Central"}
    s >> s.csms("RequestStartTransaction", idToken=token, remoteStartId=9) << answers(status="Accepted")
    s << calls("TransactionEvent", triggerReason="RemoteStart", transactionInfo={"remoteStartId": 9})
    name = s.last["transactionInfo"]["transactionId"]
    s.settle()
    s >> s.csms("Reset", type="OnIdle") << answers(status="Scheduled")
    s >> s.csms("RequestStopTransaction", transactionId="other") << answers(status="Rejected")
    s >> s.csms("RequestStopTransaction", transactionId=name) << answers(status="Accepted") << Reboot


def test_hard_reset_ends_the_transaction_first() -> None:
    s = Scenario().up()
    s >> ChargingStarted(now=s.now) << calls("StartTransaction")
    s.settle()
    s >> s.csms("Reset", type="Hard") << answers(status="Accepted") << Reboot
    assert [queued.action for queued in s.memory.queue] == ["StopTransaction", "SecurityEventNotification"]


def test_charges_by_itself() -> None:
    s = Scenario(model=Model(charge_every_s=5, charge_for_s=9)).up()
    s >> s.due("charge") << calls("StartTransaction")
    s.settle()
    s >> s.due("charged") << calls("StopTransaction")
    assert "charge" in s.timers


def test_unknown_command_of_a_transaction() -> None:
    s = Scenario("2.0.1").up()
    s >> s.csms("GetTransactionStatus") << Error("NotSupported")
