"""What the relay asks its shell to do, performed in order. The usual outcome is one shared constant."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.audit.event import Severity
from gateway.ocpp.password_messages import Outcome
from gateway.ocpp.vocabulary import BootState, SecurityProfile
from gateway.policy.firmware_image import ImageClaim
from gateway.policy.rules import Rule
from gateway.policy.verdict import FleetAsk

__all__ = [
    "FORWARD",
    "NOTHING",
    "Answered",
    "AskFleet",
    "AwaitRecord",
    "CheckImage",
    "CloseBoth",
    "Deliver",
    "Effect",
    "Effects",
    "Forward",
    "Judging",
    "LearnPassword",
    "NoteBootState",
    "NoteRegistered",
    "PasswordAnswered",
    "PauseReading",
    "ProfileTaken",
    "Reply",
    "ReportEvent",
    "TakeRequest",
    "Told",
    "goes_on",
]


class Forward(msgspec.Struct, frozen=True, gc=False):
    """Deliver the sender's original bytes to the other side."""


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Send a text that the gateway made to the other side, in the place of what it waits for."""

    text: bytes


class Reply(msgspec.Struct, frozen=True, gc=False):
    """Send a text that the gateway made back to the sender."""

    text: bytes


class ReportEvent(msgspec.Struct, frozen=True, gc=False):
    """A security event of this session."""

    event: str
    severity: Severity
    decision: str
    detail: str = ""
    revision: str = ""
    """Of the policy that this comes from, where it is not the one in force any more."""
    rule: Rule | None = None
    """Whose match this reports."""


class CloseBoth(msgspec.Struct, frozen=True, gc=False):
    """Close the pair; `code` is for the charge point's leg. `reason` is a fixed word of ours."""

    code: int
    reason: str


class PauseReading(msgspec.Struct, frozen=True, gc=False):
    """Backpressure: read nothing from the sender for a while."""

    seconds: float


class NoteRegistered(msgspec.Struct, frozen=True, gc=False):
    """The charge point is registered with the CSMS. All fields are its own claims, empty where absent."""

    serial_number: str = ""
    vendor: str = ""
    model: str = ""
    firmware: str = ""


class NoteBootState(msgspec.Struct, frozen=True, gc=False):
    """What the CSMS answered a BootNotification restricts the charge point from now on, or restricts it no longer."""

    state: BootState


class Answered(msgspec.Struct, frozen=True, gc=False):
    """What became of a call of the gateway's own. The CSMS never sees it."""

    message_id: str
    payload: dict[str, Any] | None = None
    """Of a CALLRESULT, or the details of a CALLERROR; as the charge point wrote it, not held against any schema."""
    error: str = ""
    """Empty for a CALLRESULT; the charge point's code, or our words where there was no answer that could be read."""
    description: str = ""
    """The charge point's words about its error."""
    is_sent: bool = True
    """False: the charge point has never seen it; `error` says why, in our words."""


class TakeRequest(msgspec.Struct, frozen=True, gc=False):
    """The charge point asks the gateway for a certificate: it is answered once control has the request."""

    message_id: str
    csr: str
    """PEM as it came; nobody has looked into it yet."""
    certificate_type: str
    """As sent; empty where none was."""
    request_id: int | None
    """Of OCPP 2.1."""
    root: tuple[str, ...] = ()
    """hashRootCertificate of 2.1: algorithm, hashes of name and key, serial number, as sent; empty where none was."""


class AskFleet(msgspec.Struct, frozen=True, gc=False):
    """Ask control whether budgets of the whole node are kept; the message waits for `Relay.answered(ticket, ...)`."""

    ticket: int
    asks: tuple[FleetAsk, ...]


class AwaitRecord(msgspec.Struct, frozen=True):
    """Nothing happens until the log has this message and its verdict: then `Relay.recorded(ticket, ...)`."""

    ticket: int
    then: "tuple[Effect, ...]"
    """What was decided."""


class LearnPassword(msgspec.Struct, frozen=True, gc=False):
    """The CSMS gives the charge point another password: the call waits for `Relay.password_noted(ticket, ...)`."""

    ticket: int
    password: str
    """As it stands in the call."""

    def __repr__(self) -> str:
        return f"LearnPassword({self.ticket}, <hidden>)"


class CheckImage(msgspec.Struct, frozen=True, gc=False):
    """An update names a signed image: once somebody has looked at it, `Relay.image_checked(ticket, ...)`."""

    ticket: int
    """0: the update has gone on, and the answer is for the record only."""
    claim: ImageClaim


class PasswordAnswered(msgspec.Struct, frozen=True, gc=False):
    """What the charge point has said about the password that was learnt last."""

    outcome: Outcome


class ProfileTaken(msgspec.Struct, frozen=True, gc=False):
    """The charge point has taken another security profile from the CSMS, to use it now or later."""

    security_profile: SecurityProfile


Effect = (
    Forward
    | Deliver
    | Reply
    | ReportEvent
    | CloseBoth
    | PauseReading
    | NoteRegistered
    | NoteBootState
    | AskFleet
    | Answered
    | TakeRequest
    | AwaitRecord
    | LearnPassword
    | CheckImage
    | PasswordAnswered
    | ProfileTaken
)
Effects = tuple[Effect, ...]
Told = (
    NoteRegistered
    | NoteBootState
    | AskFleet
    | Answered
    | TakeRequest
    | LearnPassword
    | CheckImage
    | PasswordAnswered
    | ProfileTaken
    | AwaitRecord
)
"""What the worker hears of, beyond the session."""

Judging = Callable[[bytes, float], Effects]
"""A message of one side and monotonic seconds -> what to do about it."""

FORWARD: Final[Effects] = (Forward(),)
"""The usual outcome; the shell compares by identity."""
NOTHING: Final[Effects] = ()


def goes_on(effects: Effects) -> bool:
    """True if the sender's message is forwarded."""
    return effects is FORWARD or any(isinstance(effect, Forward) for effect in effects)
