"""Signatures over prepared bytes, made through cryptography's key interface: a file key, an HSM and a remote key look alike."""

from typing import Final

from asn1crypto.algos import SignedDigestAlgorithm
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from pki.keys import PrivateKey, PublicKey

__all__ = ["algorithm_der", "require_own_key", "sign", "signature_hash"]

_P384_BITS: Final = 384


def signature_hash(key: PrivateKey | PublicKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """SHA-256 (A00.FR.506), and what fits the curve where that is stronger (RFC 5480, 4)."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and key.curve.key_size >= _P384_BITS:
        return hashes.SHA384() if key.curve.key_size == _P384_BITS else hashes.SHA512()
    return hashes.SHA256()


def algorithm_der(key: PrivateKey | PublicKey) -> bytes:
    """The AlgorithmIdentifier of what `sign` makes."""
    kind = "rsa" if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) else "ecdsa"
    return bytes(SignedDigestAlgorithm({"algorithm": f"{signature_hash(key).name}_{kind}"}).dump())


def sign(key: PrivateKey, data: bytes) -> bytes:
    """The signature as X.509 carries it: DER for ECDSA, PKCS #1 v1.5 for RSA."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), signature_hash(key))
    return key.sign(data, ec.ECDSA(signature_hash(key)))


def require_own_key(certificate: x509.Certificate, key: PrivateKey) -> None:
    """Raises ValueError unless `key` is that of `certificate`: nobody could verify what it signs."""
    if key.public_key() != certificate.public_key():
        raise ValueError("the key is not that of the certificate")
