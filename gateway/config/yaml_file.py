"""YAML 1.2 as plain values with the places of every key. Duplicate keys are errors; `off` is text and 1.6 stays 1.6.

Never PyYAML: there 1.6 becomes a float silently, `off` becomes False and the second of two equal keys wins.
"""

from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gateway.config.positions import Path, Position
from gateway.config.problems import ConfigError, Problem

__all__ = ["YAMLDocument", "read_yaml"]

_MAX_DEPTH = 32
_MAX_CHARS = 4_000_000
_MAX_VALUES = 200_000


class YAMLDocument(msgspec.Struct, frozen=True):
    """One document: dicts, lists, strings, numbers, booleans, None."""

    shown_path: str
    value: Any
    positions: dict[Path, Position]
    """Path of every key, item and value to its line and column, from 1. Values have the path (*key, "")."""


def read_yaml(text: str, shown_path: str) -> YAMLDocument:
    """Read one document. Raises ConfigError with the line and column of what is wrong."""
    if len(text) > _MAX_CHARS:
        raise ConfigError([Problem(path=shown_path, message=f"longer than {_MAX_CHARS} characters")])
    try:
        loaded = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        what = str(error.problem or error.context or "not YAML").partition(" with value")[0]
        raise ConfigError([Problem(path=shown_path, message=what, line=line, column=column)]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ConfigError([Problem(path=shown_path, message=f"not YAML: {first}")]) from None
    reader = _Reader(shown_path)
    return YAMLDocument(shown_path, reader.plain(loaded, ()), reader.positions)


class _Reader:
    """Turns ruamel's containers into plain ones and notes where everything stands."""

    def __init__(self, shown_path: str) -> None:
        self.positions: dict[Path, Position] = {}
        self._shown_path = shown_path
        self._values = 0

    def plain(self, value: Any, path: Path) -> Any:
        self._values += 1
        if len(path) > _MAX_DEPTH or self._values > _MAX_VALUES:
            # Aliases can make a short text stand for a very large or an endless value.
            what = f"nested more than {_MAX_DEPTH} deep" if len(path) > _MAX_DEPTH else f"over {_MAX_VALUES} values"
            raise ConfigError([Problem(path=self._shown_path, message=what)])
        if isinstance(value, dict):
            self._note_keys(value, path)
            return {str(key): self.plain(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            for index, place in _places(value).items():
                self.positions[(*path, index)] = (place[0] + 1, place[1] + 1)
            return [self.plain(item, (*path, index)) for index, item in enumerate(value)]
        found = _scalar(value)
        if isinstance(found, str):
            self._require_text(found, self.positions.get((*path, "")) or self.positions.get(path, (0, 0)))
        return found

    def _require_text(self, text: str, place: Position) -> None:
        """Escapes can make half a surrogate pair, which no UTF-8 can hold."""
        try:
            text.encode()
        except UnicodeEncodeError:
            line, column = place
            message = "half of a surrogate pair, which is no character"
            raise ConfigError([Problem(path=self._shown_path, message=message, line=line, column=column)]) from None

    def _note_keys(self, value: dict[Any, Any], path: Path) -> None:
        for key, place in _places(value).items():
            self.positions[(*path, str(key))] = (place[0] + 1, place[1] + 1)
            self.positions[(*path, str(key), "")] = (place[2] + 1, place[3] + 1)
            self._require_text(str(key), (place[0] + 1, place[1] + 1))


def _places(container: Any) -> dict[Any, list[int]]:
    """What ruamel knows of the places of a container's items; empty for an empty one."""
    return dict(getattr(getattr(container, "lc", None), "data", None) or {})


def _scalar(value: Any) -> Any:
    """Text and numbers of ruamel's own kinds as Python's."""
    if isinstance(value, bool) or value is None:
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)
