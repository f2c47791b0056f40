"""Reads a whole log and says whether it is what was signed; and what that does not prove.

1. Every checkpoint is signed by the keys of the log, or by those that the caller trusts.
2. Every record is hashed anew, every tile is compared with what the records make, and the root with the checkpoint.
3. Every other file below ``tile/`` is the beginning of one that was verified.
4. Records that are durable but not yet under a checkpoint are read from their segments.
5. An older checkpoint that somebody kept is the head of a beginning of this log.
6. In each run of each worker the records' numbers have no gap that no ``audit.gap`` speaks of.

How shards follow each other is the business of `gateway.control.trail.chain`.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway.audit.checkpoint import Checkpoint, SignatureInvalid, verify_checkpoint
from gateway.audit.note import NoteInvalid, VerifierKey
from gateway.audit.succession import PRUNED, Pruned, pruned_in
from gateway.audit.tiles import (
    ENTRIES,
    TILE_WIDTH,
    BundleInvalid,
    GrowingTree,
    Tile,
    decode_bundle,
    encode_bundle,
    parse_tile_path,
)
from gateway.control.trail.continuity import Continuity
from gateway.control.trail.layout import Shard, read_file
from gateway.control.trail.segment import read_segment, segments_in

__all__ = [
    "Ends",
    "Finding",
    "ShardReport",
    "State",
    "Stopped",
    "check_head",
    "earlier_heads",
    "own_keys",
    "say_what_is_not_proven",
    "verify_shard",
]

State = Literal[
    "chain-broken",
    "checkpoint-missing",
    "checkpoint-invalid",
    "entry-altered",
    "entry-missing",
    "file-unknown",
    "keys-unreadable",
    "keys-untrusted",
    "log-different",
    "record-lost",
    "record-unreadable",
    "rolled-back",
    "shard-missing",
    "split-view",
    "state-damaged",
    "tile-altered",
    "tile-missing",
]
_REPORT_EVERY = 10_000
_MOST_FINDINGS = 100


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    state: State
    where: str
    """File, or record index."""
    detail: str


class ShardReport(msgspec.Struct, kw_only=True):
    """What is known about one shard after reading all of it."""

    shard: str
    origin: str = ""
    size: int = 0
    """Records under the checkpoint."""
    root: str = ""
    signed_at: int | None = None
    """Seconds since the epoch, as the ML-DSA-44 signature or a witness vouches for it."""
    signed_by: list[str] = []
    unsealed: int = 0
    """Records that are durable, but not under a checkpoint yet."""
    pruned: bool = False
    """True if its records were deleted, and only its last checkpoint is here."""
    findings: list[Finding] = []
    notes: list[str] = []
    """What is remarkable, and no sign of tampering."""
    not_proven: list[str] = []
    times: dict[str, int] = {}
    """Time stamps of the first and the last record, microseconds since the epoch."""

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.findings

    def find(self, state: State, where: str, detail: str) -> None:
        """Note something that is wrong, once; a thousand of them say no more than a hundred."""
        told = any((each.state, each.where) == (state, where) for each in self.findings)
        if not told and len(self.findings) < _MOST_FINDINGS:
            self.findings.append(Finding(state, where, detail))


class Ends:
    """What a shard begins and ends with, and what its records say of other shards, as far as it was read."""

    def __init__(self) -> None:
        self.head: Checkpoint | None = None
        self.note = b""
        """The checkpoint that was verified."""
        self.first: dict[str, Any] = {}
        self.last: dict[str, Any] = {}
        """The last record under the checkpoint."""
        self.pruned: list[Pruned] = []
        """Shards that are said to have been pruned."""


class Stopped(Exception):  # noqa: N818  control flow
    """Nothing more can be said about this shard."""


def verify_shard(
    shard: Shard,
    trusted: Iterable[VerifierKey] = (),
    witnesses: Iterable[VerifierKey] = (),
    earlier: Iterable[bytes] = (),
    progress: Callable[[int, int], None] | None = None,
    *,
    live: bool = False,
    continuity: Continuity | None = None,
    ends: Ends | None = None,
) -> ShardReport:
    """Read everything. `trusted`: keys the log must be signed with; without them those that lie beside it are used.

    `earlier`: checkpoint files that were kept elsewhere. `progress`: called with records read, and how many there are.
    `live`: the log grows meanwhile. `continuity`: goes on from the shard before, and the caller finishes it.
    """
    report = ShardReport(shard=shard.name)
    trusted, watch, ends = tuple(trusted), continuity or Continuity(), ends or Ends()
    watch.begin(report.find)
    try:
        keys = trusted or own_keys(shard, report)
        head = check_head(shard, keys, witnesses, report, ends)
        heads = earlier_heads(earlier, keys, witnesses, head, report)
        _Reading(shard, head, report, watch, ends, live=live).read(heads, progress or (lambda *_: None))
    except Stopped:
        pass
    if continuity is None:
        watch.finish(report.notes)
    report.notes += watch.jumps()
    say_what_is_not_proven(report, trusted=bool(trusted), anchored=bool(tuple(earlier)))
    return report


def own_keys(shard: Shard, report: ShardReport) -> tuple[VerifierKey, ...]:
    """The keys that lie beside a shard. Raises Stopped after a finding."""
    try:
        keys = shard.read_keys()
    except (OSError, NoteInvalid) as error:
        report.find("keys-unreadable", "keys", str(error))
        raise Stopped from error
    if not keys:
        report.find("keys-unreadable", "keys", "no key")
        raise Stopped
    return keys


def check_head(
    shard: Shard, keys: Iterable[VerifierKey], witnesses: Iterable[VerifierKey], report: ShardReport, ends: Ends
) -> Checkpoint:
    """The signed head, which is told as well. Raises Stopped after a finding."""
    try:
        ends.note = read_file(shard.checkpoint)
        head = verify_checkpoint(ends.note, keys, witnesses)
    except OSError as error:
        report.find("checkpoint-missing", "checkpoint", error.strerror or str(error))
        raise Stopped from error
    except (NoteInvalid, SignatureInvalid) as error:
        report.find("checkpoint-invalid", "checkpoint", str(error))
        raise Stopped from error
    report.origin, report.size = head.checkpoint.origin, head.checkpoint.size
    report.root, report.signed_at = head.checkpoint.root.hex(), head.time_s
    report.signed_by = [key.vkey[: len(key.name) + 9] for key in head.by]
    strangers = [name for name in head.unknown if name != head.checkpoint.origin]
    if strangers:
        report.not_proven.append(f"signatures by keys that are not known here: {', '.join(strangers)}")
    ends.head = head.checkpoint
    return head.checkpoint


def earlier_heads(
    files: Iterable[bytes],
    keys: Iterable[VerifierKey],
    witnesses: Iterable[VerifierKey],
    head: Checkpoint,
    report: ShardReport,
) -> list[Checkpoint]:
    """Kept checkpoints that may be of a beginning of this log, which is not verified yet; others are findings."""
    heads = []
    for number, data in enumerate(files, 1):
        try:
            kept = verify_checkpoint(data, keys, witnesses).checkpoint
        except (NoteInvalid, SignatureInvalid) as error:
            report.find("checkpoint-invalid", f"kept checkpoint {number}", str(error))
            continue
        if kept.origin != head.origin:
            report.find("log-different", f"kept checkpoint {number}", f"is of {kept.origin}, not of {head.origin}")
        elif kept.size > head.size:
            report.find("rolled-back", "checkpoint", f"had {kept.size} records once, and now says {head.size}")
        else:
            heads.append(kept)
    return heads


class _Reading:
    """One pass over all records and files of a shard."""

    def __init__(
        self, shard: Shard, head: Checkpoint, report: ShardReport, continuity: Continuity, ends: Ends, *, live: bool
    ) -> None:
        self._shard, self._head, self._report, self._live = shard, head, report, live
        self._tree, self._bundle, self._continuity, self._ends = GrowingTree(), list[bytes](), continuity, ends
        self._suspects: list[tuple[Tile, list[int]]] = []
        """Tiles that are not what the records make, and where they differ."""
        self._unread = set(_files_below(shard.directory / "tile"))
        self._partial: dict[Path, list[Path]] = {}
        for path in sorted(path for path in self._unread if path.parent.name.endswith(".p")):
            self._partial.setdefault(path.parent, []).append(path)

    def read(self, earlier: list[Checkpoint], progress: Callable[[int, int], None]) -> None:
        """Everything."""
        heads = {kept.size: kept.root for kept in earlier}
        for entry in self._entries():
            self._add(entry)
            kept = heads.get(self._tree.size)
            if kept is not None and kept != self._tree.root():
                self._report.find(
                    "split-view", f"record {self._tree.size - 1}", "the kept checkpoint is of another log"
                )
            if self._tree.size % _REPORT_EVERY == 0:
                progress(self._tree.size, self._head.size)
        self._compare_edge()
        self._judge_root()
        self._read_unsealed()
        for path in sorted(self._unread):
            self._judge_unread(path)
        self._check_note()

    # -- records

    def _entries(self) -> Iterator[bytes]:
        """The records under the checkpoint."""
        for number in range(-(-self._head.size // TILE_WIDTH)):
            width = min(TILE_WIDTH, self._head.size - number * TILE_WIDTH)
            yield from self._read_bundle(Tile(ENTRIES, number, width))

    def _read_bundle(self, tile: Tile) -> list[bytes]:
        for each in dict.fromkeys((tile, tile.full)):
            path = self._shard.tile(each)
            try:
                return decode_bundle(read_file(path), each.width)[: tile.width]
            except FileNotFoundError:
                continue
            except (BundleInvalid, OSError) as error:
                self._report.find("entry-altered", each.path, f"the bundle {error}")
                raise Stopped from error
        self._report.find("entry-missing", tile.path, f"record {tile.number * TILE_WIDTH} and what follows is missing")
        raise Stopped

    def _add(self, entry: bytes) -> None:
        """Hash one record; compare what is complete now with its files."""
        for tile, data in self._tree.append(entry):
            self._compare(tile, data)
        self._bundle.append(entry)
        if len(self._bundle) == TILE_WIDTH:
            self._compare(Tile(ENTRIES, self._tree.size // TILE_WIDTH - 1), encode_bundle(self._bundle))
            self._bundle.clear()
        self._note(entry, self._tree.size - 1)

    def _note(self, entry: bytes, index: int) -> None:
        try:
            record: dict[str, Any] = msgspec.json.decode(entry, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._report.find("record-unreadable", f"record {index}", "is no JSON object")
            return
        if isinstance(record.get("ts"), int):
            self._report.times.setdefault("first", record["ts"])
            self._report.times["last"] = record["ts"]
        self._continuity.add(index, record)
        if index == 0 or index == self._head.size - 1 or record.get("type") == PRUNED:
            self._keep(index, record)

    def _keep(self, index: int, record: dict[str, Any]) -> None:
        """What the shards before and after this one are compared with."""
        if index == 0:
            self._ends.first = record
        if index == self._head.size - 1:
            self._ends.last = record
        if index < self._head.size:
            self._ends.pruned += pruned_in(record)

    def _read_unsealed(self) -> None:
        """Records behind the checkpoint, from the segments; they make tiles that nobody has signed yet."""
        for path in segments_in(self._shard.state):
            try:
                segment = read_segment(path)
            except FileNotFoundError:
                continue  # succeeded by another while we read
            except OSError as error:
                self._report.find("state-damaged", f"state/{path.name}", error.strerror or str(error))
                continue
            if segment.torn:
                told = f"{path.name}: {len(segment.torn)} bytes of an unfinished write; the next start cuts them off"
                self._report.notes.append(told)
            for index, record in enumerate(segment.records, segment.first):
                if index == self._tree.size:
                    self._add(record)
        self._report.unsealed = self._tree.size - self._head.size
        if self._report.unsealed:
            self._compare_edge()
            self._judge_suspects(records_are_right=True)

    # -- tiles

    def _compare_edge(self) -> None:
        """The partial tiles and the partial bundle at this size."""
        for tile, data in self._tree.partial():
            self._compare(tile, data)
        if self._bundle:
            tile = Tile(ENTRIES, self._tree.size // TILE_WIDTH, len(self._bundle))
            self._compare(tile, encode_bundle(self._bundle))

    def _compare(self, tile: Tile, data: bytes) -> None:
        """A tile, and those that it has grown out of, against what the records make."""
        path = self._shard.tile(tile)
        has_grown = tile != tile.full and self._shard.tile(tile.full).is_file()
        needed = self._tree.size <= self._head.size and not has_grown
        if path in self._unread:
            self._compare_file(tile, path, data)
        elif needed and not path.is_file():
            self._report.find("entry-missing" if tile.level == ENTRIES else "tile-missing", tile.path, "is missing")
        full = self._shard.tile(tile.full)
        for older in self._partial.get(full.with_name(f"{full.name}.p"), ()):
            named = parse_tile_path(str(older.relative_to(self._shard.directory)))
            if named is not None and named.width <= tile.width and older in self._unread:
                self._compare_file(named, older, _beginning(data, named))

    def _compare_file(self, tile: Tile, path: Path, data: bytes) -> None:
        self._unread.discard(path)
        try:
            found = read_file(path)
        except FileNotFoundError:
            if tile != tile.full and self._shard.tile(tile.full).exists():
                return  # a partial one whose full one has come
            self._report.find("entry-missing" if tile.level == ENTRIES else "tile-missing", tile.path, "is missing")
            return
        except OSError as error:
            self._report.find("file-unknown", tile.path, error.strerror or str(error))
            return
        if found != data:
            differing = [at // 32 for at in range(0, len(data), 32) if found[at : at + 32] != data[at : at + 32]]
            self._suspects.append((tile, differing))

    def _judge_root(self) -> None:
        """If the records make the root that was signed, tiles are wrong where they differ; or else the records are."""
        whole = self._tree.root() == self._head.root
        self._judge_suspects(records_are_right=whole)
        if not whole and not any(each.state == "entry-altered" for each in self._report.findings):
            self._report.find("log-different", "checkpoint", "the records are not those that were signed")

    def _judge_suspects(self, *, records_are_right: bool) -> None:
        for tile, differing in self._suspects:
            if records_are_right and tile.level == ENTRIES:
                self._report.find("entry-altered", tile.path, "does not begin like the bundle it has become")
            elif records_are_right or (tile.level == 0 and not differing):
                self._report.find("tile-altered", tile.path, "does not have the hashes of what is below it")
            if records_are_right or tile.level != 0:
                continue  # or it follows from the records
            first = tile.number * TILE_WIDTH
            for offset in differing[:3]:
                self._report.find(
                    "entry-altered", f"record {first + offset}", f"is not what was hashed into {tile.path}"
                )
        self._suspects.clear()

    def _check_note(self) -> None:
        """What the writer noted before it signed: the same head, or a later one that it did not come to sign."""
        try:
            noted = self._shard.read_published()
        except (OSError, msgspec.MsgspecError) as error:
            self._report.find("state-damaged", "state/published", str(error))
            return
        if noted is None or self._live:
            return
        if noted.size < self._head.size or (noted.size == self._head.size and noted.root != self._head.root):
            self._report.find("state-damaged", "state/published", "is not the head that was signed")
        elif noted.size > self._tree.size:
            self._report.find("rolled-back", "checkpoint", f"{noted.size} records were published")

    def _judge_unread(self, path: Path) -> None:
        """A file that nothing has led to."""
        name = str(path.relative_to(self._shard.directory))
        tile = parse_tile_path(name)
        # A writer that is running has made it since we began.
        if os.path.lexists(path) and not (self._live and tile is not None):
            self._report.find("file-unknown", name, "is no part of this log")


def _files_below(directory: Path) -> Iterator[Path]:
    """Everything that is no directory, also behind links to directories; not what is being written."""
    seen: set[str] = set()
    for place, directories, files in os.walk(directory, followlinks=True):
        seen.add(os.path.realpath(place))
        directories[:] = [each for each in directories if os.path.realpath(os.path.join(place, each)) not in seen]  # noqa: PTH118
        yield from (Path(place, name) for name in files if not name.endswith(".part"))


def _beginning(data: bytes, tile: Tile) -> bytes:
    """As much of a tile or bundle as one of a smaller width has."""
    if tile.level != ENTRIES:
        return data[: tile.width * 32]
    at = 0
    for _ in range(tile.width):
        at += 2 + int.from_bytes(data[at : at + 2])
    return data[:at]


def say_what_is_not_proven(report: ShardReport, *, trusted: bool, anchored: bool) -> None:
    """Whoever reads the result must know where it ends."""
    say = report.not_proven.append
    if not trusted:
        say("who signed: the keys came with the log; give those you trust with --key")
    if not anchored:
        say("that nothing was cut off or exchanged as a whole before this checkpoint: keep checkpoints, or a witness")
    say("that what happened was recorded at all, and that the clock of the gateway was right")
    if report.unsealed:
        say(f"the last {report.unsealed} records: they are durable, but not under a checkpoint yet")
