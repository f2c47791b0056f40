"""What operators ask of the audit log's shards: that it goes on in a new one, and that old ones are emptied."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
import structlog
from typing_extensions import override

from gateway.audit.actor import by
from gateway.audit.event import printable
from gateway.audit.note import NoteInvalid
from gateway.audit.record import envelope
from gateway.audit.succession import PRUNED, pruned_facts
from gateway.config.model import Config
from gateway.control.acting import who_acts
from gateway.control.audit_writer import AuditUnavailable, AuditWriter
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.control.part import NodePart
from gateway.control.trail.holds import HoldRefused
from gateway.control.trail.reader import RecordMissing
from gateway.control.trail.retention import Candidate, Retention
from gateway.control.trail.stamp import Stamper

__all__ = ["LogShards", "PruneRequest", "RotateRequest"]

_MAX_WORDS = 256
_log = structlog.get_logger("control.audit")


class RotateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Go on in a new shard; with `keys`, signed with new keys."""

    reason: str
    keys: bool = False


class PruneRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delete the records of shards that are old enough, or only tell which."""

    reason: str
    dry_run: bool = True
    lose_what_sinks_have_not_read: bool = False


class LogShards(NodePart):
    """Asks the writer; what is deleted was closed, and the writer has nothing to do with it any more."""

    name: ClassVar[str] = "log_shards"

    def __init__(self, writer: AuditWriter, retention: Retention, clock: Callable[[], float] = time.time) -> None:
        self._writer, self._retention, self._clock = writer, retention, clock
        self._stamper = Stamper("shards", os.urandom(8).hex())
        self._keep_days = 0
        self._turn = asyncio.Lock()

    @override
    def use(self, config: Config) -> None:
        self._keep_days = config.audit.keep_days

    @override
    def requests(self) -> Sequence[OperatorRequest]:
        return (
            OperatorRequest("/audit/rotate", RotateRequest, self.rotate),
            OperatorRequest("/audit/prune", PruneRequest, self.prune, changes=lambda asked: not asked.dry_run),
        )

    async def rotate(self, asked: RotateRequest) -> dict[str, Any]:
        """Close the shard and begin the next one, each on record. Raises RequestRefused."""
        try:
            why = printable(asked.reason, _MAX_WORDS) + by(who_acts())
            shard = await self._writer.rotate(why, new_keys=asked.keys)
        except AuditUnavailable as error:
            raise RequestRefused(f"the log does not go on in a new shard: {error}") from error
        return {"shard": shard, "directory": str(self._writer.directory / shard)}

    async def prune(self, asked: PruneRequest) -> dict[str, Any]:
        """What is old enough, and what was done with it. On record before it is deleted. Raises RequestRefused."""
        if not self._keep_days:
            raise RequestRefused("keep_days of [audit] is 0: everything is kept")
        async with self._turn:
            try:
                found = await asyncio.to_thread(
                    self._retention.candidates, int(self._clock() * 1_000_000), self._keep_days
                )
                go = [each for each in found if _may_go(each, asked)]
                failed = {} if asked.dry_run else await self._pruned(go, asked.reason)
            except (HoldRefused, OSError, NoteInvalid, RecordMissing, AuditUnavailable) as error:
                raise RequestRefused(str(error)) from error
        rows = [
            {**msgspec.to_builtins(each), "prune": each in go, "failed": failed.get(each.shard, "")} for each in found
        ]
        return {"shards": rows, "keep_days": self._keep_days, "dry_run": asked.dry_run}

    async def _pruned(self, shards: list[Candidate], reason: str) -> dict[str, str]:
        """Why some are still there, by shard."""
        await asyncio.to_thread(self._retention.finish)
        if not shards:
            return {}
        names = [each.shard for each in shards]
        facts = pruned_facts(await asyncio.to_thread(self._retention.pruned_with, names), self._keep_days)
        unread = sorted({name for each in shards for name in each.unread_by})
        what = f"{', '.join(names)}: {sum(each.records for each in shards)} records: {printable(reason, _MAX_WORDS)}"
        text = (f"{what}; not delivered to {', '.join(unread)}" if unread else what) + by(actor := who_acts())
        if unread:
            _log.warning("audit_pruned_unread", shards=names, sinks=unread)
        severity = "high" if unread else "medium"
        await self._writer.append_signed(
            envelope(
                PRUNED,
                self._stamper.stamp(),
                sev=severity,
                text=text,
                actor=msgspec.to_builtins(actor),
                log={**facts, "now": names, "unread": unread},
            )
        )
        failed = {}
        for name in names:
            if why := await asyncio.to_thread(self._retention.prune, name):
                failed[name] = why
                _log.error("audit_not_pruned", shard=name, why=why)
        return failed


def _may_go(candidate: Candidate, asked: PruneRequest) -> bool:
    is_read = not candidate.unread_by or asked.lose_what_sinks_have_not_read
    return is_read and not candidate.held and not candidate.damaged
