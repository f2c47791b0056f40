"""Finds the texts that records commit to, by driver, charge point or day, and destroys their keys. Blocks.

Nothing of the log is changed: record, proof and pseudonym stay.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.control.trail.holds import HoldRefused, Holds
from gateway.control.trail.layout import shards_in
from gateway.control.trail.payloads import PayloadStore
from gateway.control.trail.pseudonyms import PseudonymKeys
from gateway.control.trail.reader import ShardReader, decoded

__all__ = ["Found", "Selection", "Shredding"]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which texts: all conditions that are given hold. Days are ``YYYY-MM-DD``, both included."""

    subjects: frozenset[str] = frozenset()
    """Pseudonyms; a text with any of them."""
    charge_point_id: str = ""
    since: str = ""
    until: str = ""

    def includes(self, record: dict[str, Any], day: str) -> bool:
        """True for a record whose text, of that day, is meant."""
        return (
            (not self.subjects or not self.subjects.isdisjoint(record.get("subj") or ()))
            and (not self.charge_point_id or record.get("cp") == self.charge_point_id)
            and self.since <= day
            and (not self.until or day <= self.until)
        )


class Found(msgspec.Struct, kw_only=True):
    """What a selection means just now."""

    records: int = 0
    """Records that it includes, with and without a text."""
    texts: dict[str, set[str]] = {}
    """Commitments by day."""
    held: dict[str, list[str]] = {}
    """Days over which there are holds, and their names: nothing of them is destroyed."""


class Shredding:
    """What is known of texts, keys and holds in one place."""

    def __init__(self, log: Path, payloads: PayloadStore, pseudonyms: PseudonymKeys, holds: Holds) -> None:
        self._log = log
        self.payloads = payloads
        self.pseudonyms = pseudonyms
        self.holds = holds

    def find(self, selection: Selection) -> Found:
        """Read the log. Raises RecordMissing, OSError, HoldRefused."""
        found = Found()
        for record in self._records():
            body = record.get("body") or {}
            day = str(body.get("day") or "")
            if not selection.includes(record, day or selection.since):
                continue
            found.records += 1
            if day:
                found.texts.setdefault(day, set()).add(str(body["commit"]))
        for day in list(found.texts):
            if names := self.holds.over(day):
                found.held[day] = names
                del found.texts[day]
        return found

    def _records(self) -> Iterator[dict[str, Any]]:
        for shard in shards_in(self._log):
            for _, data in ShardReader(shard).records():
                if b'"ocpp.message"' in data:
                    yield decoded(data)

    def destroy(self, found: Found) -> int:
        """Destroy the keys of what was found; how many there were. Raises OSError; HoldRefused for a hold that has come since."""
        for day in found.texts:
            if names := self.holds.over(day):
                raise HoldRefused(f"{day} is held by {', '.join(names)} since a moment ago")
        return sum(self.payloads.destroy(day, commits) for day, commits in found.texts.items())

    def destroy_before(self, day: str) -> dict[str, int]:
        """What is older than a day and not held: texts that are gone, by day. Raises OSError, HoldRefused."""
        old = [each for each in self.payloads.days() if each < day and not self.holds.over(each)]
        return {each: self.payloads.destroy_day(each) for each in old}
