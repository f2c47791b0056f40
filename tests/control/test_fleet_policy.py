"""Workers hear of the quarantines of the others: those that are there at once, and those that come later when they come."""

from typing import Any, cast

from gateway.control.fleet_policy import FleetPolicy
from gateway.control.link_server import EdgeLink
from gateway.link.messages import BudgetAnswer, BudgetRequest, QuarantineChanged
from gateway.ocpp.vocabulary import ChargePointId

CP, OTHER = ChargePointId("CP-1"), ChargePointId("CP-2")


class Edge:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def send(self, message: Any) -> None:
        self.heard.append(message)


def test_the_other_workers_hear_of_it_and_the_one_that_tells_does_not() -> None:
    first, second, late = Edge(), Edge(), Edge()
    policy = FleetPolicy(cast("dict[int, EdgeLink]", {0: first, 1: second}), lambda: 2, print)
    for message in (QuarantineChanged(CP, "p/r"), QuarantineChanged(OTHER, "p/r"), QuarantineChanged(CP, "")):
        policy.heard(cast("EdgeLink", first), message)
    assert first.heard == []
    assert second.heard == [
        QuarantineChanged(CP, "p/r"),
        QuarantineChanged(OTHER, "p/r"),
        QuarantineChanged(CP, ""),
    ]
    assert policy.status() == {"count": 1, "charge_points": {OTHER: "p/r"}}
    policy.greet(cast("EdgeLink", late))
    assert late.heard == [QuarantineChanged(OTHER, "p/r")]


def test_budgets_are_answered() -> None:
    edge = Edge()
    FleetPolicy({}, lambda: 2, print).heard(cast("EdgeLink", edge), BudgetRequest(7, ()))
    assert edge.heard == [BudgetAnswer(7, {})]
