"""What kinds of charge points really did, as counts. One call is one transaction, durable on return."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, delete, func, insert, select, update

from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.capability import Count
from gateway.store.campaign_tables import capabilities
from gateway.store.database import Database
from gateway.store.errors import StoreError

__all__ = ["MAX_ROWS", "CapabilityTable"]

MAX_ROWS: Final = 50_000
"""Charge points name their vendor themselves; what is beyond this is not kept."""
_table = capabilities.c


class CapabilityTable:
    """A part of the registry. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def learn(self, counts: Iterable[Count]) -> int:
        """Add these to what is known. Returns how many were not kept because the table is full."""
        lost = 0
        with self._database.writing() as connection:
            rows = int(connection.execute(select(func.count()).select_from(capabilities)).scalar_one())
            for each in counts:
                if _added_to(connection, each):
                    continue
                if rows >= MAX_ROWS:
                    lost += 1
                    continue
                connection.execute(insert(capabilities).values(**_row(each)))
                rows += 1
        return lost

    def replace_imported(self, counts: Iterable[Count]) -> None:
        """Put these in the place of everything that was imported before. Raises StoreError if there are too many."""
        rows = [_row(each) for each in counts]
        if len(rows) > MAX_ROWS:
            raise StoreError(f"The file has {len(rows)} facts, and {MAX_ROWS} can be kept.")
        with self._database.writing() as connection:
            connection.execute(delete(capabilities).where(_table.evidence == "imported"))
            if rows:
                connection.execute(insert(capabilities), rows)

    def all(self) -> list[Count]:
        """Ordered by vendor, model, firmware, fact and value."""
        names = (_table.vendor, _table.model, _table.firmware, _table.fact, _table.value, _table.evidence)
        with self._database.reading() as connection:
            return [_count(row) for row in connection.execute(select(capabilities).order_by(*names)).mappings()]

    def of(self, stratum: Stratum) -> list[Count]:
        """What is known about charge points of exactly this kind."""
        query = select(capabilities).where(
            _table.vendor == stratum.vendor, _table.model == stratum.model, _table.firmware == stratum.firmware
        )
        with self._database.reading() as connection:
            return [_count(row) for row in connection.execute(query.order_by(_table.fact, _table.value)).mappings()]


def _added_to(connection: Connection, count: Count) -> bool:
    key = and_(*(_table[name] == value for name, value in _key(count).items()))
    values = {"count": _table.count + count.count, "last_at": count.last_at}
    return connection.execute(update(capabilities).where(key).values(**values)).rowcount > 0


def _key(count: Count) -> dict[str, Any]:
    stratum = count.stratum
    return {
        "vendor": stratum.vendor,
        "model": stratum.model,
        "firmware": stratum.firmware,
        "fact": count.fact,
        "value": count.value,
        "evidence": count.evidence,
    }


def _row(count: Count) -> dict[str, Any]:
    return _key(count) | {"count": count.count, "first_at": count.first_at, "last_at": count.last_at}


def _count(row: Any) -> Count:
    stratum = Stratum(row["vendor"], row["model"], row["firmware"])
    try:
        return msgspec.convert(
            {name: row[name] for name in ("fact", "value", "count", "first_at", "last_at", "evidence")}
            | {"stratum": stratum},
            Count,
        )
    except msgspec.ValidationError as error:
        raise StoreError(f"A row of the capabilities is damaged: {error}") from None
