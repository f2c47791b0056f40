"""Why a message is decided as it is, and why a rule did not fire. Pure; draws on nothing, for it works on copies.

For every candidate rule: what its static part asks, the value of every sub-expression, the exceptions that were considered,
the counter, the mode. Then how the matches combine, and the bytes that the sender gets. A rule that is no candidate can be
named; then it says which static part does not fit, or that it is off, or not loaded.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from gateway.audit.event import printable
from gateway.ocpp.schema_gate import SchemaGate
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.policy.budgets import FleetBudgets
from gateway.policy.cel import EvaluationError, Program
from gateway.policy.classes import expand
from gateway.policy.conversation import Conversation
from gateway.policy.engine import PolicyState, decide, settle
from gateway.policy.responses import answer_to
from gateway.policy.rules import Effect, Phase, Rule
from gateway.policy.session import Message, SessionFacts
from gateway.policy.snapshot import CompiledRule, Snapshot, View, in_rollout, mismatches
from gateway.policy.transactions import Transactions
from gateway.policy.values import Values
from gateway.policy.verdict import Verdict

__all__ = ["ConditionShown", "Explanation", "RuleExplanation", "ShownStep", "StaticPart", "explain"]

Outcome = Literal[
    "matched",
    "watched",
    "excepted",
    "condition",
    "counter",
    "error",
    "off",
    "static",
    "outranked",
    "throttled",
    "unknown",
]
_MEANING: Final[dict[Outcome, str]] = {
    "matched": "it matched and is enforced",
    "watched": "it matched, but only watches",
    "excepted": "it matched, but an exception takes this charge point out",
    "condition": "its condition does not hold",
    "counter": "its condition holds, and its counter still has room",
    "error": "its condition has no value, and the rule does not match on errors",
    "off": "it is switched off",
    "static": "it is not about such messages",
    "outranked": "its counter was not asked, because something else refuses the message",
    "throttled": "no rule was asked, because a throttle of an earlier match answers",
    "unknown": "there is no such rule in what is loaded",
}
_DIRECTIONS: Final = {Origin.CHARGE_POINT: "to_csms", Origin.CSMS: "to_station", Origin.GATEWAY: "gateway"}
_MAX_SHOWN: Final = 160
_HOLDERS: Final = frozenset({"facts", "msg", "params", "req", "session", "sets", "tx"})
"""What only holds values is none itself: what is taken out of it is shown."""
_OWN_ROOTS: Final = ("params", "session", "msg", "now", "sets")


class StaticPart(msgspec.Struct, frozen=True):
    """One field of `match`."""

    name: str
    wanted: str
    actual: str
    fits: bool


class ShownStep(msgspec.Struct, frozen=True):
    """One sub-expression and what it came to."""

    text: str
    value: str
    error: str = ""
    iteration: tuple[int, ...] = ()


class ConditionShown(msgspec.Struct, frozen=True):
    """`when` or `unless`, step by step."""

    name: str
    text: str
    value: str
    steps: tuple[ShownStep, ...]


class ExceptionShown(msgspec.Struct, frozen=True):
    """An exception of the rule, and whether it takes this charge point out."""

    owner: str
    reason: str
    applies: bool
    because: str


class RuleExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """One rule and this message."""

    rule: str
    outcome: Outcome
    meaning: str
    title: str = ""
    place: str = ""
    effect: str = ""
    mode: str = ""
    static: tuple[StaticPart, ...] = ()
    conditions: tuple[ConditionShown, ...] = ()
    counter: str = ""
    exceptions: tuple[ExceptionShown, ...] = ()
    why: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One message."""

    revision: str
    key: str
    """Under which the candidates were looked up: version, direction, phase, action."""
    rules: tuple[RuleExplanation, ...]
    verdict: Verdict
    combination: str
    answer: str
    """What the sender gets; empty if nothing."""

    def to_record(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        plain: dict[str, Any] = msgspec.to_builtins(
            {"revision": self.revision, "key": self.key, "rules": self.rules, "combination": self.combination}
        )
        return {**plain, "verdict": self.verdict.to_record(), "answer": self.answer}


class _Explainer:
    """Everything about one message."""

    def __init__(
        self,
        snapshot: Snapshot,
        session: SessionFacts,
        message: Message,
        transactions: Transactions,
        state: PolicyState,
        now: float,
    ) -> None:
        self.snapshot, self.session, self.message = snapshot, session, message
        self.version = message.version or session.version
        self.view: View = snapshot.view(session)
        self.values = Values(message, session, transactions, now)
        self.now = now
        copied = copy.deepcopy(state)
        verdict = decide(self.view, message, transactions, copied, now)
        if verdict.asks:
            # The budgets of the node are in control; here they are fresh ones.
            verdict = settle(verdict, FleetBudgets().answers(verdict.asks, 0, now), session, copied, now)
        self.verdict = verdict
        self.errors = dict(verdict.errors)

    def rule(self, rule: Rule) -> RuleExplanation:
        static = self._static(rule)
        mode = self.snapshot.site.mode(self.session.group, rule.id, rule.mode, rule.level)
        shown: dict[str, Any] = {
            "rule": rule.id,
            "title": rule.title,
            "place": rule.place,
            "effect": rule.effect.name.lower(),
            "mode": self._mode(rule, mode),
            "static": static,
        }
        if not all(part.fits for part in static):
            return _explanation("static", shown)
        if mode == "off":
            return _explanation("off", shown)
        enforced = self.view.mode(rule) == "enforce"
        compiled = self.snapshot.compile(rule, self.version, self.message.action, self.session.group, enforced)
        shown["conditions"] = self._conditions(compiled)
        shown["exceptions"] = self._exceptions(compiled)
        shown["counter"] = _counter(compiled)
        match = next((match for match in self.verdict.matches if match.rule.id == rule.id), None)
        if match is not None:
            shown["why"] = match.why
            return _explanation("excepted" if match.exception else "matched" if match.enforced else "watched", shown)
        return _explanation(self._silence(compiled), shown)

    def _silence(self, rule: CompiledRule) -> Outcome:
        """Why a candidate did not match."""
        if self.verdict.effect is Effect.THROTTLE:
            return "throttled"
        if rule.rule.id in self.errors:
            return "error"
        holds = self.values.holds(rule.when, rule, default=True) and not self.values.holds(
            rule.unless, rule, default=False
        )
        if not holds:
            return "condition"
        if rule.rule.counter is not None and not self.verdict.passes and not rule.rule.counter.attempts:
            return "outranked"
        return "counter"

    def _mode(self, rule: Rule, mode: str) -> str:
        if mode == "enforce" and not in_rollout(rule, self.session):
            return f"monitor: outside its rollout ({rule.rollout.percent:g} % of {', '.join(rule.rollout.groups) or 'all'})"
        return mode if mode == rule.mode else f"{mode}: the site says so, the pack says {rule.mode}"

    def _static(self, rule: Rule) -> tuple[StaticPart, ...]:
        match, message = rule.match, self.message
        actions: frozenset[str] = frozenset()
        if self.version in match.versions:
            actions = expand(match.actions, self.version)
        directions = sorted(_DIRECTIONS[origin] for origin in match.origins)
        parts = [
            StaticPart("phase", match.phase.value, message.phase.value, match.phase is message.phase),
            StaticPart(
                "direction", ", ".join(directions), _DIRECTIONS[message.origin], message.origin in match.origins
            ),
            StaticPart("version", ", ".join(match.versions), self.version.value, self.version in match.versions),
            StaticPart(
                "of" if message.phase in {Phase.RESULT, Phase.ERROR} else "action",
                ", ".join(match.actions),
                printable(message.action, 64),
                "*" in actions or message.action in actions,
            ),
        ]
        wrong = [
            StaticPart(name, wanted, printable(is_, 64), fits=False)
            for name, wanted, is_ in mismatches(rule, self.session)
        ]
        return (*parts, *wrong)

    def _conditions(self, rule: CompiledRule) -> tuple[ConditionShown, ...]:
        named = (("when", rule.when), ("unless", rule.unless))
        return tuple(self._condition(name, program, rule) for name, program in named if program is not None)

    def _condition(self, name: str, program: Program, rule: CompiledRule) -> ConditionShown:
        redacted = bool(rule.rule.redact)
        steps = tuple(
            ShownStep(
                step.text,
                "" if step.error else _shown(step.text, step.value, redacted),
                step.error or "",
                step.iteration,
            )
            for step in program.explain(self.values.of(program, rule))
            if step.text not in _HOLDERS
        )
        try:
            value = "true" if self.values.run(program, rule) else "false"
        except EvaluationError as error:
            value = f"no value: {printable(str(error), _MAX_SHOWN)}"
        return ConditionShown(name, program.text, value, steps)

    def _exceptions(self, rule: CompiledRule) -> tuple[ExceptionShown, ...]:
        found = []
        for item in rule.exemptions:
            exemption = item.exemption
            because = ""
            if self.now >= exemption.until:
                because = "it has ended"
            elif exemption.identities and self.session.identity not in exemption.identities:
                because = "for other charge points"
            elif exemption.groups and self.session.group not in exemption.groups:
                because = "for other groups"
            elif item.when is not None and not self.values.holds(item.when, rule, default=False):
                because = "its condition does not hold"
            found.append(ExceptionShown(exemption.owner, exemption.reason, not because, because or "it fits"))
        return tuple(found)

    @property
    def key(self) -> str:
        message = self.message
        return f"{self.version} {_DIRECTIONS[message.origin]} {message.phase.value} {printable(message.action, 64)}"

    def combination(self) -> str:
        """How the matches make the verdict, in one sentence."""
        enforced = [match.rule for match in self.verdict.matches if match.enforced]
        if not enforced:
            return "no enforced rule matches: the message passes"
        ranked = ", ".join(f"{rule.id} ({rule.effect.name.lower()}, {rule.severity})" for rule in enforced)
        effect = (self.verdict.effect or Effect.ALERT).name.lower()
        return f"{effect} by {self.verdict.rule}: the gravest of {ranked}"


def _explanation(outcome: Outcome, shown: dict[str, Any]) -> RuleExplanation:
    return RuleExplanation(outcome=outcome, meaning=_MEANING[outcome], **shown)


def _counter(rule: CompiledRule) -> str:
    counter = rule.rule.counter
    if counter is None:
        return ""
    keys = ", ".join(program.text for program in rule.counter_key) or "one for all"
    what = f" of {rule.counter_of.text}" if rule.counter_of is not None else ""
    where = " over the fleet" if counter.fleet else ""
    return f"{counter.kind}{what}: {rule.limit:g} in {rule.window_s:g} s per {keys}{where}"


def _shown(text: str, value: Any, redacted: bool) -> str:
    """A value in one line. Texts and lists of a rule that redacts are not shown unless they are the gateway's own."""
    if redacted and isinstance(value, str | list | tuple | dict) and not text.startswith((*_OWN_ROOTS, '"', "'", "[")):
        return "(redacted)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(repr(value) if not isinstance(value, str) else f'"{value}"', _MAX_SHOWN)


def explain(
    snapshot: Snapshot,
    conversation: Conversation,
    message: Message,
    state: PolicyState,
    now: float,
    gates: Mapping[OCPPVersion, SchemaGate],
    *,
    rule: str = "",
) -> Explanation:
    """Explain one message of a conversation, which stays as it is. `rule`: this one only, candidate or not."""
    session = copy.copy(conversation.session)
    explainer = _Explainer(snapshot, session, message, conversation.transactions, state, now)
    if rule:
        wanted = [each for each in snapshot.rules if each.id == rule]
        rules = tuple(explainer.rule(each) for each in wanted)
        if not rules:
            rules = (_explanation("unknown", {"rule": printable(rule, 80)}),)
    else:
        found = snapshot.candidates(explainer.version, message.origin, message.phase, message.action)
        rules = tuple(explainer.rule(each) for each in sorted(found, key=lambda each: each.id))
    answer = None
    verdict = explainer.verdict
    if message.phase is Phase.CALL and verdict.effect is not None and not verdict.passes:
        gate, action = gates[session.version], conversation.outer or message.action
        answer = answer_to(session.version, message.id, action, verdict.effect, verdict.response, gate)
    return Explanation(
        revision=snapshot.revision,
        key=explainer.key,
        rules=rules,
        verdict=verdict,
        combination=explainer.combination(),
        answer="" if answer is None else answer.decode(),
    )
