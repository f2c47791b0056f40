"""One play: a case in one version, from one side, in one variant. And what plays have in common."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from tests.attacks.answers import answer_of_csms
from tests.attacks.case import Case
from tests.attacks.link import Link
from tests.attacks.observed import Forwarded, Observed
from tests.attacks.session import Session, Side, other
from tests.attacks.world import Kind, World, until
from tests.support.peer import Answer

__all__ = ["Play", "csms_silent_about", "finish", "forwarded", "read_answer", "senders"]


@dataclass(frozen=True, kw_only=True)
class Play:
    """Something to do in a world. `run` gets the world and a source address of its own."""

    label: str
    run: Callable[[World, str], Awaitable[Observed]]
    kind: Kind = "ordinary"


def senders(case: Case) -> tuple[Side, ...]:
    """From which ends the attack comes."""
    return {"csms_to_station": ("csms",), "both": ("station", "csms")}.get(case.direction, ("station",))  # type: ignore[return-value]


def forwarded(wanted: list[str], arrived: list[str]) -> Forwarded:
    """How much of what was sent has arrived, unchanged. Nothing sent is nothing forwarded."""
    rest = list(arrived)
    count = 0
    for text in wanted:
        if text in rest:
            rest.remove(text)
            count += 1
    return "none" if not count else "all" if count == len(wanted) else "some"


async def read_answer(link: Link, seen: Observed) -> Answer | None:
    """The HTTP answer into `seen`, and for a refusal everything behind it up to the end of the connection."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError, TimeoutError):
        seen.answer = await link.answer()
    if seen.answer is None or seen.answer.status != 101:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                seen.behind_answer = await link.reader.read()
        seen.closed = await until(lambda: link.closed, 5)
    seen.alerts, seen.received = list(link.alerts), link.received
    return seen.answer


async def finish(session: Session, seen: Observed, side: Side) -> None:
    """After an attack that ends the session: wait for the end on both legs and note what either was told."""
    await until(lambda: session.ended(side))
    await until(lambda: session.ended(other(side)), 5)
    if side == "station":
        seen.closed = await until(lambda: session.link.closed, 5)
        await until(lambda: session.drained, 5)
    else:
        seen.closed = await until(lambda: bool(session.world.csms.closes.get(session.key)), 5)
    seen.station_close, seen.csms_close = session.close_code("station"), session.close_code("csms")
    seen.sender_is_csms = side == "csms"


@contextlib.contextmanager
def csms_silent_about(world: World, muted: Callable[[str], bool]) -> Iterator[None]:
    """The CSMS leaves some calls unanswered for a while."""
    before = world.csms.answer
    world.csms.answer = lambda text: None if muted(text) else answer_of_csms(text)
    try:
        yield
    finally:
        world.csms.answer = before
