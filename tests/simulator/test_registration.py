"""BootNotification until it is accepted, heartbeats, reconnects (part 2, B01 to B03; 1.6, 4.2)."""

import pytest

from gateway.simulator.core.effects import Connect, Reboot
from tests.simulator.scenario import NOW, PASSWORD, TIME, VERSIONS, Error, Scenario, answers, calls, connects, text_of


@pytest.mark.parametrize("version", VERSIONS)
def test_boots_then_tells_what_it_has_kept_then_its_status(version: str) -> None:
    s = Scenario(version)
    s >> s.started() << connects(url="ws://gw.test/ocpp/CP-1", user="CP-1", password=PASSWORD.encode())
    s >> s.connected() << calls("BootNotification")
    s >> s.answer() << calls("SecurityEventNotification", type="StartupOfTheDevice")
    assert s.cp.is_registered
    s >> s.answer() << calls("StatusNotification")
    s >> s.answer()
    assert s.timers["heartbeat"] == 300
    s >> s.due("heartbeat") << calls("Heartbeat")
    s >> s.answer()


def test_one_call_at_a_time() -> None:
    s = Scenario().up()
    s >> s.csms("TriggerMessage", requestedMessage="Heartbeat") << answers(status="Accepted") << calls("Heartbeat")
    s >> s.csms("TriggerMessage", requestedMessage="StatusNotification") << answers(status="Accepted")
    s >> s.answer() << calls("StatusNotification")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("interval", [7, 0])
def test_pending_sends_only_what_is_asked_for_and_boots_again_after_the_interval(version: str, interval: int) -> None:
    s = Scenario(version)
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer(status="Pending", interval=interval, **TIME)
    assert s.timers["boot"] == (interval or 60)
    s >> s.csms("TriggerMessage", requestedMessage="Heartbeat") << answers(status="Accepted") << calls("Heartbeat")
    s >> s.answer()
    s >> s.due("boot") << calls("BootNotification")
    s >> s.answer() << calls("SecurityEventNotification")


def test_pending_starts_no_transaction() -> None:
    s = Scenario("2.0.1")
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer(status="Pending", interval=7, **TIME)
    token = {"idToken": "T", "type": "Central"}
    s >> s.csms("RequestStartTransaction", idToken=token, remoteStartId=1, evseId=1) << answers(status="Rejected")


def test_rejected_answers_nothing_but_a_security_error() -> None:
    s = Scenario("2.0.1")
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer(status="Rejected", interval=30, **TIME)
    s >> s.csms("TriggerMessage", requestedMessage="Heartbeat") << Error("SecurityError")
    s >> s.due("boot") << calls("BootNotification")


def test_boot_answered_with_an_error_is_sent_again() -> None:
    s = Scenario()
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.error("InternalError")
    s >> s.due("boot") << calls("BootNotification")


@pytest.mark.parametrize("version", VERSIONS)
def test_mere_reconnect_needs_no_boot(version: str) -> None:
    s = Scenario(version).up()
    s >> s.disconnected()
    s >> s.due("connect") << Connect
    s >> s.connected()
    s >> s.due("heartbeat") << calls("Heartbeat")


@pytest.mark.parametrize(
    ("version", "kind"), [("1.6", "Hard"), ("1.6", "Soft"), ("2.0.1", "Immediate"), ("2.1", "OnIdle")]
)
def test_reset_reboots_and_says_why(version: str, kind: str) -> None:
    s = Scenario(version).up()
    s >> s.csms("Reset", type=kind) << answers(status="Accepted") << Reboot
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification", **({} if version == "1.6" else {"reason": "RemoteReset"}))
    s >> s.answer() << calls("SecurityEventNotification", type="ResetOrReboot", techInfo=kind)
    s >> s.answer() << calls("SecurityEventNotification", type="StartupOfTheDevice")


def test_boot_whose_answer_was_lost_is_sent_again() -> None:
    s = Scenario()
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.disconnected()
    s >> s.due("connect") << Connect
    s >> s.connected() << calls("BootNotification")


def test_pending_still_waits_for_its_interval_after_a_reconnect() -> None:
    s = Scenario("2.0.1")
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer(status="Pending", interval=7, **TIME)
    s >> s.disconnected()
    s >> s.due("connect") << Connect
    s >> s.connected()
    s >> s.due("boot") << calls("BootNotification")


def test_clock_is_set_by_the_csms_and_that_is_a_security_event() -> None:
    s = Scenario("2.0.1")
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer(status="Accepted", interval=5, currentTime=text_of(NOW + 1e8))
    s << calls("SecurityEventNotification", type="StartupOfTheDevice", timestamp=text_of(NOW))
    s >> s.answer() << calls("SecurityEventNotification", type="SettingSystemTime")
    assert s.last["timestamp"] == text_of(NOW + 1e8)


def test_triggered_boot_only_while_it_is_not_registered_in_2_x() -> None:
    s = Scenario("2.0.1").up()
    s >> s.csms("TriggerMessage", requestedMessage="BootNotification") << answers(status="Rejected")
    old = Scenario("1.6").up()
    old >> old.csms("TriggerMessage", requestedMessage="BootNotification") << answers(status="Accepted")
    old << calls("BootNotification")


def test_what_it_does_not_know_and_what_it_does_not_understand() -> None:
    s = Scenario("1.6").up()
    s >> s.csms("GetLocalListVersion") << Error("NotSupported")
    s.asked["x"] = "Reset"
    from gateway.simulator.core.events import Received

    s >> Received(now=s.now, text=b'[2,"x","Nonsense",{}]') << Error("NotImplemented")
    s >> Received(now=s.now, text=b'[2,"x","Reset",{"type":"Never"}]') << Error("PropertyConstraintViolation")
    s >> Received(now=s.now, text=b'[2,"x","Reset",{"type":"Hard","type":"Soft"}]') << Error("FormationViolation")
    s >> Received(now=s.now, text=b"garbage")
    assert s.said("malformed message")


def test_security_event_that_nobody_wants_is_not_repeated_for_ever() -> None:
    s = Scenario()
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer() << calls("SecurityEventNotification")
    s >> s.error("NotImplemented") << calls("StatusNotification")
    assert s.memory.queue == []


@pytest.mark.parametrize("told", ["never", "2026-01-01T00:00:00"])
def test_a_time_that_is_none_sets_no_clock(told: str) -> None:
    s = Scenario().up()
    s >> s.due("heartbeat") << calls("Heartbeat")
    s >> s.answer(currentTime=told)
    assert "SettingSystemTime" not in str(s.said("security event"))


def test_triggered_boot_in_2_x_while_pending_says_so() -> None:
    s = Scenario("2.0.1")
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification", reason="PowerUp")
    s >> s.answer(status="Pending", interval=7, **TIME)
    s >> s.csms("TriggerMessage", requestedMessage="BootNotification") << answers(status="Accepted")
    s << calls("BootNotification", reason="Triggered")
    s >> s.answer() << calls("SecurityEventNotification")
