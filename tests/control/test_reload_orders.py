"""A reload is his who has announced it, once, and for a while."""

from gateway.audit.event import Actor
from gateway.control.acting import acting_for
from gateway.control.reload_orders import ReloadOrders, ReloadRequest

ALICE = Actor(name="alice", known_by="socket", user="alice", uid=7, pid=8)


async def announced(orders: ReloadOrders) -> None:
    (request,) = orders.requests()
    assert (request.path, request.changes) == ("/reload", True)
    with acting_for(ALICE):
        assert await request.answer(ReloadRequest()) == {"refused": ""}


async def test_whoever_has_announced_it_and_only_for_one_reload() -> None:
    orders = ReloadOrders(lambda: 0.0)
    assert orders.take().known_by == "signal"
    await announced(orders)
    assert orders.take() == ALICE
    assert orders.take().known_by == "signal"


async def test_one_that_never_came_is_not_taken_for_a_later_one() -> None:
    now = 0.0
    orders = ReloadOrders(lambda: now)
    await announced(orders)
    now = 60.0
    assert orders.take() == ALICE
    await announced(orders)
    now = 120.1
    assert orders.take().known_by == "signal"
