"""What operators ask of the audit log's shards: that it goes on in a new one."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from typing_extensions import override

from gateway.audit.event import printable
from gateway.control.audit_writer import AuditUnavailable, AuditWriter
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.control.part import NodePart

__all__ = ["LogShards", "RotateRequest"]

_MAX_WORDS = 256


class RotateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Go on in a new shard; with `keys`, signed with new keys."""

    reason: str
    keys: bool = False


class LogShards(NodePart):
    """Asks the writer."""

    name: ClassVar[str] = "log_shards"

    def __init__(self, writer: AuditWriter) -> None:
        self._writer = writer

    @override
    def requests(self) -> Sequence[OperatorRequest]:
        return (OperatorRequest("/audit/rotate", RotateRequest, self.rotate),)

    async def rotate(self, asked: RotateRequest) -> dict[str, Any]:
        """Close the shard and begin the next one, each on record. Raises RequestRefused."""
        try:
            shard = await self._writer.rotate(printable(asked.reason, _MAX_WORDS), new_keys=asked.keys)
        except AuditUnavailable as error:
            raise RequestRefused(f"the log does not go on in a new shard: {error}") from error
        return {"shard": shard, "directory": str(self._writer.directory / shard)}
