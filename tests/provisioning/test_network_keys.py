"""Network profiles in keys of OCPP 1.6: what is understood, what is left alone, and that the URL in use is never overwritten."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.network_keys import NetworkKeys, keys_question, network_keys_of

OLD, NEW, OTHER = "ws://old/ocpp", "wss://new/ocpp", "wss://other/ocpp"
ONE, TWO = "NetworkConnectionProfile1", "NetworkConnectionProfile2"


def answer(one: Any = OLD, two: Any = "", order: Any = f"{ONE},{TWO}", *, readonly: bool = False) -> dict[str, Any]:
    values = {ONE: one, TWO: two, "NetworkConfigurationPriority": order}
    return {"configurationKey": [{"key": key, "readonly": readonly, "value": value} for key, value in values.items()]}


@pytest.mark.parametrize(
    ("said", "slot", "priority", "before"),
    [
        (answer(), TWO, f"{TWO},{ONE}", f"{ONE},{TWO}"),
        (answer(OTHER, OLD, f"{TWO},{ONE}"), ONE, f"{ONE},{TWO}", f"{TWO},{ONE}"),
        (answer(order=ONE), TWO, f"{TWO},{ONE}", f"{ONE},{TWO}"),
        (answer(order=f" {ONE.lower()} , {TWO.upper()}"), TWO, f"{TWO},{ONE}", f"{ONE},{TWO}"),
        (answer(OLD, NEW + "/", f"{TWO},{ONE}"), TWO, f"{TWO},{ONE}", f"{ONE},{TWO}"),  # told before, by one that died
        (answer(OLD, OTHER), TWO, f"{TWO},{ONE}", f"{ONE},{TWO}"),
    ],
)
def test_what_is_written(said: dict[str, Any], slot: str, priority: str, before: str) -> None:
    keys = network_keys_of(said)
    assert keys is not None
    plan = keys.plan(NEW)
    assert plan is not None
    assert (plan.slot, plan.url, plan.priority, plan.before) == (slot, NEW, priority, before)
    gate = schema_gate(OCPPVersion.V1_6)
    for message in (*plan.messages, plan.way_back, keys_question()):
        assert gate.check(message.action, "call", message.payload) is None


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        {"unknownKey": [ONE]},
        answer(readonly=True),
        answer(one=""),
        answer(one='{"ocppCsmsUrl": "ws://old"}'),
        answer(two="none"),
        answer(order="1,2"),
        answer(order=""),
        answer(order=f"{ONE},{ONE}"),
        answer(order=f"{ONE},NetworkConnectionProfile3"),
        answer(two=5),
    ],
)
def test_what_is_left_alone(said: Any) -> None:
    assert network_keys_of(said) is None


def test_a_url_that_does_not_fit_is_not_written() -> None:
    keys = NetworkKeys((OLD, ""), (0, 1))
    assert keys.plan("") is keys.plan("https://new") is keys.plan("wss://" + "x" * 500) is None
    assert keys.plan("wss://" + "x" * 494) is not None


urls = st.sampled_from([OLD, OTHER, NEW, ""])


@given(urls, urls, st.sampled_from([(0,), (1,), (0, 1), (1, 0)]))
def test_the_slot_in_use_is_never_overwritten_with_another_url(one: str, two: str, order: tuple[int, ...]) -> None:
    keys = NetworkKeys((one, two), order)
    plan = keys.plan(NEW)
    assert plan is not None
    in_use = (ONE, TWO)[order[0]]
    assert plan.slot != in_use or keys.urls[order[0]] == NEW
    assert set(plan.priority.split(",")) == {ONE, TWO}
    assert plan.priority.split(",")[0] == plan.slot
