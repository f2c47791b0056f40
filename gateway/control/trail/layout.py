"""Where things lie below the audit directory. A shard can be served by any static web server, state/ excepted.

::

    lock                     held by the writer
    reserve                  room for the last words when the disk is full
    0001/                    a shard: one tree, one origin, one history
        checkpoint           signed head
        keys                 the public keys of the shard, one vkey a line
        tile/L/N[.p/W]       hashes
        tile/entries/N[.p/W] records
        state/segment-N      records on their way into bundles
        state/settled        how many records are in tiles for good, written before their segments go
        state/published      size and root of the last checkpoint, written before it
"""

import re
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.note import NoteInvalid, VerifierKey, parse_vkey
from gateway.audit.tiles import Tile

__all__ = ["Published", "Shard", "shards_in"]

_NAME: Final = re.compile(r"[0-9]{4}", re.ASCII)


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
        self.checkpoint = directory / "checkpoint"
        self.keys = directory / "keys"
        self.published = self.state / "published"
        self.settled = self.state / "settled"

    def tile(self, tile: Tile) -> Path:
        """Path of a tile or bundle."""
        return self.directory / tile.path

    def read_tile(self, tile: Tile) -> bytes:
        """A tile, or as much of its full successor. Raises OSError."""
        try:
            return self.tile(tile).read_bytes()
        except FileNotFoundError:
            if tile == tile.full:
                raise
            # Whoever wrote the full one meanwhile may have removed this one (c2sp.org/tlog-tiles, partial tiles).
            return self.tile(tile.full).read_bytes()[: tile.width * 32]

    def read_published(self) -> Published | None:
        """The head published last, None if there is none yet. Raises OSError, msgspec.MsgspecError."""
        try:
            return msgspec.json.decode(self.published.read_bytes(), type=Published)
        except FileNotFoundError:
            return None

    def read_settled(self) -> int | None:
        """How many records are in tiles for good; None if no segment has gone yet. Raises OSError, MsgspecError."""
        try:
            return msgspec.json.decode(self.settled.read_bytes(), type=int)
        except FileNotFoundError:
            return None

    def read_keys(self) -> tuple[VerifierKey, ...]:
        """The keys as the shard itself states them. Raises OSError, NoteInvalid."""
        try:
            lines = self.keys.read_text("ascii").splitlines()
        except UnicodeDecodeError as error:
            raise NoteInvalid("a file of keys that is not ASCII") from error
        return tuple(parse_vkey(line) for line in lines)


def shards_in(root: Path) -> list[Shard]:
    """The shards of an audit directory, oldest first; a directory that is itself a shard is one."""
    if (root / "checkpoint").exists() or (root / "tile").is_dir():
        return [Shard(root)]
    if not root.is_dir():
        return []
    return [Shard(path) for path in sorted(root.iterdir()) if _NAME.fullmatch(path.name) and path.is_dir()]
