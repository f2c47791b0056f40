"""Types of the language, as the checker knows them.

Values at run time are plain Python:

==============  ==================================================  =========================================
type            Python value                                        written by
==============  ==================================================  =========================================
BOOL            `bool`                                              payload, gateway
INT             `int` (never `bool`)                                payload, gateway
DOUBLE          `float`, or `int`: JSON writes 16.0 as 16           payload, gateway
String          `str`                                               payload, gateway
TIMESTAMP       `datetime.datetime` with a time zone                gateway; `timestamp()`
DURATION        `datetime.timedelta`                                gateway; `duration()`
List            `list` or `tuple`                                   payload, gateway
Set             anything with `__contains__` for strings            gateway
Map             `dict` with string keys                             payload, gateway
Record          `dict`; an optional field may be missing            payload, params, sets
Object          any object: fields are its attributes, read when    gateway: session, facts, ...
                needed; an optional field is absent while None
DYN             any of the JSON values                              where a schema says nothing
==============  ==================================================  =========================================
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

__all__ = [
    "BOOL",
    "DOUBLE",
    "DURATION",
    "DYN",
    "INT",
    "NOTHING",
    "NULL",
    "STRING",
    "TIMESTAMP",
    "Field",
    "List",
    "Map",
    "Object",
    "Optional",
    "Record",
    "Scalar",
    "Set",
    "String",
    "Type",
    "comparable",
    "describe",
    "is_numeric",
    "join",
]


class Scalar(Enum):
    """Types without parameters."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    NULL = "null"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    DYN = "dyn"
    NOTHING = "nothing"


BOOL: Final = Scalar.BOOL
INT: Final = Scalar.INT
DOUBLE: Final = Scalar.DOUBLE
NULL: Final = Scalar.NULL
TIMESTAMP: Final = Scalar.TIMESTAMP
DURATION: Final = Scalar.DURATION
DYN: Final = Scalar.DYN
NOTHING: Final = Scalar.NOTHING
"""Element of the empty list, and of whatever already has a finding: fits everywhere."""


@dataclass(frozen=True, slots=True)
class String:
    """A string. The three facts come from a schema and feed P024 and P021."""

    values: frozenset[str] | None = None
    """The enumeration, if there is one."""
    max_length: int | None = None
    """In code points."""
    date_time: bool = False
    """An RFC 3339 date-time: must be read with timestamp() before it is ordered."""


STRING: Final = String()


@dataclass(frozen=True, slots=True)
class List:
    """A list. `max_items` is an upper bound that somebody enforces, or None."""

    element: "Type"
    max_items: int | None = None


@dataclass(frozen=True, slots=True)
class Set:
    """A named set (hosts, CIDR blocks): `in` is all it can do."""

    element: "Type" = STRING


@dataclass(frozen=True, slots=True)
class Map:
    """String keys that are not known beforehand."""

    value: "Type"


@dataclass(frozen=True, slots=True)
class Optional:
    """The value of `.?field` and `[?index]`."""

    value: "Type"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a Record or Object."""

    type: "Type"
    optional: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A dict with known keys. Compared by identity, so make each one once."""

    name: str
    fields: Mapping[str, Field]
    is_open: bool = False
    """True if it may have other keys too (customData); those are optional and DYN."""
    unknown: str = field(default="P022", kw_only=True)
    """Code of the finding for a field that does not exist: P022 for payloads; params may want P070."""


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """A Python object whose attributes are read one by one, when an expression needs them."""

    name: str
    fields: Mapping[str, Field]
    unknown: str = field(default="P020", kw_only=True)


Type = Scalar | String | List | Set | Map | Optional | Record | Object


def is_numeric(kind: Type) -> bool:
    """INT or DOUBLE."""
    return kind is INT or kind is DOUBLE


def describe(kind: Type) -> str:
    """The type in words for people."""
    match kind:
        case Scalar():
            return kind.value
        case String():
            return "string"
        case List():
            return f"list({describe(kind.element)})"
        case Set():
            return f"set({describe(kind.element)})"
        case Map():
            return f"map({describe(kind.value)})"
        case Optional():
            return f"optional({describe(kind.value)})"
        case Record() | Object():
            return kind.name


def comparable(left: Type, right: Type) -> bool:
    """True if `==` between the two can be true: same kind, or any two numbers, or one of them unknown."""
    if {left, right} & {DYN, NOTHING}:
        return True
    if is_numeric(left) and is_numeric(right):
        return True
    match left, right:
        case (String(), String()):
            return True
        case (List(element=mine), List(element=other)) | (Map(value=mine), Map(value=other)):
            return comparable(mine, other)
        case (Record(), Record() | Map()) | (Map(), Record()):
            return True
        case (Optional(), _) | (Object(), _) | (Set(), _):
            return False
        case _:
            return left == right


def join(left: Type, right: Type) -> Type | None:
    """The type that holds both, or None. An INT beside a DOUBLE is a DOUBLE."""
    if left is NOTHING or right is DYN:
        return right
    if right is NOTHING or left is DYN:
        return left
    if is_numeric(left) and is_numeric(right):
        return left if left is right else DOUBLE
    match left, right:
        case (String(), String()):
            return _join_strings(left, right)
        case (List(), List()):
            element = join(left.element, right.element)
            return None if element is None else List(element, _larger(left.max_items, right.max_items))
        case (Map(), Map()):
            value = join(left.value, right.value)
            return None if value is None else Map(value)
        case _:
            return left if left == right else None


def _join_strings(left: String, right: String) -> String:
    values = None if left.values is None or right.values is None else left.values | right.values
    return String(values, _larger(left.max_length, right.max_length), left.date_time and right.date_time)


def _larger(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else max(left, right)
