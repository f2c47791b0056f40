"""May a request be answered at once, or does somebody have to look at it? A pure decision that always names its rule."""

import datetime
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pki.inventory import CertificateEntry
from pki.key_policy import key_strength_bits
from pki.keys import PublicKey
from pki.names import Subject

__all__ = [
    "HELD_RULES",
    "ApprovalRules",
    "Decision",
    "Operator",
    "PresentedCertificate",
    "Rule",
    "Unproven",
    "decide_approval",
]


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


HELD_RULES: Final = frozenset(Rule) - {Rule.BY_OPERATOR, Rule.RENEWAL}


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """What a site lets pass that is held otherwise. Empty: nothing."""

    automatic: frozenset[Rule] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome and the rule that led to it."""

    held: bool
    rule: Rule


def decide_approval(
    applicant: Applicant,
    presented: CertificateEntry | None,
    presented_key: PublicKey | None,
    wanted: tuple[str, Subject, PublicKey],
    rules: ApprovalRules,
    now: datetime.datetime,
) -> Decision:
    """`presented`: what the journal has of the applicant's certificate. `wanted`: profile, subject and key asked for."""
    rule = _rule(applicant, presented, presented_key, wanted, now)
    return Decision(rule in HELD_RULES and rule not in rules.automatic, rule)


def _rule(
    applicant: Applicant,
    presented: CertificateEntry | None,
    presented_key: PublicKey | None,
    wanted: tuple[str, Subject, PublicKey],
    now: datetime.datetime,
) -> Rule:
    profile, subject, key = wanted
    if isinstance(applicant, Operator):
        return Rule.BY_OPERATOR
    if isinstance(applicant, Unproven):
        return Rule.FIRST_ENROLMENT
    if presented is None or presented_key is None:
        return Rule.UNKNOWN_CERTIFICATE
    if presented.revocation is not None:
        return Rule.CERTIFICATE_REVOKED
    if not presented.is_valid_at(now):
        return Rule.CERTIFICATE_EXPIRED
    if presented.request.subject != subject:
        return Rule.CHANGED_IDENTITY
    if presented.request.profile != profile:
        return Rule.CHANGED_USE
    if key_strength_bits(key) < key_strength_bits(presented_key):
        return Rule.WEAKER_KEY
    return Rule.RENEWAL
