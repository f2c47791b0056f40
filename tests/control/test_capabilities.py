"""What is learnt from the gateway's own calls: what was set, never to what."""

from typing import Any

import pytest

from gateway.control.capabilities import Capabilities
from gateway.control.own_calls import CallAnswer
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.capability import Fact

PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
OTHER = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "OrganizationName"}}


class Learning(Capabilities):
    def __init__(self) -> None:
        nothing: Any = None
        super().__init__(nothing)
        self.facts: list[Fact] = []

    def saw(self, who: Stratum | ChargePointId, fact: Fact) -> None:
        del who
        self.facts.append(fact)


def learnt(asked: Any, results: Any) -> list[Fact]:
    learning = Learning()
    answer = CallAnswer(
        charge_point_id="CP-1",
        session="s-1",
        request_id="1",
        action="SetVariables",
        outcome="result",
        payload={"setVariableResult": results},
    )
    learning.answered("CP-1", {"setVariableData": asked}, answer)
    return learning.facts


def test_one_variable_and_its_status() -> None:
    asked = [PASSWORD | {"attributeValue": "s3cret"}]
    found = learnt(asked, [PASSWORD | {"attributeStatus": "UnknownVariable"}])
    assert found == [Fact("call:SetVariables SecurityCtrlr.BasicAuthPassword", "UnknownVariable")]


@pytest.mark.parametrize(
    ("asked", "results"),
    [
        ([PASSWORD, OTHER], [PASSWORD | {"attributeStatus": "Accepted"}, OTHER | {"attributeStatus": "Rejected"}]),
        ([], []),
        (None, None),
        ([5], [5]),
        ([{}], [{"attributeStatus": 7}]),
    ],
)
def test_of_several_or_of_nonsense_only_that_there_was_a_result(asked: Any, results: Any) -> None:
    assert learnt(asked, results) == [Fact("call:SetVariables", "result")]
