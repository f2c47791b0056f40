"""The schema gate with the schemas that it is used with."""

import time

import pytest

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.vocabulary import OCPPVersion

V16, V201, _ = OCPPVersion


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [
        (V201, "NotifyEvent", {"generatedAt": "x", "seqNo": 0, "eventData": [{}] * 9_900}),
        (V201, "NotifyReport", {"requestId": 1, "generatedAt": "x", "seqNo": 0, "reportData": [{}] * 9_900}),
        (V16, "MeterValues", {"connectorId": 1, "meterValue": [1] * 9_900}),
    ],
    ids=["NotifyEvent", "NotifyReport", "MeterValues"],
)
def test_a_payload_that_is_wrong_everywhere_holds_nobody_up(version, action, payload):
    gate = schema_gate(version)
    began = time.process_time()

    assert gate.check(action, "call", payload) is not None

    assert time.process_time() - began < 0.05


def test_of_a_small_payload_the_gravest_error_is_told():
    violation = schema_gate(V16).check("Reset", "call", {"type": "x" * 200, "more": 1})

    assert violation is not None
    assert (violation.meaning, violation.keyword) == (ErrorMeaning.FORMAT, "AdditionalProperties")


def test_of_a_large_payload_the_first_error_is_told_with_its_place():
    data = [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1"}]}] * 100
    assert schema_gate(V16).check("MeterValues", "call", {"connectorId": 1, "meterValue": data}) is None
    payload = {"connectorId": 1, "meterValue": [*data, {"timestamp": "2026-01-01T00:00:00Z"}]}

    violation = schema_gate(V16).check("MeterValues", "call", payload)

    assert violation is not None
    assert (violation.meaning, violation.keyword, violation.path) == (ErrorMeaning.FORMAT, "Required", "meterValue/100")
