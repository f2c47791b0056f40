"""What an edge tells control of each frame that it has judged, for the audit log; and what control answers.

Frames of one edge are numbered from one on, in the order in which they were decided. A number that control does not get is
a frame that was lost, which the log says. What is not acknowledged is sent again to the next control process.
"""

import msgspec

from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from gateway.policy.recording import Decision, Match

__all__ = ["FrameNote", "FrameSource", "FramesRecorded", "RelayedFrame", "RelayedFrames"]


class FrameSource(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The session that a frame belongs to."""

    session: str
    charge_point_id: ChargePointId
    version: OCPPVersion


class FrameNote(msgspec.Struct, frozen=True, array_like=True):
    """What was decided about a frame that did not simply go on."""

    decision: Decision
    matches: tuple[Match, ...] = ()
    redact: tuple[str, ...] = ()
    """What matching rules want to have taken out."""


class RelayedFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One frame as it came."""

    number: int
    source: FrameSource
    from_csms: bool
    time: float
    """Seconds since the epoch."""
    data: bytes
    note: FrameNote | None = None
    """None: it went on, and nobody had anything to say about it."""
    answer: bool = False
    """Its effect waits until the record is on the disk."""

    def __repr__(self) -> str:
        return f"RelayedFrame({self.number}, {len(self.data)} bytes, <hidden>)"


class RelayedFrames(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """Frames with rising numbers, all judged under one policy."""

    boot: str
    """One run of the edge: within it a number is given once."""
    revision: str
    """Of the policy, first digits."""
    frames: tuple[RelayedFrame, ...]

    def __repr__(self) -> str:
        return f"RelayedFrames({len(self.frames)} frames, <hidden>)"


class FramesRecorded(msgspec.Struct, frozen=True, array_like=True, tag=70):
    """`number`: all frames up to it are in the log, or told as lost. `answers`: by number, may the effect come now?"""

    boot: str
    number: int
    answers: dict[int, bool] = {}
