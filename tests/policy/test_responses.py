import json

import pytest

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.responses import answer_to, native_result
from gateway.policy.rules import Effect, Response

V16, V201, V21 = OCPPVersion


@pytest.mark.parametrize(
    ("version", "action", "status", "payload"),
    [
        (V16, "Authorize", "Invalid", {"idTagInfo": {"status": "Invalid"}}),
        (V16, "StartTransaction", "Invalid", {"idTagInfo": {"status": "Invalid"}, "transactionId": 0}),
        (V201, "Authorize", "Blocked", {"idTokenInfo": {"status": "Blocked"}}),
        (V16, "DataTransfer", "UnknownVendorId", {"status": "UnknownVendorId"}),
        (V201, "UpdateFirmware", "InvalidCertificate", {"status": "InvalidCertificate"}),
        (V16, "StatusNotification", "", {}),
        (V16, "UpdateFirmware", "Rejected", None),
        (V16, "Reset", "InvalidCertificate", None),
        (V201, "SetVariables", "Rejected", None),
        (V16, "Heartbeat", "", None),
        (V16, "NoSuchAction", "Rejected", None),
    ],
)
def test_native_results_fit_the_schema_or_are_none(version, action, status, payload):
    assert native_result(version, action, status, schema_gate(version)) == payload


@pytest.mark.parametrize(
    ("version", "action", "effect", "response", "frame"),
    [
        (V16, "Reset", Effect.DENY, Response(status="Rejected"), [3, "x", {"status": "Rejected"}]),
        (V16, "Reset", Effect.DENY, Response(), [4, "x", "SecurityError"]),
        (V16, "UpdateFirmware", Effect.DENY, Response(status="Rejected"), [4, "x", "SecurityError"]),
        (
            V16,
            "Reset",
            Effect.DENY,
            Response(callerror=ErrorMeaning.OCCURRENCE_CONSTRAINT),
            [4, "x", "OccurenceConstraintViolation"],
        ),
        (
            V21,
            "Reset",
            Effect.DENY,
            Response(callerror=ErrorMeaning.OCCURRENCE_CONSTRAINT),
            [4, "x", "OccurrenceConstraintViolation"],
        ),
        (V16, "StatusNotification", Effect.ANSWER, Response(), [3, "x", {}]),
        (V16, "Authorize", Effect.THROTTLE, Response(status="Invalid"), [3, "x", {"idTagInfo": {"status": "Invalid"}}]),
        (V16, "Reset", Effect.QUARANTINE, Response(), [4, "x", "SecurityError"]),
    ],
)
def test_what_the_sender_gets(version, action, effect, response, frame):
    answer = answer_to(version, "x", action, effect, response, schema_gate(version))
    assert answer is not None
    assert json.loads(answer)[: len(frame)] == frame


@pytest.mark.parametrize("effect", [Effect.DROP, Effect.DISCONNECT, Effect.ALERT, Effect.ALLOW])
def test_and_when_it_gets_nothing(effect):
    assert answer_to(V16, "x", "Reset", effect, Response(), schema_gate(V16)) is None


def test_nothing_of_the_input_comes_back():
    answer = answer_to(V16, "id-1", "Evil\u2028<script>", Effect.DENY, Response(status="Rejected"), schema_gate(V16))
    assert answer is not None
    assert json.loads(answer)[3] == "Refused by the security policy"
    assert b"script" not in answer
