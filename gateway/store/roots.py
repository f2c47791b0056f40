"""The tables about roots: what charge points have said that they have, and the rollovers."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.rollover import RolloverStation
from gateway.provisioning.roots import RootStore
from gateway.store.database import Database
from gateway.store.errors import DamagedRow, NotFound, StoreError
from gateway.store.sound_rows import OnDamage, sound_rows
from gateway.store.tables import rollover_stations, rollovers, root_stores

__all__ = ["Rollover", "RootTables"]


class Rollover(msgspec.Struct, frozen=True, kw_only=True):
    """One rollover of a group. Certificates are PEM; `link` is empty where there is none."""

    group: str
    created_at: float
    threshold: float
    old: str
    new: str
    link: str = ""
    is_running: bool = True
    number: int = 0
    """0 until it is stored."""


class RootTables:
    """A part of the registry. One call is one transaction, durable on return. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, charge_point_id: str, store: RootStore) -> None:
        """What it has said last. Raises NotFound."""
        row = {"asked_at": store.asked_at, "store": msgspec.json.encode(store).decode()}
        where = root_stores.c.charge_point_id == charge_point_id
        with self._database.writing() as connection:
            connection.execute(delete(root_stores).where(where))
            try:
                connection.execute(insert(root_stores).values(charge_point_id=charge_point_id, **row))
            except IntegrityError:
                raise NotFound(charge_point_id) from None

    def store_of(self, charge_point_id: str) -> RootStore | None:
        """None where it has never been asked. Raises StoreError for a row that makes no sense."""
        query = select(root_stores.c.store).where(root_stores.c.charge_point_id == charge_point_id)
        with self._database.reading() as connection:
            text = connection.execute(query).scalar_one_or_none()
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=RootStore)
        except msgspec.MsgspecError as error:
            raise StoreError(f"What is stored about the roots of {charge_point_id!r} is damaged: {error}") from None

    def start(self, rollover: Rollover, identities: Iterable[ChargePointId]) -> Rollover:
        """Store a rollover with its charge points, all or nothing; with its number."""
        row = {name: getattr(rollover, name) for name in rollover.__struct_fields__ if name != "number"}
        with self._database.writing() as connection:
            key = connection.execute(insert(rollovers).values(**row)).inserted_primary_key
            assert key is not None
            stored = msgspec.structs.replace(rollover, number=key[0])
            rows = [
                _to_row(RolloverStation(rollover=stored.number, charge_point_id=each, changed_at=rollover.created_at))
                for each in identities
            ]
            if rows:
                connection.execute(insert(rollover_stations), rows)
        return stored

    def stop(self, number: int) -> bool:
        """Nothing more is sent. False where there is no such rollover that runs."""
        where = (rollovers.c.number == number) & rollovers.c.is_running
        with self._database.writing() as connection:
            return bool(connection.execute(update(rollovers).where(where).values(is_running=False)).rowcount)

    def put(self, station: RolloverStation) -> None:
        """Store how far a charge point has got. Raises NotFound where it is not registered any more."""
        table = rollover_stations
        where = (table.c.rollover == station.rollover) & (table.c.charge_point_id == station.charge_point_id)
        with self._database.writing() as connection:
            if not connection.execute(update(table).where(where).values(**_to_row(station))).rowcount:
                raise NotFound(station.charge_point_id)

    def rollovers(self, *, running_only: bool = False) -> list[Rollover]:
        """The newest first."""
        query = select(rollovers).order_by(rollovers.c.number.desc())
        if running_only:
            query = query.where(rollovers.c.is_running)
        with self._database.reading() as connection:
            return [msgspec.convert(_plain(row), Rollover) for row in connection.execute(query).mappings()]

    def stations(self, rollover: int, on_damage: OnDamage | None = None) -> list[RolloverStation]:
        """By identity. A damaged row is left out and told to `on_damage`; without it raises DamagedRow."""
        table = rollover_stations
        query = select(table).where(table.c.rollover == rollover).order_by(table.c.charge_point_id)
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return sound_rows(rows, _station, on_damage)


def _station(row: Any) -> RolloverStation:
    try:
        return msgspec.convert(_plain(row), RolloverStation)
    except msgspec.ValidationError as error:
        raise DamagedRow(str(row["charge_point_id"]), str(error), "row in a rollover") from None


def _to_row(station: RolloverStation) -> dict[str, Any]:
    row = {name: getattr(station, name) for name in station.__struct_fields__}
    row["state"] = station.state.value
    return row


def _plain(row: Any) -> dict[str, Any]:
    """SQLAlchemy's keys are a subclass of str, which msgspec does not take."""
    return {str.__str__(key): value for key, value in row.items()}
