"""The preflight: for each check what stands in the way, and the near-miss that does not."""

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from gateway.provisioning.preflight import OurSide, preflight
from gateway.provisioning.station_facts import InstalledRoot, StationFacts

ONE, TWO, THREE = SecurityProfile(1), SecurityProfile(2), SecurityProfile(3)
ROOT = InstalledRoot(hash_algorithm="SHA256", issuer_name_hash="a", issuer_key_hash="b", serial_number="1")
OURS = OurSide(
    version=OCPPVersion.V2_0_1,
    from_profile=TWO,
    to_profile=THREE,
    now=1_000.0,
    listener="mtls",
    old_listener=True,
    url="wss://gw/ocpp",
    url_problem="",
    chain_problem="",
    has_serial_number=True,
    has_password=True,
    certificate="ready",
    certificate_why="",
    root="same",
    not_idle="",
)
STATION = StationFacts(security_profile="2", priority="1", active_slot="1", clock=1_000.0, roots=(ROOT,))


def verdict(ours: dict[str, Any] | None = None, station: dict[str, Any] | None = None) -> tuple[str, str]:
    found = preflight(replace(OURS, **(ours or {})), replace(STATION, **(station or {})))
    return found.verdict, found.why.partition(":")[0] if found.verdict != "ok" else ""


@pytest.mark.parametrize(
    ("ours", "station", "expected"),
    [
        ({}, {}, ("ok", "")),
        ({}, {"security_profile": "1"}, ("no", "profile")),
        ({}, {"security_profile": ""}, ("ok", "")),
        ({"listener": ""}, {}, ("no", "listener")),
        ({"listener": "", "has_listener_of_others": True}, {}, ("no", "listener")),
        ({"url_problem": "where?"}, {}, ("no", "address")),
        ({"url": "", "version": OCPPVersion.V1_6}, {}, ("ok", "")),
        ({"not_idle": "a transaction runs"}, {}, ("wait", "idle")),
        ({"root": "none"}, {}, ("no", "root")),
        ({"root": "unknown"}, {}, ("no", "root")),
        ({"root": "none", "install_root": True}, {}, ("install", "root")),
        ({"root": "none", "install_root": True, "no_root": "name it"}, {}, ("no", "root")),
        ({"root": "unknown", "install_root": True}, {}, ("no", "root")),
        ({"root": "same", "install_root": True, "no_root": "name it"}, {}, ("ok", "")),
        ({"firmware": "it is old"}, {}, ("no", "firmware")),
        ({"firmware": "it is old", "unsafe_any_firmware": True}, {}, ("ok", "")),
        ({"is_kind_unknown": True}, {}, ("wait", "firmware")),
        ({"is_kind_unknown": True, "unsafe_any_firmware": True}, {}, ("ok", "")),
        ({"learnt": ("it has refused every Reset",)}, {}, ("ok", "")),
        ({"root": "name"}, {}, ("ok", "")),
        ({"chain_problem": "it ends"}, {}, ("no", "server certificate")),
        ({}, {"clock": 1_301.0}, ("no", "clock")),
        ({}, {"clock": 699.0}, ("no", "clock")),
        ({}, {"clock": 1_300.0}, ("ok", "")),
        ({}, {"clock": None}, ("ok", "")),
        ({"has_serial_number": False}, {}, ("no", "certificate")),
        ({"certificate": "none"}, {}, ("no", "certificate")),
        ({"certificate": "enrol"}, {}, ("enrol", "certificate")),
        ({"certificate": "enrol"}, {"certificates": 3, "max_certificates": 3}, ("no", "store")),
        ({"certificate": "enrol"}, {"certificates": 2, "max_certificates": 3}, ("enrol", "certificate")),
        ({}, {"certificates": 3, "max_certificates": 3}, ("ok", "")),
        ({"old_listener": False}, {}, ("no", "fall-back")),
        ({}, {"priority": ""}, ("no", "fall-back")),
        ({}, {"priority": "2"}, ("no", "fall-back")),
        ({}, {"priority": "12"}, ("no", "fall-back")),
        ({}, {"priority": "2, 1"}, ("ok", "")),
        ({}, {"priority": "2", "active_slot": ""}, ("ok", "")),
        ({"version": OCPPVersion.V1_6}, {"priority": ""}, ("ok", "")),
        ({"from_profile": ONE, "to_profile": TWO}, {"security_profile": "0"}, ("ok", "")),
        (
            {"from_profile": ONE, "to_profile": TWO, "has_password": False},
            {"security_profile": "1"},
            ("no", "password"),
        ),
        ({"has_password": False}, {}, ("ok", "")),
    ],
)
def test_each(ours: dict[str, Any], station: dict[str, Any], expected: tuple[str, str]) -> None:
    assert verdict(ours, station) == expected


def test_an_obstacle_comes_before_the_certificate_and_that_before_waiting() -> None:
    assert verdict({"certificate": "enrol", "not_idle": "a transaction runs"})[0] == "enrol"
    assert verdict({"certificate": "enrol", "root": "none"})[0] == "no"
    assert verdict({"certificate": "enrol", "root": "none", "install_root": True})[0] == "install"
    assert verdict({"root": "none", "install_root": True}, {"clock": 0.0})[0] == "no"


def test_what_it_was_asked_and_has_not_answered_is_asked_again() -> None:
    unheard = {"unheard": "GetVariables: timeout"}
    assert verdict({}, unheard) == ("wait", "answers")
    assert verdict({"root": "unknown"}, unheard)[0] == "wait"
    assert verdict({}, {"priority": "", **unheard})[0] == "wait"
    assert verdict({"root": "none"}, unheard) == ("no", "root")
    found = preflight(OURS, replace(STATION, unheard="GetVariables: timeout"))
    assert (found.checks[0].why, found.is_heard) == ("it has not answered: GetVariables: timeout", False)
    assert preflight(OURS, STATION).is_heard


def test_what_is_done_in_spite_of_a_check_is_said() -> None:
    found = preflight(replace(OURS, firmware="it is old", unsafe_any_firmware=True), STATION)
    (check,) = [each for each in found.checks if each.name == "firmware"]
    assert check.outcome == "told"
    assert "--unsafe-any-firmware" in check.why


@pytest.mark.parametrize(
    ("ours", "station", "lowers"),
    [
        ({}, {"allows_downgrade": True}, True),
        ({}, {"allows_downgrade": False}, False),
        ({}, {}, False),
        ({"from_profile": ONE}, {"allows_downgrade": True, "security_profile": "1"}, False),
    ],
)
def test_reversibility_is_said_before_the_start(ours: dict[str, Any], station: dict[str, Any], lowers: bool) -> None:
    found = preflight(replace(OURS, **ours), replace(STATION, **station))
    assert ("3 to 2" in found.reversibility) is lowers
    assert ("never over OCPP" in found.reversibility) is not lowers
