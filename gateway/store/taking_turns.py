"""Rows that several nodes write in turn: nobody writes over what he has not read, and all are told. In the caller's transaction.

A row has a revision that grows with each writing. Whoever writes it names the one that he has decided by; if there is a newer
one, nothing is written. So of two nodes that are about to do the same, one does it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from gateway.store.cluster_tables import counts, places
from gateway.store.errors import NotFound, Overtaken

__all__ = ["is_shared", "lock", "next_count", "tell", "upsert", "written"]

_COUNT: Final = "places"


def is_shared(connection: Connection) -> bool:
    """True where other nodes may use the database too."""
    return connection.dialect.name == "postgresql"


def lock(connection: Connection) -> None:
    """Put writers in line (on SQLite they already are), so that counts become visible in order. After `changes.lock`."""
    connection.execute(select(counts.c.number).where(counts.c.name == _COUNT).with_for_update())


def next_count(connection: Connection) -> int:
    """After `lock`."""
    counting = update(counts).where(counts.c.name == _COUNT).values(number=counts.c.number + 1)
    return int(connection.execute(counting.returning(counts.c.number)).scalar_one())


def tell(connection: Connection, charge_point_ids: Iterable[str]) -> None:
    """Rows of these have changed; the other nodes read them again. After `lock`."""
    if not is_shared(connection):
        return
    touched = next_count(connection)
    rows = [{"charge_point_id": each, "node": "", "moved": 0, "touched": touched} for each in charge_point_ids]
    upsert(connection, rows, ("touched",))


def upsert(connection: Connection, rows: list[dict[str, Any]], changed: Iterable[str]) -> None:
    """Add places, or set these columns of those that are there."""
    adding = (postgresql if is_shared(connection) else sqlite).insert(places)
    values = {name: adding.excluded[name] for name in changed}
    if rows:
        connection.execute(adding.on_conflict_do_update(index_elements=["charge_point_id"], set_=values), rows)


def written(connection: Connection, table: Table, row: Mapping[str, Any], number: int, open_states: list[str]) -> int:
    """Write a row as `number`, or a new one (0) unless an open one of its charge point is there; its number. After `lock`.

    `row` names the revision that it follows; what is stored is the next one. Raises NotFound if the row, or the charge
    point, is not there any more; Overtaken.
    """
    identity, revision = row["charge_point_id"], row["revision"]
    if not number:
        return _added(connection, table, {**row, "revision": 1}, open_states)
    changing = update(table).where(table.c.number == number, table.c.revision == revision)
    if connection.execute(changing.values(**{**row, "revision": revision + 1})).rowcount:
        return number
    if connection.execute(select(table.c.number).where(table.c.number == number)).scalar_one_or_none() is None:
        raise NotFound(identity)
    raise Overtaken(identity)


def _added(connection: Connection, table: Table, row: Mapping[str, Any], open_states: list[str]) -> int:
    newest = select(func.max(table.c.number)).where(table.c.charge_point_id == row["charge_point_id"])
    is_open = select(table.c.number).where(table.c.number == newest.scalar_subquery(), table.c.state.in_(open_states))
    if connection.execute(is_open).scalar_one_or_none() is not None:
        raise Overtaken(row["charge_point_id"])
    try:
        key = connection.execute(insert(table).values(**row)).inserted_primary_key
    except IntegrityError:
        raise NotFound(row["charge_point_id"]) from None
    assert key is not None
    return int(key[0])
