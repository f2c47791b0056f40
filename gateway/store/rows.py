"""ChargePointRecord to and from a row. Reading is strict except where less means fewer rights.

A tolerance or OCPP version this release does not know (a newer one wrote it) is left out: it grants nothing.
Anything else that does not fit is a damaged row and raises DamagedRow, a StoreError.
"""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from gateway.audit.event import printable
from gateway.identity.claim import fold
from gateway.identity.evidence import Tolerance
from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.store.errors import DamagedRow, StoreError

__all__ = ["LoweredFloor", "checked", "from_row", "to_row"]

_LISTS = ("operator_names", "ocpp_versions", "tolerances")
_PASSWORDS = ("password", "pending_password")
_KNOWN: dict[str, frozenset[str]] = {
    "tolerances": frozenset(get_args(Tolerance)),
    "ocpp_versions": frozenset(version.value for version in OCPPVersion),
}


class LoweredFloor(msgspec.Struct, frozen=True, kw_only=True):
    """One operator act that lowered a floor."""

    charge_point_id: ChargePointId
    from_floor: SecurityProfile
    to_floor: SecurityProfile | None
    reason: str
    lowered_at: float


def checked(record: ChargePointRecord) -> ChargePointRecord:
    """The same record with every value of its declared type. Raises StoreError naming the field."""
    try:
        return msgspec.convert(msgspec.to_builtins(record), ChargePointRecord)
    except (msgspec.ValidationError, TypeError) as error:
        name = printable(str(record.charge_point_id))
        raise StoreError(f"The record of charge point '{name}' does not fit: {error}.") from None


def to_row(record: ChargePointRecord) -> dict[str, Any]:
    """Column values of a checked record."""
    row: dict[str, Any] = msgspec.to_builtins(record)
    row["fold"] = fold(record.charge_point_id)
    for name in _LISTS:
        row[name] = msgspec.json.encode(row[name]).decode()
    for name in _PASSWORDS:
        stored: StoredPassword | None = getattr(record, name)
        row[name] = stored.phc if stored else None
        row[f"{name}_created_at"] = stored.created_at if stored else 0.0
    return row


def from_row(row: Mapping[Any, Any]) -> ChargePointRecord:
    """The record in a row. Raises DamagedRow if somebody has put nonsense into the database."""
    # SQLAlchemy's keys are a subclass of str, which msgspec does not take.
    values: dict[str, Any] = {str.__str__(key): value for key, value in row.items()}
    del values["fold"]
    try:
        for name in _LISTS:
            values[name] = _known_only(name, msgspec.json.decode(values[name], type=list[str]))
        for name in _PASSWORDS:
            created_at = values.pop(f"{name}_created_at")
            if values[name] is not None:
                values[name] = {"phc": values[name], "created_at": created_at}
        return msgspec.convert(values, ChargePointRecord)
    except (msgspec.MsgspecError, TypeError) as error:
        raise DamagedRow(str(row["charge_point_id"]), str(error)) from None


def _known_only(name: str, values: list[str]) -> list[str]:
    known = _KNOWN.get(name)
    return values if known is None else [value for value in values if value in known]
