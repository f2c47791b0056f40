"""The decision on one message: which rules match, which effect wins, what has to be asked. Pure; time is an argument.

1. Active throttles of this session come first: they are the consequence of an earlier match.
2. Every candidate rule is evaluated; an error in a restrictive one counts as a match (fail closed), any error is reported.
3. Exceptions and modes decide whether a match is enforced. All matches are reported.
4. Counters are drawn on last, the gravest first, and only while nothing refuses the message (those of attempts always).
5. The highest enforced effect wins; ties go to the graver severity, then to the smaller id. The order of rules is nothing.
"""

import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from gateway.audit.event import printable
from gateway.policy.boot_times import BootTimes
from gateway.policy.cel import EvaluationError
from gateway.policy.classes import CLASSES, expand
from gateway.policy.counter_table import CounterKey, Overflow, add_overflows
from gateway.policy.limits import Distinct, Rates, Sum
from gateway.policy.rules import Counter, Effect, Match, Phase, Response, Rule
from gateway.policy.session import Message, SessionFacts
from gateway.policy.set_points import SetPoints
from gateway.policy.snapshot import CompiledRule, Snapshot, View
from gateway.policy.transactions import Transactions
from gateway.policy.values import Values
from gateway.policy.verdict import ALLOWED, FleetAsk, RuleMatch, Verdict

__all__ = ["NOT_LISTED", "ActiveThrottle", "PolicyState", "decide", "settle", "weight"]

_SEVERITY: Final = {"info": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}
_MAX_VALUE_CHARS: Final = 128
_MAX_ERROR_CHARS: Final = 120
NOT_LISTED: Final = Rule(
    id="policy/not-listed",
    title="This group only lets through what a rule allows",
    level=1,
    severity="medium",
    mode="enforce",
    match=Match(),
    effect=Effect.DENY,
    event="policy.not_listed",
)
"""Stands in records where the stance of a group refuses."""


class ActiveThrottle(msgspec.Struct, frozen=True):
    """A throttle that a match has started on one session."""

    source: Rule
    actions: frozenset[str]
    limit: int
    window_s: float
    until: float
    response: Response


class PolicyState:
    """Everything that decisions remember, bounded. One per edge worker; outlives sessions and snapshots."""

    def __init__(self) -> None:
        self.rates = Rates()
        self.distinct = Distinct()
        self.sums = Sum()
        self.throttles: dict[str, dict[str, ActiveThrottle]] = {}
        """By identity and rule."""
        self.set_points = SetPoints()
        self.boot_times = BootTimes()
        self.quarantined: dict[str, str] = {}
        """Rule by identity: no CSMS command reaches these."""

    def take_overflows(self) -> dict[str, Overflow]:
        """By rule, how often its counters had more keys than they have windows since the last time."""
        found: dict[str, Overflow] = {}
        for tables in (self.rates, self.distinct, self.sums):
            add_overflows(found, tables.take_overflows())
        return found

    @property
    def is_restless(self) -> bool:
        """True if anybody is throttled or in quarantine, so that a call may be refused without a rule that matches it."""
        return bool(self.throttles or self.quarantined)

    def lift(self, snapshot: Snapshot) -> None:
        """Another snapshot is in force: a quarantine ends where its rule is gone, or only watches in every group."""
        if self.quarantined:
            enforced = _enforced(snapshot)
            self.quarantined = {who: rule for who, rule in self.quarantined.items() if rule in enforced}

    def adopt(self, identity: str, rule: str, snapshot: Snapshot) -> bool:
        """A rule has put it into quarantine at another worker. False where it does not under `snapshot`: nothing is done."""
        if rule not in _enforced(snapshot):
            return False
        self.quarantined[identity] = rule
        return True


def _enforced(snapshot: Snapshot) -> frozenset[str]:
    """Rules that are enforced in some group."""
    site = snapshot.site
    groups = ("", *site.groups)
    return frozenset(
        rule.id
        for rule in snapshot.rules
        if any(site.mode(group, rule.id, rule.mode, rule.level) == "enforce" for group in groups)
    )


class _Outcome:
    """Collects what came of the rules for one message."""

    __slots__ = ("asks", "errors", "matches", "now", "state", "values")

    def __init__(self, values: Values, state: PolicyState, now: float) -> None:
        self.values = values
        self.state = state
        self.now = now
        self.matches: list[RuleMatch] = []
        self.asks: list[FleetAsk] = []
        self.errors: list[tuple[str, str]] = []

    def holds(self, rule: CompiledRule) -> tuple[bool, str]:
        """(whether the conditions hold, the failing sub-expression where they have no value)."""
        try:
            if rule.when is not None and not self.values.run(rule.when, rule):
                return False, ""
            if rule.unless is not None and self.values.run(rule.unless, rule):
                return False, ""
        except EvaluationError as error:
            return rule.rule.matches_on_error, self.note(rule, error)
        return True, ""

    def note(self, rule: CompiledRule, error: EvaluationError) -> str:
        shown = printable(error.text or error.reason, _MAX_ERROR_CHARS)
        self.errors.append((rule.rule.id, shown))
        return shown

    def match(self, rule: CompiledRule, error: str, exception: str = "") -> RuleMatch:
        return RuleMatch(rule.rule, rule.enforced and not exception, _why(rule, self.values), exception, error)

    @property
    def refused(self) -> bool:
        """Whether an enforced rule keeps the message back. A throttle does not: it is for the next ones."""
        return any(_refuses(match) for match in self.matches)

    def count(self, rule: CompiledRule, error: str) -> None:
        """Draw on a counter; note a match if it is used up."""
        counter = rule.rule.counter
        assert counter is not None
        if self.refused and not counter.attempts:
            return
        exception = _excepted(rule, self.values, self.now)
        try:
            key, value = _key(rule, self.values), _counted_value(rule, self.values)
        except EvaluationError as failed:
            shown = self.note(rule, failed)
            if rule.rule.matches_on_error:
                self.matches.append(self.match(rule, shown, exception))
            return
        if exception:
            # Who is excepted uses up nobody's budget, and is reported where the own share would be used up.
            if not counter.fleet and not _within(rule, counter, key, value, self.state, self.now, take=False):
                self.matches.append(self.match(rule, error, exception))
        elif counter.fleet:
            self.asks.append(_ask(rule, counter, self.match(rule, error), key, value))
        elif not _within(rule, counter, key, value, self.state, self.now, take=True):
            self.matches.append(self.match(rule, error))


def decide(
    view: View,
    message: Message,
    transactions: Transactions,
    state: PolicyState,
    now: float,
    rules: tuple[CompiledRule, ...] | None = None,
) -> Verdict:
    """Judge one message. `now`: seconds since the epoch. `rules`: those of the view that may hold, where that is known.

    Raises nothing that a peer could cause.
    """
    session = view.session
    if state.throttles and message.request is None:
        throttled = _throttled(view, message, state, now)
        if throttled is not None:
            return throttled
    if rules is None:
        rules = view.rules(message.origin, message.phase, message.action, message.version)
    if not rules and not view.listed_only:
        return ALLOWED
    session.now = now
    outcome = _Outcome(Values(message, session, transactions, now), state, now)
    counting: list[tuple[CompiledRule, str]] = []
    for rule in rules:
        rule.tally.evaluations += 1
        holds, error = outcome.holds(rule)
        if not holds:
            continue
        if rule.rule.counter is not None:
            counting.append((rule, error))
        else:
            exception = _excepted(rule, outcome.values, now) if rule.exemptions else ""
            outcome.matches.append(outcome.match(rule, error, exception))
    _count_all(outcome, counting)
    if not outcome.matches and not outcome.asks and not outcome.errors and not view.listed_only:
        return ALLOWED
    if view.listed_only and _must_be_listed(message) and not any(_allows(match) for match in outcome.matches):
        outcome.matches.append(RuleMatch(NOT_LISTED, enforced=True))
    for erring in {name for name, _ in outcome.errors}:
        view.snapshot.tallies[erring].errors += 1
    _start(outcome.matches, session, state, now)
    asks = () if outcome.refused else tuple(outcome.asks)
    return _verdict(outcome.matches, asks, tuple(outcome.errors))


def _count_all(outcome: _Outcome, counting: list[tuple[CompiledRule, str]]) -> None:
    """Counters of attempts first, for they count in any case; then the gravest, so that a refusal spares the others."""
    if len(counting) > 1:
        counting.sort(key=lambda item: (_attempts(item[0].rule), weight(item[0].rule)), reverse=True)
    for rule, error in counting:
        outcome.count(rule, error)


def _attempts(rule: Rule) -> bool:
    return rule.counter is not None and rule.counter.attempts


def _refuses(match: RuleMatch) -> bool:
    return match.enforced and match.rule.effect.restrictive and match.rule.effect is not Effect.THROTTLE


def _allows(match: RuleMatch) -> bool:
    return match.enforced and match.rule.effect is Effect.ALLOW


def _must_be_listed(message: Message) -> bool:
    """Answers belong to a call that was let through; what carries billing data is never lost for want of a rule."""
    return message.phase in {Phase.CALL, Phase.SEND} and message.action not in CLASSES["@transaction"]


def _verdict(
    matches: Iterable[RuleMatch], asks: tuple[FleetAsk, ...] = (), errors: tuple[tuple[str, str], ...] = ()
) -> Verdict:
    found = tuple(matches)
    if len(found) > 1:
        found = tuple(sorted(found, key=lambda match: weight(match.rule), reverse=True))
    winner = next((match.rule for match in found if match.enforced), None)
    if winner is None:
        return Verdict(None, matches=found, asks=asks, errors=errors)
    # A throttle holds for later messages; the one that started it has already happened.
    effect = Effect.ALERT if winner.effect is Effect.THROTTLE else winner.effect
    return Verdict(effect, winner.id, winner.response, found, asks, errors)


def weight(rule: Rule) -> tuple[int, int, str]:
    """Rank, severity, and of equal ones the smaller id as the heavier."""
    return (int(rule.effect), _SEVERITY[rule.severity], _inverted(rule.id))


@functools.lru_cache(maxsize=4_096)
def _inverted(text: str) -> str:
    return "".join(chr(0x10FFFF - ord(char)) for char in text)


# -- exceptions and messages


def _excepted(rule: CompiledRule, values: Values, now: float) -> str:
    """The owner of the exception that takes this session out of the rule, empty if there is none."""
    session = values.session
    for item in rule.exemptions:
        exemption = item.exemption
        if now >= exemption.until:
            continue
        if exemption.identities and session.identity not in exemption.identities:
            continue
        if exemption.groups and session.group not in exemption.groups:
            continue
        if item.when is None or values.holds(item.when, rule, default=False):
            return exemption.owner
    return ""


def _why(rule: CompiledRule, values: Values) -> str:
    if rule.message is None:
        return ""
    shown: str = rule.message.render({name: values.get(name, rule) for name in rule.message.names})
    return shown


# -- counters


def _bounded(text: str) -> str:
    """A text of bounded length that stays different from other texts."""
    return text if len(text) <= _MAX_VALUE_CHARS else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _key(rule: CompiledRule, values: Values) -> CounterKey:
    parts = [_bounded(str(values.run(program, rule))) for program in rule.counter_key]
    return CounterKey(rule.state_key, values.session.identity, "\0".join(parts))


def _counted_value(rule: CompiledRule, values: Values) -> Any:
    """What is counted: a number for a sum, a text for distinct values. Raises EvaluationError."""
    counter = rule.rule.counter
    if counter is None or rule.counter_of is None:
        return ""
    value = values.run(rule.counter_of, rule)
    if counter.kind != "sum":
        return _bounded(str(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationError("a sum needs numbers", text=rule.counter_of.text)
    return float(value)


def _within(
    rule: CompiledRule, counter: Counter, key: CounterKey, value: Any, state: PolicyState, now: float, *, take: bool
) -> bool:
    """Whether the counter still has room; with `take` it is drawn on."""
    limit, window_s = rule.limit, rule.window_s
    match counter.kind:
        case "rate":
            return (state.rates.take if take else state.rates.peek)(key, int(limit), window_s, now)
        case "distinct":
            return (state.distinct.take if take else state.distinct.peek)(key, value, int(limit), window_s, now)
        case _:
            return (state.sums.take if take else state.sums.peek)(key, value, limit, window_s, now)


def _ask(rule: CompiledRule, counter: Counter, match: RuleMatch, key: CounterKey, value: Any) -> FleetAsk:
    amount = value if isinstance(value, float) else 0.0
    text = "" if isinstance(value, float) else str(value)
    return FleetAsk(match, key, text, amount, counter.kind, rule.limit, rule.window_s, counter.share_of_online)


# -- what outlasts the message


def _throttled(view: View, message: Message, state: PolicyState, now: float) -> Verdict | None:
    """The answer of an active throttle, None if there is none or it lets this message through."""
    identity = view.session.identity
    active = state.throttles.get(identity)
    if not active:
        return None
    for rule, throttle in sorted(active.items()):
        if now >= throttle.until or view.mode(throttle.source) != "enforce":
            del active[rule]
        elif message.action in throttle.actions:
            key = CounterKey(f"{rule}#throttle", identity, f"{identity}\0{message.action}")
            if not state.rates.take(key, throttle.limit, throttle.window_s, now):
                match = RuleMatch(throttle.source, enforced=True, why=f"{message.action} is throttled for a while")
                return Verdict(Effect.THROTTLE, rule, throttle.response, (match,))
    if not active:
        del state.throttles[identity]
    return None


def _start(matches: Iterable[RuleMatch], session: SessionFacts, state: PolicyState, now: float) -> None:
    """Quarantines and throttles that enforced matches begin."""
    for match in matches:
        rule = match.rule
        if not match.enforced:
            continue
        if rule.effect is Effect.QUARANTINE or "quarantine" in rule.then:
            state.quarantined[session.identity] = rule.id
        if rule.throttle is not None:
            state.throttles.setdefault(session.identity, {})[rule.id] = ActiveThrottle(
                source=rule,
                actions=expand(rule.throttle.actions, session.version),
                limit=rule.throttle.limit,
                window_s=rule.throttle.window_s,
                until=now + rule.throttle.for_s,
                response=rule.throttle.response,
            )


def settle(
    verdict: Verdict, answers: Mapping[str, bool], session: SessionFacts, state: PolicyState, now: float
) -> Verdict:
    """The verdict once control has answered its questions: `answers` says by rule whether the budget was kept.

    A question without an answer counts as a budget that is used up where its rule matches on errors.
    """
    exceeded = [ask.match for ask in verdict.asks if not answers.get(ask.rule.id, not ask.rule.matches_on_error)]
    _start(exceeded, session, state, now)
    return _verdict((*verdict.matches, *exceeded), errors=verdict.errors)
