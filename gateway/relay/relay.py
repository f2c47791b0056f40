"""One connection pair: decode strictly, correlate, decide what happens. Sits between the two legs and sees every frame.

Gates and rules are `gateway.relay.judge`; a relay without a judge only decodes and correlates.
"""

from typing import Final

import msgspec

from gateway.identity.evidence import Admission, is_limited
from gateway.ocpp.build import UNREADABLE_ID, build_call, build_call_error, build_call_result_error
from gateway.ocpp.codec import MalformedFrame, Payload, decode_message
from gateway.ocpp.frames import Call, CallError, CallResult, CallResultError, Frame, Send
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.ocpp.wrapped import InnerCall, as_signed, unsigned
from gateway.policy.firmware_image import ImageVerdict
from gateway.relay.billing import TRANSACTION_ACTIONS
from gateway.relay.effects import (
    FORWARD,
    NOTHING,
    Answered,
    AskFleet,
    AwaitRecord,
    CloseBoth,
    Deliver,
    Effects,
    Forward,
    Judging,
    NoteRegistered,
    PauseReading,
    Reply,
    ReportEvent,
    goes_on,
)
from gateway.relay.errors import REUSED, UNSOLICITED, answer_to_malformed, cleaned, instead_of_answer, taken, too_many
from gateway.relay.flood import flooded
from gateway.relay.held import AFTERWARDS, MAX_HELD, Held, Unrecorded, instead_of, waits_for_its_record
from gateway.relay.images import image_checked, image_question, without_forward
from gateway.relay.interception import CertificateDuty, Interception
from gateway.relay.judge import Judge, Ruling
from gateway.relay.lanes import Entry, Lane
from gateway.relay.limits import RelayLimits
from gateway.relay.open_calls import AMBIGUOUS, OpenCall, opened
from gateway.relay.own_call import why_not_idle, why_not_sent
from gateway.relay.passwords import PasswordWatch
from gateway.relay.registration import is_accepted, judge_boot_notification
from gateway.relay.replays import Replays, digest_of, replayed
from gateway.relay.settings import SETTING_ACTIONS, setting_answered
from gateway.relay.turns import next_calls, refuse_overdue

__all__ = ["Relay", "RelayLimits"]

_BOOT: Final = "BootNotification"
_BOOTS: Final = frozenset({_BOOT, as_signed(_BOOT)})
_EARNEST: Final = TRANSACTION_ACTIONS | _BOOTS
"""Calls of a charge point that are looked at before any rule."""
_BYTES_PER_TOKEN: Final = 4_096
"""A longer message counts as several: what it costs grows with its size."""
_MALFORMED_PER_MINUTE: Final = 20
_REMEMBERED_RESULTS: Final = 4
_CALL_RESULT: Final = 3
_CALL_ERROR: Final = 4


class Relay:
    """State of one session. Built only from an Admission; all times are monotonic seconds from the caller.

    `wall_offset_s`: added, it makes them wall-clock time. `judged`: the last message or None; `asked`: what it answers.
    """

    __slots__ = (
        "_admission", "_boot", "_charge_point", "_csms", "_held", "_interception", "_judge", "_limits", "_passwords",
        "_registered", "_renewal_only", "_replays", "_throttled_since", "_tickets", "_tokens", "_tokens_at", "_version",
        "_wall_offset_s", "asked", "judged",
    )  # fmt: skip

    def __init__(
        self,
        admission: Admission,
        version: OCPPVersion,
        limits: RelayLimits,
        judge: Judge | None = None,
        wall_offset_s: float = 0.0,
        duty: CertificateDuty | None = None,
    ) -> None:
        """`duty`: where the gateway gives this charge point its certificates."""
        self.judged: Frame | None = None
        self.asked: OpenCall | None = None
        self._admission = admission
        self._version = version
        self._limits = limits
        self._charge_point = Lane()
        self._csms = Lane()
        self._boot: NoteRegistered | None = None
        self._registered = False
        self._renewal_only = is_limited(admission.proof)
        self._interception: Interception | None = None
        if self._renewal_only or duty is not None:
            self._interception = Interception(version, duty, renewal_only=self._renewal_only)
        self._replays: Replays | None = None
        self._passwords: PasswordWatch | None = None
        self._tokens: float = limits.messages_burst
        self._tokens_at = 0.0
        self._throttled_since = 0.0
        self._judge = judge
        self._wall_offset_s = wall_offset_s
        self._held: dict[int, Held | Unrecorded] | None = None
        self._tickets = 0

    @property
    def boot(self) -> NoteRegistered | None:
        """What the charge point has claimed to be in its last BootNotification on this connection."""
        return self._boot

    @property
    def registered(self) -> bool:
        """True once the CSMS has accepted this charge point (NoteRegistered was among the effects)."""
        return self._registered

    # -- frames

    def judging(self, origin: Origin) -> Judging:
        """What judges the messages of this side."""
        return self.from_charge_point if origin is Origin.CHARGE_POINT else self.from_csms

    def from_charge_point(self, data: bytes, now: float) -> Effects:
        """Judge one text message of the charge point."""
        try:
            frame, payload = decode_message(data, self._version)
        except MalformedFrame as malformed:
            return self._and_next(self._malformed(malformed, self._charge_point, now), self._csms, now)
        self.judged = frame
        if type(frame) is Call:
            effects = self._call(frame, payload, self._charge_point, Origin.CHARGE_POINT, data, now)
        else:
            effects = self._answer(frame, payload, self._csms, Origin.CHARGE_POINT, data, now)
            if self._csms.waiting is not None:
                effects = self._and_next(effects, self._csms, now)
        tokens = self._tokens + (now - self._tokens_at) * self._limits.messages_per_s
        burst = self._limits.messages_burst
        cost = 1.0 if len(data) <= _BYTES_PER_TOKEN else len(data) / _BYTES_PER_TOKEN
        self._tokens = tokens = min(burst, tokens) - cost
        self._tokens_at = now
        if tokens >= 0.0:
            # The episode is over once half the burst has come back, not at the first spare token.
            if self._throttled_since and tokens > burst / 2:
                self._throttled_since = 0.0
            return effects
        return self._throttle(frame, effects, now)

    def from_csms(self, data: bytes, now: float) -> Effects:
        """Judge one text message of the CSMS."""
        try:
            frame, payload = decode_message(data, self._version)
        except MalformedFrame as malformed:
            return self._and_next(self._malformed(malformed, self._csms, now), self._charge_point, now)
        self.judged = frame
        if type(frame) is Call:
            return self._call(frame, payload, self._csms, Origin.CSMS, data, now)
        effects = self._answer(frame, payload, self._charge_point, Origin.CSMS, data, now)
        if self._charge_point.waiting is None:
            return effects
        return self._and_next(effects, self._charge_point, now)

    # -- calls

    def ask(self, message_id: str, action: str, payload: Payload, now: float, *, is_old: bool | None = None) -> Effects:
        """A call of the gateway's own to the charge point, in turn with those of the CSMS, which never hears of it.

        `message_id`: nobody else can guess it. `is_old`: not None where it is sent now and while no transaction runs, or not at
        all (`why_not_idle`). Effects are for the leg of the CSMS; what becomes of it is an `Answered` among later ones.
        """
        why = why_not_sent(self._csms, action, payload, renewal_only=self._renewal_only)
        if is_old is not None and not why:
            why = why_not_idle(self._judge, self._charge_point, self._csms, is_old=is_old)
        if why:
            return (Answered(message_id, error=why, is_sent=False),)
        text, call = build_call(message_id, action, payload), Call(message_id, action, msgspec.Raw(b"{}"))
        record = OpenCall(action, action, payload, self._version, now, own=True)
        entry = self._csms.enter(call, record, text, self._limits.calls, now)
        return (Deliver(text),) if entry is Entry.SENT else NOTHING

    def withdraw(self, message_id: str) -> bool:
        """A call of the gateway's own that still waits its turn is not sent any more. False if it is on its way."""
        return self._csms.withdraw(message_id)

    def _call(self, call: Call, payload: Payload, lane: Lane, origin: Origin, data: bytes, now: float) -> Effects:
        is_empty = not lane.pending and lane.waiting is None
        if not is_empty and not lane.has_room(call.message_id, len(data), self._limits.calls, now):
            keeps = origin is Origin.CHARGE_POINT and call.action in TRANSACTION_ACTIONS
            return too_many(self._version, call, keeps=keeps)
        boot: Effects = FORWARD
        if origin is Origin.CHARGE_POINT and call.action in _EARNEST:
            if self._replays is not None and self._replays.knows(call):
                return replayed(self._version, call)
            if call.action in _BOOTS:
                expected = self._admission.expected_serial_number
                self._boot, boot = judge_boot_notification(self._version, call.action, payload, expected)
        if self._interception is not None and goes_on(boot):
            instead = self._interception.instead_of(call, payload, origin, now, now + self._wall_offset_s)
            if instead is not None:
                return (*boot[:-1], *instead)
        inner: InnerCall | None = None
        effects = boot
        if self._judge is not None and (boot is FORWARD or goes_on(boot)):
            ruling = self._judge.call(call, payload, origin, data, now + self._wall_offset_s)
            effects, inner = ruling.effects, ruling.inner
            if ruling.asks and goes_on(effects):
                effects = self._hold(call, payload, origin, ruling, data, now)
            if boot is not FORWARD:
                effects = (*boot[:-1], *effects)
        if effects is FORWARD or goes_on(effects):
            return self._go_on(call, opened(call, payload, inner, self._version, now), lane, effects, data, now)
        is_asking = bool(effects) and type(effects[-1]) is AskFleet
        return effects if is_asking else self._go_on(call, None, lane, effects, data, now)

    def _go_on(
        self, call: Call, record: OpenCall | None, lane: Lane, effects: Effects, data: bytes, now: float
    ) -> Effects:
        """What was decided about a call, or that the log must have it first. `record`: None for one that is refused."""
        first = self._limits.recorded_first
        if first and lane is self._csms and waits_for_its_record(first, call, record, self._held):
            if self._held is not None and len(self._held) >= MAX_HELD:
                return too_many(self._version, call, keeps=False)
            return (AwaitRecord(self._ticket(Unrecorded(call, record, effects, data)), effects),)
        return effects if record is None else self._enter(call, record, lane, effects, data, now)

    def recorded(self, ticket: int, now: float, *, may_go_on: bool) -> Effects:
        """The log has what an AwaitRecord was about; or `may_go_on` is false, and the command does not happen."""
        held = self._held.pop(ticket, None) if self._held is not None else None
        if type(held) is not Unrecorded:
            return NOTHING
        if held.record is None or not may_go_on:
            return instead_of(self._version, held)
        held.record.since = now
        return self._enter(held.call, held.record, self._csms, held.effects, held.text, now)

    def password_noted(self, ticket: int, now: float, *, stored: bool) -> Effects:
        """Control has the password of a LearnPassword, or will not have it: then the CSMS hears that it was rejected."""
        held = self._passwords.take(ticket) if self._passwords is not None else None
        if held is None:
            return NOTHING
        if not stored:
            return held.refused(self._version)
        return self._enter(held.call, held.record, self._csms, held.effects, held.data, now, learnt=True)

    def _enter(
        self,
        call: Call,
        record: OpenCall,
        lane: Lane,
        effects: Effects,
        data: bytes,
        now: float,
        *,
        learnt: bool = False,
    ) -> Effects:
        """The same effects if the call goes on now; if it has to wait, all but its forwarding."""
        if lane is self._csms and not learnt and record.action in SETTING_ACTIONS:
            self._passwords = self._passwords or PasswordWatch()
            if (held := self._passwords.hold(self._version, call, record, effects, data)) is not None:
                return held
        if lane is self._charge_point and call.action in TRANSACTION_ACTIONS:
            record.digest = digest_of(call)
        question = image_question(self._judge, record, self._tickets + 1) if lane is self._csms else None
        ticket = question.ticket if question is not None else 0
        entry = lane.enter(call, record, data, self._limits.calls, now, ticket=ticket)
        if entry is Entry.TAKEN:
            return taken(self._version, call)
        if question is not None:
            self._tickets += 1
            effects = (*effects, question)
        if entry is Entry.SENT:
            return effects
        return (REUSED, *effects) if entry is Entry.REUSED else without_forward(effects)

    def image_checked(self, ticket: int, verdict: ImageVerdict, now: float) -> Effects:
        """What was found out about the image of a CheckImage: the update goes on in its turn, or the CSMS hears a no."""
        said = image_checked(self._version, self._csms, ticket, verdict)
        return (*said, *self._next(self._csms, now, at_sender=True)) if said else said

    def _and_next(self, effects: Effects, asker: Lane, now: float) -> Effects:
        """The effects of an answer, and of the place that it may have made for the next call of the asker."""
        if asker.waiting is None or not (following := self._next(asker, now, at_sender=False)):
            return effects
        return (*effects, *following)

    def _next(self, lane: Lane, now: float, *, at_sender: bool) -> Effects:
        """What to send now that something has changed. `at_sender`: the effects are performed on the sender's leg."""
        to_receiver, to_sender = (Deliver, Reply) if at_sender else (Reply, Deliver)
        limits = self._limits.calls
        late = refuse_overdue(self._version, lane, limits, now, to_sender) if lane is self._csms else ()
        return (*late, *next_calls(lane, limits, now, to_receiver))

    @property
    def has_waiting(self) -> bool:
        """True if calls wait their turn: call `tick` now and then."""
        return self._csms.waiting is not None or self._charge_point.waiting is not None

    @property
    def is_full_for_charge_point(self) -> bool:
        """True if so many calls of the CSMS wait that others had to be refused."""
        return self._csms.is_full

    def tick(self, now: float) -> list[tuple[Origin, Effects]]:
        """Time has passed: effects, and whose leg they are to be performed on."""
        found = []
        for origin, lane in ((Origin.CHARGE_POINT, self._charge_point), (Origin.CSMS, self._csms)):
            if lane.waiting is not None and (effects := self._next(lane, now, at_sender=True)):
                found.append((origin, effects))
        return found

    def _hold(
        self, call: Call | Send, payload: Payload, origin: Origin, ruling: Ruling, data: bytes, now: float
    ) -> Effects:
        """Let the call wait for control. A session that has too many waiting is refused as if budgets were used up."""
        held = Held(call, payload, origin, ruling, data)
        if self._held is not None and len(self._held) >= MAX_HELD:
            return self._settled(held, {}, now)
        return (AskFleet(self._ticket(held), ruling.asks),)

    def _ticket(self, held: Held | Unrecorded) -> int:
        if self._held is None:
            self._held = {}
        self._tickets += 1
        self._held[self._tickets] = held
        return self._tickets

    def answered(self, ticket: int, answers: dict[str, bool], now: float) -> Effects:
        """What control says of an AskFleet; an empty answer is what comes when control is away."""
        held = self._held.pop(ticket, None) if self._held is not None else None
        if type(held) is not Held:
            return NOTHING
        effects, call = self._settled(held, answers, now), held.frame
        if type(call) is Send:
            return effects
        if type(call) is not Call:
            said = held.ruling.effects
            return tuple(effect for effect in effects if type(effect) in AFTERWARDS and effect not in said)
        lane = self._charge_point if held.origin is Origin.CHARGE_POINT else self._csms
        record = opened(call, held.payload, held.ruling.inner, self._version, now) if goes_on(effects) else None
        return self._go_on(call, record, lane, effects, held.text, now)

    def _settled(self, held: Held, answers: dict[str, bool], now: float) -> Effects:
        assert self._judge is not None
        return self._judge.settled(held.ruling, held.frame, answers, now + self._wall_offset_s)

    # -- answers

    def _answer(self, frame: Frame, payload: Payload, asker: Lane, origin: Origin, data: bytes, now: float) -> Effects:
        """Anything that is not a Call: passes only if `asker` has that call open."""
        if type(frame) is CallResult:
            asked = self._take(asker, frame.message_id, now)
            if asked is None:
                return UNSOLICITED
            if asked.own:
                return (Answered(frame.message_id, payload),)
            effects = self._judge_answer(frame, payload, asked, origin, len(data), now)
            if effects is FORWARD:
                effects = self._accepted_answer(frame, payload, asker, asked)
            elif goes_on(effects):
                effects = (*effects[:-1], *self._accepted_answer(frame, payload, asker, asked))
            if asker is self._csms and asked.action in SETTING_ACTIONS and (said := setting_answered(asked, payload)):
                return (*effects, *said)
            return effects
        if type(frame) is CallError:
            return self._call_error(frame, payload, asker, origin, len(data), now)
        if type(frame) is Send:
            return self._send(frame, payload, origin, data, now)
        assert type(frame) is CallResultError
        return self._call_result_error(frame, self._charge_point if asker is self._csms else self._csms)

    def _send(self, send: Send, payload: Payload, origin: Origin, data: bytes, now: float) -> Effects:
        """A SEND opens nothing and never waits its turn; for what control says of a budget it does."""
        if self._renewal_only:
            return (ReportEvent("state.renewal_only", "medium", "drop", send.action),)
        if self._judge is None:
            return FORWARD
        ruling = self._judge.call(send, payload, origin, data, now + self._wall_offset_s)
        if ruling.asks and goes_on(ruling.effects):
            return self._hold(send, payload, origin, ruling, data, now)
        return ruling.effects

    def _judge_answer(
        self, frame: CallResult | CallError, payload: Payload, asked: OpenCall, origin: Origin, size: int, now: float
    ) -> Effects:
        if self._judge is None:
            return FORWARD
        wall = now + self._wall_offset_s
        if asked.other is not None:
            # It may be the answer to either call of this id: what may not pass as one of them does not pass.
            effects = self._judge.result(
                frame, payload, asked.other, origin, size, wall, now - asked.other.since
            ).effects
            if not goes_on(effects):
                return effects
        ruling = self._judge.result(frame, payload, asked, origin, size, wall, now - asked.since)
        if not ruling.asks or not goes_on(ruling.effects):
            return ruling.effects
        if self._held is not None and len(self._held) >= MAX_HELD:
            return ruling.effects
        # An answer is not kept waiting: what control says of a budget is reported, and holds for what comes later.
        ticket = self._ticket(Held(frame, payload, origin, ruling))
        return (*ruling.effects[:-1], AskFleet(ticket, ruling.asks), Forward())

    def _accepted_answer(self, frame: CallResult, payload: Payload, asker: Lane, asked: OpenCall) -> Effects:
        """A result that passes: what it says of the registration, and what may refer to it later."""
        if self._version is OCPPVersion.V2_1:
            asker.answered = (*asker.answered[1 - _REMEMBERED_RESULTS :], frame.message_id)
        if asker is self._charge_point and asked.outer != AMBIGUOUS and (not self._registered or asked.outer in _BOOTS):
            return self._registration(payload, unsigned(asked.outer))
        return FORWARD

    def _take(self, asker: Lane, message_id: str, now: float) -> OpenCall | None:
        """The call that is answered and hereby no longer open; None if there is none, or not any more."""
        self.asked = asked = asker.take(message_id, self._limits.calls, now)
        if asked is not None and asked.digest:
            self._replays = self._replays or Replays()
            self._replays.answered(asked.digest)
        return asked

    def _registration(self, payload: Payload, action: str) -> Effects:
        """A result of the CSMS that may say that it has accepted the charge point."""
        # After a mere reconnect a 1.6 charge point need not send BootNotification (OCPP 1.6, 4.2). One that the CSMS was
        # still holding back when it was last seen proves nothing by being answered.
        held_back = self._judge is not None and self._judge.boot_state in {"pending", "rejected"}
        without_boot = self._version is OCPPVersion.V1_6 and self._boot is None and not held_back
        if self._renewal_only:
            return FORWARD
        if not (is_accepted(payload) if action == _BOOT else without_boot and not self._registered):
            return FORWARD
        self._registered = True
        boot = self._boot or NoteRegistered()
        if self._judge is not None and boot.model:
            self._judge.identify(vendor=boot.vendor, model=boot.model, firmware=boot.firmware)
        return (Forward(), boot)

    def _call_error(
        self, error: CallError, payload: Payload, asker: Lane, origin: Origin, size: int, now: float
    ) -> Effects:
        asked = self._take(asker, error.message_id, now)
        if asked is None:
            if error.message_id == UNREADABLE_ID and self._version.is_2x:
                # It says that some message could not be read. Nobody can be told which.
                return (ReportEvent("rpc.unsolicited_result", "low", "drop", "the peer could not read a message"),)
            return UNSOLICITED
        if asked.own:
            return (Answered(error.message_id, payload, error.code, error.description),)
        judged = self._judge_answer(error, payload, asked, origin, size, now)
        clean = cleaned(self._version, error, build_call_error)
        if judged is FORWARD:
            return clean
        return (*judged[:-1], *clean) if goes_on(judged) else judged

    def _call_result_error(self, error: CallResultError, sender: Lane) -> Effects:
        """Part 4, 4.2.5: it refers to a result, so whoever sends it is the one who had asked."""
        if error.message_id not in sender.answered:
            return UNSOLICITED
        sender.answered = tuple(each for each in sender.answered if each != error.message_id)
        return cleaned(self._version, error, build_call_result_error)

    # -- what does not pass

    def _malformed(self, malformed: MalformedFrame, lane: Lane, now: float) -> Effects:
        """Answer where the standard has an answer (requirements 1.7), and give up on a peer that goes on like this."""
        if now - lane.malformed_since > 60.0:  # noqa: PLR2004  a minute
            lane.malformed, lane.malformed_since = 0, now
        lane.malformed += 1
        self.judged = None
        instead = self._instead_of(malformed, lane, now)
        answer = b"" if instead else answer_to_malformed(self._version, malformed)
        report = ReportEvent(malformed.event, "medium", "callerror" if answer else "drop", malformed.detail)
        effects: Effects = (report, Reply(answer)) if answer else (report, *instead)
        if lane.malformed > _MALFORMED_PER_MINUTE:
            return (*effects, CloseBoth(1008, "malformed messages"))
        return effects

    def _instead_of(self, malformed: MalformedFrame, sender: Lane, now: float) -> Effects:
        """An answer that cannot be passed on: whoever waits for it hears so, and in 2.1 its sender too (FR.06)."""
        message_id, kind = malformed.message_id, malformed.message_type
        asker = self._csms if sender is self._charge_point else self._charge_point
        if message_id is None or kind not in {_CALL_RESULT, _CALL_ERROR}:
            return NOTHING
        asked = self._take(asker, message_id, now)
        if asked is None:
            return NOTHING
        if asked.own:
            return (Answered(message_id, error="malformed answer"),)
        return instead_of_answer(self._version, malformed, message_id)

    def _throttle(self, frame: Frame, effects: Effects, now: float) -> Effects:
        """Above the rate: backpressure first, and the end only if it goes on (WS-19)."""
        pause = PauseReading(-self._tokens / self._limits.messages_per_s)
        if not self._throttled_since:
            self._throttled_since = now
            return (*effects, ReportEvent("rpc.flood", "high", "rate_limit", "reading slowed down"), pause)
        if now - self._throttled_since <= self._limits.flood_grace_s:
            return (*effects, pause)
        return flooded(self._version, frame, effects, self._charge_point)
