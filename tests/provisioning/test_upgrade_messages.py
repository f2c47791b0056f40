"""What is said fits the schemas of each version; what is answered is read without believing its shape."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from gateway.provisioning import station_facts, upgrade_messages
from gateway.provisioning.messages import Message, ask_organization, organization_of, set_organization
from gateway.provisioning.upgrade_messages import NetworkPlan

V16, V201, V21 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
PLAN = NetworkPlan(2, "wss://gw.example.com/ocpp", SecurityProfile(3), "Wired0")
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["status", "configurationKey", "key", "value", "getVariableResult", "setVariableResult", "attributeStatus",
             "attributeValue", "component", "variable", "name", "certificateHashData", "certificateHashDataChain"]
        ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (V16, upgrade_messages.profile_key(SecurityProfile(2))),
        (V16, upgrade_messages.address_key("CentralSystemURL", PLAN.url)),
        (V16, upgrade_messages.address_question("CentralSystemURL")),
        (V16, upgrade_messages.reset(V16)),
        *((version, upgrade_messages.set_network_profile(version, PLAN)) for version in (V201, V21)),
        *((version, upgrade_messages.priority_message("2,1")) for version in (V201, V21)),
        *((version, upgrade_messages.reset(version)) for version in (V201, V21)),
        (V21, upgrade_messages.network_variables(PLAN)),
        *((version, each) for version in OCPPVersion for each in station_facts.questions(version)),
        *((version, station_facts.roots_question(version)) for version in OCPPVersion),
        *((version, ask_organization(version)) for version in OCPPVersion),
        *((version, set_organization(version, "CPO")) for version in OCPPVersion),
    ],
)
def test_fits_the_schema(version: OCPPVersion, message: Message) -> None:
    assert schema_gate(version).check(message.action, "call", message.payload) is None


def test_certification_asks_for_these_values() -> None:
    """1.6 TC_083; 2.0.1 TC_A_19."""
    assert upgrade_messages.reset(V16).payload == {"type": "Hard"}
    data = upgrade_messages.set_network_profile(V201, PLAN).payload["connectionData"]
    assert (data["ocppVersion"], data["ocppTransport"], data["securityProfile"]) == ("OCPP20", "JSON", 3)
    assert "ocppVersion" not in upgrade_messages.set_network_profile(V21, PLAN).payload["connectionData"]


@pytest.mark.requirement("B09.FR.21")
@pytest.mark.parametrize(("priority", "first"), [("1", 2), ("0", 1), ("2,1", 0), ("1, 2", 0)])
def test_a_slot_that_is_in_use_is_never_touched(priority: str, first: int) -> None:
    free = upgrade_messages.free_slots(priority)
    assert free[0] == first
    assert not {str(slot) for slot in free} & {word.strip() for word in priority.split(",")}


@pytest.mark.parametrize(
    ("payload", "taken"),
    [
        ({"status": "Accepted"}, True),
        ({"status": "RebootRequired"}, True),
        ({"status": "Scheduled"}, True),
        ({"status": "Rejected"}, False),
        ({"status": "NotSupported"}, False),
        ({"setVariableResult": [{"attributeStatus": "RebootRequired"}]}, True),
        ({"setVariableResult": [{"attributeStatus": "Accepted"}, {"attributeStatus": "Rejected"}]}, False),
        ({"setVariableResult": []}, False),
        (None, False),
    ],
)
def test_taken(payload: Any, taken: bool) -> None:
    assert upgrade_messages.is_taken(payload) is taken


@pytest.mark.parametrize(
    ("payload", "wrong"),
    [
        ({"status": "Rejected", "statusInfo": {"reasonCode": "InvalidConfSlot"}}, True),
        ({"status": "Rejected"}, True),
        ({"status": "Rejected", "statusInfo": {"reasonCode": "NoSecurityDowngrade"}}, False),
        ({"status": "Accepted"}, False),
        (None, False),
    ],
)
def test_only_the_number_of_the_slot_is_tried_again(payload: Any, wrong: bool) -> None:
    assert upgrade_messages.is_wrong_slot(payload) is wrong


class TestFacts:
    def test_2_x(self) -> None:
        asked = [data for each in station_facts.questions(V201) for data in each.payload["getVariableData"]]
        values = ["1,2", "1", "2", "1970-01-01T00:16:40Z", "3", "8", "true"]
        results = [
            {**data, "attributeStatus": "Accepted", "attributeValue": value}
            for data, value in zip(asked, values, strict=True)
        ]
        found = station_facts.facts_of(
            V201, ({"getVariableResult": results[:4]}, {"getVariableResult": results[4:]}), ()
        )
        assert (found.priority, found.active_slot, found.security_profile) == ("1,2", "1", "2")
        assert (found.clock, found.certificates, found.max_certificates) == (1_000.0, 3, 8)
        assert found.allows_downgrade is True

    def test_what_is_not_accepted_is_not_known(self) -> None:
        data = station_facts.questions(V201)[0].payload["getVariableData"][2]
        result = {**data, "attributeStatus": "UnknownVariable", "attributeValue": "3"}
        assert station_facts.facts_of(V201, ({"getVariableResult": [result]}, None), None).security_profile == ""

    @pytest.mark.parametrize(
        ("version", "answer", "count"),
        [
            (V16, {"status": "NotFound"}, 0),
            (V16, {"status": "Accepted", "certificateHashData": [{"hashAlgorithm": "SHA256"}]}, 1),
            (V201, {"status": "Accepted", "certificateHashDataChain": [{"certificateHashData": {}}]}, 1),
            (V201, None, None),
        ],
    )
    def test_roots_and_not_knowing_them(self, version: OCPPVersion, answer: Any, count: int | None) -> None:
        found = station_facts.roots_of(version, answer)
        assert (None if found is None else len(found)) == count

    @given(version=st.sampled_from(OCPPVersion), answer=json)
    def test_any_answer_is_read(self, version: OCPPVersion, answer: Any) -> None:
        roots = station_facts.roots_of(version, answer)
        answers = (answer,) * len(station_facts.questions(version))
        assert isinstance(station_facts.facts_of(version, answers, roots), station_facts.StationFacts)
        assert upgrade_messages.is_taken(answer) in {True, False}
        assert upgrade_messages.is_wrong_slot(answer) in {True, False}
        assert isinstance(organization_of(version, answer), str | None)
