"""The table of password changes: what `gateway.provisioning.password` has decided, kept. Hashes only."""

from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.provisioning.password import PasswordChange
from gateway.provisioning.password_states import PasswordState
from gateway.store.database import Database
from gateway.store.errors import NotFound, StoreError
from gateway.store.tables import password_changes

__all__ = ["PasswordChangeTable"]

_WATCHED = sorted(state.value for state in PasswordState if state.is_watched)


class PasswordChangeTable:
    """A part of the registry. One call is one transaction, durable on return. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, *changed: PasswordChange) -> list[PasswordChange]:
        """Store new ones (number 0) and changed ones, all or nothing; gives them back with their numbers.

        Raises NotFound if the charge point is not registered any more.
        """
        with self._database.writing() as connection:
            return [_put(connection, each) for each in changed]

    def latest(self, charge_point_id: str, limit: int) -> list[PasswordChange]:
        """The newest first."""
        query = select(password_changes).where(password_changes.c.charge_point_id == charge_point_id)
        query = query.order_by(password_changes.c.number.desc()).limit(limit)
        with self._database.reading() as connection:
            return [_from_row(row) for row in connection.execute(query).mappings()]

    def watched(self) -> list[PasswordChange]:
        """Of each charge point the one that counts, where something may still change it."""
        newest = select(func.max(password_changes.c.number)).group_by(password_changes.c.charge_point_id)
        query = select(password_changes).where(
            password_changes.c.state.in_(_WATCHED), password_changes.c.number.in_(newest)
        )
        with self._database.reading() as connection:
            return [_from_row(row) for row in connection.execute(query).mappings()]


def _put(connection: Connection, change: PasswordChange) -> PasswordChange:
    row = {name: getattr(change, name) for name in change.__struct_fields__ if name != "number"}
    row["state"] = change.state.value
    if change.number:
        changed = connection.execute(
            update(password_changes).where(password_changes.c.number == change.number).values(**row)
        )
        if not changed.rowcount:
            raise NotFound(change.charge_point_id)
        return change
    try:
        key = connection.execute(insert(password_changes).values(**row)).inserted_primary_key
    except IntegrityError:
        raise NotFound(change.charge_point_id) from None
    assert key is not None
    return msgspec.structs.replace(change, number=key[0])


def _from_row(row: Any) -> PasswordChange:
    """Raises StoreError for a row that somebody has edited into nonsense."""
    try:
        return msgspec.convert({str.__str__(key): value for key, value in row.items()}, PasswordChange)
    except msgspec.ValidationError as error:
        raise StoreError(f"Row {row['number']} of the password changes is damaged: {error}") from None
