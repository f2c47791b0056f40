"""What a campaign does to a charge point, as the campaign sees it: three questions, whatever is done.

All of it may be asked again after a crash: what is under way already is done, and never done twice.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import Answer, Member, Observation
from gateway.provisioning.campaign_plan import Plan

__all__ = ["Operation"]


class Operation(Protocol):
    """One kind of campaign."""

    async def prepare(self, member: Member, plan: Plan) -> Answer:
        """Bring it to where it can be switched, without harm if it never is. `Answer.mark` is what to remember."""

    async def switch(self, member: Member, plan: Plan) -> Answer:
        """Tell it. What is told is on the disk of whoever performs it before it is told."""

    async def observe(self, members: Sequence[Member], plan: Plan) -> Mapping[ChargePointId, Observation]:
        """What is known by now of those that were told, perhaps. Whoever is left out is under way."""
