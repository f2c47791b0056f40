"""Options of TCP sockets."""

import asyncio
import socket

__all__ = ["set_user_timeout"]

_TCP_USER_TIMEOUT = 18


def set_user_timeout(transport: asyncio.Transport, seconds: float) -> None:
    """Let the kernel notice a peer that is gone without FIN, whether or not it knows WebSocket pings."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(seconds * 1000))
