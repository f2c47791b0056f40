"""May a request be answered at once, or does somebody have to look at it? A pure decision that always names its rule."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pki.errors import Reason, Refused
from pki.inventory import CertificateEntry, Inventory, RequestEntry
from pki.key_policy import key_strength_bits
from pki.keys import SubjectKey
from pki.names import Subject
from pki.records import RevocationReason

__all__ = [
    "HELD_RULES",
    "ApprovalRules",
    "Decision",
    "Operator",
    "PresentedCertificate",
    "Rule",
    "Standing",
    "Unproven",
    "automatic_today",
    "decide_approval",
    "described",
    "is_distrusted",
    "verify_not_too_many",
]

_DAY: Final = datetime.timedelta(days=1)
_MAX_PER_DAY: Final = 48
_DISTRUST: Final = {RevocationReason.KEY_COMPROMISE, RevocationReason.PRIVILEGE_WITHDRAWN}


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator asks by a command; whoever may run it may also approve."""

    name: str


@dataclass(frozen=True, slots=True)
class PresentedCertificate:
    """Whoever asks has proven in TLS to hold the key of the certificate with this serial number, of an issuer of ours."""

    serial: int


@dataclass(frozen=True, slots=True)
class Unproven:
    """Anything less than a certificate of ours: a password, another CA's certificate. `method` is for people."""

    method: str


Applicant = Operator | PresentedCertificate | Unproven


def described(applicant: Applicant) -> str:
    """How whoever asks has proven itself, for people."""
    match applicant:
        case Operator():
            return f"operator {applicant.name}"
        case PresentedCertificate():
            return f"certificate {applicant.serial:x}"
        case Unproven():
            return applicant.method


class Rule(Enum):
    """Why a request is held, or is not."""

    BY_OPERATOR = "by-operator"
    RENEWAL = "renewal"
    FIRST_ENROLMENT = "first-enrolment"
    UNKNOWN_CERTIFICATE = "unknown-certificate"
    CERTIFICATE_REVOKED = "certificate-revoked"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CHANGED_IDENTITY = "changed-identity"
    CHANGED_USE = "changed-use"
    WEAKER_KEY = "weaker-key"
    IDENTITY_REVOKED = "identity-revoked"
    BLOCKED_KEY = "blocked-key"
    TOO_MANY = "too-many"


HELD_RULES: Final = frozenset(Rule) - {Rule.BY_OPERATOR, Rule.RENEWAL}


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """What a site lets pass that is held otherwise. Empty: nothing."""

    automatic: frozenset[Rule] = frozenset()
    max_automatic_per_day: int = 5
    """Renewals of one identity that nobody looks at: one that never has enough of them is broken, or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a certificate that is shown, besides what the journal has of it."""

    key: SubjectKey
    key_is_blocked: bool = False
    """It has got into the table of blocked keys since."""
    is_distrusted: bool = False
    """Another certificate of its identity was revoked because somebody else may have a key, and this one was there before."""
    automatic_today: int = 0
    """Renewals of this identity within a day that nobody looked at."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome and the rule that led to it."""

    held: bool
    rule: Rule


def is_distrusted(inventory: Inventory, presented: CertificateEntry) -> bool:
    """True if the identity has lost a key, or its right, since this certificate was asked for or approved.

    Whoever has stolen a key may have renewed with it: what was there before does not vouch for anybody any more.
    """
    since = presented.request.approved_at
    for request in inventory.of_identity(presented.request.profile, presented.request.subject):
        revocation = None if request.serial is None else inventory.certificates[request.serial].revocation
        if revocation is not None and revocation.reason in _DISTRUST and revocation.at >= since:
            return True
    return False


def automatic_today(inventory: Inventory, profile: str, subject: Subject, now: datetime.datetime) -> int:
    """How many renewals of this identity nobody looked at within a day."""
    return sum(each.rule == Rule.RENEWAL.value for each in _within_a_day(inventory, profile, subject, now))


def verify_not_too_many(inventory: Inventory, profile: str, subject: Subject, now: datetime.datetime) -> None:
    """Refuses the next request of an identity that asks with a new key all the time; each would be kept for ever.

    A charge point that gives up a key after an hour and makes another stays below. Raises Refused.
    """
    count = sum(1 for _ in _within_a_day(inventory, profile, subject, now))
    if count >= _MAX_PER_DAY:
        raise Refused(Reason.TOO_MANY_REQUESTS, f"{count} within a day")


def _within_a_day(
    inventory: Inventory, profile: str, subject: Subject, now: datetime.datetime
) -> Iterator[RequestEntry]:
    for request in reversed(inventory.of_identity(profile, subject)):
        if request.at <= now - _DAY:
            return
        yield request


def decide_approval(
    applicant: Applicant,
    presented: CertificateEntry | None,
    standing: Standing | None,
    wanted: tuple[str, Subject, SubjectKey],
    rules: ApprovalRules,
    now: datetime.datetime,
) -> Decision:
    """`presented`, `standing`: what the journal has of the applicant's certificate. `wanted`: profile, subject, key asked for."""
    if isinstance(applicant, Operator):
        rule = Rule.BY_OPERATOR
    elif isinstance(applicant, Unproven):
        rule = Rule.FIRST_ENROLMENT
    elif presented is None or standing is None:
        rule = Rule.UNKNOWN_CERTIFICATE
    else:
        rule = _rule(presented, standing, wanted, rules, now)
    return Decision(rule in HELD_RULES and rule not in rules.automatic, rule)


def _rule(
    presented: CertificateEntry,
    standing: Standing,
    wanted: tuple[str, Subject, SubjectKey],
    rules: ApprovalRules,
    now: datetime.datetime,
) -> Rule:
    """The first that applies."""
    profile, subject, key = wanted
    checks = (
        (presented.revocation is not None, Rule.CERTIFICATE_REVOKED),
        (not presented.is_valid_at(now), Rule.CERTIFICATE_EXPIRED),
        (presented.request.subject != subject, Rule.CHANGED_IDENTITY),
        (presented.request.profile != profile, Rule.CHANGED_USE),
        (standing.is_distrusted, Rule.IDENTITY_REVOKED),
        (standing.key_is_blocked, Rule.BLOCKED_KEY),
        (key_strength_bits(key) < key_strength_bits(standing.key), Rule.WEAKER_KEY),
        (standing.automatic_today >= rules.max_automatic_per_day, Rule.TOO_MANY),
    )
    return next((rule for applies, rule in checks if applies), Rule.RENEWAL)
