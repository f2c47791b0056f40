"""Builds certificates from profiles. The caller hands in every name, number and time; nothing is taken from a request."""

import datetime
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

from pki.errors import Misconfigured
from pki.keys import PublicKey, SubjectKey
from pki.names import Subject
from pki.profiles import CertificateProfile

__all__ = ["NOTHING_PUBLISHED", "Constraints", "Contents", "Publication", "certificate_builder"]

_MAX_SHARDS: Final = 10_000
_PUBLISHED_URL: Final = re.compile(r"http://[A-Za-z0-9.\[\]:-]+(?:/[!-z|~]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Where what an issuer publishes is to be had; written into its certificates. Empty: not published, not written."""

    crl_url: str = ""
    """With `{shard}` in it, CRLs are divided by serial number."""
    crl_shards: int = 1
    ocsp_url: str = ""
    issuer_url: str = ""

    def crl_url_of(self, serial: int) -> str:
        """The CRL in which the serial number would appear."""
        return self.crl_url.replace("{shard}", str(serial % self.crl_shards))

    def has_crl_url(self, url: str) -> bool:
        """True if some serial number would appear in the CRL of this address."""
        return bool(url) and any(self.crl_url_of(shard) == url for shard in range(self.crl_shards))

    def __post_init__(self) -> None:
        problems = [text for wrong, text in self._contradictions() if wrong]
        if problems:
            raise Misconfigured(f"publication: {'; '.join(problems)}")

    def _contradictions(self) -> Iterator[tuple[bool, str]]:
        yield not 1 <= self.crl_shards <= _MAX_SHARDS, f"crl_shards is not between 1 and {_MAX_SHARDS}"
        if self.crl_url:
            undivided = self.crl_shards > 1 and "{shard}" not in self.crl_url
            yield undivided, "crl_url needs {shard} in it, as crl_shards is more than 1"
        for name, url in (("crl_url", self.crl_url), ("ocsp_url", self.ocsp_url), ("issuer_url", self.issuer_url)):
            # RFC 5280, 4.2.1.13; over TLS nobody could check the certificate of who publishes.
            wrong = bool(url) and not _PUBLISHED_URL.fullmatch(
                url.replace("{shard}", "0") if name == "crl_url" else url
            )
            yield wrong, f"{name} {url!r} is not an http:// address in ASCII"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Limits that a CA certificate sets to what is below it (RFC 5280, 4.2.1.10)."""

    organizations: tuple[str, ...] = ()
    """Subjects must begin with one of these as O."""
    domains: tuple[str, ...] = ()
    """Host names must be in one of these domains."""
    exclude_hosts: bool = False
    """No host name and no IP address at all."""

    def extension(self) -> x509.NameConstraints | None:
        """None if nothing is limited."""
        permitted: list[x509.GeneralName] = [
            x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization)]))
            for organization in self.organizations
        ]
        permitted += [x509.DNSName(domain) for domain in self.domains]
        excluded: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_network(network))
            for network in ("0.0.0.0/0", "::/0")
            if self.exclude_hosts or self.domains
        ]
        if self.exclude_hosts:
            excluded.insert(0, x509.DNSName(""))
        if not permitted and not excluded:
            return None
        return x509.NameConstraints(permitted or None, excluded or None)


NOTHING_PUBLISHED = Publication()


def _alternative_names(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    made: list[x509.GeneralName] = []
    for name in names:
        try:
            made.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            made.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a certificate will say, besides whose key it is and who signs it."""

    profile: CertificateProfile
    subject: Subject
    serial: int
    not_before: datetime.datetime
    not_after: datetime.datetime
    names: tuple[str, ...] = ()
    """Alternative names, for profiles that have them; by default the CN."""
    publication: Publication = NOTHING_PUBLISHED
    constraints: x509.NameConstraints | None = None
    existing_name: x509.Name | None = None
    """Instead of `subject`: the very name of a certificate that exists, as it is encoded there."""


def certificate_builder(
    contents: Contents, public_key: SubjectKey, issuer: x509.Name, issuer_key: PublicKey
) -> x509.CertificateBuilder:
    """Everything but the signature."""
    profile, subject = contents.profile, contents.subject
    is_rsa, agrees = isinstance(public_key, rsa.RSAPublicKey), not isinstance(public_key, ed448.Ed448PublicKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(contents.existing_name or subject.name())
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(contents.serial)
        .not_valid_before(contents.not_before)
        .not_valid_after(contents.not_after)
        .add_extension(x509.BasicConstraints(ca=profile.is_ca, path_length=profile.path_length), critical=True)
        .add_extension(profile.key_usage(rsa=is_rsa, agrees=agrees), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )
    if profile.extended_key_usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([profile.extended_key_usage]), critical=False)
    if profile.subject_alternative_names:
        builder = builder.add_extension(_alternative_names(contents.names or (subject.common_name,)), critical=False)
    if profile.no_revocation_check:
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    if contents.constraints is not None:
        builder = builder.add_extension(contents.constraints, critical=profile.name_constraints_critical)
    return _published(builder, contents.publication, contents.serial)


def _published(builder: x509.CertificateBuilder, publication: Publication, serial: int) -> x509.CertificateBuilder:
    if publication.crl_url:
        name = x509.UniformResourceIdentifier(publication.crl_url_of(serial))
        point = x509.DistributionPoint([name], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    access = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, publication.ocsp_url),
            (AuthorityInformationAccessOID.CA_ISSUERS, publication.issuer_url),
        )
        if url
    ]
    return builder.add_extension(x509.AuthorityInformationAccess(access), critical=False) if access else builder
