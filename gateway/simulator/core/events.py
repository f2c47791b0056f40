"""What can happen to a simulated charge point. Times are seconds since 1970, the true ones: its own clock may differ."""

from dataclasses import dataclass, field

__all__ = [
    "ChargingStarted",
    "ChargingStopped",
    "ConnectFailed",
    "Connected",
    "Disconnected",
    "Event",
    "Failure",
    "KeyMade",
    "PowerCut",
    "Received",
    "Started",
    "TimerDue",
]

from typing import Literal

Failure = Literal["unreachable", "tls", "refused"]
"""Why a connection could not be made: nobody there, no trust either way, or an HTTP answer other than 101."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Power is there, the firmware runs."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The WebSocket is open. Validity of the server's certificate where there was TLS, to be held against the own clock."""

    now: float
    server_valid_from: float | None = None
    server_valid_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectFailed:
    """An attempt has ended without a WebSocket."""

    now: float
    failure: Failure
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """An open WebSocket is gone, whoever closed it."""

    now: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A text message of the other side."""

    now: float
    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerDue:
    """A timer started earlier is due."""

    now: float
    timer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMade:
    """What `MakeKey` asked for: a key pair and a request signed with it, both PEM."""

    now: float
    key_pem: str = field(repr=False)
    csr_pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingStarted:
    """Somebody has plugged in and shown a token."""

    now: float
    id_token: str = "SIMULATED-TOKEN"  # noqa: S105  what a driver shows, no secret of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingStopped:
    """The car leaves."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCut:
    """Everything but the non-volatile memory is lost, this very moment."""

    now: float


Event = (
    Started
    | Connected
    | ConnectFailed
    | Disconnected
    | Received
    | TimerDue
    | KeyMade
    | ChargingStarted
    | ChargingStopped
    | PowerCut
)
