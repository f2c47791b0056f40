"""How nodes that share a database find out about each other: one transaction a beat. See `gateway.provisioning.lease`."""

import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.lease import NOBODY, Lease, claimed, is_held_by, released
from gateway.store import taking_turns
from gateway.store.cluster_tables import leases, places
from gateway.store.database import Database
from gateway.store.errors import Overtaken

__all__ = ["CAMPAIGNS", "Beat", "ClusterTable", "Fence", "Place", "verify_held"]

CAMPAIGNS: Final = "campaigns"
"""The lease of the node that does what one node does for all."""
_NODE: Final = "node/"
_FORGOTTEN_AFTER_S: Final = 3_600.0
_ROWS: Final = 500


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a charge point is connected, or that its rows have changed."""

    charge_point_id: ChargePointId
    node: str
    """Empty: to none."""
    touched: bool
    """Its rows were written since the beat before."""


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """By which lease something is written."""

    lease: str
    holder: str
    generation: int


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has learnt."""

    generation: int
    """Of the lease for campaigns; 0 where another node has it."""
    alive: frozenset[str]
    """Nodes whose leases have not lapsed, this one included."""
    places: list[Place]
    """Those that have changed since `count` of the beat before."""
    count: int


class ClusterTable:
    """A part of the registry. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def beat(self, node: str, moved: Mapping[ChargePointId, bool], count: int, term_s: float) -> Beat:
        """Say that the node is alive, who has come (True) and gone, and learn what others have said since `count` (-1: all)."""
        with self._database.writing() as connection:
            taking_turns.lock(connection)
            now = _now(connection)
            _claim(connection, _NODE + node, node, now, term_s)
            lease = _claim(connection, CAMPAIGNS, node, now, term_s)
            if lease is not None:
                _forget_the_dead(connection, now)
            _move(connection, node, moved)
            alive = select(leases.c.holder).where(leases.c.name.startswith(_NODE), leases.c.lapses_at > now)
            found = _changed_since(connection, count)
            return Beat(
                generation=lease.generation if lease is not None else 0,
                alive=frozenset(connection.execute(alive).scalars()) - {NOBODY},
                places=[
                    Place(
                        charge_point_id=ChargePointId(row.charge_point_id), node=row.node, touched=row.touched > count
                    )
                    for row in found
                ],
                count=max((max(row.moved, row.touched) for row in found), default=count),
            )

    def leave(self, node: str) -> None:
        """The node ends: nobody has to wait until its leases lapse."""
        with self._database.writing() as connection:
            taking_turns.lock(connection)
            connection.execute(delete(leases).where(leases.c.name == _NODE + node))
            held = _lease(connection, CAMPAIGNS)
            if held is not None:
                _store(connection, CAMPAIGNS, released(held, node), is_new=False)
            gone = update(places).where(places.c.node == node)
            connection.execute(gone.values(node=NOBODY, moved=taking_turns.next_count(connection)))


def verify_held(connection: Connection, fence: Fence) -> None:
    """Its holder has the lease in this very generation until the transaction ends. Raises Overtaken."""
    held = _lease(connection, fence.lease, shared=True)
    if held is None or held.generation != fence.generation or not is_held_by(held, fence.holder, _now(connection)):
        raise Overtaken(fence.lease)


def _now(connection: Connection) -> float:
    """One clock for all nodes: the database's."""
    if taking_turns.is_shared(connection):
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
    return time.time()


def _lease(connection: Connection, name: str, *, shared: bool = False) -> Lease | None:
    query = select(leases.c.holder, leases.c.generation, leases.c.lapses_at).where(leases.c.name == name)
    row = connection.execute(query.with_for_update(read=shared)).one_or_none()
    return None if row is None else Lease(holder=row.holder, generation=row.generation, lapses_at=row.lapses_at)


def _claim(connection: Connection, name: str, node: str, now: float, term_s: float) -> Lease | None:
    held = _lease(connection, name)
    lease = claimed(held, node, now, term_s)
    if lease is not None:
        _store(connection, name, lease, is_new=held is None)
    return lease


def _store(connection: Connection, name: str, lease: Lease, *, is_new: bool) -> None:
    row = {"holder": lease.holder, "generation": lease.generation, "lapses_at": lease.lapses_at}
    if is_new:
        connection.execute(insert(leases).values(name=name, **row))
    else:
        connection.execute(update(leases).where(leases.c.name == name).values(**row))


def _forget_the_dead(connection: Connection, now: float) -> None:
    """Nodes that have ended without a word, long ago."""
    long_ago = leases.c.name.startswith(_NODE), leases.c.lapses_at < now - _FORGOTTEN_AFTER_S
    dead = list(connection.execute(select(leases.c.holder).where(*long_ago)).scalars())
    if dead:
        connection.execute(delete(leases).where(*long_ago))
        gone = update(places).where(places.c.node.in_(dead))
        connection.execute(gone.values(node=NOBODY, moved=taking_turns.next_count(connection)))


def _move(connection: Connection, node: str, moved: Mapping[ChargePointId, bool]) -> None:
    """Who has come is here, whoever had it; who has gone is nowhere, unless it is with somebody else by now."""
    if not moved:
        return
    count = taking_turns.next_count(connection)
    came = [
        {"charge_point_id": identity, "node": node, "moved": count, "touched": 0}
        for identity, is_here in sorted(moved.items())
        if is_here
    ]
    taking_turns.upsert(connection, came, ("node", "moved"))
    left = sorted(identity for identity, is_here in moved.items() if not is_here)
    for start in range(0, len(left), _ROWS):
        these = places.c.charge_point_id.in_(left[start : start + _ROWS])
        leaving = update(places).where(these, places.c.node == node)
        connection.execute(leaving.values(node=NOBODY, moved=count))


def _changed_since(connection: Connection, count: int) -> list[Row[Any]]:
    query = select(places.c.charge_point_id, places.c.node, places.c.moved, places.c.touched)
    return list(connection.execute(query.where(or_(places.c.moved > count, places.c.touched > count))))
