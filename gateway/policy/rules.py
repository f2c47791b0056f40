"""Rules, exceptions and packs as checked values. Made by `gateway.policy.reading`, compiled by `gateway.policy.snapshot`."""

from enum import IntEnum, StrEnum
from typing import Literal

import msgspec

from gateway.audit.event import Severity
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile
from gateway.policy.requirements import Requirement

__all__ = [
    "Counter",
    "Effect",
    "Exemption",
    "Include",
    "Match",
    "Mode",
    "Pack",
    "Parameter",
    "Phase",
    "Response",
    "Rollout",
    "Rule",
    "Throttle",
]

Mode = Literal["off", "monitor", "enforce"]
ParameterType = Literal[
    "string", "int", "number", "bool", "duration", "list<string>", "list<name>", "list<int>", "list<number>"
]
ParameterValue = str | int | float | bool | tuple[str | int | float, ...]


class Effect(IntEnum):
    """What a matching rule asks for; the number is its rank, and the highest enforced one wins."""

    ALERT = 1
    ALLOW = 2
    ANSWER = 3
    THROTTLE = 4
    DROP = 5
    DENY = 6
    QUARANTINE = 7
    DISCONNECT = 8

    @property
    def restrictive(self) -> bool:
        """True if the message does not pass unchanged: such a rule matches when it cannot be evaluated."""
        return self >= Effect.ANSWER


class Phase(StrEnum):
    """Which kind of frame a rule looks at."""

    CALL = "call"
    RESULT = "result"
    ERROR = "error"
    SEND = "send"


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """The static part of a rule: where it is looked up. Empty means no restriction."""

    phase: Phase = Phase.CALL
    origins: frozenset[Origin] = frozenset({Origin.CHARGE_POINT, Origin.CSMS})
    versions: tuple[OCPPVersion, ...] = tuple(OCPPVersion)
    actions: tuple[str, ...] = ()
    """Actions and classes as written, for calls and SENDs; ``*`` is all. For results: of which calls."""
    identities: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    security_profiles: tuple[SecurityProfile, ...] = ()
    states: tuple[Literal["none", "pending", "rejected", "accepted"], ...] = ()


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that a rule draws on only when everything else about it holds; above the limit it matches.

    kind ``rate``: events per key. ``distinct``: different values of `of` per key. ``sum``: `of` added up per key.
    """

    kind: Literal["rate", "distinct", "sum"]
    limit: float
    window_s: float
    limit_param: str = ""
    """Parameter that the limit comes from instead."""
    window_param: str = ""
    """Parameter that the window comes from instead."""
    attempts: bool = False
    """True: a message that something else refuses counts as well (floods); False: only what would pass."""
    key: tuple[str, ...] = ()
    """Expressions that make the key; empty is one budget for the rule."""
    of: str = ""
    fleet: bool = False
    """True: counted over all charge points and edge workers of the node, in control."""
    share_of_online: float = 0.0
    """Fraction of the connected charge points that the limit grows to, where that is more."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender of a refused Call gets."""

    status: str = ""
    """A status of the action's own result, e.g. Rejected; empty: CALLERROR."""
    callerror: ErrorMeaning = ErrorMeaning.SECURITY


class Throttle(msgspec.Struct, frozen=True, kw_only=True):
    """After a match: these actions of the session are limited for a while."""

    actions: tuple[str, ...]
    limit: int
    window_s: float
    for_s: float
    response: Response


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the fleet, chosen by group or by a hash of the identity."""

    groups: tuple[str, ...] = ()
    percent: float = 100.0


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `id` is stable: area/name."""

    id: str
    title: str
    level: int
    severity: Severity
    mode: Mode
    match: Match
    effect: Effect
    when: str = ""
    unless: str = ""
    counter: Counter | None = None
    response: Response = Response()
    throttle: Throttle | None = None
    then: tuple[Literal["alert", "quarantine"], ...] = ()
    event: str = "policy.denied"
    """Name of the security event of a match."""
    message: str = ""
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    rollout: Rollout = Rollout()
    on_error: Literal["match", "no-match", ""] = ""
    """Empty: match for restrictive rules, no-match for the others."""
    redact: tuple[str, ...] = ()
    pack: str = ""
    place: str = ""
    """file:line:column of its id."""

    @property
    def matches_on_error(self) -> bool:
        """Whether a rule that cannot be evaluated counts as matching: restrictive rules fail closed."""
        return self.on_error == "match" or (not self.on_error and self.effect.restrictive)


class Exemption(msgspec.Struct, frozen=True, kw_only=True):
    """An exception object: takes matching charge points out of one rule until a date, with somebody to answer for it."""

    rule: str
    until: float
    """Seconds since the epoch; from then on it does nothing."""
    owner: str
    reason: str
    identities: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    when: str = ""
    place: str = ""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A typed value that a site may set, for all or per group."""

    name: str
    type: ParameterType
    default: ParameterValue
    help: str = ""
    by_group: dict[str, ParameterValue] = {}

    def value_for(self, group: str) -> ParameterValue:
        """The value that holds for a group."""
        return self.by_group.get(group, self.default)


class Include(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of another pack that a pack switches on: all, or those named."""

    pack: str
    mode: Mode | None = None
    """The mode they run in; None: the one they have."""
    rules: tuple[str, ...] = ()


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """A file of rules that are shipped, versioned and switched on together."""

    name: str
    version: str
    title: str = ""
    parameters: tuple[Parameter, ...] = ()
    sets: dict[str, frozenset[str]] = {}
    rules: tuple[Rule, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    includes: tuple[Include, ...] = ()
    requires: tuple[Requirement, ...] = ()
    shown_path: str = ""
