"""Issues certificates from profiles. Names come from the caller, the time is an argument."""

import datetime
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from pki.keys import KeyKind, PrivateKey, generate_key
from pki.profiles import ROOT_CA, CertificateProfile

__all__ = ["Authority", "Issued", "Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject: CN, O and, for development certificates, an OU that says so."""

    common_name: str
    organization: str
    unit: str = ""

    def name(self) -> x509.Name:
        """As an X.509 name."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization)]
        if self.unit:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, self.unit))
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, self.common_name))
        return x509.Name(attributes)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: PrivateKey


def _alternative_names(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    made: list[x509.GeneralName] = []
    for name in names:
        try:
            made.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            made.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(made)


class Authority:
    """A CA certificate with its key."""

    def __init__(self, issued: Issued) -> None:
        self.certificate = issued.certificate
        self._key = issued.key

    @classmethod
    def create_root(cls, subject: Subject, kind: KeyKind, now: datetime.datetime) -> "Authority":
        """A self-signed root."""
        key = generate_key(kind)
        certificate = _build(ROOT_CA, subject, key, subject.name(), key, now)
        return cls(Issued(certificate, key))

    def issue(
        self,
        profile: CertificateProfile,
        subject: Subject,
        kind: KeyKind,
        now: datetime.datetime,
        *,
        names: tuple[str, ...] = (),
        lifetime: datetime.timedelta | None = None,
    ) -> Issued:
        """A certificate with a fresh key. `names`: alternative names, for profiles that have them.

        `lifetime` counts from `now` and may be negative: that is how an expired certificate is made for tests.
        """
        key = generate_key(kind)
        certificate = _build(profile, subject, key, self.certificate.subject, self._key, now, names, lifetime)
        return Issued(certificate, key)


def _build(
    profile: CertificateProfile,
    subject: Subject,
    key: PrivateKey,
    issuer: x509.Name,
    issuer_key: PrivateKey,
    now: datetime.datetime,
    names: tuple[str, ...] = (),
    lifetime: datetime.timedelta | None = None,
) -> x509.Certificate:
    public_key = key.public_key()
    ends = now + (profile.lifetime if lifetime is None else lifetime)
    starts = min(now, ends) - profile.backdate
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject.name())
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=profile.is_ca, path_length=profile.path_length), critical=True)
        .add_extension(profile.key_usage(rsa=isinstance(key, rsa.RSAPrivateKey)), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if profile.extended_key_usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([profile.extended_key_usage]), critical=False)
    if profile.subject_alternative_names:
        builder = builder.add_extension(_alternative_names(names or (subject.common_name,)), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
