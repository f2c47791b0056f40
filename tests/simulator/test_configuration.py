"""ChangeConfiguration, GetConfiguration, SetVariables, GetVariables, GetBaseReport."""

from typing import Any

import pytest

from tests.simulator.scenario import PASSWORD, Scenario, answers, calls


def variable(component: str, name: str, value: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "component": {"name": component},
        "variable": {"name": name},
        **({} if value is None else {"attributeValue": value}),
        **more,
    }


def statuses(s: Scenario, **asked: Any) -> list[str]:
    """Set or get one variable; what came of it."""
    action = "SetVariables" if "attributeValue" in asked else "GetVariables"
    key = "setVariable" if action == "SetVariables" else "getVariable"
    s >> s.csms(action, **{f"{key}Data": [asked]}) << answers()
    return [each["attributeStatus"] for each in s.last[f"{key}Result"]]


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("HeartbeatInterval", "60", "Accepted"),
        ("heartbeatinterval", "60", "Accepted"),
        ("HeartbeatInterval", "0", "Rejected"),
        ("HeartbeatInterval", "many", "Rejected"),
        ("WebSocketPingInterval", "-1", "Rejected"),
        ("WebSocketPingInterval", "0", "Accepted"),
        ("CpoName", "Other CPO", "Accepted"),
        ("CpoName", "x" * 65, "Rejected"),
        ("CertificateStoreMaxLength", "9", "Rejected"),
        ("Unheard", "1", "NotSupported"),
    ],
)
def test_change_configuration(key: str, value: str, status: str) -> None:
    s = Scenario().up()
    s >> s.csms("ChangeConfiguration", key=key, value=value) << answers(status=status)


def test_get_configuration_never_shows_a_password() -> None:
    s = Scenario().up()
    s >> s.csms("GetConfiguration", key=["AuthorizationKey", "CpoName", "Unheard"]) << answers(unknownKey=["Unheard"])
    assert s.last["configurationKey"] == [{"key": "CpoName", "readonly": False, "value": "Example CPO"}]
    s >> s.csms("GetConfiguration") << answers()
    assert PASSWORD not in repr(s.last)
    assert {"key": "SecurityProfile", "readonly": False, "value": "1"} in s.last["configurationKey"]


def test_heartbeat_interval_counts_at_once() -> None:
    s = Scenario().up()
    s >> s.csms("ChangeConfiguration", key="HeartbeatInterval", value="61") << answers(status="Accepted")
    assert s.timers["heartbeat"] == 61


@pytest.mark.parametrize(
    ("component", "name", "value", "status"),
    [
        ("OCPPCommCtrlr", "HeartbeatInterval", "60", "Accepted"),
        ("SecurityCtrlr", "SecurityProfile", "3", "Rejected"),
        ("SecurityCtrlr", "Unheard", "3", "UnknownVariable"),
        ("Unheard", "Unheard", "3", "UnknownComponent"),
        ("SecurityCtrlr", "OrganizationName", "Other", "Accepted"),
    ],
)
def test_set_variables(component: str, name: str, value: str, status: str) -> None:
    s = Scenario("2.0.1").up()
    assert statuses(s, **variable(component, name, value)) == [status]
    assert statuses(s, **variable(component, name, value, attributeType="Target"))[0] != "Accepted"


def test_get_variables() -> None:
    s = Scenario("2.0.1", 2).up()
    assert statuses(s, **variable("SecurityCtrlr", "BasicAuthPassword")) == ["Rejected"]
    assert PASSWORD not in repr(s.last)
    assert statuses(s, **variable("SecurityCtrlr", "SecurityProfile")) == ["Accepted"]
    assert s.last["getVariableResult"][0]["attributeValue"] == "2"
    assert statuses(s, **variable("SecurityCtrlr", "CertificateEntries", attributeType="MaxSet")) == ["Accepted"]
    assert s.last["getVariableResult"][0]["attributeValue"] == "5"


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_base_report_comes_in_numbered_parts(version: str) -> None:
    s = Scenario(version, 2).up()
    s >> s.csms("GetBaseReport", requestId=4, reportBase="FullInventory") << answers(status="Accepted")
    reports: list[dict[str, Any]] = []
    while s.wire:
        s << calls("NotifyReport", requestId=4, seqNo=len(reports))
        reports.append(s.last)
        s >> s.answer()
    assert [report["tbc"] for report in reports] == [True] * (len(reports) - 1) + [False]
    rows = [row for report in reports for row in report["reportData"]]
    password = next(row for row in rows if row["variable"]["name"] == "BasicAuthPassword")
    assert password["variableAttribute"] == [{"mutability": "WriteOnly"}]
