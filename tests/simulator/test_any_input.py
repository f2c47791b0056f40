"""Whatever a CSMS sends, a charge point answers within the rules and goes on."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ocpp.actions import actions
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.simulator.core.events import Received
from tests.simulator.scenario import Scenario, calls

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "Accepted", "1", "SHA256", "Hard"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def least(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """The smallest value that a schema allows."""
    if "$ref" in schema:
        return least(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        wanted = schema.get("required", [])
        return {name: least(schema["properties"][name], definitions) for name in wanted}
    if kind == "array":
        return [least(schema["items"], definitions)] * schema.get("minItems", 0)
    if schema.get("format") == "date-time":
        return "2026-01-01T00:00:00Z"
    return {"string": "x", "integer": max(0, schema.get("minimum", 0)), "number": 0.0, "boolean": False}[kind]


def csms_actions(version: OCPPVersion) -> list[str]:
    return [each.name for each in actions(version) if Origin.CSMS in each.senders and not each.is_send]


@pytest.mark.parametrize("version", list(OCPPVersion))
def test_every_action_in_its_smallest_form_gets_one_answer(version: OCPPVersion) -> None:
    from gateway.config.ocpp_schemas import load_schemas

    names = csms_actions(version)
    assert len(names) > 15
    for name in names:
        s = Scenario(version, 2).up()
        schema = load_schemas(version)[name, "call"]
        s.feed(s.csms(name, **least(schema, schema.get("definitions", {}))))
        answers = [effect.text for effect in s.wire if hasattr(effect, "text") and b'"csms-1"' in effect.text]
        assert len(answers) == 1, (name, s.wire)


@settings(max_examples=150, deadline=None)
@given(version=st.sampled_from(list(OCPPVersion)), data=st.data(), payload=VALUES)
def test_any_payload_of_any_action(version: OCPPVersion, data: st.DataObject, payload: Any) -> None:
    action = data.draw(st.sampled_from(csms_actions(version)))
    s = Scenario(version, 1).up()
    s.asked["x"] = action
    s.feed(Received(now=s.now, text=json.dumps([2, "x", action, payload]).encode()))
    s.wire.clear()


@settings(max_examples=200, deadline=None)
@given(text=st.binary(max_size=40) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_text(text: bytes) -> None:
    s = Scenario("2.1", 1).up()
    s.feed(Received(now=s.now, text=text))
    s.wire.clear()
    s >> s.due("heartbeat") << calls("Heartbeat")
