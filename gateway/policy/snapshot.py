"""A snapshot: everything loaded, immutable, with an index. Sessions get a view of it; a message uses the one it began with.

Expressions are compiled when a session first needs them, per (version, action): a rule that no connected charge point can
meet costs nothing. That all of them *can* be compiled has been checked by whoever made the snapshot (`gateway.policy.lint`).
Loading a thousand rules costs milliseconds, compiling one costs one: `in_steps` and `prepare` do it bit by bit, for whoever
has live sessions to serve meanwhile.
"""

import datetime
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.ocpp.actions import lookup
from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile
from gateway.policy.cel import (
    BOOL,
    DYN,
    CheckedTemplate,
    Program,
    check,
    check_template,
    compile_program,
    parse,
    parse_template,
)
from gateway.policy.classes import expand
from gateway.policy.guards import Guard, guard_of
from gateway.policy.rules import Exemption, Mode, Pack, ParameterValue, Phase, Rule
from gateway.policy.scopes import Scopes, params_type, sets_type
from gateway.policy.session import SessionFacts
from gateway.policy.site import SitePolicy
from gateway.policy.tallies import Tally

__all__ = ["Cohort", "CompiledExemption", "CompiledRule", "Snapshot", "View", "in_rollout", "mismatches"]

_MAX_PERCENT: Final = 100.0
_MAX_COHORTS: Final = 10_000
_MAX_COMPILED: Final = 100_000
Key = tuple[Origin, Phase, str, OCPPVersion, str]
_CohortKey = tuple[OCPPVersion, str, SecurityProfile, str, str, tuple[tuple[str, bool], ...]]


class CompiledExemption(msgspec.Struct, frozen=True):
    """An exception with its condition ready to run."""

    exemption: Exemption
    when: Program | None


class CompiledRule:
    """A rule ready to run for one (version, action) and the parameters of one group."""

    __slots__ = (
        "counter_key", "counter_of", "enforced", "exemptions", "guard", "limit", "message", "params", "rule", "sets",
        "state_key", "tally", "unless", "when", "window_s",
    )  # fmt: skip

    def __init__(
        self, rule: Rule, params: dict[str, Any], sets: dict[str, frozenset[str]], tally: Tally, *, enforced: bool
    ) -> None:
        self.rule = rule
        self.tally = tally
        """Shared by all that are made of the same rule."""
        self.params = params
        self.sets = sets
        self.enforced = enforced
        self.when: Program | None = None
        self.guard: Guard | None = None
        """Of `when`."""
        self.unless: Program | None = None
        self.message: CheckedTemplate | None = None
        self.counter_key: tuple[Program, ...] = ()
        self.counter_of: Program | None = None
        self.exemptions: tuple[CompiledExemption, ...] = ()
        self.limit, self.window_s = _limit_of(rule, params)
        self.state_key = ""

    def programs(self) -> tuple[Program, ...]:
        """Every expression of the rule itself."""
        found = (self.when, self.unless, *self.counter_key, self.counter_of)
        return tuple(program for program in found if program is not None)


def _limit_of(rule: Rule, params: Mapping[str, Any]) -> tuple[float, float]:
    """(limit, seconds) of the counter, from its parameters where it names some."""
    counter = rule.counter
    if counter is None:
        return 0.0, 0.0
    limit = params[counter.limit_param] if counter.limit_param else counter.limit
    window: Any = params[counter.window_param] if counter.window_param else counter.window_s
    return float(limit), window.total_seconds() if isinstance(window, datetime.timedelta) else float(window)


def _state_key(compiled: CompiledRule) -> str:
    """Counters belong to a rule and what it is made of: a reload that touches none of it resets nothing."""
    rule, counter = compiled.rule, compiled.rule.counter
    used = {
        path[1] for program in compiled.programs() for path in program.uses if path[0] == "params" and len(path) > 1
    }
    if counter is not None:
        used |= {counter.limit_param, counter.window_param} - {""}
    values = [(name, repr(compiled.params.get(name))) for name in sorted(used)]
    text = repr((rule.id, rule.when, rule.unless, counter, values))
    return rule.id + "#" + hashlib.sha256(text.encode()).hexdigest()[:12]


class Snapshot:
    """Everything loaded. `revision` is the SHA-256 of what was loaded, given by the caller."""

    def __init__(
        self, revision: str, packs: Iterable[Pack], site: SitePolicy, scopes: Mapping[OCPPVersion, Scopes]
    ) -> None:
        for _ in self._load(revision, packs, site, scopes):
            pass

    @classmethod
    def in_steps(
        cls, revision: str, packs: Iterable[Pack], site: SitePolicy, scopes: Mapping[OCPPVersion, Scopes]
    ) -> tuple["Snapshot", Iterator[None]]:
        """(a snapshot, the steps to take before it may be used)."""
        snapshot = cls.__new__(cls)
        return snapshot, snapshot._load(revision, packs, site, scopes)  # noqa: SLF001  its own

    def _load(
        self, revision: str, packs: Iterable[Pack], site: SitePolicy, scopes: Mapping[OCPPVersion, Scopes]
    ) -> Iterator[None]:
        self.revision = revision
        self.packs = tuple(map(site.staged, packs))
        self.site = site
        self._scopes = scopes
        self._pack_of = {pack.name: pack for pack in self.packs}
        self._types = {pack.name: (params_type(pack.parameters), sets_type(pack.sets)) for pack in self.packs}
        self._compiled: dict[tuple[str, OCPPVersion, str, str, bool], CompiledRule] = {}
        self._cohorts: dict[_CohortKey, Cohort] = {}
        self.tallies: dict[str, Tally] = {}
        """Of every rule that somebody has met, by its id."""
        self._index: dict[tuple[OCPPVersion, Origin, Phase, str], list[Rule]] = {}
        self._exemptions: dict[str, list[Exemption]] = {}
        self._vendors: set[str] = set()
        self._models: set[str] = set()
        self.reads_power = False
        """True if some rule asks for the power between readings, so that readings have to be remembered."""
        self._singling: list[Rule] = []
        """Rules that concern some charge points by their identity."""
        for pack in self.packs:
            for exemption in pack.exemptions:
                self._exemptions.setdefault(exemption.rule, []).append(exemption)
                self.reads_power |= "power_w" in exemption.when
            for rule in pack.rules:
                self._add(rule)
                yield

    def _add(self, rule: Rule) -> None:
        self._vendors.update(rule.match.vendors)
        self._models.update(rule.match.models)
        self.reads_power = self.reads_power or any("power_w" in text for text in _texts_of(rule))
        if rule.match.identities or rule.rollout.percent < _MAX_PERCENT:
            self._singling.append(rule)
        for version in rule.match.versions:
            for action in expand(rule.match.actions, version):
                for origin in rule.match.origins:
                    self._index.setdefault((version, origin, rule.match.phase, action), []).append(rule)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule of every pack."""
        return tuple(rule for pack in self.packs for rule in pack.rules)

    def candidates(self, version: OCPPVersion, origin: Origin, phase: Phase, action: str) -> list[Rule]:
        """The rules whose static part speaks of this kind of message; of results: of this call."""
        own = self._index.get((version, origin, phase, action), [])
        return own + self._index.get((version, origin, phase, "*"), [])

    def view(self, session: SessionFacts) -> "View":
        """What of this snapshot concerns one session."""
        return View(self, session)

    # -- compiling

    def prepare(self, before: "Snapshot") -> Iterator[None]:
        """Find and compile, step by step, the rules for every kind of message that sessions have met under `before`."""
        for cohort in list(before._cohorts.values()):  # noqa: SLF001  one of us
            for origin, phase, action, version, state in list(cohort.rules):
                view = View(self, msgspec.structs.replace(cohort.sample, boot_state=state))
                yield from view.prepare(origin, phase, action, version)
                yield

    def compile(self, rule: Rule, version: OCPPVersion, action: str, group: str, mode_enforced: bool) -> CompiledRule:
        """A rule for one kind of message and group. Raises ExpressionInvalid or ValueError if it was never checked."""
        key = (rule.id, version, action, group, mode_enforced)
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compile(rule, version, action, group, mode_enforced)
            if len(self._compiled) < _MAX_COMPILED:
                self._compiled[key] = compiled
        return compiled

    def cohort(self, session: SessionFacts) -> "Cohort":
        """The sessions that have the same rules as this one.

        Vendor and model are claims of the charge point: only those that some rule names tell cohorts apart.
        """
        key = (
            session.version,
            session.group,
            session.security_profile,
            session.vendor if session.vendor in self._vendors else "",
            session.model if session.model in self._models else "",
            tuple([(rule.id, in_rollout(rule, session)) for rule in self._singling if _speaks_of(rule, session)]),
        )
        found = self._cohorts.get(key)
        if found is None:
            found = Cohort(msgspec.structs.replace(session))
            if len(self._cohorts) < _MAX_COHORTS:
                self._cohorts[key] = found
        return found

    def _compile(self, rule: Rule, version: OCPPVersion, action: str, group: str, mode_enforced: bool) -> CompiledRule:
        pack = self._pack_of[rule.pack]
        params = {
            item.name: _value(self._parameter(item.name, group, item.value_for(group)), item.type)
            for item in pack.parameters
        }
        compiled = CompiledRule(
            rule, params, pack.sets, self.tallies.setdefault(rule.id, Tally()), enforced=mode_enforced
        )
        scope = self._scopes[version].scope(action, rule.match.phase, *self._types[rule.pack])

        def program(text: str, *, boolean: bool = True) -> Program | None:
            if not text:
                return None
            report = check(parse(text), scope, BOOL if boolean else DYN)
            if report.checked is None:
                raise ValueError(f"{rule.id}: {report.findings}")
            return compile_program(report.checked)

        compiled.when = program(rule.when)
        compiled.guard = None if compiled.when is None else guard_of(compiled.when.checked, compiled.when.budget)
        compiled.unless = program(rule.unless)
        if rule.message:
            compiled.message = check_template(parse_template(rule.message), scope).checked
        if rule.counter is not None:
            keys = (program(text, boolean=False) for text in rule.counter.key)
            compiled.counter_key = tuple(key for key in keys if key is not None)
            compiled.counter_of = program(rule.counter.of, boolean=False)
        exemptions = self._exemptions.get(rule.id, [])
        compiled.exemptions = tuple(CompiledExemption(item, program(item.when)) for item in exemptions)
        compiled.state_key = _state_key(compiled)
        return compiled

    def _parameter(self, name: str, group: str, default: ParameterValue) -> ParameterValue:
        chosen = self.site.parameter(group, name)
        return default if chosen is None else chosen


def _value(value: ParameterValue, kind: str) -> Any:
    """A parameter as expressions see it."""
    if kind == "duration" and isinstance(value, int | float):
        return datetime.timedelta(seconds=value)
    return list(value) if isinstance(value, tuple) else value


class Cohort:
    """Sessions with the same rules, and what has been found out for them, by kind of message. Thousands share one."""

    __slots__ = ("rules", "sample")

    def __init__(self, sample: SessionFacts) -> None:
        self.sample = sample
        """The facts of one of them, as they were."""
        self.rules: dict[Key, tuple[CompiledRule, ...]] = {}


class View:
    """The rules of one session by kind of message, found and compiled at first use by one of its cohort."""

    __slots__ = ("cohort", "listed_only", "session", "snapshot")

    def __init__(self, snapshot: Snapshot, session: SessionFacts) -> None:
        self.snapshot = snapshot
        self.session = session
        self.listed_only = snapshot.site.stance(session.group) == "allow-listed"
        """True if a message needs an `allow` rule to pass."""
        self.cohort = snapshot.cohort(session)

    def rules(
        self, origin: Origin, phase: Phase, action: str, version: OCPPVersion | None = None
    ) -> tuple[CompiledRule, ...]:
        """What has to be asked about such a message. One dict access once known. `version`: where not the session's."""
        key = (origin, phase, action, version or self.session.version, self.session.boot_state)
        known = self.cohort.rules
        found = known.get(key)
        if found is None:
            found = tuple(self._find(origin, phase, action, version or self.session.version))
            if lookup(version or self.session.version, action) is not None:  # there are only so many
                known[key] = found
        return found

    def forget(self) -> None:
        """Something static about the session has changed (BootNotification told its model)."""
        self.cohort = self.snapshot.cohort(self.session)

    def mode(self, rule: Rule) -> Mode:
        """In which mode a rule runs for this session; outside its rollout it only watches."""
        mode = self.snapshot.site.mode(self.session.group, rule.id, rule.mode, rule.level)
        return "monitor" if mode == "enforce" and not in_rollout(rule, self.session) else mode

    def _find(self, origin: Origin, phase: Phase, action: str, version: OCPPVersion) -> Iterator[CompiledRule]:
        session, snapshot = self.session, self.snapshot
        for rule in snapshot.candidates(version, origin, phase, action):
            mode = self.mode(rule)
            if mode != "off" and not mismatches(rule, session):
                yield snapshot.compile(rule, version, action, session.group, mode == "enforce")

    def prepare(self, origin: Origin, phase: Phase, action: str, version: OCPPVersion) -> Iterator[None]:
        """Compile one by one what `rules` will give."""
        for _ in self._find(origin, phase, action, version):
            yield
        self.rules(origin, phase, action, version)


def _texts_of(rule: Rule) -> Iterator[str]:
    """Every expression and template of a rule."""
    yield from (rule.when, rule.unless, rule.message)
    if rule.counter is not None:
        yield from (*rule.counter.key, rule.counter.of)


def _speaks_of(rule: Rule, session: SessionFacts) -> bool:
    return not rule.match.identities or session.identity in rule.match.identities


def mismatches(rule: Rule, session: SessionFacts) -> list[tuple[str, str, str]]:
    """(field of `match`, what it wants, what the session is) of everything about a session that a rule does not want."""
    match = rule.match
    asked: tuple[tuple[str, tuple[Any, ...], Any], ...] = (
        ("identity", match.identities, session.identity),
        ("group", match.groups, session.group),
        ("vendor", match.vendors, session.vendor),
        ("model", match.models, session.model),
        ("security_profile", match.security_profiles, session.security_profile),
        ("state", match.states, session.boot_state),
    )
    return [
        (name, ", ".join(map(str, wanted)), str(is_)) for name, wanted, is_ in asked if wanted and is_ not in wanted
    ]


def in_rollout(rule: Rule, session: SessionFacts) -> bool:
    """Whether the part of the fleet that has a rule enforced includes this charge point."""
    rollout = rule.rollout
    if rollout.groups and session.group not in rollout.groups:
        return False
    if rollout.percent >= _MAX_PERCENT:
        return True
    digest = hashlib.sha256(f"{rule.id}\0{session.identity}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 * _MAX_PERCENT < rollout.percent
