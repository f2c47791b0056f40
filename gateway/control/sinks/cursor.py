"""How far a sink has come in the log: a shard and the index of the next record. At least once, never less."""

import itertools
from pathlib import Path

import msgspec

from gateway.audit.siem import Located
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import Shard, shards_in
from gateway.control.trail.reader import ShardReader, decoded

__all__ = ["LogCursor", "Position", "read_batch", "read_raw"]


class Position(msgspec.Struct, frozen=True):
    """The next record."""

    shard: str
    index: int

    @classmethod
    def before_the_end(cls, root: Path, records: int) -> "Position":
        """So many records, at most, before the end of the log. Raises OSError, msgspec.MsgspecError."""
        position, left = cls("", 0), records
        for shard in reversed(shards_in(root)):
            size = _published_size(shard)
            position = cls(shard.name, max(0, size - left))
            left -= size
            if left <= 0:
                break
        return position


def _published_size(shard: Shard) -> int:
    """Records that are under a checkpoint. Raises OSError, msgspec.MsgspecError."""
    published = shard.read_published()
    return published.size if published else 0


def read_raw(root: Path, position: Position, most: int) -> tuple[Shard | None, list[tuple[int, bytes]], Position]:
    """At most `most` published records of one shard, as bytes, and where to go on after them. Raises what `read_batch` does."""
    for shard in shards_in(root):
        if shard.name < position.shard:
            continue
        start = position.index if shard.name == position.shard else 0
        size = _published_size(shard)
        if start < size:
            found = list(itertools.islice(ShardReader(shard).records(start), min(size - start, most)))
            return shard, found, Position(shard.name, found[-1][0] + 1 if found else start)
    return None, [], position


def read_batch(root: Path, position: Position, most: int) -> tuple[list[Located], Position]:
    """At most `most` published records, and where to go on after them. Raises RecordMissing, NoteInvalid, OSError."""
    shard, found, after = read_raw(root, position, most)
    if shard is None or not found:
        return [], after
    origin = shard.read_keys()[0].name
    return [Located(origin, index, decoded(data)) for index, data in found], after


class LogCursor:
    """Reads batches of what has been published, from where it stopped the last time."""

    def __init__(self, root: Path, file: Path, disk: Disk) -> None:
        self._root = root
        self._file = file
        self._disk = disk
        self.position = self._load()

    def _load(self) -> Position:
        """From the file; a new sink, or one whose file is damaged, begins at the first record there is."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Position)
        except (FileNotFoundError, msgspec.MsgspecError):
            return Position("", 0)

    def batch(self, most: int) -> tuple[list[Located], Position]:
        """At most `most` records, and where to go on after them. Raises RecordMissing, NoteInvalid, OSError."""
        return read_batch(self._root, self.position, most)

    def reload(self) -> None:
        """Take the position from the file again."""
        self.position = self._load()

    def save(self, position: Position) -> None:
        """These records have been delivered. Raises OSError."""
        self.position = position
        self._disk.replace(self._file, msgspec.json.encode(position), durable=False)

    def behind(self) -> int:
        """Records that are published and not delivered. Raises OSError."""
        left = 0
        for shard in shards_in(self._root):
            size = _published_size(shard)
            if shard.name == self.position.shard:
                left += max(0, size - self.position.index)
            elif shard.name > self.position.shard:
                left += size
        return left
