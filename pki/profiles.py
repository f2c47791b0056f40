"""Certificate profiles: what a certificate of each use looks like. A certificate is made from one of these, never from a CSR.

A profile is checked when it is made, so one that contradicts itself cannot be loaded.
"""

import dataclasses
import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.errors import Misconfigured
from pki.keys import KEY_KINDS, SUBJECT_KEY_KINDS, SubjectKeyKind

__all__ = [
    "CHARGE_POINT",
    "CHARGE_POINT_ISSUING_CA",
    "CSMS",
    "CSMS_ISSUING_CA",
    "END_ENTITY_PROFILES",
    "ISSUING_CA",
    "OCSP_RESPONDER",
    "PROFILES",
    "ROOT_CA",
    "V2G20_SECC",
    "V2G_SECC",
    "CertificateProfile",
    "SubjectKind",
    "takes_ed448",
]

_DAY: Final = datetime.timedelta(days=1)
_SHORTEST_WISE_LIFETIME: Final = 45 * _DAY


class SubjectKind(Enum):
    """What the common name is."""

    AUTHORITY = "authority"
    CHARGE_POINT = "charge point"
    HOST = "host"
    SECC = "SECC"
    RESPONDER = "responder"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateProfile:
    """One use. Back-dating covers charge points whose clock is behind (A02.FR.06, erratum). Raises Misconfigured."""

    name: str
    lifetime: datetime.timedelta
    """From the moment of issue; back-dating comes on top."""
    subject: SubjectKind
    is_ca: bool = False
    path_length: int | None = None
    extended_key_usage: x509.ObjectIdentifier | None = None
    subject_alternative_names: bool = False
    key_agreement: bool = False
    no_revocation_check: bool = False
    """id-pkix-ocsp-nocheck: who asks a responder does not ask about it (RFC 6960, 4.2.2.2.1)."""
    domain_component: str = ""
    """The DC that the subject must have; empty: none."""
    key_kinds: frozenset[SubjectKeyKind] = frozenset(KEY_KINDS)
    max_der_bytes: int = 4_000
    name_constraints_critical: bool = True
    """RFC 5280, 4.2.1.10 demands it. Verifiers that do not know name constraints refuse the CA then; Mbed TLS is one."""
    backdate: datetime.timedelta = datetime.timedelta(hours=1)

    def __post_init__(self) -> None:
        problems = [text for wrong, text in self._contradictions() if wrong]
        if problems:
            raise Misconfigured(f"certificate profile {self.name}: {'; '.join(problems)}")

    def _contradictions(self) -> Iterable[tuple[bool, str]]:
        is_responder = self.extended_key_usage == ExtendedKeyUsageOID.OCSP_SIGNING
        is_server = self.extended_key_usage == ExtendedKeyUsageOID.SERVER_AUTH
        yield not self.name, "it has no name"
        yield self.lifetime <= datetime.timedelta(0), "its lifetime is not positive"
        yield (
            not datetime.timedelta(0) <= self.backdate <= _DAY,
            "it is back-dated by more than a day or not into the past",
        )
        yield not self.key_kinds, "it takes no kind of key"
        yield not self.key_kinds <= frozenset(SUBJECT_KEY_KINDS), "it takes a kind of key that is unknown"
        yield self.is_ca and not self.key_kinds <= frozenset(KEY_KINDS), "a CA here has no Ed448 key"
        yield self.is_ca != (self.subject is SubjectKind.AUTHORITY), "a CA's subject is an authority, and no other's is"
        yield self.is_ca and self.subject_alternative_names, "a CA has no alternative names"
        yield self.is_ca and self.key_agreement, "a CA's key does not agree on keys"
        yield not self.is_ca and self.path_length is not None, "only a CA has a path length"
        yield (self.path_length or 0) < 0, "its path length is negative"
        yield self.no_revocation_check and not is_responder, "only an OCSP responder goes unchecked"
        yield is_responder != (self.subject is SubjectKind.RESPONDER), "a responder signs OCSP, and nobody else does"
        if not self.is_ca:
            # A00.FR.511 for charge points; a server that has no alternative name is accepted by no modern client.
            yield (
                self.subject_alternative_names != (self.subject is SubjectKind.HOST),
                "hosts have alternative names, others none",
            )
            yield is_server != (self.subject is SubjectKind.HOST), "hosts are TLS servers, others are not"

    def key_usage(self, *, rsa: bool, agrees: bool = True) -> x509.KeyUsage:
        """CA: sign certificates and CRLs. End entity: sign; with RSA also key encipherment, for the static-RSA suites.

        `agrees`: the key can be used to agree on keys; one for Ed448 cannot (RFC 8410, 5).
        """
        is_peer = not self.is_ca and self.subject is not SubjectKind.RESPONDER
        return x509.KeyUsage(
            digital_signature=not self.is_ca,
            content_commitment=False,
            key_encipherment=rsa and is_peer,
            data_encipherment=False,
            key_agreement=self.key_agreement and agrees and not rsa,
            key_cert_sign=self.is_ca,
            crl_sign=self.is_ca,
            encipher_only=False,
            decipher_only=False,
        )

    def with_lifetime(self, lifetime: datetime.timedelta) -> "CertificateProfile":
        """The same with another lifetime. Raises Misconfigured."""
        return dataclasses.replace(self, lifetime=lifetime)

    def warnings(self) -> tuple[str, ...]:
        """What is legal but unwise."""
        if self.subject is SubjectKind.CHARGE_POINT and self.lifetime < _SHORTEST_WISE_LIFETIME:
            # A03.FR.02: a charge point renews a month before the end, some at every check of a shorter certificate.
            days = self.lifetime / _DAY
            return (f"{self.name}: {days:g} days are less than 45; charge points renew a month before the end",)
        return ()


ROOT_CA = CertificateProfile(name="root", lifetime=3650 * _DAY, subject=SubjectKind.AUTHORITY, is_ca=True)
ISSUING_CA = CertificateProfile(
    name="issuing", lifetime=1825 * _DAY, subject=SubjectKind.AUTHORITY, is_ca=True, path_length=0
)
"""For both sides: tests. Ceremonies and the development hierarchy make the two below."""
CHARGE_POINT_ISSUING_CA = dataclasses.replace(
    ISSUING_CA, name="ChargePointIssuingCA", extended_key_usage=ExtendedKeyUsageOID.CLIENT_AUTH
)
CSMS_ISSUING_CA = dataclasses.replace(
    ISSUING_CA, name="CSMSIssuingCA", extended_key_usage=ExtendedKeyUsageOID.SERVER_AUTH
)
CSMS = CertificateProfile(
    name="CSMSCertificate",
    lifetime=90 * _DAY,
    subject=SubjectKind.HOST,
    extended_key_usage=ExtendedKeyUsageOID.SERVER_AUTH,
    subject_alternative_names=True,
)
# A00.FR.511: no SAN. 90 days, as charge points start to renew a month before the end (A03.FR.02).
CHARGE_POINT = CertificateProfile(
    name="ChargePointCertificate",
    lifetime=90 * _DAY,
    subject=SubjectKind.CHARGE_POINT,
    extended_key_usage=ExtendedKeyUsageOID.CLIENT_AUTH,
)
# ISO 15118-2: P-256, signing and key agreement, DC=CPO, 800 bytes, two to three months.
V2G_SECC = CertificateProfile(
    name="V2GSECCCertificate",
    lifetime=60 * _DAY,
    subject=SubjectKind.SECC,
    key_agreement=True,
    domain_component="CPO",
    key_kinds=frozenset({"ec-p256"}),
    max_der_bytes=800,
)
# ISO 15118-20: secp521r1, or Ed448 for what only signs.
V2G20_SECC = dataclasses.replace(
    V2G_SECC,
    name="V2G20SECCCertificate",
    domain_component="CSO",
    key_kinds=frozenset({"ec-p521", "ed448"}),
    max_der_bytes=1600,
)
OCSP_RESPONDER = CertificateProfile(
    name="OCSPResponder",
    lifetime=30 * _DAY,
    subject=SubjectKind.RESPONDER,
    extended_key_usage=ExtendedKeyUsageOID.OCSP_SIGNING,
    no_revocation_check=True,
)
END_ENTITY_PROFILES: Final = {each.name: each for each in (CHARGE_POINT, CSMS, V2G_SECC, V2G20_SECC, OCSP_RESPONDER)}
PROFILES: Final = END_ENTITY_PROFILES | {
    each.name: each for each in (ROOT_CA, CHARGE_POINT_ISSUING_CA, CSMS_ISSUING_CA)
}


def takes_ed448(name: str) -> bool:
    """True if certificates of the profile may have such keys."""
    profile = END_ENTITY_PROFILES.get(name)
    return profile is not None and "ed448" in profile.key_kinds
