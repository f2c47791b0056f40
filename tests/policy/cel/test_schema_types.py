"""From the JSON schemas of the `ocpp` package to types: every message of every version, and what the checker makes of it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import ocpp
import pytest

from gateway.policy.cel import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Field,
    List,
    Map,
    Object,
    Record,
    SchemaInvalid,
    Scope,
    String,
    Type,
    check,
    check_each,
    compile_program,
    parse,
    record_of,
)

SCHEMAS = Path(ocpp.__file__).parent
VERSIONS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}


@cache
def payload(version: str, name: str) -> Record:
    path = SCHEMAS / VERSIONS[version] / "schemas" / f"{name}.json"
    return record_of(json.loads(path.read_text(encoding="utf-8-sig")), name)


def field(record: Record, *path: str) -> Field:
    found = Field(record)
    for step in path:
        inside: Type = found.type
        while isinstance(inside, List):
            inside = inside.element
        assert isinstance(inside, Record)
        found = inside.fields[step]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_schema_has_a_type(version: str) -> None:
    names = sorted(path.stem for path in (SCHEMAS / VERSIONS[version] / "schemas").glob("*.json"))
    assert len(names) > 70
    for name in names:
        assert payload(version, name).name == name


def test_types_of_draft_4() -> None:
    profile = payload("1.6", "SetChargingProfile")
    assert field(profile, "connectorId") == Field(INT)
    assert field(profile, "csChargingProfiles", "transactionId") == Field(INT, optional=True)
    assert field(profile, "csChargingProfiles", "validFrom") == Field(String(date_time=True), optional=True)
    periods = field(profile, "csChargingProfiles", "chargingSchedule", "chargingSchedulePeriod")
    assert isinstance(periods.type, List)
    assert periods.type.max_items is None
    assert field(profile, "csChargingProfiles", "chargingSchedule", "chargingSchedulePeriod", "limit") == Field(DOUBLE)
    unit = field(profile, "csChargingProfiles", "chargingSchedule", "chargingRateUnit").type
    assert unit == String(frozenset({"A", "W"}))
    assert field(payload("1.6", "Authorize"), "idTag").type == String(max_length=20)


def test_types_of_draft_6_with_definitions() -> None:
    variables = payload("2.0.1", "SetVariablesRequest")
    assert field(variables, "setVariableData", "component", "evse", "id") == Field(INT)
    assert field(variables, "setVariableData", "component", "evse").optional
    assert field(variables, "setVariableData", "component", "name").type == String(max_length=50)
    assert field(variables, "setVariableData", "attributeType").type == String(
        frozenset({"Actual", "Target", "MinSet", "MaxSet"})
    )
    certificates = field(payload("2.0.1", "AuthorizeRequest"), "iso15118CertificateHashData").type
    assert isinstance(certificates, List)
    assert certificates.max_items == 4
    custom = field(variables, "customData").type
    assert isinstance(custom, Record)
    assert custom.is_open
    assert field(payload("2.0.1", "DataTransferRequest"), "data") == Field(DYN, optional=True)


def test_one_definition_is_one_type() -> None:
    variables = payload("2.0.1", "SetVariablesRequest")
    assert field(variables, "customData").type is field(variables, "setVariableData", "customData").type


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, True),
        ({"type": "object", "properties": {}, "additionalProperties": False}, False),
    ],
)
def test_an_object_without_properties_is_open_unless_it_says_otherwise(schema: dict[str, Any], expected: bool) -> None:
    assert record_of(schema).is_open is expected


def test_odd_schemas_give_unknown_types_and_never_wrong_ones() -> None:
    made = record_of(
        {
            "type": "object",
            "properties": {"a": {"type": ["string", "null"]}, "b": {}, "c": {"type": "array"}, "d": {"type": "object"}},
        }
    )
    assert [made.fields[name].type for name in "abcd"] == [DYN, DYN, List(DYN), Map(DYN)]


def test_a_definition_that_contains_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/definitions/Node"}}, "additionalProperties": False}
    made = record_of(
        {"type": "object", "properties": {"n": {"$ref": "#/definitions/Node"}}, "definitions": {"Node": node}}
    )
    assert field(made, "n", "next").type is DYN


@pytest.mark.parametrize(
    "schema", [{"type": "array"}, {}, {"$ref": "#/definitions/X"}, {"$ref": "http://example.test/x"}]
)
def test_a_schema_that_describes_no_object_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaInvalid):
        record_of(schema)


# The rules of the example pack

URL = Object(
    "url",
    {
        "ok": Field(BOOL),
        "scheme": Field(STRING),
        "host": Field(STRING),
        "userinfo": Field(STRING),
        "ip_literal": Field(BOOL),
    },
)
GATEWAY: dict[str, Type] = {
    "facts": Object(
        "facts",
        {
            "urls": Field(List(URL)),
            "limits_a": Field(List(DOUBLE)),
            "limits_w": Field(List(DOUBLE)),
            "min_period_s": Field(INT),
            "token_status": Field(STRING),
            "config_keys": Field(List(STRING)),
            "strings": Field(List(STRING)),
            "expiry": Field(TIMESTAMP),
        },
    ),
    "tx": Object("tx", {"history_complete": Field(BOOL), "open_ids": Field(List(INT)), "meter_start": Field(INT)}),
    "session": Object("session", {"in_maintenance": Field(BOOL)}),
    "params": Record(
        "params",
        {
            "firmware_hosts": Field(List(STRING)),
            "log_hosts": Field(List(STRING)),
            "max_amps": Field(DOUBLE),
            "max_watts": Field(DOUBLE),
            "min_period_s": Field(INT),
            "datatransfer": Field(List(STRING)),
            "protected_keys": Field(List(STRING)),
            "protected_vars": Field(List(STRING)),
            "max_reservation": Field(DURATION),
        },
        unknown="P070",
    ),
    "now": TIMESTAMP,
}


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        (
            [("1.6", "UpdateFirmware"), ("2.0.1", "UpdateFirmwareRequest"), ("2.1", "PublishFirmwareRequest")],
            'facts.urls.size() > 0 && facts.urls.all(u, u.ok && u.scheme == "https" && u.userinfo == "" && !u.ip_literal '
            "&& u.host in params.firmware_hosts)",
        ),
        (
            [("1.6", "SetChargingProfile"), ("2.0.1", "RequestStartTransactionRequest")],
            "facts.limits_a.exists(x, x > params.max_amps) || facts.limits_w.exists(x, x > params.max_watts)",
        ),
        (
            [("1.6", "SetChargingProfile")],
            "facts.limits_a.size() + facts.limits_w.size() > 2 && facts.min_period_s < params.min_period_s",
        ),
        ([("1.6", "Reset"), ("2.0.1", "ResetRequest")], "session.in_maintenance"),
        ([("1.6", "AuthorizeResponse")], 'facts.token_status in ["Invalid", "Blocked", "Unknown", "Expired"]'),
        (
            [("1.6", "ChangeConfiguration"), ("2.0.1", "SetVariablesRequest")],
            "facts.config_keys.exists(k, k in params.protected_keys || k in params.protected_vars)",
        ),
        (
            [("1.6", "GetDiagnostics"), ("2.0.1", "GetLogRequest")],
            'facts.urls.all(u, u.ok && u.host in params.log_hosts && u.scheme in ["https", "sftp", "ftps"])',
        ),
        (
            [("1.6", "DataTransfer"), ("2.0.1", "DataTransferRequest"), ("2.1", "DataTransferRequest")],
            "payload.vendorId in params.datatransfer || "
            '(has(payload.messageId) && (payload.vendorId + "/" + payload.messageId) in params.datatransfer)',
        ),
        ([("1.6", "StopTransaction")], "tx.history_complete && !(payload.transactionId in tx.open_ids)"),
        ([("1.6", "StopTransaction")], "payload.transactionId in tx.open_ids && payload.meterStop < tx.meter_start"),
        ([("1.6", "ReserveNow")], "facts.expiry - now > params.max_reservation"),
        ([("1.6", "BootNotification")], 'facts.strings.exists(s, s.contains("${jndi:") || s.contains("${${"))'),
        (
            [("1.6", "MeterValues"), ("2.0.1", "MeterValuesRequest")],
            "payload.meterValue.all(m, m.sampledValue.all(s, s.?measurand.orValue('') != 'Voltage'))",
        ),
    ],
)
def test_the_rules_of_the_example_pack_pass_without_a_finding(pairs: list[tuple[str, str]], text: str) -> None:
    scopes = {pair: Scope({"payload": payload(*pair), **GATEWAY}) for pair in pairs}
    report = check_each(parse(text), scopes)
    assert report.findings == ()
    assert [compile_program(checked).text for checked in report.checked.values()] == [text] * len(pairs)


def test_a_field_of_one_version_is_found_by_name() -> None:
    scopes = {
        "1.6 DataTransfer": Scope({"payload": payload("1.6", "DataTransfer")}),
        "1.6 Authorize": Scope({"payload": payload("1.6", "Authorize")}),
    }
    report = check_each(parse("payload.vendorId == 'x'"), scopes)
    assert [(each.code, each.where) for each in report.findings] == [("P022", ("1.6 Authorize",))]


def test_an_enumeration_of_the_standard_is_known() -> None:
    scope = Scope({"payload": payload("1.6", "Reset")})
    assert check(parse("payload.type == 'Hard'"), scope).findings == ()
    assert [each.code for each in check(parse("payload.type == 'hard'"), scope).findings] == ["P024"]
