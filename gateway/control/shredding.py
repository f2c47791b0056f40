"""Finds the texts that records commit to, by driver, charge point or day, and destroys their keys. Blocks.

Nothing of the log is changed: record, proof and pseudonym stay.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.audit.record import part
from gateway.audit.redaction import tokens_in
from gateway.control.trail.holds import HoldRefused, Holds
from gateway.control.trail.layout import shards_in
from gateway.control.trail.payloads import PayloadGone, Payloads, PayloadStore
from gateway.control.trail.pseudonyms import PseudonymKeys, subject_of
from gateway.control.trail.reader import ShardReader, decoded
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["Found", "Selection", "Shredding"]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which texts: all conditions that are given hold. Days are ``YYYY-MM-DD``, both included."""

    subjects: frozenset[str] = frozenset()
    """Pseudonyms; a text with any of them."""
    charge_point_id: str = ""
    since: str = ""
    until: str = ""

    def is_about(self, record: dict[str, Any], day: str) -> bool:
        """True for a record of this charge point, whose text is of these days."""
        return (
            (not self.charge_point_id or record.get("cp") == self.charge_point_id)
            and self.since <= day
            and (not self.until or day <= self.until)
        )

    def named_of(self, subjects: Iterable[str]) -> frozenset[str]:
        """Those of these that are meant."""
        return self.subjects.intersection(subjects)


class Found(msgspec.Struct, kw_only=True):
    """What a selection means just now."""

    subjects: set[str] = set()
    """Which of those that were looked for there are."""
    records: int = 0
    """Records that it includes, with and without a text."""
    texts: dict[str, set[str]] = {}
    """Commitments by day."""
    held: dict[str, list[str]] = {}
    """Days over which there are holds, and their names: nothing of them is destroyed."""
    unreadable: list[str] = []
    """Records with more drivers than they name, whose texts cannot be read to see whether one of these is among them."""
    seen: dict[str, int] = {}
    """How many records of which shard were read."""


class Shredding:
    """What is known of texts, keys and holds in one place."""

    def __init__(self, log: Path, payloads: PayloadStore, pseudonyms: PseudonymKeys, holds: Holds) -> None:
        self._log = log
        self.payloads = payloads
        self.pseudonyms = pseudonyms
        self.holds = holds

    def find(self, selection: Selection, seen: Mapping[str, int] | None = None) -> Found:
        """Read the log, without what was `seen` of it. Raises RecordMissing, OSError, HoldRefused."""
        found, texts = Found(seen=dict(seen or {})), _Texts(self.payloads)
        for place, record in self._records(found.seen):
            body = part(record, "body")
            day = str(body.get("day") or "")
            if not selection.is_about(record, day or selection.since):
                continue
            named = selection.named_of(record.get("subj") or ())
            if selection.subjects and not named:
                if "drivers" not in body:
                    continue
                subjects = texts.subjects_of(record, day)
                if subjects is None:
                    found.unreadable.append(place)
                    continue
                if not (named := selection.named_of(subjects)):
                    continue
            found.subjects |= named
            found.records += 1
            if day:
                found.texts.setdefault(day, set()).add(str(body["commit"]))
        for day in list(found.texts):
            if names := self.holds.over(day):
                found.held[day] = names
                del found.texts[day]
        return found

    def years_without_key(self) -> list[str]:
        """Years of which there are texts, and no key to find a driver in them with. Raises OSError."""
        return sorted({day[:4] for day in self.payloads.days()} - set(self.pseudonyms.years()))

    def _records(self, seen: dict[str, int]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Messages and where they are; `seen` is kept up to date."""
        for shard in shards_in(self._log):
            for index, data in ShardReader(shard).records(seen.get(shard.name, 0)):
                seen[shard.name] = index + 1
                if b'"ocpp.message"' in data:
                    yield f"{shard.name}/{index}", decoded(data)

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


class _Texts:
    """Looks into texts, one day's after the other's."""

    def __init__(self, payloads: PayloadStore) -> None:
        self._payloads = payloads
        self._day = ""
        self._of_day: Payloads | None = None

    def subjects_of(self, record: dict[str, Any], day: str) -> frozenset[str] | None:
        """The drivers in the text of a record; none if it is destroyed, None if it cannot be read. Raises OSError."""
        if self._of_day is None or self._day != day:
            self._day, self._of_day = day, self._payloads.of(day)
        try:
            text = self._of_day.text(str(part(record, "body").get("commit")))
            found = tokens_in(text, OCPPVersion(str(part(record, "ocpp").get("version"))))
        except PayloadGone as gone:
            return frozenset() if gone.is_destroyed else None
        except ValueError:
            return None
        return frozenset(subject_of(day[:4], each) for each in found)
