"""Who types: for the record, as the system knows it and as people call themselves."""

import os
import pwd
from typing import Final

__all__ = ["NAME_VARIABLE", "actor"]

NAME_VARIABLE: Final = "OCPP_GATEWAY_OPERATOR"
"""A name of their own, for those who share an account."""
_MAX_CHARS: Final = 64


def actor() -> str:
    """At most 200 characters: ``root (sudo alice, named Alice of the NOC)``.

    The user is the process's own; what stands in brackets comes from the environment and is as true as whoever set it.
    """
    more = [
        f"{word} {value[:_MAX_CHARS]}"
        for word, value in (("sudo", os.environ.get("SUDO_USER", "")), ("named", os.environ.get(NAME_VARIABLE, "")))
        if value
    ]
    return _user() + (f" ({', '.join(more)})" if more else "")


def _user() -> str:
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name[:_MAX_CHARS]
    except KeyError:
        return f"user {number}"
