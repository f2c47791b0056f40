"""Loads rule packs: shipped ones by name, others from files. What is wrong gets its file, line and column.

A bundle is everything that decides: packs with what they include, in the modes that come of it, and the site's values.
Its revision says what was loaded, not from where: two nodes with the same rules have the same revision.
"""

import copy
import datetime
import functools
import importlib.resources
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from gateway import __version__
from gateway.config.ocpp_schemas import load_schemas, schema_gate
from gateway.config.problems import ConfigError, Problem
from gateway.config.suggest import did_you_mean
from gateway.config.yaml_file import YAMLDocument, read_yaml
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.findings import DocumentPath, Finding, Findings
from gateway.policy.lint import lint_pack, lint_references
from gateway.policy.lint_bundle import groups_of_pack, groups_of_site, subsumed_rules
from gateway.policy.reading import read_pack, read_parameter_value
from gateway.policy.requirements import GATEWAY, Unmet, unmet_requirements
from gateway.policy.revision import revision_of
from gateway.policy.rules import Include, Mode, Pack, ParameterValue
from gateway.policy.scopes import Scopes
from gateway.policy.site import GroupPolicy, SitePolicy
from gateway.policy.snapshot import Snapshot

__all__ = [
    "DEFAULT_PACKS",
    "Bundle",
    "PackProblem",
    "load_bundle",
    "load_tests",
    "policy_scopes",
    "read_pack_file",
    "shipped_packs",
]

DEFAULT_PACKS: Final = ("baseline", "observe")
"""What a new installation runs: enforce what is safe in front of any fleet, watch for everything else."""
_PACKAGE: Final = "policies"
_SUFFIX: Final = ".yaml"
_TESTS: Final = ".test.yaml"
_MAX_BYTES: Final = 16_000_000
"""Of a file; more than `read_yaml` takes in any case."""
_REMEMBERED: Final = 128
"""Files that are not read and checked again while their text is the same."""
_IN_EXPRESSIONS: Final = frozenset({"P019", "P020", "P021", "P022", "P023", "P024", "P025", "P040", "P041", "P070"})
_NOBODY: Final = "no charge point is in group {!r}"
_MODES: Final[dict[Mode, int]] = {"off": 0, "monitor": 1, "enforce": 2}


class PackProblem(Problem, frozen=True, kw_only=True):
    """One finding in a pack or in how the site uses it."""

    code: str = ""
    severity: Literal["error", "warning"] = "error"


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Everything loaded. Usable only without errors."""

    packs: tuple[Pack, ...]
    site: SitePolicy
    revision: str
    problems: tuple[PackProblem, ...]

    @property
    def errors(self) -> tuple[PackProblem, ...]:
        """What makes the bundle unusable; the last good one stays in force."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def snapshot(self) -> Snapshot:
        """What decides. Raises ConfigError while there are errors."""
        if self.errors:
            raise ConfigError(list(self.errors))
        return Snapshot(self.revision, self.packs, self.site, policy_scopes())


class _Loaded:
    """One file: its pack, its document and what was found in it."""

    def __init__(self, pack: Pack, document: YAMLDocument, text: str, findings: Findings) -> None:
        self.pack = pack
        self.document = document
        self.lines = text.splitlines()
        self.findings = findings

    def copy(self) -> "_Loaded":
        """The same file for another bundle, which may find more about it."""
        other = copy.copy(self)
        other.findings = Findings()
        other.findings.all = list(self.findings.all)
        return other

    def problems(self) -> list[PackProblem]:
        return [self.problem(finding) for finding in self.findings.all]

    def problem(self, finding: Finding) -> PackProblem:
        line, column = self._place(finding)
        message, suggestion = f"{finding.code} {finding.message}", finding.suggestion
        if " " in suggestion:  # a sentence says for itself what it is
            message, suggestion = f"{message}; {suggestion}", ""
        return PackProblem(
            path=self.document.shown_path,
            message=message,
            line=line,
            column=column,
            key=".".join(map(str, finding.path)),
            suggestion=suggestion,
            code=finding.code,
            severity=finding.severity,
        )

    def _place(self, finding: Finding) -> tuple[int, int]:
        """Where a finding stands: in the value if it is one of an expression, else at the nearest key."""
        positions = self.document.positions
        value = positions.get((*finding.path, "")) or positions.get(finding.path)
        if value is not None and finding.code in _IN_EXPRESSIONS and self._is_text(finding):
            return self._in_scalar(value, finding)
        path = finding.path
        while path and path not in positions:
            path = path[:-1]
        return positions.get(path, (1, 1))

    def _is_text(self, finding: Finding) -> bool:
        value: Any = self.document.value
        for step in finding.path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return False
        return isinstance(value, str)

    def _in_scalar(self, place: tuple[int, int], finding: Finding) -> tuple[int, int]:
        """Exact where the whole scalar stands on its line as it is; the line where it begins otherwise."""
        line, column = place
        written = self.lines[line - 1][column - 1 :] if line <= len(self.lines) else ""
        value: Any = self.document.value
        for step in finding.path:
            value = value[step]
        for quote in ("", '"', "'"):
            if written.startswith(quote + value) and (quote or written[:1] not in "|>"):
                return line, column + len(quote) + finding.offset
        return line, column


@functools.cache
def policy_scopes() -> dict[OCPPVersion, Scopes]:
    """Types of every version's payloads; made once per process."""
    return {version: Scopes(load_schemas(version)) for version in OCPPVersion}


@functools.cache
def shipped_packs() -> tuple[str, ...]:
    """Names of the packs that come with the gateway, e.g. ``firmware`` and ``quirks/alfen``."""
    found = []
    root = importlib.resources.files(_PACKAGE)
    for prefix, directory in (("", root), ("quirks/", root / "quirks")):
        if directory.is_dir():
            found += [prefix + item.name for item in directory.iterdir() if item.name.endswith(_SUFFIX)]
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if not name.endswith(_TESTS)))


def _read_text(name: str) -> tuple[str, str]:
    """(shown path, text) of a shipped pack's name or a path. Raises ConfigError."""
    if name in shipped_packs():
        shown = f"{_PACKAGE}/{name}{_SUFFIX}"
        return shown, (importlib.resources.files(_PACKAGE) / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        hint = did_you_mean(name, shipped_packs())
        problem = PackProblem(
            path=name, message="no such pack: not shipped, and no .yaml file", suggestion=hint, code="P071"
        )
        raise ConfigError([problem])
    return name, read_pack_file(path)


def read_pack_file(path: Path) -> str:
    """The text of a YAML file of the policy. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) <= _MAX_BYTES:
            return data.decode("utf-8-sig")
        why = f"longer than {_MAX_BYTES} bytes"
    except (OSError, ValueError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else "not UTF-8"
    raise ConfigError([PackProblem(path=str(path), message=f"cannot be read: {why}", code="P001")])


def _end_of_day(text: str) -> float:
    day = datetime.date.fromisoformat(text)
    return datetime.datetime.combine(day, datetime.time.max, datetime.UTC).timestamp()


def _load(name: str) -> _Loaded:
    return _read_and_lint(*_read_text(name)).copy()


@functools.lru_cache(maxsize=_REMEMBERED)
def _read_and_lint(shown: str, text: str) -> _Loaded:
    """One file with what is wrong in it alone. Raises ConfigError."""
    document = read_yaml(text, shown)
    findings = Findings()
    pack = read_pack(document.value, findings, shown_path=shown, parse_date=_end_of_day)
    loaded = _Loaded(pack, document, text, findings)
    rules = tuple(
        msgspec.structs.replace(
            rule, place=":".join(map(str, (shown, *document.positions.get(("rules", i, "id"), (0, 0)))))
        )
        for i, rule in enumerate(pack.rules)
    )
    loaded.pack = msgspec.structs.replace(pack, rules=rules)
    if not findings.errors:
        gates = {version: schema_gate(version) for version in OCPPVersion}
        lint_pack(loaded.pack, policy_scopes(), gates, findings)
    return loaded


class _Collection:
    """Packs by name, and the strictest mode that anything asks of each rule."""

    def __init__(self) -> None:
        self.loaded: dict[str, _Loaded] = {}
        self.problems: list[PackProblem] = []
        self._modes: dict[str, Mode] = {}
        self._open: list[str] = []
        self._files: dict[str, _Loaded] = {}

    def add(self, name: str) -> None:
        """A pack that the site names: its rules in their own modes."""
        loaded = self._get(name, None)
        if loaded is not None:
            self._switch_on(loaded, Include(pack=name), None)

    def _get(self, name: str, shown: PackProblem | None) -> _Loaded | None:
        try:
            found = self._files.get(name) or _load(name)
        except ConfigError as error:
            for problem in error.problems:
                code = getattr(problem, "code", "P001") or "P001"
                place = shown or problem
                self.problems.append(
                    PackProblem(
                        path=place.path,
                        message=f"{code} {problem.message}",
                        line=place.line,
                        column=place.column,
                        suggestion=problem.suggestion,
                        code=code,
                    )
                )
            return None
        self._files[name] = found
        name = found.pack.name
        known = self.loaded.get(name)
        if known is not None and known.document.shown_path != found.document.shown_path:
            message = f"P004 {known.document.shown_path} is a pack {name!r} too"
            self.problems.append(PackProblem(path=found.document.shown_path, message=message, code="P004"))
        return self.loaded.setdefault(name, found)

    def _switch_on(self, loaded: _Loaded, include: Include, mode: Mode | None) -> None:
        pack = loaded.pack
        if pack.name in self._open:
            loaded.findings.error("P071", ("include",), f"{' -> '.join([*self._open, pack.name])} is a circle")
            return
        self._open.append(pack.name)
        for rule in pack.rules:
            if not include.rules or rule.id in include.rules:
                self._strictest(rule.id, rule.mode if mode is None or rule.mode == "off" else mode)
        for index, item in enumerate(pack.includes):
            self._include(loaded, index, item, mode)
        self._open.pop()

    def _include(self, loaded: _Loaded, index: int, item: Include, mode: Mode | None) -> None:
        place = loaded.problem(Finding(code="P071", path=("include", index, "pack"), message=""))
        found = self._get(item.pack, place)
        if found is None:
            return
        known = [rule.id for rule in found.pack.rules]
        for number, rule in enumerate(item.rules):
            if rule not in known:
                loaded.findings.unknown("P071", ("include", index, "rules", number), "rule", rule, known)
        self._switch_on(found, item, mode or item.mode)

    def _strictest(self, rule: str, mode: Mode) -> None:
        before = self._modes.get(rule)
        if before is None or _MODES[mode] > _MODES[before]:
            self._modes[rule] = mode

    def packs(self) -> tuple[Pack, ...]:
        """With the rules that are switched on, in the modes they run in."""
        found = []
        for loaded in self.loaded.values():
            rules = tuple(
                msgspec.structs.replace(rule, mode=self._modes[rule.id])
                for rule in loaded.pack.rules
                if rule.id in self._modes
            )
            found.append(msgspec.structs.replace(loaded.pack, rules=rules))
        return tuple(found)

    def look_at_all(self, packs: Iterable[Pack], site: SitePolicy, groups: Collection[str]) -> None:
        """Note what can be said only when everything is loaded. `packs`: as `packs()` gives them."""
        if not any(loaded.findings.errors for loaded in self.loaded.values()):
            for rule, stronger in subsumed_rules(packs, site):
                loaded = self.loaded[rule.pack]
                index = [each.id for each in loaded.pack.rules].index(rule.id)
                message = f"never decides: {stronger.id} refuses all that it speaks of"
                loaded.findings.warning("P051", ("rules", index, "id"), message)
        versions = {name: loaded.pack.version for name, loaded in self.loaded.items()}
        for loaded in self.loaded.values():
            for unmet in unmet_requirements(loaded.pack.requires, __version__, versions):
                loaded.findings.error("P072", unmet.requirement.path, *_told(unmet, versions))
        for loaded in self.loaded.values() if groups else ():
            for path, name in groups_of_pack(loaded.pack):
                if name not in groups:
                    loaded.findings.warning("P050", path, _NOBODY.format(name), did_you_mean(name, groups))


def _told(unmet: Unmet, versions: Collection[str]) -> tuple[str, str]:
    """(what is wrong, what may be meant) of a requirement that is not met."""
    name, wanted = unmet.requirement.subject, unmet.requirement.text
    if unmet.found is not None:
        what = "this gateway is" if name == GATEWAY else f"pack {name} is"
        return f"requires {name} {wanted}, and {what} version {unmet.found}", ""
    known = [GATEWAY, *versions, *shipped_packs()]
    if name in known:
        return f"requires pack {name} {wanted}, which is not loaded", "name it beside this one, or `include` it"
    return f"requires pack {name!r}, which is not loaded", did_you_mean(name, known)


def load_bundle(
    names: Sequence[str],
    site: SitePolicy,
    *,
    now: float,
    site_document: YAMLDocument | None = None,
    foreign_site: bool = False,
    groups: Collection[str] = (),
) -> Bundle:
    """Load packs by name or path with everything they include, and check them and the site's use of them.

    `now` (seconds since the epoch) decides which exceptions have expired. `site_document` says where in its file a value of
    the site stands. `foreign_site`: the site was written for other packs, so that it may name what is not loaded. `groups`:
    those that charge points are in, where that is known. Nothing is raised: look at `errors`.
    """
    collection = _Collection()
    for name in names:
        collection.add(name)
    packs = collection.packs()
    whole = tuple(loaded.pack for loaded in collection.loaded.values())
    for pack, findings in lint_references(whole, now, policy_scopes()):
        collection.loaded[pack.name].findings.all += findings.all
    checking = _SiteCheck(whole, site_document, foreign=foreign_site)
    site = checking.site(site)
    if groups:
        checking.groups(site, groups)
    collection.look_at_all(packs, site, groups)
    problems = [problem for loaded in collection.loaded.values() for problem in loaded.problems()]
    wrong = checking.problems
    revision = revision_of(packs, site)
    return Bundle(packs=packs, site=site, revision=revision, problems=(*collection.problems, *problems, *wrong))


# -- the site's values


class _SiteCheck:
    """Puts the site's values into the types of the parameters, and notes what is wrong with them."""

    def __init__(self, packs: Iterable[Pack], document: YAMLDocument | None, *, foreign: bool) -> None:
        packs = list(packs)
        self.problems: list[PackProblem] = []
        self._parameters = {parameter.name: parameter for pack in packs for parameter in pack.parameters}
        self._rules = {rule.id for pack in packs for rule in pack.rules}
        self._document = document
        self._foreign = foreign

    def site(self, site: SitePolicy) -> SitePolicy:
        everyone = self._group("site", ("everyone",), site.everyone)
        groups = {name: self._group(f"group {name}", ("groups", name), group) for name, group in site.groups.items()}
        for rule in site.rollouts.keys() - self._rules:
            message = f"site: rollout of a rule that is not loaded: {rule}"
            self._unknown("P061", ("rollouts", rule), message, did_you_mean(rule, self._rules))
        return msgspec.structs.replace(site, everyone=everyone, groups=groups)

    def groups(self, site: SitePolicy, known: Collection[str]) -> None:
        """What a site sets for a group that nobody is in holds for nobody: most likely the name is misspelt."""
        for path, name in groups_of_site(site):
            if name not in known:
                self._add("P050", path, _NOBODY.format(name), did_you_mean(name, known), "warning")

    def _group(self, label: str, path: DocumentPath, policy: GroupPolicy) -> GroupPolicy:
        for rule in policy.modes:
            if rule not in self._rules:
                message = f"{label}: mode of a rule that is not loaded: {rule}"
                self._unknown("P061", (*path, "modes", rule), message, did_you_mean(rule, self._rules))
        return msgspec.structs.replace(policy, params=self._converted(label, (*path, "params"), policy.params))

    def _converted(self, label: str, path: DocumentPath, values: Mapping[str, Any]) -> dict[str, ParameterValue]:
        found: dict[str, ParameterValue] = {}
        for name, value in values.items():
            parameter = self._parameters.get(name)
            if parameter is None:
                message = f"{label}: no loaded pack has a parameter {name}"
                self._unknown("P070", (*path, name), message, did_you_mean(name, self._parameters))
                continue
            if parameter.type == "duration" and isinstance(value, int | float) and not isinstance(value, bool):
                found[name] = float(value)  # seconds, as read before
                continue
            findings = Findings()
            plain = list(value) if isinstance(value, tuple) else value
            found[name] = read_parameter_value(plain, parameter.type, (*path, name), findings)
            for each in findings.all:
                self._add("P070", each.path, f"{label}: {name} {each.message}")
        return found

    def _unknown(self, code: str, path: DocumentPath, message: str, suggestion: str) -> None:
        self._add(code, path, message, suggestion, "warning" if self._foreign else "error")

    def _add(
        self,
        code: str,
        path: DocumentPath,
        message: str,
        suggestion: str = "",
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        positions = {} if self._document is None else self._document.positions
        place = path
        while place and place not in positions:
            place = place[:-1]
        line, column = positions.get(place, (0, 0))
        self.problems.append(
            PackProblem(
                path="gateway.toml" if self._document is None else self._document.shown_path,
                message=f"{code} {message}",
                line=line,
                column=column,
                key=".".join(map(str, path)),
                suggestion=suggestion,
                code=code,
                severity=severity,
            )
        )


# -- tests beside packs


def load_tests(name: str) -> YAMLDocument | None:
    """The test document beside a pack (``firmware.test.yaml`` beside ``firmware.yaml``), None if there is none.

    `name` may be the test file itself. Raises ConfigError if it cannot be read.
    """
    if name in shipped_packs():
        file = importlib.resources.files(_PACKAGE) / f"{name}{_TESTS}"
        return read_yaml(file.read_text(encoding="utf-8"), f"{_PACKAGE}/{name}{_TESTS}") if file.is_file() else None
    path = Path(name if name.endswith(_TESTS) else name.removesuffix(Path(name).suffix) + _TESTS)
    try:
        if not path.is_file():
            return None
    except OSError as error:  # a name that is too long
        raise ConfigError(
            [PackProblem(path=str(path), message=f"cannot be read: {error.strerror}", code="P001")]
        ) from None
    return read_yaml(read_pack_file(path), str(path))
