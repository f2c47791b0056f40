"""The bounded log of refusals behind ``ocpp-gateway why``. No audit trail: the oldest entries are dropped."""

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Column, Connection, delete, func, insert, select

from gateway.store.tables import refusals

__all__ = ["MAX_ENTRIES", "MAX_ENTRIES_PER_KEY", "RefusalEntry", "insert_bounded", "newest"]

MAX_ENTRIES = 20_000
"""In all, so that a flood from ever new addresses cannot fill the disk."""
MAX_ENTRIES_PER_KEY = 50
"""Per claimed identity and per address, so that one noisy peer cannot push out the others."""
_KEYS_PER_STATEMENT = 500


class RefusalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One refusal, or several equal ones folded into one."""

    time: float
    """When it last happened."""
    charge_point_id: str = ""
    """What the peer claimed, printable; empty when it did not get that far. Never proven."""
    address: str = ""
    listener: str = ""
    reason: str
    """Code of a `gateway.identity.refusal.Reason`."""
    detail: str = ""
    connection: str = ""
    count: int = 1


def insert_bounded(connection: Connection, entries: Iterable[RefusalEntry]) -> None:
    """Append, oldest first, and drop what exceeds the bounds: those of the keys given, and the one in all."""
    rows = [msgspec.to_builtins(entry) for entry in entries]
    if not rows:
        return
    connection.execute(insert(refusals), rows)
    _trim(connection, refusals.c.charge_point_id, {row["charge_point_id"] for row in rows} - {""})
    _trim(connection, refusals.c.address, {row["address"] for row in rows} - {""})
    highest = connection.execute(select(func.max(refusals.c.id))).scalar_one()
    connection.execute(delete(refusals).where(refusals.c.id <= highest - MAX_ENTRIES))


def _trim(connection: Connection, column: Column[str], keys: set[str]) -> None:
    """Keep the newest of each key, in few statements: a flood brings thousands of keys at once."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), _KEYS_PER_STATEMENT):
        _trim_some(connection, column, ordered[start : start + _KEYS_PER_STATEMENT])


def _trim_some(connection: Connection, column: Column[str], keys: Sequence[str]) -> None:
    rank = func.row_number().over(partition_by=column, order_by=refusals.c.id.desc()).label("rank")
    ranked = select(refusals.c.id, rank).where(column.in_(keys)).subquery()
    surplus = select(ranked.c.id).where(ranked.c.rank > MAX_ENTRIES_PER_KEY)
    connection.execute(delete(refusals).where(refusals.c.id.in_(surplus)))


def newest(
    connection: Connection, *, charge_point_id: str | None, address: str | None, limit: int
) -> list[RefusalEntry]:
    """Newest first; with both filters given, entries that fit both."""
    query = select(refusals).order_by(refusals.c.id.desc()).limit(limit)
    if charge_point_id is not None:
        query = query.where(refusals.c.charge_point_id == charge_point_id)
    if address is not None:
        query = query.where(refusals.c.address == address)
    rows = connection.execute(query).mappings()
    return [RefusalEntry(**{name: value for name, value in row.items() if name != "id"}) for row in rows]
