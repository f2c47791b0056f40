"""The table of enrolments: what `gateway.provisioning` has decided, kept. One call is one transaction, durable on return."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.renewal import IN_USE
from gateway.provisioning.states import State
from gateway.store import taking_turns
from gateway.store.database import Database
from gateway.store.errors import DamagedRow
from gateway.store.sound_rows import OnDamage, sound_rows
from gateway.store.tables import enrolment_steps, enrolments

__all__ = ["EnrolmentStep", "EnrolmentTable"]

_IN_USE = sorted(state.value for state in IN_USE)
_OPEN = sorted(state.value for state in State if state.is_open)
_WATCHED = sorted(state.value for state in State if state.is_watched)


class EnrolmentStep(msgspec.Struct, frozen=True, kw_only=True):
    """A state that an enrolment has come into."""

    enrolment: int
    at: float
    state: State
    detail: str


class EnrolmentTable:
    """A part of the registry. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, *changed: Enrolment) -> list[Enrolment]:
        """Store new ones (number 0) and changed ones, all or nothing; gives them back with their numbers.

        Raises NotFound if the charge point is not registered any more; Overtaken if another node has written one of
        them since it was read, or has begun one that is open.
        """
        with self._database.writing() as connection:
            taking_turns.lock(connection)
            stored = [_put(connection, each) for each in changed]
            taking_turns.tell(connection, {each.charge_point_id for each in changed})
            return stored

    def newest(self, charge_point_id: str) -> Enrolment | None:
        """The one that counts, or None."""
        found = self.latest(charge_point_id, 1)
        return found[0] if found else None

    def newest_of(
        self, charge_point_ids: Sequence[ChargePointId], on_damage: OnDamage | None = None
    ) -> list[Enrolment]:
        """Of each of these the one that counts, if it has one."""
        newest = select(func.max(enrolments.c.number)).where(enrolments.c.charge_point_id.in_(charge_point_ids))
        query = select(enrolments).where(enrolments.c.number.in_(newest.group_by(enrolments.c.charge_point_id)))
        with self._database.reading() as connection:
            return sound_rows(connection.execute(query).mappings(), _from_row, on_damage)

    def latest(self, charge_point_id: str, limit: int) -> list[Enrolment]:
        """The newest first."""
        query = select(enrolments).where(enrolments.c.charge_point_id == charge_point_id)
        query = query.order_by(enrolments.c.number.desc()).limit(limit)
        with self._database.reading() as connection:
            return [_from_row(row) for row in connection.execute(query).mappings()]

    def watched(self, on_damage: OnDamage | None = None) -> list[Enrolment]:
        """Of each charge point the one that counts, where time or the charge point may still change it."""
        newest = select(func.max(enrolments.c.number)).group_by(enrolments.c.charge_point_id)
        query = select(enrolments).where(enrolments.c.state.in_(_WATCHED), enrolments.c.number.in_(newest))
        with self._database.reading() as connection:
            return sound_rows(connection.execute(query).mappings(), _from_row, on_damage)

    def in_use(self, charge_point_id: str, limit: int) -> list[Enrolment]:
        """Those whose certificate the charge point has taken, the newest first."""
        query = select(enrolments).where(
            enrolments.c.charge_point_id == charge_point_id, enrolments.c.state.in_(_IN_USE)
        )
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(enrolments.c.number.desc()).limit(limit))
            return [_from_row(row) for row in found.mappings()]

    def due_for_renewal(self, now: float, renew_after: float, limit: int) -> list[ChargePointId]:
        """Whose certificate in use has lived for this share of its lifetime: those that end first."""
        newest = select(func.max(enrolments.c.number)).where(enrolments.c.state.in_(_IN_USE))
        lived = enrolments.c.created_at + renew_after * (enrolments.c.not_after - enrolments.c.created_at)
        query = (
            select(enrolments.c.charge_point_id)
            .where(enrolments.c.number.in_(newest.group_by(enrolments.c.charge_point_id)), lived <= now)
            .order_by(enrolments.c.not_after)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [ChargePointId(each) for each in connection.execute(query).scalars()]

    def steps(self, charge_point_id: str, limit: int) -> list[EnrolmentStep]:
        """What has happened, the newest first."""
        query = (
            select(enrolment_steps)
            .join(enrolments, enrolments.c.number == enrolment_steps.c.enrolment)
            .where(enrolments.c.charge_point_id == charge_point_id)
            .order_by(enrolment_steps.c.id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [
                EnrolmentStep(enrolment=row.enrolment, at=row.at, state=State(row.state), detail=row.detail)
                for row in connection.execute(query)
            ]


def _put(connection: Connection, enrolment: Enrolment) -> Enrolment:
    where = enrolments.c.number == enrolment.number
    before = connection.execute(select(enrolments.c.state, enrolments.c.detail).where(where)).one_or_none()
    number = taking_turns.written(connection, enrolments, _to_row(enrolment), enrolment.number, _OPEN)
    # What is said again and again while another CA thinks about it, or is away, is one step.
    if (
        before is None
        or before.state != enrolment.state.value
        or (enrolment.detail and enrolment.detail != before.detail)
    ):
        connection.execute(
            insert(enrolment_steps).values(
                enrolment=number, at=enrolment.changed_at, state=enrolment.state.value, detail=enrolment.detail
            )
        )
    return msgspec.structs.replace(enrolment, number=number, revision=enrolment.revision + 1 if enrolment.number else 1)


def _to_row(enrolment: Enrolment) -> dict[str, Any]:
    row = {name: getattr(enrolment, name) for name in enrolment.__struct_fields__ if name != "number"}
    row["state"] = enrolment.state.value
    return row


def _from_row(row: Any) -> Enrolment:
    """Raises DamagedRow for one that somebody has edited into nonsense."""
    try:
        return msgspec.convert({str.__str__(key): value for key, value in row.items()}, Enrolment)
    except msgspec.ValidationError as error:
        raise DamagedRow(str(row["charge_point_id"]), str(error), "enrolment") from None
