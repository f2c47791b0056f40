"""Security profile upgrades that a session proves by registering: on disk, however often it takes."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from gateway.audit.event import printable
from gateway.control.directory import Directory
from gateway.control.part import NodePart
from gateway.control.sessions import Entry
from gateway.control.store_thread import StoreThread
from gateway.identity.record import ChargePointRecord
from gateway.link.tasks import TaskOwner
from gateway.store.errors import BelowFloor, NotFound, StoreError
from gateway.store.registry import Registry

__all__ = ["Upgrades"]

_RETRY_STORE_S: Final = 1.0
_log = structlog.get_logger("control")


class Upgrades(NodePart):
    """One per node. `report(event, severity, decision, detail)` puts each upgrade on record."""

    name = "upgrades"

    def __init__(
        self,
        store: StoreThread,
        directory: Directory,
        report: Callable[[str, str, str, str], None],
        tasks: TaskOwner,
    ) -> None:
        self._store = store
        self._directory = directory
        self._report = report
        self._tasks = tasks

    def registered(self, entry: Entry) -> None:
        """BootNotification was accepted: does this prove an upgrade?"""
        if entry.upgrade_pending:
            self._tasks.start(self.prove(entry), "upgrade-proven")

    async def prove(self, entry: Entry) -> None:
        """From now on nothing lower may be accepted (A05.FR.07, A05.FR.09)."""
        if not entry.upgrade_pending:
            return
        entry.upgrade_pending = False
        identity, profile = entry.charge_point_id, entry.security_profile

        def prove(registry: Registry) -> ChargePointRecord | None:
            registry.prove_upgrade(identity, profile)
            return registry.get(identity)

        record: ChargePointRecord | None = None
        while record is None:
            try:
                record = await self._store.call(prove)
            except (NotFound, BelowFloor) as error:
                _log.warning("upgrade_not_recorded", error=str(error))
                return
            except StoreError as error:
                _log.error("upgrade_not_recorded_yet", error=str(error))
                await asyncio.sleep(_RETRY_STORE_S)
        self._directory.put(record)
        self._report(
            "profile.upgraded", "info", "allow_alert", f"{printable(identity)} is on security profile {int(profile)}"
        )
