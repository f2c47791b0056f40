"""The functions of the language: one row each for the checker, one Python function each for evaluation.

`orValue` is not here because it does not always evaluate its argument, and `matches` runs an automaton that is built
when the expression is checked (see `automaton`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.policy.cel.certificates import issued_by
from gateway.policy.cel.operations import OperationError, size
from gateway.policy.cel.times import (
    format_duration,
    format_timestamp,
    from_unix,
    parse_duration,
    parse_timestamp,
    unix_seconds,
)
from gateway.policy.cel.types import BOOL, DOUBLE, DURATION, INT, STRING, TIMESTAMP, Type

__all__ = ["FUNCTIONS", "Function", "format_double", "to_string"]

_MAX_TEXT: Final = 64
_INT_TEXT: Final = re.compile(r"[+-]?[0-9]{1,20}")
_DOUBLE_TEXT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_SIGNATURE_WEIGHT: Final = 2_000
"""A signature takes some hundred microseconds: a comprehension may check eight."""
_TWO_63: Final = 2**63
_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class Function:
    """One row: how a function is written, what it takes and gives."""

    name: str
    operands: tuple[frozenset[str], ...]
    """Kinds of the operands, the receiver first; see `kind_of`."""
    result: Type
    run: Callable[..., Any]
    is_method: bool
    """True if it is written `x.name()`."""
    is_global: bool
    """True if it is written `name(x)`."""
    weight: int = 1
    """What it takes compared to a comparison; see `cost`."""


def _text(value: Any, function: str) -> str:
    if type(value) is str:
        return value
    raise OperationError(f"{function}() needs a string")


def starts_with(text: Any, prefix: Any) -> bool:
    """`text.startsWith(prefix)`."""
    return _text(text, "startsWith").startswith(_text(prefix, "startsWith"))


def ends_with(text: Any, suffix: Any) -> bool:
    """`text.endsWith(suffix)`."""
    return _text(text, "endsWith").endswith(_text(suffix, "endsWith"))


def contains(text: Any, part: Any) -> bool:
    """`text.contains(part)`."""
    return _text(part, "contains") in _text(text, "contains")


def lower_ascii(text: Any) -> str:
    """`text.lowerAscii()`: A to Z only."""
    found = _text(text, "lowerAscii")
    return found.lower() if found.isascii() else found.translate(_LOWER)


def to_timestamp(value: Any) -> datetime:
    """`timestamp(...)` of an RFC 3339 string, or of seconds since 1970."""
    if type(value) is datetime:
        return value
    try:
        if type(value) is int:
            return from_unix(value)
        return parse_timestamp(_text(value, "timestamp"))
    except ValueError as error:
        raise OperationError(str(error)) from None
    except OverflowError:
        raise OperationError("timestamp outside the years 1 to 9999") from None


def to_duration(value: Any) -> timedelta:
    """`duration(...)` of a string like 1h30m."""
    if type(value) is timedelta:
        return value
    try:
        return parse_duration(_text(value, "duration"))
    except ValueError as error:
        raise OperationError(str(error)) from None


def to_int(value: Any) -> int:
    """`int(...)`: a double is cut towards zero, a string is decimal, a timestamp gives Unix seconds."""
    kind = type(value)
    if kind is int and -_TWO_63 <= value < _TWO_63:
        found: int = value
        return found
    if kind is float and -_TWO_63 < value < _TWO_63:
        return int(value)
    if kind is str and _INT_TEXT.fullmatch(value) and -_TWO_63 <= int(value) < _TWO_63:
        return int(value)
    if kind is datetime:
        return unix_seconds(value)
    raise OperationError("int(): not a 64-bit integer")


def to_double(value: Any) -> float:
    """`double(...)`: a string is decimal; NaN and infinities have no spelling."""
    kind = type(value)
    if kind is float or kind is int:
        return float(value)
    if kind is str and len(value) <= _MAX_TEXT and _DOUBLE_TEXT.fullmatch(value):
        return float(value)
    raise OperationError("double(): not a number")


def format_double(value: float) -> str:
    """The shortest text that reads back as the same double; without `.0` if it is whole."""
    text = repr(value)
    return text.removesuffix(".0")


def to_string(value: Any) -> str:
    """`string(...)` of a scalar."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return format_double(value)
        case datetime():
            return format_timestamp(value)
        case timedelta():
            return format_duration(value)
        case _:
            raise OperationError("string(): not a scalar")


def _kinds(names: str) -> frozenset[str]:
    return frozenset(names.split())


_STRINGS: Final = _kinds("string dyn")


def _method(name: str, arguments: int, result: Type, run: Callable[..., Any], weight: int) -> Function:
    return Function(name, (_STRINGS,) * (arguments + 1), result, run, is_method=True, is_global=False, weight=weight)


def _conversion(name: str, operand: str, result: Type, run: Callable[..., Any]) -> Function:
    return Function(name, (_kinds(operand),), result, run, is_method=False, is_global=True, weight=5)


FUNCTIONS: Final = {
    function.name: function
    for function in (
        Function("size", (_kinds("string list map set dyn"),), INT, size, is_method=True, is_global=True),
        _method("startsWith", 1, BOOL, starts_with, 1),
        _method("endsWith", 1, BOOL, ends_with, 1),
        _method("contains", 1, BOOL, contains, 1),
        _method("lowerAscii", 0, STRING, lower_ascii, 2),
        Function(
            "issuedBy",
            (_STRINGS, _kinds("list dyn")),
            BOOL,
            issued_by,
            is_method=True,
            is_global=False,
            weight=_SIGNATURE_WEIGHT,
        ),
        _conversion("timestamp", "string int timestamp dyn", TIMESTAMP, to_timestamp),
        _conversion("duration", "string duration dyn", DURATION, to_duration),
        _conversion("int", "int double string timestamp dyn", INT, to_int),
        _conversion("double", "int double string dyn", DOUBLE, to_double),
        _conversion("string", "string bool int double timestamp duration dyn", STRING, to_string),
    )
}
"""By name."""
