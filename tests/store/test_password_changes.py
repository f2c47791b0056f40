"""The table of password changes, on SQLite and PostgreSQL."""

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.ocpp.password_messages import Outcome
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.password import PasswordChange, answered, learnt, sent, used, wanted
from gateway.store.database import open_database
from gateway.store.errors import NotFound, Overtaken, StoreError
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
    (changed,) = table.put(answered(stored, 3.0, "unknown", "timeout"))
    assert changed.detail == "timeout"
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


def test_of_two_nodes_that_decide_by_the_same_row_one_does_it(table: PasswordChangeTable) -> None:
    (first,) = table.put(wanted(CP, 1.0))
    (ours,) = table.put(sent(first, 2.0, "ours", "s-1"))
    with pytest.raises(Overtaken):
        table.put(sent(first, 2.0, "theirs", "s-2"))
    with pytest.raises(Overtaken):
        table.put(wanted(CP, 3.0))
    assert table.newest_of([CP, ChargePointId("CP-2")]) == [ours] == table.latest(CP, 9)


@pytest.mark.parametrize(
    ("outcome", "candidate", "is_dropped"),
    [("later", "new", False), ("later", "newer", True), ("unknown", "new", True)],
)
def test_a_candidate_for_after_a_reboot_is_not_refuted_by_the_old_password(
    table: PasswordChangeTable, registry: Registry, outcome: Outcome, candidate: str, is_dropped: bool
) -> None:
    (change,) = table.put(sent(wanted(CP, 1.0), 2.0, "new", "s-1"))
    table.put(answered(change, 3.0, outcome, ""))
    registry.set_password("CP-1", candidate, "pending")
    before = registry.change_counter()
    assert table.drop_refuted("CP-1", candidate, 4.0) is is_dropped
    record = registry.get("CP-1")
    assert record is not None
    assert (record.pending_password is None) is is_dropped
    assert (registry.change_counter() > before) is is_dropped


def test_a_candidate_that_was_replaced_meanwhile_is_not_refuted(table: PasswordChangeTable, registry: Registry) -> None:
    registry.set_password("CP-1", "newer", "pending")
    assert table.drop_refuted("CP-1", "new", 4.0)
    record = registry.get("CP-1")
    assert record is not None and record.pending_password is not None


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
