"""Who types: for the record, as the system knows it and as people call themselves."""

import os
from typing import Final

__all__ = ["NAME_VARIABLE", "actor", "claimed"]

NAME_VARIABLE: Final = "OCPP_GATEWAY_OPERATOR"
"""A name of their own, for those who share an account."""


def actor() -> str:
    """At most 200 printable characters: ``root (login alice, sudo alice, named Alice of the NOC)``.

    User and login session are the process's own; the rest comes from the environment and is as true as whoever set it.
    """
    from gateway.audit.actor import in_words
    from gateway.control.accounts import login_of, user_name

    return in_words(user_name(os.getuid()), login_of("self"), *claimed())


def claimed() -> tuple[str, str]:
    """Who has called sudo, and what people call themselves: as the environment says, empty where it does not."""
    return os.environ.get("SUDO_USER", ""), os.environ.get(NAME_VARIABLE, "")
