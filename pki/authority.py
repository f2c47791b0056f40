"""A CA in memory that signs at once, for development and tests. Names come from the caller, the time is an argument.

The CA that has to account for what it does is `pki.issuance`.
"""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pki.keys import KeyKind, PrivateKey, generate_key
from pki.names import Subject
from pki.profiles import ROOT_CA, CertificateProfile
from pki.template import Contents, certificate_builder

__all__ = ["Authority", "Issued", "Subject"]


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: PrivateKey


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
    ends = now + (profile.lifetime if lifetime is None else lifetime)
    contents = Contents(
        profile=profile,
        subject=subject,
        serial=x509.random_serial_number(),
        not_before=min(now, ends) - profile.backdate,
        not_after=ends,
        names=names,
    )
    builder = certificate_builder(contents, key.public_key(), issuer, issuer_key.public_key())
    return builder.sign(issuer_key, hashes.SHA256())
