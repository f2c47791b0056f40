"""Accounts of this machine: what the kernel knows of a process, in names. May block, as directories of users may be elsewhere."""

import os
import pwd
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, unquote

from gateway.audit.actor import in_words
from gateway.audit.event import Actor, printable

__all__ = ["Peer", "claims", "in_numbers", "login_of", "own_actor", "peer_actor", "peer_of", "user_name"]

_CREDENTIALS: Final = struct.Struct("=iII")
"""pid, uid and gid of SO_PEERCRED."""
_NO_LOGIN: Final = 2**32 - 1
_MAX_NAME_CHARS: Final = 64
_SUDO, _NAMED = "Ocpp-Gateway-Sudo", "Ocpp-Gateway-Operator"


class Peer(NamedTuple):
    """Who has connected a Unix socket, in the kernel's numbers."""

    pid: int
    """0: of another container."""
    uid: int
    login: int | None
    """Whose login session; None where it is no one's, or not known."""

    @property
    def uids(self) -> set[int]:
        """All users that it names."""
        return {self.uid} if self.login is None else {self.uid, self.login}


def in_numbers(uid: int) -> str:
    """What stands for a user whose name is not known."""
    return f"user {uid}"


def user_name(uid: int) -> str:
    """Of a number; ``user 4711`` where it has no name."""
    try:
        return printable(pwd.getpwuid(uid).pw_name, _MAX_NAME_CHARS)
    except (KeyError, OverflowError):
        return in_numbers(uid)


def login_of(process: int | str) -> str:
    """Whose login session a process (or ``self``) belongs to; empty where none does, or the system does not say.

    The kernel hands it down from the login to all that is started in it, and lets nobody change it.
    """
    number = _login_number(process)
    return "" if number is None else user_name(number)


def _login_number(process: int | str) -> int | None:
    try:
        number = int(Path(f"/proc/{process}/loginuid").read_text("ascii"))
    except (OSError, ValueError):
        return None
    return None if number == _NO_LOGIN else number


def claims(sudo: str, named: str) -> dict[str, str]:
    """What a command says of who runs it, as headers of its request."""
    return {
        name: quote(text[:_MAX_NAME_CHARS].encode("utf-8", "replace"))
        for name, text in ((_SUDO, sudo), (_NAMED, named))
        if text
    }


def own_actor(sudo: str, named: str) -> Actor:
    """Of this process itself."""
    own = Peer(os.getpid(), os.getuid(), _login_number("self"))
    return _actor_of("command", own, user_name, sudo[:_MAX_NAME_CHARS], named[:_MAX_NAME_CHARS])


def peer_of(descriptor: int) -> Peer:
    """Who has connected a Unix socket. Blocks for nobody. Raises OSError."""
    with socket.socket(fileno=descriptor) as peer:
        try:
            pid, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        finally:
            peer.detach()  # it is not ours to close
    return Peer(pid, uid, _login_number(pid) if pid else None)


def peer_actor(peer: Peer, headers: Mapping[str, str], name_of: Callable[[int], str]) -> Actor:
    """Who has connected, and what he claims. `name_of`: of the numbers in `Peer.uids`."""
    sudo, named = (unquote(headers.get(name, ""))[:_MAX_NAME_CHARS] for name in (_SUDO, _NAMED))
    return _actor_of("socket", peer, name_of, sudo, named)


def _actor_of(
    known_by: Literal["socket", "command"], peer: Peer, name_of: Callable[[int], str], sudo: str, named: str
) -> Actor:
    user, login = name_of(peer.uid), "" if peer.login is None else name_of(peer.login)
    return Actor(
        name=in_words(user, login, sudo, named),
        known_by=known_by,
        user=user,
        uid=peer.uid,
        pid=peer.pid,
        login=login,
        sudo=printable(sudo),
        named=printable(named),
    )
