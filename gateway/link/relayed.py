"""What an edge tells control of each frame that it has judged, for the audit log; and what control answers.

Frames of one edge are numbered from one on, in the order in which they were decided. A number that control does not get is
a frame that was lost, which the log says. Those of which only a number is wanted are counted at the edge, per session, and
have a sum of their own that must come out. What is not acknowledged is sent again to the next control process.
"""

import msgspec

from gateway.audit.relayed import Head
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from gateway.policy.recording import Decision, Match

__all__ = ["CountedFrames", "FrameNote", "FrameSource", "FramesRecorded", "RelayedFrame", "RelayedFrames"]


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
    """One frame as it came, and what the edge has read of it."""

    number: int
    source: FrameSource
    from_csms: bool
    time: float
    """Seconds since the epoch."""
    data: bytes
    head: Head
    action: str = ""
    """Of a call or SEND its own, of an answer that of its call; empty where that is not known."""
    after_ms: int | None = None
    """Of an answer: since its call went on."""
    note: FrameNote | None = None
    """None: it went on, and nobody had anything to say about it."""
    answer: bool = False
    """Its effect waits until the record is on the disk."""

    def __repr__(self) -> str:
        return f"RelayedFrame({self.number}, {len(self.data)} bytes, <hidden>)"


class CountedFrames(msgspec.Struct, frozen=True, array_like=True):
    """Frames of one session that went on without a word and of which no more is wanted."""

    source: FrameSource
    since: float
    """When the first of them was judged; seconds since the epoch."""
    counts: dict[str, int]
    """By action; answers count with their calls."""
    size: int
    """Bytes of all of them."""


class RelayedFrames(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """Frames with rising numbers, all judged under one policy, and those that were only counted since the batch before."""

    boot: str
    """One run of the edge: within it a number is given once."""
    batch: int
    """Counts up by one."""
    revision: str
    """Of the policy, first digits."""
    frames: tuple[RelayedFrame, ...]
    counted: tuple[CountedFrames, ...] = ()
    counted_so_far: int = 0
    """Frames that this run of the edge has only counted, those of this batch included."""

    def __repr__(self) -> str:
        return f"RelayedFrames({len(self.frames)} frames, <hidden>)"


class FramesRecorded(msgspec.Struct, frozen=True, array_like=True, tag=70):
    """What became of frames.

    `batch`: all up to it are in the log, counted, or told as lost; 0 says nothing. `answers`: by the number of a frame, may
    its effect come now?
    """

    boot: str
    batch: int
    answers: dict[int, bool] = {}
