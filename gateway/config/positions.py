"""Where keys stand in a TOML text, for messages. `tomllib` reads the values; this only finds places."""

import re
from typing import Final

__all__ = ["Path", "Position", "find_positions"]

Path = tuple[str | int, ...]
Position = tuple[int, int]
"""Line and column, from 1."""

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(
    r"(\s*)((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*="
)
_PART: Final = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")
_TRIPLE: Final = ('"""', "'''")


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


class _Scanner:
    def __init__(self) -> None:
        self.found: dict[Path, Position] = {}
        self.counts: dict[Path, int] = {}
        self.table: Path = ()

    def resolve(self, names: list[str]) -> Path:
        """A dotted name as a path: an array of tables on the way stands for its latest element."""
        path: Path = ()
        for name in names:
            path = (*path, name)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path

    def header(self, double: bool, names: list[str], at: Position) -> None:
        if not double:
            self.table = self.resolve(names)
        else:
            array = (*self.resolve(names[:-1]), names[-1])
            self.counts[array] = self.counts.get(array, 0) + 1
            self.found.setdefault(array, at)
            self.table = (*array, self.counts[array] - 1)
        self.found.setdefault(self.table, at)


def find_positions(text: str) -> dict[Path, Position]:
    """Path of every table and key -> where it stands. Multi-line strings are skipped."""
    scanner, inside = _Scanner(), ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            if inside in line:
                inside = ""
            continue
        if line.lstrip().startswith("#"):
            continue
        header = _HEADER.match(line)
        if header is not None:
            scanner.header(header[1] == "[[", _parts(header[2]), (number, line.index("[") + 1))
            continue
        key = _KEY.match(line)
        if key is not None:
            scanner.found.setdefault((*scanner.table, *_parts(key[2])), (number, len(key[1]) + 1))
        for quote in _TRIPLE:
            if line.count(quote) % 2:
                inside = quote
    return scanner.found
