"""What each operator does with two values, exactly as CEL says and not as Python does.

Shared by the walker and by generated code. Every function looks at the values it gets and not at declared types, so a
payload that does not match its schema leads to an OperationError and never to a silent answer. The traps:
``True == 1``, ``"a" in "abc"``, ``[...][-1]``, ``-7 // 2``, ``1 / 0.0``, integers without end.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

__all__ = [
    "ABSENT",
    "OperationError",
    "add_double",
    "add_int",
    "at",
    "at_or_absent",
    "concat_lists",
    "concat_strings",
    "div_double",
    "div_int",
    "elements",
    "equal",
    "field_of",
    "field_or_absent",
    "greater",
    "greater_or_equal",
    "has_field",
    "less",
    "less_or_equal",
    "member",
    "mod_int",
    "mul_double",
    "mul_int",
    "neg_double",
    "neg_int",
    "of_nothing",
    "size",
    "sub_double",
    "sub_int",
    "time_add",
    "time_sub",
    "truth",
    "weigh",
]


class OperationError(Exception):
    """An operation has no result. The message never contains a value of the payload."""


class _Absent:
    """The optional value that is not there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = _Absent()

_NUMBERS: Final = frozenset({int, float})
_ORDERED: Final = frozenset({str, bool, datetime, timedelta})
_LISTS: Final = frozenset({list, tuple})
_KEYS: Final = frozenset({str, bool, int, float})
_SCALARS: Final = frozenset({str, bool, int, float, type(None), datetime, timedelta})
_MAX_INT: Final = 2**63 - 1
_MIN_INT: Final = -(2**63)
_MAX_DURATION: Final = timedelta(seconds=315_576_000_000)
_ADDABLE_TIMES: Final = frozenset({(timedelta, timedelta), (datetime, timedelta), (timedelta, datetime)})
_SUBTRACTABLE_TIMES: Final = frozenset({(timedelta, timedelta), (datetime, timedelta), (datetime, datetime)})
_NAMES: Final[dict[type, str]] = {
    str: "string",
    bool: "bool",
    int: "int",
    float: "double",
    type(None): "null",
    datetime: "timestamp",
    timedelta: "duration",
    list: "list",
    tuple: "list",
    dict: "map",
    _Absent: "absent",
}


def _named(value: Any) -> str:
    return _NAMES.get(type(value), "object")


def truth(value: Any) -> bool:
    """The value itself if it is a bool."""
    if value is True or value is False:
        return value is True
    raise OperationError(f"expected bool, found {_named(value)}")


# Equality and order


def equal(left: Any, right: Any) -> bool:
    """CEL's `==`: numbers by value, everything else only within its own type, lists and maps element by element."""
    kind, other = type(left), type(right)
    if kind is bool or other is bool:
        return left is right
    if kind in _NUMBERS and other in _NUMBERS:
        return bool(left == right)
    if kind in _LISTS and other in _LISTS:
        return len(left) == len(right) and all(map(equal, left, right))
    if kind is dict and other is dict:
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return kind is other and bool(left == right)


def _check_order(left: Any, right: Any) -> None:
    kind, other = type(left), type(right)
    if (kind in _NUMBERS and other in _NUMBERS) or (kind is other and kind in _ORDERED):
        return
    raise OperationError(f"cannot compare {_named(left)} with {_named(right)}")


def less(left: Any, right: Any) -> bool:
    """CEL's `<`."""
    _check_order(left, right)
    return bool(left < right)


def less_or_equal(left: Any, right: Any) -> bool:
    """CEL's `<=`; false with NaN on either side."""
    _check_order(left, right)
    return bool(left <= right)


def greater(left: Any, right: Any) -> bool:
    """CEL's `>`."""
    return less(right, left)


def greater_or_equal(left: Any, right: Any) -> bool:
    """CEL's `>=`."""
    return less_or_equal(right, left)


def member(value: Any, container: Any) -> bool:
    """CEL's `in`: elements of a list, keys of a map, members of a set; never substrings."""
    kind = type(container)
    if kind in _LISTS:
        if type(value) in _SCALARS and value not in container:
            return False  # Python finds more than CEL does: True among [1]
        return type(value) is str or any(equal(value, each) for each in container)
    if kind in _SCALARS or not hasattr(kind, "__contains__"):
        raise OperationError(f"in: expected a list, set or map, found {_named(container)}")
    if type(value) not in _KEYS:
        raise OperationError(f"in: {_named(value)} is no key")
    return type(value) is str and value in container


# Access


def field_of(container: Any, name: str) -> Any:
    """`container.name` of a map."""
    if type(container) is not dict:
        raise OperationError(f"no field {name}: expected a map, found {_named(container)}")
    if name not in container:
        raise OperationError(f"no such field: {name}")
    return container[name]


def has_field(container: Any, name: str) -> bool:
    """`has(container.name)` of a map; a field that is null is there."""
    if type(container) is not dict:
        raise OperationError(f"has(): expected a map, found {_named(container)}")
    return name in container


def field_or_absent(container: Any, name: str) -> Any:
    """`container.?name` of a map; ABSENT if there is no such key."""
    if type(container) is not dict:
        raise OperationError(f"no field {name}: expected a map, found {_named(container)}")
    return container.get(name, ABSENT)


def at(container: Any, index: Any) -> Any:
    """`container[index]`: no index counts from the end."""
    found = at_or_absent(container, index)
    if found is ABSENT:
        raise OperationError("no such index" if type(container) in _LISTS else "no such key")
    return found


def at_or_absent(container: Any, index: Any) -> Any:
    """`container[?index]`; ABSENT if there is no such index or key."""
    if type(container) is dict:
        if type(index) is not str:
            raise OperationError(f"a key is a string, not {_named(index)}")
        return container.get(index, ABSENT)
    if type(container) not in _LISTS:
        raise OperationError(f"[]: expected a list or map, found {_named(container)}")
    position = _integer(index)
    return container[position] if 0 <= position < len(container) else ABSENT


def elements(value: Any) -> Sequence[Any]:
    """What a comprehension runs over: the elements of a list, the keys of a map."""
    if type(value) in _LISTS:
        found: Sequence[Any] = value
        return found
    if type(value) is dict:
        return list(value)
    raise OperationError(f"expected a list or map, found {_named(value)}")


def size(value: Any) -> int:
    """Elements of a list, keys of a map, members of a set, code points of a string."""
    kind = type(value)
    if kind is not str and (kind in _SCALARS or not hasattr(kind, "__len__")):
        raise OperationError(f"size(): not of {_named(value)}")
    return len(value)


# Arithmetic


def _integer(value: Any) -> int:
    """An int, or the 3.0 that JSON schema takes for an integer too."""
    kind = type(value)
    if kind is float and value.is_integer():
        value = int(value)
    elif kind is not int:
        raise OperationError(f"expected int, found {_named(value)}")
    return _bounded(value)


def _bounded(value: int) -> int:
    if _MIN_INT <= value <= _MAX_INT:
        return value
    raise OperationError("integer overflow")


def _double(value: Any) -> float:
    kind = type(value)
    if kind is float or kind is int:
        return float(value)
    raise OperationError(f"expected double, found {_named(value)}")


def add_int(left: Any, right: Any) -> int:
    """`+` on 64-bit integers."""
    return _bounded(_integer(left) + _integer(right))


def sub_int(left: Any, right: Any) -> int:
    """`-` on 64-bit integers."""
    return _bounded(_integer(left) - _integer(right))


def mul_int(left: Any, right: Any) -> int:
    """`*` on 64-bit integers."""
    return _bounded(_integer(left) * _integer(right))


def div_int(left: Any, right: Any) -> int:
    """`/` on 64-bit integers, towards zero."""
    dividend, divisor = _integer(left), _integer(right)
    if divisor == 0:
        raise OperationError("division by zero")
    quotient = abs(dividend) // abs(divisor)
    return _bounded(quotient if (dividend < 0) == (divisor < 0) else -quotient)


def mod_int(left: Any, right: Any) -> int:
    """`%` on 64-bit integers, with the sign of the dividend."""
    dividend, divisor = _integer(left), _integer(right)
    if divisor == 0:
        raise OperationError("modulus by zero")
    if divisor == -1 and dividend == _MIN_INT:
        raise OperationError("integer overflow")
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


def neg_int(value: Any) -> int:
    """Minus a 64-bit integer."""
    return _bounded(-_integer(value))


def add_double(left: Any, right: Any) -> float:
    """`+` on doubles."""
    return _double(left) + _double(right)


def sub_double(left: Any, right: Any) -> float:
    """`-` on doubles."""
    return _double(left) - _double(right)


def mul_double(left: Any, right: Any) -> float:
    """`*` on doubles."""
    return _double(left) * _double(right)


def div_double(left: Any, right: Any) -> float:
    """`/` on doubles: by zero gives an infinity or NaN, as IEEE 754 says."""
    dividend, divisor = _double(left), _double(right)
    if divisor != 0:
        return dividend / divisor
    if dividend == 0 or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def neg_double(value: Any) -> float:
    """Minus a double."""
    return -_double(value)


def concat_strings(left: Any, right: Any) -> str:
    """`+` on strings."""
    if type(left) is str and type(right) is str:
        return left + right
    raise OperationError(f"cannot add {_named(left)} and {_named(right)}")


def concat_lists(left: Any, right: Any) -> list[Any]:
    """`+` on lists."""
    if type(left) in _LISTS and type(right) in _LISTS:
        return [*left, *right]
    raise OperationError(f"cannot add {_named(left)} and {_named(right)}")


def time_add(left: Any, right: Any) -> Any:
    """`+` where one side is a duration and the other a duration or timestamp."""
    if (type(left), type(right)) not in _ADDABLE_TIMES:
        raise OperationError(f"cannot add {_named(left)} and {_named(right)}")
    try:
        return _time(left + right)
    except OverflowError:
        raise OperationError("timestamp out of range") from None


def time_sub(left: Any, right: Any) -> Any:
    """`-` on timestamps and durations."""
    if (type(left), type(right)) not in _SUBTRACTABLE_TIMES:
        raise OperationError(f"cannot subtract {_named(right)} from {_named(left)}")
    try:
        return _time(left - right)
    except OverflowError:
        raise OperationError("timestamp out of range") from None


def _time(value: Any) -> Any:
    if type(value) is timedelta and abs(value) > _MAX_DURATION:
        raise OperationError("duration out of range")
    return value


def of_nothing(*_operands: Any) -> Any:
    """Arithmetic on the elements of an empty list: there are none."""
    raise OperationError("an empty list has no elements")


# Cost


def weigh(value: Any) -> int:
    """Roughly how many steps it takes to compare a value: one per value and per 4096 characters."""
    total, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        total += 1
        if type(each) is str:
            total += len(each) >> 12
        elif type(each) is dict:
            waiting.extend(each.values())
        elif type(each) in _LISTS:
            inside: Iterable[Any] = each
            waiting.extend(inside)
    return total
