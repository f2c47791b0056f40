"""Regular expressions of `matches()`: RE2's syntax, less what needs memory or cannot be read by people.

A pattern becomes a small tree that `automaton` turns into a table, so every match takes one step per character and no
text can make it slow. Refused (P041): back-references, look-around, a varying quantifier under a repetition, word boundaries,
Unicode classes, flags other than i and s. As in RE2, `$` is the very end and `.` is not a newline.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["Alternation", "Anchor", "Characters", "Pattern", "PatternRefused", "Repeat", "Sequence", "parse_pattern"]

_MAX_PATTERN: Final = 512
_MAX_REPEAT: Final = 256
_MAX_GROUPS: Final = 20
_LAST: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
"""Code points, both ends included; sorted and apart."""


class PatternRefused(Exception):  # noqa: N818  what happened to the pattern
    """The pattern cannot be used. `offset` counts code points of the pattern."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Characters:
    """One character out of these."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Anchor:
    """The start of the text, or its end."""

    is_start: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; empty matches nothing at all."""

    items: "tuple[Pattern, ...]"


@dataclass(frozen=True, slots=True)
class Alternation:
    """One of these."""

    options: "tuple[Pattern, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """`item` between `least` and `most` times; `most` None is without end."""

    item: "Pattern"
    least: int
    most: int | None


Pattern = Characters | Anchor | Sequence | Alternation | Repeat

_DIGITS: Final[Ranges] = ((48, 57),)
_WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACES: Final[Ranges] = ((9, 10), (12, 13), (32, 32))
_ANY: Final[Ranges] = ((0, 9), (11, _LAST))
_EVERYTHING: Final[Ranges] = ((0, _LAST),)
_CLASSES: Final = {"d": _DIGITS, "w": _WORD, "s": _SPACES}
_CONTROLS: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_PUNCTUATION: Final = frozenset("\\.+*?()|[]{}^$-/\"'#&~`!@%=<>,:;_ ")
_FOLDED_TWINS: Final = {"k": 0x212A, "s": 0x017F}
"""Letters beyond ASCII whose lower case is an ASCII letter: KELVIN SIGN and LATIN SMALL LETTER LONG S."""
_REFUSED_ESCAPES: Final = {
    "b": "word boundaries are not supported",
    "B": "word boundaries are not supported",
    "p": "Unicode classes are not supported",
    "P": "Unicode classes are not supported",
    "Q": "\\Q is not supported; escape each character",
    "Z": "write \\z or $",
}


def parse_pattern(text: str) -> Pattern:
    """The tree of a pattern. Raises PatternRefused."""
    if len(text) > _MAX_PATTERN:
        raise PatternRefused(f"pattern longer than {_MAX_PATTERN} characters", _MAX_PATTERN)
    parser = _Parser(text)
    tree = parser.alternation()
    if parser.rest:
        raise PatternRefused("unmatched )", parser.at)
    return tree


def _normal(ranges: list[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _negated(ranges: Ranges) -> Ranges:
    gaps, at = [], 0
    for first, last in ranges:
        if first > at:
            gaps.append((at, first - 1))
        at = last + 1
    if at <= _LAST:
        gaps.append((at, _LAST))
    return tuple(gaps)


def _folded(ranges: Ranges) -> Ranges:
    """With the other case of each ASCII letter."""
    added = list(ranges)
    for first, last in ranges:
        for code in range(max(first, 65), min(last, 122) + 1):
            letter = chr(code)
            if letter.isalpha():
                added.append((ord(letter.swapcase()),) * 2)
                twin = _FOLDED_TWINS.get(letter.lower())
                added += [(twin, twin)] if twin else []
    for letter, twin in _FOLDED_TWINS.items():
        if any(first <= twin <= last for first, last in ranges):
            added += [(ord(letter),) * 2, (ord(letter.upper()),) * 2]
    return _normal(added)


def _varies(pattern: Pattern) -> bool:
    """True if something in it repeats a varying number of times."""
    match pattern:
        case Repeat():
            return pattern.least != pattern.most or _varies(pattern.item)
        case Sequence():
            return any(map(_varies, pattern.items))
        case Alternation():
            return any(map(_varies, pattern.options))
        case Characters() | Anchor():
            return False


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self._depth = 0
        self._ignore_case = False
        self._dot_all = False
        self._flags()

    @property
    def rest(self) -> str:
        return self._text[self.at :]

    def _peek(self) -> str:
        return self._text[self.at : self.at + 1]

    def _take(self) -> str:
        character = self._peek()
        self.at += 1
        return character

    def _accept(self, text: str) -> bool:
        if self._text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def _flags(self) -> None:
        for flags in ("(?i)", "(?s)", "(?is)", "(?si)"):
            if self._accept(flags):
                self._ignore_case = "i" in flags
                self._dot_all = "s" in flags

    def alternation(self) -> Pattern:
        options = [self._sequence()]
        while self._accept("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Alternation(tuple(options))

    def _sequence(self) -> Pattern:
        items = []
        while self.rest and self._peek() not in "|)":
            items.append(self._repeated())
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _repeated(self) -> Pattern:
        start = self.at
        item = self._atom()
        bounds = self._quantifier()
        if bounds is None:
            return item
        if isinstance(item, Anchor):
            raise PatternRefused("nothing to repeat", start)
        if bounds[1] != 1 and _varies(item):
            raise PatternRefused("a varying quantifier under a repetition", start)
        self._accept("?")
        if self._quantifier() is not None:
            raise PatternRefused("a quantifier after a quantifier", start)
        return Repeat(item, *bounds)

    def _quantifier(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._accept(sign):
                return bounds
        if self._peek() != "{":
            return None
        start, end = self.at, self._text.find("}", self.at)
        least, comma, most = self._text[start + 1 : end].partition(",")
        if end < 0 or not _is_number(least) or not (most == "" or _is_number(most)):
            raise PatternRefused("{ begins a repetition; write \\{ for the character", start)
        self.at = end + 1
        low, high = int(least), (int(most) if most else None) if comma else int(least)
        if max(low, high or 0) > _MAX_REPEAT or (high is not None and high < low):
            raise PatternRefused(f"repetition out of order or beyond {_MAX_REPEAT}", start)
        return low, high

    def _atom(self) -> Pattern:
        start, character = self.at, self._take()
        match character:
            case "(":
                return self._group(start)
            case "[":
                return Characters(self._class(start))
            case ".":
                return Characters(_EVERYTHING if self._dot_all else _ANY)
            case "^" | "$":
                return Anchor(is_start=character == "^")
            case "\\":
                return self._escaped(start)
            case "*" | "+" | "?" | "{":
                raise PatternRefused("nothing to repeat", start)
            case _:
                return Characters(self._fold(ord(character), ord(character)))

    def _fold(self, first: int, last: int) -> Ranges:
        """The characters between two, with their other cases if the pattern ignores case."""
        return _folded(((first, last),)) if self._ignore_case else ((first, last),)

    def _group(self, start: int) -> Pattern:
        self._depth += 1
        if self._depth > _MAX_GROUPS:
            raise PatternRefused(f"more than {_MAX_GROUPS} groups inside each other", start)
        if self._peek() == "?" and not self._accept("?:"):
            self._named_group(start)
        inside = self.alternation()
        if not self._accept(")"):
            raise PatternRefused("( without )", start)
        self._depth -= 1
        return inside

    def _named_group(self, start: int) -> None:
        for look in ("?=", "?!", "?<=", "?<!"):
            if self._accept(look):
                raise PatternRefused("look-around is not supported", start)
        if self._accept("?P="):
            raise PatternRefused("back-references are not supported", start)
        end = self._text.find(">", self.at)
        prefix = next((prefix for prefix in ("?P<", "?<") if self._text.startswith(prefix, self.at)), None)
        if prefix is None or end < 0 or not self._text[self.at + len(prefix) : end].isidentifier():
            raise PatternRefused("unknown group; flags stand only at the start, as (?i) or (?s)", start)
        self.at = end + 1

    def _escaped(self, start: int) -> Pattern:
        character = self._peek()
        if character in {"A", "z"}:
            self.at += 1
            return Anchor(is_start=character == "A")
        return Characters(self._escape(start))

    def _escape(self, start: int) -> Ranges:
        """What follows a backslash, in a class or outside."""
        character = self._peek()
        if character.lower() not in _CLASSES:
            code = self._escaped_code(start)
            return self._fold(code, code)
        self.at += 1
        ranges = _CLASSES[character.lower()]
        ranges = _folded(ranges) if self._ignore_case else ranges
        return ranges if character.islower() else _negated(ranges)

    def _escaped_code(self, start: int) -> int:
        """The character that a backslash and what follows stand for."""
        character = self._take()
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character in {"x", "0"}:
            return self._code_point(character, start)
        if character in _PUNCTUATION and character:
            return ord(character)
        if character.isdigit():
            raise PatternRefused("back-references are not supported", start)
        raise PatternRefused(_REFUSED_ESCAPES.get(character, "unknown escape"), start)

    def _code_point(self, kind: str, start: int) -> int:
        if kind == "0":
            raise PatternRefused("octal escapes are not supported; write \\x00", start)
        if self._accept("{"):
            digits, _, tail = self.rest.partition("}")
            self.at += len(digits) + 1
            is_closed = len(self._text) - self.at == len(tail)
        else:
            digits, is_closed = self.rest[:2], len(self.rest) > 1
            self.at += 2
        is_hexadecimal = bool(digits) and all(digit in "0123456789abcdefABCDEF" for digit in digits)
        if not is_closed or not is_hexadecimal or int(digits, 16) > _LAST:
            raise PatternRefused("\\x needs two digits or {digits}", start)
        return int(digits, 16)

    def _class(self, start: int) -> Ranges:
        is_negated = self._accept("^")
        ranges: list[tuple[int, int]] = []
        is_first = True
        while is_first or self._peek() != "]":
            if not self.rest:
                raise PatternRefused("[ without ]", start)
            if self.rest.startswith("[:"):
                raise PatternRefused("named classes are not supported", self.at)
            ranges += self._class_item()
            is_first = False
        self.at += 1
        normal = _normal(ranges)
        return _negated(normal) if is_negated else normal

    def _class_item(self) -> Ranges:
        place = self.at
        first = self._class_end()
        if isinstance(first, tuple):
            return first
        if self._peek() != "-" or self._text[self.at + 1 : self.at + 2] in {"]", ""}:
            return self._fold(first, first)
        self.at += 1
        last = self._class_end()
        if isinstance(last, tuple) or last < first:
            raise PatternRefused("bad range in a class", place)
        return self._fold(first, last)

    def _class_end(self) -> int | Ranges:
        """A character, or one of the classes."""
        start, character = self.at, self._take()
        if character != "\\":
            return ord(character)
        return self._escape(start) if self._peek().lower() in _CLASSES else self._escaped_code(start)


def _is_number(text: str) -> bool:
    return 1 <= len(text) <= 4 and text.isascii() and text.isdigit()  # noqa: PLR2004  no repetition has more digits
