"""An ended session is free at once: the collector never sees it, because frozen objects are not collected (link/collector)."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.websocket.frames import TEXT, build_frame
from tests.support.sessions import SilentOwner, make_session


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
