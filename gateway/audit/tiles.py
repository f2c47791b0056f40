"""Tiles and entry bundles of a transparency log on plain files (c2sp.org/tlog-tiles).

A tile holds up to 256 hashes of one tree level; tile level L has the hashes of perfect subtrees of ``256**L`` leaves.
An entry bundle holds the entries of one level-0 tile. Rightmost ones are partial and have their width in the name.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from gateway.audit.tree import HASH_BYTES, leaf_hash, perfect_root, root_from_peaks

__all__ = [
    "ENTRIES",
    "MAX_ENTRY_BYTES",
    "TILE_WIDTH",
    "BundleInvalid",
    "GrowingTree",
    "Tile",
    "TileNodes",
    "decode_bundle",
    "encode_bundle",
    "parse_tile_path",
    "split_tile",
    "tiles_of",
]

TILE_WIDTH: Final = 256
MAX_ENTRY_BYTES: Final = 0xFFFF
ENTRIES: Final = -1
"""The level of entry bundles, in a `Tile`."""
_BITS: Final = 8
_MAX_LEVEL: Final = 63
_LENGTH: Final = struct.Struct(">H")
_PATH: Final = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


class BundleInvalid(Exception):  # noqa: N818  a verdict
    """Bytes that are no entry bundle, or no tile, of the width they should have."""


class Tile(NamedTuple):
    """Names one tile, or one entry bundle (`level` is ENTRIES)."""

    level: int
    number: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Path below the log's directory, e.g. ``tile/0/x001/234.p/17``."""
        groups = [f"{self.number % 1000:03d}"]
        rest = self.number // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        level = "entries" if self.level == ENTRIES else str(self.level)
        part = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{part}"

    @property
    def full(self) -> "Tile":
        """The tile this one is, or becomes."""
        return self._replace(width=TILE_WIDTH)


def parse_tile_path(path: str) -> Tile | None:
    """The tile that a path names, None if it names none. Each tile has exactly one path."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level = ENTRIES if match[1] == "entries" else int(match[1])
    tile = Tile(level, int(match[2].replace("x", "").replace("/", "")), int(match[3] or TILE_WIDTH))
    return tile if level <= _MAX_LEVEL and tile.path == path else None


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile and bundle that a tree of `size` entries consists of, partial ones only where none is full."""
    level = ENTRIES
    while size:
        full, rest = divmod(size, TILE_WIDTH)
        for number in range(full):
            yield Tile(level, number)
        if rest:
            yield Tile(level, full, rest)
        if level != ENTRIES:
            size = full
        level += 1


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries with their lengths. Raises ValueError for an entry of more than 65535 bytes."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise ValueError(f"an entry of {len(entry)} bytes")
        parts += (_LENGTH.pack(len(entry)), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Exactly `width` entries. Raises BundleInvalid."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        begin = at + _LENGTH.size
        if begin > len(data):
            raise BundleInvalid("ends inside a length")
        at = begin + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise BundleInvalid("ends inside an entry")
        entries.append(data[begin:at])
    if len(entries) != width:
        raise BundleInvalid(f"has {len(entries)} entries, not {width}")
    return entries


def split_tile(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile. Raises BundleInvalid."""
    if len(data) != width * HASH_BYTES:
        raise BundleInvalid(f"has {len(data)} bytes, not {width * HASH_BYTES}")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


class TileNodes:
    """Hashes of perfect subtrees (`gateway.audit.tree.Nodes`) out of the tiles of a tree of a certain size."""

    def __init__(self, read: Callable[[Tile], bytes], size: int) -> None:
        """`read` gives the bytes of a tile; what it raises passes through."""
        self._read = read
        self._size = size
        self._known: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        tile_level, height = divmod(level, _BITS)
        first = index << height
        hashes = self._tile(tile_level, first // TILE_WIDTH)
        offset = first % TILE_WIDTH
        return perfect_root(hashes[offset : offset + (1 << height)])

    def _tile(self, level: int, number: int) -> list[bytes]:
        known = self._known.get((level, number))
        if known is None:
            there = self._size >> _BITS * level
            width = min(TILE_WIDTH, there - number * TILE_WIDTH)
            known = split_tile(self._read(Tile(level, number, width)), width)
            self._known[level, number] = known
        return known


class GrowingTree:
    """The right edge of a tree: the hashes of its partial tiles, level by level; everything else is in full tiles."""

    def __init__(self, edges: Sequence[Sequence[bytes]] = (), size: int = 0) -> None:
        """`edges`: hashes of the partial tile of each level, as `read` finds them."""
        self._edges: list[list[bytes]] = [list(edge) for edge in edges] or [[]]
        self.size = size

    @classmethod
    def read(cls, read: Callable[[Tile], bytes], size: int) -> "GrowingTree":
        """The tree of `size` entries whose tiles `read` gives. Raises BundleInvalid, and what `read` raises."""
        edges: list[list[bytes]] = []
        rest = size
        while rest:
            rest, width = divmod(rest, TILE_WIDTH)
            edges.append(split_tile(read(Tile(len(edges), rest, width)), width) if width else [])
        return cls(edges, size)

    def append(self, entry: bytes) -> list[tuple[Tile, bytes]]:
        """Add one entry. Returns the hash tiles that are full now, with their bytes."""
        full: list[tuple[Tile, bytes]] = []
        level, found = 0, leaf_hash(entry)
        while True:
            edge = self._edges[level]
            edge.append(found)
            if len(edge) < TILE_WIDTH:
                break
            number = self.size >> _BITS * (level + 1)
            full.append((Tile(level, number), b"".join(edge)))
            found = perfect_root(edge)
            edge.clear()
            level += 1
            if level == len(self._edges):
                self._edges.append([])
        self.size += 1
        return full

    def partial(self) -> list[tuple[Tile, bytes]]:
        """The partial hash tiles at this size, with their bytes."""
        return [
            (Tile(level, self.size >> _BITS * (level + 1), len(edge)), b"".join(edge))
            for level, edge in enumerate(self._edges)
            if edge
        ]

    def root(self) -> bytes:
        """Root of the tree (RFC 6962, section 2.1)."""
        peaks: list[bytes] = []
        for edge in reversed(self._edges):
            at = 0
            for bit in reversed(range(_BITS)):
                width = 1 << bit
                if len(edge) & width:
                    peaks.append(perfect_root(edge[at : at + width]))
                    at += width
        return root_from_peaks(peaks)
