"""What charge points of one vendor, model and firmware really did, as counts: learnt, shown, given away without names.

A fact is a name (`call:TriggerMessage`) and a value (`Accepted`), and how often it was seen. Nothing in it says on which
charge point. Pure; `gateway.store.capabilities` keeps the counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from gateway.audit.event import printable
from gateway.identity.record import ChargePointRecord
from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.campaign_states import MemberState
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.known_firmware import FirmwareRule, firmware_obstacle
from gateway.provisioning.states import State

__all__ = [
    "MAX_NAME_CHARS",
    "MAX_VALUE_CHARS",
    "Count",
    "Evidence",
    "Fact",
    "call_fact",
    "campaign_fact",
    "counted",
    "enrolment_facts",
    "obstacles",
    "tallied",
    "took",
]

Evidence = Literal["here", "imported"]
"""Seen by this gateway, or by somebody whose file was imported."""
MAX_NAME_CHARS: Final = 64
MAX_VALUE_CHARS: Final = 48
_UNABLE: Final = frozenset({"error NotImplemented", "error NotSupported", "NotImplemented", "NotSupported"})
_PROFILES: Final = ("call:ChangeConfiguration SecurityProfile", "call:SetNetworkProfile")
_ROOTS: Final = (
    "call:InstallCertificate CentralSystemRootCertificate",
    "call:InstallCertificate CSMSRootCertificate",
)
_PASSWORDS: Final = (
    "call:ChangeConfiguration AuthorizationKey",
    "call:SetVariables SecurityCtrlr.BasicAuthPassword",
)
_REFUSES: Final = _UNABLE | {"Rejected", "UnknownComponent", "UnknownVariable", "NotSupportedAttributeType"}
_ENOUGH: Final = 3
"""So often something must have been seen, and nothing else, before it stands in the way of a campaign."""
_TIMES: Final = (10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0)
_TRIGGERS: Final = (
    "call:ExtendedTriggerMessage SignChargePointCertificate",
    "call:TriggerMessage SignChargingStationCertificate",
)


class Fact(NamedTuple):
    """One thing that was seen."""

    name: str
    value: str


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How often a fact was seen on charge points of one kind."""

    stratum: Stratum
    fact: str
    value: str
    count: int
    first_at: float
    last_at: float
    evidence: Evidence = "here"


def call_fact(action: str, detail: str, outcome: str, status: str, error: str) -> Fact | None:
    """Of a call of the gateway's own: what came of it. None where nothing is learnt (it was not sent, say).

    `detail`: what of the call makes a difference (`requestedMessage` of a trigger).
    """
    name = f"call:{action} {detail}".rstrip()
    if outcome == "result":
        return _fact(name, status or "result")
    if outcome == "error":
        return _fact(name, f"error {error}")
    return _fact(name, "no answer") if outcome == "timeout" else None


def counted(records: Iterable[ChargePointRecord]) -> list[Count]:
    """What the registry knows of its charge points, by kind: how they read a password, whether they answer pings."""
    counts: dict[tuple[Stratum, Fact], int] = {}
    seen_at: dict[Stratum, float] = {}
    for record in records:
        stratum = Stratum(record.vendor, record.model, record.firmware)
        if any(stratum):
            seen_at[stratum] = max(seen_at.get(stratum, 0.0), record.last_seen_at)
            for fact in _record_facts(record):
                counts[stratum, fact] = counts.get((stratum, fact), 0) + 1
    return [
        Count(
            stratum=stratum,
            fact=fact.name,
            value=fact.value,
            count=count,
            first_at=seen_at[stratum],
            last_at=seen_at[stratum],
        )
        for (stratum, fact), count in counts.items()
    ]


def _record_facts(record: ChargePointRecord) -> list[Fact]:
    found = [_fact("answers-pings", "yes")] if record.answers_pings else []
    if record.password_reading:
        found.append(_fact("authorization-key", record.password_reading))
    return found


def enrolment_facts(before: Enrolment | None, after: Enrolment) -> list[Fact]:
    """What the new state of an enrolment says about the kind of charge point."""
    if before is None or before.number != after.number or before.state is after.state:
        return []
    match before.state, after.state:
        case State.TRIGGER_SENT, State.CSR_RECEIVED:
            return [
                _fact("certificate-trigger", "asks"),
                _fact("certificate-request-after", took(after.changed_at - before.changed_at)),
            ]
        case State.TRIGGER_SENT, State.EXPIRED:
            return [_fact("certificate-trigger", "does not ask")]
        case State.DELIVERY_SENT, State.STATION_ACCEPTED:
            return [_fact("certificate", "accepted")]
        case State.DELIVERY_SENT, State.REJECTED_BY_STATION:
            return [_fact("certificate", "rejected")]
        case State.STATION_ACCEPTED, State.DISCARDED:
            return [_fact("certificate", "discarded")]
        case State.STATION_ACCEPTED | State.DELIVERY_SENT, State.SEEN_IN_HANDSHAKE:
            return [_fact("certificate-in-use-after", took(after.changed_at - before.changed_at))]
        case _:
            return []


def campaign_fact(kind: str, state: MemberState) -> Fact | None:
    """How a campaign ended for one that was told."""
    if state in {MemberState.COMMITTED, MemberState.FELL_BACK, MemberState.LOST}:
        return _fact(f"campaign:{kind}", state.value)
    return None


def took(seconds: float) -> str:
    """A time in the coarse steps that make a profile: `<=30s`."""
    for limit in _TIMES:
        if seconds <= limit:
            return f"<={limit:.0f}s"
    return f">{_TIMES[-1]:.0f}s"


def tallied(counts: Iterable[Count]) -> dict[str, dict[str, int]]:
    """Fact, value, how often: of whatever evidence."""
    found: dict[str, dict[str, int]] = {}
    for each in counts:
        values = found.setdefault(each.fact, {})
        values[each.value] = values.get(each.value, 0) + each.count
    return found


def obstacles(
    kind: str,
    facts: Mapping[str, Mapping[str, int]],
    stratum: Stratum | None = None,
    rules: Sequence[FirmwareRule] = (),
) -> list[str]:
    """What is known to stand in the way of a kind of campaign on such charge points, in words; empty if nothing is.

    `rules`: which firmware is good enough, as an operator says; they are about security profiles.
    """
    found = []
    if kind == "security-profile" and stratum is not None and (why := firmware_obstacle(rules, stratum)):
        found.append(why)
    ended = facts.get(f"campaign:{kind}", {})
    if ended.get("lost", 0) >= 1 and not ended.get("committed", 0):
        found.append(f"{ended['lost']} of this kind were lost in such a campaign, and none has come through")
    elif ended.get("fell-back", 0) >= _ENOUGH and not ended.get("committed", 0):
        found.append(f"{ended['fell-back']} of this kind fell back in such a campaign, and none has come through")
    if kind == "security-profile":
        found += [f"it has refused every {_asked(name)}" for name in _PROFILES if _never(facts.get(name, {}), _REFUSES)]
    if kind == "root":
        found += [f"it has refused every {_asked(name)}" for name in _ROOTS if _never(facts.get(name, {}), _REFUSES)]
        if _never(facts.get("call:GetInstalledCertificateIds", {}), _UNABLE):
            found.append("it does not say which roots it has")
    if kind == "certificate":
        found += [
            f"it does not understand {_asked(name)}" for name in _TRIGGERS if _never(facts.get(name, {}), _UNABLE)
        ]
        if _never(facts.get("certificate-trigger", {}), {"does not ask"}):
            found.append("it does not ask for a certificate when it is told to")
        if _never(facts.get("certificate", {}), {"rejected"}):
            found.append("it has rejected every certificate")
    if kind == "password" and any(_never(facts.get(name, {}), _REFUSES) for name in _PASSWORDS):
        found.append("it has refused every new password")
    return found


def _never(values: Mapping[str, int], bad: Iterable[str]) -> bool:
    """True if nothing but `bad` was seen, and often enough."""
    against = sum(values.get(each, 0) for each in bad)
    return against >= _ENOUGH and against == sum(values.values())


def _asked(name: str) -> str:
    return name.removeprefix("call:").replace(" ", " of ")


def _fact(name: str, value: str) -> Fact:
    return Fact(printable(name, MAX_NAME_CHARS), printable(value, MAX_VALUE_CHARS))
