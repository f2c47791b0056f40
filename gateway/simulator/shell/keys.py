"""Key pairs and requests for certificates."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.simulator.core.effects import MakeKey

__all__ = ["make_key"]


def make_key(wanted: MakeKey) -> tuple[str, str]:
    """A new key and a request signed with it (PKCS#10), both PEM. Takes up to a second for RSA."""
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if wanted.kind == "rsa":
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, wanted.organization),
            x509.NameAttribute(NameOID.COMMON_NAME, wanted.common_name),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key_pem.decode(), request.public_bytes(Encoding.PEM).decode()
