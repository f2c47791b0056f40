"""An ended session is free at once: the collector never sees it, because frozen objects are not collected (link/collector)."""

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from gateway.edge.events import Counts
from gateway.edge.frame_log import FrameLog
from gateway.link.relayed import FramesRecorded
from gateway.websocket.frames import TEXT, build_frame
from tests.support.sessions import SilentOwner, make_session

if TYPE_CHECKING:
    from gateway.edge.control_link import ControlLink

METER_VALUES = b'[2,"1","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-01-01T00:00:00Z","sampledValue":[{"value":"1"}]}]}]'


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("first", ["charge_point", "csms"])
def test_an_ended_session_needs_no_collector(first: str) -> None:
    owner = SilentOwner()
    bridge = make_session(owner)
    bridge.charge_point.data_received(build_frame(TEXT, b'[2,"1","Heartbeat",{}]', b"mask"))
    bridge.csms.data_received(build_frame(TEXT, b'[3,"1",{}]', None))
    legs = [bridge.charge_point, bridge.csms] if first == "charge_point" else [bridge.csms, bridge.charge_point]
    gone = weakref.ref(bridge)

    del bridge
    for leg in legs:
        leg.connection_lost(None)
    assert owner.finished_sessions == ["s-1"]
    assert gone() is None
    del legs, leg

    assert gc.collect() == 0


@pytest.mark.usefixtures("no_collector")
def test_sessions_that_come_and_go_leave_no_object_behind() -> None:
    link, owner = SimpleNamespace(connected=True, send=lambda _: True), SilentOwner()
    log = FrameLog(cast("ControlLink", link), Counts(), lambda: "r", lambda: 0.0, "b")

    def connect_talk_and_go() -> None:
        bridge = make_session(owner)
        for leg in (bridge.charge_point, bridge.csms):
            leg.judge = log.around(leg, leg.judge)
        bridge.charge_point.data_received(build_frame(TEXT, METER_VALUES, b"mask"))
        bridge.csms.data_received(build_frame(TEXT, b'[3,"1",{}]', None))
        for leg in (bridge.charge_point, bridge.csms):
            leg.connection_lost(None)
        log.flush_all(0.0)
        while log._batches:
            log.told(FramesRecorded("b", log._batches[0].message.batch))

    def living() -> Counter[str]:
        kinds = (type(each) for each in gc.get_objects())
        return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith("gateway."))

    for _ in range(10):  # what all sessions share is made for the first ones
        connect_talk_and_go()
    owner.finished_sessions.clear()
    gc.collect()
    before = living()
    for _ in range(100):
        connect_talk_and_go()
    assert len(owner.finished_sessions) == 100
    owner.finished_sessions.clear()
    grown = {name: count for name, count in (living() - before).items() if count >= 50}
    assert grown == {}


async def test_late_timers_of_an_ended_session_do_nothing() -> None:
    owner = SilentOwner()
    bridge = make_session(owner)
    leg = bridge.charge_point
    leg.pause(1)
    leg.transport.close()
    leg.connection_lost(None)
    bridge.csms.transport.close()
    bridge.csms.connection_lost(None)

    leg.resume(1)
    bridge.abort("late")
    await asyncio.sleep(0)

    assert owner.finished_sessions == ["s-1"]
