"""Certificate profiles: what a certificate of each use looks like. A certificate is made from one of these, never from a CSR."""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

__all__ = ["CHARGE_POINT", "CSMS", "ISSUING_CA", "ROOT_CA", "CertificateProfile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateProfile:
    """One use. Back-dating covers charge points whose clock is behind (A02.FR.06, erratum)."""

    name: str
    lifetime: datetime.timedelta
    is_ca: bool = False
    path_length: int | None = None
    extended_key_usage: x509.ObjectIdentifier | None = None
    subject_alternative_names: bool = False
    backdate: datetime.timedelta = datetime.timedelta(hours=1)

    def key_usage(self, *, rsa: bool) -> x509.KeyUsage:
        """CA: sign certificates and CRLs. End entity: sign; with RSA also key encipherment, for the static-RSA suites."""
        return x509.KeyUsage(
            digital_signature=not self.is_ca,
            content_commitment=False,
            key_encipherment=rsa and not self.is_ca,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=self.is_ca,
            crl_sign=self.is_ca,
            encipher_only=False,
            decipher_only=False,
        )


_DAY = datetime.timedelta(days=1)

ROOT_CA = CertificateProfile(name="root", lifetime=3650 * _DAY, is_ca=True)
ISSUING_CA = CertificateProfile(name="issuing", lifetime=1825 * _DAY, is_ca=True, path_length=0)
CSMS = CertificateProfile(
    name="CSMSCertificate",
    lifetime=90 * _DAY,
    extended_key_usage=ExtendedKeyUsageOID.SERVER_AUTH,
    subject_alternative_names=True,
)
# A00.FR.511: no SAN. 90 days, as charge points start to renew a month before the end (A03.FR.02).
CHARGE_POINT = CertificateProfile(
    name="ChargePointCertificate", lifetime=90 * _DAY, extended_key_usage=ExtendedKeyUsageOID.CLIENT_AUTH
)
