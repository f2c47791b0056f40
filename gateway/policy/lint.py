"""Static checks that need more than one field: expressions against schemas, responses, references between objects, tests.

What a single field can get wrong is found while reading (`gateway.policy.reading`). Codes are listed in
`gateway.policy.findings` and docs/policy.md; docs/policy-language.md shows an example of each that is about expressions.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.ocpp.actions import actions, lookup
from gateway.ocpp.schema_gate import SchemaGate
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.policy.cel import (
    BOOL,
    DYN,
    ExpressionInvalid,
    Record,
    Scope,
    Severity,
    Type,
    check_each,
    check_template,
    parse,
    parse_template,
)
from gateway.policy.classes import CLASSES, expand, is_class
from gateway.policy.findings import DocumentPath, Findings
from gateway.policy.responses import native_result
from gateway.policy.rules import Exemption, Pack, Phase, Rule
from gateway.policy.scopes import FACTS, Scopes, params_type, sets_type

__all__ = ["lint_pack", "lint_references", "pairs_of"]

Pair = tuple[OCPPVersion, str]
_SAME_THING: Final = ("@firmware", "@remote_start", "@remote_stop", "@logs", "@trigger")
_PARAMETER: Final = re.compile(r"\bparams\.\??([A-Za-z_][A-Za-z0-9_]*)")
_SOON_S: Final = 14 * 86_400.0
_TO: Final = {Origin.CHARGE_POINT: Origin.CSMS, Origin.CSMS: Origin.CHARGE_POINT}


def pairs_of(rule: Rule) -> list[Pair]:
    """Every (version, action) that a rule's static part speaks of; of results: the calls that are answered."""
    answers = rule.match.phase in {Phase.RESULT, Phase.ERROR}
    callers = frozenset(_TO[origin] for origin in rule.match.origins) if answers else rule.match.origins
    found: list[Pair] = []
    for version in rule.match.versions:
        try:
            names = expand(rule.match.actions, version)
        except KeyError:
            continue
        if "*" in names:
            names = frozenset(action.name for action in actions(version))
        for name in sorted(names):
            known = lookup(version, name)
            if known is not None and known.senders & callers and known.is_send == (rule.match.phase is Phase.SEND):
                found.append((version, name))
    return found


def lint_pack(
    pack: Pack, scopes: Mapping[OCPPVersion, Scopes], gates: Mapping[OCPPVersion, SchemaGate], findings: Findings
) -> None:
    """Check every expression and response of a pack."""
    params, sets = params_type(pack.parameters), sets_type(pack.sets)
    used: set[str] = set()
    for index, rule in enumerate(pack.rules):
        path: DocumentPath = ("rules", index)
        pairs = pairs_of(rule)
        if not pairs:
            _note_impossible(rule, path, findings)
            continue
        by_pair = {pair: scopes[pair[0]].scope(pair[1], rule.match.phase, params, sets) for pair in pairs}
        for name, text, expected in _expressions(rule):
            _check_expression(text, by_pair, expected, (*path, *name), findings)
            used.update(_parameters_in(text, params))
        if rule.message:
            _check_message(rule.message, by_pair, (*path, "message"), findings)
            used.update(_parameters_in(rule.message, params))
        _check_responses(rule, pairs, gates, path, findings)
        _check_members(rule, path, findings)
        used |= _check_counter(rule, pack, (*path, "rate"), findings)
        _check_redaction(rule, path, findings)
    for parameter in pack.parameters:
        if parameter.name not in used:
            findings.warning("P070", ("params", parameter.name), f"parameter {parameter.name} is never used")


def _expressions(rule: Rule) -> Iterator[tuple[DocumentPath, str, Type]]:
    if rule.when:
        yield ("when",), rule.when, BOOL
    if rule.unless:
        yield ("unless",), rule.unless, BOOL
    counter = rule.counter
    if counter is not None:
        for index, text in enumerate(counter.key):
            yield (counter.kind, "key", index), text, DYN
        if counter.of:
            yield (counter.kind, "of"), counter.of, DYN


def _note_impossible(rule: Rule, path: DocumentPath, findings: Findings) -> None:
    """A class without a member in that version, phase and direction; single actions were looked at while reading."""
    if any(is_class(word) and word in CLASSES for word in rule.match.actions):
        findings.error("P011", (*path, "match"), "no action of that class exists in that version, phase and direction")


def _check_members(rule: Rule, path: DocumentPath, findings: Findings) -> None:
    """P052: a rule on some actions of a class whose members all do the same is walked around by the others."""
    if "these-actions-only" in rule.tags:
        return
    named = {word for word in rule.match.actions if not is_class(word)}
    for name in _SAME_THING:
        for version in rule.match.versions:
            there = {member for member in CLASSES[name] if lookup(version, member) is not None}
            covered = named & there
            if covered and covered != there and name not in rule.match.actions and "*" not in rule.match.actions:
                missed = ", ".join(sorted(there - covered))
                findings.warning(
                    "P052", (*path, "match"), f"{missed} does the same in {version}; or tag it these-actions-only", name
                )
                return


def _check_counter(rule: Rule, pack: Pack, path: DocumentPath, findings: Findings) -> set[str]:
    """Parameters that a counter takes its limit and window from. P070 if they do not exist or are no numbers."""
    if rule.counter is None:
        return set()
    kinds = {parameter.name: parameter.type for parameter in pack.parameters}
    wanted = ((rule.counter.limit_param, {"int", "number"}), (rule.counter.window_param, {"duration"}))
    place = (*path[:-1], rule.counter.kind)
    for name, allowed in wanted:
        if name and name not in kinds:
            findings.unknown("P070", place, "parameter", name, kinds)
        elif name and kinds[name] not in allowed:
            findings.error("P070", place, f"params.{name} must be a {' or '.join(sorted(allowed))}")
    return {name for name, _ in wanted if name}


def _check_redaction(rule: Rule, path: DocumentPath, findings: Findings) -> None:
    """A misspelt path would leave a secret in the records."""
    for index, text in enumerate(rule.redact):
        root, _, rest = text.partition(".")
        place = (*path, "audit", "redact", index)
        if root not in ("payload", "facts") or not rest:
            findings.error("P020", place, f"write payload.NAME or facts.NAME, not {text!r}")
        elif root == "facts" and rest.split(".")[0] not in FACTS.fields:
            findings.unknown("P020", place, "fact", rest.split(".")[0], FACTS.fields)


def _parameters_in(text: str, params: Record) -> set[str]:
    """Names of parameters that a text mentions; enough for 'never used'."""
    return {name for name in _PARAMETER.findall(text) if name in params.fields}


def _check_expression(
    text: str, scopes: Mapping[Pair, Scope], expected: Type, path: DocumentPath, findings: Findings
) -> None:
    try:
        report = check_each(
            parse(text), {f"{version} {action}": s for (version, action), s in scopes.items()}, expected
        )
    except ExpressionInvalid as invalid:
        findings.error(invalid.code, path, invalid.message, invalid.suggestion, invalid.offset)
        return
    for finding in report.findings:
        where = f" (for {', '.join(finding.where[:3])}{' and more' if len(finding.where) > 3 else ''})"  # noqa: PLR2004
        message = finding.message + (where if finding.where else "")
        note = findings.error if finding.severity is Severity.ERROR else findings.warning
        note(finding.code, path, message, finding.suggestion, finding.start)


def _check_message(text: str, scopes: Mapping[Pair, Scope], path: DocumentPath, findings: Findings) -> None:
    try:
        template = parse_template(text)
    except ExpressionInvalid as invalid:
        findings.error(invalid.code, path, invalid.message, invalid.suggestion, invalid.offset)
        return
    seen: set[tuple[str, int]] = set()
    for scope in scopes.values():
        for finding in check_template(template, scope).findings:
            if finding.severity is Severity.ERROR and (finding.code, finding.start) not in seen:
                seen.add((finding.code, finding.start))
                findings.error(finding.code, path, finding.message, finding.suggestion, finding.start)


def _check_responses(
    rule: Rule, pairs: Iterable[Pair], gates: Mapping[OCPPVersion, SchemaGate], path: DocumentPath, findings: Findings
) -> None:
    responses = [(rule.response, (*path, "respond"), pairs)]
    if rule.throttle is not None:
        throttled = [(v, a) for v, _ in pairs for a in rule.throttle.actions if lookup(v, a) is not None]
        responses.append((rule.throttle.response, (*path, "throttle", "answer"), throttled))
    for response, place, answered in responses:
        if response.status and rule.match.phase is not Phase.SEND:
            wrong = [p for p in answered if native_result(p[0], p[1], response.status, gates[p[0]]) is None]
            if wrong and len(wrong) == len(list(answered)):
                findings.error("P030", place, f"{response.status!r} is no status of {wrong[0][1]} in {wrong[0][0]}")


def lint_references(
    packs: Iterable[Pack], now: float, scopes: Mapping[OCPPVersion, Scopes] | None = None
) -> list[tuple[Pack, Findings]]:
    """Checks between packs: rule ids and parameters that are unique; exceptions for rules that exist, not expired."""
    packs = list(packs)
    owners: dict[str, tuple[Pack, Rule]] = {}
    parameters: dict[str, tuple[Pack, str]] = {}
    found = []
    for pack in packs:
        findings = Findings()
        for index, rule in enumerate(pack.rules):
            other = owners.setdefault(rule.id, (pack, rule))[0]
            if other is not pack:
                findings.error("P004", ("rules", index, "id"), f"pack {other.name} has a rule {rule.id!r} too")
        for parameter in pack.parameters:
            other, kind = parameters.setdefault(parameter.name, (pack, parameter.type))
            if kind != parameter.type:
                message = f"pack {other.name} has a parameter {parameter.name} of type {kind}: a site sets both by name"
                findings.error("P070", ("params", parameter.name), message)
        found.append((pack, findings))
    for pack, findings in found:
        for index, exemption in enumerate(pack.exemptions):
            path: DocumentPath = ("exceptions", index)
            if exemption.rule not in owners:
                findings.unknown("P061", (*path, "rule"), "rule", exemption.rule, owners)
            elif exemption.when and scopes is not None:
                _check_exemption(exemption, *owners[exemption.rule], scopes, path, findings)
            _check_end(exemption, now, path, findings)
    return found


def _check_end(exemption: Exemption, now: float, path: DocumentPath, findings: Findings) -> None:
    left = exemption.until - now
    if left <= 0:
        findings.warning("P060", (*path, "until"), f"expired; {exemption.owner} owns it")
    elif left < _SOON_S:
        findings.warning("P060", (*path, "until"), f"ends within 14 days; {exemption.owner} owns it")


def _check_exemption(
    exemption: Exemption,
    pack: Pack,
    rule: Rule,
    scopes: Mapping[OCPPVersion, Scopes],
    path: DocumentPath,
    findings: Findings,
) -> None:
    """The condition of an exception is evaluated beside its rule, with the names that the rule has."""
    params, sets = params_type(pack.parameters), sets_type(pack.sets)
    by_pair = {pair: scopes[pair[0]].scope(pair[1], rule.match.phase, params, sets) for pair in pairs_of(rule)}
    _check_expression(exemption.when, by_pair, BOOL, (*path, "when"), findings)
