"""This node among those that share its database: who is alive, which of them leads, and who has which charge point.

Rows are never written by two nodes (`gateway.store.taking_turns`); what is here only says who had better do it, so that a node
that does not see a charge point does not take it for lost. On SQLite there is one node, which does everything.
"""

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog

from gateway.control.enrolment_events import Report
from gateway.control.part import NodePart
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.evidence import is_limited
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId
from gateway.store.cluster import CAMPAIGNS, Beat, Fence
from gateway.store.errors import StoreError

__all__ = ["Cluster"]

_TERM_S: Final = 15.0
_MARGIN_S: Final = 2.0
"""A node stops to lead so much before others may begin."""
_PROBE_S: Final = 5.0
_ROWS: Final = 500
"""So many charge points are read again at a time."""
_log = structlog.get_logger("control.cluster")


class Cluster(NodePart):
    """One per node, on its event loop. Another life of the same node is another node: what it knew has died with it."""

    name = "cluster"
    tick_every_s = 1.0

    def __init__(self, store: StoreThread, sessions: Sessions, report: Report, tasks: TaskOwner) -> None:
        self._store = store
        self._sessions = sessions
        self._report = report
        self._tasks = tasks
        self._is_shared = store.is_shared
        self.node = secrets.token_hex(8)
        self.on_rows_changed: Callable[[Sequence[ChargePointId]], Awaitable[None]] | None = None
        """Hears whose rows any node has written. Set once all parts are there."""
        self._generation = 0
        self._leads_until = 0.0
        self._alive: frozenset[str] = frozenset()
        self._elsewhere: dict[ChargePointId, str] = {}
        """Who is connected to another node, and to which; it may have died since."""
        self._moved: set[ChargePointId] = set()
        """Who has come or gone, and the others have not been told."""
        self._untold_rows: set[ChargePointId] = set()
        self._count = -1
        if self._is_shared:
            sessions.on_change = self._moved.add
            sessions.drives = self.drives

    async def load(self) -> None:
        """Make itself known, and learn where everybody is. Raises StoreError."""
        if self._is_shared:
            self._took(await self._beat({}))
            self._untold_rows.clear()  # the parts have not read any rows yet

    async def tick(self) -> None:
        """Every second: I am here, and these are with me. Raises StoreError; then leases lapse, as they should."""
        if not self._is_shared:
            return
        moved = {identity: self._is_here(identity) for identity in self._moved}
        self._moved.clear()
        try:
            found = await self._beat(moved)
        except StoreError:
            self._moved.update(moved)
            raise
        self._took(found)
        while self._untold_rows and self.on_rows_changed is not None:
            told = sorted(self._untold_rows)[:_ROWS]
            await self.on_rows_changed(told)
            self._untold_rows.difference_update(told)

    async def close(self) -> None:
        """The others need not wait until the leases lapse."""
        if self._is_shared:
            try:
                await self._store.call_later(lambda registry: registry.cluster.leave(self.node))
            except StoreError as error:
                _log.warning("leases_not_given_back", error=str(error))

    async def _beat(self, moved: dict[ChargePointId, bool]) -> Beat:
        asked_at, count, node = time.monotonic(), self._count, self.node
        found = await self._store.call_later(lambda registry: registry.cluster.beat(node, moved, count, _TERM_S))
        self._leads_until = asked_at + _TERM_S - _MARGIN_S if found.generation else 0.0
        return found

    def _took(self, found: Beat) -> None:
        if found.generation != self._generation:
            now_leads = "this node drives campaigns" if found.generation else "another node drives campaigns"
            self._report("cluster.lease", "info", "allow", f"{now_leads}, {len(found.alive)} alive", "")
        dead = self._alive - found.alive
        self._generation, self._alive, self._count = found.generation, found.alive, found.count
        if dead:
            # Whoever was with them is with nobody: what is due for it is done by the node that leads.
            self._untold_rows |= {identity for identity, node in self._elsewhere.items() if node in dead}
        for place in found.places:
            if place.touched:
                self._untold_rows.add(place.charge_point_id)
            self._note(place.charge_point_id, place.node)

    def _note(self, identity: ChargePointId, node: str) -> None:
        if node and node != self.node:
            if node in self._alive and self._elsewhere.get(identity) != node and self._is_here(identity):
                self._tasks.start(self._on_two_nodes(identity), "two-nodes")
            self._elsewhere[identity] = node
        else:
            self._elsewhere.pop(identity, None)
            if not node and self._is_here(identity):
                self._moved.add(identity)  # it was with another node, which has said that it has gone

    async def _on_two_nodes(self, identity: ChargePointId) -> None:
        """It has come to another node. Here it is most likely dead, and ends if so; if not, somebody has to know."""
        entry = self._sessions.get(identity)
        if entry is not None and entry.edge is not None and await entry.edge.probe(entry.session, _PROBE_S):
            detail = "connected to another node as well, and both connections live"
            self._report("session.two_nodes", "high", "allow_alert", detail, identity)

    def _is_here(self, identity: ChargePointId) -> bool:
        entry = self._sessions.get(identity)
        return entry is not None and _counts(entry)

    # -- who does what

    @property
    def fence(self) -> Fence | None:
        """By which lease campaigns are written; None where there is but one node."""
        if not self._is_shared:
            return None
        return Fence(lease=CAMPAIGNS, holder=self.node, generation=self._generation)

    def leads(self) -> bool:
        """True if this node does what one does for all."""
        return not self._is_shared or time.monotonic() < self._leads_until

    def drives(self, charge_point_id: ChargePointId) -> bool:
        """True if this node does what time makes due for a charge point: the one that has it, else the one that leads."""
        if not self._is_shared or self._sessions.get(charge_point_id) is not None:
            return True
        return self._elsewhere.get(charge_point_id) not in self._alive and self.leads()

    def connected_elsewhere(self) -> set[ChargePointId]:
        """Who is connected to another node that is alive."""
        return {identity for identity, node in self._elsewhere.items() if node in self._alive}

    def is_elsewhere(self, charge_point_id: ChargePointId) -> bool:
        """True if it is connected to another node that is alive."""
        return self._elsewhere.get(charge_point_id) in self._alive

    def status(self) -> dict[str, Any] | None:
        """Nothing where there is but one node."""
        if not self._is_shared:
            return None
        return {
            "node": self.node,
            "leads": self.leads(),
            "alive": len(self._alive),
            "connected_elsewhere": len(self.connected_elsewhere()),
        }

    def metrics(self) -> dict[str, float]:
        """Nothing where there is but one node."""
        if not self._is_shared:
            return {}
        return {
            "ocpp_gateway_cluster_leads": float(self.leads()),
            "ocpp_gateway_cluster_nodes": float(len(self._alive)),
        }


def _counts(entry: Entry) -> bool:
    """Whether others may take it for connected."""
    return entry.live is not None and entry.edge is not None and not is_limited(entry.proof)
