"""The decision on one message: which rules match, which effect wins, what has to be asked. Pure; time is an argument.

1. Active throttles of this session come first: they are the consequence of an earlier match.
2. Every candidate rule is evaluated; an error in a restrictive one counts as a match (fail closed).
3. Exceptions and modes decide whether a match is enforced. All matches are reported.
4. Counters are drawn on last, and only if nothing stronger refuses the message already.
5. The highest enforced effect wins; ties go to the graver severity, then to the smaller id.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.audit.event import printable
from gateway.policy.cel import EvaluationError, Program
from gateway.policy.cel.times import from_unix
from gateway.policy.facts import Facts
from gateway.policy.limits import Distinct, Rates, Sum
from gateway.policy.rules import Counter, Effect, Response
from gateway.policy.session import Message, SessionFacts
from gateway.policy.snapshot import CompiledRule, View
from gateway.policy.transactions import Transactions
from gateway.policy.verdict import ALLOWED, FleetAsk, RuleMatch, Verdict

__all__ = ["ActiveThrottle", "PolicyState", "decide", "settle"]

_SEVERITY: Final = {"info": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}
_MAX_KEY_CHARS: Final = 200


class ActiveThrottle(msgspec.Struct, frozen=True):
    """A throttle that a match has started on one session."""

    rule: str
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
        self.quarantined: dict[str, str] = {}
        """Rule by identity: no CSMS command reaches these."""


class _Values:
    """The values of the root names for one message, each made when first needed."""

    __slots__ = ("_facts", "_made", "_now", "message", "session", "transactions")

    def __init__(self, message: Message, session: SessionFacts, transactions: Transactions, now: float) -> None:
        self.message = message
        self.session = session
        self.transactions = transactions
        self._now = now
        self._made: dict[str, Any] = {}
        self._facts: Facts | None = None

    def get(self, name: str, rule: CompiledRule) -> Any:
        if name == "payload":
            return self.message.payload
        if name == "params":
            return rule.params
        if name == "sets":
            return rule.sets
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._make(name)
        return made

    def _make(self, name: str) -> Any:
        message = self.message
        match name:
            case "facts":
                return Facts(message.action, message.payload)
            case "tx":
                asked = message.payload if message.request is None else message.request.payload
                return self.transactions.view(message.action, asked)
            case "now":
                return from_unix(int(self._now))
            case "msg":
                return message
            case "req":
                return message.request
            case _:
                return self.session


def _run(program: Program, values: _Values, rule: CompiledRule) -> Any:
    return program.test(*(values.get(name, rule) for name in program.names))


def _matches(rule: CompiledRule, values: _Values) -> tuple[bool, str]:
    """(whether the conditions hold, the failing sub-expression where they could not be evaluated)."""
    try:
        if rule.when is not None and not _run(rule.when, values, rule):
            return False, ""
        if rule.unless is not None and _run(rule.unless, values, rule):
            return False, ""
    except EvaluationError as error:
        return rule.rule.matches_on_error, printable(error.text or error.reason, 120)
    return True, ""


def _excepted(rule: CompiledRule, values: _Values, now: float) -> str:
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
        try:
            if item.when is None or _run(item.when, values, rule):
                return exemption.owner
        except EvaluationError:
            continue
    return ""


def _key(rule: CompiledRule, values: _Values) -> str:
    parts = [str(_run(program, values, rule)) for program in rule.counter_key]
    return "\0".join([rule.state_key, *parts])[:_MAX_KEY_CHARS]


def _counted(rule: CompiledRule, values: _Values, state: PolicyState, now: float) -> tuple[bool, FleetAsk | None]:
    """(whether the counter is exceeded, a question for control). Draws on the counter."""
    counter: Counter | None = rule.rule.counter
    if counter is None:
        return True, None
    try:
        key = _key(rule, values)
        value = _run(rule.counter_of, values, rule) if rule.counter_of is not None else ""
    except EvaluationError:
        return rule.rule.matches_on_error, None
    if counter.fleet:
        amount = float(value) if counter.kind == "sum" and isinstance(value, int | float) else 0.0
        return False, FleetAsk(_match(rule, values, "", now), key, str(value)[:_MAX_KEY_CHARS], amount)
    limit, window_s = counter.limit, counter.window_s
    if counter.kind == "rate":
        return not state.rates.take(key, int(limit), window_s, now), None
    if counter.kind == "distinct":
        return not state.distinct.take(key, str(value), int(limit), window_s, now), None
    return not state.sums.take(key, float(value), limit, window_s, now), None


def _why(rule: CompiledRule, values: _Values) -> str:
    if rule.message is None:
        return ""
    shown: str = rule.message.render({name: values.get(name, rule) for name in rule.message.names})
    return shown


def _throttled(message: Message, session: SessionFacts, state: PolicyState, now: float) -> Verdict | None:
    """The answer of an active throttle, None if there is none or it lets this message through."""
    active = state.throttles.get(session.identity)
    if not active:
        return None
    for rule, throttle in list(active.items()):
        if now >= throttle.until:
            del active[rule]
        elif message.action in throttle.actions:
            key = f"throttle\0{rule}\0{session.identity}\0{message.action}"
            if not state.rates.take(key, throttle.limit, throttle.window_s, now):
                return Verdict(Effect.THROTTLE, rule, throttle.response)
    return None


def decide(
    view: View,
    message: Message,
    transactions: Transactions,
    state: PolicyState,
    now: float,
) -> Verdict:
    """Judge one message. `now`: seconds since the epoch. Raises nothing that a peer could cause."""
    session = view.session
    if message.request is None and state.throttles:
        throttled = _throttled(message, session, state, now)
        if throttled is not None:
            return throttled
    rules = view.rules(message.origin, message.phase, message.action)
    if not rules:
        return ALLOWED
    session.now = now
    values = _Values(message, session, transactions, now)
    plain: list[RuleMatch] = []
    counting: list[tuple[CompiledRule, str]] = []
    for rule in rules:
        holds, error = _matches(rule, values)
        if not holds:
            continue
        if rule.rule.counter is not None:
            counting.append((rule, error))
        else:
            plain.append(_match(rule, values, error, now))
    return _combine(plain, counting, values, state, now)


def _match(rule: CompiledRule, values: _Values, error: str, now: float) -> RuleMatch:
    exception = _excepted(rule, values, now) if rule.exemptions else ""
    return RuleMatch(rule.rule, rule.enforced and not exception, _why(rule, values), exception, error)


def _combine(
    plain: list[RuleMatch],
    counting: list[tuple[CompiledRule, str]],
    values: _Values,
    state: PolicyState,
    now: float,
) -> Verdict:
    """Steps 3 to 5."""
    if not plain and not counting:
        return ALLOWED
    refused = any(match.enforced and match.rule.effect.restrictive for match in plain)
    asks: list[FleetAsk] = []
    for rule, error in counting if not refused else ():
        exceeded, ask = _counted(rule, values, state, now)
        if ask is not None:
            asks.append(ask)
        elif exceeded:
            plain.append(_match(rule, values, error, now))
            _start_throttle(rule, plain[-1], values.session, state, now)
    winner = max((m for m in plain if m.enforced), key=_weight, default=None)
    if winner is None:
        return Verdict(None, matches=tuple(plain), asks=tuple(asks))
    for match in plain:
        if match.enforced and (match.rule.effect is Effect.QUARANTINE or "quarantine" in match.rule.then):
            state.quarantined[values.session.identity] = match.rule.id
    effect = winner.rule.effect
    if effect is Effect.THROTTLE:
        # The throttle holds for later messages; the one that started it has already happened.
        effect = Effect.ALERT
    return Verdict(effect, winner.rule.id, winner.rule.response, tuple(plain), tuple(asks))


def _start_throttle(
    rule: CompiledRule, match: RuleMatch, session: SessionFacts, state: PolicyState, now: float
) -> None:
    throttle = rule.rule.throttle
    if throttle is None or not match.enforced:
        return
    state.throttles.setdefault(session.identity, {})[rule.rule.id] = ActiveThrottle(
        rule=rule.rule.id,
        actions=frozenset(throttle.actions),
        limit=throttle.limit,
        window_s=throttle.window_s,
        until=now + throttle.for_s,
        response=throttle.response,
    )


def _weight(match: RuleMatch) -> tuple[int, int, str]:
    """Rank, severity, and the smaller id last so that `max` prefers it."""
    rule = match.rule
    inverted = "".join(chr(0x10FFFF - ord(char)) for char in rule.id)
    return (int(rule.effect), _SEVERITY[rule.severity], inverted)


def settle(verdict: Verdict, answers: Mapping[str, bool]) -> Verdict:
    """The verdict once control has answered its questions: `answers` says by rule whether the budget was kept."""
    exceeded = tuple(ask.match for ask in verdict.asks if not answers.get(ask.rule.id, False))
    matches = verdict.matches + exceeded
    winner = max((m for m in matches if m.enforced), key=_weight, default=None)
    if winner is None:
        return Verdict(None, matches=matches)
    return Verdict(winner.rule.effect, winner.rule.id, winner.rule.response, matches)
