"""The edge's end of the link to control, against a control that does not read."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.audit.event import SecurityEvent
from gateway.edge.control_link import ControlLink
from gateway.link.messages import ControlMessage, Hello, ProbeAnswer, Report, SessionClosed
from gateway.ocpp.vocabulary import ChargePointId
from tests.support.link_control import LinkControl

_EVENTS = Report(tuple(SecurityEvent(event="tls.protocol", time=1.0, detail="x" * 500) for _ in range(1_000)))


def _unheard(message: ControlMessage) -> None:
    raise AssertionError(message)


def _closed(why: str = "over") -> SessionClosed:
    return SessionClosed("s-1", ChargePointId("CP-1"), 1, why)


@pytest.fixture
async def control() -> LinkControl:
    return LinkControl()


@pytest.fixture
async def link(control: LinkControl, tmp_path: Path) -> AsyncIterator[ControlLink]:
    path = str(tmp_path / "control.sock")
    server = await asyncio.start_unix_server(control.serve, path)
    made = ControlLink(path, hello=lambda: Hello(0, 1), on_message=_unheard)
    running = asyncio.create_task(made.run())
    assert isinstance(await control.hear(), Hello)
    control.reads.clear()
    yield made
    control.reads.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.close(1.0)
    server.close()


async def _send_until_full(link: ControlLink, message: Report | SessionClosed) -> int:
    for sent in range(200):
        if not link.send(message):
            return sent
        await asyncio.sleep(0)
    raise AssertionError("there is no end to what is kept")


async def test_a_flood_of_events_leaves_room_for_what_becomes_of_sessions(
    control: LinkControl, link: ControlLink
) -> None:
    events = await _send_until_full(link, _EVENTS)

    assert link.send(_closed())
    control.reads.set()

    heard = [await control.hear() for _ in range(events + 1)]
    assert heard[-1] == _closed()
    assert control.links == 1


async def test_where_control_would_miss_the_end_of_a_session_the_link_starts_over(
    control: LinkControl, link: ControlLink
) -> None:
    await _send_until_full(link, _closed("x" * 100_000))
    control.reads.set()

    while not isinstance(await control.hear(), Hello):
        pass
    assert control.links == 2


async def test_what_becomes_of_sessions_travels_with_the_next_request_in_its_order(
    control: LinkControl, link: ControlLink
) -> None:
    control.reads.set()
    assert link.send(_closed("first"))
    assert link.send(_closed("second"))
    assert link.send(ProbeAnswer(1, "s-1", alive=True))
    heard = [await control.hear() for _ in range(3)]
    assert heard == [_closed("first"), _closed("second"), ProbeAnswer(1, "s-1", alive=True)]


async def test_without_company_it_travels_soon_by_itself(control: LinkControl, link: ControlLink) -> None:
    control.reads.set()
    for reason in ("one", "another"):
        assert link.send(_closed(reason))
        assert await control.hear() == _closed(reason)
