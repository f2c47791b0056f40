"""Certificates out of files of any of the usual kinds: PEM with any number of them, DER, PKCS#7; each block by itself."""

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["Found", "certificates_in"]

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_CERTIFICATES: Final = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"})
_BUNDLES: Final = frozenset({b"PKCS7", b"CMS"})


class Found(NamedTuple):
    """What is in one place of a file: a certificate, or why there is none."""

    where: str
    certificate: "x509.Certificate | None"
    why: str = ""


def certificates_in(name: str, data: bytes) -> list[Found]:
    """Everything in the file; what is no certificate is there with its reason."""
    blocks = list(_BLOCK.finditer(data))
    if not blocks:
        return _der(name, data)
    found = []
    for number, block in enumerate(blocks, 1):
        where = name if len(blocks) == 1 else f"{name}, block {number}"
        found += _block(where, block[1], block[0])
    return found


def _block(where: str, label: bytes, text: bytes) -> list[Found]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs7

    from pki.unreadable import UNREADABLE

    if b"PRIVATE KEY" in label:
        return [Found(where, None, "a private key; it has no business in a file that is handed around")]
    try:
        if label in _CERTIFICATES:
            return [Found(where, x509.load_pem_x509_certificate(text))]
        if label in _BUNDLES:
            return [Found(where, each) for each in pkcs7.load_pem_pkcs7_certificates(text)]
    except UNREADABLE as error:
        return [Found(where, None, f"it cannot be read: {_first_line(error)}")]
    return [Found(where, None, f"a {label.decode('ascii').lower()}, not a certificate")]


def _der(name: str, data: bytes) -> list[Found]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs7

    from pki.unreadable import UNREADABLE

    try:
        return [Found(name, x509.load_der_x509_certificate(data))]
    except UNREADABLE as error:
        why = _first_line(error)
    try:
        return [Found(name, each) for each in pkcs7.load_der_pkcs7_certificates(data)]
    except UNREADABLE:
        return [Found(name, None, f"neither PEM, nor a certificate or PKCS#7 in DER: {why}")]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
