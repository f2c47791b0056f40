"""The table of security-profile upgrades. A state and what it changes in the registry's record are one transaction.

So nobody can find a row that says "both are accepted" beside a record that refuses one of them, or a proven upgrade
beside a floor that is not raised. One call is one transaction, durable on return.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select

from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning import upgrade as core
from gateway.provisioning.upgrade import Upgrade
from gateway.provisioning.upgrade_states import ENDS, UpgradeState
from gateway.store import changes, taking_turns
from gateway.store.database import Database
from gateway.store.errors import BelowFloor, DamagedRow, StoreError
from gateway.store.one_row import existing, replace_and_note, with_floor
from gateway.store.sound_rows import OnDamage, sound_rows
from gateway.store.upgrade_tables import upgrade_steps, upgrades

__all__ = ["UpgradeStep", "UpgradeTable"]

_OPEN = sorted(state.value for state in UpgradeState if state not in ENDS)


class UpgradeStep(msgspec.Struct, frozen=True, kw_only=True):
    """A state that an upgrade has come into."""

    upgrade: int
    at: float
    state: UpgradeState
    detail: str


class UpgradeTable:
    """A part of the registry. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, changed: Upgrade) -> tuple[Upgrade, ChargePointRecord]:
        """Store a new one (number 0) or a changed one, and do to the record what its state means.

        Raises NotFound if the charge point is not registered any more; StoreError if its record is not one that this
        upgrade could have come from, BelowFloor included; Overtaken if another node has written it since it was read.
        """
        with self._database.writing() as connection:
            changes.lock(connection)
            taking_turns.lock(connection)
            record = existing(connection, changed.charge_point_id)
            stored, before = _put(connection, changed)
            new = _record(record, stored, was_open=before is not None and before.accepts_both)
            return stored, record if new == record else replace_and_note(connection, new, changed.changed_at)

    def prove(
        self, charge_point_id: str, proven: SecurityProfile, now: float, certificate_serial: str
    ) -> tuple[Upgrade | None, ChargePointRecord]:
        """A session on this profile has registered: required profile and floor are it (A05.FR.07, A05.FR.09).

        With the upgrade that this ends, where there is one. Raises NotFound, BelowFloor.
        """
        with self._database.writing() as connection:
            changes.lock(connection)
            taking_turns.lock(connection)
            record = existing(connection, charge_point_id)
            before, ended = _newest(connection, charge_point_id), None
            if before is not None and before.to_profile is proven:
                after = core.proven(before, now, certificate_serial)
                ended = _put(connection, after)[0] if after is not None else None
            new = _proven(record, proven)
            return ended, record if new == record else replace_and_note(connection, new, now)

    def newest(self, charge_point_id: str) -> Upgrade | None:
        """The one that counts, or None."""
        with self._database.reading() as connection:
            return _newest(connection, charge_point_id)

    def newest_of(self, charge_point_ids: Sequence[ChargePointId], on_damage: OnDamage | None = None) -> list[Upgrade]:
        """Of each of these the one that counts, if it has one."""
        newest = select(func.max(upgrades.c.number)).where(upgrades.c.charge_point_id.in_(charge_point_ids))
        query = select(upgrades).where(upgrades.c.number.in_(newest.group_by(upgrades.c.charge_point_id)))
        with self._database.reading() as connection:
            return sound_rows(connection.execute(query).mappings(), _from_row, on_damage)

    def open(self, on_damage: OnDamage | None = None) -> list[Upgrade]:
        """All that something is still to come of."""
        newest = select(func.max(upgrades.c.number)).group_by(upgrades.c.charge_point_id)
        query = select(upgrades).where(upgrades.c.state.in_(_OPEN), upgrades.c.number.in_(newest))
        with self._database.reading() as connection:
            return sound_rows(connection.execute(query).mappings(), _from_row, on_damage)

    def steps(self, charge_point_id: str, limit: int) -> list[UpgradeStep]:
        """What has happened, the newest first."""
        query = (
            select(upgrade_steps)
            .join(upgrades, upgrades.c.number == upgrade_steps.c.upgrade)
            .where(upgrades.c.charge_point_id == charge_point_id)
            .order_by(upgrade_steps.c.id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [
                UpgradeStep(upgrade=row.upgrade, at=row.at, state=UpgradeState(row.state), detail=row.detail)
                for row in connection.execute(query)
            ]


def _record(record: ChargePointRecord, upgrade: Upgrade, *, was_open: bool) -> ChargePointRecord:
    """The record while the upgrade is in its state. `was_open`: both profiles were accepted before."""
    if upgrade.accepts_both:
        if record.security_profile is not upgrade.from_profile:
            raise StoreError(f"{record.charge_point_id} is on profile {int(record.security_profile)} meanwhile.")
        return msgspec.structs.replace(record, pending_security_profile=upgrade.to_profile)
    if was_open and record.pending_security_profile is upgrade.to_profile:
        return msgspec.structs.replace(record, pending_security_profile=None)
    return record


def _proven(record: ChargePointRecord, profile: SecurityProfile) -> ChargePointRecord:
    """What was required meanwhile, and is higher, stays required. Raises BelowFloor."""
    if record.floor is not None and profile < record.floor:
        raise BelowFloor(record.charge_point_id, profile, record.floor)
    required = max(record.security_profile, profile)
    return msgspec.structs.replace(
        with_floor(record, profile), security_profile=required, pending_security_profile=None
    )


def _newest(connection: Connection, charge_point_id: str) -> Upgrade | None:
    query = select(upgrades).where(upgrades.c.charge_point_id == charge_point_id)
    row = connection.execute(query.order_by(upgrades.c.number.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else _from_row(row)


def _put(connection: Connection, upgrade: Upgrade) -> tuple[Upgrade, UpgradeState | None]:
    """As stored, and the state before."""
    where = upgrades.c.number == upgrade.number
    before = connection.execute(select(upgrades.c.state).where(where)).scalar_one_or_none()
    number = taking_turns.written(connection, upgrades, _to_row(upgrade), upgrade.number, _OPEN)
    taking_turns.tell(connection, [upgrade.charge_point_id])
    if before != upgrade.state.value or upgrade.detail:
        step = {"at": upgrade.changed_at, "state": upgrade.state.value, "detail": upgrade.detail}
        connection.execute(insert(upgrade_steps).values(upgrade=number, **step))
    stored = msgspec.structs.replace(upgrade, number=number, revision=upgrade.revision + 1 if upgrade.number else 1)
    return stored, UpgradeState(before) if before is not None else None


def _to_row(upgrade: Upgrade) -> dict[str, Any]:
    row = {name: getattr(upgrade, name) for name in upgrade.__struct_fields__ if name != "number"}
    row["state"] = upgrade.state.value
    row["from_profile"], row["to_profile"] = int(upgrade.from_profile), int(upgrade.to_profile)
    return row


def _from_row(row: Any) -> Upgrade:
    """Raises DamagedRow for one that somebody has edited into nonsense."""
    try:
        return msgspec.convert({str.__str__(key): value for key, value in row.items()}, Upgrade)
    except msgspec.ValidationError as error:
        raise DamagedRow(str(row["charge_point_id"]), str(error), "upgrade") from None
