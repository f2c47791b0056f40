"""The gates and rules between decoding and correlation: may this call, answer or SEND pass? Pure.

1. Direction: the action exists in this version and its sender may send it. A `-Signed` or tunnelled call is its inner one.
2. State: what may be said while the CSMS has not accepted the charge point.
3. Sizes: bytes of the frame and entries of its longest list, by action.
4. Schema of the version, on the inner payload.
5. Rules of the snapshot in force when the message came.

A gate in monitor mode reports what it would have refused. Answers of the gateway carry a fixed text: nothing of the input.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.ocpp.actions import lookup
from gateway.ocpp.build import build_call_error
from gateway.ocpp.codec import Payload
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.frames import Call, CallError, CallResult, Send
from gateway.ocpp.schema_gate import Kind, SchemaGate
from gateway.ocpp.size_limits import longest_list
from gateway.ocpp.vocabulary import BootState, OCPPVersion, Origin
from gateway.ocpp.wrapped import InnerCall, Unreadable, inner_call, inner_result
from gateway.policy.engine import PolicyState, decide, settle
from gateway.policy.responses import REFUSED, answer_to
from gateway.policy.rules import Effect as RuleEffect
from gateway.policy.rules import Phase
from gateway.policy.session import Message, Request, SessionFacts
from gateway.policy.site import GateMode, Gates
from gateway.policy.snapshot import Cohort, CompiledRule, Snapshot, View
from gateway.policy.transactions import Transactions
from gateway.policy.verdict import FleetAsk, Verdict
from gateway.relay.effects import (
    FORWARD,
    CloseBoth,
    Deliver,
    Effects,
    Forward,
    NoteBootState,
    Reply,
    ReportEvent,
)
from gateway.relay.open_calls import AMBIGUOUS, OpenCall
from gateway.relay.plans import Plan, Plans
from gateway.relay.reports import PHRASES, WRAPPER_DENIED, of_revision, report_of, suspicious, would

__all__ = ["Judge", "PolicyInForce", "Ruling"]

_BOOT: Final = "BootNotification"
_WHILE_PENDING_FROM_CSMS_NOT: Final = frozenset(
    {"RemoteStartTransaction", "RemoteStopTransaction", "RequestStartTransaction", "RequestStopTransaction"}
)
"""B02.FR.05: no transactions are started or stopped while Pending."""
_BOOT_STATES: Final[dict[object, BootState]] = {"Accepted": "accepted", "Pending": "pending", "Rejected": "rejected"}
_RESTRICTED: Final = frozenset({"pending", "rejected"})
_POLICY_CLOSE: Final = 1008
_MAX_PLANS: Final = 10_000
_PROBING_ACTIONS: Final = 20
_PROBING_WINDOW_S: Final = 60.0


class PolicyInForce:
    """What a worker judges by. One attribute swap puts a new snapshot in force; a message uses the one it began with."""

    __slots__ = ("_plans", "schema_gates", "snapshot", "state")

    def __init__(self, snapshot: Snapshot, schema_gates: Callable[[OCPPVersion], SchemaGate]) -> None:
        self.snapshot = snapshot
        self.schema_gates = schema_gates
        self.state = PolicyState()
        self._plans: dict[tuple[Cohort, str], Plans] = {}

    def use(self, snapshot: Snapshot) -> None:
        """Put another snapshot in force. Sessions find out at their next message."""
        self.snapshot, self._plans = snapshot, {}

    def plans(self, view: View) -> Plans:
        """What has been worked out for sessions like this one in the state in which it is."""
        session = view.session
        key = (view.cohort, session.boot_state)
        found = self._plans.get(key)
        if found is None:
            found = Plans(view, session.version, self.schema_gates(session.version))
            if len(self._plans) < _MAX_PLANS and view.snapshot is self.snapshot:
                self._plans[key] = found
        return found


class Ruling(msgspec.Struct, frozen=True):
    """`effects` if nothing has to be asked; else they are what happens once control has said that budgets were kept."""

    effects: Effects
    asks: tuple[FleetAsk, ...] = ()
    verdict: Verdict | None = None
    message: Message | None = None
    """What is judged, where it is a call that has to wait."""
    inner: InnerCall | None = None
    """The call inside, where this one is signed or tunnelled and may go on."""
    revision: str = ""
    """Of the snapshot whose rules were asked."""


_PASS: Final = Ruling(FORWARD)


class Judge:
    """Gates and rules of one session."""

    __slots__ = (
        "_gates", "_plans", "_policy", "_probed", "_probed_since", "_session", "_transactions", "_version", "_view",
        "boot_state",
    )  # fmt: skip

    def __init__(self, policy: PolicyInForce, session: SessionFacts, *, boot_state: str = "unknown") -> None:
        self._policy = policy
        self._session = session
        self._version = session.version
        self._transactions = Transactions(policy.state.set_points, session.identity, policy.state.boot_times)
        self._probed: set[str] | None = None
        self._probed_since = 0.0
        self.boot_state = boot_state
        """unknown (nothing observed: nothing may be concluded), pending, rejected or accepted."""
        self._view = View(policy.snapshot, session)
        self._gates = policy.snapshot.site.gates(session.group)
        self._plans = policy.plans(self._view)

    @property
    def transactions(self) -> Transactions:
        """What the charge point has going on."""
        return self._transactions

    @property
    def revision(self) -> str:
        """Of the snapshot in force."""
        return self._policy.snapshot.revision

    def identify(self, *, vendor: str, model: str, firmware: str) -> None:
        """BootNotification was accepted: rules that name models apply from now on."""
        session = self._session
        if (session.vendor, session.model, session.firmware) != (vendor, model, firmware):
            session.vendor, session.model, session.firmware = vendor, model, firmware
            self._view.forget()
            self._plans = self._policy.plans(self._view)

    def _renew(self) -> None:
        """Another snapshot has come into force."""
        snapshot = self._policy.snapshot
        self._view = View(snapshot, self._session)
        self._gates = snapshot.site.gates(self._session.group)
        self._plans = self._policy.plans(self._view)

    # -- calls and SENDs

    def call(self, frame: Call | Send, payload: Payload, origin: Origin, data: bytes, now: float) -> Ruling:
        """Judge a Call or SEND that was decoded from `data`. `now`: seconds since the epoch."""
        if self._view.snapshot is not self._policy.snapshot:
            self._renew()
        if type(frame) is not Call or self._policy.state.is_restless:
            return self._call_step_by_step(frame, payload, origin, data, now)
        plans, action = self._plans, frame.action
        plan = (plans.calls_of_charge_point if origin is Origin.CHARGE_POINT else plans.calls_of_csms).get(action)
        if plan is None:
            plans.add_call(self._view, action, origin)
            return self._call_step_by_step(frame, payload, origin, data, now)
        if len(data) > plan.harmless_bytes or (plan.fits is not None and not plan.fits(payload)):
            return self._call_step_by_step(frame, payload, origin, data, now)
        rules = plan.candidates(data, self._transactions)
        if rules:
            return self._by_rules(frame, origin, None, payload, len(data), now, (), rules)
        if plan.is_learnt_from:
            self._seen(self._version, action, payload)
        return _PASS

    def _seen(self, version: OCPPVersion, action: str, payload: Payload) -> None:
        """A call goes on."""
        reads_power = self._view.snapshot.reads_power
        self._transactions.seen(version, action, payload, keep_readings=reads_power)

    def _call_step_by_step(
        self, frame: Call | Send, payload: Payload, origin: Origin, data: bytes, now: float
    ) -> Ruling:
        """Gate by gate, for whatever is not plain."""
        gates = self._gates
        try:
            inner = inner_call(self._version, frame.action, payload)
        except Unreadable:
            event = ReportEvent("policy.unreadable_wrapper", "high", "callerror", "the inner call cannot be read")
            return self._refused(frame, event, ErrorMeaning.SECURITY, (WRAPPER_DENIED,))
        action = inner.action if inner is not None else frame.action
        refusal = self._direction(frame, action, origin, inner) or self._state(action, origin)
        mode: GateMode = "enforce"
        if refusal is not None:
            event, meaning, mode = refusal
            if mode == "enforce":
                return self._refused(frame, event, meaning, self._probing(event, frame.action, now))
        reports: Effects = () if refusal is None else (would(refusal[0]),)
        judged = inner.payload if inner is not None else payload
        version = inner.version if inner is not None else self._version
        oversize = self._oversize(version, action, "call", judged, len(data))
        if oversize is not None and gates.sizes == "enforce":
            return self._refused(frame, oversize, ErrorMeaning.OCCURRENCE_CONSTRAINT, reports)
        reports += () if oversize is None else (would(oversize),)
        violation = self._schema(action, "call", judged, version)
        if violation is not None:
            event, meaning = violation
            reports += suspicious(judged)
            if gates.schema == "enforce" and inner is not None:
                # The outer message is as it should be; what hides in it is not what it says it is.
                return self._refused(frame, event, ErrorMeaning.SECURITY, (WRAPPER_DENIED, *reports))
            if gates.schema == "enforce":
                return self._refused(frame, event, meaning, reports)
            reports += (would(event),)
        return self._by_rules(frame, origin, inner, judged, len(data), now, reports)

    def _by_rules(
        self,
        frame: Call | Send,
        origin: Origin,
        inner: InnerCall | None,
        payload: Payload,
        size: int,
        now: float,
        reports: Effects,
        rules: tuple[CompiledRule, ...] | None = None,
    ) -> Ruling:
        """A call or SEND that no gate has anything against. `rules`: those that may hold, where that is known."""
        action = inner.action if inner is not None else frame.action
        phase = Phase.SEND if isinstance(frame, Send) else Phase.CALL
        version = inner.version if inner is not None else None
        message = Message(
            origin=origin,
            phase=phase,
            action=action,
            payload=payload,
            type=6 if phase is Phase.SEND else 2,
            id=frame.message_id,
            size=size,
            signed=inner is not None and inner.signed,
            version=version,
        )
        ruling = self._rules(frame, message, now, reports, rules)
        if ruling.asks:
            return msgspec.structs.replace(ruling, message=message, inner=inner)
        if ruling is _PASS or any(isinstance(effect, Forward) for effect in ruling.effects):
            self._seen(version or self._version, action, payload)
            return ruling if inner is None else msgspec.structs.replace(ruling, inner=inner)
        return ruling

    def _direction(
        self, frame: Call | Send, action: str, origin: Origin, inner: InnerCall | None
    ) -> tuple[ReportEvent, ErrorMeaning, GateMode] | None:
        version = inner.version if inner is not None else self._version
        known = lookup(version, action)
        mode = self._gates.direction
        if known is None or known.is_send != isinstance(frame, Send):
            event = ReportEvent("rpc.unknown_action", "medium", "callerror", "no such action in this version")
            return event, ErrorMeaning.NOT_IMPLEMENTED, mode
        if origin not in known.senders:
            event = ReportEvent("rpc.direction", "high", "callerror", f"{action} is not for this sender")
            return event, ErrorMeaning.NOT_SUPPORTED, mode
        return None

    def _probing(self, event: ReportEvent, action: str, now: float) -> Effects:
        """Many different unknown actions are no mistake of a charge point: somebody looks for what is there."""
        if event.event != "rpc.unknown_action":
            return ()
        probed = self._probed
        if probed is None or now - self._probed_since > _PROBING_WINDOW_S:
            probed, self._probed_since = set(), now
            self._probed = probed
        if len(probed) >= _PROBING_ACTIONS or action in probed:
            return ()
        probed.add(action)
        if len(probed) < _PROBING_ACTIONS:
            return ()
        detail = f"{_PROBING_ACTIONS} different unknown actions within a minute"
        return (ReportEvent("rpc.fuzzing", "high", "allow_alert", detail),)

    def _quarantined(self, origin: Origin) -> tuple[ReportEvent, ErrorMeaning, GateMode] | None:
        """No command of the CSMS reaches a charge point that a rule has put into quarantine."""
        rule = self._policy.state.quarantined.get(self._session.identity, "")
        if not rule or origin is Origin.CHARGE_POINT:
            return None
        event = ReportEvent("policy.quarantined", "high", "callerror", rule)
        return event, ErrorMeaning.SECURITY, "enforce"

    def _state(self, action: str, origin: Origin) -> tuple[ReportEvent, ErrorMeaning, GateMode] | None:
        """B01.FR.08 to B03.FR.07: only what was observed counts, so that a charge point that merely reconnects passes."""
        if self._policy.state.quarantined and (quarantined := self._quarantined(origin)) is not None:
            return quarantined
        state = self.boot_state
        if state in {"accepted", "unknown"} or action == _BOOT:
            return None
        if origin is Origin.CHARGE_POINT:
            triggered = state == "pending"
            if triggered:
                # What a TriggerMessage or report asked for is legal; telling the two apart is the CSMS's own business.
                return None
            event = ReportEvent("state.not_accepted", "medium", "callerror", "the CSMS has rejected this charge point")
            return event, ErrorMeaning.SECURITY, self._gates.state
        if state == "rejected" or action in _WHILE_PENDING_FROM_CSMS_NOT:
            event = ReportEvent("state.not_accepted", "medium", "callerror", f"{action} while {state}")
            return event, ErrorMeaning.SECURITY, self._gates.state
        return None

    def _oversize(
        self, version: OCPPVersion, action: str, kind: Kind, payload: Payload, size: int
    ) -> ReportEvent | None:
        """What is too large about a message, None if nothing is. `size`: of its frame, in bytes."""
        by_schema = self._policy.schema_gates(version).size_limit(action, kind)
        site, group = self._view.snapshot.site, self._session.group
        limit = site.size_limit(group, action, by_schema, answer=kind == "result")
        if size <= limit.harmless_bytes:
            return None
        what = f"{action} {kind}"
        if limit.max_bytes is not None and size > limit.max_bytes:
            detail = f"{what}: {size} bytes, allowed are {limit.max_bytes}"
        elif limit.max_items is not None and (items := longest_list(payload)) > limit.max_items:
            detail = f"{what}: a list of {items} entries, allowed are {limit.max_items}"
        else:
            return None
        return ReportEvent("schema.oversize", "medium", "callerror", detail)

    def _schema(
        self, action: str, kind: Kind, payload: Payload, version: OCPPVersion
    ) -> tuple[ReportEvent, ErrorMeaning] | None:
        violation = self._policy.schema_gates(version).check(action, kind, payload)
        if violation is None:
            return None
        detail = f"{action}: {violation.keyword} at {violation.path or 'the top'}"
        return ReportEvent("schema.violation", "medium", "callerror", detail), violation.meaning

    # -- rules

    def _rules(
        self,
        frame: Call | Send | CallResult | CallError,
        message: Message,
        now: float,
        reports: Effects,
        rules: tuple[CompiledRule, ...] | None = None,
    ) -> Ruling:
        verdict = decide(self._view, message, self._transactions, self._policy.state, now, rules)
        if not reports and verdict.effect is None and not verdict.matches and not verdict.asks and not verdict.errors:
            return _PASS
        effects = (*reports, *self._effects(frame, verdict))
        return Ruling(effects, verdict.asks, verdict, revision=self._view.snapshot.revision)

    def settled(
        self, ruling: Ruling, frame: Call | Send | CallResult | CallError, answers: dict[str, bool], now: float
    ) -> Effects:
        """The effects once control has answered the questions of a ruling."""
        assert ruling.verdict is not None
        verdict = settle(ruling.verdict, answers, self._session, self._policy.state, now)
        message = ruling.message
        if message is not None and verdict.passes and isinstance(frame, Call | Send):
            self._seen(message.version or self._version, message.action, message.payload)
        effects = self._effects(frame, verdict)
        if ruling.revision == self.revision:
            return effects
        # Another snapshot has come into force meanwhile: this message is judged, and recorded, by the one that it began with.
        return tuple(of_revision(effect, ruling.revision) for effect in effects)

    def _effects(self, frame: Call | Send | CallResult | CallError, verdict: Verdict) -> Effects:
        effects = self._reports(verdict)
        if verdict.passes:
            return (*effects, Forward())
        if verdict.effect is RuleEffect.DISCONNECT:
            return (*effects, CloseBoth(_POLICY_CLOSE, "policy"))
        return (*effects, *self._answer(frame, verdict))

    def _reports(self, verdict: Verdict) -> Effects:
        found = [report_of(match) for match in verdict.events]
        closed = {match.rule.id for match in verdict.matches if match.error and match.enforced}
        found += [
            ReportEvent("policy.error", "high", "fail_closed" if rule in closed else "allow_alert", f"{rule}: {text}")
            for rule, text in verdict.errors
        ]
        if not verdict.passes and verdict.effect is not None:
            # Beside the rule's own event: one name for everything that rules refuse.
            found.append(ReportEvent("policy.denied", "medium", verdict.effect.name.lower(), verdict.rule))
        return tuple(found)

    def _answer(self, frame: Call | Send | CallResult | CallError, verdict: Verdict) -> Effects:
        """What the sender of a refused Call hears, or who waits for a refused answer. A SEND is never answered."""
        if isinstance(frame, CallResult | CallError):
            return (self._denied(frame.message_id),)
        if isinstance(frame, Send) or verdict.effect is None:
            return ()
        gate = self._policy.schema_gates(self._version)
        text = answer_to(self._version, frame.message_id, frame.action, verdict.effect, verdict.response, gate)
        return (Reply(text),) if text is not None else ()

    def _denied(self, message_id: str) -> Deliver:
        """What whoever has asked gets in the place of an answer that is refused."""
        return Deliver(build_call_error(self._version, message_id, ErrorMeaning.SECURITY, REFUSED))

    def _refused(self, frame: Call | Send, event: ReportEvent, meaning: ErrorMeaning, beside: Effects = ()) -> Ruling:
        """A gate refuses. A SEND is dropped in silence (FR.07). `beside`: what else is to be reported."""
        if isinstance(frame, Send):
            return Ruling((msgspec.structs.replace(event, decision="drop"), *beside))
        reply = build_call_error(self._version, frame.message_id, meaning, PHRASES.get(event.event, "refused"))
        return Ruling((event, *beside, Reply(reply)))

    # -- answers

    def result(
        self,
        frame: CallResult | CallError,
        payload: Payload,
        asked: OpenCall,
        origin: Origin,
        size: int,
        now: float,
        age_s: float,
    ) -> Ruling:
        """Judge an answer, `payload` or details of it, to a call that is open since `age_s`. `origin`: who answers."""
        if self._view.snapshot is not self._policy.snapshot:
            self._renew()
        reports: Effects = ()
        is_result, is_readable = type(frame) is CallResult, True
        if is_result and asked.version is not self._version:
            # The ISO 15118 tunnel: the answer is inside, as the call was.
            inner = inner_result(asked.version, payload)
            is_readable, payload = inner is not None, inner or payload
        if is_result:
            plan = self._plan_of_result(asked, origin)
            if plan is None or size > plan.harmless_bytes:
                oversize = self._oversize(asked.version, asked.action, "result", payload, size)
                if oversize is not None and self._gates.sizes == "enforce":
                    return Ruling((oversize, self._denied(frame.message_id)))
                reports = () if oversize is None else (would(oversize),)
            if asked.action == _BOOT and asked.outer != AMBIGUOUS:
                reports = (*reports, *self._note_boot(payload, origin))
                plan = self._plan_of_result(asked, origin)
            fits = plan is not None and (plan.fits is None or plan.fits(payload))
            if (
                is_readable
                and not fits
                and (violation := self._schema(asked.action, "result", payload, asked.version)) is not None
            ):
                reports = (*reports, would(violation[0]))
            if plan is not None and not reports and not plan.rules:
                if plan.is_learnt_from:
                    self._answered(asked, payload, now - age_s)
                return _PASS
        message = _answer_of(asked, frame, payload, origin, size, age_s)
        ruling = self._rules(frame, message, now, reports)
        if is_result:
            self._answered(asked, payload, now - age_s)
        return ruling

    def _answered(self, asked: OpenCall, payload: Payload, called_at: float) -> None:
        self._transactions.seen(asked.version, asked.action, asked.payload, payload, called_at=called_at)

    def _plan_of_result(self, asked: OpenCall, origin: Origin) -> Plan | None:
        if asked.version is not self._version:
            return None
        plans = self._plans
        kinds = plans.results_for_csms if origin is Origin.CHARGE_POINT else plans.results_for_charge_point
        plan = kinds.get(asked.action)
        if plan is None:
            plans.add_result(
                self._view, asked.action, Origin.CSMS if origin is Origin.CHARGE_POINT else Origin.CHARGE_POINT
            )
        return plan

    def _note_boot(self, payload: Payload, origin: Origin) -> Effects:
        """What the CSMS says to a BootNotification decides what may be said from now on, also after a reconnect."""
        state, before = _BOOT_STATES.get(str(payload.get("status"))), self.boot_state
        if origin is not Origin.CSMS or state is None:
            return ()
        self.boot_state = self._session.boot_state = state
        self._plans = self._policy.plans(self._view)
        return (NoteBootState(state),) if state != before and not _RESTRICTED.isdisjoint((state, before)) else ()

    @property
    def gates(self) -> Gates:
        """In force for this session."""
        return self._gates


def _answer_of(
    asked: OpenCall, frame: CallResult | CallError, payload: Payload, origin: Origin, size: int, age_s: float
) -> Message:
    """The answer to a call, for rules."""
    is_result = type(frame) is CallResult
    return Message(
        origin=origin,
        phase=Phase.RESULT if is_result else Phase.ERROR,
        action=asked.action,
        payload=payload,
        type=3 if is_result else 4,
        id=frame.message_id,
        size=size,
        request=Request(asked.action, asked.payload, int(age_s * 1000)),
        version=asked.version,
    )
