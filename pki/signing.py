"""Between what is to be signed and what is signed: algorithms, throw-away signatures, and the comparison afterwards."""

import secrets
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

from pki.der_limits import assemble_signed, children
from pki.keys import PrivateKey, PublicKey, generate_key
from pki.signatures import signature_hash

__all__ = [
    "ThrowAwayKeys",
    "certificate_of",
    "random_serial",
    "unsigned_certificate",
    "unsigned_revocation_list",
    "verify_algorithm",
    "verify_signature",
    "verify_signed",
]

_ALGORITHM_PART: Final = 2
"""In TBSCertificate after version and serial number (RFC 5280, 4.1.2)."""
_LIST_ALGORITHM_PART: Final = 1
"""In TBSCertList after the version, which every list of ours has (RFC 5280, 5.1.2)."""
_OIDS: Final = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: (True, "sha256"),
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: (True, "sha384"),
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: (True, "sha512"),
    SignatureAlgorithmOID.RSA_WITH_SHA256: (False, "sha256"),
}


def certificate_of(tbs: bytes, signature: bytes) -> bytes:
    """The certificate, DER. Raises ValueError if `tbs` is not the body of one."""
    parts = children(tbs)
    if len(parts) <= _ALGORITHM_PART:
        raise ValueError("not the body of a certificate")
    return assemble_signed(tbs, parts[_ALGORITHM_PART], signature)


def unsigned_certificate(tbs: bytes) -> x509.Certificate:
    """To be looked at only: the certificate with an empty signature. Raises ValueError."""
    certificate = x509.load_der_x509_certificate(certificate_of(tbs, b""))
    if certificate.tbs_certificate_bytes != tbs:
        raise ValueError("not the body of exactly one certificate")
    return certificate


def unsigned_revocation_list(tbs: bytes, issuer: PublicKey) -> x509.CertificateRevocationList:
    """To be looked at only, and to be signed with the algorithm of `issuer`. Raises ValueError."""
    parts = children(tbs)
    if len(parts) <= _LIST_ALGORITHM_PART:
        raise ValueError("not the body of a revocation list")
    found = x509.load_der_x509_crl(assemble_signed(tbs, parts[_LIST_ALGORITHM_PART], b""))
    if found.tbs_certlist_bytes != tbs:
        raise ValueError("not the body of exactly one revocation list")
    verify_algorithm(found, issuer)
    return found


def verify_signed(certificate: x509.Certificate, tbs: bytes, issuer: PublicKey) -> None:
    """What came back is what was asked for, and the issuer has signed it. Raises ValueError."""
    if certificate.tbs_certificate_bytes != tbs:
        raise ValueError("another certificate than was asked for")
    verify_algorithm(certificate, issuer)
    verify_signature(issuer, certificate.signature, tbs)


def verify_signature(issuer: PublicKey, signature: bytes, tbs: bytes) -> None:
    """`issuer` has signed `tbs`, with the hash that goes with its key. Raises ValueError."""
    try:
        if isinstance(issuer, ec.EllipticCurvePublicKey):
            issuer.verify(signature, tbs, ec.ECDSA(signature_hash(issuer)))
        else:
            issuer.verify(signature, tbs, padding.PKCS1v15(), signature_hash(issuer))
    except InvalidSignature:
        raise ValueError("the signature is not the issuer's") from None


def verify_algorithm(certificate: x509.Certificate | x509.CertificateRevocationList, issuer: PublicKey) -> None:
    """The algorithm that a certificate or list names is the one that its issuer's key signs with. Raises ValueError."""
    wanted = (isinstance(issuer, ec.EllipticCurvePublicKey), signature_hash(issuer).name)
    if _OIDS.get(certificate.signature_algorithm_oid) != wanted:
        raise ValueError(
            f"signature algorithm {certificate.signature_algorithm_oid.dotted_string} is not that of the issuer"
        )


class ThrowAwayKeys:
    """Keys that sign what is only looked at: one of each kind, never written anywhere, worth nothing."""

    def __init__(self) -> None:
        self._keys: dict[str, PrivateKey] = {}

    def sign(self, builder: x509.CertificateBuilder, issuer: PublicKey) -> x509.Certificate:
        """What `issuer` would sign, with the algorithm that it signs with, and a worthless signature."""
        return builder.sign(self._like(issuer), signature_hash(issuer))

    def _like(self, key: PublicKey) -> PrivateKey:
        kind = "rsa" if isinstance(key, rsa.RSAPublicKey) else key.curve.name
        if kind not in self._keys:
            made = generate_key("rsa-2048") if isinstance(key, rsa.RSAPublicKey) else ec.generate_private_key(key.curve)
            self._keys[kind] = made
        return self._keys[kind]


def random_serial() -> int:
    """A serial number of 20 octets with 158 random bits; positive, and never shorter (RFC 5280, 4.1.2.2)."""
    return 1 << 158 | secrets.randbits(158)
