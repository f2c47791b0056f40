"""What remains of a refused connection: the answer on its way out, and nothing that is read any more."""

import asyncio
import select

__all__ = ["Farewell", "has_hung_up"]

_LINGER_S = 2.0
"""How long a refused peer may take to read its answer; sending RST at once could destroy the answer on the way."""


class Farewell(asyncio.Protocol):
    """After the answer: half-close, discard input, and make sure the connection ends."""

    __slots__ = ("_timer", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        if transport.can_write_eof():
            transport.write_eof()
        transport.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Nothing a refused peer says matters any more."""

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._timer.cancel()


def has_hung_up(transport: asyncio.Transport) -> bool:
    """True if the peer has sent FIN or RST, whether or not what it sent before has been read."""
    sock = transport.get_extra_info("socket")
    poller = select.poll()
    poller.register(sock.fileno(), select.POLLRDHUP)
    return bool(poller.poll(0))
