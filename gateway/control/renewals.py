"""Starts the renewal of those who are let in for nothing else: a CSMS that has seen no BootNotification will not."""

import asyncio
from typing import Any, Final

from gateway.control.own_calls import CallRefused, OwnCalls
from gateway.control.part import NodePart
from gateway.control.sessions import Entry, Sessions
from gateway.identity.evidence import is_limited
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["Renewals"]

_FIRST_S: Final = 2.0
"""A charge point that has just started sends its BootNotification first."""
_AGAIN_S: Final = 120.0
_ANSWER_S: Final = 60.0


class Renewals(NodePart):
    """Asks each limited session for a BootNotification, so that it hears Pending, and then for its certificate request.

    A charge point that only reconnects sends no BootNotification by itself, and one that is Pending sends nothing that it
    is not asked for (OCPP 1.6, 4.2; B02). Again and again while the session lives, until it has agreed.
    """

    name = "renewals"

    def __init__(self, calls: OwnCalls, sessions: Sessions, tasks: TaskOwner) -> None:
        self._calls = calls
        self._sessions = sessions
        self._tasks = tasks
        self._seen_to: set[str] = set()

    def opened(self, entry: Entry) -> None:
        """A relay runs, perhaps one that is known already."""
        if is_limited(entry.proof) and entry.session not in self._seen_to:
            self._seen_to.add(entry.session)
            self._tasks.start(self._see_to(entry), "renewal")

    async def _see_to(self, entry: Entry) -> None:
        try:
            await asyncio.sleep(_FIRST_S)
            while self._sessions.get(entry.charge_point_id) is entry and not await self._start(entry):
                await asyncio.sleep(_AGAIN_S)
        finally:
            self._seen_to.discard(entry.session)

    async def _start(self, entry: Entry) -> bool:
        """True if the charge point has agreed to send its request, or is gone."""
        assert entry.live is not None
        is_1_6 = OCPPVersion.from_subprotocol(entry.live.subprotocol) is OCPPVersion.V1_6
        trigger = "ExtendedTriggerMessage" if is_1_6 else "TriggerMessage"
        wanted = "SignChargePointCertificate" if is_1_6 else "SignChargingStationCertificate"
        try:
            await self._calls.call(
                entry.charge_point_id, entry, trigger, {"requestedMessage": "BootNotification"}, _ANSWER_S
            )
            said = await self._calls.call(
                entry.charge_point_id, entry, trigger, {"requestedMessage": wanted}, _ANSWER_S
            )
        except CallRefused:
            return self._sessions.get(entry.charge_point_id) is not entry
        return said.outcome == "gone" or (said.outcome == "result" and _status(said.payload) == "Accepted")


def _status(payload: Any) -> Any:
    return payload.get("status") if isinstance(payload, dict) else None
