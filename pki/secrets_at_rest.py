"""Keys and secrets as files: read only if nobody else can, and never shown."""

import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pki.errors import Misconfigured
from pki.keys import PrivateKey

__all__ = ["credential_path", "load_private_key", "read_private_file", "read_secret"]

_MAX_BYTES: Final = 100_000
_MIN_SECRET_BYTES: Final = 22
"""128 bits in base64: PKCS#8 stretches a secret only a little, so it must be random and long."""


def read_private_file(path: Path) -> bytes:
    """A file that only its owner, we or root, can read or write. Raises Misconfigured with the remedy."""
    try:
        # Opened first, so that what is checked is what is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from None
    try:
        _verify_private(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(_MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MAX_BYTES:
        raise Misconfigured(f"{path} is too large")
    return data


def _verify_private(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise Misconfigured(f"{path} is not a file")
    others = 0o037 if _is_credential(path, facts) else 0o077
    if facts.st_mode & others:
        raise Misconfigured(f"{path} can be read by others: chmod 600 {path}")
    if facts.st_uid not in {0, os.geteuid()}:
        raise Misconfigured(f"{path} belongs to another user, who can change it")


def _is_credential(path: Path, facts: os.stat_result) -> bool:
    """True for what systemd has put where only we can go: root's, 0440 with an access list that lets us read it."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory or path.parent != Path(directory) or facts.st_uid != 0:
        return False
    place = path.parent.stat()
    return place.st_uid in {0, os.geteuid()} and not place.st_mode & 0o027


def credential_path(name: str) -> Path:
    """Where systemd has put the credential (LoadCredentialEncrypted=). Raises Misconfigured."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise Misconfigured(f"credential {name}: the service was started without LoadCredentialEncrypted={name}:...")
    if "/" in name or name in {"", ".", ".."}:
        raise Misconfigured(f"credential {name!r}: not a name")
    return Path(directory) / name


def read_secret(path: Path) -> bytes:
    """A random secret, without the line end. Raises Misconfigured if it is too short to be one."""
    secret = read_private_file(path).strip()
    if len(secret) < _MIN_SECRET_BYTES:
        raise Misconfigured(f"{path} is too short for a random secret of 128 bits: openssl rand -base64 32 > {path}")
    return secret


def load_private_key(path: Path, secret: bytes | None) -> PrivateKey:
    """A PKCS#8 key in PEM. Raises Misconfigured, which says nothing of what the file or the secret holds."""
    data = read_private_file(path)
    try:
        key = load_pem_private_key(data, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = "" if secret else " Is it encrypted, and no secret configured?"
        raise Misconfigured(f"{path}: not a private key in PEM, or the secret does not fit.{hint}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Misconfigured(f"{path}: neither an RSA nor an EC key")
    return key
