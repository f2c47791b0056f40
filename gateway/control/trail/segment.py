"""Segments: where records are made durable before anything else happens to them.

A segment is a header with the index of its first record, and frames: u32 length, u32 CRC-32, envelope. The checksum is
seeded with the record's index, so that a frame is valid in its own place only. A segment is given up once tiles and
bundles hold all its records for good.
"""

import re
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from gateway.control.trail.layout import read_file

__all__ = ["Segment", "frames", "header", "read_segment", "segment_name", "segments_in"]

_MAGIC: Final = b"OCPPGW audit 1\n\0"
_HEADER: Final = struct.Struct(">16sQI")
_FRAME: Final = struct.Struct(">II")
_NAME: Final = re.compile(r"segment-([0-9]{16})", re.ASCII)


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """What was read from one file."""

    path: Path
    first: int
    """Index of its first record."""
    records: list[bytes]
    valid_bytes: int
    """Header and whole frames."""
    torn: bytes
    """What follows them: the end of a write that did not finish, or damage."""

    @property
    def end(self) -> int:
        """Index behind its last record."""
        return self.first + len(self.records)


def segment_name(first: int) -> str:
    """File name of the segment that begins with record `first`."""
    return f"segment-{first:016d}"


def header(first: int) -> bytes:
    """What a segment begins with."""
    return _HEADER.pack(_MAGIC, first, zlib.crc32(_MAGIC + first.to_bytes(8)))


def frames(first: int, envelopes: Iterable[bytes]) -> bytes:
    """Envelopes as frames, the first of them being record `first`."""
    parts: list[bytes] = []
    for index, envelope in enumerate(envelopes, first):
        parts += (_FRAME.pack(len(envelope), _checksum(index, envelope)), envelope)
    return b"".join(parts)


def _checksum(index: int, envelope: bytes) -> int:
    return zlib.crc32(envelope, zlib.crc32(index.to_bytes(8)))


def segments_in(directory: Path) -> list[Path]:
    """Segment files in the order of their records."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def read_segment(path: Path) -> Segment:
    """All whole records of a segment. A file whose header was not written is an empty segment. Raises OSError."""
    data = read_file(path)
    match = _NAME.fullmatch(path.name)
    first = int(match[1]) if match else 0
    if data[: _HEADER.size] != header(first):
        return Segment(path=path, first=first, records=[], valid_bytes=0, torn=data)
    records: list[bytes] = []
    at = _HEADER.size
    while at + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, at)
        begin = at + _FRAME.size
        envelope = data[begin : begin + length]
        if len(envelope) < length or _checksum(first + len(records), envelope) != checksum:
            break
        records.append(envelope)
        at = begin + length
    return Segment(path=path, first=first, records=records, valid_bytes=at, torn=data[at:])
