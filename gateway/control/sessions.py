"""Which charge point is connected where: the node's one table of live sessions, and duplicate connections.

Authenticate first, probe the old connection, replace it if it is dead, refuse the new one if it is alive. Generations
grow with every admission; clean-up compares them before it deletes, so a late message about an old session never
removes its successor.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from gateway.identity.evidence import Admission, CertificateProof
from gateway.identity.refusal import Reason, Refusal
from gateway.link.messages import Disconnect, LiveSession
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile

__all__ = ["EdgePeer", "Entry", "Sessions"]

_UNOPENED_EXPIRY_S = 60.0
_ORPHAN_GRACE_S = 1.5


class EdgePeer(Protocol):
    """An edge as the session table sees it."""

    slot: int

    def tell_disconnect(self, message: Disconnect) -> None:
        """Close a session."""

    async def probe(self, session: str, timeout_s: float) -> bool:
        """True if the charge point of this session answered in time; else the session is closed already."""


class Entry(msgspec.Struct, kw_only=True):
    """One session, from its grant on."""

    charge_point_id: ChargePointId
    session: str
    generation: int
    security_profile: SecurityProfile
    edge: EdgePeer | None
    """None while the edge's link is down and it is not known whether the edge still lives."""
    granted_at: float
    live: LiveSession | None = None
    upgrade_pending: bool = False
    certificate_sha256: str = ""
    password_phc: str = ""
    """The stored hash that was matched; the session ends when an operator replaces it."""


class Sessions:
    """The table. One event loop, no locks but the ones per identity."""

    def __init__(self, first_generation: int) -> None:
        self._entries: dict[ChargePointId, Entry] = {}
        self._generation = first_generation
        self._busy: dict[ChargePointId, asyncio.Lock] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, charge_point_id: ChargePointId) -> Entry | None:
        """The session of an identity."""
        return self._entries.get(charge_point_id)

    def next_generation(self) -> int:
        """A number no session has had."""
        self._generation += 1
        return self._generation

    @asynccontextmanager
    async def exclusive(self, charge_point_id: ChargePointId) -> AsyncIterator[None]:
        """One admission at a time for an identity."""
        lock = self._busy.setdefault(charge_point_id, asyncio.Lock())
        async with lock:
            yield
        if not lock.locked() and not getattr(lock, "_waiters", None):
            self._busy.pop(charge_point_id, None)

    async def make_room(self, charge_point_id: ChargePointId, probe_timeout_s: float) -> None:
        """Return when no session of this identity is alive. Raises Refusal DUPLICATE when one is."""
        entry = self._entries.get(charge_point_id)
        if entry is None:
            return None
        deadline = time.monotonic() + _ORPHAN_GRACE_S + 0.5
        while entry.edge is None and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            current = self._entries.get(charge_point_id)
            if current is not entry:
                return await self.make_room(charge_point_id, probe_timeout_s)
        if entry.edge is not None and await entry.edge.probe(entry.session, probe_timeout_s):
            raise Refusal(Reason.DUPLICATE, f"session {entry.session} is alive")
        self.closed(charge_point_id, entry.generation)
        return None

    def granted(self, admission: Admission, edge: EdgePeer, password_phc: str) -> None:
        """An admission is about to be handed out."""
        proof = admission.proof
        self._entries[admission.charge_point_id] = Entry(
            charge_point_id=admission.charge_point_id,
            session=admission.session,
            generation=admission.generation,
            security_profile=admission.security_profile,
            edge=edge,
            granted_at=time.monotonic(),
            upgrade_pending=admission.upgrade_pending,
            certificate_sha256=proof.sha256 if isinstance(proof, CertificateProof) else "",
            password_phc=password_phc,
        )

    def opened(self, live: LiveSession, edge: EdgePeer) -> None:
        """A relay runs. After a restart of control this is how sessions become known again."""
        entry = self._entries.get(live.charge_point_id)
        if entry is not None and entry.generation > live.generation:
            edge.tell_disconnect(Disconnect(live.session, "replaced"))
            return
        if entry is not None and entry.generation == live.generation:
            entry.live, entry.edge = live, edge
            return
        if entry is not None and entry.edge is not None:
            entry.edge.tell_disconnect(Disconnect(entry.session, "replaced"))
        self._generation = max(self._generation, live.generation)
        self._entries[live.charge_point_id] = Entry(
            charge_point_id=live.charge_point_id,
            session=live.session,
            generation=live.generation,
            security_profile=live.security_profile,
            edge=edge,
            granted_at=time.monotonic(),
            live=live,
            certificate_sha256=live.certificate_sha256,
        )

    def closed(self, charge_point_id: ChargePointId, generation: int) -> Entry | None:
        """The session of exactly this generation is over; anything else is left alone."""
        entry = self._entries.get(charge_point_id)
        if entry is None or entry.generation != generation:
            return None
        return self._entries.pop(charge_point_id)

    def edge_lost(self, edge: EdgePeer) -> None:
        """The link is gone; the relays may live. `expire` forgets them unless the edge comes back."""
        now = time.monotonic()
        for entry in self._entries.values():
            if entry.edge is edge:
                entry.edge, entry.granted_at = None, now

    def expire(self) -> None:
        """Forget grants that never opened and sessions whose edge did not come back."""
        now = time.monotonic()
        for entry in list(self._entries.values()):
            orphaned = entry.edge is None and now - entry.granted_at > _ORPHAN_GRACE_S
            unopened = entry.live is None and now - entry.granted_at > _UNOPENED_EXPIRY_S
            if orphaned or unopened:
                self.closed(entry.charge_point_id, entry.generation)
