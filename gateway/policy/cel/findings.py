"""What the checker has to say about an expression, with its place in the text."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from gateway.policy.cel.errors import ExpressionInvalid

__all__ = ["Finding", "Severity", "did_you_mean", "finding_of", "merge"]

_IN_EVERY_PAIR = frozenset({"P024", "P025"})
"""A comparison that makes sense for one of the matched actions is no mistake; neither is a guard that one needs."""


class Severity(Enum):
    """ERROR: the expression cannot be used. WARNING: it can, but does hardly what its author meant."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding of one expression: text[start:end] is what it is about."""

    code: str
    severity: Severity
    start: int
    end: int
    message: str
    suggestion: str = ""
    """What to write instead, or empty."""
    where: tuple[str, ...] = ()
    """Labels of the scopes it holds in, if several were checked and it does not hold in all."""


def finding_of(invalid: ExpressionInvalid) -> Finding:
    """A text that could not be parsed, as a finding."""
    return Finding(
        code=invalid.code,
        severity=Severity.ERROR,
        start=invalid.offset,
        end=invalid.offset + invalid.length,
        message=invalid.message,
        suggestion=invalid.suggestion,
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean ...?`` with the most similar known word, or an empty string."""
    names = list(known)
    lowered = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f"did you mean {lowered[found[0]]}?" if found else ""


def merge(found: dict[str, tuple[Finding, ...]]) -> tuple[Finding, ...]:
    """The findings of several scopes as one list. P024 and P025 stand only where they hold in every scope."""
    places: dict[tuple[str, int, int], list[str]] = {}
    first: dict[tuple[str, int, int], Finding] = {}
    for label, findings in found.items():
        for finding in findings:
            key = (finding.code, finding.start, finding.end)
            labels = places.setdefault(key, [])
            if label not in labels:
                labels.append(label)
            first.setdefault(key, finding)
    kept = []
    for key, labels in places.items():
        everywhere = len(labels) == len(found)
        if everywhere or key[0] not in _IN_EVERY_PAIR:
            kept.append(replace(first[key], where=() if everywhere else tuple(labels)))
    return tuple(sorted(kept, key=lambda each: (each.start, each.end, each.code)))
