"""Who has asked for something, in words: what the system knows of him, and what he says of himself."""

from typing import Final

from gateway.audit.event import Actor, printable

__all__ = ["MAX_ACTOR_CHARS", "SIGNAL", "by", "in_words", "named_in_registry"]

MAX_ACTOR_CHARS: Final = 200
_MAX_NAME_CHARS: Final = 64
_STOPS: Final = str.maketrans("(),;", "    ")
_UNNAMED: Final = "a gateway, or a writer without a name"
SIGNAL: Final = Actor(name="somebody with SIGHUP", known_by="signal")
"""A signal bears no name."""


def in_words(user: str, login: str = "", sudo: str = "", named: str = "") -> str:
    """At most 200 characters: ``root (login alice, sudo alice, named Alice of the NOC)``. `login` where it is another one.

    `sudo` and `named` are claims: they cannot look like what the system knows.
    """
    others = (("login", "" if login == user else login), ("sudo", _claim(sudo)), ("named", _claim(named)))
    more = ", ".join(f"{word} {printable(value[:_MAX_NAME_CHARS])}" for word, value in others if value)
    return (printable(user[:_MAX_NAME_CHARS]) + (f" ({more})" if more else ""))[:MAX_ACTOR_CHARS]


def _claim(text: str) -> str:
    return text.translate(_STOPS)


def named_in_registry(text: str) -> Actor:
    """What stands beside a change in the registry; gateways write nothing there, nor does who goes to the database himself."""
    return Actor(name=printable(text, MAX_ACTOR_CHARS) or _UNNAMED, known_by="registry")


def by(actor: Actor | None) -> str:
    """The end of a sentence about what somebody did; empty where nobody is known to have asked for it."""
    return f"; by {actor.name}" if actor is not None else ""
