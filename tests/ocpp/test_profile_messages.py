"""Which messages give a charge point another security profile, and what has to be answered for it: near-misses give none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ocpp.profile_messages import profile_given
from gateway.ocpp.vocabulary import SecurityProfile

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["Accepted", "SecurityProfile", "NetworkConfiguration"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "setVariableData",
                    "setVariableResult",
                    "component",
                    "variable",
                    "name",
                    "attributeValue",
                    "attributeStatus",
                    "key",
                    "value",
                    "status",
                    "connectionData",
                    "securityProfile",
                    "instance",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def setting(key: Any, value: Any) -> dict[str, Any]:
    return {"key": key, "value": value}


def slot(profile: Any) -> dict[str, Any]:
    return {"configurationSlot": 2, "connectionData": {"securityProfile": profile}}


def variable(value: str | None, instance: str = "2", name: str = "SecurityProfile", status: str = "") -> dict[str, Any]:
    named = {"component": {"name": "NetworkConfiguration", "instance": instance}, "variable": {"name": name}}
    return named | ({"attributeValue": value} if value is not None else {"attributeStatus": status})


@pytest.mark.parametrize(
    ("action", "payload", "result", "profile"),
    [
        ("ChangeConfiguration", setting("SecurityProfile", "2"), {"status": "Accepted"}, 2),
        ("ChangeConfiguration", setting("securityprofile", " 3"), {"status": "RebootRequired"}, 3),
        ("ChangeConfiguration", setting("SecurityProfile", "2"), {"status": "Rejected"}, None),
        ("ChangeConfiguration", setting("SecurityProfile", "2"), {"status": "NotSupported"}, None),
        ("ChangeConfiguration", setting("SecurityProfile", "2"), {}, None),
        ("ChangeConfiguration", setting("SecurityProfile", "4"), {"status": "Accepted"}, None),
        ("ChangeConfiguration", setting("SecurityProfile", 2), {"status": "Accepted"}, None),
        ("ChangeConfiguration", setting("HeartbeatInterval", "2"), {"status": "Accepted"}, None),
        ("SetNetworkProfile", slot(3), {"status": "Accepted"}, 3),
        ("SetNetworkProfile", slot(3), {"status": "Failed"}, None),
        ("SetNetworkProfile", slot("3"), {"status": "Accepted"}, None),
        ("SetNetworkProfile", slot(True), {"status": "Accepted"}, None),
        ("DataTransfer", slot(3), {"status": "Accepted"}, None),
    ],
)
def test_what_a_charge_point_has_taken(
    action: str, payload: dict[str, Any], result: dict[str, Any], profile: int | None
) -> None:
    assert profile_given(action, payload, result) == (None if profile is None else SecurityProfile(profile))


@pytest.mark.parametrize(
    ("asked", "said", "profile"),
    [
        ([variable("3")], [variable(None, status="Accepted")], 3),
        ([variable("3")], [variable(None, status="RebootRequired")], 3),
        ([variable("3")], [variable(None, status="Rejected")], None),
        ([variable("2"), variable("3", "4")], [variable(None, "4", status="Accepted")], 3),
        ([variable("2"), variable("3", "4")], [variable(None, status="Accepted"), variable(None, "4", status="Rejected")], 2),
        ([variable("3", name="OcppCsmsUrl")], [variable(None, name="OcppCsmsUrl", status="Accepted")], None),
    ],
)  # fmt: skip
def test_each_slot_of_2_1_has_an_answer_of_its_own(asked: list[Any], said: list[Any], profile: int | None) -> None:
    found = profile_given("SetVariables", {"setVariableData": asked}, {"setVariableResult": said})
    assert found == (None if profile is None else SecurityProfile(profile))


@given(st.sampled_from(["ChangeConfiguration", "SetVariables", "SetNetworkProfile"]), JSON, JSON)
def test_nothing_that_is_odd_raises(action: str, payload: Any, result: Any) -> None:
    if isinstance(payload, dict) and isinstance(result, dict):
        assert profile_given(action, payload, result) in {None, *SecurityProfile}
