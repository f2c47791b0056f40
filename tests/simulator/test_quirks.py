"""The quirks that are not in the files of their subject: answers, reboots, connections. And that each has a scenario."""

import re
from pathlib import Path

import pytest

from gateway.simulator.core.effects import Connect, Disconnect, Drop, Reboot, Send
from gateway.simulator.core.events import ChargingStarted
from gateway.simulator.core.quirks import QUIRKS, QuirkUnknown, read_quirks
from tests.simulator.scenario import KEY, VERSIONS, Error, Scenario, answers, calls, connects
from tests.simulator.test_configuration import statuses, variable


@pytest.mark.parametrize("name", QUIRKS)
def test_each_quirk_has_a_scenario_and_is_documented(name: str) -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert re.search(rf'"{name}[="]', tests), "no scenario"
    assert f"`{name}" in (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    assert len(QUIRKS[name].meaning) > 20


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("unheard", "no quirk 'unheard'"),
        ("no-pong=1", "takes no value"),
        ("slow-answers=soon", "needs a number"),
        ("slow-answers=nan", "needs a number"),
        ("slow-answers=", "needs a number"),
        ("silent=", "needs an action"),
    ],
)
def test_quirks_that_are_none(word: str, why: str) -> None:
    with pytest.raises(QuirkUnknown, match=why):
        read_quirks([word])


def test_quirks_combine() -> None:
    quirks = read_quirks(["silent=Reset", "slow-answers", "no-pong"])
    assert ("silent" in quirks, "no-pong" in quirks, "rejects" in quirks) == (True, True, False)
    assert (quirks.concerns("silent", "Reset"), quirks.concerns("silent", "GetLog")) == (True, False)
    assert quirks.number("slow-answers") == 20


CHANGE = {"key": "AuthorizationKey", "value": KEY}


def test_slow_answers() -> None:
    s = Scenario("1.6", 1, "slow-answers=9").up()
    s >> s.csms("ChangeConfiguration", **CHANGE)
    (timer,) = [timer for timer in s.timers if timer.startswith("held:")]
    assert s.timers[timer] == 9
    s >> s.due(timer) << answers(status="Accepted") << Disconnect


def test_slow_answer_is_lost_with_its_connection() -> None:
    s = Scenario("1.6", 1, "slow-answers=9").up()
    s >> s.csms("Reset", type="Hard")
    s >> s.disconnected()
    (timer,) = [timer for timer in s.timers if timer.startswith("held:")]
    s >> s.due(timer) << Reboot


def test_silent() -> None:
    s = Scenario("1.6", 1, "silent=Reset").up()
    s >> s.csms("Reset", type="Hard")
    s >> s.csms("ClearCache") << answers(status="Accepted")
    deaf = Scenario("1.6", 1, "silent").up()
    deaf >> deaf.csms("ClearCache")


@pytest.mark.parametrize("version", VERSIONS)
def test_rejects(version: str) -> None:
    s = Scenario(version, 1, "rejects").up()
    s >> s.csms("Reset", type="Hard" if version == "1.6" else "Immediate") << answers(status="Rejected")
    s >> s.csms("InstallCertificate", certificateType="ManufacturerRootCertificate", certificate="x")
    s << answers(status="Rejected")
    if version == "1.6":
        s >> s.csms("ChangeConfiguration", **CHANGE) << answers(status="Rejected")
        s >> s.csms("GetConfiguration") << answers()
    else:
        assert statuses(s, **variable("SecurityCtrlr", "BasicAuthPassword", KEY)) == ["Rejected"]
        s >> s.csms("GetInstalledCertificateIds") << answers(status="NotFound")
    one = Scenario(version, 1, "rejects=ClearCache").up()
    one >> one.csms("ClearCache") << answers(status="Rejected")
    if version != "1.6":
        one >> one.csms("GetVariables", getVariableData=[variable("X", "Y")]) << answers()
        s >> s.csms("GetVariables", getVariableData=[variable("X", "Y")]) << Error("InternalError")


def test_no_security_actions_covers_settings() -> None:
    s = Scenario("2.0.1", 1, "no-security-actions").up()
    assert statuses(s, **variable("SecurityCtrlr", "BasicAuthPassword", KEY)) == ["UnknownComponent"]
    old = Scenario("1.6", 1, "no-security-actions").up()
    old >> old.csms("ChangeConfiguration", **CHANGE) << answers(status="NotSupported")
    old >> old.csms("ChangeConfiguration", key="HeartbeatInterval", value="9") << answers(status="Accepted")


def test_answer_lost_before_and_after_but_once() -> None:
    s = Scenario("1.6", 1, "drops-before-answer=ChangeConfiguration").up()
    s >> s.csms("ChangeConfiguration", **CHANGE) << Drop << Disconnect
    assert s.memory.password == KEY
    s.back()
    s >> s.csms("ChangeConfiguration", **CHANGE) << answers(status="Accepted") << Disconnect
    s = Scenario("1.6", 1, "drops-after-answer").up()
    s >> s.csms("ChangeConfiguration", **CHANGE) << answers(status="Accepted") << Drop << Disconnect
    s.back()
    s >> s.csms("ChangeConfiguration", **CHANGE) << answers(status="Accepted") << Disconnect


def test_reboots_on_and_after_a_call_but_once() -> None:
    s = Scenario("1.6", 1, "reboots-on=ChangeConfiguration").up()
    s >> s.csms("ChangeConfiguration", **CHANGE) << Reboot
    s >> s.started() << connects(password=bytes.fromhex(KEY))
    s >> s.connected()
    s.settle()
    s >> s.csms("ChangeConfiguration", **CHANGE) << answers(status="Accepted") << Disconnect
    s = Scenario("1.6", 1, "reboots-after=ChangeConfiguration").up()
    s >> s.csms("ChangeConfiguration", **CHANGE) << answers(status="Accepted") << Reboot


def test_reboots_at_a_step_but_once() -> None:
    s = Scenario("1.6", 1, "reboots-at=3")
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer() << Reboot
    s.up()


def test_duplicate_ids() -> None:
    s = Scenario("1.6", 1, "duplicate-ids").up()
    for _ in range(2):
        s >> s.csms("TriggerMessage", requestedMessage="Heartbeat") << answers() << calls("Heartbeat")
        assert list(s.open) == ["1"]
        s >> s.answer()


@pytest.mark.parametrize("version", VERSIONS)
def test_no_boot_after_reset(version: str) -> None:
    s = Scenario(version, 1, "no-boot-after-reset").up()
    s >> s.csms("Reset", type="Hard" if version == "1.6" else "Immediate") << answers() << Reboot
    s >> s.started() << Connect
    s >> s.connected() << calls("SecurityEventNotification")


def test_boot_after_reconnect() -> None:
    s = Scenario("1.6", 1, "boot-after-reconnect").up()
    s >> s.disconnected()
    s >> s.due("connect") << Connect
    s >> s.connected() << calls("BootNotification")


def test_never_reconnects() -> None:
    s = Scenario("1.6", 1, "never-reconnects").up()
    s >> s.disconnected()
    assert "connect" not in s.timers


def test_oddities_of_the_upgrade() -> None:
    s = Scenario("1.6", 1, "no-pong", "trailing-slash", "empty-subprotocol")
    s >> s.started()
    s << connects(url="ws://gw.test/ocpp/CP-1/", answers_pings=False, subprotocols=",ocpp1.6")


def test_queue_at_once() -> None:
    s = Scenario("1.6", 1, "queue-at-once").up()
    s >> s.disconnected()
    s >> ChargingStarted(now=s.now)
    s >> s.due("meter")
    s >> s.due("meter")
    s >> s.due("connect") << Connect
    s >> s.connected() << calls("StartTransaction") << calls("MeterValues") << calls("MeterValues")
    s << calls("StatusNotification") if s.wire else None
    assert all(isinstance(effect, Send) for effect in s.wire)
