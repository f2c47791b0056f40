"""Which operand types an operator takes, what it gives, and what to write when they do not fit (P021)."""

from collections.abc import Callable
from typing import Any, Final

from gateway.policy.cel import operations
from gateway.policy.cel.nodes import Binary, Literal, Node
from gateway.policy.cel.types import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NOTHING,
    NULL,
    STRING,
    TIMESTAMP,
    List,
    Map,
    Object,
    Optional,
    Record,
    Scalar,
    Set,
    String,
    Type,
    comparable,
    describe,
    is_numeric,
    join,
)

__all__ = ["Mismatch", "arithmetic", "check_equality", "check_membership", "check_order", "kind_of", "negation"]


class Mismatch(Exception):  # noqa: N818  what the operands are
    """The operands do not fit the operator: the message and the suggestion of a P021."""

    def __init__(self, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion


Operation = Callable[..., Any]

_SCALAR_ARITHMETIC: Final[dict[tuple[str, Scalar, Scalar], tuple[Operation, Type]]] = {
    ("+", INT, INT): (operations.add_int, INT),
    ("-", INT, INT): (operations.sub_int, INT),
    ("*", INT, INT): (operations.mul_int, INT),
    ("/", INT, INT): (operations.div_int, INT),
    ("%", INT, INT): (operations.mod_int, INT),
    ("+", DOUBLE, DOUBLE): (operations.add_double, DOUBLE),
    ("-", DOUBLE, DOUBLE): (operations.sub_double, DOUBLE),
    ("*", DOUBLE, DOUBLE): (operations.mul_double, DOUBLE),
    ("/", DOUBLE, DOUBLE): (operations.div_double, DOUBLE),
    ("+", DURATION, DURATION): (operations.time_add, DURATION),
    ("+", TIMESTAMP, DURATION): (operations.time_add, TIMESTAMP),
    ("+", DURATION, TIMESTAMP): (operations.time_add, TIMESTAMP),
    ("-", DURATION, DURATION): (operations.time_sub, DURATION),
    ("-", TIMESTAMP, DURATION): (operations.time_sub, TIMESTAMP),
    ("-", TIMESTAMP, TIMESTAMP): (operations.time_sub, DURATION),
}
_NEGATIONS: Final[dict[Type, Operation]] = {
    INT: operations.neg_int,
    DOUBLE: operations.neg_double,
}
_ORDERED: Final[frozenset[Type]] = frozenset({BOOL, TIMESTAMP, DURATION})
_KINDS: Final[dict[type, str]] = {
    String: "string",
    List: "list",
    Set: "set",
    Map: "map",
    Optional: "optional",
    Record: "record",
    Object: "object",
}


def kind_of(kind: Type) -> str:
    """The type in one word, as the table of functions has it."""
    return kind.value if isinstance(kind, Scalar) else _KINDS[type(kind)]


def arithmetic(operator: str, left: Type, right: Type, node: Binary) -> tuple[Operation, Type]:
    """The operation of two operand types and its result. Raises Mismatch."""
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        row = _SCALAR_ARITHMETIC.get((operator, left, right))
        if row is not None:
            return row
    if operator == "+" and isinstance(left, String) and isinstance(right, String):
        return operations.concat_strings, STRING
    if operator == "+" and isinstance(left, List) and isinstance(right, List):
        element = join(left.element, right.element)
        if element is not None:
            return operations.concat_lists, List(element)
    raise Mismatch(f"no {describe(left)} {operator} {describe(right)}", _arithmetic_hint(left, right, node))


def _arithmetic_hint(left: Type, right: Type, node: Binary) -> str:
    for kind, operand in ((left, node.left), (right, node.right)):
        if isinstance(kind, Optional):
            return _OPTIONAL_HINT
        if kind is DYN:
            return "convert it: int(x), double(x) or string(x)"
        if kind is INT and DOUBLE in {left, right}:
            return f"write {operand.value}.0" if isinstance(operand, Literal) else "convert the integer: double(x)"
        if isinstance(kind, String) and kind.date_time:
            return "read the date-time: timestamp(x)"
        if isinstance(kind, String):
            return "convert the other side: string(x)"
    return ""


def negation(operand: Type) -> Operation:
    """The operation of a unary minus; its result has the type of its operand. Raises Mismatch."""
    operation = _NEGATIONS.get(operand) if isinstance(operand, Scalar) else None
    if operation is None:
        raise Mismatch(f"no -{describe(operand)}", _OPTIONAL_HINT if isinstance(operand, Optional) else "")
    return operation


_OPTIONAL_HINT: Final = "say what counts when it is missing: .orValue(...)"


def check_equality(left: Type, right: Type) -> None:
    """`==` and `!=`. Raises Mismatch where the answer could only be one."""
    if comparable(left, right):
        return
    kinds = {left, right}
    if isinstance(left, Optional) or isinstance(right, Optional):
        hint = _OPTIONAL_HINT
    elif NULL in kinds:
        hint = "a payload never holds null; ask has(...)"
    elif any(isinstance(kind, String) for kind in kinds) and TIMESTAMP in kinds:
        hint = "read the date-time: timestamp(x)"
    else:
        hint = ""
    raise Mismatch(f"{describe(left)} is never equal to {describe(right)}", hint)


def check_order(left: Type, right: Type) -> None:
    """`<` and its family. Raises Mismatch."""
    strings = [kind for kind in (left, right) if isinstance(kind, String)]
    if any(kind.date_time for kind in strings):
        raise Mismatch("date-times are not ordered as texts", "read them: timestamp(x) < timestamp(y)")
    if {left, right} & {NOTHING}:
        return
    fits = [kind in _ORDERED or is_numeric(kind) or kind is DYN or isinstance(kind, String) for kind in (left, right)]
    if all(fits) and (comparable(left, right) or DYN in {left, right}):
        return
    hint = ""
    if isinstance(left, Optional) or isinstance(right, Optional):
        hint = _OPTIONAL_HINT
    elif strings and TIMESTAMP in {left, right}:
        hint = "read the date-time: timestamp(x)"
    elif strings and any(is_numeric(kind) for kind in (left, right)):
        hint = "convert the string: int(x) or double(x)"
    raise Mismatch(f"cannot order {describe(left)} and {describe(right)}", hint)


def check_membership(value: Type, container: Type, right: Node) -> None:
    """`in`. Raises Mismatch."""
    match container:
        case List():
            fits = comparable(value, container.element)
        case Set():
            fits = comparable(value, container.element)
        case Map():
            fits = isinstance(value, String) or value in {DYN, NOTHING}
        case _:
            fits = container in {DYN, NOTHING}
    if fits:
        return
    hint = ""
    if isinstance(container, Optional):
        hint = "say what counts when it is missing: .orValue([])"
    elif isinstance(value, Optional):
        hint = _OPTIONAL_HINT
    elif isinstance(container, String):
        hint = "for a part of a text: text.contains(part)"
    elif isinstance(container, Record | Object):
        hint = "for a field: has(x.field)"
    elif isinstance(right, Literal):
        hint = "write a list: [...]"
    raise Mismatch(f"no {describe(value)} in {describe(container)}", hint)
