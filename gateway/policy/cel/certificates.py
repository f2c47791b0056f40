"""`certificate.issuedBy(roots)`: whether one of the pinned certificates has signed this one, itself and with nothing in between.

It looks at names and signatures only. Whether a certificate is current, and what it may be used for, is a fact.
"""

from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from gateway.ocpp.unreadable import UNREADABLE
from gateway.policy.cel.operations import OperationError

__all__ = ["issued_by"]

_MAX_CHARS: Final = 12_000
"""Of a certificate: more than any message of OCPP may hold in one field."""
_MAX_ROOTS: Final = 64
_MAX_RSA_BITS: Final = 8_192
_MAX_RSA_EXPONENT: Final = 2**32


@lru_cache(maxsize=256)
def _root(pem: str) -> x509.Certificate:
    """A pinned certificate: few, and the same for as long as a pack is loaded. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem.encode("ascii"))


def _is_quick(key: object) -> bool:
    """Whether checking a signature of that key takes well below a millisecond."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size <= _MAX_RSA_BITS and key.public_numbers().e < _MAX_RSA_EXPONENT
    return isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def issued_by(certificate: Any, roots: Any) -> bool:
    """True if `certificate` (PEM) names one of `roots` (PEM texts) as its issuer and bears its signature.

    False for what is no certificate: it is issued by nobody. Raises OperationError where a root is none, so that a mistake
    in what is pinned never lets anything pass.
    """
    if type(certificate) is not str or type(roots) not in {list, tuple}:
        raise OperationError("issuedBy() needs a certificate and a list of certificates")
    if len(roots) > _MAX_ROOTS:
        raise OperationError(f"issuedBy() takes {_MAX_ROOTS} certificates at most")
    try:
        pinned = [_root(root) for root in roots]
        quick = [root for root in pinned if _is_quick(root.public_key())]
    except (AttributeError, *UNREADABLE):
        raise OperationError("issuedBy(): what is pinned is no certificate in PEM") from None
    try:
        shown = x509.load_pem_x509_certificate(certificate[: _MAX_CHARS + 1].encode("ascii"))
        return len(certificate) <= _MAX_CHARS and any(_has_signed(root, shown) for root in quick)
    except UNREADABLE:
        return False


def _has_signed(root: x509.Certificate, shown: x509.Certificate) -> bool:
    if root.subject != shown.issuer:
        return False
    try:
        shown.verify_directly_issued_by(root)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
