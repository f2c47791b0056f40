"""Looks at a certificate, finished or signed with a throw-away key, and says in what it is not what its profile says.

It reads the certificate's bytes anew and shares no code with the template that builds certificates, except the profile.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from pki.errors import Refused
from pki.issuer import excludes_all_hosts, extension_value, permits_host
from pki.key_policy import DEFAULT_KEY_POLICY, KeyPolicy, key_description
from pki.keys import subject_key
from pki.names import reads_as_host_name, verify_charge_point_name, verify_host_name, verify_organization
from pki.profiles import CertificateProfile, SubjectKind
from pki.unreadable import UNREADABLE

__all__ = ["Finding", "lint"]

_MAX_SERIAL_BITS: Final = 159
"""20 octets and positive (RFC 5280, 4.1.2.2); in hex the 40 characters that OCPP has for it."""
_MIN_SERIAL_BITS: Final = 64
_SIGNATURES: Final = frozenset(
    {
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
    }
)
_CRITICAL: Final = {
    ExtensionOID.BASIC_CONSTRAINTS: True,
    ExtensionOID.KEY_USAGE: True,
    ExtensionOID.EXTENDED_KEY_USAGE: False,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: False,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: False,
    ExtensionOID.CRL_DISTRIBUTION_POINTS: False,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS: False,
    ExtensionOID.OCSP_NO_CHECK: False,
}
_SUBJECT_PARTS: Final = {
    NameOID.COUNTRY_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.COMMON_NAME,
    NameOID.DOMAIN_COMPONENT,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One departure: a code for machines, and what was found."""

    code: str
    text: str


def lint(
    certificate: x509.Certificate,
    profile: CertificateProfile,
    *,
    issuer: x509.Certificate | None = None,
    key_policy: KeyPolicy = DEFAULT_KEY_POLICY,
) -> tuple[Finding, ...]:
    """Everything that is wrong; empty if nothing is. Without `issuer` what concerns both is left out.

    The signature is not looked at: `certificate` may be signed with a throw-away key.
    """
    try:
        return tuple(
            Finding(code, text)
            for checks in (
                _form(certificate, profile),
                _validity(certificate, profile),
                _subject(certificate, profile),
                _key(certificate, profile, key_policy),
                _extensions(certificate, profile),
                _alternative_names(certificate, profile),
                _key_identifiers(certificate),
                () if issuer is None else _below(certificate, issuer),
            )
            for wrong, code, text in checks
            if wrong
        )
    except UNREADABLE as error:
        return (Finding("unreadable", str(error)),)


_Check = tuple[bool, str, str]


def _form(certificate: x509.Certificate, profile: CertificateProfile) -> Iterator[_Check]:
    yield certificate.version is not x509.Version.v3, "version", "not version 3"
    yield certificate.serial_number <= 0, "serial", "the serial number is not positive"
    bits = certificate.serial_number.bit_length()
    yield bits > _MAX_SERIAL_BITS, "serial", f"a serial number of {bits} bits does not fit 20 octets"
    yield bits < _MIN_SERIAL_BITS, "serial", f"a serial number of {bits} bits can be guessed"
    oid = certificate.signature_algorithm_oid
    yield oid not in _SIGNATURES, "signature-algorithm", oid.dotted_string  # A00.FR.504
    size = len(certificate.public_bytes(Encoding.DER))
    yield size > profile.max_der_bytes, "size", f"{size} bytes are more than {profile.max_der_bytes}"


def _validity(certificate: x509.Certificate, profile: CertificateProfile) -> Iterator[_Check]:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    yield start >= end, "validity", f"ends ({end}) before it begins ({start})"
    longest = profile.lifetime + profile.backdate + datetime.timedelta(seconds=1)
    yield end - start > longest, "validity", f"valid for {end - start}, more than {longest}"


def _values(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(part.value) for part in name.get_attributes_for_oid(oid)]


def _refused(check: object, value: str) -> str:
    try:
        check(value)  # type: ignore[operator]
    except Refused as refused:
        return str(refused)
    return ""


def _subject(certificate: x509.Certificate, profile: CertificateProfile) -> Iterator[_Check]:
    subject = certificate.subject
    strange = [part.oid.dotted_string for part in subject if part.oid not in _SUBJECT_PARTS]
    yield bool(strange), "subject-part", ", ".join(strange)
    yield len(subject.rdns) != len(list(subject)), "subject-part", "several names in one part"
    common_names = _values(subject, NameOID.COMMON_NAME)
    organizations = _values(subject, NameOID.ORGANIZATION_NAME)
    yield len(common_names) != 1, "common-name", f"{len(common_names)} common names"
    yield len(organizations) != 1, "organization", f"{len(organizations)} organisations"  # A00.FR.509
    component = "".join(_values(subject, NameOID.DOMAIN_COMPONENT))
    yield component != profile.domain_component, "domain-component", f"DC={component}, not {profile.domain_component}"
    for organization in organizations:
        problem = _refused(verify_organization, organization)
        yield bool(problem), "organization", problem
    check = verify_organization if profile.is_ca else verify_charge_point_name
    if profile.subject is SubjectKind.HOST:
        check = verify_host_name
    for common_name in common_names:
        problem = _refused(check, common_name)
        yield bool(problem), "common-name", problem


def _key(certificate: x509.Certificate, profile: CertificateProfile, policy: KeyPolicy) -> Iterator[_Check]:
    try:
        key = policy.verify_subject(certificate.public_key(), ed448="ed448" in profile.key_kinds)
    except Refused as refused:
        yield True, refused.reason.code, str(refused)
        return
    kind = key_description(key)
    # RSA may have sizes between those that we make ourselves.
    taken = (
        any(each.startswith("rsa-") for each in profile.key_kinds)
        if kind.startswith("rsa-")
        else kind in profile.key_kinds
    )
    yield not taken, "key-kind", f"{kind} is not for {profile.name}"


def _expected(
    certificate: x509.Certificate, profile: CertificateProfile
) -> dict[x509.ObjectIdentifier, x509.ExtensionType]:
    key = certificate.public_key()
    usage = profile.key_usage(rsa=isinstance(key, rsa.RSAPublicKey), agrees=not isinstance(key, ed448.Ed448PublicKey))
    wanted: list[x509.ExtensionType] = [
        x509.BasicConstraints(ca=profile.is_ca, path_length=profile.path_length),
        usage,
    ]
    if profile.extended_key_usage is not None:
        wanted.append(x509.ExtendedKeyUsage([profile.extended_key_usage]))
    if profile.no_revocation_check:
        wanted.append(x509.OCSPNoCheck())
    return {each.oid: each for each in wanted}


def _extensions(certificate: x509.Certificate, profile: CertificateProfile) -> Iterator[_Check]:
    expected = _expected(certificate, profile)
    found = {extension.oid: extension for extension in certificate.extensions}
    for oid, value in expected.items():
        yield (
            oid in found and found[oid].value != value,
            "extension",
            f"{type(value).__name__} is not as in the profile",
        )
    required = {*expected, ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER}
    optional = {ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_INFORMATION_ACCESS}
    if profile.subject_alternative_names:
        required.add(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if profile.is_ca:
        optional.add(ExtensionOID.NAME_CONSTRAINTS)
    for oid in required - found.keys():
        yield True, "extension", f"{oid.dotted_string} is missing"
    for oid in found.keys() - required - optional:
        yield True, "extension", f"{oid.dotted_string} does not belong there"
    critical = _CRITICAL | {ExtensionOID.NAME_CONSTRAINTS: profile.name_constraints_critical}
    for oid, extension in found.items():
        wrong = extension.critical is not critical.get(oid, extension.critical)
        yield wrong, "critical", f"{oid.dotted_string} is {'' if extension.critical else 'not '}critical"


def _alternative_names(certificate: x509.Certificate, profile: CertificateProfile) -> Iterator[_Check]:
    names = extension_value(certificate, x509.SubjectAlternativeName)
    if not isinstance(names, x509.SubjectAlternativeName) or not profile.subject_alternative_names:
        return
    hosts = names.get_values_for_type(x509.DNSName)
    yield len(hosts) != len(list(names)), "alternative-name", "something else than host names"
    missing = [each for each in _values(certificate.subject, NameOID.COMMON_NAME) if each not in hosts]
    yield bool(missing), "alternative-name", "the common name is not among them"
    for host in hosts:
        problem = _refused(verify_host_name, host)
        yield bool(problem), "alternative-name", problem


def _key_identifiers(certificate: x509.Certificate) -> Iterator[_Check]:
    identifier = extension_value(certificate, x509.SubjectKeyIdentifier)
    if isinstance(identifier, x509.SubjectKeyIdentifier):
        right = x509.SubjectKeyIdentifier.from_public_key(subject_key(certificate))
        yield identifier != right, "key-identifier", "is not that of the key"


def _below(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[_Check]:
    yield certificate.issuer != issuer.subject, "issuer", "is not the issuer's subject"
    authority = extension_value(certificate, x509.AuthorityKeyIdentifier)
    own = extension_value(issuer, x509.SubjectKeyIdentifier)
    if isinstance(authority, x509.AuthorityKeyIdentifier) and isinstance(own, x509.SubjectKeyIdentifier):
        yield authority.key_identifier != own.digest, "authority-key-identifier", "is not that of the issuer"
    outlives = certificate.not_valid_after_utc > issuer.not_valid_after_utc
    yield outlives, "validity", "outlives its issuer"
    same = certificate.public_key() == issuer.public_key()
    yield same and certificate.subject != issuer.subject, "key-of-authority", "has the key of its issuer"
    constraints = extension_value(issuer, x509.NameConstraints)
    if isinstance(constraints, x509.NameConstraints):
        yield from _within(certificate, issuer, constraints)


def _within(
    certificate: x509.Certificate, issuer: x509.Certificate, constraints: x509.NameConstraints
) -> Iterator[_Check]:
    subject = [list(part) for part in certificate.subject.rdns]
    permitted = [
        [list(part) for part in name.value.rdns]
        for name in constraints.permitted_subtrees or ()
        if isinstance(name, x509.DirectoryName)
    ]
    # A name is in a subtree if it begins with it (RFC 5280, 4.2.1.10).
    inside = any(subject[: len(start)] == start for start in permitted)
    yield bool(permitted) and not inside, "name-constraints", "the subject is outside of what the issuer is permitted"
    names = extension_value(certificate, x509.SubjectAlternativeName)
    hosts = names.get_values_for_type(x509.DNSName) if isinstance(names, x509.SubjectAlternativeName) else []
    outside = [host for host in hosts if not permits_host(issuer, host)]
    yield bool(outside), "name-constraints", f"the issuer is not permitted to certify {', '.join(outside)}"
    if excludes_all_hosts(issuer):
        reading = [each for each in _values(certificate.subject, NameOID.COMMON_NAME) if reads_as_host_name(each)]
        yield bool(reading), "name-constraints", "the common name reads as a host name, which the issuer excludes"
