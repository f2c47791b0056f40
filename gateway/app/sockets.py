"""Listening sockets of the supervisor: one per listener and edge slot, so that a restarted edge gets its own back."""

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gateway.config.checks import split_address
from gateway.config.model import Listener

__all__ = ["Change", "ListeningSockets", "bind_unix", "require_free"]

_BACKLOG = 4096

Bound = dict[str, list[socket.socket]]


class Change(NamedTuple):
    """What a new configuration needs: sockets that listen already but are not served yet, and names that must go."""

    bound: Bound
    removed: list[str]

    def abandon(self) -> None:
        """The new configuration is not taken after all."""
        _close(self.bound)


class ListeningSockets:
    """The sockets by listener name. Connections that wait on the socket of a dead edge are served by its successor."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._sockets: Bound = {}
        self._configured: dict[str, str] = {}

    def bind(self, listeners: Iterable[Listener]) -> None:
        """Bind what a first configuration names. Raises OSError that names the listener, with nothing bound."""
        listeners = tuple(listeners)
        self.take_over(self.prepare(listeners), listeners)

    def prepare(self, listeners: Iterable[Listener]) -> Change:
        """Bind what is new (a changed address is new and gone). Raises OSError that names the listener."""
        wanted = {listener.name: listener.address for listener in listeners}
        removed = [name for name, address in self._configured.items() if wanted.get(name) != address]
        ours = {sockets[0].getsockname()[1] for sockets in self._sockets.values()}
        bound: Bound = {}
        for name, address in wanted.items():
            if self._configured.get(name) != address:
                try:
                    bound[name] = _bind_slots(address, self._slots, ours)
                except OSError as error:
                    _close(bound)
                    raise OSError(error.errno, f"listener {name} ({address}): {error.strerror}") from error
        return Change(bound, removed)

    def take_over(self, change: Change, listeners: Iterable[Listener]) -> None:
        """A prepared change is in force; sockets that are gone are closed here."""
        _close({name: self._sockets.pop(name) for name in change.removed})
        self._sockets |= change.bound
        self._configured = {listener.name: listener.address for listener in listeners}

    def descriptors(self, slot: int, names: Iterable[str] | None = None) -> dict[str, int]:
        """What the edge of this slot listens on, by listener name."""
        return {name: self._sockets[name][slot].fileno() for name in (self._sockets if names is None else names)}

    def address_of(self, name: str) -> str:
        """``host:port`` as in the configuration, with the port that was really bound."""
        host, port = self._sockets[name][0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Listen no more; edges hold descriptors of their own."""
        _close(self._sockets)


def _close(bound: Bound) -> None:
    for sockets in bound.values():
        for sock in sockets:
            sock.close()


def _bind_slots(address: str, slots: int, ours: set[int]) -> list[socket.socket]:
    """One socket for each edge slot, all on one port, also where the configured port is 0 (any free one).

    `ours`: ports this gateway listens on already, so that a listener may move between addresses of one port.
    """
    host, port = split_address(address)
    bound: list[socket.socket] = []
    try:
        if port not in ours:
            require_free(host, port)
        for _ in range(slots):
            bound.append(_bind_listener(host, port))
            port = int(bound[0].getsockname()[1])
    except OSError:
        for sock in bound:
            sock.close()
        raise
    return bound


def require_free(host: str, port: int) -> None:
    """Raise OSError if anybody listens there: SO_REUSEPORT alone would quietly share the port with a second gateway."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _bind_listener(host: str, port: int) -> socket.socket:
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
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        sock.bind(str(path))
        sock.listen(256)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{path}: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    return sock
