"""How nodes find out about each other: leases, places, and what others have written. On SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.enrolment import wanted
from gateway.store.cluster import CAMPAIGNS, Beat, Fence, verify_held
from gateway.store.errors import Overtaken
from gateway.store.registry import Registry
from tests.support.records import make_record

ONE, TWO = ChargePointId("CP-1"), ChargePointId("CP-2")
TERM_S = 60.0


def beat(registry: Registry, node: str, count: int = -1, term_s: float = TERM_S, **moved: bool) -> Beat:
    return registry.cluster.beat(
        node, {ChargePointId(name.replace("_", "-")): here for name, here in moved.items()}, count, term_s
    )


def nodes(*names: str) -> frozenset[str]:
    return frozenset(names)


def where(found: Beat) -> dict[str, str]:
    return {each.charge_point_id: each.node for each in found.places}


def fenced(registry: Registry, holder: str, generation: int) -> bool:
    with registry.database.writing() as connection:
        try:
            verify_held(connection, Fence(lease=CAMPAIGNS, holder=holder, generation=generation))
        except Overtaken:
            return False
    return True


def lapse(registry: Registry, name: str, by_s: float = 0.0) -> None:
    with registry.database.writing() as connection:
        connection.execute(
            text("UPDATE leases SET lapses_at = lapses_at - :by WHERE name = :name"),
            {"by": TERM_S + 1.0 + by_s, "name": name},
        )


def test_one_node_leads_until_it_leaves(registry: Registry) -> None:
    first, second = beat(registry, "a"), beat(registry, "b")
    assert (first.generation, second.generation) == (1, 0)
    assert (first.alive, second.alive) == (nodes("a"), nodes("a", "b"))
    assert beat(registry, "a").generation == 1
    registry.cluster.leave("a")
    taken = beat(registry, "b")
    assert (taken.generation, taken.alive) == (2, nodes("b"))
    assert beat(registry, "a").generation == 0


def test_one_that_says_nothing_any_more_is_taken_over_and_what_it_writes_then_is_refused(registry: Registry) -> None:
    assert beat(registry, "a").generation == 1
    assert beat(registry, "b").generation == 0
    assert fenced(registry, "a", 1)
    lapse(registry, CAMPAIGNS)
    assert not fenced(registry, "a", 1)
    assert beat(registry, "b").generation == 2
    assert not fenced(registry, "a", 1)
    assert not fenced(registry, "a", 2)
    assert not fenced(registry, "b", 1)
    assert fenced(registry, "b", 2)


@pytest.mark.usefixtures("registry")
def test_many_that_want_it_at_once_are_one(url: str) -> None:
    def claim(number: int) -> int:
        mine = Registry.open(url)
        try:
            return beat(mine, f"node-{number}").generation
        finally:
            mine.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(claim, range(4))) == [0, 0, 0, 1]


def test_a_charge_point_is_where_it_came_last(registry: Registry) -> None:
    first = beat(registry, "a", CP_1=True, CP_2=True)
    moved = beat(registry, "b", first.count, CP_1=True)
    assert (where(first), where(moved)) == ({ONE: "a", TWO: "a"}, {ONE: "b"})
    # What it was connected to before hears only now that it has gone.
    gone = beat(registry, "a", moved.count, CP_1=False, CP_2=False)
    assert where(gone) == {TWO: ""}
    assert where(beat(registry, "c")) == {ONE: "b", TWO: ""}
    assert where(beat(registry, "c", gone.count)) == {}


def test_with_a_node_that_leaves_its_charge_points_are_nowhere(registry: Registry) -> None:
    first = beat(registry, "a", CP_1=True)
    second = beat(registry, "b", first.count, CP_2=True)
    registry.cluster.leave("a")
    assert where(beat(registry, "b", second.count)) == {ONE: ""}


def test_who_has_died_is_not_alive_and_is_forgotten_after_a_while(registry: Registry) -> None:
    first = beat(registry, "a", CP_1=True)
    lapse(registry, "node/a")
    lapse(registry, CAMPAIGNS)
    second = beat(registry, "b", first.count)
    assert (second.alive, where(second)) == (nodes("b"), {})
    lapse(registry, "node/a", 3_600.0)
    assert where(beat(registry, "b", second.count)) == {ONE: ""}


def test_rows_that_somebody_writes_are_told_to_all_where_the_database_is_shared(registry: Registry) -> None:
    registry.add(make_record("CP-1"))
    known = beat(registry, "a", CP_1=True).count
    registry.enrolments.put(wanted(ONE, 1.0, ""))
    found = beat(registry, "b", known).places
    if not registry.database.is_shared:
        assert found == []
        return
    assert [(each.charge_point_id, each.node, each.touched) for each in found] == [(ONE, "a", True)]
    again = beat(registry, "b", known, CP_1=True)
    assert [(each.node, each.touched) for each in again.places] == [("b", True)]
    assert [(each.node, each.touched) for each in beat(registry, "a", again.count - 1).places] == [("b", False)]


@pytest.mark.parametrize("count", [2**31, 2**40])
def test_counts_of_many_years_fit(registry: Registry, count: int) -> None:
    with registry.database.writing() as connection:
        connection.execute(text("UPDATE cluster_counts SET number = :count"), {"count": count})
    assert beat(registry, "a", CP_1=True).count == count + 1
