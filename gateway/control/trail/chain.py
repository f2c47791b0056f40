"""Verifies a whole log: each shard, and that each one goes on where the one before ends.

1. Shards are numbered without a gap, lie where their origin says, and a kept checkpoint is of one of them.
2. The first record of a shard has the last checkpoint of the one before; that one ends there, neither earlier nor later.
3. The last record of a shard names the keys of the next. Keys that the caller trusts vouch forwards by that, and
   backwards by the checkpoint in the first record.
4. Records' numbers go on from shard to shard.
5. A shard whose records were deleted is named by an ``audit.pruned`` of a later one.
"""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from gateway.audit.checkpoint import Checkpoint, SignatureInvalid, verify_checkpoint
from gateway.audit.note import NoteInvalid, VerifierKey
from gateway.audit.succession import CONTINUED, Beginning, Pruned, beginning_of, closing_of, renamed, successor_of
from gateway.control.trail.continuity import Continuity
from gateway.control.trail.layout import FIRST, Shard, is_shard_name, shards_in
from gateway.control.trail.pruning import verify_pruned
from gateway.control.trail.verify import Ends, Finding, ShardReport, verify_shard

__all__ = ["verify_log"]

Progress = Callable[[str, int, int], None]
_WHO: Final = "who signed: "


class _Link:
    """One shard, as it was read, and whose keys vouch for it."""

    def __init__(self, shard: Shard, report: ShardReport, ends: Ends, *, is_vouched: bool) -> None:
        self.shard, self.report, self.ends, self.is_vouched = shard, report, ends, is_vouched

    def keys(self) -> tuple[VerifierKey, ...]:
        """Those that lie beside it."""
        return _keys_of(self.shard)


def verify_log(
    root: Path,
    trusted: Iterable[VerifierKey] = (),
    witnesses: Iterable[VerifierKey] = (),
    earlier: Iterable[bytes] = (),
    progress: Progress | None = None,
    *,
    live: bool = False,
) -> list[ShardReport]:
    """A report for each shard, oldest first; also for those that are missing. Empty if there is no log.

    `root`: an audit directory, or a single shard. The other arguments are those of `verify_shard`; `progress` is told
    the shard as well.
    """
    return _Verification(shards_in(root), root, tuple(trusted), tuple(witnesses), tuple(earlier), live=live).run(
        progress or (lambda *_: None)
    )


class _Verification:
    def __init__(
        self,
        shards: list[Shard],
        root: Path,
        trusted: tuple[VerifierKey, ...],
        witnesses: tuple[VerifierKey, ...],
        earlier: tuple[bytes, ...],
        *,
        live: bool,
    ) -> None:
        self._shards, self._trusted, self._witnesses, self._earlier = shards, trusted, witnesses, earlier
        self._live = live
        self._is_numbered = bool(shards) and all(shard.directory.parent == root for shard in shards)
        self._continuity = Continuity()
        self._links: list[_Link] = []
        self._missing: dict[str, str] = {}

    def run(self, progress: Progress) -> list[ShardReport]:
        """Everything."""
        self._look_for_missing()
        for shard in self._shards:
            self._read(shard, progress)
        if self._links:
            self._continuity.finish(self._links[-1].report.notes)
        self._vouch_backwards()
        self._look_behind_the_end()
        self._look_for_records_of_pruning()
        gone = [
            ShardReport(shard=name, findings=[Finding("shard-missing", f"shard {name}", f"is not here, and {why}")])
            for name, why in self._missing.items()
        ]
        return sorted([*(link.report for link in self._links), *gone], key=lambda report: report.shard)

    # -- what is not here

    def _look_for_missing(self) -> None:
        if not self._is_numbered:
            return
        names = [shard.name for shard in self._shards]
        kept = [_name_in(_origin_of(data)) for data in self._earlier]
        self._missing = {name: f"a checkpoint of {name} was kept" for name in kept if self._is_away(name, names)}
        for number in range(1, int(names[-1])):
            if f"{number:04d}" not in names:
                self._missing[f"{number:04d}"] = f"shard {names[-1]} is here"

    @staticmethod
    def _is_away(name: str, names: list[str]) -> bool:
        return name not in names and (is_shard_name(name) or len(names) > 1)

    def _look_behind_the_end(self) -> None:
        """The last shard there is must not be one that says where the log goes on."""
        closing = closing_of(self._links[-1].ends.last) if self._links and self._is_numbered else None
        if closing is not None and not self._live and closing.next not in self._missing:
            self._missing[closing.next] = (
                f"shard {self._links[-1].shard.name} ends where it should begin: it was taken away, or the gateway was "
                f"stopped in that very moment, and goes on there at its next start"
            )

    def _look_for_records_of_pruning(self) -> None:
        """What was pruned is on record in a later shard."""
        for at, link in enumerate(self._links):
            head = link.ends.head
            if not link.report.pruned or head is None:
                continue
            said = [each for later in self._links[at + 1 :] if later.report.ok for each in later.ends.pruned]
            if Pruned(link.shard.name, head.size, head.root) not in said:
                why = "its records are not here, and no record of a later shard says that they were pruned"
                link.report.find("shard-missing", f"shard {link.shard.name}", why)

    # -- one shard

    def _read(self, shard: Shard, progress: Progress) -> None:
        before = self._links[-1] if self._links else None
        if before is not None and successor_of(before.shard.name) != shard.name:
            before = None
            self._continuity.leave_out()
        keys, ends = self._keys_for(shard, before), Ends()
        kept = [data for data in self._earlier if self._is_of(_origin_of(data), shard)]
        if shard.is_pruned:
            self._continuity.leave_out()
            report = verify_pruned(shard, keys, self._witnesses, kept, ends)
        else:
            report = verify_shard(
                shard,
                keys,
                self._witnesses,
                kept,
                lambda done, size: progress(shard.name, done, size),
                live=self._live,
                continuity=self._continuity,
                ends=ends,
            )
        link = _Link(shard, report, ends, is_vouched=bool(keys))
        self._links.append(link)
        if self._is_numbered and ends.head is not None:
            self._check_place(link)
            self._check_link(before, link)

    def _is_of(self, origin: str, shard: Shard) -> bool:
        """Origins end in the name of their shard."""
        name = _name_in(origin)
        return name == shard.name or (len(self._shards) == 1 and name not in self._missing)

    def _keys_for(self, shard: Shard, before: _Link | None) -> tuple[VerifierKey, ...]:
        """Keys that the caller trusts for this shard, by name, by what the one before says, or because they are the same."""
        named = tuple(key for key in self._trusted if self._is_of(key.name, shard))
        if named:
            return named
        if before is not None and before.is_vouched and before.report.ok:
            closing = closing_of(before.ends.last)
            if closing is not None:
                return closing.keys
        own = _keys_of(shard)
        for name in dict.fromkeys(key.name for key in self._trusted):
            same = renamed((key for key in self._trusted if key.name == name), own[0].name if own else "")
            if own and set(same) == set(own):
                return own
        return ()

    # -- how it follows the one before

    @staticmethod
    def _check_place(link: _Link) -> None:
        name = _name_in(link.report.origin)
        if is_shard_name(name) and name != link.shard.name:
            link.report.find("chain-broken", "checkpoint", f"is of shard {name}, which does not belong here")

    def _check_link(self, before: _Link | None, link: _Link) -> None:
        """What the first record says, against what is here."""
        beginning = beginning_of(link.ends.first)
        if beginning is None:
            if link.shard.name != FIRST and link.ends.first:
                link.report.find("chain-broken", "record 0", "does not say what it follows")
            return
        if beginning.shard != link.shard.name or successor_of(beginning.before) != link.shard.name:
            why = f"is the beginning of {beginning.shard} after {beginning.before}"
            link.report.find("chain-broken", "record 0", why)
        elif before is not None and before.ends.head is not None:
            _compare(before, before.ends.head, beginning, link.report)
            if beginning.kind == CONTINUED:
                _check_handover(before, beginning, link)

    # -- who vouches

    def _vouch_backwards(self) -> None:
        """A shard that is vouched for has the last checkpoint of the one before in its first record."""
        for before, link in reversed(list(itertools.pairwise(self._links))):
            beginning = beginning_of(link.ends.first)
            follows = successor_of(before.shard.name) == link.shard.name
            is_said = beginning is not None and beginning.kind == CONTINUED and beginning.head == before.ends.head
            if link.is_vouched and link.report.ok and follows and is_said and not before.is_vouched:
                before.is_vouched = True
                before.report.not_proven = [each for each in before.report.not_proven if not each.startswith(_WHO)]
                before.report.notes.append(f"vouched for by shard {link.shard.name}, which has its last checkpoint")
        for link in self._links:
            if self._trusted and not link.is_vouched:
                link.report.find(
                    "keys-untrusted", "checkpoint", "none of the keys given vouches for those that signed it"
                )


def _compare(before: _Link, head: Checkpoint, beginning: Beginning, report: ShardReport) -> None:
    """The shard before must end where it is said to."""
    said = beginning.head
    if said is None:
        if beginning.kind == CONTINUED:
            report.find("chain-broken", "record 0", "does not say where the shard before ends")
        return  # one that was given up may have been in any state
    where, name = "checkpoint", before.shard.name
    if said.origin != head.origin:
        report.find("chain-broken", "record 0", f"follows {said.origin}, and {name} is {head.origin}")
    elif head.size < said.size:
        before.report.find("rolled-back", where, f"had {said.size} records when {report.shard} began, now {head.size}")
    elif head.size > said.size:
        why = f"has {head.size} records, and ended after {said.size} when {report.shard} began"
        before.report.find("chain-broken", where, why)
    elif head.root != said.root:
        before.report.find("split-view", where, f"is not the one that {report.shard} follows")


def _check_handover(before: _Link, beginning: Beginning, link: _Link) -> None:
    """The last record of the one, the keys of the other, and the signatures under what lies between them."""
    old, own, closing = before.keys(), link.keys(), closing_of(before.ends.last)
    if closing is None or closing.next != link.shard.name:
        link.report.find("chain-broken", "record 0", f"follows {before.shard.name}, which does not end by naming it")
        return
    if closing.keys != own:
        link.report.find("chain-broken", "keys", f"are not those that {before.shard.name} has handed over to")
        return
    both = (*old, *(key for key in renamed(own, before.report.origin) if key not in old))
    try:
        verify_checkpoint(beginning.note, both)
    except (NoteInvalid, SignatureInvalid) as error:
        link.report.find("chain-broken", "record 0", f"its checkpoint of {before.shard.name}: {error}")


def _keys_of(shard: Shard) -> tuple[VerifierKey, ...]:
    try:
        return shard.read_keys()
    except (OSError, NoteInvalid):
        return ()


def _origin_of(checkpoint: bytes) -> str:
    return checkpoint.partition(b"\n")[0].decode("utf-8", "replace")


def _name_in(origin: str) -> str:
    return origin.rpartition("/")[2]
