"""Reads the fields of one table of a document: right kind, nothing unknown, everything wrong noted."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from gateway.policy.cel.times import parse_duration
from gateway.policy.findings import DocumentPath, Findings

__all__ = ["Table", "read_limit"]

_T = TypeVar("_T")
_LIMIT: Final = re.compile(r"([0-9]{1,9})\s*/\s*([0-9]*)\s*(ms|s|m|h|d)")


class Table:
    """One mapping. Every getter notes what is wrong and gives its default then."""

    def __init__(self, value: Any, path: DocumentPath, findings: Findings) -> None:
        self.path = path
        self.findings = findings
        self._asked: set[str] = set()
        self.values: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            findings.error("P005", path, f"{_named(path)} must be a mapping")

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str, kind: type[_T], default: _T) -> _T:
        """A value of exactly this kind (a bool is no int)."""
        self._asked.add(name)
        if name not in self.values:
            return default
        value = self.values[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        self.findings.error("P005", (*self.path, name), f"must be {_words(kind)}, not {value!r}"[:200])
        return default

    def need(self, name: str, kind: type[_T], default: _T) -> _T:
        """A value that must be there."""
        if name not in self.values:
            self._asked.add(name)
            self.findings.error("P005", self.path, f"{name} is missing")
            return default
        return self.get(name, kind, default)

    def must_be(self, name: str, word: str) -> None:
        """A text that has to be there and says what the document is."""
        if self.need(name, str, word) != word:
            self.findings.error("P005", (*self.path, name), f"{name} must be {word}")

    def choice(self, name: str, choices: dict[str, _T], default: _T) -> _T:
        """One of several words."""
        self._asked.add(name)
        if name not in self.values:
            return default
        word = self.values[name]
        if isinstance(word, str) and word in choices:
            return choices[word]
        self.findings.unknown("P005", (*self.path, name), name, str(word), choices)
        return default

    def words(self, name: str) -> tuple[str, ...]:
        """A text or a list of texts."""
        self._asked.add(name)
        value = self.values.get(name, [])
        items = value if isinstance(value, list) else [value]
        if all(isinstance(item, str) for item in items):
            return tuple(items)
        self.findings.error("P005", (*self.path, name), "must be a text or a list of texts")
        return ()

    def each(self, name: str, choices: dict[str, _T]) -> tuple[_T, ...]:
        """Several words, each one of `choices`."""
        found = []
        for index, word in enumerate(self.words(name)):
            if word in choices:
                found.append(choices[word])
            else:
                self.findings.unknown("P005", (*self.path, name, index), name, word, choices)
        return tuple(found)

    def seconds(self, name: str, default: float) -> float:
        """A duration such as 10m or 1h30m; ``d`` for days is allowed alone."""
        self._asked.add(name)
        if name not in self.values:
            return default
        try:
            return read_seconds(str(self.values[name]))
        except ValueError as error:
            self.findings.error("P005", (*self.path, name), str(error))
            return default

    def table(self, name: str) -> "Table | None":
        """A mapping inside, None where there is none."""
        self._asked.add(name)
        if name not in self.values:
            return None
        return Table(self.values[name], (*self.path, name), self.findings)

    def tables(self, name: str, make: Callable[["Table"], _T]) -> tuple[_T, ...]:
        """A list of mappings, each made into something."""
        self._asked.add(name)
        value = self.values.get(name, [])
        if not isinstance(value, list):
            self.findings.error("P005", (*self.path, name), f"{name} must be a list")
            return ()
        return tuple(make(Table(item, (*self.path, name, index), self.findings)) for index, item in enumerate(value))

    def done(self) -> None:
        """Note every field that nobody asked for: a typing mistake must not broaden a rule (P003)."""
        for name in self.values:
            if name not in self._asked:
                self.findings.unknown("P003", (*self.path, name), "field", name, self._asked)


def read_seconds(text: str) -> float:
    """A duration in seconds. Raises ValueError."""
    days = re.fullmatch(r"([0-9]{1,5})d", text)
    seconds = float(days[1]) * 86_400.0 if days else parse_duration(text).total_seconds()
    if seconds <= 0:
        raise ValueError("must be longer than nothing")
    return seconds


def read_limit(text: str) -> tuple[int, float]:
    """``5/10m`` as (5, 600.0 seconds). Raises ValueError."""
    found = _LIMIT.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError('write a limit as "5/10m": so many in that time')
    return int(found[1]), read_seconds((found[2] or "1") + found[3])


def _named(path: DocumentPath) -> str:
    named = [step for step in path if isinstance(step, str)]
    return named[-1] if named else "the file"


def _words(kind: type) -> str:
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
    return names.get(kind, "a mapping")
