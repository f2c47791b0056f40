"""What goes with signatures that are not made by a certificate builder: their algorithm as X.509 carries it, and whose key it is.

The signature itself is `pki.signing.sign_tbs`: a file key, an HSM and the signer process look alike to it.
"""

from asn1crypto.algos import SignedDigestAlgorithm
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from pki.keys import PrivateKey
from pki.signing import hash_for

__all__ = ["algorithm_der", "require_own_key"]


def algorithm_der(key: PrivateKey) -> bytes:
    """The AlgorithmIdentifier of what `sign_tbs` makes with this key."""
    kind = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa"
    return bytes(SignedDigestAlgorithm({"algorithm": f"{hash_for(key.public_key()).name}_{kind}"}).dump())


def require_own_key(certificate: x509.Certificate, key: PrivateKey) -> None:
    """Raises ValueError unless `key` is that of `certificate`: nobody could verify what it signs."""
    if key.public_key() != certificate.public_key():
        raise ValueError("the key is not that of the certificate")
