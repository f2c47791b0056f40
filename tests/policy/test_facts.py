"""Facts: every carrier of a limit, a URL, a token, a setting, in every version, with what looks like one and is none."""

import pytest

from gateway.policy.facts import FactMissing, Facts

SCHEDULE_16 = {
    "chargingRateUnit": "A",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 30, "limit": 8}],
}
PROFILE_16 = {"chargingProfileId": 1, "chargingSchedule": SCHEDULE_16}


def schedules_2x(*limits, unit="A"):
    return [
        {"id": n, "chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": x}]}
        for n, x in enumerate(limits)
    ]


def profile(unit: object, limit: object) -> dict[str, object]:
    schedule = {"chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    return {"csChargingProfiles": {"chargingSchedule": schedule}}


@pytest.mark.parametrize(
    ("action", "payload", "amps", "watts"),
    [
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE_16}, [16, 8], []),
        ("RemoteStartTransaction", {"idTag": "T", "chargingProfile": PROFILE_16}, [16, 8], []),
        ("RemoteStartTransaction", {"idTag": "T"}, [], []),
        ("SetChargingProfile", {"chargingProfile": {"chargingSchedule": schedules_2x(1, 2, 400)}}, [1, 2, 400], []),
        ("RequestStartTransaction", {"chargingProfile": {"chargingSchedule": schedules_2x(5, unit="W")}}, [], [5]),
        ("UpdateDynamicSchedule", {"scheduleUpdate": {"setpoint": -250000, "limit_L2": 3}}, [], [3, 250000]),
        ("AFRRSignal", {"signal": -32767}, [], [32767]),
        (
            "SetChargingProfile",
            {
                "chargingProfile": {
                    "chargingSchedule": [{"chargingRateUnit": "W", "limitAtSoC": {"soc": 80, "limit": 9e9}}]
                }
            },
            [],
            [9e9],
        ),
        ("Reset", {"limit": 400}, [], []),
        ("UpdateDynamicSchedule", {"scheduleUpdate": {"limit": 10**400}}, [], [float("inf")]),
        ("SetChargingProfile", {"csChargingProfiles": {"chargingSchedule": "x"}}, [], []),
        (
            "SetChargingProfile",
            {"csChargingProfiles": {"chargingSchedule": {"chargingSchedulePeriod": [{"limit": None}]}}},
            [],
            [],
        ),
        # What a schema forbids and a receiver may read all the same: nothing is left out.
        ("SetChargingProfile", profile("W", "9e9"), [], [9e9]),
        ("SetChargingProfile", profile("A", " 400 "), [400], []),
        ("SetChargingProfile", profile("A", "4OO"), [float("inf")], []),
        ("SetChargingProfile", profile("W", "NaN"), [], [float("inf")]),
        ("SetChargingProfile", profile("W", True), [], [float("inf")]),
        ("SetChargingProfile", profile("a", 400), [400], [400]),
        ("SetChargingProfile", profile(None, 400), [400], [400]),
        ("AFRRSignal", {"signal": ["9e9"]}, [], [float("inf")]),
    ],
)
def test_limits(action, payload, amps, watts):
    facts = Facts(action, payload)
    assert (facts.limits_a, sorted(facts.limits_w)) == (amps, watts)


def test_a_curve_of_2_1_holds_limits_too():
    period = {"startPeriod": 0, "v2xSignalWattCurve": [{"signal": 1, "power": -7e6}], "v2xBaseline": 5.0}
    payload = {"chargingProfile": {"chargingSchedule": [{"chargingRateUnit": "W", "chargingSchedulePeriod": [period]}]}}
    assert sorted(Facts("SetChargingProfile", payload).limits_w) == [5.0, 7e6]


def test_periods_and_their_distance():
    facts = Facts("SetChargingProfile", {"csChargingProfiles": PROFILE_16})
    assert (facts.periods, facts.min_period_s) == (2, 30)
    assert (
        Facts("SetChargingProfile", {"chargingProfile": {"chargingSchedule": schedules_2x(1, 2)}}).min_period_s == 2**31
    )


@pytest.mark.parametrize(
    ("payload", "watts"),
    [
        ({"csChargingProfiles": PROFILE_16}, 16 * 690),
        (
            {
                "csChargingProfiles": {
                    "chargingSchedule": {
                        "chargingRateUnit": "A",
                        "chargingSchedulePeriod": [{"limit": 10, "numberPhases": 1}],
                    }
                }
            },
            2300,
        ),
        ({"chargingProfile": {"chargingSchedule": schedules_2x(7000, unit="W")}}, 7000),
        ({"scheduleUpdate": {"setpoint": -5}}, 5),
        ({}, -1),
    ],
)
def test_set_point(payload, watts):
    action = "UpdateDynamicSchedule" if "scheduleUpdate" in payload else "SetChargingProfile"
    assert Facts(action, payload).setpoint_w == pytest.approx(watts)


@pytest.mark.parametrize(
    ("action", "payload", "hosts"),
    [
        ("UpdateFirmware", {"location": "https://a.example/x"}, ["a.example"]),
        ("UpdateFirmware", {"firmware": {"location": "https://a.example/x"}}, ["a.example"]),
        ("SignedUpdateFirmware", {"firmware": {"location": "https://a.example/x"}}, ["a.example"]),
        ("PublishFirmware", {"location": "https://a.example/x"}, ["a.example"]),
        ("GetDiagnostics", {"location": "ftp://a.example/x"}, ["a.example"]),
        ("GetLog", {"log": {"remoteLocation": "https://a.example/x"}}, ["a.example"]),
        ("SetNetworkProfile", {"connectionData": {"ocppCsmsUrl": "wss://a.example/x"}}, ["a.example"]),
        ("Authorize", {"iso15118CertificateHashData": [{"responderURL": "http://a.example/x"}]}, ["a.example"]),
        (
            "SetDisplayMessage",
            {"message": {"message": {"format": "URI", "content": "https://a.example/x"}}},
            ["a.example"],
        ),
        ("SetDisplayMessage", {"message": {"message": {"format": "UTF8", "content": "https://a.example/x"}}}, []),
        ("MeterValues", {"meterValue": [{"sampledValue": [{"value": "1", "location": "Outlet"}]}]}, []),
        ("Reset", {"type": "Hard"}, []),
    ],
)
def test_urls(action, payload, hosts):
    assert [url.host for url in Facts(action, payload).urls] == hosts


@pytest.mark.parametrize(
    ("payload", "tokens"),
    [
        ({"idTag": "A"}, ["A"]),
        ({"idToken": {"idToken": "A", "type": "Central"}, "groupIdToken": {"idToken": "G"}}, ["A", "G"]),
        ({"localAuthorizationList": [{"idTag": "A"}, {"idToken": {"idToken": "B"}}]}, ["A", "B"]),
        ({"idToken": "A"}, []),
        ({"idTag": 7}, []),
    ],
)
def test_tokens(payload, tokens):
    assert Facts("Authorize", payload).tokens == tokens


def test_a_result_knows_the_tokens_of_its_call():
    facts = Facts("Authorize", {"idTagInfo": {"status": "Invalid"}}, {"idTag": "A"})
    assert (facts.token_status, facts.asked_tokens, facts.tokens) == ("Invalid", ["A"], [])
    assert Facts("Authorize", {"idTokenInfo": {"status": "Unknown"}}).token_status == "Unknown"
    assert Facts("Heartbeat", {}).token_status == ""


def variables(*items):
    return {
        "setVariableData": [
            {"component": {"name": c}, "variable": {"name": v}, "attributeValue": x} for c, v, x in items
        ]
    }


@pytest.mark.parametrize(
    ("action", "payload", "keys", "profile"),
    [
        ("ChangeConfiguration", {"key": "SecurityProfile", "value": "1"}, ["SecurityProfile"], 1),
        ("ChangeConfiguration", {"key": "sECURITYprofile", "value": "1"}, ["SecurityProfile"], 1),
        ("ChangeConfiguration", {"key": " SecurityProfile ", "value": "1"}, ["SecurityProfile"], 1),
        ("ChangeConfiguration", {"key": "SecurityProfile", "value": "0"}, ["SecurityProfile"], -1),
        ("ChangeConfiguration", {"key": "SecurityProfile", "value": "+1"}, ["SecurityProfile"], -1),
        ("ChangeConfiguration", {"key": "Other", "value": "1"}, ["Other"], 0),
        ("ChangeConfiguration", {"key": "securityprofile\0x", "value": "2"}, ["SecurityProfile"], 2),
        ("ChangeConfiguration", {"key": "Security Profile", "value": "2"}, ["Security Profile"], 0),
        ("SetVariables", variables(("SecurityCtrlr ", "\tSecurityProfile", "2")), ["SecurityCtrlr.SecurityProfile"], 2),
        (
            "SetVariables",
            variables(("SecurityCtrlr", "SecurityProfile", "3"), ("securityctrlr", "SECURITYPROFILE", "2")),
            ["SecurityCtrlr.SecurityProfile"] * 2,
            2,
        ),
        ("SetVariables", {"setVariableData": [{"component": {"name": "C"}, "variable": "x"}]}, [], 0),
        (
            "SetNetworkProfile",
            {"connectionData": {"securityProfile": 1, "ocppCsmsUrl": "u"}},
            ["NetworkConfiguration.SecurityProfile", "NetworkConfiguration.OcppCsmsUrl"],
            1,
        ),
        ("GetConfiguration", {"key": ["SecurityProfile"]}, [], 0),
    ],
)
def test_settings(action, payload, keys, profile):
    facts = Facts(action, payload)
    assert (facts.config_keys, facts.security_profile) == (keys, profile)
    assert facts.config_names == [key.lower() for key in facts.config_keys]


@pytest.mark.parametrize(
    ("payload", "energies"),
    [
        ({"meterStart": 5}, [5]),
        ({"meterStop": 9}, [9]),
        (
            {
                "meterValue": [
                    {"sampledValue": [{"value": "1.5", "unit": "kWh", "measurand": "Energy.Active.Import.Register"}]}
                ]
            },
            [1500],
        ),
        ({"meterValue": [{"sampledValue": [{"value": 2, "unitOfMeasure": {"unit": "Wh", "multiplier": 3}}]}]}, [2000]),
        (
            {
                "meterValue": [
                    {
                        "sampledValue": [
                            {"value": "7", "measurand": "Voltage"},
                            {"value": "7", "phase": "L1"},
                            {"value": "NaN"},
                            {"value": "x"},
                        ]
                    }
                ]
            },
            [],
        ),
        ({"meterValue": [{"sampledValue": [{"value": 1, "unitOfMeasure": {"unit": ["x"]}}]}]}, []),
        ({"meterValue": [{"sampledValue": [{"value": 10**400}]}]}, []),
    ],
)
def test_energies(payload, energies):
    assert Facts("MeterValues", payload).meter_wh == energies


def test_connectors_lists_and_moments():
    assert Facts("ChangeAvailability", {"evse": {"id": 2, "connectorId": -1}}).connectors == [-1, 2]
    assert Facts("UnlockConnector", {"connectorId": True}).connectors == []
    assert Facts("GetVariables", {"a": [1, {"b": [1, 2, 3]}]}).longest_list == 3
    facts = Facts(
        "MeterValues",
        {"timestamp": "222222017-10-27T19:10:11Z", "a": [{"timestamp": "2026-01-01 00:00:00"}, {"timestamp": ""}]},
    )
    assert (facts.absurd_times, facts.timestamps) == (1, [])


def test_expiry_that_is_not_there_is_missing_and_one_that_is_none_an_error():
    with pytest.raises(FactMissing):
        _ = Facts("ReserveNow", {}).expiry
    with pytest.raises(ValueError, match="date-time"):
        _ = Facts("ReserveNow", {"expiryDate": "soon"}).expiry


@pytest.mark.parametrize(
    ("firmware", "signed"),
    [
        ({"signingCertificate": "c", "signature": "s"}, True),
        ({"signature": "s"}, False),
        ({"signingCertificate": "c", "signature": ""}, False),
    ],
)
def test_signed_firmware(firmware, signed):
    assert Facts("UpdateFirmware", {"firmware": firmware}).firmware_signed is signed
