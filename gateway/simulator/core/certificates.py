"""What a charge point finds out about a certificate: is it readable, its own, valid, under one of its roots?

Pure computations on PEM text. Whether the answer is Accepted is decided in `enrolment` and `roots`.
"""

import datetime
import itertools
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

__all__ = ["CertificateUnfit", "ends_at", "hash_data", "is_root", "is_signed_by", "read", "read_chain", "verify_issued"]

_HASHES: Final[dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}


class CertificateUnfit(Exception):  # noqa: N818  what is wrong with it
    """Not to be accepted; says why."""


def read_chain(pem: str) -> list[x509.Certificate]:
    """The certificates of a chain, as they come. Raises CertificateUnfit."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateUnfit("not PEM certificates") from None


def read(pem: str) -> x509.Certificate:
    """Exactly one certificate. Raises CertificateUnfit."""
    chain = read_chain(pem)
    if len(chain) != 1:
        raise CertificateUnfit("not exactly one certificate")
    return chain[0]


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """By name and by signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_root(certificate: x509.Certificate) -> bool:
    """A CA that has signed itself."""
    return _is_ca(certificate) and is_signed_by(certificate, certificate)


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def verify_issued(chain_pem: str, csr_pem: str, roots: tuple[str, ...], now: float) -> None:
    """A02.FR.06: own key, own name, valid now, and under one of `roots` (PEM; none: nothing to check against).

    The roots may stand in the chain or not. Raises CertificateUnfit.
    """
    chain = read_chain(chain_pem)
    leaf, request = chain[0], x509.load_pem_x509_csr(csr_pem.encode())
    if _public(leaf) != _public(request):
        raise CertificateUnfit("for another key")
    if leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME) != request.subject.get_attributes_for_oid(
        NameOID.COMMON_NAME
    ):
        raise CertificateUnfit("for another name")
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        raise CertificateUnfit("not valid now")
    for certificate, issuer in itertools.pairwise(chain):
        if not is_signed_by(certificate, issuer):
            raise CertificateUnfit("the chain does not fit together")
    anchors = [x509.load_pem_x509_certificate(root.encode()) for root in roots]
    if anchors and not any(chain[-1] == anchor or is_signed_by(chain[-1], anchor) for anchor in anchors):
        raise CertificateUnfit("under none of the roots")


def _public(holder: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def ends_at(chain_pem: str) -> float:
    """The last second of a chain's leaf."""
    return read_chain(chain_pem)[0].not_valid_after_utc.timestamp()


def hash_data(certificate: x509.Certificate, issuer: x509.Certificate, algorithm: str) -> dict[str, str]:
    """CertificateHashData (RFC 6960 CertID): lower case, serial number without leading zeroes."""
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, _HASHES[algorithm]()).build()
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": request.issuer_name_hash.hex(),
        "issuerKeyHash": request.issuer_key_hash.hex(),
        "serialNumber": format(certificate.serial_number, "x"),
    }
