"""Records of a log, in order and by index: those in bundles, and those that are still on their way into one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.note import NoteInvalid, parse_note
from gateway.audit.tiles import ENTRIES, TILE_WIDTH, BundleInvalid, Tile, decode_bundle
from gateway.control.trail.layout import Shard, read_file, shards_in
from gateway.control.trail.segment import read_segment, segments_in

__all__ = ["LogReader", "RecordMissing", "ShardReader", "decoded"]

_PASSES: Final = 3
_WIDTH: Final = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


class RecordMissing(Exception):  # noqa: N818  a state
    """There is no such record, or it cannot be read."""


def decoded(record: bytes) -> dict[str, Any]:
    """A record as a value; one that is no JSON object (`verify` says so) as an empty one."""
    try:
        return msgspec.json.decode(record, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


class ShardReader:
    """Reads one shard, also while it grows. What it gives is not verified."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self._number = -1
        self._bundle: list[bytes] = []

    def records(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Index and bytes of every record from `start` on that there is now.

        Raises RecordMissing, also at the end where there are fewer than the checkpoint says: nobody takes a part for the whole.
        """
        promised, index = self._promised(), start
        for _ in range(_PASSES):
            for at, record in self._pass(index):
                yield at, record
                index = at + 1
            if index >= promised:
                return
            # Between bundles and segments the writer may have put records from these into those.
        raise RecordMissing(
            f"{self.shard.name}: records {index} to {promised - 1} are not there. Run 'ocpp-gateway audit verify'."
        )

    def _promised(self) -> int:
        """How many records there must be by the checkpoint, whoever has signed it; 0 if it cannot be read, or they were pruned."""
        if self.shard.is_pruned:
            return 0
        try:
            return Checkpoint.parse(parse_note(read_file(self.shard.checkpoint)).text).size
        except (OSError, NoteInvalid):
            return 0

    def _pass(self, start: int) -> Iterator[tuple[int, bytes]]:
        """What is in bundles, and then in segments. Raises RecordMissing."""
        number, index = start // TILE_WIDTH, start
        while bundle := self._read_bundle(number):
            first = number * TILE_WIDTH
            yield from ((at, bundle[at - first]) for at in range(index, first + len(bundle)))
            index = max(index, first + len(bundle))
            if len(bundle) < TILE_WIDTH:
                break
            number += 1
        for path in segments_in(self.shard.state):
            try:
                segment = read_segment(path)
            except FileNotFoundError:
                continue  # succeeded by another one meanwhile
            except OSError as error:
                raise RecordMissing(f"{path} cannot be read: {error.strerror}.") from error
            for at, record in enumerate(segment.records, segment.first):
                if at == index:
                    yield at, record
                    index += 1

    def record(self, index: int) -> bytes:
        """One record. Raises RecordMissing."""
        number, offset = divmod(index, TILE_WIDTH)
        if number != self._number or offset >= len(self._bundle):
            self._bundle, self._number = self._read_bundle(number), number
        if 0 <= offset < len(self._bundle):
            return self._bundle[offset]
        found = next((record for at, record in self.records(index) if at == index), None)
        if found is None and self.shard.is_pruned:
            raise RecordMissing(f"The records of shard {self.shard.name} were pruned.")
        if found is None:
            raise RecordMissing(f"There is no record {index} in shard {self.shard.name}.")
        return found

    def size(self) -> int:
        """Records that there are."""
        number = 0
        while self.shard.tile(Tile(ENTRIES, number)).exists():
            number += 1
        last = max(number * TILE_WIDTH - 1, 0)
        return max((index for index, _ in self.records(last)), default=-1) + 1

    def _read_bundle(self, number: int) -> list[bytes]:
        """A bundle, the widest there is of it; empty if there is none. Raises RecordMissing."""
        tile = Tile(ENTRIES, number)
        try:
            try:
                return self._widest(tile)
            except FileNotFoundError:
                return self._widest(tile)  # it has become wider or full meanwhile
        except (BundleInvalid, OSError) as error:
            raise RecordMissing(f"{tile.path} cannot be read: {error}. Run 'ocpp-gateway audit verify'.") from error

    def _widest(self, tile: Tile) -> list[bytes]:
        """Raises BundleInvalid, OSError."""
        path = self.shard.tile(tile)
        if path.exists():
            return decode_bundle(read_file(path), TILE_WIDTH)
        parts = path.with_name(f"{path.name}.p")
        widths = [int(each.name) for each in parts.iterdir() if _WIDTH.fullmatch(each.name)] if parts.is_dir() else []
        return decode_bundle(read_file(parts / str(max(widths))), max(widths)) if widths else []


class LogReader:
    """Follows a log from shard to shard."""

    def __init__(self, root: Path) -> None:
        """At the beginning of the oldest shard."""
        self._root = root
        self._shard, self._index = "", 0

    def go_before_the_end(self, count: int) -> None:
        """So many records before the end, or as far back as there are records. Raises RecordMissing."""
        left = count
        for shard in reversed(shards_in(self._root)):
            size = ShardReader(shard).size()
            self._shard, self._index = shard.name, max(0, size - left)
            left -= size
            if left <= 0:
                return

    def new(self) -> Iterator[tuple[str, int, bytes]]:
        """Shard, index and bytes of every record that has come since the last one given. Raises RecordMissing."""
        for shard in shards_in(self._root):
            if shard.name < self._shard:
                continue
            if shard.name != self._shard:
                self._shard, self._index = shard.name, 0
            for index, record in ShardReader(shard).records(self._index):
                self._index = index + 1
                yield shard.name, index, record
