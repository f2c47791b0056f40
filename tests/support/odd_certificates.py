"""Certificates and requests that are well-formed at first sight, and have one part that nobody can read."""

import base64

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.pki.hierarchy import Hierarchy
from tests.pki.request_material import csr_pem

__all__ = ["ODD_CERTIFICATES", "ODD_REQUESTS", "pem"]

_CURVE, _OTHER_CURVE = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d030177")
_KIND, _OTHER_KIND = bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0255")
_NAME = b"\x0c\x03CPO"
_CHANGES = {
    "unknown curve": (_CURVE, _OTHER_CURVE),
    "unknown kind of key": (_KIND, _OTHER_KIND),
    "BIT STRING in a name": (_NAME, b"\x03\x03\x00PO"),
    "number in a name": (_NAME, b"\x02\x03CPO"),
}


def _odd(der: bytes, version: tuple[bytes, bytes]) -> dict[str, bytes]:
    changes = {**_CHANGES, "version 8": version}
    assert all(before in der for before, _ in changes.values())
    return {name: der.replace(before, after) for name, (before, after) in changes.items()}


def pem(der: bytes, label: str = "CERTIFICATE") -> str:
    """As text."""
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"


ODD_CERTIFICATES = _odd(
    Hierarchy().issuing.public_bytes(Encoding.DER), (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07")
)
ODD_REQUESTS = _odd(
    x509.load_pem_x509_csr(csr_pem().encode()).public_bytes(Encoding.DER), (b"\x02\x01\x00", b"\x02\x01\x07")
)
