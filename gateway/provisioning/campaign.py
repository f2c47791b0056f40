"""What a campaign is made of: its rows, what happens to it, and what it wants done. `campaign_run` decides. Pure."""

from collections.abc import Container, Mapping
from enum import Enum
from typing import Literal

import msgspec

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign_plan import Plan, Stratum
from gateway.provisioning.campaign_states import CampaignState, MemberState

__all__ = [
    "Answer",
    "Campaign",
    "CampaignEffect",
    "CampaignEvent",
    "Member",
    "Note",
    "Observation",
    "Order",
    "OrderRefused",
    "Ordered",
    "Prepare",
    "PrepareDone",
    "Progress",
    "Said",
    "Seen",
    "StoreRows",
    "Switch",
    "SwitchDone",
    "Tick",
    "obeyed",
]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stratum is."""

    stratum: Stratum
    wave: int = 0
    halted: str = ""
    """Why it has halted; empty: it has not."""
    offline_share: float = -1.0
    """Of its charge points, when it was measured first; below 0: not yet."""
    forgiven_ended: int = 0
    forgiven_failed: int = 0
    forgiven_lost: int = 0
    """What had happened in this wave, or with `lost` in all, when somebody last let it go on."""
    forgiven_at: float = 0.0
    """When that was."""
    repeated: int = 0
    """How many of this wave had begun then: as many others as the wave has follow, before it counts as done."""


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """The row of a campaign."""

    name: str
    kind: str
    """What is done: `certificate`, say."""
    state: CampaignState
    plan: Plan
    strata: tuple[Progress, ...]
    created_at: float
    changed_at: float
    planned_by: str
    approved_by: str = ""
    approved_at: float = 0.0
    started_at: float = 0.0
    number: int = 0
    """Of the row; 0 until it is stored."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """The row of a charge point in a campaign."""

    charge_point_id: ChargePointId
    stratum: int
    """Index in `Campaign.strata`."""
    rank: int
    """Its place in line."""
    state: MemberState
    changed_at: float
    wave: int = -1
    """In which wave it began; -1: in none."""
    attempts: int = 0
    due_at: float = 0.0
    """Not before this time is it tried again; of one that has begun: when it is late."""
    switched_at: float = 0.0
    verified_at: float = 0.0
    mark: str = ""
    """What the operation has to remember about it, from before the switch."""
    detail: str = ""
    """For people: why it is as it is."""


# -- what the operation says


class Said(Enum):
    """How an attempt to prepare or to switch has ended."""

    DONE = "done"
    """Also if it had been done before: asking twice is harmless."""
    NOT_NOW = "not-now"
    """Nothing was changed; it may work later."""
    REFUSED = "refused"
    """Nothing was changed, and nothing will be."""
    UNKNOWN = "unknown"
    """Whether the charge point was told is not known."""


class Answer(msgspec.Struct, frozen=True):
    """Of `prepare` or `switch`."""

    said: Said
    why: str = ""
    mark: str = ""
    """Of `prepare`: what to remember."""


class Seen(Enum):
    """What is known about one that was told."""

    NOTHING = "nothing"
    """It was not told, after all: everything is as before."""
    UNDER_WAY = "under-way"
    PROVEN = "proven"
    """It was seen with the new."""
    BACK = "back"
    """It is on the old, and will stay there."""


class Observation(msgspec.Struct, frozen=True):
    """Of `observe`."""

    seen: Seen
    why: str = ""
    waits_until: float = 0.0
    """It cannot go on before its window opens then, and has that much longer to prove itself."""


# -- what happens


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator wants."""

    what: Literal["start", "pause", "resume", "abort"]
    by: str
    stratum: int = -1
    """To resume: which one has been looked at; -1: all of them."""


class OrderRefused(Exception):  # noqa: N818  what becomes of the order
    """An order that does not fit the state."""


class Ordered(msgspec.Struct, frozen=True):
    """An operator has said so."""

    now: float
    order: Order


class Tick(msgspec.Struct, frozen=True):
    """Time has passed. `observations`: of those that `CampaignRun.watched` names."""

    now: float
    in_window: bool
    connected: Container[ChargePointId]
    observations: Mapping[ChargePointId, Observation]


class PrepareDone(msgspec.Struct, frozen=True):
    """`Prepare` has ended."""

    now: float
    charge_point_id: ChargePointId
    answer: Answer


class SwitchDone(msgspec.Struct, frozen=True):
    """`Switch` has ended."""

    now: float
    charge_point_id: ChargePointId
    answer: Answer


CampaignEvent = Ordered | Tick | PrepareDone | SwitchDone

# -- what is to be done about it


class StoreRows(msgspec.Struct, frozen=True):
    """Always the first effect if anything has changed: the others rest on it."""

    campaign: Campaign
    members: tuple[Member, ...]


class Prepare(msgspec.Struct, frozen=True):
    """Bring the charge point to where it can be switched."""

    member: Member


class Switch(msgspec.Struct, frozen=True):
    """Tell the charge point."""

    member: Member


class Note(msgspec.Struct, frozen=True):
    """Put it on record."""

    event: str
    severity: str
    decision: str
    detail: str
    charge_point_id: str = ""


CampaignEffect = StoreRows | Prepare | Switch | Note

_MAY: dict[str, frozenset[CampaignState]] = {
    "start": frozenset({CampaignState.PLANNED}),
    "pause": frozenset({CampaignState.RUNNING}),
    "resume": frozenset({CampaignState.RUNNING, CampaignState.PAUSED}),
    "abort": frozenset({CampaignState.PLANNED, CampaignState.RUNNING, CampaignState.PAUSED}),
}
_TO: dict[str, CampaignState] = {
    "start": CampaignState.RUNNING,
    "pause": CampaignState.PAUSED,
    "resume": CampaignState.RUNNING,
    "abort": CampaignState.ABORTING,
}


def obeyed(campaign: Campaign, order: Order, now: float) -> Campaign:
    """The campaign's row after an order. Raises OrderRefused with what stands in the way."""
    if campaign.state not in _MAY[order.what]:
        raise OrderRefused(f"it is {campaign.state.value}, so it cannot {order.what}")
    if order.what == "start" and campaign.plan.needs_approval and not campaign.approved_by:
        raise OrderRefused("it cannot be undone, so a second person has to approve it first")
    if order.stratum >= len(campaign.strata):
        raise OrderRefused(f"it has no stratum {order.stratum}")
    if order.what == "resume" and order.stratum >= 0 and not campaign.strata[order.stratum].halted:
        raise OrderRefused(f"stratum {order.stratum} has not halted")
    if (
        order.what == "resume"
        and campaign.state is CampaignState.RUNNING
        and not any(x.halted for x in campaign.strata)
    ):
        raise OrderRefused("nothing of it has halted")
    started_at = now if order.what == "start" else campaign.started_at
    return msgspec.structs.replace(campaign, state=_TO[order.what], started_at=started_at, changed_at=now)
