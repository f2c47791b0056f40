"""A recording: what was relayed and what was decided about it, one JSON object a line. Written by edges, read by a replay. Pure.

A line in the order in which frames came::

    {"time": 1767225600.0, "identity": "CP-A01", "group": "public", "version": "1.6", "security_profile": 2,
     "origin": "charge-point", "text": "[2,...]"}

is all that a replay needs; `vendor`, `model`, `firmware`, `serial`, `ip`, `online` help it.
The rest says what was decided then, enforced or not.
"""

from typing import Final, Literal

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile

__all__ = ["Decision", "Match", "Recorded", "RecordingInvalid", "line_of", "read_recorded"]

Decision = Literal["", "forward", "queue", "ask", "refuse", "close", "own", "answer"]
_LAST_MOMENT: Final = 32_503_680_000.0
"""The year 3000: who writes milliseconds gets told."""


class RecordingInvalid(ValueError):  # noqa: N818  what the line is
    """A line that is no recorded frame."""


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A gate or rule that had something to say about the frame."""

    event: str
    rule: str = ""
    severity: str = ""
    effect: str = ""
    """What was done."""
    would: str = ""
    """What would have been done: a rule or gate that only watches, or an exception."""
    detail: str = ""


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One recorded frame."""

    time: float
    identity: str
    group: str
    version: OCPPVersion
    security_profile: SecurityProfile
    origin: Literal["charge-point", "csms"]
    text: str
    """The frame, without what must not be kept (`gateway.audit.redaction`)."""
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    """These four as the gateway knew them; where they are empty, a replay learns them from recorded BootNotifications."""
    ip: str = ""
    online: int = 0
    """Connected charge points at that time; 0: as many as the recording has shown so far."""
    session: str = ""
    """Connection id, as in security events."""
    size: int = 0
    """Of the frame as it came, in bytes."""
    digest: str = ""
    """Keyed, of the frame as it came: whoever has it and the recording's key can say that it was this one."""
    decision: Decision = ""
    """``own``: the answer to a call of the gateway; ``answer``: the gateway has answered in the place of the receiver;
    ``queue``: waits for its turn;
    ``ask``: waits for what control says of a budget of the fleet."""
    revision: str = ""
    """Of the policy that decided, first digits."""
    matches: tuple[Match, ...] = ()
    lost: int = 0
    """So many frames before this one are missing: they came faster than they could be recorded."""


_decode: Final = msgspec.json.Decoder(Recorded).decode
_encode: Final = msgspec.json.Encoder().encode


def line_of(recorded: Recorded) -> bytes:
    """One line of a recording, with its end."""
    return _encode(recorded) + b"\n"


def read_recorded(line: bytes) -> Recorded:
    """One line of a recording. Raises RecordingInvalid."""
    try:
        recorded = _decode(line)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise RecordingInvalid(str(error)) from None
    if not 0 <= recorded.time < _LAST_MOMENT:
        raise RecordingInvalid("time is not in seconds since 1970")
    return recorded
