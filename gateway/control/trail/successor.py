"""Makes the shard that follows another one. It appears whole, with its first record under its first checkpoint, or not."""

import itertools
import shutil
from pathlib import Path
from typing import Any

from gateway.audit.checkpoint import Checkpoint, LogSigner
from gateway.audit.note import NoteInvalid, VerifierKey, parse_note
from gateway.audit.succession import CONTINUED, Beginning, Closing, beginning_of, closing_of, successor_of
from gateway.control.trail.disk import Disk
from gateway.control.trail.keys import KeyUnusable, keys_at_hand
from gateway.control.trail.layout import Published, Shard, read_file
from gateway.control.trail.reader import RecordMissing, ShardReader, decoded
from gateway.control.trail.recovery import HistoryDiffers, open_shard

__all__ = ["beginning_in", "closing_in", "make_shard", "require_beginning", "signer_of", "unproven_before"]


def make_shard(target: Shard, signer: LogSigner, disk: Disk, now_s: int, first: bytes) -> Published:
    """A shard with one record, on the disk when this returns. Raises DiskFull, TrailBroken, OSError."""
    part = Shard(target.directory.with_name(f".{target.name}.part"))
    shutil.rmtree(part.directory, ignore_errors=True)
    writer, _ = open_shard(part, signer, disk, now_s)
    try:
        writer.commit([first])
        writer.grow([first])
        head = writer.publish(now_s)
        writer.begin_segment()
    finally:
        writer.close()
    disk.sync_directory(part.directory)
    part.directory.rename(target.directory)
    disk.sync_directory(target.directory.parent)
    return head


def closing_in(shard: Shard, size: int) -> Closing | None:
    """What the last record of a shard says, if it closes it. Raises RecordMissing."""
    return closing_of(_record(shard, size - 1)) if size else None


def beginning_in(shard: Shard) -> Beginning | None:
    """What the first record of a shard says, if it says what it follows. Raises RecordMissing, OSError."""
    return beginning_of(_record(shard, 0))


def _record(shard: Shard, index: int) -> dict[str, Any]:
    return decoded(ShardReader(shard).record(index))


def signer_of(keys: Path, wanted: tuple[VerifierKey, ...]) -> LogSigner:
    """The private halves of keys, under their name. Raises OSError, KeyUnusable."""
    for private in keys_at_hand(keys):
        signer = LogSigner(wanted[0].name, private.ed25519, private.ml_dsa_44)
        if signer.keys == wanted:
            return signer
    raise KeyUnusable(f"the keys in {keys} are not those of the log: restore them, or begin a new history")


def unproven_before(shards: list[Shard]) -> list[str]:
    """Shards before the newest one that are not here, or do not end where the next one says.

    The newest is what is written, and goes on without them; `verify` says more.
    """
    missing = [f"{number:04d}" for number in range(1, int(shards[-1].name))] if shards else []
    bad = set(missing) - {shard.name for shard in shards}
    for before, shard in itertools.pairwise(shards):
        if successor_of(before.name) == shard.name and not _ends_as_said(before, shard):
            bad.add(before.name)
    return sorted(bad)


def _ends_as_said(before: Shard, shard: Shard) -> bool:
    try:
        if shard.is_pruned:
            return True  # what it says is for `verify`, which asks for proofs
        beginning = beginning_in(shard)
        if beginning is None or beginning.kind != CONTINUED:
            return True
        return Checkpoint.parse(parse_note(read_file(before.checkpoint)).text) == beginning.head
    except (RecordMissing, OSError, NoteInvalid):
        return False


def require_beginning(shard: Shard) -> None:
    """A shard after the first says what it follows. Raises HistoryDiffers.

    Without this, an empty directory made beside a log that was cut off would be a new history that nobody asked for.
    """
    try:
        beginning = beginning_in(shard)
    except (RecordMissing, OSError) as error:
        raise HistoryDiffers("damaged", f"shard {shard.name} has no beginning: {error}") from error
    if beginning is None or beginning.shard != shard.name or successor_of(beginning.before) != shard.name:
        raise HistoryDiffers("different", f"nobody has begun shard {shard.name} by name")
    if not shard.checkpoint.exists():
        # It had one before it had its name: without, whoever can write files could have us sign a shard of theirs.
        raise HistoryDiffers("damaged", f"shard {shard.name} has no checkpoint")
