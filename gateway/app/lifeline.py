"""The socket pair between the supervisor and each child: one JSON object a packet, file descriptors beside it.

When the supervisor dies the child sees end-of-file and exits; when the child dies the supervisor sees it.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["Lifeline", "lifeline_pair"]

_MAX_PACKET_BYTES = 65_536
_MAX_DESCRIPTORS = 253


def lifeline_pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair: one end for the supervisor, one to inherit."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Lifeline:
    """One end of a lifeline on an event loop."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_message: Callable[[dict[str, Any], list[int]], None] = lambda _m, _d: None
        self._on_lost: Callable[[], None] = lambda: None

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_message: Callable[[dict[str, Any], list[int]], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Begin to listen. `on_message` gets the object and received descriptors, which it then owns."""
        sock.setblocking(False)
        self._socket, self._loop = sock, loop
        self._on_message, self._on_lost = on_message, on_lost
        loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _MAX_PACKET_BYTES, _MAX_DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self.close()
            self._on_lost()
            return
        message = _decode(data)
        if message is not None:
            self._on_message(message, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> bool:
        """Send one object; False if nobody listens any more."""
        if self._socket is None:
            return False
        try:
            socket.send_fds(self._socket, [msgspec.json.encode(message)], descriptors)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go; the other end sees end-of-file."""
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None


def _decode(data: bytes) -> dict[str, Any] | None:
    """The object in a packet, None if it holds none."""
    try:
        message = msgspec.json.decode(data)
    except msgspec.MsgspecError:
        return None
    return message if isinstance(message, dict) else None
