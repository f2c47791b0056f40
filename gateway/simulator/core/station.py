"""What all parts of a charge point share: its memory, what is lost with the power, its clock, and what it wants done.

The parts (boot, charging, enrolment, ...) are modules of functions on a `Station`; `charge_point` calls them.
"""

import datetime
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.ocpp.build import build_call
from gateway.ocpp.vocabulary import BootState, OCPPVersion
from gateway.simulator.core.effects import Disconnect, Effect, Note, Reboot, Send, StartTimer, StopTimer
from gateway.simulator.core.memory import Memory, NetworkSlot, QueuedCall
from gateway.simulator.core.model import Model
from gateway.simulator.core.quirks import Quirks

__all__ = ["CallRefused", "Live", "OpenCall", "Outgoing", "Payload", "Station"]

Payload = dict[str, Any]

_EARLIEST: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class CallRefused(Exception):  # noqa: N818  what the CSMS will be told
    """Answer with a CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code, self.description = code, description
        """As the version spells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A call that waits to be sent; it is forgotten when the power goes."""

    action: str
    payload: Payload
    triggered: bool = False
    """The CSMS has asked for it, so it may be sent while registration is pending (B02.FR.03)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A call on the way."""

    action: str
    payload: Payload
    queued: QueuedCall | None = None


@dataclass(slots=True)
class Live:
    """What is lost with the power."""

    link: Literal["down", "connecting", "up"] = "down"
    place: int = 0
    """Which entry of the priority list is being tried."""
    attempts: int = 0
    """Failed attempts on it."""
    failures: int = 0
    """Failed attempts since there was a connection."""
    trust_failures: int = 0
    """Of those, the ones that a certificate may explain."""
    registration: BootState = "unknown"
    wants_boot: bool = True
    boot_triggered: bool = False
    open: dict[str, OpenCall] = field(default_factory=dict)
    waiting: deque[Outgoing] = field(default_factory=deque)
    held: dict[str, list[Effect]] = field(default_factory=dict)
    clock_offset_s: float = 0.0
    reset_when_idle: bool = False
    dials: int = 0
    reconnects_now: bool = False
    """The charge point itself has closed, to come back with something new."""
    queue_rests: bool = False
    """The head of the queue was not answered; it is sent again when a timer is due."""
    wants_key_for: str = ""
    """Type of the certificate whose key is being made."""
    report: int = 0
    steps: int = 0
    calls: int = 0
    uses_fallback_root: bool = False
    firmware: list[str] = field(default_factory=list)
    firmware_request: Payload = field(default_factory=dict)


class Station:
    """See the module."""

    def __init__(self, memory: Memory, model: Model, quirks: Quirks) -> None:
        self.memory, self.model, self.quirks = memory, model, quirks
        self.live = Live()
        self.now = 0.0
        self.out: list[Effect] = []

    @property
    def is_1_6(self) -> bool:
        """True for OCPP 1.6."""
        return self.memory.version is OCPPVersion.V1_6

    @property
    def slot(self) -> NetworkSlot:
        """The network slot that is used, or tried."""
        priority = self.memory.priority
        return self.memory.slots[priority[self.live.place % len(priority)]]

    def note(self, what: str, **details: Any) -> None:
        """Something for the journal."""
        self.out.append(Note(what, details))

    # -- time

    def clock(self) -> float:
        """What the charge point takes for the time, in seconds since 1970."""
        return max(0.0, self.now + self.live.clock_offset_s)

    def timestamp(self) -> str:
        """The same as on the wire."""
        moment = _EARLIEST + datetime.timedelta(seconds=self.clock())
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def timer(self, name: str, after_s: float, *, jitter_s: float = 0.0) -> None:
        """Start or restart a timer."""
        self.out.append(StartTimer(timer=name, after_s=after_s, jitter_s=jitter_s))

    def stop_timer(self, name: str) -> None:
        """It will not be due."""
        self.out.append(StopTimer(name))

    # -- settings

    def number(self, name: str) -> int:
        """A setting that is a number; `charge_point` fills in what was never set."""
        return int(self.memory.settings[name])

    # -- calls

    def call(self, action: str, payload: Payload, *, triggered: bool = False) -> None:
        """Send when it is its turn; forgotten if the connection ends before."""
        self.live.waiting.append(Outgoing(action=action, payload=payload, triggered=triggered))

    def call_surely(self, action: str, payload: Payload, *, transaction: int | None = None) -> None:
        """Send, and keep until it is answered, whatever happens."""
        self.memory.queue.append(QueuedCall(action=action, payload=payload, transaction=transaction))

    def send_call(self, call: OpenCall) -> None:
        """Put a call on the way."""
        live = self.live
        live.calls += 1
        message_id = "1" if "duplicate-ids" in self.quirks else f"{self.memory.boots}-{live.calls}"
        live.open[message_id] = call
        self.out.append(Send(build_call(message_id, call.action, call.payload)))
        self.note("sent", action=call.action)
        self.timer(f"answer:{message_id}", self.slot.message_timeout_s)

    # -- the connection

    def reconnect(self) -> None:
        """Close; the connection that follows uses what is valid then."""
        if self.live.link == "up":
            self.live.reconnects_now = True
            self.out.append(Disconnect())

    def reboot(self, reason: str) -> None:
        """Restart; all that is not in the memory is gone. `reason` as BootNotification of 2.x spells it."""
        self.memory.boot_reason = reason
        self.lose_power(self.model.reboot_s)

    def lose_power(self, after_s: float) -> None:
        """The same, unprepared."""
        self.live = Live()
        self.note("rebooting", reason=self.memory.boot_reason)
        self.out.append(Reboot(after_s=after_s))

    def once(self, what: str) -> bool:
        """True the first time that this is asked in the life of the charge point."""
        if what in self.memory.happened:
            return False
        self.memory.happened.append(what)
        return True
