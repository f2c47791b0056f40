"""One charge point's row: read, added, replaced, within a transaction of the registry. A floor is never broken here."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.identity.claim import fold
from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import SecurityProfile
from gateway.store import changes
from gateway.store.errors import AlreadyExists, BelowFloor, NotFound
from gateway.store.rows import checked, from_row, to_row
from gateway.store.tables import charge_points

__all__ = ["add", "change_fields", "existing", "find", "replace", "replace_and_note", "spelling", "with_floor"]

_identity: Final = charge_points.c.charge_point_id


def find(connection: Connection, charge_point_id: str) -> ChargePointRecord | None:
    """The charge point of this very identity. Raises DamagedRow."""
    row = connection.execute(select(charge_points).where(_identity == charge_point_id)).mappings().one_or_none()
    return None if row is None else from_row(row)


def existing(connection: Connection, charge_point_id: str) -> ChargePointRecord:
    """The same. Raises NotFound, with the spelling that is there, DamagedRow."""
    record = find(connection, charge_point_id)
    if record is None:
        raise NotFound(charge_point_id, spelling(connection, charge_point_id) or "")
    return record


def spelling(connection: Connection, charge_point_id: str) -> str | None:
    """How the identity is spelled in the registry, whatever its case; None if it is free."""
    query = select(_identity).where(charge_points.c.fold == fold(charge_point_id))
    return connection.execute(query).scalar_one_or_none()


def add(connection: Connection, record: ChargePointRecord, now: float) -> None:
    """A new one. Raises AlreadyExists, BelowFloor."""
    existing = spelling(connection, record.charge_point_id)
    if existing is not None:
        raise AlreadyExists(record.charge_point_id, existing)
    _verify_above_floor(record)
    stamped = msgspec.structs.replace(record, created_at=record.created_at or now, updated_at=now)
    try:
        connection.execute(insert(charge_points).values(**to_row(stamped)))
    except IntegrityError:
        raise AlreadyExists(record.charge_point_id, record.charge_point_id) from None


def replace_and_note(connection: Connection, record: ChargePointRecord, now: float) -> ChargePointRecord:
    """Write it, and move the change counter. Raises BelowFloor. Returns what was written."""
    changes.note_change(connection, [record.charge_point_id])
    return replace(connection, record, now)


def replace(connection: Connection, record: ChargePointRecord, now: float) -> ChargePointRecord:
    """Write it. Raises BelowFloor. Returns what was written."""
    _verify_above_floor(record)
    stamped = msgspec.structs.replace(record, updated_at=now)
    connection.execute(update(charge_points).where(_identity == record.charge_point_id).values(**to_row(stamped)))
    return stamped


def change_fields(connection: Connection, charge_point_id: str, fields: Mapping[str, Any], now: float) -> None:
    """Set fields; a floor is only ever raised. Raises NotFound, BelowFloor, StoreError."""
    old, floor = existing(connection, charge_point_id), fields.get("floor")
    new = msgspec.structs.replace(old, **{**fields, "floor": old.floor})
    replace(connection, checked(new if floor is None else with_floor(new, floor)), now)


def _verify_above_floor(record: ChargePointRecord) -> None:
    if record.floor is not None and record.security_profile < record.floor:
        raise BelowFloor(record.charge_point_id, record.security_profile, record.floor)


def with_floor(record: ChargePointRecord, floor: SecurityProfile) -> ChargePointRecord:
    """The record with a floor that is at least so high."""
    higher = floor if record.floor is None else max(record.floor, floor)
    return msgspec.structs.replace(record, floor=higher)
