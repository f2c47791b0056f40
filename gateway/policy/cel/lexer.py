"""Text to tokens. Everything that CEL has and this subset has not is refused here or in `parser`, by name."""

import math
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.policy.cel.errors import ExpressionInvalid

__all__ = ["Kind", "Token", "tokenize"]


class Kind(Enum):
    """What a token is."""

    NAME = "name"
    INT = "integer"
    DOUBLE = "number"
    STRING = "string"
    OPERATOR = "operator"
    END = "end of the expression"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `value` is the decoded literal, or the text of names and operators."""

    kind: Kind
    value: int | float | str
    start: int
    end: int


_SPACE: Final = re.compile(r"(?:[ \t\r\n\f]+|//[^\n]*)+")
_DOUBLE: Final = re.compile(r"(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+")
_INT: Final = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR: Final = re.compile(r"&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]]")
_STRING: Final = re.compile(
    r"([rR]?)"
    r'("""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\\r\n]|\\.)*"|\'(?:[^\'\\\r\n]|\\.)*\')',
    re.DOTALL,
)
_RAW_STRING: Final = re.compile(
    r"[rR](\"\"\"(?:.)*?\"\"\"|'''(?:.)*?'''|\"[^\"\r\n]*\"|'[^'\r\n]*')",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|([xX])([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|)", re.DOTALL
)
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_MAX_INT: Final = 2**63
_MAX_CODE_POINT: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)
_HINTS: Final = {
    "=": "to compare, write ==",
    "&": "write &&",
    "|": "write ||",
    "{": "there are no map literals",
    "}": "there are no map literals",
    "“": "use straight quotes",
    "”": "use straight quotes",
    "‘": "use straight quotes",
    "’": "use straight quotes",
    '"': "the string does not end",
    "'": "the string does not end",
}


def tokenize(text: str) -> list[Token]:
    """All tokens of the text, then one END. Raises ExpressionInvalid."""
    tokens, at = [], 0
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if at == len(text):
            tokens.append(Token(Kind.END, "", at, at))
            return tokens
        token = _next(text, at)
        tokens.append(token)
        at = token.end


def _next(text: str, at: int) -> Token:
    string = _string(text, at)
    if string is not None:
        return string
    if found := _NAME.match(text, at):
        return Token(Kind.NAME, found[0], at, found.end())
    if found := _DOUBLE.match(text, at):
        return _number(text, found, Kind.DOUBLE, float(found[0]))
    if found := _INT.match(text, at):
        digits = found[0]
        return _number(text, found, Kind.INT, int(digits, 16 if digits[:2] in {"0x", "0X"} else 10))
    if found := _OPERATOR.match(text, at):
        return Token(Kind.OPERATOR, found[0], at, found.end())
    raise _refused("this character does not belong here", at, 1, _HINTS.get(text[at], ""))


def _refused(message: str, offset: int, length: int, suggestion: str = "") -> ExpressionInvalid:
    return ExpressionInvalid(message, offset=offset, length=length, suggestion=suggestion)


def _number(text: str, found: re.Match[str], kind: Kind, value: float) -> Token:
    start, end = found.span()
    if end < len(text) and (text[end].isalnum() or text[end] == "_"):
        if text[end] in "uU":
            raise _refused("there are no unsigned integers", start, end + 1 - start, found[0])
        raise _refused("a letter follows a number", start, end + 1 - start)
    if value > _MAX_INT if isinstance(value, int) else math.isinf(value):
        raise _refused("the number is too large", start, end - start)
    return Token(kind, value, start, end)


def _string(text: str, at: int) -> Token | None:
    if text[at] in "bB" and text[at + 1 : at + 2] in {'"', "'"}:
        raise _refused("there are no byte strings", at, 2)
    if raw := _RAW_STRING.match(text, at):
        return Token(Kind.STRING, _unquoted(raw[1]), at, raw.end())
    found = _STRING.match(text, at)
    if found is None:
        return None
    body = _unquoted(found[2])
    shift = found.start(2) + (len(found[2]) - len(body)) // 2
    value = _ESCAPE.sub(lambda escape: _unescaped(escape, shift), body)
    return Token(Kind.STRING, value, at, found.end())


def _unquoted(literal: str) -> str:
    quotes = 3 if literal[:3] in {'"""', "'''"} else 1
    return literal[quotes:-quotes]


def _unescaped(escape: re.Match[str], shift: int) -> str:
    simple, _, hexadecimal, short, long, octal = escape.groups()
    if simple:
        return _SIMPLE.get(simple, simple)
    digits = hexadecimal or short or long or octal
    offset = shift + escape.start()
    if digits is None:
        raise _refused("unknown escape in a string", offset, 2, "write \\\\ for a backslash")
    code_point = int(digits, 8 if octal else 16)
    if code_point > _MAX_CODE_POINT or code_point in _SURROGATES:
        raise _refused("not a Unicode character", offset, len(escape[0]))
    return chr(code_point)
