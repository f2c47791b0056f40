"""A05, B09, B10: security profile up, never down; what is staged counts after a reset; falling back."""

from typing import Any

import pytest

from gateway.simulator.core.effects import Connect, Reboot
from gateway.simulator.core.model import Model
from tests.simulator.scenario import KEY, PASSWORD, Scenario, answers, authority, calls, connects, own_certificate, pem
from tests.simulator.test_configuration import statuses, variable

ROOT = (pem(authority().root),)
SECURE = "wss://gw.test/ocpp/CP-1"
ATTEMPTS = 3


def change(s: Scenario, value: str, status: str, key: str = "SecurityProfile") -> Scenario:
    return s >> s.csms("ChangeConfiguration", key=key, value=value) << answers(status=status)


def reset(s: Scenario) -> Scenario:
    kind = "Hard" if s.version == "1.6" else "Immediate"
    return s >> s.csms("Reset", type=kind) << answers(status="Accepted") << Reboot


def fail_all_attempts(s: Scenario, **expected: Any) -> None:
    """The first of them was dialled already."""
    for number in range(ATTEMPTS):
        if number:
            s >> s.due("connect") << connects(**expected)
        s >> s.failed("tls")


def test_1_6_goes_from_1_to_2_and_never_back() -> None:
    s = Scenario(roots=ROOT).up()
    change(s, "2", "Accepted")
    assert s.memory.security_profile == 1
    reset(s)
    s >> s.started() << connects(url=SECURE, roots=ROOT, password=PASSWORD.encode())
    s >> s.connected() << calls("BootNotification")
    assert s.memory.security_profile == 1
    s >> s.answer()
    assert s.memory.security_profile == 2
    assert [slot.url for slot in s.memory.slots.values()] == ["wss://gw.test/ocpp"]
    s.wire.clear()
    for value in ("1", "2", "0", "4", "x"):
        s.wire.clear()
        s.feed(s.csms("ChangeConfiguration", key="SecurityProfile", value=value))
        assert b"Rejected" in s.wire.pop().text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("profile", "factory", "value"),
    [
        (1, {}, "2"),
        (1, {"roots": ROOT}, "3"),
        (1, {"roots": ROOT, "password": ""}, "2"),
        (2, {}, "1"),
        (2, {}, "2"),
    ],
)
def test_1_6_rejects_what_it_cannot_or_must_not(profile: int, factory: dict[str, Any], value: str) -> None:
    change(Scenario("1.6", profile, **factory).up(), value, "Rejected")


def test_1_6_straight_to_3_with_a_certificate_on_another_url() -> None:
    model = Model(secure_url="wss://secure.test:8443/ocpp/")
    s = Scenario(roots=ROOT, certificate=own_certificate(), model=model).up()
    change(s, "3", "Accepted")
    reset(s)
    wanted = own_certificate().chain_pem
    s >> s.started() << connects(url="wss://secure.test:8443/ocpp/CP-1", password=None, certificate_pem=wanted)


def test_1_6_vendor_key_for_the_url_goes_together_with_the_profile() -> None:
    s = Scenario(roots=ROOT).up()
    change(s, "ftp://x", "Rejected", "CentralSystemURL")
    change(s, "wss://new.test/ocpp", "Accepted", "CentralSystemURL")
    change(s, "2", "Accepted")
    reset(s)
    s >> s.started() << connects(url="wss://new.test/ocpp/CP-1")


def test_1_6_uses_the_new_profile_by_itself_if_nobody_resets_it() -> None:
    s = Scenario(roots=ROOT).up()
    change(s, "2", "Accepted")
    s >> s.due("apply-profile") << Reboot
    s >> s.started() << connects(url=SECURE)


def test_1_6_falls_back_and_forgets_the_new_profile() -> None:
    s = Scenario(roots=ROOT).up()
    change(s, "2", "Accepted")
    reset(s)
    s >> s.started() << connects(url=SECURE)
    fail_all_attempts(s, url=SECURE)
    s >> s.due("connect") << connects(url="ws://gw.test/ocpp/CP-1")
    s >> s.connected() << calls("BootNotification")
    assert (s.said("fell back"), len(s.memory.slots), s.memory.security_profile) == ([{"security_profile": 1}], 1, 1)
    s.settle()
    change(s, "2", "Accepted")


def profile(
    s: Scenario, level: int, status: str, *, slot: int = 2, url: str = "wss://gw.test/ocpp", **more: Any
) -> Scenario:
    data = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": level,
        "ocppInterface": "Wired0",
        **more,
    }
    return s >> s.csms("SetNetworkProfile", configurationSlot=slot, connectionData=data) << answers(status=status)


def priority(s: Scenario, value: str) -> str:
    return statuses(s, **variable("OCPPCommCtrlr", "NetworkConfigurationPriority", value))[0]


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_2_x_goes_from_1_to_2_and_removes_the_lower_slot(version: str) -> None:
    s = Scenario(version, roots=ROOT).up()
    profile(s, 2, "Accepted")
    assert priority(s, "2,1") == "Accepted"
    reset(s)
    s >> s.started() << connects(url=SECURE, roots=ROOT)
    s >> s.connected() << calls("BootNotification")
    assert len(s.memory.slots) == 2
    s.settle()
    assert (list(s.memory.slots), s.memory.priority, s.memory.active_slot, s.memory.security_profile) == (
        [2],
        [2],
        2,
        2,
    )
    profile(s, 1, "Rejected", url="ws://gw.test/ocpp")
    assert s.last["statusInfo"]["reasonCode"] == "NoSecurityDowngrade"


@pytest.mark.parametrize("listed", ["2,1", "2"])
def test_2_x_falls_back_to_the_slot_that_worked(listed: str) -> None:
    s = Scenario("2.0.1", roots=ROOT).up()
    profile(s, 2, "Accepted")
    assert priority(s, listed) == "Accepted"
    reset(s)
    s >> s.started() << connects(url=SECURE)
    fail_all_attempts(s, url=SECURE)
    s >> s.due("connect") << connects(url="ws://gw.test/ocpp/CP-1")
    s >> s.connected() << calls("BootNotification")
    s.settle()
    assert (s.memory.security_profile, s.memory.active_slot, set(s.memory.slots)) == (1, 1, {1, 2})


def test_number_of_attempts_is_a_setting_and_waits_double() -> None:
    s = Scenario("2.0.1", roots=ROOT).up()
    assert statuses(s, **variable("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "2")) == ["Accepted"]
    profile(s, 2, "Accepted")
    assert priority(s, "2,1") == "Accepted"
    reset(s)
    s >> s.started() << connects(url=SECURE)
    s >> s.failed()
    assert s.timers["connect"] == 5
    s >> s.due("connect") << connects(url=SECURE)
    s >> s.failed()
    assert s.timers["connect"] == 10
    s >> s.due("connect") << connects(url="ws://gw.test/ocpp/CP-1")


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"level": 2, "slot": 9}, "InvalidConfSlot"),
        ({"level": 2, "url": "ws://gw.test/ocpp"}, "InvalidNetworkConf"),
        ({"level": 1, "url": "wss://gw.test/ocpp"}, "InvalidNetworkConf"),
        ({"level": 4}, "InvalidNetworkConf"),
        ({"level": 0, "url": "ws://gw.test/ocpp"}, "NoSecurityDowngrade"),
        ({"level": 2, "ocppTransport": "SOAP"}, "InvalidNetworkConf"),
    ],
)
def test_2_x_network_profiles_that_are_rejected(case: dict[str, Any], reason: str) -> None:
    s = Scenario("2.0.1", roots=ROOT).up()
    level = case.pop("level")
    profile(s, level, "Rejected", **case)
    assert s.last["statusInfo"] == {"reasonCode": reason}


def test_2_x_priority_needs_root_and_certificate() -> None:
    s = Scenario("2.0.1").up()
    profile(s, 2, "Accepted")
    assert priority(s, "2,1") == "Rejected"
    s = Scenario("2.0.1", roots=ROOT).up()
    profile(s, 3, "Accepted")
    assert priority(s, "2,1") == "Rejected"
    assert priority(s, "3") == "Rejected"
    assert priority(s, "x") == "Rejected"
    assert statuses(s, **variable("OCPPCommCtrlr", "NetworkConfigurationPriority"))[0] == "Accepted"
    assert s.last["getVariableResult"][0]["attributeValue"] == "1"


def test_2_1_slot_with_an_identity_and_a_password_of_its_own() -> None:
    s = Scenario("2.1", roots=ROOT).up()
    profile(s, 2, "Accepted", identity="CP-2.1", basicAuthPassword=KEY)
    assert priority(s, "2,1") == "Accepted"
    reset(s)
    s >> s.started() << connects(url="wss://gw.test/ocpp/CP-2.1", user="CP-2.1", password=KEY.encode())
    s >> s.connected()
    s.settle()
    assert statuses(s, **variable("SecurityCtrlr", "BasicAuthPassword", PASSWORD))[0] == "Accepted"
    assert s.memory.slots[2].password == ""


def slot_variable(name: str, value: str | None = None, slot: str = "2") -> dict[str, Any]:
    made = variable("NetworkConfiguration", name, value)
    return {**made, "component": {"name": "NetworkConfiguration", "instance": slot}}


def test_2_1_slot_filled_variable_by_variable() -> None:
    s = Scenario("2.1", roots=ROOT).up()
    for name, value, status in (
        ("SecurityProfile", "2", "Accepted"),
        ("SecurityProfile", "0", "Rejected"),
        ("SecurityProfile", "two", "Rejected"),
        ("OcppTransport", "SOAP", "Rejected"),
        ("OcppTransport", "JSON", "Accepted"),
        ("BasicAuthPassword", "short", "Rejected"),
        ("BasicAuthPassword", KEY, "Accepted"),
        ("Unheard", "x", "UnknownVariable"),
    ):
        assert statuses(s, **slot_variable(name, value)) == [status]
    assert priority(s, "2,1") == "Rejected"  # no URL yet
    assert statuses(s, **slot_variable("OcppCsmsUrl", "wss://gw.test/ocpp/")) == ["Accepted"]
    assert priority(s, "2,1") == "Accepted"
    for slot in ("1", "2"):
        assert statuses(s, **slot_variable("Identity", "X", slot)) == ["Rejected"]
        assert s.last["setVariableResult"][0]["attributeStatusInfo"] == {"reasonCode": "ActiveNetworkConf"}
    assert statuses(s, **slot_variable("Identity", "X", "9")) == ["UnknownComponent"]
    reset(s)
    s >> s.started() << connects(url=SECURE, password=KEY.encode())


def test_2_1_slot_read() -> None:
    s = Scenario("2.1").up()
    assert statuses(s, **slot_variable("OcppCsmsUrl", slot="1")) == ["Accepted"]
    assert s.last["getVariableResult"][0]["attributeValue"] == "ws://gw.test/ocpp"
    assert statuses(s, **slot_variable("OcppTransport", slot="1")) == ["Accepted"]
    assert statuses(s, **slot_variable("BasicAuthPassword", slot="1")) == ["Rejected"]
    assert statuses(s, **slot_variable("Unheard", slot="1")) == ["UnknownVariable"]
    assert statuses(s, **slot_variable("OcppCsmsUrl", slot="3")) == ["UnknownComponent"]
    old = Scenario("2.0.1").up()
    assert statuses(old, **slot_variable("OcppCsmsUrl", slot="1")) == ["UnknownComponent"]


def test_staged_priority_does_not_count_for_a_mere_reconnect() -> None:
    s = Scenario("2.0.1", roots=ROOT).up()
    profile(s, 2, "Accepted")
    assert priority(s, "2,1") == "Accepted"
    s >> s.disconnected()
    s >> s.due("connect") << connects(url="ws://gw.test/ocpp/CP-1")


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_quirk_falls_back(version: str) -> None:
    s = Scenario(version, 1, "falls-back", roots=ROOT).up()
    if version == "1.6":
        change(s, "2", "Accepted")
    else:
        profile(s, 2, "Accepted")
        assert priority(s, "2,1") == "Accepted"
    reset(s)
    s >> s.started()
    for _ in range(ATTEMPTS - 1):
        s >> s.due("connect")
    s >> s.due("connect") << connects(url="ws://gw.test/ocpp/CP-1")
    s >> s.connected() << calls("BootNotification")
    s.settle()
    assert s.memory.security_profile == 1


def test_unreachable_new_slot_is_tried_again_after_the_next_reset_in_2_x() -> None:
    s = Scenario("2.0.1", roots=ROOT).up()
    profile(s, 2, "Accepted")
    assert priority(s, "2,1") == "Accepted"
    reset(s)
    s >> s.started() << connects(url=SECURE)
    fail_all_attempts(s)
    s >> s.due("connect") << Connect
    s >> s.connected()
    s.settle()
    reset(s)
    s >> s.started() << connects(url=SECURE)


def test_1_6_with_network_profiles_as_keys_is_somewhere_else_after_its_next_start() -> None:
    s = Scenario("1.6", 2, "network-keys", roots=ROOT).up()
    change(s, "wss://new.test/ocpp", "Accepted", key="NetworkConnectionProfile2")
    change(s, "ws-no-url", "Rejected", key="NetworkConnectionProfile2")
    names = "NetworkConnectionProfile2,NetworkConnectionProfile1"
    change(s, names, "RebootRequired", key="NetworkConfigurationPriority")
    change(s, "NetworkConnectionProfile9", "Rejected", key="NetworkConfigurationPriority")
    reset(s)
    s >> s.started() << connects(url="wss://new.test/ocpp/CP-1")


def test_a_1_6_charge_point_of_the_standard_knows_no_such_keys() -> None:
    change(Scenario().up(), "wss://new.test/ocpp", "NotSupported", key="NetworkConnectionProfile2")
