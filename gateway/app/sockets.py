"""Listening sockets of the supervisor: one per listener and edge slot, so that a restarted edge gets its own back."""

import os
import socket
from pathlib import Path

from gateway.config.checks import split_address
from gateway.config.model import Listener

__all__ = ["address_of", "bind_listener", "bind_slots", "bind_unix"]

_BACKLOG = 4096


def bind_slots(listener: Listener, slots: int) -> list[socket.socket]:
    """One socket for each edge slot, all on one port, also where the configured port is 0 (any free one).

    Raises OSError that names the listener.
    """
    host, port = split_address(listener.address)
    bound: list[socket.socket] = []
    try:
        _require_free(host, port)
        for _ in range(slots):
            bound.append(bind_listener(host, port))
            port = int(bound[0].getsockname()[1])
    except OSError as error:
        for sock in bound:
            sock.close()
        raise OSError(error.errno, f"listener {listener.name} ({listener.address}): {error.strerror}") from error
    return bound


def _require_free(host: str, port: int) -> None:
    """Raise OSError if anybody listens there: SO_REUSEPORT alone would quietly share the port with a second gateway."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def address_of(sock: socket.socket) -> str:
    """``host:port`` as in the configuration, with the port that was really bound."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind_listener(host: str, port: int) -> socket.socket:
    """A listening TCP socket that shares its port with the other slots' (SO_REUSEPORT). Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def bind_unix(path: Path) -> socket.socket:
    """A listening Unix stream socket only we may connect to. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(mask)
    sock.listen(256)
    sock.setblocking(False)
    return sock
