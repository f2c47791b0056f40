"""Drivers' data in the audit log: what operators may ask about it, have destroyed or held, and what time destroys.

Everything that is asked for is on the disk of the log before it happens.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

import msgspec
import structlog

from gateway.audit.event import printable
from gateway.config.model import Config
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.control.part import NodePart
from gateway.control.shredding import Found, Selection, Shredding
from gateway.control.trail.holds import Hold, HoldRefused, is_day
from gateway.control.trail.keys import KeyUnusable
from gateway.control.trail.reader import RecordMissing

__all__ = ["TEXT_READ", "HoldRequest", "Privacy", "ShredRequest", "SubjectRequest", "TextReading", "reading_in_words"]

TEXT_READ: Final = "privacy.text_read"

_EVERY_S: Final = 3_600.0
_MAX_WORDS: Final = 256
_MAX_PLACES: Final = 100
_SECONDS_A_DAY: Final = 86_400
_log = structlog.get_logger("control.audit")
T = TypeVar("T")


class SubjectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How does this driver's token stand in the log?"""

    token: str
    reason: str


class ShredRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Destroy the texts of a driver, of a charge point, or of days."""

    reason: str
    token: str = ""
    charge_point_id: str = ""
    since: str = ""
    until: str = ""
    dry_run: bool = False


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold days, or, with `lift`, hold them no longer; without a name only tell what is held."""

    name: str = ""
    since: str = ""
    until: str = ""
    reason: str = ""
    lift: bool = False


class TextReading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody is about to be shown the texts of these records, ``SHARD/INDEX``. A command has read them, with the keys."""

    records: list[str]
    purpose: str
    reason: str = ""


class Privacy(NodePart):
    """`may_happen`: what was reported is in the log for good, or need not be; `is_recorded`: in any case.

    One thing at a time, in a thread: records go on being made.
    """

    name: ClassVar[str] = "privacy"
    tick_every_s: ClassVar[float] = _EVERY_S

    def __init__(
        self,
        shredding: Shredding,
        report: Callable[..., None],
        may_happen: Callable[[], Awaitable[bool]],
        is_recorded: Callable[[], Awaitable[bool]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._shredding = shredding
        self._report = report
        self._may_happen = may_happen
        self._is_recorded = is_recorded
        self._turn = asyncio.Lock()
        self._clock = clock
        self._days = 0

    def use(self, config: Config) -> None:
        self._days = config.audit.text_days

    def requests(self) -> Sequence[OperatorRequest]:
        return (
            OperatorRequest("/audit/subject", SubjectRequest, self.subject),
            OperatorRequest("/audit/shred", ShredRequest, self.shred),
            OperatorRequest("/audit/hold", HoldRequest, self.hold),
            OperatorRequest("/audit/text-read", TextReading, self.text_read, changes=False),
        )

    async def subject(self, asked: SubjectRequest) -> dict[str, Any]:
        """Pseudonyms of a token, also of other spellings that there are, and how much there is of it. Raises RequestRefused."""
        subjects = await self._subjects(asked.token)
        await self._first("privacy.subject", f"{', '.join(subjects)} asked for: {_words(asked.reason)}")
        found = await self._found(Selection(subjects=await self._all_spellings(asked.token)))
        others = sorted(found.subjects.difference(subjects))
        return {"subjects": [*subjects, *others], **await self._counts(found, asked.token)}

    async def shred(self, asked: ShredRequest) -> dict[str, Any]:
        """Destroy the keys of texts. Raises RequestRefused."""
        if not (asked.token or asked.charge_point_id or asked.since or asked.until):
            raise RequestRefused("nothing is named: a token, a charge point, or days")
        subjects = await self._subjects(asked.token) if asked.token else []
        for day in filter(None, (asked.since, asked.until)):
            _verify_day(day)
        selection = Selection(
            subjects=await self._all_spellings(asked.token) if asked.token else frozenset(),
            charge_point_id=asked.charge_point_id,
            since=asked.since,
            until=asked.until,
        )
        if asked.dry_run and subjects:
            await self._first("privacy.subject", f"{', '.join(subjects)} asked for: {_words(asked.reason)}")
        found = await self._found(selection)
        if asked.dry_run:
            return {"destroyed": 0, **await self._counts(found, asked.token)}
        what = _named(selection, subjects)
        await self._first("privacy.shredding", f"{what}: {_size(found)} texts: {_words(asked.reason)}")
        try:
            destroyed = await self._in_thread(lambda: self._shredding.destroy(found))
            # A large log takes a while to read, and what has come meanwhile is meant as well.
            newer = await self._found(selection, found.seen)
            destroyed += await self._in_thread(lambda: self._shredding.destroy(newer))
            found.unreadable += newer.unreadable
        except (HoldRefused, OSError) as error:
            self._report("privacy.shredding_failed", "high", "fail", f"{what}: {error}")
            raise RequestRefused(f"the keys could not be destroyed: {error}; repeat it") from error
        left = f", {len(found.unreadable)} could not be looked into" if found.unreadable else ""
        self._report("privacy.shredded", "high", "allow", f"{what}: {destroyed} texts are gone{left}")
        return {"destroyed": destroyed, **await self._counts(found, asked.token)}

    async def hold(self, asked: HoldRequest) -> dict[str, Any]:
        """Hold days, or lift a hold. Raises RequestRefused."""
        holds = self._shredding.holds
        try:
            if asked.name and asked.lift:
                await self._first("privacy.hold_lifted", f"{_words(asked.name)}: {_words(asked.reason)}")
                await self._in_thread(lambda: holds.lift(asked.name))
            elif asked.name:
                days = f"{_words(asked.since)} to {_words(asked.until) or 'further notice'}"
                await self._first("privacy.held", f"{_words(asked.name)}: {days}: {_words(asked.reason)}")
                hold = Hold(name=asked.name, since=asked.since, until=asked.until, reason=asked.reason)
                await self._in_thread(lambda: holds.add(hold))
            return {"holds": await asyncio.to_thread(holds.all)}
        except (HoldRefused, OSError) as error:
            raise RequestRefused(str(error)) from error

    async def text_read(self, asked: TextReading) -> dict[str, str]:
        """On record, in every failure mode, before anybody sees the texts. Raises RequestRefused."""
        self._report(TEXT_READ, "medium", "allow", reading_in_words(asked.records, asked.purpose, asked.reason))
        if not await self._is_recorded():
            raise RequestRefused("the audit log cannot be written, and who reads a text is recorded first")
        return {"refused": ""}

    async def tick(self) -> None:
        """Destroy the texts that are old enough."""
        if not self._days:
            return
        first = time.strftime("%Y-%m-%d", time.gmtime(self._clock() - self._days * _SECONDS_A_DAY))
        try:
            gone = await self._in_thread(lambda: self._shredding.destroy_before(first))
        except HoldRefused as error:
            _log.error("texts_not_expired", why=str(error))
            return
        for day, count in gone.items():
            self._report("privacy.expired", "info", "allow", f"{day}: {count} texts are gone, after {self._days} days")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Holds are not set while keys go."""
        async with self._turn:
            return await asyncio.to_thread(work)

    async def _subjects(self, token: str) -> list[str]:
        if not token.strip():
            raise RequestRefused("no token")
        try:
            return await asyncio.to_thread(self._shredding.pseudonyms.all_of, token)
        except (OSError, KeyUnusable) as error:
            raise RequestRefused(f"the keys of pseudonyms cannot be read: {error}") from error

    async def _all_spellings(self, token: str) -> frozenset[str]:
        try:
            return await asyncio.to_thread(self._shredding.pseudonyms.of_all_spellings, token)
        except (OSError, KeyUnusable) as error:
            raise RequestRefused(f"the keys of pseudonyms cannot be read: {error}") from error

    async def _counts(self, found: Found, token: str) -> dict[str, Any]:
        """What there is, and what could not be looked into."""
        try:
            years = await asyncio.to_thread(self._shredding.years_without_key) if token else []
        except OSError as error:
            raise RequestRefused(str(error)) from error
        return {
            "records": found.records,
            "texts": _size(found),
            "days": sorted(found.texts),
            "held": found.held,
            "unreadable": found.unreadable[:_MAX_PLACES],
            "years_without_key": years,
        }

    async def _found(self, selection: Selection, seen: Mapping[str, int] | None = None) -> Found:
        try:
            return await asyncio.to_thread(self._shredding.find, selection, seen)
        except (RecordMissing, OSError, HoldRefused) as error:
            raise RequestRefused(str(error)) from error

    async def _first(self, event: str, detail: str) -> None:
        """On record before it happens. Raises RequestRefused."""
        self._report(event, "medium", "allow", detail)
        if not await self._may_happen():
            raise RequestRefused("the audit log cannot be written, and this has to be recorded first")


def reading_in_words(records: Sequence[str], purpose: str, reason: str) -> str:
    """Which texts somebody reads, how many, and what for."""
    places = ", ".join(_words(each) for each in records[:_MAX_PLACES])
    more = f" and {len(records) - _MAX_PLACES} more" if len(records) > _MAX_PLACES else ""
    why = f": {_words(reason)}" if reason else ""
    return f"{len(records)} texts, of {places}{more}: {_words(purpose)}{why}"


def _verify_day(day: str) -> None:
    if not is_day(day):
        raise RequestRefused(f"{_words(day)} is no day: YYYY-MM-DD")


def _words(text: str) -> str:
    return printable(text, _MAX_WORDS)


def _named(selection: Selection, subjects: Sequence[str]) -> str:
    """`subjects`: the token as it was given; what else it may be spelled like goes without saying."""
    named = [*subjects, _words(selection.charge_point_id)]
    if selection.since or selection.until:
        named.append(f"{selection.since or 'the beginning'} to {selection.until or 'now'}")
    return ", ".join(filter(None, named))


def _size(found: Found) -> int:
    return sum(map(len, found.texts.values()))
