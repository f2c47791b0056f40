"""Gives the charge points of a group a new root of their CSMS, one row each: durable first, then said.

What a charge point lists is what it has. The old root stays where it is, and nobody's server certificate is switched here:
that is for an operator who has seen the coverage.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import structlog

from gateway.control.certificate_calls import Said
from gateway.control.directory import Directory
from gateway.control.enrolment_events import Report
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.control.own_calls import OwnCalls
from gateway.control.part import NodePart
from gateway.control.reachable import Reachable
from gateway.control.rollover_material import RolloverMaterial, why_unusable
from gateway.control.root_calls import RootCalls
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import rollover as core
from gateway.provisioning.rollover import RolloverNames, RolloverState, RolloverStation
from gateway.provisioning.roots import CSMS_ROOT, RootStore
from gateway.store.errors import DamagedRow, NotFound, StoreError
from gateway.store.roots import Rollover, RootTables

__all__ = ["Rollovers", "StartRollover", "StopRollover"]

_MAX_AT_ONCE: Final = 50
_log = structlog.get_logger("control.rollovers")


class StartRollover(msgspec.Struct, frozen=True, kw_only=True):
    """Of an operator: the charge points of this group shall know this root. Certificates are PEM."""

    group: str
    old: str
    new: str
    link: str = ""
    threshold: float = 0.98


class StopRollover(msgspec.Struct, frozen=True):
    """Of an operator: nothing more of this rollover."""

    number: int


class _Running(msgspec.Struct):
    """A rollover, and its charge points for which something is still to be done."""

    rollover: Rollover
    names: RolloverNames
    open: dict[ChargePointId, RolloverStation]


class Rollovers(NodePart):
    """One per node, on its event loop."""

    name = "rollovers"
    tick_every_s = 1.0

    def __init__(
        self,
        store: StoreThread,
        directory: Directory,
        sessions: Sessions,
        own_calls: OwnCalls,
        report: Report,
        tasks: TaskOwner,
    ) -> None:
        self._store = store
        self._directory = directory
        self._calls = RootCalls(own_calls)
        self._reachable = Reachable(sessions)
        self._report = report
        self._tasks = tasks
        self._running: dict[int, _Running] = {}
        self._busy: set[ChargePointId] = set()
        self._damaged: list[DamagedRow] = []
        """Rows that somebody has edited into nonsense cost themselves, and no other charge point its root."""
        self._starting = asyncio.Lock()

    # -- life

    async def load(self) -> None:
        """Read what is under way. Raises StoreError."""
        for rollover in await self._store.call(lambda r: RootTables(r.database).rollovers(running_only=True)):
            await self._run(rollover)

    async def _run(self, rollover: Rollover) -> None:
        stations = await self._store.call(
            lambda registry: RootTables(registry.database).stations(rollover.number, self._damaged.append)
        )
        still = {each.charge_point_id: each for each in stations if each.state.is_open}
        self._running[rollover.number] = _Running(rollover, _material(rollover).names, still)

    def registered(self, entry: Entry) -> None:
        """It can be asked."""
        if any(entry.charge_point_id in running.open for running in self._running.values()):
            self._reachable.registered(entry)

    def requests(self) -> Sequence[OperatorRequest]:
        """`ocpp-gateway rollover start` and `stop`."""
        return (
            OperatorRequest("/start-rollover", StartRollover, self._answer_start),
            OperatorRequest("/stop-rollover", StopRollover, self._answer_stop, stops=True),
        )

    async def _answer_start(self, asked: StartRollover) -> dict[str, Any]:
        rollover = Rollover(
            group=asked.group,
            created_at=time.time(),
            threshold=asked.threshold,
            old=asked.old,
            new=asked.new,
            link=asked.link,
        )
        if not 0.0 < asked.threshold <= 1.0:
            raise RequestRefused("the threshold must be above 0 and not above 1")
        if why := why_unusable(_material(rollover), time.time()):
            raise RequestRefused(why)
        rollover = msgspec.structs.replace(rollover, **_material(rollover).plain()._asdict())
        async with self._starting:
            if any(each.rollover.group == asked.group for each in self._running.values()):
                raise RequestRefused("a rollover of this group is running: ocpp-gateway rollover stop")
            members = [each.charge_point_id for each in self._directory.records() if each.group == asked.group]
            if not members:
                raise RequestRefused("no charge point is in this group", is_gone=True)
            stored = await self._store.call(lambda registry: RootTables(registry.database).start(rollover, members))
            await self._run(stored)
        self._report("rollover.started", "medium", "allow", f"{stored.number}: {len(members)} charge points", "")
        return {"refused": "", "number": stored.number, "charge_points": len(members)}

    async def _answer_stop(self, asked: StopRollover) -> dict[str, str]:
        stopped = await self._store.call(lambda registry: RootTables(registry.database).stop(asked.number))
        if not stopped:
            raise RequestRefused("no such rollover is running", is_gone=True)
        self._running.pop(asked.number, None)
        self._report("rollover.stopped", "medium", "allow", str(asked.number), "")
        return {"refused": ""}

    async def tick(self) -> None:
        """Every second: whoever is connected and due, a few at a time."""
        if self._store.is_shared:
            await self._follow_others()
        while self._damaged:
            error = self._damaged.pop()
            self._report("provisioning.stuck", "high", "allow_alert", str(error), error.charge_point_id)
        now = time.time()
        for running in list(self._running.values()):
            for identity, station in list(running.open.items()):
                if len(self._busy) >= _MAX_AT_ONCE:
                    return
                entry = self._reachable.session(identity) if identity not in self._busy else None
                if entry is not None and core.next_is_due(station, now, reachable=True):
                    self._busy.add(identity)
                    self._tasks.start(self._drive(running, station, entry), "rollover")

    async def _follow_others(self) -> None:
        """Other nodes begin rollovers, and an operator may stop one at any node."""
        found = await self._store.call_later(lambda r: RootTables(r.database).rollovers(running_only=True))
        for number in self._running.keys() - {each.number for each in found}:
            del self._running[number]
        for rollover in found:
            if rollover.number not in self._running:
                await self._run(rollover)

    # -- one charge point at a time

    async def _drive(self, running: _Running, station: RolloverStation, entry: Entry) -> None:
        try:
            await self._look(running, station, entry)
        except NotFound:
            running.open.pop(station.charge_point_id, None)  # its charge point was removed
        except StoreError as error:
            _log.error("rollover_not_written", why=str(error))  # the next tick tries again
        finally:
            self._busy.discard(station.charge_point_id)

    async def _look(self, running: _Running, station: RolloverStation, entry: Entry) -> None:
        """Ask what it has; send what it needs; ask again."""
        store = await self._listed(running, station, entry)
        if store is None:
            return
        rollover = running.rollover
        what, why = core.to_send(store, running.names, len(rollover.new), len(rollover.link))
        if what == "nothing":
            await self._put(running, core.listed(station, time.time(), has_new=not why, why_not=why))
            return
        if running.rollover.number not in self._running:
            return  # it was stopped meanwhile
        sent = await self._put(running, core.sent(station, time.time()))
        said = await self._calls.install(entry, CSMS_ROOT, rollover.link if what == "link" else rollover.new)
        if not said.accepted and said.known:
            await self._put(running, core.refused(sent, time.time(), said.why))
        elif not said.accepted:
            await self._put(running, core.not_listed(sent, time.time(), said.why))
        else:
            await self._confirm(running, sent, entry)

    async def _confirm(self, running: _Running, sent: RolloverStation, entry: Entry) -> None:
        store = await self._listed(running, sent, entry)
        if store is None:
            return
        what, why = core.to_send(store, running.names, len(running.rollover.new), len(running.rollover.link))
        if what == "nothing" and not why:
            await self._put(running, core.listed(sent, time.time(), has_new=True, why_not=""))
        else:
            await self._put(running, core.not_listed(sent, time.time(), "it has said Accepted and does not list it"))

    async def _listed(self, running: _Running, station: RolloverStation, entry: Entry) -> RootStore | None:
        """What it has, which is remembered; None where it does not say, which is written down."""
        found = await self._calls.store(entry)
        if isinstance(found, RootStore):
            identity = station.charge_point_id
            await self._store.call(lambda registry: RootTables(registry.database).remember(identity, found))
            return found
        assert isinstance(found, Said)
        await self._put(running, core.not_listed(station, time.time(), found.why))
        return None

    async def _put(self, running: _Running, station: RolloverStation) -> RolloverStation:
        """As stored. Raises StoreError."""
        await self._store.call(lambda registry: RootTables(registry.database).put(station))
        identity = station.charge_point_id
        before = running.open.get(identity)
        running.open[identity] = station
        if not station.state.is_open:
            del running.open[identity]
            self._reachable.forget(identity)
        if before is None or before.state is not station.state:
            self._told(station)
        return station

    def _told(self, station: RolloverStation) -> None:
        is_bad = station.state in {RolloverState.UNABLE, RolloverState.REFUSED, RolloverState.FAILED}
        severity, decision = ("medium", "allow_alert") if is_bad else ("info", "allow")
        detail = f"{station.rollover}: {station.detail}" if station.detail else str(station.rollover)
        self._report(f"rollover.{station.state.value}", severity, decision, detail, station.charge_point_id)


def _material(rollover: Rollover) -> RolloverMaterial:
    return RolloverMaterial(rollover.old, rollover.new, rollover.link)
