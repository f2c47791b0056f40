"""Questions to control about budgets, over a real socket with a control that takes its time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.edge.control_link import ControlLink
from gateway.edge.policy_desk import PolicyDesk
from gateway.edge.pump import Bridge
from gateway.link.messages import BudgetAnswer, BudgetRequest, ControlMessage, Hello, PolicySettings
from gateway.ocpp.codec import decode_message
from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.policy.site import SitePolicy
from gateway.relay.effects import FORWARD
from gateway.relay.judge import Judge
from tests.policy.build import pack_of
from tests.relay.scenario import make_admission
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


def test_the_end_of_a_maintenance_window_is_heard_by_sessions_that_began_in_it(tmp_path: Path) -> None:
    desk = PolicyDesk(ControlLink(str(tmp_path / "none.sock"), hello=lambda: Hello(0, 1), on_message=print))
    pack = pack_of({"match": {"action": "Reset", "direction": "to_station"}, "unless": "session.in_maintenance"})

    def use(revision: str, *groups: str) -> None:
        desk.use(PolicySettings(revision, (pack,), SitePolicy(maintenance_groups=groups)))

    def passes(judge: Judge) -> bool:
        data = b'[2,"1","Reset",{"type":"Hard"}]'
        reset, payload = decode_message(data, OCPPVersion.V1_6)
        assert isinstance(reset, Call)
        return FORWARD[0] in judge.call(reset, payload, Origin.CSMS, data, 1.0).effects

    use("one", "")  # the group of the admission
    judge = desk.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0)
    assert judge is not None
    assert passes(judge)

    use("two")
    assert not passes(judge)

    use("three", "")
    assert passes(judge)
