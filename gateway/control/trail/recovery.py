"""Opens a shard after a stop or a crash. What was published stays published, or the log does not start.

The records in segments are appended to the tree that the tiles before them make. Each head that was ever published and
is known here must come up on the way: a tree that is smaller, or different, is not continued.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import msgspec

from gateway.audit.checkpoint import LogSigner, SignatureInvalid, verify_checkpoint
from gateway.audit.note import NoteInvalid
from gateway.audit.tiles import (
    ENTRIES,
    TILE_WIDTH,
    BundleInvalid,
    GrowingTree,
    Tile,
    TileNodes,
    decode_bundle,
)
from gateway.audit.tree import leaf_hash, subtree_root
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import Published, Shard, read_file
from gateway.control.trail.segment import Segment, read_segment, segments_in
from gateway.control.trail.shard_writer import ShardWriter

__all__ = ["HistoryDiffers", "Recovered", "open_shard", "read_entries"]

_BITS = 8
Difference = Literal["smaller", "different", "damaged", "checkpoint-invalid"]


class HistoryDiffers(Exception):  # noqa: N818  a state
    """The log on disk is not a continuation of what was published."""

    def __init__(self, state: Difference, why: str) -> None:
        super().__init__(why)
        self.state = state


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """How a shard was found."""

    size: int
    replayed: int
    """Records that were durable, but not under a checkpoint yet."""
    torn: bytes
    """The end of a write that did not finish; nobody was told that it had."""


def read_entries(shard: Shard, number: int, width: int) -> list[bytes]:
    """The first `width` records of a bundle. Raises OSError, BundleInvalid."""
    tile = Tile(ENTRIES, number, width)
    try:
        return decode_bundle(read_file(shard.tile(tile)), width)
    except FileNotFoundError:
        if width == TILE_WIDTH:
            raise
        return decode_bundle(read_file(shard.tile(tile.full)), TILE_WIDTH)[:width]


def open_shard(
    shard: Shard,
    signer: LogSigner,
    disk: Disk,
    now_s: int,
    heads: Iterable[Published] = (),
    later: Callable[[Callable[[], None]], None] | None = None,
) -> tuple[ShardWriter, Recovered]:
    """A writer that goes on where the shard ends; everything that was durable is published when this returns.

    `heads`: heads known from elsewhere. Raises HistoryDiffers, DiskFull, TrailBroken, OSError.
    """
    start, records, torn = _joined(shard, _live_segments(shard))
    tree, bundle = _tree_at(shard, start)
    known = [*heads, *_own_heads(shard, signer)]
    _check_heads(shard, known, start)
    writer = ShardWriter(shard, signer, disk, tree, bundle, later)
    writer.size = start + len(records)
    for record in records:
        writer.grow((record,))
        _check_head(known, tree.size, tree.root)
    for head in known:
        if head.size > tree.size:
            raise HistoryDiffers("smaller", f"{head.size} records were published, and {tree.size} are here")
    _remove_partials(shard, start, tree.size)
    published = max((head.size for head in known), default=0)
    if not shard.keys.exists():
        disk.replace(shard.keys, "".join(f"{key.vkey}\n" for key in signer.keys).encode(), durable=True)
        disk.sync_directory(shard.directory.parent)
    writer.publish(now_s)
    writer.begin_segment()
    return writer, Recovered(size=tree.size, replayed=tree.size - max(published, start), torn=torn)


def _live_segments(shard: Shard) -> list[Segment]:
    """Segments whose records are not in tiles for good. Raises HistoryDiffers, OSError."""
    try:
        settled = shard.read_settled() or 0
    except msgspec.MsgspecError as error:
        raise HistoryDiffers("damaged", "state/settled cannot be read") from error
    return [each for each in map(read_segment, segments_in(shard.state)) if each.first >= settled]


def _joined(shard: Shard, segments: list[Segment]) -> tuple[int, list[bytes], bytes]:
    """Index of the first record in segments, the records, and the torn end. Raises HistoryDiffers."""
    if not segments:
        published = _published(shard)
        if published is None and any((shard.directory / "tile").glob("*")):
            raise HistoryDiffers("damaged", "there are tiles, but neither a published head nor a segment")
        return (published.size if published else 0), [], b""
    start = segments[0].first
    records: list[bytes] = []
    for segment in segments:
        end = start + len(records)
        if segment.first > end:
            raise HistoryDiffers("damaged", f"records {end} to {segment.first - 1} are in no segment")
        # A crash while a segment was succeeded: both hold the same.
        overlap = end - segment.first
        if segment.records[:overlap] != records[len(records) - overlap :][: len(segment.records)]:
            raise HistoryDiffers("damaged", f"two segments differ at record {segment.first}")
        records += segment.records[overlap:]
    return start, records, segments[-1].torn


def _published(shard: Shard) -> Published | None:
    try:
        return shard.read_published()
    except msgspec.MsgspecError as error:
        raise HistoryDiffers("damaged", "state/published cannot be read") from error


def _tree_at(shard: Shard, size: int) -> tuple[GrowingTree, list[bytes]]:
    """The tree that the tiles make at `size`, and the records of its partial bundle. Raises HistoryDiffers, OSError."""
    try:
        tree = GrowingTree.read(shard.read_tile, size)
        number, width = divmod(size, TILE_WIDTH)
        bundle = read_entries(shard, number, width) if width else []
        if width and b"".join(map(leaf_hash, bundle)) != shard.read_tile(Tile(0, number, width)):
            raise HistoryDiffers("damaged", f"bundle {number} does not have the records that were hashed")
    except FileNotFoundError as error:
        raise HistoryDiffers("damaged", f"{error.filename} is missing") from error
    except BundleInvalid as error:
        raise HistoryDiffers("damaged", f"a tile or bundle at record {size} {error}") from error
    return tree, bundle


def _own_heads(shard: Shard, signer: LogSigner) -> list[Published]:
    """What the shard itself says was published. Raises HistoryDiffers, OSError."""
    published = _published(shard)
    heads = [published] if published else []
    try:
        verified = verify_checkpoint(read_file(shard.checkpoint), signer.keys)
    except FileNotFoundError:
        return heads
    except (NoteInvalid, SignatureInvalid) as error:
        raise HistoryDiffers("checkpoint-invalid", f"the checkpoint is not one of ours: {error}") from error
    return [*heads, Published(verified.checkpoint.size, verified.checkpoint.root)]


def _check_heads(shard: Shard, heads: list[Published], size: int) -> None:
    """Heads of the part that is in tiles. Raises HistoryDiffers."""
    nodes = TileNodes(shard.read_tile, size)
    for head in heads:
        if head.size <= size:
            try:
                root = subtree_root(nodes, 0, head.size)
            except (OSError, BundleInvalid) as error:
                raise HistoryDiffers("damaged", f"the tiles of the first {head.size} records are incomplete") from error
            _check_head([head], head.size, lambda found=root: found)  # type: ignore[misc]


def _check_head(heads: Iterable[Published], size: int, root: Callable[[], bytes]) -> None:
    for head in heads:
        if head.size == size and head.root != root():
            raise HistoryDiffers("different", f"the first {size} records are not those that were published")


def _remove_partials(shard: Shard, start: int, end: int) -> None:
    """Partial tiles that were not waited for may be empty after a power cut. They are made again, the wider ones."""
    level, shift = ENTRIES, _BITS
    while end >> shift - _BITS:
        kept = Tile(level, start >> shift, (start >> shift - _BITS) % TILE_WIDTH or TILE_WIDTH)
        for number in range(start >> shift, (end >> shift) + 1):
            directory = Path(f"{shard.tile(Tile(level, number))}.p")
            for path in list(directory.iterdir()) if directory.is_dir() else []:
                if path != shard.tile(kept):
                    path.unlink()
        shift += 0 if level == ENTRIES else _BITS
        level += 1
