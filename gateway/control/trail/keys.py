"""The keys that sign checkpoints: made at the first start, kept apart from the log, for the gateway's user alone."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

__all__ = [
    "KeyUnusable",
    "SigningKeys",
    "keys_at_hand",
    "load_or_make_ed25519",
    "load_or_make_keys",
    "load_or_make_seed",
    "make_next_keys",
    "take_next_keys",
]

_SEED_BYTES: Final = 32
_ED25519: Final = "ed25519.seed"
_ML_DSA_44: Final = "ml-dsa-44.seed"
_NEXT: Final = "next"
"""Keys that the log is about to be signed with, below the directory of those it is signed with."""


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
    classic = _seed(directory / _ED25519, may_make=may_make)
    lasting = _seed(directory / _ML_DSA_44, may_make=may_make)
    return SigningKeys(Ed25519PrivateKey.from_private_bytes(classic), MLDSA44PrivateKey.from_seed_bytes(lasting))


def make_next_keys(directory: Path) -> SigningKeys:
    """New keys beside those in use, in place of any that were made and did not come into use. Raises OSError."""
    place = directory / _NEXT
    for name in (_ED25519, _ML_DSA_44):
        (place / name).unlink(missing_ok=True)
    return load_or_make_keys(place, may_make=True)


def keys_at_hand(directory: Path) -> Iterator[SigningKeys]:
    """The keys in use, and those that are next; and, where a crash came between two files, one of each.

    Raises OSError, KeyUnusable for the keys in use.
    """
    yield load_or_make_keys(directory, may_make=False)
    seeds: dict[str, list[bytes]] = {}
    for name in (_ED25519, _ML_DSA_44):
        seeds[name] = [_seed(directory / name, may_make=False)]
        with contextlib.suppress(KeyUnusable):
            seeds[name].append(_seed(directory / _NEXT / name, may_make=False))
    for classic in seeds[_ED25519]:
        for lasting in seeds[_ML_DSA_44]:
            yield SigningKeys(Ed25519PrivateKey.from_private_bytes(classic), MLDSA44PrivateKey.from_seed_bytes(lasting))


def take_next_keys(directory: Path) -> None:
    """The next keys are those in use from now on; the old ones are overwritten. May be called again. Raises OSError."""
    place = directory / _NEXT
    for name in (_ED25519, _ML_DSA_44):
        with contextlib.suppress(FileNotFoundError):
            _overwrite(directory / name, place / name)
    _sync(directory)
    with contextlib.suppress(FileNotFoundError):
        place.rmdir()


def _overwrite(path: Path, by: Path) -> None:
    """Put a file in the place of another one, whose bytes do not stay on the disk. Raises OSError."""
    by.lstat()
    old = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        by.replace(path)
        _sync(path.parent)
        os.write(old, bytes(_SEED_BYTES))
        os.fsync(old)
    finally:
        os.close(old)


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
    _sync(path.parent)
    return seed


def _sync(directory: Path) -> None:
    """The names in it are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
