"""Calls to charge points that an operator asks for: `ocpp-gateway charge-point call`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.control.directory import Directory
from gateway.control.operator_requests import OperatorRequest
from gateway.control.own_calls import CallAnswer, OwnCalls
from gateway.control.part import NodePart
from gateway.control.sessions import Sessions

__all__ = ["CallRequest", "CallRequests"]


class CallRequest(msgspec.Struct, frozen=True):
    """Which charge point, and what it is asked."""

    charge_point_id: str
    action: str
    payload: dict[str, Any]
    timeout_s: float = 30.0


class CallRequests(NodePart):
    """One per node."""

    name = "call_requests"

    def __init__(self, calls: OwnCalls, directory: Directory, sessions: Sessions) -> None:
        self._calls = calls
        self._directory = directory
        self._sessions = sessions

    def requests(self) -> Sequence[OperatorRequest]:
        """One: a call."""
        return (OperatorRequest("/call", CallRequest, self.call),)

    async def call(self, asked: CallRequest) -> CallAnswer:
        """Ask a charge point in the gateway's own name, on record. Raises CallRefused."""
        identity = asked.charge_point_id
        record = self._directory.get(identity)
        if record is None or record.charge_point_id != identity:
            self._calls.refuse_unknown(identity, asked.action)
        entry = self._sessions.get(record.charge_point_id)
        return await self._calls.call(identity, entry, asked.action, asked.payload, asked.timeout_s)
