"""Certificate hash data: how OCSP and OCPP (CertificateHashDataType) name a certificate without showing it."""

import hashlib
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pki.encoded import issuer_name, public_key_bits

__all__ = ["CertificateHashData", "HashAlgorithm", "certificate_hash_data", "is_same_certificate", "normal_serial"]

HashAlgorithm = Literal["SHA256", "SHA384", "SHA512"]


class CertificateHashData(NamedTuple):
    """The four fields, spelled as they go over the wire."""

    hash_algorithm: HashAlgorithm
    issuer_name_hash: str
    """Lower-case hex, over the DER of the issuer's name as it stands in the certificate."""
    issuer_key_hash: str
    """Lower-case hex, over the content of the issuer's public key (RFC 6960, 4.1.1)."""
    serial_number: str
    """Lower-case hex without leading zeroes: 40 characters are enough for any serial number."""


def certificate_hash_data(
    certificate: x509.Certificate, issuer: x509.Certificate, algorithm: HashAlgorithm = "SHA256"
) -> CertificateHashData:
    """The hash data of `certificate`. A root is its own issuer. Raises ValueError if `issuer` has not signed it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        raise ValueError("the certificate was not issued by this issuer") from None
    return CertificateHashData(
        algorithm,
        _hex_digest(algorithm, issuer_name(certificate)),
        _hex_digest(algorithm, public_key_bits(issuer)),
        format(certificate.serial_number, "x"),
    )


def _hex_digest(algorithm: HashAlgorithm, data: bytes) -> str:
    return hashlib.new(algorithm.lower(), data).hexdigest()


def normal_serial(text: str) -> str:
    """A serial number in hex as we write it: lower case, no leading zeroes, no ``0x``."""
    return text.strip().lower().removeprefix("0x").lstrip("0") or "0"


def is_same_certificate(one: CertificateHashData, other: CertificateHashData) -> bool:
    """True if both name the same certificate. Case and leading zeroes of a serial number do not count.

    Hash data with different algorithms cannot be compared and are never the same: ask with the algorithm that the
    charge point has reported (M04.FR.07).
    """
    if one.hash_algorithm != other.hash_algorithm:
        return False
    same_name = one.issuer_name_hash.lower() == other.issuer_name_hash.lower()
    same_key = one.issuer_key_hash.lower() == other.issuer_key_hash.lower()
    return same_name and same_key and normal_serial(one.serial_number) == normal_serial(other.serial_number)
