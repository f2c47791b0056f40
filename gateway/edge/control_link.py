"""The edge's end of the link to control: reconnects by itself, and without it nobody is admitted."""

import asyncio
import contextlib
from collections.abc import Callable
from itertools import count
from typing import cast

import structlog

from gateway.edge.shared_values import SharedValues
from gateway.identity.evidence import Admission, Claim
from gateway.identity.refusal import Reason, Refusal
from gateway.link.framing import FrameReader, LinkBroken, control_reader, encode
from gateway.link.messages import (
    AdmitGranted,
    AdmitRefused,
    AdmitRequest,
    ControlMessage,
    Counters,
    EdgeMessage,
    Hello,
    RecordedLines,
    Report,
    SessionClosed,
    SessionOpened,
)
from gateway.link.policy_counts import CountersKept
from gateway.link.relayed import RelayedFrames

__all__ = ["ControlLink", "RefusedByControl"]

_RECONNECT_S = 0.2
_MAX_UNSENT_BYTES = 8 * 1024 * 1024
_MAX_UNSENT_REPORT_BYTES = _MAX_UNSENT_BYTES // 2
"""Whoever provokes events must not take the room of what control has to know about sessions."""
_NOTE_DELAY_S = 0.01
"""What sessions have become may wait so long for company: in a reconnect storm it travels with the next request, in its
order, and wakes control once a session instead of three times."""
_log = structlog.get_logger("edge.control_link")


class RefusedByControl(Refusal):
    """A refusal that control has recorded already; the edge only answers it."""

    def __init__(self, reason: Reason, retry_after_s: int, *, proven: bool) -> None:
        super().__init__(reason, retry_after_s=retry_after_s)
        self.proven = proven


class _LinkProtocol(asyncio.Protocol):
    """Bytes to messages."""

    def __init__(self, on_message: Callable[[ControlMessage], None], on_lost: Callable[[], None]) -> None:
        self._reader: FrameReader[ControlMessage] = control_reader()
        self._on_message = on_message
        self._on_lost = on_lost
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio.Transport.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                self._on_message(message)
        except LinkBroken as error:
            _log.error("link_broken", detail=str(error))
            if self.transport is not None:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._on_lost()


class ControlLink:
    """Sends edge messages, answers admissions, passes everything else to `on_message`."""

    def __init__(
        self,
        path: str,
        *,
        hello: Callable[[], Hello],
        on_message: Callable[[ControlMessage], None],
        on_lost: Callable[[], None] = lambda: None,
        admission_timeout_s: float = 20.0,
    ) -> None:
        self._path = path
        self._hello = hello
        self._on_message = on_message
        self._tell_lost = on_lost
        self._timeout_s = admission_timeout_s
        self._transport: asyncio.Transport | None = None
        self._unsent = bytearray()
        """What this turn of the event loop has to say goes out at its end, in one write."""
        self._flushing = False
        self._note_timer: asyncio.TimerHandle | None = None
        self._waiting: dict[int, asyncio.Future[Admission]] = {}
        self._shared = SharedValues()
        self._numbers = count(1)
        self._lost = asyncio.Event()
        self._greeted = False

    @property
    def connected(self) -> bool:
        """True once control has spoken on this link.

        The supervisor holds the listening socket, so connecting works also while control is away.
        """
        return self._transport is not None and self._greeted

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._lost.clear()
            self._greeted = False
            try:
                transport, _ = await loop.create_unix_connection(
                    lambda: _LinkProtocol(self._received, self._on_lost), self._path
                )
            except OSError:
                await asyncio.sleep(_RECONNECT_S)
                continue
            self._transport = transport
            transport.write(encode(self._hello()))
            await self._lost.wait()
            await asyncio.sleep(_RECONNECT_S)

    def _on_lost(self) -> None:
        self._transport, self._greeted = None, False
        self._flush()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(Refusal(Reason.CONTROL_DOWN))
        self._tell_lost()
        self._lost.set()

    def send(self, message: EdgeMessage) -> bool:
        """Send if control is there and reads; False if the message is lost (the caller decides what that means).

        Control must not miss what becomes of sessions: where that does not fit any more, the link starts over, and its
        Hello says what is true by then.
        """
        transport = self._transport
        if transport is None:
            return False
        unsent = transport.get_write_buffer_size() + len(self._unsent)
        if isinstance(message, Report | Counters | CountersKept | RecordedLines | RelayedFrames):
            if unsent > _MAX_UNSENT_REPORT_BYTES:
                return False
        elif unsent > _MAX_UNSENT_BYTES:
            if not transport.is_closing():
                _log.error("control_not_reading")
                transport.abort()
            return False
        self._unsent += encode(message)
        if not self._flushing:
            self._flush_in_time(message)
        return True

    def _flush_in_time(self, message: EdgeMessage) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(message, SessionOpened | SessionClosed):
            self._flushing = True
            loop.call_soon(self._flush)
        elif self._note_timer is None:
            self._note_timer = loop.call_later(_NOTE_DELAY_S, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._note_timer is not None:
            self._note_timer.cancel()
            self._note_timer = None
        if self._transport is not None and self._unsent:
            self._transport.write(bytes(self._unsent))
        self._unsent.clear()

    async def close(self, timeout_s: float) -> None:
        """Send what is still unsent, then end the link. `run` must have been cancelled."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), timeout_s)

    def _received(self, message: ControlMessage) -> None:
        self._greeted = True
        if isinstance(message, AdmitGranted):
            future = self._waiting.pop(message.request_id, None)
            if future is not None and not future.done():
                future.set_result(self._shared.of(message.admission))
        elif isinstance(message, AdmitRefused):
            future = self._waiting.pop(message.request_id, None)
            if future is not None and not future.done():
                reason = Reason.from_code(message.reason)
                future.set_exception(RefusedByControl(reason, message.retry_after_s, proven=message.proven))
        else:
            self._on_message(message)

    async def admit(self, session: str, claim: Claim) -> Admission:
        """Ask control. Raises Refusal; CONTROL_DOWN when it is away or does not answer in time."""
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Admission] = loop.create_future()
        self._waiting[number] = future
        timer = loop.call_later(self._timeout_s, _no_answer, future)
        try:
            if not self.connected or not self.send(AdmitRequest(number, session, claim)):
                raise Refusal(Reason.CONTROL_DOWN)
            return await future
        finally:
            timer.cancel()
            self._waiting.pop(number, None)


def _no_answer(future: "asyncio.Future[Admission]") -> None:
    if not future.done():
        future.set_exception(Refusal(Reason.CONTROL_DOWN, "no answer in time"))
