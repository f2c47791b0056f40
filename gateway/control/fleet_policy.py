"""What rules know of the whole node: budgets that every edge worker draws on, and who is in quarantine.

A charge point that reconnects comes to any worker. Each tells of those that a rule has put into quarantine there, and hears
of those of the others, also one that has just started.
"""

import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from typing_extensions import override

from gateway.control.link_server import EdgeLink
from gateway.control.part import NodePart
from gateway.control.policy_health import PolicyHealth
from gateway.control.remembered_counters import RememberedCounters
from gateway.link.messages import AdmitGranted, AdmitRefused, BudgetAnswer, BudgetRequest, QuarantineChanged
from gateway.link.policy_counts import CountersKept, PolicyTallies
from gateway.ocpp.vocabulary import ChargePointId
from gateway.policy.budgets import FleetBudgets

__all__ = ["FleetPolicy"]

_MOST_SHOWN: Final = 100


class FleetPolicy(NodePart):
    """One per node. `links`: by slot, as they are now; `online`: how many charge points are connected."""

    name: ClassVar[str] = "quarantine"

    def __init__(self, links: Mapping[int, EdgeLink], online: Callable[[], int], report: Callable[..., None]) -> None:
        self._links = links
        self._online = online
        self._budgets = FleetBudgets()
        self.health = PolicyHealth(report, self._budgets.take_overflows)
        self._quarantined: dict[ChargePointId, str] = {}
        """The rule, by charge point."""
        self._remembered = RememberedCounters()

    def heard(self, link: EdgeLink, message: BudgetRequest | QuarantineChanged | PolicyTallies | CountersKept) -> None:
        """Answer, or pass on to the other workers, or add up, or keep."""
        if isinstance(message, PolicyTallies):
            self.health.heard(message)
            return
        if isinstance(message, CountersKept):
            self._remembered.keep(link, message)
            return
        if isinstance(message, BudgetRequest):
            answers = self._budgets.answers(message.asks, self._online(), time.time())
            link.send(BudgetAnswer(message.request_id, answers))
            return
        if message.rule:
            self._quarantined[message.charge_point_id] = message.rule
        else:
            self._quarantined.pop(message.charge_point_id, None)
        for other in self._links.values():
            if other is not link:
                other.send(message)

    def bringing(self, link: EdgeLink) -> Callable[[AdmitGranted | AdmitRefused], None]:
        """What answers a request of this worker for admission: it hears what another one knows of the charge point before."""

        def answer(message: AdmitGranted | AdmitRefused) -> None:
            if isinstance(message, AdmitGranted):
                self._remembered.bring(link, message.admission.charge_point_id, time.time())
            link.send(message)

        return answer

    @override
    def status(self) -> dict[str, Any]:
        first = dict(itertools.islice(self._quarantined.items(), _MOST_SHOWN))
        return {"count": len(self._quarantined), "charge_points": first}

    def greet(self, link: EdgeLink) -> None:
        """A worker that knows nothing yet, or not all that the others have told meanwhile."""
        for charge_point_id, rule in self._quarantined.items():
            link.send(QuarantineChanged(charge_point_id, rule))
