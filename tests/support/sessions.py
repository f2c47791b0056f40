"""A live session over transports that go nowhere, for tests of what becomes of it."""

import asyncio
from typing import cast

from gateway.audit.event import Severity
from gateway.edge.pump import Bridge, Leg
from gateway.identity.evidence import Peer, Transport
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import NoteBootState, NoteRegistered, Told
from gateway.relay.lanes import LaneLimits
from gateway.relay.relay import Relay, RelayLimits
from gateway.websocket.deflate import DeflateParameters
from gateway.websocket.messages import ReaderLimits
from tests.relay.scenario import make_admission

__all__ = ["SilentOwner", "make_session"]


class _Transport:
    """As much of a transport as a leg uses."""

    def __init__(self) -> None:
        self.closing = False
        self.ended = False
        self.written = b""

    def write(self, data: bytes) -> None:
        if self.ended:
            raise RuntimeError("write after write_eof")  # as uvloop's do
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

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


class SilentOwner:
    """A worker that remembers nothing but the end."""

    def __init__(self) -> None:
        self.finished_sessions: list[str] = []

    def watch(self, bridge: Bridge) -> None:
        """No timers here."""

    def report(
        self,
        bridge: Bridge,
        event: str,
        severity: Severity,
        decision: str,
        detail: str,
        http_status: int = 0,
        *,
        revision: str = "",
    ) -> None:
        del bridge, severity, decision, detail, http_status, revision
        raise AssertionError(event)

    def told(self, leg: Leg, effect: Told, wire: bytes) -> None:
        del leg, wire
        assert isinstance(effect, NoteRegistered | NoteBootState), effect

    def finished(self, bridge: Bridge, reason: str) -> None:
        del reason
        self.finished_sessions.append(bridge.admission.session)


def make_session(
    owner: SilentOwner | None = None,
    *,
    deflate: DeflateParameters | None = None,
    recorded_first: frozenset[str] = frozenset(),
) -> Bridge:
    """A session over transports that go nowhere. `deflate`: agreed with the charge point."""
    admission = make_admission()
    bridge = Bridge(
        owner=owner or SilentOwner(),
        admission=admission,
        transport_facts=Transport(peer=Peer(address="192.0.2.1", port=1, listener="main")),
        version=OCPPVersion.V1_6,
        subprotocol="ocpp1.6",
        relay=Relay(
            admission,
            OCPPVersion.V1_6,
            RelayLimits(
                messages_per_s=50.0,
                messages_burst=1_000,
                flood_grace_s=5.0,
                calls=LaneLimits(max_waiting_bytes=1 << 24),
                recorded_first=recorded_first,
            ),
        ),
        wall_opened_at=0.0,
    )
    bridge.connect(
        charge_point=cast("asyncio.Transport", _Transport()),
        tls=None,
        charge_point_deflate=deflate,
        csms=cast("asyncio.Transport", _Transport()),
        csms_deflate=None,
        limits=ReaderLimits(262_144, 64, 30.0, 10.0, 20),
        tcp_user_timeout_s=60.0,
        max_write_buffer_bytes=524_288,
    )
    bridge.start(b"", b"")
    return bridge
