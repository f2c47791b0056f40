"""Runs the cases of a pack against what is loaded: the runner behind ``ocpp-gateway policy test``. Pure, with a virtual clock.

A rule is proven by a case that names it and makes it match, and by a judged step where it was asked and did not match. A
case that names a rule that does not exist, executes no step, or gets another outcome than it says is a failure.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.ocpp.schema_gate import SchemaGate
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.budgets import FleetBudgets
from gateway.policy.conversation import Conversation, NotJudged
from gateway.policy.engine import PolicyState, decide, settle
from gateway.policy.findings import Findings
from gateway.policy.reading import read_parameter_value
from gateway.policy.responses import answer_to
from gateway.policy.rules import Effect, ParameterValue, Phase
from gateway.policy.scopes import Scopes
from gateway.policy.session import Message, SessionFacts
from gateway.policy.site import GroupPolicy, SitePolicy
from gateway.policy.snapshot import Snapshot, View
from gateway.policy.trial_reading import After, Case, Expect, Step
from gateway.policy.verdict import ALLOWED, Verdict

__all__ = ["CaseResult", "Failure", "TrialResult", "run_trial"]

_READABLE_ANSWER = msgspec.json.Decoder().decode
_LAST_MOMENT = 253_370_764_800.0
"""9999-01-01: no clock goes on behind it."""


class Failure(msgspec.Struct, frozen=True):
    """Something that was not as a case says."""

    message: str
    step: int = -1
    """Index of the step, -1: the case as a whole."""
    repeat: int = 0


class CaseResult(msgspec.Struct, frozen=True):
    """What came of one case."""

    name: str
    index: int
    steps: int
    """Executed, over all repeats."""
    failures: tuple[Failure, ...]
    fired: frozenset[str] = frozenset()
    """Rules that the case names and that matched."""
    quiet: frozenset[str] = frozenset()
    """Rules that were asked in a judged step and did not match."""


class TrialResult(msgspec.Struct, frozen=True):
    """What came of all cases of a pack."""

    pack: str
    revision: str
    cases: tuple[CaseResult, ...]
    unproven: tuple[tuple[str, str], ...]
    """(rule, what is missing) of rules of the pack without a firing or a non-firing case: P090."""

    @property
    def passed(self) -> bool:
        """True if every case came out as it says and every rule is proven."""
        return bool(self.cases) and not self.unproven and not any(case.failures for case in self.cases)


class _Station(msgspec.Struct):
    """One charge point of a case."""

    conversation: Conversation
    view: View


class _Seen(msgspec.Struct):
    """What a step came to."""

    verdict: Verdict = ALLOWED
    forwarded: bool = True
    answer: bytes | None = None
    gate: str = ""
    asked: frozenset[str] = frozenset()
    """Rules that were evaluated."""


class _World:
    """Everything one case needs: charge points, clock, counters, control's budgets."""

    def __init__(self, case: Case, snapshot: Snapshot, gates: Mapping[OCPPVersion, SchemaGate]) -> None:
        self.case = case
        self.now = case.start
        self._snapshot = snapshot
        self._gates = gates
        self._state = PolicyState()
        self._budgets = FleetBudgets()
        self._stations: dict[str, _Station] = {}

    def station(self, identity: str) -> _Station:
        found = self._stations.get(identity)
        if found is None:
            given = self.case.session
            session = SessionFacts(
                identity=identity,
                group=given.group,
                version=given.version,
                ip=given.ip,
                security_profile=given.security_profile,
                serial=given.serial or identity,
                vendor=given.vendor,
                model=given.model,
                firmware=given.firmware,
                boot_state=given.boot_state,
                opened_at=self.case.start,
                now=self.now,
                maintenance_groups={given.group} if given.in_maintenance else frozenset(),
            )
            found = self._stations[identity] = _Station(
                Conversation(session, self._state.set_points, self._state.boot_times), self._snapshot.view(session)
            )
            found.conversation.transactions.history_complete = given.history_complete
        return found

    def run(self, step: Step, repeat: int) -> tuple[_Seen, str]:
        """(what it came to, what is wrong with the frame)."""
        self.now = min(self.now + step.after_s, _LAST_MOMENT)
        identity = (step.identity or self.case.session.identity).replace("{n}", str(repeat))
        station = self.station(identity)
        data = step.frame.replace("{n}", str(repeat)).encode("utf-8", "surrogatepass")
        try:
            message = station.conversation.message(step.origin, data, self.now)
        except NotJudged as refused:
            return _Seen(forwarded=False, gate=refused.event), ""
        wrong = "" if step.schema_broken else self._schema(message)
        return self._judge(station, message), wrong

    def _schema(self, message: Message) -> str:
        version = message.version or self.case.session.version
        if message.phase is Phase.ERROR:
            return ""
        kind: Any = "result" if message.phase is Phase.RESULT else "call"
        violation = self._gates[version].check(message.action, kind, message.payload)
        if violation is None:
            return ""
        return f"the frame breaks the schema ({violation.keyword} at {violation.path or 'the top'}); if meant: schema: broken"

    def _judge(self, station: _Station, message: Message) -> _Seen:
        view, conversation = station.view, station.conversation
        rules = view.rules(message.origin, message.phase, message.action, message.version)
        verdict = decide(view, message, conversation.transactions, self._state, self.now)
        if verdict.asks:
            answers = self._budgets.answers(verdict.asks, self.case.session.online, self.now)
            verdict = settle(verdict, answers, view.session, self._state, self.now)
        answer = None
        if verdict.passes:
            conversation.passed(message, self.now)
        elif message.phase is Phase.CALL:
            version = view.session.version
            effect = verdict.effect or Effect.DENY
            gate = self._gates[version]
            answer = answer_to(version, message.id, conversation.outer, effect, verdict.response, gate)
        return _Seen(verdict, verdict.passes, answer, "", frozenset(rule.rule.id for rule in rules))


def run_trial(
    pack: str,
    cases: Iterable[Case],
    snapshot: Snapshot,
    gates: Mapping[OCPPVersion, SchemaGate],
    scopes: Mapping[OCPPVersion, Scopes],
) -> TrialResult:
    """Run all cases. `snapshot`: the loaded bundle that holds the pack and everything it includes."""
    results = tuple(_run_case(case, snapshot, gates, scopes) for case in cases)
    return TrialResult(pack, snapshot.revision, results, _unproven(pack, results, snapshot))


def _unproven(pack: str, results: Iterable[CaseResult], snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    results = list(results)
    fired = {rule for result in results if not result.failures for rule in result.fired}
    quiet = {rule for result in results if not result.failures for rule in result.quiet}
    found = []
    for rule in snapshot.rules:
        if rule.pack != pack:
            continue
        missing = [word for word, ids in (("firing", fired), ("non-firing", quiet)) if rule.id not in ids]
        if missing:
            found.append((rule.id, f"no {' and no '.join(missing)} case"))
    return tuple(found)


def _snapshot_for(
    case: Case, snapshot: Snapshot, scopes: Mapping[OCPPVersion, Scopes], failures: list[Failure]
) -> Snapshot:
    """The loaded bundle with the case's parameters and modes."""
    if not case.params and not case.modes:
        return snapshot
    kinds = {parameter.name: parameter.type for pack in snapshot.packs for parameter in pack.parameters}
    values: dict[str, ParameterValue] = dict(snapshot.site.everyone.params)
    for name, value in case.params.items():
        findings = Findings()
        if name not in kinds:
            failures.append(Failure(f"no loaded pack has a parameter {name}"))
            continue
        values[name] = read_parameter_value(value, kinds[name], ("params", name), findings)
        failures += [Failure(f"parameter {name} {finding.message}") for finding in findings.all]
    known = {rule.id for rule in snapshot.rules}
    failures += [Failure(f"mode of a rule that does not exist: {rule}") for rule in case.modes if rule not in known]
    modes = {**snapshot.site.everyone.modes, **case.modes}
    everyone: GroupPolicy = msgspec.structs.replace(snapshot.site.everyone, params=values, modes=modes)
    site: SitePolicy = msgspec.structs.replace(snapshot.site, everyone=everyone)
    return Snapshot(snapshot.revision, snapshot.packs, site, scopes)


def _no_rule(rule: str, snapshot: Snapshot) -> Failure:
    close = difflib.get_close_matches(rule, _ids(snapshot), n=1, cutoff=0.6)
    return Failure(f"there is no rule {rule!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))


def _run_case(
    case: Case, snapshot: Snapshot, gates: Mapping[OCPPVersion, SchemaGate], scopes: Mapping[OCPPVersion, Scopes]
) -> CaseResult:
    failures = [_no_rule(rule, snapshot) for rule in sorted(_named(case) - _ids(snapshot))]
    adapted = _snapshot_for(case, snapshot, scopes, failures)
    if failures:
        return CaseResult(case.name, case.index, 0, tuple(failures))
    world = _World(case, adapted, gates)
    fired: set[str] = set()
    quiet: set[str] = set()
    first: dict[str, tuple[int, str]] = {}
    """By rule: the repeat of its first match, and its event."""
    executed = 0
    always = frozenset(rule.id for rule in snapshot.rules if not (rule.when or rule.unless or rule.counter))
    for repeat in range(1, case.repeat + 1):
        for index, step in enumerate(case.steps):
            seen, wrong = world.run(step, repeat)
            executed += 1
            matched = {match.rule.id: match.rule.event for match in seen.verdict.matches}
            for rule, event in matched.items():
                first.setdefault(rule, (repeat, event))
            said = [wrong] if wrong else []
            if step.expect is not None:
                said += _differences(step.expect, seen, matched, always)
                fired.update(rule for rule in step.expect.rules if rule in matched)
                quiet |= seen.asked - matched.keys()
                quiet |= always.intersection(step.expect.quiet) - matched.keys()
            elif seen.gate not in ("", "rpc.unsolicited_result"):  # answers to refused calls may stand in a story
                said.append(f"refused by a gate before any rule: {seen.gate}")
            failures += [Failure(text, index, repeat) for text in said]
    for after in case.after:
        failures += [Failure(text) for text in _unmet(after, first)]
        if not after.never and after.rule in first:
            fired.add(after.rule)
            if after.not_before_repeat > 1:
                quiet.add(after.rule)
        if after.never and after.rule not in first:
            quiet.add(after.rule)
    if executed == 0:
        failures.append(Failure("no step was executed"))
    return CaseResult(case.name, case.index, executed, tuple(failures[:20]), frozenset(fired), frozenset(quiet))


def _ids(snapshot: Snapshot) -> set[str]:
    return {rule.id for rule in snapshot.rules} | {"policy/not-listed"}


def _named(case: Case) -> set[str]:
    expects = [step.expect for step in case.steps if step.expect is not None]
    rules = {rule for expect in expects for rule in (*expect.rules, *expect.quiet)}
    return rules | {after.rule for after in case.after}


def _unmet(after: After, first: Mapping[str, tuple[int, str]]) -> list[str]:
    """What `after` says and did not happen."""
    repeat, event = first.get(after.rule, (0, ""))
    if after.never:
        return [f"{after.rule} matched in repeat {repeat}"] if repeat else []
    if not repeat:
        return [f"{after.rule} never matched"]
    said = []
    if repeat < after.not_before_repeat:
        said.append(f"{after.rule} matched in repeat {repeat}, before {after.not_before_repeat}")
    if after.not_after_repeat and repeat > after.not_after_repeat:
        said.append(f"{after.rule} first matched in repeat {repeat}, after {after.not_after_repeat}")
    if after.event and event != after.event:
        said.append(f"{after.rule} raises {event}, not {after.event}")
    return said


def _differences(expect: Expect, seen: _Seen, matched: Mapping[str, str], always: frozenset[str]) -> list[str]:
    """Everything about a step that is not as expected, in words. `always`: rules that match whenever they are asked."""
    said = []
    effect = seen.verdict.effect
    decision = "gate" if seen.gate else "allow" if effect is None else effect.name.lower()
    if expect.decision and decision != expect.decision and not _both_pass(expect.decision, decision):
        by = f" by {seen.verdict.rule}" if seen.verdict.rule else f" ({seen.gate})" if seen.gate else ""
        said.append(f"{decision}{by}, not {expect.decision}")
    said += [f"{rule} did not match" for rule in expect.rules if rule not in matched]
    if expect.decision not in {"", "allow", "alert", "gate"} and expect.rules and not said:
        enforced = {match.rule.id for match in seen.verdict.matches if match.enforced}
        if not enforced & set(expect.rules):
            said.append(f"refused by {seen.verdict.rule}; {' and '.join(expect.rules)} only watched")
    said += [f"{rule} matched" for rule in expect.quiet if rule in matched]
    said += [f"{rule} was not even asked" for rule in expect.quiet if rule not in seen.asked | always]
    if expect.event and expect.event not in matched.values():
        said.append(f"events {sorted(matched.values())}, not {expect.event}")
    if expect.forwarded is not None and seen.forwarded != expect.forwarded:
        said.append("was forwarded" if seen.forwarded else "was not forwarded")
    return said + _answer_differences(expect, seen.answer)


def _both_pass(expected: str, decision: str) -> bool:
    """An alert lets the message through: `allow` is true of it as well."""
    return expected == "allow" and decision == "alert"


def _answer_differences(expect: Expect, answer: bytes | None) -> list[str]:
    if not expect.code and not expect.status:
        return []
    if answer is None:
        return ["the sender got no answer"]
    frame = _READABLE_ANSWER(answer)
    code = frame[2] if frame[0] != 3 else ""  # noqa: PLR2004
    status = _status_in(frame[2]) if frame[0] == 3 else ""  # noqa: PLR2004
    said = []
    if expect.code and code != expect.code:
        said.append(f"the sender got {code or status or 'a result'}, not {expect.code}")
    if expect.status and status != expect.status:
        said.append(f"the sender got {code or status or 'a result'}, not status {expect.status}")
    return said


def _status_in(payload: Mapping[str, Any]) -> str:
    for holder in (payload, payload.get("idTagInfo"), payload.get("idTokenInfo")):
        if isinstance(holder, dict) and isinstance(holder.get("status"), str):
            return str(holder["status"])
    return ""
