"""The keys that sign checkpoints: made at the first start, kept apart from the log, for the gateway's user alone."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

__all__ = ["KeyUnusable", "SigningKeys", "load_or_make_ed25519", "load_or_make_keys", "load_or_make_seed"]

_SEED_BYTES: Final = 32


class KeyUnusable(Exception):  # noqa: N818  a state
    """A signing key is not there, not ours alone, or not a key."""


class SigningKeys:
    """Both private keys of a log. Shows neither."""

    __slots__ = ("ed25519", "ml_dsa_44")

    def __init__(self, ed25519: Ed25519PrivateKey, ml_dsa_44: MLDSA44PrivateKey) -> None:
        self.ed25519 = ed25519
        self.ml_dsa_44 = ml_dsa_44


def load_or_make_keys(directory: Path, *, may_make: bool) -> SigningKeys:
    """The keys in a directory. Raises OSError, KeyUnusable.

    `may_make`: false where a log exists already: its keys must not be replaced in silence.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    classic = _seed(directory / "ed25519.seed", may_make=may_make)
    lasting = _seed(directory / "ml-dsa-44.seed", may_make=may_make)
    return SigningKeys(Ed25519PrivateKey.from_private_bytes(classic), MLDSA44PrivateKey.from_seed_bytes(lasting))


def load_or_make_ed25519(path: Path) -> Ed25519PrivateKey:
    """The key of a witness. Raises OSError, KeyUnusable."""
    return Ed25519PrivateKey.from_private_bytes(_seed(path, may_make=True))


def load_or_make_seed(path: Path) -> bytes:
    """32 random bytes, for keys that sign nothing. Raises OSError, KeyUnusable."""
    return _seed(path, may_make=True)


def _seed(path: Path, *, may_make: bool, random: Callable[[int], bytes] = os.urandom) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        if not may_make:
            raise KeyUnusable(f"{path} is missing: restore it, or begin a new history") from None
        return _made(path, random(_SEED_BYTES))
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077 or not stat.S_ISREG(found.st_mode):
            raise KeyUnusable(f"{path} must belong to the gateway's user and be readable by it alone: chmod 600 {path}")
        seed = os.read(descriptor, _SEED_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(seed) != _SEED_BYTES:
        raise KeyUnusable(f"{path} is not the {_SEED_BYTES} bytes of a key")
    return seed


def _made(path: Path, seed: bytes) -> bytes:
    """A new key, on disk before it signs anything."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, seed)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return seed
