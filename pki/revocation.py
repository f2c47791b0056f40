"""What is said of a certificate that is revoked: by CRLs (`pki.crl`), by OCSP (`pki.ocsp`), and about how often."""

import datetime
from typing import Final, NamedTuple

from cryptography import x509

__all__ = ["REASON_CODES", "RevokedCertificate", "octets_of_serial", "reason_from_text"]

REASON_CODES: Final = {
    x509.ReasonFlags.unspecified: 0,
    x509.ReasonFlags.key_compromise: 1,
    x509.ReasonFlags.ca_compromise: 2,
    x509.ReasonFlags.affiliation_changed: 3,
    x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5,
    x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.privilege_withdrawn: 9,
    x509.ReasonFlags.aa_compromise: 10,
}
"""RFC 5280, 5.3.1. removeFromCRL belongs to delta CRLs, which are not made here (pki.md, finding 3)."""

_MAX_SERIAL_BITS: Final = 159
"""20 octets with a sign bit of zero (RFC 5280, 4.1.2.2)."""


class RevokedCertificate(NamedTuple):
    """One revocation."""

    serial_number: int
    revoked_at: datetime.datetime
    """With a time zone. CRLs and OCSP know whole seconds."""
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified


def octets_of_serial(serial_number: int) -> bytes:
    """Content of the DER INTEGER. Raises ValueError for what is no serial number of a certificate (RFC 5280)."""
    if serial_number <= 0 or serial_number.bit_length() > _MAX_SERIAL_BITS:
        raise ValueError("a serial number is positive and has at most 20 octets")
    return serial_number.to_bytes(serial_number.bit_length() // 8 + 1, "big")


def reason_from_text(text: str) -> x509.ReasonFlags:
    """The reason by its name in RFC 5280, e.g. ``keyCompromise``. Raises ValueError with the names there are."""
    for reason in REASON_CODES:
        if reason.value == text:
            return reason
    raise ValueError(f"{text!r} is not one of {', '.join(reason.value for reason in REASON_CODES)}")
