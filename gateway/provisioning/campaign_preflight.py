"""Before a campaign: what can be done to charge points, who is to be part of it, and what stands in whose way. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from gateway.identity.record import ChargePointRecord
from gateway.provisioning.campaign import Campaign, Member, Progress
from gateway.provisioning.campaign_plan import Plan, Stratum
from gateway.provisioning.campaign_states import CampaignState, MemberState
from gateway.provisioning.capability import obstacles as known_obstacles
from gateway.provisioning.known_firmware import FirmwareRule

__all__ = ["KINDS", "Candidate", "Kind", "obstacles", "planned", "stratum_of"]


class Kind(NamedTuple):
    """Something that a campaign can do."""

    does: str
    way_back: str
    """What becomes of a charge point that cannot use the new, and whether it can be undone afterwards."""
    is_reversible: bool


_TLS: Final = 2
KINDS: Final[Mapping[str, Kind]] = {
    "certificate": Kind(
        "gives every charge point a new certificate",
        "the certificate before stays valid: a charge point that cannot use the new one goes back to it by itself",
        is_reversible=True,
    ),
    "password": Kind(
        "gives every charge point another password",
        "none once it has taken the new one, for the old one is dead then; it keeps the old one if it refuses",
        is_reversible=False,
    ),
    "security-profile": Kind(
        "moves every charge point to a higher security profile",
        "to the old profile, which stays accepted until it has registered on the new one; then none: nothing lower is accepted",
        is_reversible=False,
    ),
    "root": Kind(
        "installs a new root of the CSMS beside the old one",
        "nothing is taken away: the old root stays, and the new one can be deleted",
        is_reversible=True,
    ),
    "old-root": Kind(
        "deletes the old root of the CSMS where a charge point has connected under the new one",
        "none once the old root is deleted: whoever cannot verify the new chain then is lost",
        is_reversible=False,
    ),
}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A charge point that was chosen, and what stands in its way."""

    record: ChargePointRecord
    obstacles: tuple[str, ...]


def stratum_of(record: ChargePointRecord) -> Stratum:
    """With whom it should behave alike."""
    return Stratum(record.vendor, record.model, record.firmware)


def obstacles(
    kind: str,
    record: ChargePointRecord,
    facts: Mapping[str, Mapping[str, int]],
    *,
    gives_certificates: bool,
    other: str,
    to_profile: int = 0,
    rules: Sequence[FirmwareRule] = (),
) -> list[str]:
    """What stands in the way of this charge point, each with what to do about it; empty if nothing does.

    `facts`: what is known of its kind (`capability.tallied`). `gives_certificates`: the gateway does, for its CSMS.
    `other`: the campaign in which it is already. `to_profile`: to which it is to be raised.
    `rules`: which firmware is good enough for that.
    """
    found = []
    if not record.enabled:
        found.append("it is disabled: charge-point enable")
    if not any(stratum_of(record)):
        found.append("it has never been connected, so nothing is known of its kind")
    if other:
        found.append(f"it is in the campaign {other}")
    profile = int(record.security_profile)
    if kind == "certificate":
        found += _without_certificate(record, gives_certificates=gives_certificates)
    if kind == "certificate" and profile < _TLS:
        found.append("it is on security profile 1, over which no certificate is given")
    if kind == "password" and profile > _TLS:
        found.append("it is on security profile 3, on which it proves itself with its certificate")
    if kind == "old-root" and profile < _TLS:
        found.append("it is on security profile 1, on which it verifies nobody")
    if kind == "security-profile" and profile >= to_profile:
        found.append(f"it is on security profile {profile} already")
    if kind == "security-profile" and to_profile > _TLS:
        found += _without_certificate(record, gives_certificates=gives_certificates)
    return found + known_obstacles(kind, facts, stratum_of(record), rules)


def _without_certificate(record: ChargePointRecord, *, gives_certificates: bool) -> list[str]:
    """Why it cannot get one."""
    found = []
    if not gives_certificates:
        found.append(
            'the gateway does not give it its certificates: certificates = "gateway" of its CSMS, and [pki] ca'
        )
    if not record.serial_number:
        found.append("the registry has no serial number for it: charge-point set ID --serial-number")
    return found


def planned(
    name: str, kind: str, plan: Plan, candidates: Iterable[Candidate], planned_by: str, now: float
) -> tuple[Campaign, list[Member]]:
    """The rows of a campaign in which nothing has happened yet.

    Within a stratum the named ones come first, the others in an order that has nothing to do with their identities: the
    canary and its neighbours on the same site are not the same wave.
    """
    named = {identity: place for place, identity in enumerate(plan.first)}
    ordered = sorted(
        candidates,
        key=lambda each: (named.get(each.record.charge_point_id, len(named)), _shuffled(name, each.record)),
    )
    strata: dict[Stratum, int] = {}
    for stratum in sorted({stratum_of(each.record) for each in ordered}):
        strata[stratum] = len(strata)
    members = [
        Member(
            charge_point_id=each.record.charge_point_id,
            stratum=strata[stratum_of(each.record)],
            rank=rank,
            state=MemberState.INELIGIBLE if each.obstacles else MemberState.ELIGIBLE,
            changed_at=now,
            detail="; ".join(each.obstacles),
        )
        for rank, each in enumerate(ordered)
    ]
    campaign = Campaign(
        name=name,
        kind=kind,
        state=CampaignState.PLANNED,
        plan=plan,
        strata=tuple(Progress(stratum=stratum) for stratum in strata),
        created_at=now,
        changed_at=now,
        planned_by=planned_by,
    )
    return campaign, members


def _shuffled(name: str, record: ChargePointRecord) -> bytes:
    return hashlib.sha256(f"{name}\0{record.charge_point_id}".encode("utf-8", "surrogatepass")).digest()
