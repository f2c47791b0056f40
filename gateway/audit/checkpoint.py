"""Checkpoints (c2sp.org/tlog-checkpoint): origin, size and root of the log, signed by the log and by witnesses.

The log signs twice: with Ed25519, which every verifier knows, and with ML-DSA-44, which outlives quantum computers and
carries the time. Keys come in as arguments; where they are kept is the shell's business.
"""

import re
import struct
from collections.abc import Iterable
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from gateway.audit.note import (
    ED25519,
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    Note,
    NoteInvalid,
    NoteSignature,
    VerifierKey,
    from_base64,
    parse_note,
    to_base64,
)
from gateway.audit.tree import HASH_BYTES

__all__ = [
    "Checkpoint",
    "LogSigner",
    "SignatureInvalid",
    "VerifiedCheckpoint",
    "WitnessSigner",
    "signed_by_both",
    "verify_checkpoint",
]

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_TIME: Final = struct.Struct(">Q")
_SUBTREE: Final = b"subtree/v1\n\x00"
_LINES: Final = 3
_MAX_NAME_BYTES: Final = 255


class SignatureInvalid(Exception):  # noqa: N818  a verdict
    """A checkpoint that is not signed as it must be."""


class Checkpoint(msgspec.Struct, frozen=True):
    """The head of a log."""

    origin: str
    """Identifies the log: a URL without scheme, of at most 255 bytes."""
    size: int
    """Entries."""
    root: bytes
    """32 bytes."""

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """From the text of a note, without extension lines. Raises NoteInvalid."""
        lines = text.split("\n")
        if len(lines) != _LINES + 1 or lines[-1] or not lines[0]:
            raise NoteInvalid("not the three lines of a checkpoint")
        if not _SIZE.fullmatch(lines[1]):
            raise NoteInvalid("a checkpoint without a size")
        root = from_base64(lines[2])
        if len(root) != HASH_BYTES:
            raise NoteInvalid("a checkpoint without a root")
        return cls(lines[0], int(lines[1]), root)


def _cosigned(checkpoint: Checkpoint, name: str, time_s: int) -> bytes:
    """The message of an ML-DSA-44 cosignature (c2sp.org/tlog-cosignature)."""
    parts = [_SUBTREE]
    for text, after in ((name, (time_s,)), (checkpoint.origin, (0, checkpoint.size))):
        raw = text.encode()
        parts += [bytes([len(raw)]), raw, *(_TIME.pack(number) for number in after)]
    return b"".join(parts) + checkpoint.root


def _timed(checkpoint: Checkpoint, time_s: int) -> bytes:
    """The message of an Ed25519 cosignature."""
    return f"cosignature/v1\ntime {time_s}\n{checkpoint.text}".encode()


class LogSigner:
    """Both keys of a log. Its repr shows no key."""

    def __init__(self, origin: str, ed25519: Ed25519PrivateKey, ml_dsa_44: MLDSA44PrivateKey) -> None:
        if not 0 < len(origin.encode()) <= _MAX_NAME_BYTES or re.search(r"[\s+]", origin):
            raise ValueError("an origin has 1 to 255 bytes, without spaces and '+'")
        self.origin = origin
        self._ed25519 = ed25519
        self._ml_dsa_44 = ml_dsa_44
        self.keys = (
            VerifierKey(origin, ED25519, ed25519.public_key().public_bytes_raw()),
            VerifierKey(origin, ML_DSA_44_COSIGNATURE, ml_dsa_44.public_key().public_bytes_raw()),
        )

    def named(self, origin: str) -> "LogSigner":
        """The same keys for another log, or another shard of it."""
        return LogSigner(origin, self._ed25519, self._ml_dsa_44)

    def sign(self, size: int, root: bytes, time_s: int) -> bytes:
        """The checkpoint as a file. `time_s`: seconds since the epoch, vouched for by the ML-DSA-44 signature."""
        checkpoint = Checkpoint(self.origin, size, root)
        classic, lasting = self.keys
        signed = self._ml_dsa_44.sign(_cosigned(checkpoint, self.origin, time_s))
        signatures = (
            NoteSignature(classic.name, classic.key_id, self._ed25519.sign(checkpoint.text.encode())),
            NoteSignature(lasting.name, lasting.key_id, _TIME.pack(time_s) + signed),
        )
        return Note(checkpoint.text, signatures).encode()


def signed_by_both(first: bytes, second: bytes) -> bytes:
    """One checkpoint with the signatures of two. Raises NoteInvalid, ValueError if they are not of the same head."""
    one, other = parse_note(first), parse_note(second)
    if one.text != other.text:
        raise ValueError("two checkpoints")
    return Note(one.text, (*one.signatures, *other.signatures)).encode()


class WitnessSigner:
    """The key of a witness, which cosigns checkpoints that are consistent with all it has seen."""

    def __init__(self, name: str, ed25519: Ed25519PrivateKey) -> None:
        self._ed25519 = ed25519
        self.key = VerifierKey(name, ED25519_COSIGNATURE, ed25519.public_key().public_bytes_raw())

    def cosign(self, checkpoint: Checkpoint, time_s: int) -> NoteSignature:
        """A cosignature of type 0x04."""
        signature = self._ed25519.sign(_timed(checkpoint, time_s))
        return NoteSignature(self.key.name, self.key.key_id, _TIME.pack(time_s) + signature)


class VerifiedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint, and what is known about it. Made by `verify_checkpoint` only."""

    checkpoint: Checkpoint
    by: tuple[VerifierKey, ...]
    """Keys whose signatures were verified."""
    time_s: int | None
    """The latest time that a verified signature vouches for, in seconds since the epoch."""
    unknown: tuple[str, ...]
    """Names in signatures by keys we do not know; nothing was verified about them."""


def verify_checkpoint(
    data: bytes, required: Iterable[VerifierKey], also: Iterable[VerifierKey] = ()
) -> VerifiedCheckpoint:
    """Check a checkpoint file: every `required` key has signed, and no signature by a key we know is wrong.

    `also`: keys (of witnesses) that may have signed. Raises NoteInvalid, SignatureInvalid.
    """
    note = parse_note(data)
    checkpoint = Checkpoint.parse(note.text)
    required = tuple(required)
    known = {(key.name, key.key_id): key for key in (*required, *also)}
    by: list[VerifierKey] = []
    times: list[int] = []
    unknown: list[str] = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            unknown.append(signature.name)
        elif key in by:
            raise SignatureInvalid(f"two signatures by one key of {key.name}")
        else:
            times += _verify(key, checkpoint, signature.data)
            by.append(key)
    missing = [key for key in required if key not in by]
    if missing or not by:
        raise SignatureInvalid(f"no signature by {missing[0].name if missing else 'a key we know'}")
    return VerifiedCheckpoint(checkpoint, tuple(by), max(times, default=None), tuple(unknown))


def _verify(key: VerifierKey, checkpoint: Checkpoint, data: bytes) -> list[int]:
    """One signature; returns the time in it, if it has one. Raises SignatureInvalid."""
    try:
        if key.algorithm == ED25519:
            # The text does not name the key, and one key may sign for several shards (ML-DSA-44 names both).
            if key.name != checkpoint.origin:
                raise SignatureInvalid(f"a signature of {key.name} under a checkpoint of {checkpoint.origin}")
            Ed25519PublicKey.from_public_bytes(key.public).verify(data, checkpoint.text.encode())
            return []
        if len(data) < _TIME.size:
            raise SignatureInvalid(f"a signature of {key.name} without a time")
        time_s, signed = _TIME.unpack_from(data)[0], data[_TIME.size :]
        if key.algorithm == ED25519_COSIGNATURE:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signed, _timed(checkpoint, time_s))
        else:
            MLDSA44PublicKey.from_public_bytes(key.public).verify(signed, _cosigned(checkpoint, key.name, time_s))
    except InvalidSignature as error:
        raise SignatureInvalid(f"a signature of {key.name} is wrong") from error
    return [int(time_s)]
