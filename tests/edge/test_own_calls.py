"""The gateway's own calls in a worker: what becomes of each is said once, to the control that has asked."""

import asyncio
import time

import pytest

from gateway.edge.own_calls import OwnCalls
from gateway.edge.pump import Leg
from gateway.link.messages import EdgeMessage, GatewayCall, GatewayCallDone
from gateway.relay.effects import Answered, Told
from tests.support.sessions import SilentOwner, make_session

COMMAND = b'[2,"1","Reset",{"type":"Soft"}]'


class Link:
    """Control's end."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[EdgeMessage] = asyncio.Queue()

    def send(self, message: EdgeMessage) -> bool:
        self.heard.put_nowait(message)
        return True


class Site(SilentOwner):
    """A worker with one session."""

    def __init__(self) -> None:
        super().__init__()
        self.link = Link()
        self.bridge = make_session(self)
        self.own_calls = OwnCalls(self.link, {"s-1": self.bridge})  # type: ignore[arg-type]

    def told(self, leg: Leg, effect: Told, wire: bytes) -> None:
        del leg, wire
        assert isinstance(effect, Answered)
        self.own_calls.answered(effect)

    def ask(self, number: str, timeout_s: float = 60.0) -> None:
        self.own_calls.call(GatewayCall(number, "s-1", "GetConfiguration", b"{}", timeout_s))

    def says(self, text: bytes, *, csms: bool = False) -> None:
        leg = self.bridge.csms if csms else self.bridge.charge_point
        self.bridge.perform(leg, leg.judge(text, time.monotonic()), b"")

    def sent(self) -> bytes:
        """What the charge point has been sent."""
        return self.bridge.charge_point.transport.written  # type: ignore[attr-defined,no-any-return]

    async def done(self) -> EdgeMessage:
        return await asyncio.wait_for(self.link.heard.get(), 10)


@pytest.fixture
async def site() -> Site:
    return Site()


async def test_an_answer_names_its_call_and_session(site: Site) -> None:
    site.ask("own")
    assert b'[2,"own","GetConfiguration",{}]' in site.sent()
    site.says(b'[3,"own",{"a":1}]')
    assert await site.done() == GatewayCallDone("own", "s-1", "result", b'{"a":1}')
    assert site.link.heard.empty()


async def test_a_session_that_is_closing_is_asked_nothing(site: Site) -> None:
    site.bridge.close(1000, "", "over")
    before = site.sent()
    site.ask("own")
    assert await site.done() == GatewayCallDone("own", "s-1", "gone")
    assert site.sent() == before


async def test_sent_without_an_answer_and_not_sent_are_told_apart(site: Site) -> None:
    site.ask("own1", timeout_s=0.01)
    assert await site.done() == GatewayCallDone("own1", "s-1", "timeout", error="no answer")
    site.says(b'[3,"own1",{}]')
    site.says(COMMAND, csms=True)
    site.ask("own2", timeout_s=0.01)
    assert await site.done() == GatewayCallDone("own2", "s-1", "not_sent", error="others were waited for")
    site.says(b'[3,"1",{"status":"Accepted"}]')
    assert b"own2" not in site.sent()


async def test_one_too_many_is_told_at_once(site: Site) -> None:
    site.says(COMMAND, csms=True)
    for number in range(5):
        site.ask(f"own{number}")
    done = await site.done()
    assert isinstance(done, GatewayCallDone)
    assert (done.request_id, done.outcome) == ("own4", "not_sent")
    site.own_calls.ended("s-1")


async def test_without_control_nothing_is_sent_late_and_no_answer_told(site: Site) -> None:
    site.ask("own1")
    site.ask("own2")
    site.own_calls.control_lost()
    site.says(b'[3,"own1",{"a":1}]')
    assert b"own2" not in site.sent()
    site.own_calls.ended("s-1")
    assert site.link.heard.empty()
    site.ask("own3")
    assert b"own3" in site.sent(), "the next control is served"
    site.own_calls.ended("s-1")
