"""Recorded traffic under two policies: what would a candidate refuse that passes now, and the other way round? Pure.

The clock is the recording's (`gateway.policy.recording`). Both policies see the same conversation: transactions, open calls
and answers are those that were recorded, so that one early refusal does not make everything behind it incomparable. Counters
and throttles are each policy's own. Gates are not asked again, as a recording does not hold all of a message: what they had
against it then counts, enforced or not, by the mode that each policy gives them.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from gateway.ocpp.boot_notification import read_boot_claims
from gateway.ocpp.vocabulary import Origin
from gateway.policy.boot_times import BootTimes
from gateway.policy.budgets import FleetBudgets
from gateway.policy.conversation import Conversation, NotJudged
from gateway.policy.engine import PolicyState, decide, settle
from gateway.policy.recording import Recorded
from gateway.policy.rules import Phase
from gateway.policy.session import Message, SessionFacts
from gateway.policy.set_points import SetPoints
from gateway.policy.snapshot import Snapshot, View
from gateway.policy.verdict import Verdict

__all__ = ["Change", "Delta", "Replay", "ReplayResult", "replay"]

_ORIGINS: Final = {"charge-point": Origin.CHARGE_POINT, "csms": Origin.CSMS}
_MAX_CHANGES: Final = 1_000
"""So many changes are kept one by one; all are counted."""
_GATES: Final = {
    "rpc.unknown_action": "direction",
    "rpc.direction": "direction",
    "state.not_accepted": "state",
    "schema.violation": "schema",
    "schema.oversize": "sizes",
}
"""The gate by the event with which it objects to a call or SEND."""
_TOLD: Final = ("vendor", "model", "firmware", "serial")
"""What a recording may say of a charge point, named as in the session."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the two policies decide differently."""

    line: int
    time: float
    identity: str
    group: str
    action: str
    current: str
    """Effect and rule under the current policy, e.g. ``deny firmware/location-allowlist``, or ``gate schema.violation``;
    ``allow`` if it passes."""
    candidate: str


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """How often a rule matched under each policy, for one action, group and charge point."""

    rule: str
    """Or the event of a gate."""
    action: str
    group: str
    identity: str
    current: int
    candidate: int
    current_enforced: int
    candidate_enforced: int


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay has brought."""

    current_revision: str
    candidate_revision: str
    messages: int
    unjudged: int
    """Frames that a gate refuses before any rule, or answers to calls that the recording does not have."""
    new_denies: int
    new_allows: int
    denies: tuple[Change, ...]
    allows: tuple[Change, ...]
    deltas: tuple[Delta, ...]
    """Only where something differs."""

    @property
    def share_denied(self) -> float:
        """Fraction of all messages that would be refused anew; for a threshold."""
        return self.new_denies / self.messages if self.messages else 0.0

    def by_rule(self) -> dict[str, tuple[int, int]]:
        """(matches now, matches with the candidate) by rule."""
        found: dict[str, tuple[int, int]] = {}
        for delta in self.deltas:
            now, then = found.get(delta.rule, (0, 0))
            found[delta.rule] = (now + delta.current, then + delta.candidate)
        return found


_Key = tuple[str, str, str, str]


class _Said(NamedTuple):
    """What one policy says of a message."""

    passes: bool
    what: str


class _Side:
    """One policy with what it remembers."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._state = PolicyState()
        self._budgets = FleetBudgets()
        self._views: dict[str, View] = {}
        self.matches: Counter[_Key] = Counter()
        self.enforced: Counter[_Key] = Counter()

    def judge(
        self, conversation: Conversation, message: Message, objections: tuple[str, ...], online: int, now: float
    ) -> _Said:
        """`objections`: events of gates. Behind one that enforces no rule is asked."""
        session = conversation.session
        gates = self.snapshot.site.gates(session.group)
        for event in objections:
            is_enforced = getattr(gates, _GATES[event]) == "enforce"
            key = (event, message.action, session.group, session.identity)
            self.matches[key] += 1
            self.enforced[key] += is_enforced
            if is_enforced:
                return _Said(passes=False, what=f"gate {event}")
        view = self._views.get(session.identity)
        if view is None or view.session is not session:
            view = self._views[session.identity] = self.snapshot.view(session)
        verdict = decide(view, message, conversation.transactions, self._state, now)
        if verdict.asks:
            answers = self._budgets.answers(verdict.asks, online, now)
            verdict = settle(verdict, answers, session, self._state, now)
        for match in verdict.matches:
            key = (match.rule.id, message.action, session.group, session.identity)
            self.matches[key] += 1
            self.enforced[key] += match.enforced
        return _Said(verdict.passes, _said(verdict))

    def forget(self, session: SessionFacts) -> None:
        """Something about it has changed that rules may name."""
        view = self._views.get(session.identity)
        if view is not None and view.session is session:
            view.forget()


class Replay:
    """Takes frames one by one, so that a recording of any length can be read as a stream."""

    def __init__(self, current: Snapshot, candidate: Snapshot) -> None:
        self._sides = (_Side(current), _Side(candidate))
        self._conversations: dict[str, Conversation] = {}
        self._set_points = SetPoints()
        self._boot_times = BootTimes()
        """What charge points have accepted, and were told, is recorded too, and the same for both."""
        self._messages = self._unjudged = self._line = 0
        self._totals = {"denies": 0, "allows": 0}
        self._changes: dict[str, list[Change]] = {"denies": [], "allows": []}

    def _conversation(self, recorded: Recorded) -> Conversation:
        found = self._conversations.get(recorded.identity)
        session = None if found is None else found.session
        if found is None or session is None or (session.version, session.group) != (recorded.version, recorded.group):
            before = "none" if session is None else session.boot_state
            session = SessionFacts(
                identity=recorded.identity,
                group=recorded.group,
                version=recorded.version,
                ip=recorded.ip,
                security_profile=recorded.security_profile,
                boot_state=before if before in {"pending", "rejected"} else "none",
                opened_at=recorded.time,
            )
            found = self._conversations[recorded.identity] = Conversation(session, self._set_points, self._boot_times)
        self._learn(session, {name: getattr(recorded, name) for name in _TOLD})
        return found

    def _learn(self, session: SessionFacts, told: dict[str, str]) -> None:
        """What is known of the charge point from here on; empty is not known. Rules may name its model."""
        if any(value and value != getattr(session, name) for name, value in told.items()):
            for name, value in told.items():
                setattr(session, name, value or getattr(session, name))
            for side in self._sides:
                side.forget(session)

    def _booted(self, recorded: Recorded, session: SessionFacts, message: Message) -> None:
        """The CSMS has accepted what a BootNotification said: what the recording itself does not say is learnt from that."""
        if message.request is None or message.phase is not Phase.RESULT or message.payload.get("status") != "Accepted":
            return
        claims = read_boot_claims(message.version or session.version, message.request.payload)
        told = dict(zip(_TOLD, (claims.vendor, claims.model, claims.firmware, claims.serial_number), strict=True))
        # What must not be kept is asterisks.
        self._learn(session, {k: v for k, v in told.items() if v.strip("*") and not getattr(recorded, k)})

    def add(self, recorded: Recorded, line: int = 0) -> None:
        """Judge one frame under both policies. `line`: where it stands in its file; without it frames are counted."""
        self._line = line or self._line + 1
        conversation = self._conversation(recorded)
        try:
            message = conversation.message(
                _ORIGINS[recorded.origin], recorded.text.encode("utf-8", "surrogatepass"), recorded.time
            )
        except NotJudged:
            self._unjudged += 1
            return
        self._messages += 1
        online = recorded.online or len(self._conversations)
        objections = () if message.request is not None else _objections(recorded)
        now, then = (side.judge(conversation, message, objections, online, recorded.time) for side in self._sides)
        conversation.passed(message, recorded.time)
        if message.action == "BootNotification":
            self._booted(recorded, conversation.session, message)
        if now.passes == then.passes:
            return
        kind = "denies" if now.passes else "allows"
        self._totals[kind] += 1
        if len(self._changes[kind]) < _MAX_CHANGES:
            self._changes[kind].append(
                Change(
                    line=self._line,
                    time=recorded.time,
                    identity=recorded.identity,
                    group=recorded.group,
                    action=message.action,
                    current=now.what,
                    candidate=then.what,
                )
            )

    def result(self) -> ReplayResult:
        """What has come of it so far."""
        current, candidate = self._sides
        return ReplayResult(
            current_revision=current.snapshot.revision,
            candidate_revision=candidate.snapshot.revision,
            messages=self._messages,
            unjudged=self._unjudged,
            new_denies=self._totals["denies"],
            new_allows=self._totals["allows"],
            denies=tuple(self._changes["denies"]),
            allows=tuple(self._changes["allows"]),
            deltas=_deltas(current, candidate),
        )


def _objections(recorded: Recorded) -> tuple[str, ...]:
    """What gates had against a call or SEND when it was recorded."""
    return tuple(match.event for match in recorded.matches if not match.rule and match.event in _GATES)


def _said(verdict: Verdict) -> str:
    return "allow" if verdict.passes or verdict.effect is None else f"{verdict.effect.name.lower()} {verdict.rule}"


def _deltas(current: _Side, candidate: _Side) -> tuple[Delta, ...]:
    found = []
    for key in sorted(current.matches.keys() | candidate.matches.keys()):
        rule, action, group, identity = key
        delta = Delta(
            rule=rule,
            action=action,
            group=group,
            identity=identity,
            current=current.matches[key],
            candidate=candidate.matches[key],
            current_enforced=current.enforced[key],
            candidate_enforced=candidate.enforced[key],
        )
        if (delta.current, delta.current_enforced) != (delta.candidate, delta.candidate_enforced):
            found.append(delta)
    return tuple(found)


def replay(recording: Iterable[Recorded], current: Snapshot, candidate: Snapshot) -> ReplayResult:
    """Run a whole recording."""
    running = Replay(current, candidate)
    for recorded in recording:
        running.add(recorded)
    return running.result()
