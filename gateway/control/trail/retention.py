"""Which shards are old enough to be pruned, and what keeps one that is. Blocks."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.note import NoteInvalid
from gateway.audit.succession import Pruned, pruned_in
from gateway.control.trail.disk import Disk
from gateway.control.trail.holds import Holds
from gateway.control.trail.kit import NotProvable
from gateway.control.trail.layout import Shard, shards_in
from gateway.control.trail.pruning import empty, head_of, prune_shard
from gateway.control.trail.reader import RecordMissing, ShardReader, decoded

__all__ = ["Candidate", "Retention"]

_DAY_US: Final = 86_400 * 1_000_000


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A shard that is old enough."""

    shard: str
    records: int
    first_day: str
    last_day: str
    held: list[str]
    """Holds over any of its days; the days beside them count, as a record may be of the evening before."""
    unread_by: list[str]
    """Sinks that have not delivered all of it."""
    damaged: str = ""
    """Why its ends cannot be proven: then its records are the only evidence there is."""


class Retention:
    """For one log. `unread`: the sinks that have not delivered a shard of so many records."""

    def __init__(self, root: Path, holds: Holds, unread: Callable[[str, int], list[str]]) -> None:
        self._root, self._holds, self._unread = root, holds, unread

    def candidates(self, now_us: int, keep_days: int) -> list[Candidate]:
        """Closed shards that are old enough, oldest first. Raises OSError, HoldRefused, RecordMissing, NoteInvalid."""
        found, recorded = [], self._recorded()
        for shard in shards_in(self._root)[:-1]:
            if shard.is_pruned and head_of(shard) in recorded:
                continue
            one = self._candidate(shard, now_us - keep_days * _DAY_US)
            if one is not None:
                found.append(one)
        return found

    def _candidate(self, shard: Shard, before_us: int) -> Candidate | None:
        try:
            size = head_of(shard).size
            if shard.is_pruned:
                raise RecordMissing("it looks as if it had been pruned, and no record says so")
            first, last = (_ts(shard, index) for index in (0, size - 1))
        except (OSError, NoteInvalid, RecordMissing) as error:
            return Candidate(
                shard=shard.name, records=0, first_day="", last_day="", held=[], unread_by=[], damaged=str(error)
            )
        if last > before_us:
            return None
        begin, end = _day(first - _DAY_US), _day(last + _DAY_US)
        holds = self._holds.all()
        return Candidate(
            shard=shard.name,
            records=size,
            first_day=_day(first),
            last_day=_day(last),
            held=[each.name for each in holds if each.since <= end and (not each.until or begin <= each.until)],
            unread_by=self._unread(shard.name, size),
        )

    def pruned_with(self, names: list[str]) -> list[Pruned]:
        """What a record has to name: all that is on record as pruned, and these. Raises OSError, NoteInvalid, RecordMissing.

        What somebody else has emptied must not come onto the record by this.
        """
        recorded = self._recorded()
        heads = [head_of(shard) for shard in shards_in(self._root) if shard.is_pruned or shard.name in names]
        return [head for head in heads if head in recorded or head.shard in names]

    def _recorded(self) -> list[Pruned]:
        """What the newest record about it names, which is all that was pruned before. Raises RecordMissing, OSError."""
        shards = shards_in(self._root)
        if not any(shard.is_pruned for shard in shards):
            return []
        for shard in reversed(shards):
            found: list[Pruned] = []
            for _, data in ShardReader(shard).records():
                if b'"audit.pruned"' in data:
                    found = pruned_in(decoded(data)) or found
            if found:
                return found
        return []

    def prune(self, name: str) -> str:
        """Delete the records of a shard. Empty, or why they are still there."""
        try:
            prune_shard(Shard(self._root / name), Disk())
        except (NotProvable, OSError, NoteInvalid) as error:
            return str(error)
        return ""

    def finish(self) -> None:
        """What a crash has left of shards that were pruned. Raises OSError, NoteInvalid, RecordMissing."""
        recorded = self._recorded()
        for shard in shards_in(self._root)[:-1]:
            if shard.is_pruned and head_of(shard) in recorded:
                empty(shard)


def _ts(shard: Shard, index: int) -> int:
    found = decoded(ShardReader(shard).record(index)).get("ts")
    return found if isinstance(found, int) else 0


def _day(ts_us: int) -> str:
    return datetime.datetime.fromtimestamp(max(0, ts_us) // 1_000_000, datetime.UTC).date().isoformat()
