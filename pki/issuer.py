"""An issuing CA as both sides know it, the one that asks and the one that signs: its certificate, and whom it serves.

Checked when it is made against its own certificate: a CA that would sign what its own certificate forbids does not start.
"""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from pki.crl import distribution_points
from pki.errors import Misconfigured, Reason, Refused
from pki.key_policy import key_description
from pki.keys import KEY_KINDS, PublicKey, certificate_key
from pki.names import Subject, reads_as_host_name, verify_charge_point_name, verify_host_name, verify_organization
from pki.profiles import CertificateProfile, SubjectKind
from pki.template import NOTHING_PUBLISHED, Publication
from pki.unreadable import UNREADABLE

__all__ = ["Issuer", "crl_address", "excludes_all_hosts", "extension_value", "names_publication", "permits_host"]

_MIN_RSA_BITS: Final = 2048
_COUNTRY: Final = re.compile("[A-Z]{2}")


def extension_value(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.ExtensionType | None:
    """The extension of this kind, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def excludes_all_hosts(certificate: x509.Certificate) -> bool:
    """True if the CA's name constraints exclude every DNS name."""
    constraints = extension_value(certificate, x509.NameConstraints)
    if not isinstance(constraints, x509.NameConstraints):
        return False
    return any(isinstance(name, x509.DNSName) and not name.value for name in constraints.excluded_subtrees or ())


def permits_host(certificate: x509.Certificate, host: str) -> bool:
    """True if the CA's name constraints permit this host name (RFC 5280, 4.2.1.10)."""
    constraints = extension_value(certificate, x509.NameConstraints)
    if not isinstance(constraints, x509.NameConstraints):
        return True
    permitted = [each.value for each in constraints.permitted_subtrees or () if isinstance(each, x509.DNSName)]
    excluded = [each.value for each in constraints.excluded_subtrees or () if isinstance(each, x509.DNSName)]
    inside = not permitted or any(_is_below(host, domain) for domain in permitted)
    return inside and not any(_is_below(host, domain) for domain in excluded)


def _is_below(host: str, domain: str) -> bool:
    return not domain or host.lower() == domain.lower() or host.lower().endswith(f".{domain.lower().removeprefix('.')}")


def _is_domain(text: str) -> bool:
    try:
        verify_host_name(f"host.{text}")
    except Refused:
        return False
    return True


def _is_usable(certificate: x509.Certificate) -> bool:
    try:
        key = certificate_key(certificate)
    except ValueError:
        return False
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _MIN_RSA_BITS
    return key_description(key) in KEY_KINDS


def _is_issued_by(certificate: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(above)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def crl_address(certificate: x509.Certificate) -> str:
    """Where the certificate says that its revocation list is, if it names one address as ours do; otherwise empty."""
    points = extension_value(certificate, x509.CRLDistributionPoints)
    found = (
        [name.value for point in points for name in point.full_name or ()]
        if isinstance(points, x509.CRLDistributionPoints)
        else []
    )
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


def names_publication(certificate: x509.Certificate, publication: Publication) -> bool:
    """True if the certificate names the addresses of the publication, each once, and no others."""
    points = extension_value(certificate, x509.CRLDistributionPoints)
    crl_url = publication.crl_url_of(certificate.serial_number)
    wanted = distribution_points(crl_url) if crl_url else None
    access = extension_value(certificate, x509.AuthorityInformationAccess)
    found = (
        [(each.access_method, each.access_location) for each in access]
        if isinstance(access, x509.AuthorityInformationAccess)
        else []
    )
    promised = [
        (method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, publication.ocsp_url),
            (AuthorityInformationAccessOID.CA_ISSUERS, publication.issuer_url),
        )
        if url
    ]
    return points == wanted and found == promised


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """One issuing CA. Raises Misconfigured."""

    name: str
    """How operators and files call it."""
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    """Above it, the nearest first, with or without the root."""
    profiles: tuple[CertificateProfile, ...]
    """What it issues; empty for one that is retired: it may still sign CRLs."""
    organizations: tuple[str, ...]
    domains: tuple[str, ...] = ()
    """Of the hosts it makes server certificates for: these and all below."""
    publication: Publication = NOTHING_PUBLISHED

    def __post_init__(self) -> None:
        problems = [text for wrong, text in self._contradictions() if wrong]
        if problems:
            raise Misconfigured(f"issuing CA {self.name}: {'; '.join(problems)}")

    @property
    def public_key(self) -> PublicKey:
        """Its key; RSA or EC, as was checked."""
        return certificate_key(self.certificate)

    @property
    def responder_subject(self) -> Subject:
        """The name of its OCSP responders. It serves an organisation."""
        return Subject(f"OCSP responder of {self.name}", self.organizations[0])

    def profile(self, name: str) -> CertificateProfile:
        """Its profile of that name. Raises Refused."""
        for profile in self.profiles:
            if profile.name == name:
                return profile
        raise Refused(Reason.PROFILE_NOT_SERVED, f"{name} by {self.name}")

    def _contradictions(self) -> Iterable[tuple[bool, str]]:
        certificate = self.certificate
        yield not _is_usable(certificate), f"its key is not one of {', '.join(KEY_KINDS)}"
        basic = extension_value(certificate, x509.BasicConstraints)
        usage = extension_value(certificate, x509.KeyUsage)
        yield not (isinstance(basic, x509.BasicConstraints) and basic.ca), "its certificate is not that of a CA"
        yield (
            not (isinstance(usage, x509.KeyUsage) and usage.key_cert_sign),
            "its certificate may not sign certificates",
        )
        yield certificate.subject == certificate.issuer, "it is a root: a root is kept offline and issues only CAs"
        yield bool(self.profiles) and not self.organizations, "it serves no organisation"
        names = [profile.name for profile in self.profiles]
        yield len(set(names)) != len(names), "it has a profile twice"
        for above, below in zip(self.chain, (certificate, *self.chain), strict=False):
            yield not _is_issued_by(below, above), f"its chain is broken above {below.subject.rfc4514_string()}"
        for profile in self.profiles:
            yield from self._contradictions_of(profile)
        for organization in self.organizations:
            yield not self._permits_organization(organization), f"its name constraints do not permit O={organization}"
        for domain in self.domains:
            yield not _is_domain(domain), f"domain {domain!r} is not one"
            yield not permits_host(certificate, domain), f"its name constraints do not permit the domain {domain}"

    def _contradictions_of(self, profile: CertificateProfile) -> Iterable[tuple[bool, str]]:
        uses = extension_value(self.certificate, x509.ExtendedKeyUsage)
        if isinstance(uses, x509.ExtendedKeyUsage) and profile.extended_key_usage != ExtendedKeyUsageOID.OCSP_SIGNING:
            # Clients apply a CA's extended key usage to all below it; only a responder is looked at without it.
            yield (
                profile.extended_key_usage not in uses,
                f"{profile.name} has a use that its own certificate does not have",
            )
        hosts = profile.subject is SubjectKind.HOST
        yield hosts and excludes_all_hosts(self.certificate), f"{profile.name} needs host names, which it excludes"
        yield hosts and not self.domains, f"{profile.name} needs the domains that it serves"
        yield profile.is_ca, f"{profile.name} is a CA: those are made by a ceremony"

    def _permits_organization(self, organization: str) -> bool:
        constraints = extension_value(self.certificate, x509.NameConstraints)
        if not isinstance(constraints, x509.NameConstraints):
            return True
        names = [name.value for name in constraints.permitted_subtrees or () if isinstance(name, x509.DirectoryName)]
        wanted = x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)
        return not names or any(list(name) == [wanted] for name in names)

    def verify_names(self, profile: CertificateProfile, subject: Subject, names: tuple[str, ...]) -> None:
        """May this issuer certify these names? Asked before signing, on both sides. Raises Refused."""
        verify_organization(subject.organization)
        if subject.organization not in self.organizations:
            raise Refused(Reason.ORGANIZATION_NOT_SERVED, subject.organization)
        self._verify_parts(profile, subject, names)
        if profile.subject is SubjectKind.HOST:
            for host in (subject.common_name, *names):
                verify_host_name(host)
                self._verify_domain(host)
            return
        verify_charge_point_name(subject.common_name)
        if excludes_all_hosts(self.certificate) and reads_as_host_name(subject.common_name):
            # OpenSSL takes such a CN for a DNS name and refuses the chain: a charge point that can never connect.
            raise Refused(Reason.NAME_IS_HOST_NAME, subject.common_name)

    def _verify_parts(self, profile: CertificateProfile, subject: Subject, names: tuple[str, ...]) -> None:
        """Nothing is in a name but what the profile has there."""
        if subject.domain_component != profile.domain_component:
            raise Refused(Reason.NAME_CHARACTER, f"DC={subject.domain_component}")
        if subject.unit:
            raise Refused(Reason.NAME_CHARACTER, f"OU={subject.unit}")
        if subject.country and not (profile.subject is SubjectKind.SECC and _COUNTRY.fullmatch(subject.country)):
            raise Refused(Reason.NAME_CHARACTER, f"C={subject.country}")
        if names and not profile.subject_alternative_names:
            raise Refused(Reason.NAME_NOT_FOR_PROFILE, ", ".join(names))
        if profile.subject is SubjectKind.RESPONDER and not self.publication.ocsp_url:
            # Whoever has its key can say of everything here that it is good: none is made where none is asked.
            raise Refused(Reason.PROFILE_NOT_SERVED, f"{profile.name} by {self.name}, which has no ocsp_url")

    def _verify_domain(self, host: str) -> None:
        lower = host.lower()
        if not any(lower == domain or lower.endswith(f".{domain}") for domain in map(str.lower, self.domains)):
            raise Refused(Reason.NAME_OTHER_DOMAIN, host)

    def latest_end(self) -> datetime.datetime:
        """No certificate outlives any above it."""
        return min(each.not_valid_after_utc for each in (self.certificate, *self.chain))
