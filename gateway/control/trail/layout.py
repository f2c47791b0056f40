"""Where things lie below the audit directory. A shard can be served by any static web server, state/ excepted.

::

    lock                     held by the writer
    reserve                  room for the last words when the disk is full
    0001/                    a shard: one tree, one origin, one history
        checkpoint           signed head
        keys                 the public keys of the shard, one vkey a line
        tile/L/N[.p/W]       hashes
        tile/entries/N[.p/W] records
        ends/                what is left of a shard that was pruned: its first and last record with their proofs
        state/segment-N      records on their way into bundles
        state/settled        how many records are in tiles for good, written before their segments go
        state/published      size and root of the last checkpoint, written before it
"""

import errno
import os
import re
import stat
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.note import NoteInvalid, VerifierKey, parse_vkey
from gateway.audit.tiles import Tile

__all__ = ["FIRST", "Published", "Shard", "is_shard_name", "read_file", "shards_in"]

FIRST: Final = "0001"
"""The first shard of a log."""

_NAME: Final = re.compile(r"[0-9]{4}", re.ASCII)


def read_file(path: Path) -> bytes:
    """All of a regular file; a pipe or a device, which might keep us waiting for ever, is an OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        return file.read()


class Published(msgspec.Struct, frozen=True):
    """The head that was published last."""

    size: int
    root: bytes


class Shard:
    """Paths of one shard, and its small files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = directory.name
        self.state = directory / "state"
        self.tile_directory = directory / "tile"
        self.ends = directory / "ends"
        self.checkpoint = directory / "checkpoint"
        self.keys = directory / "keys"
        self.published = self.state / "published"
        self.settled = self.state / "settled"

    @property
    def is_pruned(self) -> bool:
        """True if its records were deleted; `verify` wants a record that says so."""
        return (self.ends / "last.tlog-proof").exists()

    def tile(self, tile: Tile) -> Path:
        """Path of a tile or bundle."""
        return self.directory / tile.path

    def read_tile(self, tile: Tile) -> bytes:
        """A tile, or as much of its full successor. Raises OSError."""
        try:
            return read_file(self.tile(tile))
        except FileNotFoundError:
            if tile == tile.full:
                raise
            # Whoever wrote the full one meanwhile may have removed this one (c2sp.org/tlog-tiles, partial tiles).
            return read_file(self.tile(tile.full))[: tile.width * 32]

    def read_published(self) -> Published | None:
        """The head published last, None if there is none yet. Raises OSError, msgspec.MsgspecError."""
        try:
            return msgspec.json.decode(read_file(self.published), type=Published)
        except FileNotFoundError:
            return None

    def read_settled(self) -> int | None:
        """How many records are in tiles for good; None if no segment has gone yet. Raises OSError, MsgspecError."""
        try:
            return msgspec.json.decode(read_file(self.settled), type=int)
        except FileNotFoundError:
            return None

    def read_keys(self) -> tuple[VerifierKey, ...]:
        """The keys as the shard itself states them. Raises OSError, NoteInvalid."""
        try:
            *lines, end = read_file(self.keys).decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise NoteInvalid("a file of keys that is not ASCII") from error
        if end:
            raise NoteInvalid("a file of keys whose last line does not end")
        return tuple(parse_vkey(line) for line in lines)


def is_shard_name(name: str) -> bool:
    """True for what a shard in an audit directory is called."""
    return _NAME.fullmatch(name) is not None


def shards_in(root: Path) -> list[Shard]:
    """The shards of an audit directory, oldest first; a directory that is itself a shard is one."""
    if (root / "checkpoint").exists() or (root / "tile").is_dir():
        return [Shard(root)]
    if not root.is_dir():
        return []
    return [Shard(path) for path in sorted(root.iterdir()) if _NAME.fullmatch(path.name) and path.is_dir()]
