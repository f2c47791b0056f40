"""The decision whether somebody has to look at a request: every rule, and what lies just beside it."""

import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pki.approval import (
    HELD_RULES,
    ApprovalRules,
    Decision,
    Operator,
    PresentedCertificate,
    Rule,
    Standing,
    Unproven,
    decide_approval,
)
from pki.inventory import CertificateEntry, RequestEntry, RequestState, Revocation
from pki.names import Subject
from pki.records import RevocationReason
from tests.pki.hierarchy import DAY, NOW

P256 = ec.generate_private_key(ec.SECP256R1()).public_key()
P384 = ec.generate_private_key(ec.SECP384R1()).public_key()
RSA = rsa.generate_private_key(65537, 2048).public_key()
ME = Subject("SN-1", "CPO")


def held(
    subject: Subject = ME,
    profile: str = "P",
    end: datetime.datetime = NOW + DAY,
    issued: int = 7,
    revoked: bool = False,
) -> CertificateEntry:
    request = RequestEntry(
        id="r", sequence=1, at=NOW, profile=profile, issuer="i", subject=subject, names=(), spki_sha256=b"", csr_sha256=b"",
        rule="", applicant="", notes=(), state=RequestState.ISSUED, approved_at=NOW, serial=1,
    )  # fmt: skip
    revocation = Revocation(NOW, RevocationReason.SUPERSEDED, "a", 9) if revoked else None
    return CertificateEntry(
        serial=1, request=request, intended=6, issued=issued, not_before=NOW - DAY, not_after=end, revocation=revocation
    )


@pytest.mark.parametrize(
    ("entry", "old", "new", "rule"),
    [
        (held(), P256, P256, Rule.RENEWAL),
        (held(), P256, P384, Rule.RENEWAL),
        (held(), RSA, P256, Rule.RENEWAL),
        (held(end=NOW), P256, P256, Rule.RENEWAL),
        (held(), P384, P256, Rule.WEAKER_KEY),
        (held(), P256, RSA, Rule.WEAKER_KEY),
        (held(end=NOW - datetime.timedelta(seconds=1)), P256, P256, Rule.CERTIFICATE_EXPIRED),
        (held(issued=0), P256, P256, Rule.CERTIFICATE_EXPIRED),
        (held(revoked=True), P256, P256, Rule.CERTIFICATE_REVOKED),
        (held(Subject("SN-11", "CPO")), P256, P256, Rule.CHANGED_IDENTITY),
        (held(Subject("SN-1", "Other")), P256, P256, Rule.CHANGED_IDENTITY),
        (held(profile="Q"), P256, P256, Rule.CHANGED_USE),
        (None, None, P256, Rule.UNKNOWN_CERTIFICATE),
    ],
)
def test_a_certificate_that_is_shown_is_good_for_its_own_renewal_only(entry, old, new, rule: Rule) -> None:
    standing = None if old is None else Standing(key=old)
    decision = decide_approval(PresentedCertificate(1), entry, standing, ("P", ME, new), ApprovalRules(), NOW)
    assert decision == Decision(rule is not Rule.RENEWAL, rule)


@pytest.mark.parametrize(
    ("standing", "rule"),
    [
        (Standing(key=P256, is_distrusted=True), Rule.IDENTITY_REVOKED),
        (Standing(key=P256, key_is_blocked=True), Rule.BLOCKED_KEY),
        (Standing(key=P256, automatic_today=5), Rule.TOO_MANY),
        (Standing(key=P256, automatic_today=4), Rule.RENEWAL),
    ],
)
def test_what_is_known_besides_can_hold_a_renewal(standing: Standing, rule: Rule) -> None:
    decision = decide_approval(PresentedCertificate(1), held(), standing, ("P", ME, P256), ApprovalRules(), NOW)
    assert decision == Decision(rule is not Rule.RENEWAL, rule)


def test_operators_need_nobody_and_everybody_else_does() -> None:
    wanted = ("P", ME, P256)
    assert decide_approval(Operator("alice"), None, None, wanted, ApprovalRules(), NOW) == Decision(
        False, Rule.BY_OPERATOR
    )
    # A certificate that happens to be known does not make up for not having shown it.
    assert decide_approval(Unproven("basic"), held(), Standing(key=P256), wanted, ApprovalRules(), NOW) == Decision(
        True, Rule.FIRST_ENROLMENT
    )


@pytest.mark.parametrize("rule", [rule for rule in Rule if rule in HELD_RULES])
def test_a_site_lets_exactly_the_rules_pass_that_it_names(rule: Rule) -> None:
    rules = ApprovalRules(frozenset({rule}))
    first = decide_approval(Unproven("basic"), None, None, ("P", ME, P256), rules, NOW)
    assert first.held is (rule is not Rule.FIRST_ENROLMENT)
