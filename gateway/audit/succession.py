"""How one shard of a log follows another: the last record of the one, and the first of the next.

``audit.closed`` is the last record of a shard. It names the shard that follows and the keys that sign it (``log.keys``).
``audit.continued`` is the first record of that shard, and has the last checkpoint of the one before. So either of them
can be verified from the other: forwards by the keys, backwards by the checkpoint. Where the keys change, the last
checkpoint is signed by the new ones too, so that the record which introduces them stands under both.

``audit.new_history`` is the first record of a shard that follows one given up: it names no head that must be met.
"""

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.note import NoteInvalid, VerifierKey, from_base64, parse_note, parse_vkey, to_base64
from gateway.audit.record import part

__all__ = [
    "BEGUN",
    "CLOSED",
    "CONTINUED",
    "PRUNED",
    "Beginning",
    "Closing",
    "Pruned",
    "Why",
    "beginning_facts",
    "beginning_of",
    "closing_facts",
    "closing_of",
    "pruned_facts",
    "pruned_in",
    "renamed",
    "successor_of",
]

CLOSED: Final = "audit.closed"
CONTINUED: Final = "audit.continued"
BEGUN: Final = "audit.new_history"
PRUNED: Final = "audit.pruned"
Why = Literal["month", "asked", "keys"]
_LAST_SHARD: Final = 9999
_NAME: Final = re.compile(r"[0-9]{4}", re.ASCII)


class Closing(msgspec.Struct, frozen=True):
    """What the last record of a shard says."""

    next: str
    """Name of the shard that follows."""
    keys: tuple[VerifierKey, ...]
    """Its keys; their name is its origin."""


class Beginning(msgspec.Struct, frozen=True):
    """What the first record of a shard says."""

    kind: str
    """CONTINUED or BEGUN."""
    shard: str
    before: str
    """Name of the shard that it follows."""
    note: bytes
    """The checkpoint of that shard as it was then; of one that was given up, whatever lay in its place."""

    @property
    def head(self) -> Checkpoint | None:
        """That checkpoint, not verified; None if it is none."""
        try:
            return Checkpoint.parse(parse_note(self.note).text)
        except NoteInvalid:
            return None


class Pruned(msgspec.Struct, frozen=True):
    """A shard whose records were deleted, as it was then."""

    shard: str
    size: int
    root: bytes


def successor_of(shard: str) -> str | None:
    """The name of the next shard; None after the last one there can be, and for what is no name of a shard."""
    if not _NAME.fullmatch(shard) or int(shard) >= _LAST_SHARD:
        return None
    return f"{int(shard) + 1:04d}"


def renamed(keys: Iterable[VerifierKey], name: str) -> tuple[VerifierKey, ...]:
    """The same keys under another name."""
    return tuple(VerifierKey(name, key.algorithm, key.public) for key in keys)


def closing_facts(shard: str, closing: Closing, why: Why) -> dict[str, Any]:
    """The ``log`` of an ``audit.closed``."""
    return {"shard": shard, "next": closing.next, "why": why, "keys": [key.vkey for key in closing.keys]}


def closing_of(record: dict[str, Any]) -> Closing | None:
    """What a record says, if it is an ``audit.closed``."""
    log = part(record, "log")
    following, lines = log.get("next"), log.get("keys")
    if record.get("type") != CLOSED or not isinstance(following, str) or not isinstance(lines, list):
        return None
    try:
        keys = tuple(parse_vkey(line) for line in lines if isinstance(line, str))
    except NoteInvalid:
        return None
    return Closing(following, keys) if keys and len({key.name for key in keys}) == 1 else None


def beginning_facts(shard: str, before: str, note: bytes) -> dict[str, Any]:
    """The ``log`` of an ``audit.continued``. `note`: the last checkpoint of the shard before."""
    return {"shard": shard, "after": before, "checkpoint": note.decode()}


def beginning_of(record: dict[str, Any]) -> Beginning | None:
    """What a record says, if it is one that a shard begins with."""
    kind, log = record.get("type"), part(record, "log")
    before = log.get("after" if kind == CONTINUED else "given_up")
    shard, note = log.get("shard"), log.get("checkpoint", "")
    if kind not in {CONTINUED, BEGUN} or not all(isinstance(each, str) for each in (shard, before, note)):
        return None
    return Beginning(str(kind), str(shard), str(before), str(note).encode())


def pruned_facts(shards: Iterable[Pruned], keep_days: int) -> dict[str, Any]:
    """The ``log`` of an ``audit.pruned``: all shards that have been pruned so far."""
    rows = [{"shard": each.shard, "size": each.size, "root": to_base64(each.root)} for each in shards]
    return {"shards": rows, "keep_days": keep_days}


def pruned_in(record: dict[str, Any]) -> list[Pruned]:
    """What an ``audit.pruned`` names; nothing for other records."""
    rows = part(record, "log").get("shards") if record.get("type") == PRUNED else None
    found = []
    for row in rows if isinstance(rows, list) else ():
        try:
            found.append(Pruned(str(row["shard"]), int(row["size"]), from_base64(row["root"])))
        except (KeyError, TypeError, ValueError, NoteInvalid):
            continue
    return found
