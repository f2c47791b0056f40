"""Keys that nobody may use any more, by the SHA-256 of their SubjectPublicKeyInfo (DER).

Tables come from elsewhere (Debian's weak keys, keys found in firmware images, a national CERT) as text: one hash in hex a
line, then anything; `#` begins a comment. Hashes are kept as one sorted block of bytes: a million keys take 32 MB.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pki.errors import Misconfigured
from pki.keys import SubjectKey

__all__ = ["NO_BLOCKED_KEYS", "BlockedKeys", "parse_blocked_keys", "spki_sha256"]

_HASH_BYTES: Final = 32


def spki_sha256(key: SubjectKey) -> bytes:
    """The name under which a key is known here: 32 bytes."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


class BlockedKeys:
    """A set of key hashes."""

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._sorted = sorted(set(hashes))

    def __contains__(self, spki_hash: bytes) -> bool:
        index = bisect_left(self._sorted, spki_hash)
        return index < len(self._sorted) and self._sorted[index] == spki_hash

    def __len__(self) -> int:
        return len(self._sorted)


NO_BLOCKED_KEYS: Final = BlockedKeys()


def parse_blocked_keys(text: str, name: str = "table of blocked keys") -> BlockedKeys:
    """The table in `text`. Raises Misconfigured with the line: a table read in part would let keys through."""
    hashes = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            value = bytes.fromhex(words[0])
        except ValueError:
            value = b""
        if len(value) != _HASH_BYTES:
            raise Misconfigured(f"{name}, line {number}: not a SHA-256 in hex (64 digits)")
        hashes.append(value)
    return BlockedKeys(hashes)
