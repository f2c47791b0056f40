"""Control's end of the links to the edges: one protocol object per edge, messages in and out."""

import asyncio
import secrets
from collections.abc import Callable
from itertools import count
from typing import cast

import structlog

from gateway.link.framing import FrameReader, LinkBroken, edge_reader, encode
from gateway.link.messages import ControlMessage, Counters, Disconnect, EdgeMessage, Hello, Probe, ProbeAnswer

__all__ = ["EdgeLink"]

_PROBE_SLACK_S = 2.0
_NUMBER_BITS = 62
_MAX_UNSENT_BYTES = 64 * 1024 * 1024
_log = structlog.get_logger("control.link")


class EdgeLink(asyncio.Protocol):
    """One connected edge. `slot` is -1 until it has said Hello."""

    def __init__(
        self,
        on_message: Callable[["EdgeLink", EdgeMessage], None],
        on_lost: Callable[["EdgeLink"], None],
    ) -> None:
        self.slot = -1
        self.pid = 0
        self.counters: dict[str, float] = {}
        self.applied_generation = 0
        self.settings_error = ""
        self._on_message = on_message
        self._on_lost = on_lost
        self._reader: FrameReader[EdgeMessage] = edge_reader()
        self._transport: asyncio.Transport | None = None
        self._unsent = bytearray()
        """What this turn of the event loop has to say goes out at its end, in one write."""
        self._probes: dict[int, tuple[str, asyncio.Future[bool]]] = {}
        # An edge answers on the link that it has by then: what an earlier control has asked must not fit a probe of ours.
        self._numbers = count(secrets.randbits(_NUMBER_BITS))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                if isinstance(message, Hello):
                    self.slot, self.pid = message.slot, message.pid
                if isinstance(message, ProbeAnswer):
                    self._probe_answered(message)
                elif isinstance(message, Counters):
                    self.counters = message.values
                else:
                    self._on_message(self, message)
        except LinkBroken as error:
            _log.error("link_broken", slot=self.slot, detail=str(error))
            self._abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        for _, future in self._probes.values():
            if not future.done():
                # Nobody knows; the session table waits for the edge to come back before it decides.
                future.set_result(True)
        self._probes.clear()
        self._on_lost(self)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def send(self, message: ControlMessage) -> None:
        """Send; an edge that reads nothing for long is cut off and starts over."""
        transport = self._transport
        if transport is None:
            return
        if transport.get_write_buffer_size() + len(self._unsent) > _MAX_UNSENT_BYTES:
            _log.error("edge_not_reading", slot=self.slot)
            transport.abort()
            return
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += encode(message)

    def _flush(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(bytes(self._unsent))
        self._unsent.clear()

    # -- EdgePeer

    def tell_disconnect(self, message: Disconnect) -> None:
        """Close a session."""
        self.send(message)

    async def probe(self, session: str, timeout_s: float) -> bool:
        """Ask the edge whether the charge point of `session` answers. True too when the edge does not know in time."""
        if self._transport is None:
            return False
        number = next(self._numbers)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._probes[number] = (session, future)
        self.send(Probe(number, session, timeout_s))
        try:
            return await asyncio.wait_for(future, timeout_s + _PROBE_SLACK_S)
        except TimeoutError:
            return True
        finally:
            self._probes.pop(number, None)

    def _probe_answered(self, answer: ProbeAnswer) -> None:
        session, future = self._probes.get(answer.request_id, ("", None))
        if future is not None and session == answer.session and not future.done():
            future.set_result(answer.alive)
