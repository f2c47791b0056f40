"""What a campaign has to say of each single charge point: how it ended and why, who is stuck, who has to be visited. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import Campaign, Member
from gateway.provisioning.campaign_states import CampaignState, MemberState

__all__ = ["SiteVisit", "explained", "site_visits", "stuck"]

_LONG_S: Final = 600.0
"""In a large campaign it takes a while until a member has its turn, and after a start of the gateway nobody is late."""
_DAY_S: Final = 86_400.0
_MEANS: Final[dict[MemberState, str]] = {
    MemberState.ELIGIBLE: "nothing was changed; its wave has not come, or it is not connected",
    MemberState.PREPARING: "nothing was changed; it is being prepared",
    MemberState.PREPARED: "nothing was switched; it waits for the maintenance window",
    MemberState.WINDOW: "nothing was switched; it waits for its turn, or until it is connected and idle",
    MemberState.SWITCH: "it is being told",
    MemberState.WAITING: "it was told, and has not proven itself yet",
    MemberState.VERIFIED: "it was seen with the new",
    MemberState.SOAK: "it was seen with the new, and has to stay with it for a while",
    MemberState.COMMITTED: "it is on the new, and has stayed with it",
    MemberState.FELL_BACK: "it can be reached, on what it had before",
    MemberState.LOST: "it was told, and is not connected any more",
    MemberState.INELIGIBLE: "nothing was changed",
    MemberState.NOT_REACHED: "nothing was changed",
    MemberState.WITHDRAWN: "nothing was switched",
}


class SiteVisit(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody needs to know who drives to a lost charge point."""

    charge_point_id: ChargePointId
    serial_number: str
    vendor: str
    model: str
    firmware: str
    group: str
    notes: str
    told_at: float
    last_seen_at: float
    last_address: str
    came_back: bool
    """It was seen after it was given up: perhaps nobody has to drive."""
    what: str
    why: str


def explained(member: Member) -> str:
    """One sentence: what has become of it, and why."""
    means = _MEANS[member.state]
    return f"{means}: {member.detail}" if member.detail else means


def stuck(campaign: Campaign, members: Iterable[Member], now: float) -> dict[ChargePointId, str]:
    """Those that do not get on, and what each of them waits for."""
    found = {}
    for member in members:
        why = _stuck(campaign, member, now)
        if why:
            found[member.charge_point_id] = why
    return found


def _stuck(campaign: Campaign, member: Member, now: float) -> str:
    since = now - member.changed_at
    if member.state.is_before and campaign.strata[member.stratum].halted:
        return f"its stratum has halted: {campaign.strata[member.stratum].halted}"
    if member.state.is_before and campaign.state is CampaignState.PAUSED:
        return "the campaign is paused"
    if campaign.state is CampaignState.PLANNED:
        return ""
    match member.state:
        case MemberState.ELIGIBLE if member.attempts:
            return f"tried {member.attempts} times: {member.detail}"
        case MemberState.PREPARING | MemberState.SWITCH if since > _LONG_S:
            return "there is no answer: is the gateway running?"
        case MemberState.WINDOW if since > _LONG_S:
            return member.detail or "it is not connected, or others are before it"
        case MemberState.PREPARED if since > 7 * _DAY_S:
            return "the maintenance window has not opened for a week"
        case MemberState.WAITING if now > member.due_at + _LONG_S:
            return "it is late: is the gateway running?"
        case MemberState.SOAK if now > member.due_at + _LONG_S:
            return "its time is over, and it is not connected"
        case _:
            return ""


def site_visits(
    campaign: Campaign, members: Iterable[Member], records: Mapping[ChargePointId, ChargePointRecord]
) -> list[SiteVisit]:
    """The lost ones, by group and identity, so that one tour does one site."""
    found = [
        _visit(campaign, member, records.get(member.charge_point_id))
        for member in members
        if member.state is MemberState.LOST
    ]
    return sorted(found, key=lambda each: (each.group, each.charge_point_id))


def _visit(campaign: Campaign, member: Member, record: ChargePointRecord | None) -> SiteVisit:
    stratum = campaign.strata[member.stratum].stratum
    return SiteVisit(
        charge_point_id=member.charge_point_id,
        serial_number=record.serial_number if record is not None else "",
        vendor=stratum.vendor,
        model=stratum.model,
        firmware=stratum.firmware,
        group=record.group if record is not None else "",
        notes=record.notes if record is not None else "it is not registered any more",
        told_at=member.switched_at,
        last_seen_at=record.last_seen_at if record is not None else 0.0,
        last_address=record.last_address if record is not None else "",
        came_back=record is not None and record.last_seen_at > member.changed_at,
        what=campaign.kind,
        why=member.detail,
    )
