"""Proofs as files (c2sp.org/tlog-proof): index, inclusion proof and checkpoint, so that one record stands for itself."""

import re
from typing import Final

import msgspec

from gateway.audit.note import NoteInvalid, from_base64, to_base64
from gateway.audit.tree import HASH_BYTES

__all__ = ["ProofFile"]

_HEAD: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)
_MAX_HASHES: Final = 63


class ProofFile(msgspec.Struct, frozen=True):
    """The content of a ``.tlog-proof`` file. Nothing in it is verified yet."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The checkpoint file, verbatim."""
    extra: bytes = b""
    """What nothing here authenticates."""

    def encode(self) -> bytes:
        """The file."""
        extra = [f"extra {to_base64(self.extra)}"] if self.extra else []
        lines = [_HEAD, *extra, f"index {self.index}", *map(to_base64, self.hashes)]
        return "\n".join(lines).encode() + b"\n\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> "ProofFile":
        """From a file. Raises NoteInvalid."""
        head, blank, checkpoint = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise NoteInvalid("a proof that is not ASCII") from error
        if not blank or lines.pop(0) != _HEAD:
            raise NoteInvalid(f"does not begin with {_HEAD}")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = from_base64(lines.pop(0).removeprefix("extra "))
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if index is None:
            raise NoteInvalid("a proof without an index")
        hashes = tuple(map(from_base64, lines))
        if len(hashes) > _MAX_HASHES or any(len(each) != HASH_BYTES for each in hashes):
            raise NoteInvalid("a proof with something else than hashes")
        return cls(int(index[1]), hashes, checkpoint, extra)
