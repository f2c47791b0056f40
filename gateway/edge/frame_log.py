"""Hands every frame that live sessions judge to control, for the audit log: as it came, with what was decided.

An edge only gathers, and counts what went on without a word where no more than its number is wanted. What is taken out of
the others, and how much of each is kept, is control's business. What finds no room is missing by its number, and never
delays anything.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway.audit.relayed import Head, head_of, plain_name
from gateway.edge.control_link import ControlLink
from gateway.edge.decisions import decision_of, match_of, reports_of, to_be_redacted
from gateway.edge.events import Counts
from gateway.edge.pump import Leg
from gateway.link.messages import AuditSettings
from gateway.link.relayed import CountedFrames, FrameNote, FrameSource, FramesRecorded, RelayedFrame, RelayedFrames
from gateway.ocpp.frames import Call, CallError, CallResult, Send
from gateway.ocpp.vocabulary import Origin
from gateway.relay.effects import FORWARD, AskFleet, AwaitRecord, Effects, Judging
from gateway.relay.relay import Relay

__all__ = ["UNTOLD", "FrameLog"]

UNTOLD: Final = "ocpp_gateway_audit_frames_untold_total"
"""Counter of frames that control was never told of."""
_TOO_LATE: Final = "ocpp_gateway_audit_commands_too_late_total"
_monotonic: Final = time.monotonic
_MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
_MAX_KEPT_BYTES: Final = 8 * 1024 * 1024
"""Of what was sent and is not acknowledged. What is older is not sent again if control dies now."""
_FRAME_COST_BYTES: Final = 300
_MAX_BATCH_BYTES: Final = 65_536
_MAX_BATCH_FRAMES: Final = 128
_MAX_ASKED_S: Final = 5.0
_TELL_COUNTS_S: Final = 1.0
"""A thousand sessions that have sent a message each are a thousand counts to tell: not ten times a second."""
_REVISION_DIGITS: Final = 12
_MOST_ACTIONS: Final = 200
"""Counted by name in one batch for one session, and remembered as counted or not: a peer may invent more."""
_OTHERS: Final = "others"


class _Asked(msgspec.Struct):
    """A frame that waits for what control says of a budget. No part of its session is kept that it could miss memory for."""

    source: FrameSource
    from_csms: bool
    time: float
    data: bytes
    head: Head
    action: str
    after_ms: int | None
    effects: Effects
    since: float
    """Monotonic seconds."""


class _Hold(msgspec.Struct, frozen=True):
    leg: Leg
    wire: bytes
    timer: asyncio.TimerHandle


class _Counting(msgspec.Struct, gc=False):
    """What was counted of one session since the last batch."""

    source: FrameSource
    since: float
    counts: dict[str, int]
    size: int = 0


class _Batch(msgspec.Struct):
    message: RelayedFrames
    size: int
    is_sent: bool = False


class _Heard(msgspec.Struct, gc=False):
    """One side of a session: what judges it, and the log that hears of it."""

    log: "FrameLog"
    source: FrameSource
    from_csms: bool
    relay: Relay
    judge: Judging

    def judged(self, data: bytes, now: float) -> Effects:
        """What simply goes on is counted, or put away, in one step."""
        effects = self.judge(data, now)
        relay, log = self.relay, self.log
        frame, asked = relay.judged, relay.asked
        if effects is FORWARD and type(frame) is Call:
            name, is_counted = log.names.get(frame.action) or log.learn(frame.action)
            if is_counted:
                log.count(self.source, name, len(data))
            else:
                log.append(self.source, self.from_csms, data, Head("call", frame.message_id, name), name, None)
        elif effects is FORWARD and type(frame) is CallResult and asked is not None and asked.outer:
            name, is_counted = log.names.get(asked.outer) or log.learn(asked.outer)
            if is_counted:
                log.count(self.source, name, len(data))
            else:
                after_ms = round((now - asked.since) * 1000)
                log.append(self.source, self.from_csms, data, Head("result", frame.message_id), name, after_ms)
        else:
            log.put_away(self.source, self.from_csms, relay, data, effects, now)
        relay.judged = relay.asked = None  # they hold the text and the call, which an idle session has no use for
        return effects


class FrameLog:
    """One per worker. `boot`: of this run of the worker; `clock`: seconds since the epoch."""

    def __init__(
        self, link: ControlLink, counts: Counts, revision: Callable[[], str], clock: Callable[[], float], boot: str
    ) -> None:
        self._link = link
        self._counts = counts
        self._revision = revision
        self._clock = clock
        self._boot = boot
        self._number = 0
        self._waiting: deque[RelayedFrame] = deque()
        """In the order in which they were decided. What found no room is missing by its number."""
        self._waiting_bytes = 0
        self._batches: deque[_Batch] = deque()
        """Not acknowledged yet."""
        self._batch_number = 0
        self._kept_bytes = 0
        self._counting: dict[str, _Counting] = {}
        """By session."""
        self._counted_so_far = self._counted_and_told = 0
        self._counts_due = 0.0
        """Monotonic seconds."""
        self.names: dict[str, tuple[str, bool]] = {}
        """Of actions as they were sent that were seen under these levels: the name on record, and whether it is only counted."""
        self._asked: dict[tuple[str, int], _Asked] = {}
        """By session and ticket."""
        self._settings = AuditSettings()
        self._held: dict[tuple[str, int], _Hold] = {}
        """What waits for its record: by session and ticket."""
        self._answered: dict[int, tuple[str, int]] = {}
        """The same, by the number of the frame."""

    def use(self, settings: AuditSettings) -> None:
        """What happens without a record, and what is only counted, from now on."""
        self._settings = settings
        self.names = {}

    # -- listening

    def around(self, leg: Leg, judge: Judging) -> Judging:
        """The same judgement, on record."""
        admission, relay, other = leg.bridge.admission, leg.bridge.relay, getattr(leg.other.judge, "__self__", None)
        source = FrameSource(admission.session, admission.charge_point_id, leg.bridge.version)
        if isinstance(other, _Heard) and other.source == source:
            source = other.source  # one for both sides
        return _Heard(self, source, leg.origin is Origin.CSMS, relay, judge).judged

    # -- for what listens: `_Heard`

    def learn(self, action: str) -> tuple[str, bool]:
        """As what an action is recorded, and whether its messages are only counted."""
        name = plain_name(action)
        known = name, self._settings.levels.is_told_as_number(name)
        if len(self.names) < _MOST_ACTIONS:
            self.names[action] = known
        return known

    def append(
        self, source: FrameSource, from_csms: bool, data: bytes, head: Head, action: str, after_ms: int | None
    ) -> None:
        """Put a frame away that simply went on."""
        self._number = number = self._number + 1
        size = self._waiting_bytes + len(data) + _FRAME_COST_BYTES
        if size > _MAX_WAITING_BYTES:
            self._counts.add(UNTOLD)
            return
        self._waiting_bytes = size
        self._waiting.append(RelayedFrame(number, source, from_csms, self._clock(), data, head, action, after_ms))

    def count(self, source: FrameSource, action: str, size: int) -> None:
        """Count a frame of which no more than its number is wanted."""
        counting = self._counting.get(source.session)
        if counting is None:
            counting = self._counting[source.session] = _Counting(source, self._clock(), {})
        counts = counting.counts
        if action not in counts and len(counts) >= _MOST_ACTIONS:
            action = _OTHERS
        counts[action] = counts.get(action, 0) + 1
        counting.size += size
        self._counted_so_far += 1

    def put_away(
        self, source: FrameSource, from_csms: bool, relay: Relay, data: bytes, effects: Effects, now: float
    ) -> None:
        """Put any frame away, or let it wait for what control says."""
        frame, asked = relay.judged, relay.asked
        action, after_ms = "", None
        if isinstance(frame, Call | Send):
            action = plain_name(frame.action)
        elif isinstance(frame, CallResult | CallError) and asked is not None and asked.outer:
            action, after_ms = plain_name(asked.outer), max(0, round((now - asked.since) * 1000))
        judged = _Asked(source, from_csms, self._clock(), data, head_of(frame), action, after_ms, effects, now)
        ticket = next((each.ticket for each in effects if isinstance(each, AskFleet)), 0)
        if ticket:
            self._asked[source.session, ticket] = judged
        else:
            self._take(judged)

    def _take(self, asked: _Asked) -> None:
        """What was decided is known now."""
        self._number += 1
        size = len(asked.data) + _FRAME_COST_BYTES
        if self._waiting_bytes + size > _MAX_WAITING_BYTES:
            self._counts.add(UNTOLD)
            return
        self._waiting_bytes += size
        effects, last = asked.effects, asked.effects[-1] if asked.effects else None
        if isinstance(last, AwaitRecord):
            effects = (*effects[:-1], *last.then)
            self._answered[self._number] = (asked.source.session, last.ticket)
            asyncio.get_running_loop().call_soon(self._flush_now)
        note = None if effects is FORWARD else _note(effects)
        self._waiting.append(
            RelayedFrame(
                self._number, asked.source, asked.from_csms, asked.time, asked.data, asked.head, asked.action, asked.after_ms,
                note, isinstance(last, AwaitRecord),
            )
        )  # fmt: skip

    def settled(self, leg: Leg, ticket: int, effects: Effects | None) -> None:
        """What has become of a frame that waited for control, None: the session ended before."""
        asked = self._asked.pop((leg.bridge.admission.session, ticket), None)
        if asked is not None:
            if effects is not None:
                before = tuple(effect for effect in asked.effects if not isinstance(effect, AskFleet))
                asked.effects = (*before, *effects)
            self._take(asked)

    # -- what waits for its record

    def hold(self, leg: Leg, ticket: int, wire: bytes) -> None:
        """Nothing of this happens until control has answered, or the time for that is over."""
        key = (leg.bridge.admission.session, ticket)
        timer = asyncio.get_running_loop().call_later(self._settings.timeout_s, self._too_late, key)
        self._held[key] = _Hold(leg, wire, timer)

    def _too_late(self, key: tuple[str, int]) -> None:
        self._counts.add(_TOO_LATE)
        self._release(key, may_go_on=self._settings.goes_on_without)

    def _release(self, key: tuple[str, int], *, may_go_on: bool) -> None:
        held = self._held.pop(key, None)
        if held is None:
            return  # too late
        held.timer.cancel()
        leg = held.leg
        if not leg.lost and not leg.close_sent:
            leg.bridge.perform(leg, leg.bridge.relay.recorded(key[1], _monotonic(), may_go_on=may_go_on), held.wire)

    # -- telling

    def flush(self) -> bool:
        """Hand some of it to control. True if more could be handed over now."""
        if not self._link.connected:
            return False
        for batch in self._batches:
            if not batch.is_sent:
                batch.is_sent = self._link.send(batch.message)
                return batch.is_sent
        counts = self._counting if self._counting and _monotonic() >= self._counts_due else {}
        if not self._waiting and not counts:
            return False
        made = self._next(tuple(counts.values()))
        self._batches.append(made)
        self._kept_bytes += made.size
        made.is_sent = self._link.send(made.message)
        while self._kept_bytes > _MAX_KEPT_BYTES and self._batches[0].is_sent:
            self._kept_bytes -= self._batches.popleft().size
        return made.is_sent

    def _flush_now(self) -> None:
        while self.flush():
            pass

    def flush_all(self, now: float) -> None:
        """Everything that there is: at the end, and before another policy comes into force. `now`: monotonic seconds."""
        self.give_up(now + _MAX_ASKED_S)
        self._counts_due = 0.0
        self._flush_now()

    def give_up(self, now: float) -> None:
        """Sessions that ended while they waited for control: nobody says any more what has become of their frames."""
        for key, asked in list(self._asked.items()):
            if now - asked.since >= _MAX_ASKED_S:
                del self._asked[key]
                self._take(asked)

    def _next(self, counts: Sequence[_Counting]) -> _Batch:
        """A batch of what waits. `counts`: all that was counted, or nothing of it."""
        frames: list[RelayedFrame] = []
        size, waiting = 0, self._waiting
        while waiting and size < _MAX_BATCH_BYTES and len(frames) < _MAX_BATCH_FRAMES:
            frame = waiting.popleft()
            size += len(frame.data) + _FRAME_COST_BYTES
            frames.append(frame)
        self._waiting_bytes -= size
        self._batch_number += 1
        counted = tuple(CountedFrames(each.source, each.since, each.counts, each.size) for each in counts)
        if counted:
            self._counting, self._counted_and_told = {}, self._counted_so_far
            self._counts_due = _monotonic() + _TELL_COUNTS_S
        revision = self._revision()[:_REVISION_DIGITS]
        message = RelayedFrames(
            self._boot, self._batch_number, revision, tuple(frames), counted, self._counted_and_told
        )
        return _Batch(message, size + len(counted) * _FRAME_COST_BYTES)

    def again(self) -> None:
        """Another control process is there: it gets what the one before has not acknowledged."""
        for batch in self._batches:
            batch.is_sent = False

    def told(self, answer: FramesRecorded) -> None:
        """Control has these frames in the log."""
        if answer.boot != self._boot:
            return
        for number, may_go_on in answer.answers.items():
            key = self._answered.pop(number, None)
            if key is not None:
                self._release(key, may_go_on=may_go_on)
        while self._batches and self._batches[0].message.batch <= answer.batch:
            acknowledged = self._batches.popleft()
            self._kept_bytes -= acknowledged.size
            # Answers come before what is behind them is acknowledged: what is left here was too late.
            for frame in acknowledged.message.frames:
                self._answered.pop(frame.number, None)


def _note(effects: Effects) -> FrameNote | None:
    """None where it goes on and nobody had anything to say."""
    reports, decision = reports_of(effects), decision_of(effects)
    if decision == "forward" and not reports:
        return None
    return FrameNote(decision, tuple(map(match_of, reports)), tuple(sorted(to_be_redacted(reports))))
