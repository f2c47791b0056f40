"""An ended session is free at once: the collector never sees it, because frozen objects are not collected (link/collector)."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import cast

import pytest

from gateway.audit.event import Severity
from gateway.edge.pump import Bridge, Leg
from gateway.identity.evidence import Peer, Transport
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.verdict import FleetAsk
from gateway.relay.effects import NoteRegistered
from gateway.relay.relay import Relay, RelayLimits
from gateway.websocket.frames import TEXT, build_frame
from gateway.websocket.messages import ReaderLimits
from tests.relay.scenario import make_admission


class _Transport:
    """As much of a transport as a leg uses."""

    def __init__(self) -> None:
        self.closing = False
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str) -> None:
        del name

    def set_write_buffer_limits(self, high: int) -> None:
        del high

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """A real one holds its protocol only until the connection is lost."""

    def pause_reading(self) -> None:
        """Nothing comes by itself here."""

    resume_reading = pause_reading


class _Owner:
    """A worker that remembers nothing but the end."""

    def __init__(self) -> None:
        self.finished_sessions: list[str] = []

    def watch(self, bridge: Bridge) -> None:
        """No timers here."""

    def report(
        self, bridge: Bridge, event: str, severity: Severity, decision: str, detail: str, http_status: int = 0
    ) -> None:
        del bridge, severity, decision, detail, http_status
        raise AssertionError(event)

    def registered(self, bridge: Bridge, effect: NoteRegistered) -> None:
        """Not of interest."""

    def ask_fleet(self, leg: Leg, ticket: int, asks: tuple[FleetAsk, ...], wire: bytes) -> None:
        del leg, ticket, wire
        raise AssertionError(asks)

    def finished(self, bridge: Bridge, reason: str) -> None:
        del reason
        self.finished_sessions.append(bridge.admission.session)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _session(owner: _Owner) -> Bridge:
    admission = make_admission()
    bridge = Bridge(
        owner=owner,
        admission=admission,
        transport_facts=Transport(peer=Peer(address="192.0.2.1", port=1, listener="main")),
        version=OCPPVersion.V1_6,
        subprotocol="ocpp1.6",
        relay=Relay(
            admission, OCPPVersion.V1_6, RelayLimits(messages_per_s=50.0, messages_burst=250, flood_grace_s=5.0)
        ),
        wall_opened_at=0.0,
    )
    bridge.connect(
        charge_point=cast("asyncio.Transport", _Transport()),
        tls=None,
        charge_point_deflate=None,
        csms=cast("asyncio.Transport", _Transport()),
        csms_deflate=None,
        limits=ReaderLimits(262_144, 64, 30.0, 10.0, 20),
        tcp_user_timeout_s=60.0,
        max_write_buffer_bytes=524_288,
    )
    bridge.start(b"", b"")
    return bridge


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("first", ["charge_point", "csms"])
def test_an_ended_session_needs_no_collector(first: str) -> None:
    owner = _Owner()
    bridge = _session(owner)
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
    owner = _Owner()
    bridge = _session(owner)
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
