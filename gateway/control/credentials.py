"""Hashes passwords and verifies them, off the event loop, at equal cost for known and unknown identities.

argon2id for everything of our own; imported bcrypt and PBKDF2 hashes are verified and handed back upgraded. An imported
hash takes its own time until its first use, and a second, pending password twice the time: that much shows.
A verified credential is remembered under an HMAC with a key of this process, so a reconnect storm costs no key
derivation. What is remembered holds for one stored hash only: another password has another hash.
"""

import asyncio
import base64
import binascii
import functools
import hashlib
import hmac
import os
import re
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal

import argon2
import bcrypt
import msgspec

from gateway.identity.basic_auth import Reading, readings
from gateway.identity.evidence import BasicCredentials
from gateway.identity.record import ChargePointRecord

__all__ = ["PasswordVerifier", "Verified", "hash_password", "is_supported_hash"]

_HASHER: Final = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_BCRYPT: Final = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_BCRYPT_MAX_BYTES = 72
_BCRYPT_COSTS = range(4, 18)
_MAX_PBKDF2_ROUNDS = 10_000_000
_MIN_DIGEST_BYTES = 16
_MAX_ARGON2_KIB, _MAX_ARGON2_PASSES, _MAX_ARGON2_LANES = 1_048_576, 64, 64
_MAX_CACHED = 200_000
_THREADS = max(2, min(8, (os.cpu_count() or 1) // 2))
"""Half the cores: a storm of first logins must leave the other half to the edges."""

Slot = Literal["current", "pending"]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A password matched."""

    slot: Slot
    """Where the matched hash stands in the record."""
    reading: Reading
    phc: str
    """The stored hash that was matched."""
    upgraded_phc: str | None = None
    """An argon2id hash of the same password to store instead of the imported one, or None."""
    refuted_phc: str | None = None
    """The pending hash that stood beside the current one: it was not used, so it is no candidate any more."""

    def __repr__(self) -> str:
        return f"Verified(slot={self.slot!r}, reading={self.reading!r}, <hashes hidden>)"

    @property
    def hashes(self) -> tuple[str, ...]:
        """Under which the registry may hold this password."""
        return (self.phc,) if self.upgraded_phc is None else (self.phc, self.upgraded_phc)


def hash_password(secret: bytes) -> str:
    """An argon2id hash string of `secret`. Takes tens of milliseconds."""
    return _HASHER.hash(secret)


@functools.cache
def _nobodys_hash() -> str:
    """What a password for an unknown identity is compared with."""
    return hash_password(os.urandom(20))


def is_supported_hash(text: str) -> bool:
    """True for a hash string that `PasswordVerifier` can verify, at a cost that this machine can bear."""
    bcrypt_cost = _BCRYPT.fullmatch(text)
    if bcrypt_cost is not None:
        return int(bcrypt_cost[1]) in _BCRYPT_COSTS
    return _is_bearable_argon2id(text) or _read_pbkdf2(text) is not None


def _is_bearable_argon2id(text: str) -> bool:
    if not text.startswith("$argon2id$"):
        return False
    try:
        parameters = argon2.extract_parameters(text)
    except argon2.exceptions.InvalidHashError:
        return False
    return (
        parameters.hash_len >= _MIN_DIGEST_BYTES
        and parameters.memory_cost <= _MAX_ARGON2_KIB
        and parameters.time_cost <= _MAX_ARGON2_PASSES
        and parameters.parallelism <= _MAX_ARGON2_LANES
    )


def _read_pbkdf2(text: str) -> tuple[str, int, bytes, bytes] | None:
    """(hash name, rounds, salt, digest) of passlib's or Django's PBKDF2 strings."""
    try:
        if text.startswith(("$pbkdf2-", "$pbkdf2$")):
            _, scheme, rounds, salt, digest = text.split("$")
            # passlib leaves the name of SHA-1 out.
            found = scheme[7:] or "sha1", int(rounds), _from_passlib(salt), _from_passlib(digest)
        elif text.startswith("pbkdf2_"):
            scheme, rounds, salt, digest = text.split("$")
            found = scheme[7:], int(rounds), salt.encode(), base64.b64decode(digest)
        else:
            return None
    except (ValueError, binascii.Error):
        return None
    name, rounds_of, _, digest_of = found
    usable = (
        name in {"sha1", "sha256", "sha512"}
        and 0 < rounds_of <= _MAX_PBKDF2_ROUNDS
        and len(digest_of) >= _MIN_DIGEST_BYTES
    )
    return found if usable else None


def _from_passlib(text: str) -> bytes:
    """Its base64: dots for plus signs, no padding."""
    return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4))


def _matches(phc: str, secret: bytes) -> bool:
    """Constant-time comparison of a secret with a stored hash; False for a hash nobody can read."""
    if phc.startswith("$argon2"):
        try:
            return _HASHER.verify(phc, secret)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
    if _BCRYPT.fullmatch(phc):
        # bcrypt ignores what is behind 72 bytes and behind a NUL: a longer password must not match its beginning.
        if len(secret) > _BCRYPT_MAX_BYTES or b"\0" in secret:
            return False
        try:
            return bcrypt.checkpw(secret, phc.encode())
        except ValueError:
            return False
    pbkdf2 = _read_pbkdf2(phc)
    if pbkdf2 is None:
        return False
    name, rounds, salt, digest = pbkdf2
    return hmac.compare_digest(hashlib.pbkdf2_hmac(name, secret, salt, rounds, len(digest)), digest)


def _verify(hashes: tuple[tuple[Slot, str], ...], password: bytes) -> Verified | None:
    for slot, phc in hashes:
        for reading, secret in readings(password):
            if _matches(phc, secret):
                upgraded = None if phc.startswith("$argon2id$") else hash_password(secret)
                pending = dict(hashes).get("pending") if slot == "current" else None
                return Verified(slot=slot, reading=reading, phc=phc, upgraded_phc=upgraded, refuted_phc=pending)
    return None


class PasswordVerifier:
    """Verifies Basic credentials against records, in a small thread pool."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="kdf")
        self._key = os.urandom(32)
        self._verified: OrderedDict[bytes, Reading] = OrderedDict()
        """By HMAC of identity, stored hash and password; where the hash stands may change, so that is not kept."""
        self._dummy: tuple[tuple[Slot, str], ...] = (("current", _nobodys_hash()),)

    @staticmethod
    def _hashes(record: ChargePointRecord) -> tuple[tuple[Slot, str], ...]:
        found: list[tuple[Slot, str]] = []
        if record.password is not None:
            found.append(("current", record.password.phc))
        if record.pending_password is not None:
            found.append(("pending", record.pending_password.phc))
        return tuple(found)

    def _cache_key(self, record: ChargePointRecord, slot_hash: str, password: bytes) -> bytes:
        parts = (record.charge_point_id.encode(), slot_hash.encode(), password)
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, message, "sha256")

    def known(self, record: ChargePointRecord, credentials: BasicCredentials) -> Verified | None:
        """The remembered outcome for exactly this password and stored hash; no key derivation."""
        hashes = self._hashes(record)
        for slot, phc in hashes:
            key = self._cache_key(record, phc, credentials.password)
            reading = self._verified.get(key)
            if reading is not None:
                self._verified.move_to_end(key)
                pending = dict(hashes).get("pending") if slot == "current" else None
                return Verified(slot=slot, reading=reading, phc=phc, refuted_phc=pending)
        return None

    async def verify(self, record: ChargePointRecord | None, credentials: BasicCredentials) -> Verified | None:
        """None unless the password is right. An unknown identity, or one without a password, costs as much as a wrong one."""
        hashes = self._hashes(record) if record is not None else ()
        loop = asyncio.get_running_loop()
        if record is None or not hashes:
            await loop.run_in_executor(self._pool, _verify, self._dummy, credentials.password)
            return None
        verified = await loop.run_in_executor(self._pool, _verify, hashes, credentials.password)
        if verified is not None:
            # Under the hash that will be stored: if that fails, the upgrade is tried again at the next login.
            phc = verified.upgraded_phc or verified.phc
            self._verified[self._cache_key(record, phc, credentials.password)] = verified.reading
            while len(self._verified) > _MAX_CACHED:
                self._verified.popitem(last=False)
        return verified

    async def hashed(self, secret: bytes) -> str:
        """`hash_password`, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, hash_password, secret)

    async def matches(self, phc: str, secret: bytes) -> bool:
        """True if `secret`, in exactly this reading, is the one behind a stored hash."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _matches, phc, secret)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
