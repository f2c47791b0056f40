"""Private keys: which kinds there are, and how they are written. No key ever appears in a log or a repr of ours."""

import os
from pathlib import Path
from typing import Final, Literal, get_args

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

__all__ = [
    "KEY_KINDS",
    "SUBJECT_KEY_KINDS",
    "KeyKind",
    "PrivateKey",
    "PublicKey",
    "SubjectKey",
    "SubjectKeyKind",
    "certificate_key",
    "generate_key",
    "subject_key",
    "write_key",
]

KeyKind = Literal["ec-p256", "ec-p384", "ec-p521", "rsa-2048", "rsa-3072", "rsa-4096"]
KEY_KINDS: Final[tuple[KeyKind, ...]] = get_args(KeyKind)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
SubjectKeyKind = KeyKind | Literal["ed448"]
"""What may be certified: a CA of ours has none of the last, and an SECC of ISO 15118-20 may."""
SUBJECT_KEY_KINDS: Final[tuple[SubjectKeyKind, ...]] = (*KEY_KINDS, "ed448")
SubjectKey = PublicKey | ed448.Ed448PublicKey


def certificate_key(certificate: x509.Certificate) -> PublicKey:
    """The key in a certificate. Raises ValueError for one that is neither RSA nor EC."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise ValueError(f"a key that is neither RSA nor EC: {type(key).__name__}")  # noqa: TRY004  bad data, not a bad call
    return key


def subject_key(certificate: x509.Certificate) -> SubjectKey:
    """The key in a certificate of any subject. Raises ValueError for one of a kind that is never certified here."""
    key = certificate.public_key()
    if isinstance(key, ed448.Ed448PublicKey):
        return key
    return certificate_key(certificate)


def generate_key(kind: KeyKind) -> PrivateKey:
    """A fresh key. All kinds satisfy A00.FR.501-503."""
    match kind:
        case "ec-p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ec-p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ec-p521":
            return ec.generate_private_key(ec.SECP521R1())
        case "rsa-2048" | "rsa-3072" | "rsa-4096":
            return rsa.generate_private_key(65537, int(kind.removeprefix("rsa-")))


def write_key(key: PrivateKey, path: Path, secret: bytes | None = None) -> None:
    """PKCS#8 PEM, readable by the owner only from the first moment on; encrypted if there is a `secret`.

    The encryption stretches the secret only a little (PBKDF2, 2048 rounds): it has to be random, of 128 bits or more, and
    not something that a person remembers.
    """
    encryption: KeySerializationEncryption = NoEncryption() if secret is None else BestAvailableEncryption(secret)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
