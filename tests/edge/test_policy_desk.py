"""Questions to control about budgets, over a real socket with a control that takes its time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.edge.control_link import ControlLink
from gateway.edge.policy_desk import PolicyDesk
from gateway.edge.pump import Bridge
from gateway.link.messages import BudgetAnswer, BudgetRequest, ControlMessage, Hello
from tests.support.link_control import LinkControl
from tests.support.sessions import make_session


@asynccontextmanager
async def _linked(path: Path) -> AsyncIterator[tuple[LinkControl, PolicyDesk, asyncio.Queue[BudgetAnswer]]]:
    """A control, and the desk of an edge whose link to it is up."""
    control, told = LinkControl(), asyncio.Queue[BudgetAnswer]()
    server = await asyncio.start_unix_server(control.serve, str(path))

    def hear(message: ControlMessage) -> None:
        assert isinstance(message, BudgetAnswer)
        desk.told(message)
        told.put_nowait(message)

    link = ControlLink(str(path), hello=lambda: Hello(0, 1), on_message=hear)
    desk = PolicyDesk(link)
    running = asyncio.create_task(link.run())
    assert isinstance(await control.hear(), Hello)
    try:
        yield control, desk, told
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await link.close(1.0)
        server.close()


def _end(bridge: Bridge) -> None:
    for leg in (bridge.charge_point, bridge.csms):
        leg.transport.close()
        leg.connection_lost(None)


async def test_an_answer_for_a_session_that_has_ended_does_not_break_the_link(tmp_path: Path) -> None:
    async with _linked(tmp_path / "control.sock") as (control, desk, told):
        bridge = make_session()
        desk.ask(bridge.charge_point, 1, (), b"")
        asked = await control.hear()
        assert isinstance(asked, BudgetRequest)

        _end(bridge)
        control.say(BudgetAnswer(asked.request_id, {}))
        control.say(BudgetAnswer(asked.request_id + 1, {}))  # what comes behind it is heard as well

        assert [await asyncio.wait_for(told.get(), 5.0) for _ in range(2)]
        assert control.links == 1
