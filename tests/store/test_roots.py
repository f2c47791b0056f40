"""The tables about roots, on SQLite and PostgreSQL."""

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.rollover import RolloverState
from gateway.provisioning.roots import InstalledRoot, RootName, RootStore
from gateway.store.database import open_database
from gateway.store.errors import DamagedRow, NotFound, StoreError
from gateway.store.registry import Registry
from gateway.store.roots import Rollover, RootTables
from tests.support.records import make_record

CP = ChargePointId("CP-1")
STORE = RootStore(roots=(InstalledRoot("csms", RootName("SHA256", "aa", "bb", "1f")),), demands_link=True, asked_at=5.0)
ROLLOVER = Rollover(group="g", created_at=1.0, threshold=0.9, old="old", new="new")


@pytest.fixture
def tables(registry: Registry) -> RootTables:
    registry.apply(add=[make_record("CP-1"), make_record("CP-2")])
    return RootTables(registry.database)


def test_what_was_said_last_counts(tables: RootTables) -> None:
    assert tables.store_of(CP) is None
    tables.remember(CP, STORE)
    assert tables.store_of(CP) == STORE
    tables.remember(CP, replace(STORE, roots=(), asked_at=6.0))
    assert tables.store_of(CP) == replace(STORE, roots=(), asked_at=6.0)
    with pytest.raises(NotFound):
        tables.remember("CP-9", STORE)


def test_a_rollover_and_its_charge_points(tables: RootTables, registry: Registry) -> None:
    stored = tables.start(ROLLOVER, [CP, ChargePointId("CP-2")])
    assert tables.rollovers() == tables.rollovers(running_only=True) == [stored]
    first, second = tables.stations(stored.number)
    assert (first.charge_point_id, first.state) == (CP, RolloverState.WANTED)
    changed = replace(first, state=RolloverState.SENT, attempts=2, due_at=9.0, detail="why")
    tables.put(changed)
    assert tables.stations(stored.number) == [changed, second]
    registry.remove("CP-1")
    assert tables.stations(stored.number) == [second]
    with pytest.raises(NotFound):
        tables.put(changed)


def test_it_stops_once(tables: RootTables) -> None:
    stored = tables.start(ROLLOVER, [CP])
    assert tables.stop(stored.number)
    assert not tables.stop(stored.number)
    assert not tables.stop(99)
    assert tables.rollovers(running_only=True) == []
    assert tables.rollovers() == [replace(stored, is_running=False)]


def test_all_or_nothing(tables: RootTables) -> None:
    with pytest.raises(StoreError):
        tables.start(ROLLOVER, [CP, ChargePointId("CP-9")])
    assert tables.rollovers() == []


def test_rows_that_make_no_sense(tables: RootTables, url: str) -> None:
    stored = tables.start(ROLLOVER, [CP])
    tables.remember(CP, STORE)
    database = open_database(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE rollover_stations SET state = 'nonsense'"))
        connection.execute(text("UPDATE root_stores SET store = '[]'"))
    database.close()
    with pytest.raises(StoreError, match="damaged"):
        tables.stations(stored.number)
    with pytest.raises(StoreError, match="damaged"):
        tables.store_of(CP)


def test_one_damaged_row_costs_no_other_charge_point_its_place(tables: RootTables, url: str) -> None:
    other = ChargePointId("CP-2")
    stored = tables.start(ROLLOVER, [CP, other])
    database = open_database(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE rollover_stations SET state = 'nonsense' WHERE charge_point_id = 'CP-1'"))
    database.close()
    damaged: list[DamagedRow] = []
    assert [each.charge_point_id for each in tables.stations(stored.number, damaged.append)] == [other]
    assert [(each.charge_point_id, "row in a rollover" in str(each)) for each in damaged] == [(CP, True)]
