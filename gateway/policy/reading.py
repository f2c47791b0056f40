"""From a document (plain values) to a Pack: every field checked, everything wrong noted, nothing guessed.

Expressions are only taken as text here; `gateway.policy.snapshot` checks and compiles them.
"""

from typing import Any, Final, cast, get_args

from gateway.audit.event import Severity
from gateway.ocpp.actions import actions, lookup
from gateway.ocpp.error_codes import meaning_of
from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile
from gateway.policy.classes import CLASSES, expand, is_class
from gateway.policy.fields import Table, read_limit, read_seconds
from gateway.policy.findings import DocumentPath, Findings
from gateway.policy.requirements import read_requirements
from gateway.policy.rules import (
    Counter,
    Effect,
    Exemption,
    Include,
    Match,
    Mode,
    Pack,
    Parameter,
    ParameterType,
    ParameterValue,
    Phase,
    Response,
    Rollout,
    Rule,
    Throttle,
)

__all__ = ["API_VERSION", "read_pack", "read_parameter_value", "read_rollout"]

API_VERSION: Final = "ocpp-gateway/v1"
_DIRECTIONS: Final = {"to_csms": Origin.CHARGE_POINT, "to_station": Origin.CSMS}
"""Where a message goes, by who sent it."""
_EFFECTS: Final = {effect.name.lower(): effect for effect in Effect}
_PHASES: Final = {phase.value: phase for phase in Phase}
_VERSIONS: Final = {version.value: version for version in OCPPVersion}
_SEVERITIES: Final = {word: word for word in get_args(Severity)}
_MODES: Final = {word: word for word in get_args(Mode)}
_STATES: Final = {word: word for word in ("none", "pending", "rejected", "accepted")}
_EVERY_ACTION: Final = frozenset(action.name for version in OCPPVersion for action in actions(version))
_BILLING: Final = CLASSES["@transaction"]
_MAY_LOSE: Final = "may-lose-billing"
_MAX_LEVEL = 4


def read_pack(value: Any, findings: Findings, *, shown_path: str, parse_date: Any) -> Pack:
    """A pack from a document. What is wrong is in `findings`; the result is only fit for use without errors.

    `parse_date`: ISO date text to seconds since the epoch at the end of that day (UTC), raising ValueError.
    """
    table = Table(value, (), findings)
    if not isinstance(value, dict):
        return Pack(name="", version="0", shown_path=shown_path)
    table.must_be("apiVersion", API_VERSION)
    table.must_be("kind", "PolicyPack")
    metadata = table.table("metadata") or Table({}, ("metadata",), findings)
    name = metadata.need("name", str, "")
    version = _version_text(metadata)
    metadata.get("title", str, "")
    requires = read_requirements(metadata)
    metadata.done()
    rules = table.tables("rules", lambda item: _rule(item, name))
    pack = Pack(
        name=name,
        version=version,
        title=str(metadata.values.get("title", "")),
        parameters=_parameters(table.table("params"), findings),
        sets=_sets(table.table("sets")),
        rules=rules,
        exemptions=table.tables("exceptions", lambda item: _exemption(item, parse_date)),
        includes=table.tables("include", _include),
        requires=requires,
        shown_path=shown_path,
    )
    table.done()
    _check_ids(rules, findings)
    return pack


def _version_text(metadata: Table) -> str:
    if "version" in metadata and not isinstance(metadata.values["version"], str):
        metadata.findings.error("P002", ("metadata", "version"), 'write the version as text: "1.0.0"')
        metadata.values = {**metadata.values, "version": "0"}
    return metadata.need("version", str, "0")


def _check_ids(rules: tuple[Rule, ...], findings: Findings) -> None:
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id in seen:
            findings.error("P004", ("rules", index, "id"), f"rule {rule.id!r} is there twice")
        seen.add(rule.id)


# -- parameters and sets


def _parameters(table: Table | None, findings: Findings) -> tuple[Parameter, ...]:
    if table is None:
        return ()
    found = []
    for name in table.values:
        item = table.table(name)
        if item is None:
            continue
        kind = item.choice("type", {word: word for word in get_args(ParameterType)}, "string")
        default = read_parameter_value(item.values.get("default"), kind, (*item.path, "default"), findings)
        item.get("default", object, None)
        found.append(
            Parameter(name=name, type=cast("ParameterType", kind), default=default, help=item.get("help", str, ""))
        )
        item.done()
    table.done()
    return tuple(found)


def read_parameter_value(value: Any, kind: str, path: DocumentPath, findings: Findings) -> ParameterValue:
    """A value of a parameter's type; P070 and an empty value if it is not one. Durations become seconds."""
    if kind.startswith("list<"):
        inner = kind[5:-1]
        if isinstance(value, list):
            items = [read_parameter_value(item, inner, (*path, index), findings) for index, item in enumerate(value)]
            return cast("ParameterValue", tuple(items))
    elif kind == "duration":
        try:
            return read_seconds(str(value))
        except ValueError as error:
            findings.error("P070", path, str(error))
            return 1.0
    elif kind == "name" and isinstance(value, str):
        return value.strip().lower()  # names of OCPP compare without case
    elif isinstance(value, bool):
        if kind == "bool":
            return value
    elif kind == "number" and isinstance(value, int | float):
        return float(value)
    elif isinstance(value, {"int": int, "string": str}.get(kind, ())):
        return cast("ParameterValue", value)
    findings.error("P070", path, f"must be a {kind}, not {value!r}"[:160])
    return () if kind.startswith("list<") else ""


def _sets(table: Table | None) -> dict[str, frozenset[str]]:
    if table is None:
        return {}
    found = {name: frozenset(table.words(name)) for name in table.values}
    table.done()
    return found


# -- rules


def _include(table: Table) -> Include:
    include = Include(
        pack=table.need("pack", str, ""),
        mode=cast("Mode | None", table.choice("mode", {"monitor": "monitor", "enforce": "enforce"}, "") or None),
        rules=table.words("rules"),
    )
    table.done()
    return include


def _rule(table: Table, pack: str) -> Rule:
    identity = table.need("id", str, "")
    if identity.count("/") != 1 or not all(identity.split("/")):
        table.findings.error("P005", (*table.path, "id"), "write it as area/name")
    effect = table.choice("action", _EFFECTS, Effect.ALERT)
    level = table.get("level", int, 1)
    if not 1 <= level <= _MAX_LEVEL:
        table.findings.error("P005", (*table.path, "level"), f"must be 1 to {_MAX_LEVEL}")
    mode = cast("Mode", table.choice("mode", _MODES, "enforce"))
    match = _match(table.table("match"), table)
    rule = Rule(
        id=identity,
        title=table.need("title", str, ""),
        level=level,
        severity=cast("Severity", table.choice("severity", _SEVERITIES, "medium")),
        mode=mode,
        match=match,
        effect=effect,
        when=table.get("when", str, "").strip(),
        unless=table.get("unless", str, "").strip(),
        counter=_counter(table),
        response=_response(table.table("respond")),
        throttle=_throttle(table.table("throttle"), table, effect),
        then=cast("Any", table.each("then", {"alert": "alert", "quarantine": "quarantine"})),
        event=table.get("event", str, "policy.denied" if effect.restrictive else "policy.alert"),
        message=table.get("message", str, ""),
        references=table.words("references"),
        tags=table.words("tags"),
        rollout=read_rollout(table.table("rollout")),
        on_error=cast("Any", table.choice("on_error", {"match": "match", "no-match": "no-match"}, "")),
        redact=_redact(table.table("audit")),
        pack=pack,
    )
    table.done()
    _check_rule(rule, table)
    return rule


def _match(table: Table | None, rule: Table) -> Match:
    if table is None:
        rule.findings.error("P005", rule.path, "match is missing")
        return Match()
    phase = table.choice("phase", _PHASES, Phase.CALL)
    origins = table.each("direction", _DIRECTIONS)
    words = table.words("of" if phase in {Phase.RESULT, Phase.ERROR} else "action")
    if not words and phase in {Phase.RESULT, Phase.ERROR} and "action" in table:
        table.get("action", object, None)
        table.findings.error("P012", (*table.path, "action"), "an answer has no action: say of which calls, with `of`")
    elif not words:
        code = "P012" if phase in {Phase.RESULT, Phase.ERROR} else "P005"
        name = "of: which calls are answered" if code == "P012" else "action"
        table.findings.error(code, table.path, f"{name} is missing")
    match = Match(
        phase=phase,
        origins=frozenset(origins) if origins else frozenset(_DIRECTIONS.values()),
        versions=_read_versions(table),
        actions=words,
        identities=table.words("identity"),
        groups=table.words("group"),
        vendors=table.words("vendor"),
        models=table.words("model"),
        security_profiles=_profiles(table),
        states=cast("Any", table.each("state", _STATES)),
    )
    table.done()
    _refuse_empty(table, "action", "of")
    _check_actions(match, table)
    return match


def _refuse_empty(table: Table, *but: str) -> None:
    """An empty list would be no restriction. In a generated pack it lists whom something is for, and nobody is on it."""
    for name, value in table.values.items():
        if value == [] and name not in but:
            message = "an empty list would mean all there are: leave it out, or name some"
            table.findings.error("P005", (*table.path, name), message)


def _read_versions(table: Table) -> tuple[OCPPVersion, ...]:
    if "version" not in table:
        return tuple(OCPPVersion)
    value = table.values["version"]
    if any(not isinstance(item, str) for item in (value if isinstance(value, list) else [value])):
        table.findings.error("P002", (*table.path, "version"), 'write versions as text: "1.6"')
        table.get("version", object, None)
        return tuple(OCPPVersion)  # or every action would be told as one that does not exist
    return table.each("version", _VERSIONS) or tuple(OCPPVersion)


def _profiles(table: Table) -> tuple[SecurityProfile, ...]:
    value = table.get("security_profile", object, [])
    items = value if isinstance(value, list) else [value]
    known = {int(profile): profile for profile in SecurityProfile}
    if any(isinstance(item, bool) or not isinstance(item, int) or item not in known for item in items):
        table.findings.error("P005", (*table.path, "security_profile"), "must be 1, 2 or 3")
        return ()
    return tuple(known[item] for item in items if isinstance(item, int))


def _check_actions(match: Match, table: Table) -> None:
    for index, word in enumerate(match.actions):
        name = "of" if match.phase in {Phase.RESULT, Phase.ERROR} else "action"
        path = (*table.path, name, index)
        if word == "*":
            continue
        if is_class(word):
            if word not in CLASSES:
                table.findings.unknown("P010", path, "action class", word, CLASSES)
            continue
        if word not in _EVERY_ACTION:
            table.findings.unknown("P010", path, "action", word, [*_EVERY_ACTION, *CLASSES])
        elif not any(_possible(word, version, match) for version in match.versions):
            table.findings.error("P011", path, f"{word} does not exist in that version, phase and direction")


def _possible(action: str, version: OCPPVersion, match: Match) -> bool:
    """Whether this version has the action in this phase, sent in one of the directions."""
    known = lookup(version, action)
    if known is None or known.is_send != (match.phase is Phase.SEND):
        return False
    callers = match.origins
    if match.phase in {Phase.RESULT, Phase.ERROR}:
        callers = frozenset(
            {Origin.CSMS if origin is Origin.CHARGE_POINT else Origin.CHARGE_POINT for origin in callers}
        )
    return bool(known.senders & callers)


def _counter(table: Table) -> Counter | None:
    kinds = [kind for kind in ("rate", "distinct", "sum") if kind in table]
    if len(kinds) > 1:
        table.findings.error("P005", table.path, "one of rate, distinct and sum")
    if not kinds:
        return None
    kind = kinds[0]
    inner = table.table(kind)
    if inner is None:
        return None
    by = inner.words("by")
    limit, window = _limit_and_window(kind, inner)
    counter = Counter(
        kind=cast("Any", kind),
        limit=limit if isinstance(limit, float) else 1.0,
        window_s=window if isinstance(window, float) else 60.0,
        limit_param=limit if isinstance(limit, str) else "",
        window_param=window if isinstance(window, str) else "",
        attempts=inner.choice("count", {"attempts": True, "passed": False}, default=False),
        key=inner.words("key") + tuple(word for word in by if word != "fleet"),
        of=inner.get("of", str, ""),
        fleet="fleet" in by,
        share_of_online=inner.get("share_of_online", float, 0.0),
    )
    inner.done()
    if kind != "rate" and not counter.of:
        table.findings.error("P005", (*table.path, kind), "of is missing: what is counted")
    return counter


def _limit_and_window(kind: str, inner: Table) -> tuple[float | str, float | str]:
    """Numbers, or names of the parameters that hold them."""
    name = "limit" if kind == "rate" else "max"
    value = inner.need(name, object, "1/1m" if kind == "rate" else 1.0)
    if kind == "rate" and "window" not in inner and not is_parameter(value):
        try:
            limit, window_s = read_limit(str(value))
        except ValueError as error:
            inner.findings.error("P005", (*inner.path, name), str(error))
            return 1.0, 60.0
        return float(limit), window_s
    window: float | str = inner.seconds("window", 600.0) if not is_parameter(inner.values.get("window")) else ""
    if not window:
        window = str(inner.get("window", str, "")).removeprefix("params.")
    elif "window" not in inner:
        inner.findings.error("P005", inner.path, "window is missing")
    if is_parameter(value):
        return str(value).removeprefix("params."), window
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value), window
    inner.findings.error("P005", (*inner.path, name), "must be a number above 0, or params.NAME")
    return 1.0, window


def is_parameter(value: object) -> bool:
    """True for ``params.NAME`` in the place of a number."""
    return isinstance(value, str) and value.startswith("params.") and value.removeprefix("params.").isidentifier()


def _response(table: Table | None) -> Response:
    if table is None:
        return Response()
    status = table.get("status", str, "")
    word = table.get("callerror", str, "") or table.get("else_callerror", str, "") or "SecurityError"
    table.get("else_callerror", str, "")
    meaning = meaning_of(word)
    table.done()
    if meaning is None:
        table.findings.error("P005", table.path, f"{word!r} is not a CALLERROR code")
        return Response(status=status)
    return Response(status=status, callerror=meaning)


def _throttle(table: Table | None, rule: Table, effect: Effect) -> Throttle | None:
    if table is None:
        if effect is Effect.THROTTLE:
            rule.findings.error(
                "P005", rule.path, "action throttle needs throttle: which actions, how often, for how long"
            )
        return None
    try:
        limit, window_s = read_limit(str(table.need("limit", object, "1/1m")))
    except ValueError as error:
        table.findings.error("P005", (*table.path, "limit"), str(error))
        limit, window_s = 1, 60.0
    throttle = Throttle(
        actions=table.words("action"),
        limit=limit,
        window_s=window_s,
        for_s=table.seconds("for", 600.0),
        response=_response(table.table("answer")),
    )
    table.done()
    for index, word in enumerate(throttle.actions):
        if word not in (CLASSES if is_class(word) else _EVERY_ACTION):
            table.findings.unknown("P010", (*table.path, "action", index), "action", word, [*_EVERY_ACTION, *CLASSES])
    if not throttle.actions:
        table.findings.error("P005", table.path, "action is missing: what is limited")
    return throttle


def read_rollout(table: Table | None) -> Rollout:
    """The part of the fleet that a rule is enforced in; all of it where nothing is said."""
    if table is None:
        return Rollout()
    _refuse_empty(table)
    rollout = Rollout(groups=table.words("groups"), percent=table.get("percent", float, 100.0))
    if not 0.0 <= rollout.percent <= 100.0:  # noqa: PLR2004
        table.findings.error("P005", (*table.path, "percent"), "must be 0 to 100")
    table.done()
    return rollout


def _redact(table: Table | None) -> tuple[str, ...]:
    if table is None:
        return ()
    redact = table.words("redact")
    table.done()
    return redact


def _check_rule(rule: Rule, table: Table) -> None:
    """What contradicts itself, and what is legal but unwise."""
    findings = table.findings
    if rule.match.phase is Phase.SEND and rule.effect in {Effect.ANSWER, Effect.THROTTLE}:
        findings.error("P031", (*table.path, "action"), "a SEND is never answered: use drop")
    if _MAY_LOSE not in rule.tags and (place := _loses_billing_data(rule)):
        message = f"refuses messages that carry billing data: alert is safer; tag it {_MAY_LOSE} if that is meant"
        findings.warning("P032", (*table.path, place), message)
    if rule.level == 1 and rule.mode == "monitor":
        findings.warning("P080", (*table.path, "mode"), "a level 1 rule that only watches")
    if rule.effect is Effect.ALLOW and "allow-listed" not in rule.tags:
        message = "has an effect only in groups that pass nothing unlisted; tag it allow-listed if that is meant"
        findings.warning("P053", (*table.path, "action"), message)


def _loses_billing_data(rule: Rule) -> str:
    """Which field of a rule makes it refuse a message with billing data, or the answer to one; empty if none does."""
    answered = rule.match.phase in {Phase.RESULT, Phase.ERROR}
    if rule.effect.restrictive and rule.effect is not Effect.THROTTLE:
        sender = Origin.CSMS if answered else Origin.CHARGE_POINT
        if (
            sender in rule.match.origins
            and rule.match.phase is not Phase.SEND
            and _names_billing(rule, rule.match.actions)
        ):
            return "action"
    return "throttle" if rule.throttle is not None and _names_billing(rule, rule.throttle.actions) else ""


def _names_billing(rule: Rule, actions: tuple[str, ...]) -> bool:
    named = {name for version in rule.match.versions for name in _expanded(actions, version)}
    return "*" in named or not _BILLING.isdisjoint(named)


def _expanded(actions: tuple[str, ...], version: OCPPVersion) -> frozenset[str]:
    try:
        return expand(actions, version)
    except KeyError:
        return frozenset()


# -- exceptions


def _exemption(table: Table, parse_date: Any) -> Exemption:
    inner = table.table("match")
    identities, groups = (inner.words("identity"), inner.words("group")) if inner is not None else ((), ())
    if inner is not None:
        _refuse_empty(inner)
        inner.done()
    until = 0.0
    text = str(table.values.get("until", ""))
    table.get("until", object, None)
    try:
        until = float(parse_date(text))
    except ValueError:
        table.findings.error(
            "P060", (*table.path, "until"), "write the last day as YYYY-MM-DD: no exception is for ever"
        )
    exemption = Exemption(
        rule=table.need("rule", str, ""),
        until=until,
        owner=table.need("owner", str, ""),
        reason=table.need("reason", str, ""),
        identities=identities,
        groups=groups,
        when=table.get("when", str, "").strip(),
    )
    if not (identities or groups or exemption.when):
        table.findings.error("P005", table.path, "an exception says for whom: match identity or group, or when")
    table.done()
    return exemption
