"""Types, names and guards of an expression against one scope or several; collects every finding.

P020 unknown name, P021 type, P022 unknown field, P023 optional field without a guard, P024 comparison in vain,
P025 always the same, P040 nested comprehensions, P041 regular expression. See docs/policy-language.md.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.policy.cel.checked import Checked
from gateway.policy.cel.findings import Finding, Severity, merge
from gateway.policy.cel.nodes import Expression, Name, walk
from gateway.policy.cel.place import Binding, Place
from gateway.policy.cel.scope import Scope
from gateway.policy.cel.types import BOOL, Type
from gateway.policy.cel.visitor import Visitor

__all__ = ["EachReport", "Report", "check", "check_each"]

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Report:
    """What checking against one scope has brought. `checked` is None if a finding is an error."""

    findings: tuple[Finding, ...]
    checked: Checked | None

    @property
    def is_refused(self) -> bool:
        """True if the expression cannot be used."""
        return self.checked is None


@dataclass(frozen=True, slots=True)
class EachReport(Generic[K]):
    """What checking against several scopes has brought, by the keys the caller gave them."""

    findings: tuple[Finding, ...]
    checked: Mapping[K, Checked]

    @property
    def is_refused(self) -> bool:
        """True if the expression cannot be used in at least one scope."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def check(expression: Expression, scope: Scope, expect: Type = BOOL, *, guards: bool = True) -> Report:
    """Check against one scope.

    `expect` is the type the result must have; DYN accepts any. With `guards` off, optional fields may be used as they
    are (no P023), for expressions whose errors do no harm.
    """
    names = {name: Binding(kind, (name,), (name,)) for name, kind in scope.names.items()}
    place = Place(names, fixed=scope.fixed)
    visitor = Visitor(expression, guards=guards)
    result = visitor.result(place, expect)
    findings = merge({"": tuple(visitor.findings)})
    if any(finding.severity is Severity.ERROR for finding in findings):
        return Report(findings, None)
    return Report(findings, visitor.checked(result))


def check_each(
    expression: Expression, scopes: Mapping[K, Scope], expect: Type = BOOL, *, guards: bool = True
) -> EachReport[K]:
    """`check` against the scope of every (version, action, ...) a rule matches.

    A finding that does not hold in all of them says where it does; P024 and P025 count only where they hold in all.
    Scopes that agree (by identity) on the types of the names that are used share one `Checked`.
    """
    used = sorted({node.name for node in walk(expression.root) if isinstance(node, Name)})
    reports: dict[tuple[int, ...], Report] = {}
    by_key: dict[K, Report] = {}
    for key, scope in scopes.items():
        same = tuple(id(scope.get(name)) for name in used)
        if same not in reports:
            reports[same] = check(expression, scope, expect, guards=guards)
        by_key[key] = reports[same]
    findings = merge({str(key): report.findings for key, report in by_key.items()})
    return EachReport(findings, {key: report.checked for key, report in by_key.items() if report.checked is not None})
