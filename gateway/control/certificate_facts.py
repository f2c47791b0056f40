"""The row of a certificate in the registry, from the certificate itself."""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from gateway.store.inventory import KnownCertificate, Source

__all__ = ["known_certificate"]


def known_certificate(
    certificate: x509.Certificate, source: Source, recorded_at: float, profile: str = ""
) -> KnownCertificate:
    """Its facts. Raises ValueError, UnsupportedAlgorithm if one of them cannot be read."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KnownCertificate(
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        common_name=_text(certificate.subject, NameOID.COMMON_NAME),
        organization=_text(certificate.subject, NameOID.ORGANIZATION_NAME),
        spki_sha256=hashlib.sha256(spki).hexdigest(),
        profile=profile,
        source=source,
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        recorded_at=recorded_at,
    )


def _text(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    """The value; empty where there is none, or more than one."""
    found = name.get_attributes_for_oid(oid)
    return str(found[0].value) if len(found) == 1 else ""
