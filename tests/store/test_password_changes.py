"""The table of password changes, on SQLite and PostgreSQL."""

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.password import PasswordChange, answered, learnt, sent, used, wanted
from gateway.store.database import open_database
from gateway.store.errors import NotFound, StoreError
from gateway.store.password_changes import PasswordChangeTable
from gateway.store.registry import Registry
from tests.support.records import make_record

CP = ChargePointId("CP-1")


@pytest.fixture
def table(registry: Registry) -> PasswordChangeTable:
    registry.add(make_record("CP-1"))
    return PasswordChangeTable(registry.database)


def test_every_field_comes_back(table: PasswordChangeTable) -> None:
    (stored,) = table.put(sent(wanted(CP, 1.0), 2.0, "hash", "s-1"))
    assert table.latest(CP, 9) == [stored]
    assert stored.number > 0
    changed = answered(stored, 3.0, "unknown", "timeout")
    table.put(changed)
    assert table.latest(CP, 9) == [changed]


def test_watched_is_what_counts_and_may_still_change(table: PasswordChangeTable, registry: Registry) -> None:
    (first,) = table.put(learnt(CP, 1.0, "hash", "s-1"))
    assert table.watched() == [first]
    table.put(used(first, 2.0))
    assert table.watched() == []
    (second,) = table.put(wanted(CP, 3.0))
    assert table.watched() == [second]
    registry.remove("CP-1")
    assert table.watched() == []


def test_of_a_charge_point_that_is_gone(table: PasswordChangeTable, registry: Registry) -> None:
    (stored,) = table.put(wanted(CP, 1.0))
    registry.remove("CP-1")
    with pytest.raises(NotFound):
        table.put(replace(stored, detail="x"))
    with pytest.raises(NotFound):
        table.put(PasswordChange(charge_point_id=CP, state=stored.state, created_at=1.0, changed_at=1.0))


def test_a_row_that_makes_no_sense(table: PasswordChangeTable, url: str) -> None:
    table.put(wanted(CP, 1.0))
    database = open_database(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE password_changes SET state = 'nonsense'"))
    database.close()
    with pytest.raises(StoreError, match="damaged"):
        table.latest(CP, 1)
