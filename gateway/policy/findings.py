"""What is wrong with packs: a code, a place in the document, a sentence, a suggestion."""

import difflib
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

__all__ = ["CODES", "DocumentPath", "Finding", "Findings"]

DocumentPath = tuple[str | int, ...]
"""Keys and indexes from the root of a document to what a finding is about."""

CODES: Final = {
    "P001": "duplicate key, or not YAML",
    "P002": "a version that is not text",
    "P003": "unknown field, which would silently change what a rule means",
    "P004": "duplicate rule id",
    "P005": "missing field, or a value of the wrong kind",
    "P010": "unknown action or action class",
    "P011": "action that does not exist in that version or direction",
    "P012": "result phase without `of`",
    "P019": "not an expression",
    "P020": "unknown variable or function",
    "P021": "type error",
    "P022": "payload field that at least one matched action does not have",
    "P023": "optional field used without has() or .?",
    "P024": "comparison with a value that cannot occur",
    "P025": "condition that is always the same",
    "P030": "status that the action's result does not have",
    "P031": "SEND cannot be answered",
    "P032": "refuses a message that carries billing data, or the answer to one",
    "P040": "nested loops over lists without a bound",
    "P041": "regular expression that could take too long",
    "P050": "group that no charge point is in",
    "P051": "rule that never decides, as a stronger one always does",
    "P052": "actions of a class that the rule misses",
    "P053": "`allow` without effect where known messages are allowed anyway",
    "P060": "exception without an end, or past it",
    "P061": "exception for a rule that does not exist",
    "P070": "parameter that is missing, of the wrong type or never used",
    "P071": "pack or rule that an `include` names but that does not exist",
    "P072": "requirement of a pack (`metadata.requires`) that is not met",
    "P080": "level 1 rule that only watches",
    "P090": "rule without a firing and a non-firing case",
    "P092": "policy that none of the configured keys has signed",
}


_MOST_LISTED: Final = 16


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding."""

    code: str
    path: DocumentPath
    message: str
    suggestion: str = ""
    severity: Literal["error", "warning"] = "error"
    offset: int = 0
    """Where in an expression, counted from its start; the place in the file is the caller's business."""


class Findings:
    """Collects findings of one document."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    @property
    def errors(self) -> list[Finding]:
        """What makes the pack unusable."""
        return [finding for finding in self.all if finding.severity == "error"]

    def error(self, code: str, path: DocumentPath, message: str, suggestion: str = "", offset: int = 0) -> None:
        """Something that must be corrected."""
        self.all.append(Finding(code=code, path=path, message=message, suggestion=suggestion, offset=offset))

    def warning(self, code: str, path: DocumentPath, message: str, suggestion: str = "", offset: int = 0) -> None:
        """Something legal that is hardly what the author meant."""
        self.all.append(
            Finding(code=code, path=path, message=message, suggestion=suggestion, severity="warning", offset=offset)
        )

    def unknown(self, code: str, path: DocumentPath, what: str, word: str, known: Iterable[str]) -> None:
        """A word that is not one of `known`, with the one that may have been meant."""
        words = list(known)
        close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
        among = f": one of {', '.join(sorted(words))}" if not close and 0 < len(words) <= _MOST_LISTED else ""
        self.error(code, path, f"unknown {what} {word!r}{among}", close[0] if close else "")
