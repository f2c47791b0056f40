"""Campaigns that commands plan, approve and remove in the registry by themselves: they say so first, so that it is on record."""

from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec
from typing_extensions import override

from gateway.audit.event import printable
from gateway.control.operator_requests import OperatorRequest
from gateway.control.part import NodePart

__all__ = ["ANNOUNCED", "AnnouncedChanges", "CampaignAnnounced", "announced_path"]

ANNOUNCED: Final = ("plan", "approve", "remove")
"""What is done to a campaign without the gateway. Orders to one are on record when the gateway performs them."""


def announced_path(what: str) -> str:
    """Of the private socket, and in the record, for one of `ANNOUNCED`."""
    return f"/campaigns/{what}"


class CampaignAnnounced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of an operator: he is about to do it. `by`: who says so, as the command was told; nobody has verified that."""

    campaign: str
    by: str = ""

    @property
    def subject(self) -> str:
        """For the record."""
        return printable(self.campaign, 64) + (f", by {printable(self.by, 128)}" if self.by else "")


class AnnouncedChanges(NodePart):
    """One per node. The record itself is made for every request that changes something (`OperatorDesk`)."""

    name: ClassVar[str] = "announced_changes"

    @override
    def requests(self) -> Sequence[OperatorRequest]:
        """`ocpp-gateway campaign plan`, `approve` and `remove`."""
        return tuple(OperatorRequest(announced_path(what), CampaignAnnounced, _noted) for what in ANNOUNCED)


async def _noted(_: CampaignAnnounced) -> dict[str, str]:
    return {"refused": ""}
