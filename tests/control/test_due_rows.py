"""How many rows a tick looks at, and that one which is broken stops no other."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.control.due_rows import DueRows
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.agenda import NEVER

LATER_S = 1_000.0


class Rows:
    """Rows that have something to do, or not; some of them make no sense."""

    def __init__(self, tasks: TaskOwner) -> None:
        self.events: list[tuple[str, str]] = []
        self.with_step: set[str] = set()
        self.broken: set[str] = set()
        self.done: list[str] = []
        self.hold: asyncio.Event | None = None
        self.now = 1_000_000.0
        self.due = DueRows("row", self.has_step, self.go_on, self.plan, self.report, tasks, lambda: self.now)

    def report(self, event: str, severity: str, decision: str, detail: str, charge_point_id: str) -> None:
        assert (severity, decision) == ("high", "allow_alert")
        assert detail.startswith("row: ")
        self.events.append((event, charge_point_id))

    def has_step(self, identity: ChargePointId) -> bool:
        if identity in self.broken:
            raise ValueError("no sense")
        return identity in self.with_step

    async def go_on(self, identity: ChargePointId) -> None:
        if self.hold is not None:
            await self.hold.wait()
        self.done.append(identity)
        self.with_step.discard(identity)
        if identity == "fails":
            raise ValueError("no sense")

    def plan(self, identity: ChargePointId, has_step: bool) -> None:
        assert has_step is (identity in self.with_step)
        self.due.put(identity, self.now + LATER_S)


@pytest.fixture
async def rows() -> AsyncIterator[Rows]:
    tasks = TaskOwner()
    yield Rows(tasks)
    await tasks.close()


def ids(count: int) -> list[ChargePointId]:
    return [ChargePointId(f"CP-{n}") for n in range(count)]


def looks(rows: Rows, after_s: float = 0.0) -> int:
    """In one tick."""
    rows.now += after_s
    before = rows.due.looked_at
    rows.due.work_off()
    return rows.due.looked_at - before


async def finished() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_tick_looks_at_what_is_due_and_at_nothing_else(rows: Rows) -> None:
    for n, identity in enumerate(ids(5_000)):
        rows.due.put(identity, rows.now if n % 1_000 == 0 else rows.now + LATER_S)
    assert looks(rows) == 5
    assert looks(rows, 1.0) == 0


async def test_what_is_due_at_once_is_worked_off_in_slices(rows: Rows) -> None:
    rows.due.put_all(ids(2_500), rows.now)
    assert [looks(rows) for _ in range(4)] == [1_000, 1_000, 500, 0]


async def test_what_begins_something_is_bounded_more_narrowly(rows: Rows) -> None:
    rows.with_step.update(ids(150))
    rows.due.put_all(ids(150), rows.now)
    assert looks(rows) == 100
    await finished()
    assert len(rows.done) == 100
    assert looks(rows) == 50
    await finished()
    assert rows.done == ids(150)


async def test_a_row_that_makes_no_sense_stops_no_other_and_is_on_record_once(rows: Rows) -> None:
    rows.broken.add("CP-0")
    rows.with_step.update(ids(3))
    rows.due.put_all(ids(3), rows.now)
    assert looks(rows) == 3
    await finished()
    assert rows.done == ["CP-1", "CP-2"]
    assert rows.events == [("provisioning.stuck", "CP-0")]
    assert looks(rows, 299.0) == 0
    assert looks(rows, 1.0) == 1
    assert rows.events == [("provisioning.stuck", "CP-0")]
    rows.broken.clear()
    assert looks(rows, 300.0) == 1
    await finished()
    assert rows.done == ["CP-1", "CP-2", "CP-0"]


async def test_a_task_that_fails_is_tried_again_after_a_while(rows: Rows) -> None:
    fails = ChargePointId("fails")
    rows.with_step.add(fails)
    assert rows.due.wake(fails)
    await finished()
    assert (rows.done, rows.events) == (["fails"], [("provisioning.stuck", "fails")])
    assert not rows.due.is_busy(fails)
    assert looks(rows, 299.0) == 0
    assert looks(rows, 1.0) == 1


async def test_one_task_at_a_time_and_who_is_woken_meanwhile_is_looked_at_once_more(rows: Rows) -> None:
    rows.hold = asyncio.Event()
    identity = ChargePointId("CP-0")
    rows.with_step.add(identity)
    assert rows.due.wake(identity)
    assert not rows.due.wake(identity)
    assert rows.due.is_busy(identity)
    rows.hold.set()
    await finished()
    assert rows.done == ["CP-0"]
    assert looks(rows) == 1
    assert looks(rows) == 0  # it is planned now


async def test_a_clock_that_is_set_back_leaves_nobody_waiting(rows: Rows) -> None:
    rows.due.put(ChargePointId("CP-0"), rows.now + 86_400.0)
    assert looks(rows, 3_600.0) == 0
    assert looks(rows, -60.0) == 1


@pytest.mark.parametrize(
    ("due_in", "settles_in", "expected"),
    [
        (50.0, NEVER, 50.0),  # its time has not come
        (-10.0, 2.0, 2.0),  # it has connected a moment ago
        (-10.0, NEVER, 300.0),  # away: it is looked at when it comes, or now and then
        (-10.0, -1.0, 300.0),  # it is there, and something else is waited for
        (NEVER, -1.0, None),  # nothing but an event changes it
    ],
)
async def test_when_a_row_is_looked_at_again(
    rows: Rows, due_in: float, settles_in: float, expected: float | None
) -> None:
    rows.due.put_after(ChargePointId("CP-0"), rows.now + due_in, rows.now + settles_in, rows.now)
    if expected is None:
        assert looks(rows, 1e12) == 0
    else:
        assert looks(rows, expected - 0.5) == 0
        assert looks(rows, 0.5) == 1


async def test_what_is_dropped_is_not_looked_at(rows: Rows) -> None:
    rows.due.put_again(ChargePointId("CP-0"), rows.now)
    rows.due.put_again(ChargePointId("CP-1"), rows.now)
    rows.due.drop(ChargePointId("CP-0"))
    assert looks(rows, 0.5) == 0
    assert looks(rows, 0.5) == 1
