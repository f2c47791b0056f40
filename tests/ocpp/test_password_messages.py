"""Which messages set a password, what their answers say, and how one is refused: near-misses set none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.ocpp_schemas import schema_gate
from gateway.identity.basic_auth import canonical_secret, generate_password, readings
from gateway.ocpp.password_messages import outcome_of, password_call, passwords_in, refusal_of
from gateway.ocpp.vocabulary import OCPPVersion

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["setVariableData", "component", "variable", "name", "attributeValue", "key", "value"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


def item(
    component: str = "SecurityCtrlr", variable: str = "BasicAuthPassword", value: str = "secret"
) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value}


def variables(*items: dict[str, Any]) -> dict[str, Any]:
    return {"setVariableData": list(items)}


def said(status: str, **names: str) -> dict[str, Any]:
    made = item(**names)
    del made["attributeValue"]
    return {"setVariableResult": [{**made, "attributeStatus": status}]}


@pytest.mark.parametrize(
    ("action", "payload", "found"),
    [
        ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "00"}, ("00",)),
        ("ChangeConfiguration", {"key": "authorizationkey", "value": "00"}, ("00",)),
        ("ChangeConfiguration", {"key": "AuthorizationKeys", "value": "00"}, ()),
        ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "00"}, ()),
        ("GetConfiguration", {"key": ["AuthorizationKey"]}, ()),
        ("SetVariables", variables(item(component="OCPPCommCtrlr", variable="X"), item()), ("secret",)),
        ("SetVariables", variables(item(component="securityctrlr", variable="BASICAUTHPASSWORD")), ("secret",)),
        ("SetVariables", variables(item(variable="OrganizationName")), ()),
        ("SetVariables", variables(item(component="AuthCtrlr")), ()),
        ("SetVariables", variables(item(component="NetworkConfiguration")), ("secret",)),
        ("SetVariables", variables(item(value="a"), item(value="b")), ("a", "b")),
        ("SetNetworkProfile", {"connectionData": {"basicAuthPassword": "p"}}, ("p",)),
        ("SetNetworkProfile", {"connectionData": {"securityProfile": 2}}, ()),
    ],
)
def test_the_passwords_in_a_call(action: str, payload: dict[str, Any], found: tuple[str, ...]) -> None:
    assert passwords_in(action, payload) == found


@pytest.mark.requirement("A01.FR.03", "A01.FR.04")
@pytest.mark.parametrize(
    ("action", "result", "outcome"),
    [
        ("ChangeConfiguration", {"status": "Accepted"}, "accepted"),
        ("ChangeConfiguration", {"status": "Rejected"}, "refused"),
        ("ChangeConfiguration", {"status": "NotSupported"}, "refused"),
        ("ChangeConfiguration", {"status": "RebootRequired"}, "later"),
        ("ChangeConfiguration", {"status": "accepted"}, "unknown"),
        ("ChangeConfiguration", {"status": ["Accepted"]}, "unknown"),
        ("ChangeConfiguration", None, "unknown"),
        ("SetVariables", said("Accepted"), "accepted"),
        ("SetVariables", said("RebootRequired"), "later"),
        ("SetVariables", said("UnknownVariable"), "refused"),
        ("SetVariables", said("Accepted", variable="OrganizationName"), "unknown"),
        ("SetVariables", {"setVariableResult": []}, "unknown"),
        ("SetNetworkProfile", {"status": "Accepted"}, "later"),
        ("SetNetworkProfile", {"status": "Failed"}, "refused"),
    ],
)
def test_what_a_result_says(action: str, result: Any, outcome: str) -> None:
    assert outcome_of(action, variables(item()), result) == outcome


def test_a_password_of_a_slot_is_for_later() -> None:
    asked = variables(item(component="NetworkConfiguration"))
    assert outcome_of("SetVariables", asked, said("Accepted", component="NetworkConfiguration")) == "later"


def test_two_answers_that_differ_are_no_answer() -> None:
    both = {"setVariableResult": [*said("Accepted")["setVariableResult"], *said("Rejected")["setVariableResult"]]}
    assert outcome_of("SetVariables", variables(item()), both) == "unknown"


@pytest.mark.parametrize("version", list(OCPPVersion))
def test_what_we_say_and_how_we_refuse_fit_the_schemas(version: OCPPVersion) -> None:
    action, payload = password_call(version, generate_password(bytes(range(64))))
    assert schema_gate(version).check(action, "call", payload) is None
    assert schema_gate(version).check(action, "result", refusal_of(action, payload)) is None


def test_a_refusal_names_every_variable_of_the_call() -> None:
    asked = variables(item(), item(variable="OrganizationName") | {"attributeType": "Actual"})
    refused = refusal_of("SetVariables", asked)
    assert [each["variable"]["name"] for each in refused["setVariableResult"]] == [
        "BasicAuthPassword",
        "OrganizationName",
    ]
    assert "secret" not in str(refused)
    assert schema_gate(OCPPVersion.V2_0_1).check("SetVariables", "result", refused) is None


@given(st.binary(min_size=64, max_size=64))
@pytest.mark.requirement("A01.FR.07")
def test_every_reading_of_a_generated_key_is_the_same_password(randomness: bytes) -> None:
    text = generate_password(randomness)
    key = password_call(OCPPVersion.V1_6, text)[1]["value"]
    for header in (bytes.fromhex(key), key.encode(), key.lower().encode()):
        assert canonical_secret(text) in {secret for _, secret in readings(header)}


@given(st.sampled_from(["ChangeConfiguration", "SetVariables", "SetNetworkProfile"]), JSON, JSON)
def test_any_payload_can_be_asked(action: str, payload: Any, result: Any) -> None:
    asked = payload if isinstance(payload, dict) else {}
    assert outcome_of(action, asked, result) in {"accepted", "later", "refused", "unknown"}
    assert isinstance(refusal_of(action, asked), dict)
