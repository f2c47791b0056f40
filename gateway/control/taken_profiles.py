"""Follows a CSMS that raises the security profile of a charge point by itself: both are accepted until the new one is proven.

Otherwise it would be turned away on the profile that it was told to use, on a roadside. Nothing becomes less secure: a
lower one is never followed, the charge point still has to prove itself as the new profile demands, and what a registered
session has proven raises the floor as it always does.
"""

import asyncio
from typing import Final

import structlog

from gateway.audit.event import printable
from gateway.control.directory import Directory
from gateway.control.enrolment_events import Report
from gateway.control.link_server import EdgeLink
from gateway.control.part import NodePart
from gateway.control.record_gate import RecordGate
from gateway.control.store_thread import StoreThread
from gateway.identity.record import ChargePointRecord
from gateway.link.messages import ProfileNoted, ProfileSeen
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import SecurityProfile
from gateway.store.errors import NotFound, StoreError
from gateway.store.registry import Registry

__all__ = ["TakenProfiles"]

_AGAIN_S: Final = 1.0
_log = structlog.get_logger("control.taken_profiles")


class TakenProfiles(NodePart):
    """One per node, on its event loop."""

    name = "taken_profiles"

    def __init__(
        self, store: StoreThread, directory: Directory, report: Report, tasks: TaskOwner, gate: RecordGate
    ) -> None:
        self._store = store
        self._directory = directory
        self._report = report
        self._tasks = tasks
        self._gate = gate

    def seen(self, message: ProfileSeen, edge: EdgeLink) -> None:
        """An edge has seen on the wire that a charge point has taken one."""
        self._tasks.start(self._follow(message, edge), "profile-seen")

    async def _follow(self, message: ProfileSeen, edge: EdgeLink) -> None:
        """On record, then on disk, however often it takes."""
        identity, profile = message.charge_point_id, message.security_profile
        record = self._directory.get(identity)
        if record is not None and record.security_profile < profile != record.pending_security_profile:
            taken = f"{printable(identity)} has taken security profile {int(profile)} from its CSMS"
            if record.pending_security_profile is None:
                told = f"{taken}: both are accepted until it has registered on it"
                self._report("profile.taken", "medium", "allow_alert", told, identity)
                await self._store_it(identity, profile)
            else:
                told = f"{taken}, which is not followed: profile {int(record.pending_security_profile)} is pending"
                self._report("profile.not_followed", "high", "allow_alert", told, identity)
        edge.send(ProfileNoted(message.request_id))

    async def _store_it(self, identity: str, profile: SecurityProfile) -> None:
        while not await self._gate.is_open():
            await asyncio.sleep(_AGAIN_S)
        while True:
            try:
                record = await self._store.call(lambda registry: _made_pending(registry, identity, profile))
            except NotFound:
                return
            except StoreError as error:
                _log.error("profile_not_stored", error=str(error))
                await asyncio.sleep(_AGAIN_S)
            else:
                if record is not None:
                    self._directory.put(record)
                return


def _made_pending(registry: Registry, identity: str, profile: SecurityProfile) -> ChargePointRecord | None:
    """None where that is no longer so: while the record was waited for, an upgrade may have begun. Raises NotFound, StoreError."""
    record = registry.get(identity)
    if record is None or record.pending_security_profile is not None or record.security_profile >= profile:
        return None
    return registry.update(identity, pending_security_profile=profile)
