"""The change counter: how other processes learn what to reload. All runs in the caller's transaction."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, insert, select, update

from gateway.ocpp.vocabulary import ChargePointId
from gateway.store.database import actor_of
from gateway.store.tables import changes, charge_points, meta

__all__ = ["EVERYBODY", "actors_since", "changed_since", "current_counter", "lock", "note_change"]

EVERYBODY: Final = ChargePointId("")
"""Stands for what concerns all charge points, where an identity is asked for."""
_COUNTER = "change_counter"
_SELECT_COUNTER = select(meta.c.number).where(meta.c.name == _COUNTER)


def lock(connection: Connection) -> None:
    """Put writers in line (on SQLite they already are), so that counters become visible in order."""
    connection.execute(_SELECT_COUNTER.with_for_update())


def current_counter(connection: Connection) -> int:
    """The counter as of now."""
    return int(connection.execute(_SELECT_COUNTER).scalar_one())


def note_change(connection: Connection, ids: Iterable[ChargePointId] = ()) -> None:
    """Count one change, of these charge points or of what concerns all (revocations). After `lock`."""
    values = {"counter": current_counter(connection) + 1, "actor": actor_of(connection)}
    connection.execute(update(meta).where(meta.c.name == _COUNTER).values(number=values["counter"]))
    for charge_point_id in list(ids) or [EVERYBODY]:
        known = connection.execute(update(changes).where(changes.c.charge_point_id == charge_point_id).values(values))
        if known.rowcount == 0:
            connection.execute(insert(changes).values(charge_point_id=charge_point_id, **values))


def changed_since(connection: Connection, counter: int) -> tuple[int, frozenset[ChargePointId]]:
    """The counter now, and whose rows were changed or removed after `counter`.

    A counter from the future (the database was restored from a backup) gives every identity there is or was.
    """
    now = current_counter(connection)
    if counter > now:
        ids = set(connection.execute(select(changes.c.charge_point_id)).scalars())
        ids.update(connection.execute(select(charge_points.c.charge_point_id)).scalars())
    else:
        ids = set(connection.execute(select(changes.c.charge_point_id).where(changes.c.counter > counter)).scalars())
    return now, frozenset(ChargePointId(each) for each in ids if each != EVERYBODY)


def actors_since(connection: Connection, counter: int) -> dict[str, str]:
    """Who has changed what last, of what was changed after `counter`, by identity; where that is known."""
    query = select(changes.c.charge_point_id, changes.c.actor).where(changes.c.counter > counter, changes.c.actor != "")
    return {row.charge_point_id: row.actor for row in connection.execute(query)}
