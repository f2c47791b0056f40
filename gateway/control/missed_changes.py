"""What was changed in the registry while no gateway ran, for the record: by whom, as what it was before nobody knows."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

import structlog
from typing_extensions import override

from gateway.audit.actor import MAX_ACTOR_CHARS, named_in_registry
from gateway.audit.event import printable
from gateway.control.directory import Directory
from gateway.control.part import NodePart
from gateway.control.store_thread import StoreThread
from gateway.control.trail.disk import Disk
from gateway.store.changes import EVERYBODY

__all__ = ["MissedChanges"]

_MOST: Final = 1000
_log = structlog.get_logger("control.registry")


class MissedChanges(NodePart):
    """Remembers in a file how far the registry's changes are on record. After a crash some may be told twice."""

    name: ClassVar[str] = "missed_changes"
    tick_every_s: ClassVar[float] = 1.0

    def __init__(self, store: StoreThread, directory: Directory, report: Callable[..., None], file: Path) -> None:
        self._store = store
        self._directory = directory
        self._report = report
        self._file = file
        self._told = -1
        self._missed: dict[str, str] = {}

    @override
    async def load(self) -> None:
        """Raises OSError, StoreError."""
        try:
            told = int(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return  # whatever there is was there before we were
        self._missed = await self._store.call(lambda registry: registry.actors_since(told))

    @override
    async def tick(self) -> None:
        missed, self._missed = self._missed, {}
        for identity, actor in list(missed.items())[:_MOST]:
            who = named_in_registry(actor)
            if identity == EVERYBODY:
                what = "certificates were revoked, or no more, while no gateway ran"
                self._report("admin.revocations_changed", "medium", "allow", what, actor=who)
            else:
                what = f"{printable(identity)} was added, changed or removed while no gateway ran"
                self._report("admin.charge_point_changed", "medium", "allow", what, identity, actor=who)
        if len(missed) > _MOST:
            whose = sorted({printable(actor, MAX_ACTOR_CHARS) for actor in list(missed.values())[_MOST:]})
            what = f"{len(missed) - _MOST} more charge points were changed while no gateway ran; by {', '.join(whose)}"
            self._report("admin.charge_point_changed", "medium", "allow", what)
        if self._directory.counter != self._told:
            counter = self._directory.counter
            try:
                Disk().replace(self._file, str(counter).encode(), durable=False)
            except OSError as error:
                _log.warning("told_changes_not_noted", error=str(error))
                return
            self._told = counter
