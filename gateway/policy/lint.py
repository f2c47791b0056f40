"""Static checks that need more than one field: expressions against schemas, responses, references between objects, tests.

What a single field can get wrong is found while reading (`gateway.policy.reading`). Codes are listed in
`gateway.policy.findings`; docs/policy.md shows an example of each.
"""

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
from gateway.policy.classes import expand
from gateway.policy.findings import DocumentPath, Findings
from gateway.policy.responses import native_result
from gateway.policy.rules import Pack, Phase, Rule
from gateway.policy.scopes import Scopes, params_type, sets_type

__all__ = ["lint_pack", "lint_references", "pairs_of"]

Pair = tuple[OCPPVersion, str]
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
            continue
        by_pair = {pair: scopes[pair[0]].scope(pair[1], rule.match.phase, params, sets) for pair in pairs}
        for name, text, expected in _expressions(rule):
            _check_expression(text, by_pair, expected, (*path, *name), findings)
            used.update(_parameters_in(text, params))
        if rule.message:
            _check_message(rule.message, by_pair, (*path, "message"), findings)
            used.update(_parameters_in(rule.message, params))
        _check_responses(rule, pairs, gates, path, findings)
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


def _parameters_in(text: str, params: Record) -> set[str]:
    """Names of parameters that a text mentions; enough for 'never used'."""
    return {name for name in params.fields if f"params.{name}" in text}


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


def lint_references(packs: Iterable[Pack], now: float) -> list[tuple[Pack, Findings]]:
    """Checks between packs: exceptions for rules that exist, not expired; rule ids that are unique."""
    packs = list(packs)
    ids: dict[str, str] = {}
    found = []
    for pack in packs:
        findings = Findings()
        for index, rule in enumerate(pack.rules):
            if rule.id in ids and ids[rule.id] != pack.name:
                findings.error("P004", ("rules", index, "id"), f"pack {ids[rule.id]} has a rule {rule.id!r} too")
            ids[rule.id] = pack.name
        found.append((pack, findings))
    for pack, findings in found:
        for index, exemption in enumerate(pack.exemptions):
            if exemption.rule not in ids:
                findings.unknown("P061", ("exceptions", index, "rule"), "rule", exemption.rule, ids)
            if now >= exemption.until:
                findings.warning("P060", ("exceptions", index, "until"), f"expired; {exemption.owner} owns it")
    return found
