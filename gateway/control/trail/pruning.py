"""What is left of a closed shard whose records were deleted: its last checkpoint, and its two ends with their proofs.

The first record says which shard it follows, the last one which shard follows and with which keys. So the chain of shards
stays provable, and what the deleted records were cannot be told any more. ``ends/last.tlog-proof`` is written last and
makes the shard one that was pruned; only then its records go.
"""

import shutil
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.note import NoteInvalid, VerifierKey, parse_note
from gateway.audit.proof_file import ProofFile
from gateway.audit.succession import Pruned
from gateway.audit.tree import ProofInvalid, leaf_hash, verify_inclusion
from gateway.control.trail.disk import Disk
from gateway.control.trail.kit import prove
from gateway.control.trail.layout import Shard, read_file
from gateway.control.trail.reader import decoded
from gateway.control.trail.verify import (
    Ends,
    ShardReport,
    Stopped,
    check_head,
    earlier_heads,
    own_keys,
    say_what_is_not_proven,
)

__all__ = ["empty", "head_of", "prune_shard", "verify_pruned"]


def head_of(shard: Shard) -> Pruned:
    """What a closed shard is known by. Raises OSError, NoteInvalid."""
    head = Checkpoint.parse(parse_note(read_file(shard.checkpoint)).text)
    return Pruned(shard.name, head.size, head.root)


def prune_shard(shard: Shard, disk: Disk) -> None:
    """Delete the records of a closed shard. Raises NotProvable, OSError; it may be called again."""
    if not shard.is_pruned:
        last = head_of(shard).size - 1
        for name, index in (("first", 0), ("last", last)):
            record, proof = prove(shard, index)
            disk.replace(shard.ends / f"{name}.json", record, durable=True)
            disk.replace(shard.ends / f"{name}.tlog-proof", proof.encode(), durable=True)
        disk.sync_directory(shard.directory)
    empty(shard)


def empty(shard: Shard) -> None:
    """Delete what may be left of the records of a shard that was pruned. Raises OSError."""
    for directory in (shard.tile_directory, shard.state):
        if directory.exists():
            shutil.rmtree(directory)


def verify_pruned(
    shard: Shard,
    trusted: Iterable[VerifierKey] = (),
    witnesses: Iterable[VerifierKey] = (),
    earlier: Iterable[bytes] = (),
    ends: Ends | None = None,
) -> ShardReport:
    """What is left of a shard; the arguments are those of `verify_shard`."""
    report = ShardReport(shard=shard.name, pruned=True)
    trusted, earlier, ends = tuple(trusted), tuple(earlier), ends or Ends()
    try:
        keys = trusted or own_keys(shard, report)
        head = check_head(shard, keys, witnesses, report, ends)
        for kept in earlier_heads(earlier, keys, witnesses, head, report):
            if kept.size == head.size and kept.root != head.root:
                report.find("split-view", "checkpoint", "the kept checkpoint is of another log")
            elif kept.size < head.size:
                report.not_proven.append(f"that the kept checkpoint of {kept.size} records is of a beginning of it")
        ends.first = _end(shard, "first", 0, head, report, ends.note)
        ends.last = _end(shard, "last", head.size - 1, head, report, ends.note)
    except Stopped:
        pass
    if shard.tile_directory.exists() or shard.state.exists():
        report.notes.append("not all of its records are deleted yet: the next 'audit prune' goes on")
    say_what_is_not_proven(report, trusted=bool(trusted), anchored=bool(earlier))
    report.not_proven.append(
        f"what its {report.size} records were: they were deleted; the ends and the checkpoint are here"
    )
    return report


def _end(shard: Shard, name: str, index: int, head: Checkpoint, report: ShardReport, note: bytes) -> dict[str, Any]:
    """The first or the last record, which must be in the tree."""
    where = f"ends/{name}.tlog-proof"
    try:
        record = read_file(shard.ends / f"{name}.json")
        proof = ProofFile.parse(read_file(shard.ends / f"{name}.tlog-proof"))
        if proof.index != index:
            raise ProofInvalid(f"is the proof of record {proof.index}")
        if proof.checkpoint != note:
            raise ProofInvalid("has another checkpoint than the one beside it")
        verify_inclusion(leaf_hash(record), index, head.size, proof.hashes, head.root)
    except OSError as error:
        report.find("entry-missing", where, error.strerror or str(error))
    except (NoteInvalid, ProofInvalid, msgspec.MsgspecError) as error:
        report.find("entry-altered", where, str(error))
    else:
        return decoded(record)
    return {}
