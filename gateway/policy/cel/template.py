"""Messages with expressions in them: ``"limit above {params.max_amps} A"``. ``{{`` and ``}}`` stand for braces.

Checked like any expression when a rule is loaded, but without guards: rendering never fails, and what has no value
shows as ``?``. Values come from the network, so they are cut and made printable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from gateway.policy.cel.checker import check
from gateway.policy.cel.errors import EvaluationError, ExpressionInvalid
from gateway.policy.cel.findings import Finding, Severity
from gateway.policy.cel.functions import to_string
from gateway.policy.cel.nodes import Expression
from gateway.policy.cel.operations import ABSENT, OperationError
from gateway.policy.cel.parser import parse
from gateway.policy.cel.program import DEFAULT_BUDGET, Program
from gateway.policy.cel.scope import Scope
from gateway.policy.cel.types import DYN, NULL, List, Map, Object, Optional, Record, Set, Type, describe

__all__ = [
    "MAX_RENDERED",
    "MAX_VALUE",
    "CheckedTemplate",
    "Template",
    "TemplateReport",
    "check_template",
    "parse_template",
]

MAX_RENDERED: Final = 512
"""Characters of a rendered message."""
MAX_VALUE: Final = 128
"""Characters of one value in it."""
_MAX_PARTS: Final = 16
_MAX_ITEMS: Final = 8
_UNKNOWN: Final = "?"
_CUT: Final = "…"


@dataclass(frozen=True, slots=True)
class Template:
    """Texts and expressions in turn. `offsets`: where each part begins in the template."""

    text: str
    parts: tuple[str | Expression, ...]
    offsets: tuple[int, ...]


class CheckedTemplate:
    """A message that can be rendered. Immutable; made by `check_template`."""

    __slots__ = ("_parts", "names", "text")

    def __init__(self, text: str, parts: tuple[str | Program, ...]) -> None:
        self.text = text
        self._parts = parts
        programs = [part for part in parts if isinstance(part, Program)]
        self.names: tuple[str, ...] = tuple(sorted({name for program in programs for name in program.names}))
        """The root names it reads."""

    def render(self, values: Mapping[str, Any]) -> str:
        """The message for these root values: one printable line of bounded length."""
        shown = "".join(part if isinstance(part, str) else _shown(part, values) for part in self._parts)
        return _cut(shown, MAX_RENDERED)


@dataclass(frozen=True, slots=True)
class TemplateReport:
    """What checking a template has brought. Offsets of findings count from the start of the template."""

    findings: tuple[Finding, ...]
    checked: CheckedTemplate | None
    """None if a finding is an error."""

    @property
    def is_refused(self) -> bool:
        """True if the template cannot be used."""
        return self.checked is None


def parse_template(text: str) -> Template:
    """The parts of a template. Raises ExpressionInvalid; its offset counts from the start of the template."""
    parts: list[str | Expression] = []
    offsets: list[int] = []
    at = 0
    while at < len(text):
        literal, end = _literal(text, at)
        if end > at:
            parts.append(_printable(literal))
            offsets.append(at)
        if end == len(text):
            break
        at = _closing(text, end)
        parts.append(_embedded(text, end + 1, at - 1))
        offsets.append(end + 1)
    if len(parts) > _MAX_PARTS * 2:
        raise ExpressionInvalid(f"more than {_MAX_PARTS} expressions in one message", offset=0, length=len(text))
    return Template(text, tuple(parts), tuple(offsets))


def _literal(text: str, start: int) -> tuple[str, int]:
    """The text from `start` on, and where the next expression begins (or the end)."""
    pieces, at = [], start
    while at < len(text):
        character = text[at]
        if character in "{}":
            if text[at + 1 : at + 2] == character:
                at += 1
            elif character == "{":
                break
            else:
                raise ExpressionInvalid("} without {", offset=at, length=1, suggestion="write }} for the character")
        pieces.append(character)
        at += 1
    return "".join(pieces), at


def _closing(text: str, start: int) -> int:
    """Behind the } that ends the expression whose { is at `start`; braces in strings do not count."""
    quote, at = "", start + 1
    while at < len(text):
        character = text[at]
        if quote:
            at += character == "\\"
            quote = "" if character == quote else quote
        elif character in {'"', "'"}:
            quote = character
        elif character == "}":
            return at + 1
        at += 1
    raise ExpressionInvalid("{ without }", offset=start, length=1, suggestion="write {{ for the character")


def _embedded(text: str, start: int, end: int) -> Expression:
    try:
        return parse(text[start:end])
    except ExpressionInvalid as invalid:
        raise ExpressionInvalid(
            invalid.message,
            offset=invalid.offset + start,
            length=invalid.length,
            code=invalid.code,
            suggestion=invalid.suggestion,
        ) from None


def check_template(template: Template, scope: Scope, budget: int = DEFAULT_BUDGET) -> TemplateReport:
    """Check and compile a template against one scope."""
    findings: list[Finding] = []
    parts: list[str | Program] = []
    for part, offset in zip(template.parts, template.offsets, strict=True):
        if isinstance(part, str):
            parts.append(part)
            continue
        report = check(part, scope, DYN, guards=False)
        findings += (replace(each, start=each.start + offset, end=each.end + offset) for each in report.findings)
        if report.checked is None:
            continue
        parts.append(Program(report.checked, budget))
        if not _is_showable(report.checked.result):
            findings.append(_not_showable(part, report.checked.result, offset))
    if any(each.severity is Severity.ERROR for each in findings):
        return TemplateReport(tuple(findings), None)
    return TemplateReport(tuple(findings), CheckedTemplate(template.text, tuple(parts)))


def _not_showable(part: Expression, kind: Type, offset: int) -> Finding:
    return Finding(
        code="P021",
        severity=Severity.ERROR,
        start=offset,
        end=offset + len(part.text),
        message=f"{describe(kind)} cannot be shown in a message",
        suggestion="name one of its fields",
    )


def _is_showable(kind: Type) -> bool:
    match kind:
        case Optional():
            return _is_showable(kind.value)
        case List():
            return not isinstance(kind.element, List) and _is_showable(kind.element)
        case Set() | Map() | Record() | Object():
            return False
        case _:
            return kind is not NULL


def _shown(program: Program, values: Mapping[str, Any]) -> str:
    try:
        value = program.evaluate(values)
        if type(value) in {list, tuple}:
            return _cut(", ".join(_text(each) for each in islice(value, _MAX_ITEMS)), MAX_VALUE)
        return _text(value)
    except (EvaluationError, OperationError):
        return _UNKNOWN


def _text(value: Any) -> str:
    return _UNKNOWN if value is ABSENT else _printable(_cut(to_string(value), MAX_VALUE))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + _CUT


def _printable(text: str) -> str:
    """Control and format characters, line ends and lone surrogates as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(ord(each)) for each in text)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
