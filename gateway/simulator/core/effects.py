"""What a simulated charge point wants done, in the order in which it is to be done."""

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Connect",
    "Disconnect",
    "Drop",
    "Effect",
    "MakeKey",
    "Note",
    "Reboot",
    "Send",
    "StartTimer",
    "StopTimer",
    "Store",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Open a WebSocket. What the TLS of it needs is all here, as PEM; `roots` empty on TLS: nothing can be trusted."""

    url: str
    """With the identity."""
    user: str
    password: bytes | None = field(default=None, repr=False)
    """None: no Authorization header."""
    certificate_pem: str = ""
    key_pem: str = field(default="", repr=False)
    roots: tuple[str, ...] = field(default=(), repr=False)
    subprotocols: str = ""
    """The value of Sec-WebSocket-Protocol."""
    answers_pings: bool = True
    ping_interval_s: int = 0
    """0: no pings of its own."""


@dataclass(frozen=True, slots=True)
class Send:
    """One text message."""

    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close properly; `Disconnected` follows."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection breaks without a word; `Disconnected` follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeKey:
    """Make a key pair and a request for a certificate (A02.FR.02: a new pair each time); `KeyMade` follows."""

    common_name: str
    organization: str
    kind: str
    """``ec`` (P-256) or ``rsa`` (2048)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTimer:
    """`TimerDue` after `after_s`, and up to `jitter_s` later; replaces a timer of the same name."""

    timer: str
    after_s: float
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StopTimer:
    """The timer will not be due."""

    timer: str


@dataclass(frozen=True, slots=True)
class Store:
    """The non-volatile memory as it must be before anything that follows is done."""

    memory: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot:
    """Connection and timers are gone at once; `Started` follows after `after_s`."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Note:
    """Something happened that people or programs may want to see. Never holds a secret."""

    what: str
    details: dict[str, Any] = field(default_factory=dict)


Effect = Connect | Send | Disconnect | Drop | MakeKey | StartTimer | StopTimer | Store | Reboot | Note
