"""The site's use of the packs: a YAML file with parameters, modes, gates and stance, for all and per group.

apiVersion: ocpp-gateway/v1
kind: PolicySite
everyone:
  level: 2
  gates: {schema: monitor}
  params: {firmware_hosts: [fw.vendor.example]}
  modes: {fleet/disruptive-budget: enforce}
groups:
  depot: {mode: monitor}
maintenance_groups: [depot]
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, cast, get_args

import msgspec

from gateway.config.policy import Policy
from gateway.config.policy_packs import Bundle, PackProblem, load_bundle, read_pack_file
from gateway.config.positions import find_positions
from gateway.config.problems import ConfigError
from gateway.config.yaml_file import YAMLDocument, read_yaml
from gateway.policy.fields import Table
from gateway.policy.findings import Findings
from gateway.policy.reading import API_VERSION, read_rollout
from gateway.policy.rules import Mode, Rollout
from gateway.policy.site import GateMode, Gates, GroupPolicy, ImageGateMode, SitePolicy, Stance
from gateway.policy.site_sizes import read_sizes

__all__ = ["is_site", "load_policy", "read_site"]

_SITE: Final = re.compile(r"""(?m)^[{\s]*["']?kind["']?\s*:\s*["']?PolicySite\b""")

_GATE_MODES: Final = {word: cast("GateMode", word) for word in get_args(GateMode)}
_IMAGE_MODES: Final = {word: cast("ImageGateMode", word) for word in get_args(ImageGateMode)}
_STANCES: Final = {word: cast("Stance", word) for word in get_args(Stance)}
_MODES: Final = {word: cast("Mode", word) for word in get_args(Mode)}


def load_policy(
    policy: Policy,
    *,
    now: float,
    config_path: str = "",
    foreign_site: bool = False,
    groups: Collection[str] = (),
) -> Bundle:
    """Everything that the configuration's [policy] names, checked. Raises nothing: look at `errors`.

    `config_path`: the configuration that names it; a pack that is not there is then told with its place in that file.
    `foreign_site`: the packs are not those that the site was written for. `groups`: as for `load_bundle`.
    """
    site, document, problems = SitePolicy(), None, list[PackProblem]()
    if policy.site:
        site, document, problems = _read_site(policy.site)
    bundle = load_bundle(policy.packs, site, now=now, site_document=document, foreign_site=foreign_site, groups=groups)
    found = [*problems, *bundle.problems]
    if config_path:
        found = _placed(found, policy, config_path)
    return msgspec.structs.replace(bundle, problems=tuple(found))


def is_site(path: str) -> bool:
    """True if a file says that it is a PolicySite. What cannot be read is none."""
    if Path(path).suffix not in {".yaml", ".yml"}:
        return False
    try:
        return _SITE.search(read_pack_file(Path(path))) is not None
    except ConfigError:
        return False


def _placed(problems: list[PackProblem], policy: Policy, config_path: str) -> list[PackProblem]:
    """Files that cannot even be read have no lines: what names them has."""
    named = {policy.site: ("policy", "site"), **dict.fromkeys(policy.packs, ("policy", "packs"))}
    try:
        positions = find_positions(Path(config_path).read_text("utf-8"))
    except (OSError, ValueError):
        return problems
    found = []
    for problem in problems:
        if problem.line or problem.path not in named:
            found.append(problem)
            continue
        line, column = positions.get(named[problem.path], (0, 0))
        message = problem.message.replace(f"{problem.code} ", f"{problem.code} {problem.path}: ", 1)
        found.append(msgspec.structs.replace(problem, path=config_path, line=line, column=column, message=message))
    return found


def read_site(path: str) -> tuple[SitePolicy, list[PackProblem]]:
    """The site of a file, and what is wrong with it."""
    site, _, problems = _read_site(path)
    return site, problems


def _read_site(path: str) -> tuple[SitePolicy, YAMLDocument | None, list[PackProblem]]:
    try:
        document = read_yaml(read_pack_file(Path(path)), path)
    except ConfigError as error:
        first = error.problems[0]
        message = f"P001 {first.message}"
        problem = PackProblem(path=path, message=message, code="P001", line=first.line, column=first.column)
        return SitePolicy(), None, [problem]
    findings = Findings()
    site = _site(Table(document.value, (), findings))
    return site, document, [_problem(document, finding) for finding in findings.all]


def _problem(document: YAMLDocument, finding: Any) -> PackProblem:
    path = finding.path
    while path and path not in document.positions:
        path = path[:-1]
    line, column = document.positions.get(path, (1, 1))
    return PackProblem(
        path=document.shown_path,
        message=f"{finding.code} {finding.message}",
        line=line,
        column=column,
        key=".".join(map(str, finding.path)),
        suggestion=finding.suggestion,
        code=finding.code,
        severity=finding.severity,
    )


def _site(table: Table) -> SitePolicy:
    table.must_be("apiVersion", API_VERSION)
    table.must_be("kind", "PolicySite")
    everyone = _group(table.table("everyone"), Gates())
    groups: dict[str, GroupPolicy] = {}
    by_name = table.table("groups")
    if by_name is not None:
        for name in by_name.values:
            groups[name] = _group(by_name.table(name), everyone.gates or Gates())
        by_name.done()
    rollouts: dict[str, Rollout] = {}
    by_rule = table.table("rollouts")
    if by_rule is not None:
        rollouts = {rule: read_rollout(by_rule.table(rule)) for rule in by_rule.values}
    site = SitePolicy(
        everyone=everyone, groups=groups, rollouts=rollouts, maintenance_groups=table.words("maintenance_groups")
    )
    table.done()
    return site


def _group(table: Table | None, gates: Gates) -> GroupPolicy:
    """`gates`: what holds where this one says nothing about a gate."""
    if table is None:
        return GroupPolicy()
    params = table.table("params")
    modes = table.table("modes")
    policy = GroupPolicy(
        gates=_gates(table.table("gates"), gates),
        stance=table.choice("stance", cast("dict[str, Any]", _STANCES), None),
        mode=table.choice("mode", cast("dict[str, Any]", _MODES), None),
        level=table.get("level", int, 0) or None,
        params={} if params is None else {name: _tupled(value) for name, value in params.values.items()},
        modes={} if modes is None else {n: modes.choice(n, _MODES, "enforce") for n in modes.values},
        sizes=read_sizes(table.table("sizes")),
    )
    table.done()
    return policy


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _gates(table: Table | None, default: Gates) -> Gates | None:
    if table is None:
        return None
    gates = Gates(
        direction=table.choice("direction", _GATE_MODES, default.direction),
        sizes=table.choice("sizes", _GATE_MODES, default.sizes),
        state=table.choice("state", _GATE_MODES, default.state),
        schema=table.choice("schema", _GATE_MODES, default.schema),
        firmware_image=table.choice("firmware_image", _IMAGE_MODES, default.firmware_image),
    )
    table.done()
    return gates
