"""Which charge point is connected where: the node's one table of live sessions, and duplicate connections.

Authenticate first, probe the old connection, replace it if it is dead, refuse the new one if it is alive. Generations
grow with every admission; clean-up compares them before it deletes, so a late message about an old session never
removes its successor.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from sys import intern
from typing import Protocol

import msgspec
from msgspec.structs import replace

from gateway.identity.evidence import Admission, Proof
from gateway.identity.refusal import Reason, Refusal
from gateway.link.messages import Disconnect, LiveSession
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile

__all__ = ["EdgePeer", "Entry", "Sessions"]

_UNOPENED_EXPIRY_S = 60.0
_ORPHAN_GRACE_S = 1.5
_ORPHAN_WAIT_S = 2.0
"""How long an admission waits for a lost edge: a little longer than the grace, so that it finds the answer."""
_ORPHAN_POLL_S = 0.05


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
    proof: Proof
    edge: EdgePeer | None
    """None while the edge's link is down and it is not known whether the edge still lives."""
    granted_at: float
    live: LiveSession | None = None
    upgrade_pending: bool = False
    has_booted: bool = False
    """It has registered with a BootNotification in this session, as far as this control process knows."""
    kept_revoked: bool = False
    """Its certificate was revoked while it lived, and `[limits] revoked_sessions` lets it go on."""
    password_phc: str = ""
    """The stored hash that was matched; the session ends when an operator replaces it."""


class _Turn:
    """The lock of one identity, and how many hold it or wait for it."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def _shared(live: LiveSession, entry: Entry) -> LiveSession:
    """The same facts without a second copy of every string: they are kept for as long as the session lives."""
    return replace(
        live,
        session=entry.session,
        charge_point_id=entry.charge_point_id,
        proof=entry.proof if entry.proof == live.proof else live.proof,
        subprotocol=intern(live.subprotocol),
        peer_address=intern(live.peer_address),
        listener=intern(live.listener),
        csms=intern(live.csms),
        group=intern(live.group),
    )


class Sessions:
    """The table. One event loop, no locks but the ones per identity."""

    def __init__(self, first_generation: int) -> None:
        self._entries: dict[ChargePointId, Entry] = {}
        self._generation = first_generation
        self._turns: dict[ChargePointId, _Turn] = {}
        self.on_change: Callable[[ChargePointId], None] = lambda _: None
        """Hears who has come or gone."""
        self.drives: Callable[[ChargePointId], bool] = lambda _: True
        """Whether this node does what time makes due for a charge point; of several nodes `gateway.control.cluster` says which."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, charge_point_id: ChargePointId) -> Entry | None:
        """The session of an identity."""
        return self._entries.get(charge_point_id)

    def is_free(self, charge_point_id: ChargePointId) -> bool:
        """True if there is neither a session of this identity nor an admission under way."""
        return charge_point_id not in self._entries and charge_point_id not in self._turns

    def next_generation(self) -> int:
        """A number no session has had."""
        self._generation += 1
        return self._generation

    @asynccontextmanager
    async def exclusive(self, charge_point_id: ChargePointId) -> AsyncIterator[None]:
        """One admission at a time for an identity, however the ones before it end."""
        turn = self._turns.setdefault(charge_point_id, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[charge_point_id]

    async def make_room(self, charge_point_id: ChargePointId, probe_timeout_s: float) -> None:
        """Return when no session of this identity is alive. Raises Refusal DUPLICATE when one is."""
        while (entry := self._entries.get(charge_point_id)) is not None:
            if entry.edge is None:
                await self._edge_is_back(entry)
            edge = entry.edge
            if edge is not None and await edge.probe(entry.session, probe_timeout_s):
                raise Refusal(Reason.DUPLICATE, f"session {entry.session} is alive")
            self.closed(charge_point_id, entry.generation)

    async def _edge_is_back(self, entry: Entry) -> None:
        """Wait until the edge of this session has said whether it still has it, or for long enough."""
        deadline = time.monotonic() + _ORPHAN_WAIT_S
        while entry.edge is None and self._entries.get(entry.charge_point_id) is entry:
            if time.monotonic() >= deadline:
                return
            await asyncio.sleep(_ORPHAN_POLL_S)

    def granted(self, admission: Admission, edge: EdgePeer, password_phc: str) -> None:
        """An admission is about to be handed out. Raises RuntimeError unless `make_room` has just made room."""
        if admission.charge_point_id in self._entries:
            raise RuntimeError("there is a session of this identity")
        self._entries[admission.charge_point_id] = Entry(
            charge_point_id=admission.charge_point_id,
            session=admission.session,
            generation=admission.generation,
            security_profile=admission.security_profile,
            proof=admission.proof,
            edge=edge,
            granted_at=time.monotonic(),
            upgrade_pending=admission.upgrade_pending,
            password_phc=password_phc,
        )

    def opened(self, live: LiveSession, edge: EdgePeer) -> Entry | None:
        """A relay runs. Its entry, which is a new one after a restart of control; None if it has a successor."""
        self.on_change(live.charge_point_id)
        entry = self._entries.get(live.charge_point_id)
        if entry is not None and entry.generation > live.generation:
            edge.tell_disconnect(Disconnect(live.session, "replaced"))
            return None
        if entry is not None and entry.generation == live.generation:
            entry.live, entry.edge = _shared(live, entry), edge
            return entry
        if entry is not None and entry.edge is not None:
            entry.edge.tell_disconnect(Disconnect(entry.session, "replaced"))
        self._generation = max(self._generation, live.generation)
        entry = self._entries[live.charge_point_id] = Entry(
            charge_point_id=live.charge_point_id,
            session=live.session,
            generation=live.generation,
            security_profile=live.security_profile,
            proof=live.proof,
            edge=edge,
            granted_at=time.monotonic(),
            live=live,
        )
        return entry

    def closed(self, charge_point_id: ChargePointId, generation: int) -> Entry | None:
        """The session of exactly this generation is over; anything else is left alone."""
        entry = self._entries.get(charge_point_id)
        if entry is None or entry.generation != generation:
            return None
        self.on_change(charge_point_id)
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
