"""TCP sockets: those that listen, and options."""

import asyncio
import os
import socket

__all__ = ["listening_socket", "set_user_timeout", "set_user_timeout_of_accepted"]

_TCP_USER_TIMEOUT = 18


def listening_socket(descriptor: int) -> socket.socket:
    """A socket of its own for a descriptor that somebody else may close."""
    return socket.socket(fileno=os.dup(descriptor))


def set_user_timeout(transport: asyncio.Transport, seconds: float) -> None:
    """Let the kernel notice a peer that is gone without FIN, whether or not it knows WebSocket pings."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(seconds * 1000))


def set_user_timeout_of_accepted(descriptor: int, seconds: float) -> None:
    """The same for all connections that this listening socket will accept: they inherit it (Linux)."""
    with listening_socket(descriptor) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(seconds * 1000))
