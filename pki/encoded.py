"""Parts of a certificate exactly as they are encoded in it. A name that is parsed and encoded again may differ in its string types."""

from typing import Any

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

__all__ = ["issuer_name", "public_key_bits", "subject_name"]


def _fields(certificate: x509.Certificate) -> Any:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))["tbs_certificate"]


def issuer_name(certificate: x509.Certificate) -> bytes:
    """DER of the issuer's name."""
    return bytes(_fields(certificate)["issuer"].dump())


def subject_name(certificate: x509.Certificate) -> bytes:
    """DER of the subject's name."""
    return bytes(_fields(certificate)["subject"].dump())


def public_key_bits(certificate: x509.Certificate) -> bytes:
    """Content of the BIT STRING subjectPublicKey, without tag, length and count of unused bits (RFC 6960, 4.1.1)."""
    return bytes(_fields(certificate)["subject_public_key_info"]["public_key"].contents[1:])
