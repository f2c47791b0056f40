"""Accounts of this machine: what the kernel knows of a process, in names. May block, as directories of users may be elsewhere."""

import os
import pwd
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote, unquote

from gateway.audit.actor import in_words
from gateway.audit.event import Actor, printable

__all__ = ["claims", "login_of", "own_actor", "peer_actor", "user_name"]

_CREDENTIALS: Final = struct.Struct("=iII")
"""pid, uid and gid of SO_PEERCRED."""
_NO_LOGIN: Final = 2**32 - 1
_MAX_NAME_CHARS: Final = 64
_SUDO, _NAMED = "Ocpp-Gateway-Sudo", "Ocpp-Gateway-Operator"


def user_name(uid: int) -> str:
    """Of a number; ``user 4711`` where it has no name."""
    try:
        return printable(pwd.getpwuid(uid).pw_name, _MAX_NAME_CHARS)
    except (KeyError, OverflowError):
        return f"user {uid}"


def login_of(process: int | str) -> str:
    """Whose login session a process (or ``self``) belongs to; empty where none does, or the system does not say.

    The kernel hands it down from the login to all that is started in it, and lets nobody change it.
    """
    try:
        number = int(Path(f"/proc/{process}/loginuid").read_text("ascii"))
    except (OSError, ValueError):
        return ""
    return "" if number == _NO_LOGIN else user_name(number)


def claims(sudo: str, named: str) -> dict[str, str]:
    """What a command says of who runs it, as headers of its request."""
    return {
        name: quote(text[:_MAX_NAME_CHARS].encode("utf-8", "replace"))
        for name, text in ((_SUDO, sudo), (_NAMED, named))
        if text
    }


def own_actor(sudo: str, named: str) -> Actor:
    """Of this process itself."""
    return _actor_of("command", os.getpid(), os.getuid(), sudo[:_MAX_NAME_CHARS], named[:_MAX_NAME_CHARS])


def peer_actor(descriptor: int, headers: Mapping[str, str]) -> Actor:
    """Who has connected a Unix socket, and what he claims. Raises OSError."""
    with socket.socket(fileno=descriptor) as peer:
        try:
            pid, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        finally:
            peer.detach()  # it is not ours to close
    sudo, named = (unquote(headers.get(name, ""))[:_MAX_NAME_CHARS] for name in (_SUDO, _NAMED))
    return _actor_of("socket", pid, uid, sudo, named)


def _actor_of(known_by: Literal["socket", "command"], pid: int, uid: int, sudo: str, named: str) -> Actor:
    user, login = user_name(uid), login_of(pid) if pid else ""  # 0: of another container
    return Actor(
        name=in_words(user, login, sudo, named),
        known_by=known_by,
        user=user,
        uid=uid,
        pid=pid,
        login=login,
        sudo=printable(sudo),
        named=printable(named),
    )
