"""One shard that grows: records durable in a segment first, then hashed into tiles and bundles, then under a checkpoint.

What is on the disk for good, and in which order:

1. `commit` appends frames to the segment and waits for the disk. Now the records are durable, and may be acknowledged.
2. `grow` hashes them. Full tiles and bundles become files, which nobody waits for: the segment still has it all.
3. `publish` writes the partial ones, notes the head in ``state/published`` and only then signs a checkpoint.
4. A segment that has become large is succeeded by another one. `later` waits until all that was made of it is on the
   disk, and removes it.

A failed wait for the disk is final. The kernel may have dropped what it could not write and report success the next
time, so nothing of this shard is written any more.
"""

import contextlib
import errno
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.checkpoint import LogSigner, signed_by_both
from gateway.audit.tiles import ENTRIES, TILE_WIDTH, GrowingTree, Tile, encode_bundle
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import Published, Shard
from gateway.control.trail.segment import frames, header, segment_name, segments_in

__all__ = ["DiskFull", "ShardWriter", "TrailBroken"]

_SEGMENT_BYTES: Final = 16 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFull(Exception):  # noqa: N818  a state
    """There is no room; nothing of the last call is in the log. It may be tried again once there is room."""


class TrailBroken(Exception):  # noqa: N818  a state
    """The disk has failed, and this shard is not written any more by this process."""


class ShardWriter:
    """Owned by one thread."""

    def __init__(
        self,
        shard: Shard,
        signer: LogSigner,
        disk: Disk,
        tree: GrowingTree,
        bundle: Sequence[bytes],
        later: Callable[[Callable[[], None]], None] | None = None,
        segment_bytes: int = _SEGMENT_BYTES,
    ) -> None:
        """`tree`, `bundle`: what is in tiles, and the records of its partial bundle. `later` runs what may wait."""
        self.shard = shard
        self._signer = signer
        self._disk = disk
        self._tree = tree
        self._bundle = list(bundle)
        self._later = later or (lambda work: work())
        self._segment_bytes = segment_bytes
        self._descriptor = -1
        self._written_bytes = 0
        self._unwritten: dict[Tile, bytes] = {}
        """Full tiles whose files are still to be made."""
        self._unsynced: list[Tile] = []
        """Tiles whose files are made, but perhaps not on the disk yet."""
        self._broken = ""
        self.size = tree.size
        """Records that are durable."""
        self._is_closed = False

    # -- records become durable

    def commit(self, envelopes: Sequence[bytes]) -> int:
        """Records are on the disk when this returns; it returns the index of the first. Raises DiskFull, TrailBroken."""
        self._require_sound()
        if self._is_closed:
            raise TrailBroken("the shard is closed")
        data = frames(self.size, envelopes)
        try:
            self._disk.write_all(self._descriptor, data)
        except OSError as error:
            self._undo(error)
        try:
            self._disk.fdatasync(self._descriptor)
        except OSError as error:
            raise self._break(error) from error
        self._written_bytes += len(data)
        first, self.size = self.size, self.size + len(envelopes)
        return first

    def _undo(self, error: OSError) -> None:
        """Cut off half a write. What is before it has long been on the disk. Raises DiskFull, TrailBroken."""
        if error.errno not in _FULL:
            raise self._break(error) from error
        try:
            self._disk.truncate(self._descriptor, self._written_bytes)
        except OSError as failed:
            raise self._break(failed) from failed
        raise DiskFull(error.strerror) from error

    def grow(self, envelopes: Sequence[bytes]) -> None:
        """Hash records that `commit` has made durable. Full tiles are kept until `write_tiles`."""
        for envelope in envelopes:
            self._bundle.append(envelope)
            self._unwritten.update(self._tree.append(envelope))
            if len(self._bundle) == TILE_WIDTH:
                tile = Tile(ENTRIES, self._tree.size // TILE_WIDTH - 1)
                self._unwritten[tile] = encode_bundle(self._bundle)
                self._bundle.clear()

    # -- tiles and checkpoints

    def write_tiles(self) -> None:
        """Make files of the full tiles there are. Raises DiskFull, TrailBroken; those already made stay made."""
        self._require_sound()
        while self._unwritten:
            tile = next(iter(self._unwritten))
            self._replace(tile, self._unwritten[tile])
            del self._unwritten[tile]

    def _replace(self, tile: Tile, data: bytes) -> None:
        with self._naming_failures():
            self._disk.replace(self.shard.tile(tile), data, durable=False)
        self._unsynced.append(tile)

    def publish(self, now_s: int, also: LogSigner | None = None) -> Published:
        """Sign the tree as it is. `also`: other keys that sign it, of the same origin. Raises DiskFull, TrailBroken."""
        self.write_tiles()
        edge = self._tree.partial()
        if self._bundle:
            edge.append((Tile(ENTRIES, self._tree.size // TILE_WIDTH, len(self._bundle)), encode_bundle(self._bundle)))
        for tile, data in edge:
            self._replace(tile, data)
        head = Published(self._tree.size, self._tree.root())
        with self._naming_failures():
            self._disk.replace(self.shard.published, msgspec.json.encode(head), durable=True)
            signed = self._signer.sign(head.size, head.root, now_s)
            if also is not None:
                signed = signed_by_both(signed, also.sign(head.size, head.root, now_s))
            self._disk.replace(self.shard.checkpoint, signed, durable=True)
        if self._written_bytes >= self._segment_bytes and self._tree.size == self.size:
            self.begin_segment()
        return head

    def finish(self, now_s: int, wait: Callable[[], None], also: LogSigner | None = None) -> Published:
        """Publish for the last time: nothing is appended any more, and all of it is in tiles that are on the disk.

        `wait`: until what was given to `later` is done. May be called again after DiskFull. Raises DiskFull, TrailBroken.
        """
        self._is_closed = True
        head = self.publish(now_s, also)
        self.begin_segment()
        wait()
        self._require_sound()
        return head

    # -- segments

    def begin_segment(self) -> None:
        """Go on in a new segment; the old ones go once their records are elsewhere. Raises DiskFull, TrailBroken.

        The head must have been published at this very size.
        """
        self._require_sound()
        path = self.shard.state / segment_name(self.size)
        before = [each for each in segments_in(self.shard.state) if each != path]
        with self._naming_failures():
            self._disk.make_directory(self.shard.state)
            self._disk.remove(path)
            descriptor = self._disk.open_append(path)
        try:
            with self._naming_failures():
                self._disk.write_all(descriptor, header(self.size))
                self._disk.fdatasync(descriptor)
                self._disk.sync_directory(self.shard.state)
        except (DiskFull, TrailBroken):
            self._disk.close(descriptor)
            with contextlib.suppress(OSError):
                self._disk.remove(path)
            raise
        if self._descriptor >= 0:
            self._disk.close(self._descriptor)
        self._descriptor, self._written_bytes = descriptor, len(header(self.size))
        tiles, self._unsynced, size = self._unsynced, [], self.size
        self._later(lambda: self._settle(tiles, before, size))

    def _settle(self, tiles: Sequence[Tile], segments: Sequence[Path], size: int) -> None:
        """Tiles are on the disk, that is noted, and then what they supersede goes.

        Without the note a crash while segments go would leave a later one whose beginning is in no tile for good.
        """
        directories: set[Path] = set()
        try:
            for tile in tiles:
                path = self.shard.tile(tile)
                # A partial tile may have been superseded, and a `later` before this one has removed it.
                with contextlib.suppress(FileNotFoundError):
                    self._disk.sync_file(path)
                directories.update(each for each in path.parents if each.is_relative_to(self.shard.directory))
            for directory in directories:
                with contextlib.suppress(FileNotFoundError):
                    self._disk.sync_directory(directory)
        except OSError as error:
            self._break(error)
            return
        try:
            self._disk.replace(self.shard.settled, msgspec.json.encode(size), durable=True)
        except OSError as error:
            if error.errno not in _FULL:
                self._break(error)
            return  # without the note nothing goes; when the next segment is succeeded, all of it does
        for tile in tiles:
            if tile == tile.full:
                shutil.rmtree(f"{self.shard.tile(tile)}.p", ignore_errors=True)
        for segment in segments:
            with contextlib.suppress(OSError):
                self._disk.remove(segment)

    def close(self) -> None:
        """Let go of the segment."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._disk.close(self._descriptor)
            self._descriptor = -1

    # -- failures

    @contextlib.contextmanager
    def _naming_failures(self) -> Iterator[None]:
        """OSError as DiskFull, if it was only that, or TrailBroken."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFull(error.strerror) from error
            raise self._break(error) from error

    def _break(self, error: OSError) -> TrailBroken:
        self._broken = error.strerror or str(error)
        return TrailBroken(self._broken)

    def _require_sound(self) -> None:
        if self._broken:
            raise TrailBroken(self._broken)
