"""The table of password changes: what `gateway.provisioning.password` has decided, kept. Hashes only."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.password import PasswordChange
from gateway.provisioning.password_states import PasswordState
from gateway.store import changes, one_row, taking_turns
from gateway.store.database import Database
from gateway.store.errors import DamagedRow
from gateway.store.sound_rows import OnDamage, sound_rows
from gateway.store.tables import password_changes

__all__ = ["PasswordChangeTable"]

_OPEN = sorted(state.value for state in PasswordState if state.is_open)
_WATCHED = sorted(state.value for state in PasswordState if state.is_watched)


class PasswordChangeTable:
    """A part of the registry. One call is one transaction, durable on return. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, *changed: PasswordChange) -> list[PasswordChange]:
        """Store new ones (number 0) and changed ones, all or nothing; gives them back with their numbers.

        Raises NotFound if the charge point is not registered any more; Overtaken if another node has written one of
        them since it was read, or has begun one that is open.
        """
        with self._database.writing() as connection:
            taking_turns.lock(connection)
            stored = [_put(connection, each) for each in changed]
            taking_turns.tell(connection, {each.charge_point_id for each in changed})
            return stored

    def drop_refuted(self, charge_point_id: str, candidate: str, now: float) -> bool:
        """The password before was used, so this candidate is void. False, and it stays, if it is for after a reboot.

        Whoever has taken it for that uses the one before until then, at whatever node. Raises NotFound.
        """
        with self._database.writing() as connection:
            changes.lock(connection)
            taking_turns.lock(connection)
            record = one_row.existing(connection, charge_point_id)
            newest = _latest(connection, charge_point_id, 1)
            if newest and newest[0].state is PasswordState.STAGED and newest[0].candidate == candidate:
                return False
            if record.pending_password is not None and record.pending_password.phc == candidate:
                one_row.replace_and_note(connection, msgspec.structs.replace(record, pending_password=None), now)
            return True

    def latest(self, charge_point_id: str, limit: int) -> list[PasswordChange]:
        """The newest first."""
        with self._database.reading() as connection:
            return _latest(connection, charge_point_id, limit)

    def newest_of(
        self, charge_point_ids: Sequence[ChargePointId], on_damage: OnDamage | None = None
    ) -> list[PasswordChange]:
        """Of each of these the one that counts, if it has one."""
        these = password_changes.c.charge_point_id.in_(charge_point_ids)
        newest = select(func.max(password_changes.c.number)).where(these).group_by(password_changes.c.charge_point_id)
        query = select(password_changes).where(password_changes.c.number.in_(newest))
        with self._database.reading() as connection:
            return sound_rows(connection.execute(query).mappings(), _from_row, on_damage)

    def watched(self, on_damage: OnDamage | None = None) -> list[PasswordChange]:
        """Of each charge point the one that counts, where something may still change it."""
        newest = select(func.max(password_changes.c.number)).group_by(password_changes.c.charge_point_id)
        query = select(password_changes).where(
            password_changes.c.state.in_(_WATCHED), password_changes.c.number.in_(newest)
        )
        with self._database.reading() as connection:
            return sound_rows(connection.execute(query).mappings(), _from_row, on_damage)


def _latest(connection: Connection, charge_point_id: str, limit: int) -> list[PasswordChange]:
    query = select(password_changes).where(password_changes.c.charge_point_id == charge_point_id)
    query = query.order_by(password_changes.c.number.desc()).limit(limit)
    return [_from_row(row) for row in connection.execute(query).mappings()]


def _put(connection: Connection, change: PasswordChange) -> PasswordChange:
    row = {name: getattr(change, name) for name in change.__struct_fields__ if name != "number"}
    row["state"] = change.state.value
    number = taking_turns.written(connection, password_changes, row, change.number, _OPEN)
    return msgspec.structs.replace(change, number=number, revision=change.revision + 1 if change.number else 1)


def _from_row(row: Any) -> PasswordChange:
    """Raises DamagedRow for one that somebody has edited into nonsense."""
    try:
        return msgspec.convert({str.__str__(key): value for key, value in row.items()}, PasswordChange)
    except msgspec.ValidationError as error:
        raise DamagedRow(str(row["charge_point_id"]), str(error), "password change") from None
