"""Comparisons and `in` of the fast path: inlined where Python would say the same, guarded where it would not.

The guards: `_type(x) is not _bool` because True == 1 and True < 2; a positive test of the type where both sides come
from outside, because Python compares lists too; `_type(x) is _str` before `in`, because of substrings.
"""

import ast
from collections.abc import Mapping
from typing import Final, Protocol

from gateway.policy.cel.cost import Meter
from gateway.policy.cel.nodes import Binary, ListLiteral, Literal, Node
from gateway.policy.cel.pyast import both, call, compare, const, either, is_a, negate
from gateway.policy.cel.types import BOOL, DURATION, TIMESTAMP, List, Map, Set, String, Type, is_numeric

__all__ = ["comparison", "membership"]

_NATIVE: Final[Mapping[str, type[ast.cmpop]]] = {
    "==": ast.Eq,
    "!=": ast.NotEq,
    "<": ast.Lt,
    "<=": ast.LtE,
    ">": ast.Gt,
    ">=": ast.GtE,
}
_HELPERS: Final = {
    "==": "_op_equal",
    "!=": "_op_equal",
    "<": "_op_less",
    "<=": "_op_less_or_equal",
    ">": "_op_greater",
    ">=": "_op_greater_or_equal",
}
_EQUALITY: Final = frozenset({"==", "!="})


class Generator(Protocol):
    """What this module needs of the generator."""

    def keep(self, value: ast.expr) -> tuple[ast.expr, ast.expr]: ...
    def type_of(self, node: Node) -> Type: ...
    def is_certain(self, node: Node) -> bool: ...
    def value(self, node: Node) -> ast.expr: ...
    def guarded(self, test: ast.expr, value: ast.expr) -> ast.expr: ...
    def paid(self, quantity: ast.expr, shift: int) -> ast.expr: ...


def comparison(to: Generator, node: Binary, meter: Meter | None) -> ast.expr:
    """`==`, `!=`, `<`, `<=`, `>` or `>=`."""
    left, right = to.type_of(node.left), to.type_of(node.right)
    if is_numeric(left) and is_numeric(right):
        return _numbers(to, node)
    if isinstance(left, String) and isinstance(right, String):
        return _strings(to, node, meter)
    if left is right and left in {TIMESTAMP, DURATION}:
        return _native(node, to.value(node.left), to.value(node.right))
    if left is right is BOOL and node.operator in _EQUALITY and (flag := _flag(to, node)) is not None:
        return flag
    return _general(to, node, meter)


def _native(node: Binary, left: ast.expr, right: ast.expr) -> ast.expr:
    return compare(left, _NATIVE[node.operator](), right)


def _general(to: Generator, node: Binary, meter: Meter | None) -> ast.expr:
    left, right = to.value(node.left), to.value(node.right)
    helper = _HELPERS[node.operator]
    if meter is Meter.DEEP:
        first, again = to.keep(left)
        found = to.guarded(to.paid(call("_op_weigh", first), 0), call(helper, again, right))
    else:
        found = call(helper, left, right)
    return negate(found) if node.operator == "!=" else found


def _numbers(to: Generator, node: Binary) -> ast.expr:
    """Numbers from outside may be anything. Beside a literal, only a bool would not raise."""
    tests: list[ast.expr] = []
    sides = []
    is_beside_literal = isinstance(node.left, Literal) or isinstance(node.right, Literal)
    for operand in (node.left, node.right):
        value = to.value(operand)
        if to.is_certain(operand):
            sides.append(value)
        elif is_beside_literal and node.operator in _EQUALITY:
            return _equals_literal(to, node, value)
        else:
            first, again = to.keep(value)
            is_number = either(is_a(first, "_float"), is_a(again, "_int"))
            tests.append(is_a(first, "_bool", negated=True) if is_beside_literal else is_number)
            sides.append(again)
    plain = _native(node, sides[0], sides[1])
    return to.guarded(both(*tests), plain) if tests else plain


def _equals_literal(to: Generator, node: Binary, value: ast.expr) -> ast.expr:
    """`value == 1` and the like, where True must not count as 1."""
    literal = node.left if isinstance(node.left, Literal) else node.right
    number = literal.value if isinstance(literal, Literal) else None
    if number not in {0, 1}:
        return _native(node, value, const(number))
    first, again = to.keep(value)
    is_equal = node.operator == "=="
    is_bool = is_a(again, "_bool", negated=is_equal)
    return (both if is_equal else either)(_native(node, first, const(number)), is_bool)


def _strings(to: Generator, node: Binary, meter: Meter | None) -> ast.expr:
    """A string on one side is enough: equality with anything else is false, order raises."""
    first, again = to.keep(to.value(node.left))
    tests: list[ast.expr] = []
    if not to.is_certain(node.left) and (meter is not None or not to.is_certain(node.right)):
        tests.append(is_a(first, "_str"))
        first = again
    if meter is not None:
        tests.append(to.paid(call("_len", first), meter.value))
        first = again
    plain = _native(node, first, to.value(node.right))
    return to.guarded(both(*tests), plain) if tests else plain


def _flag(to: Generator, node: Binary) -> ast.expr | None:
    """`x == true` and the like; None if neither side is a literal."""
    for flag, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(flag, Literal):
            operator = ast.Is() if node.operator == "==" else ast.IsNot()
            return compare(to.value(other), operator, const(flag.value))
    return None


def membership(to: Generator, node: Binary, meter: Meter | None) -> ast.expr:
    """`in`."""
    container = to.type_of(node.right)
    if isinstance(node.right, ListLiteral) and (constant := _constant_list(node.right)) is not None:
        return _in_constant(to, node.left, constant)
    is_text = isinstance(to.type_of(node.left), String)
    if isinstance(container, List) and is_text:
        return _in_list(to, node, meter)
    if isinstance(container, Set | Map) and is_text:
        return _in_set(to, node, container)
    value, items = to.value(node.left), to.value(node.right)
    if meter is not Meter.ITEMS:
        return call("_op_member", value, items)
    first, again = to.keep(items)
    return to.guarded(to.paid(call("_len", first), meter.value), call("_op_member", value, again))


def _constant_list(node: ListLiteral) -> list[object] | None:
    values: list[object] = [item.value for item in node.items if isinstance(item, Literal)]
    return values if len(values) == len(node.items) else None


def _in_constant(to: Generator, left: Node, values: list[object]) -> ast.expr:
    if any(value in {0, 1} and not isinstance(value, str) for value in values):
        return call("_op_member", to.value(left), const(tuple(values)))
    return compare(to.value(left), ast.In(), const(frozenset(values)))


def _text(to: Generator, node: Node) -> tuple[list[ast.expr], ast.expr]:
    """Tests that a value is a string, and the value once they hold."""
    value = to.value(node)
    if to.is_certain(node):
        return [], value
    first, again = to.keep(value)
    return [is_a(first, "_str")], again


def _in_list(to: Generator, node: Binary, meter: Meter | None) -> ast.expr:
    tests, value = _text(to, node.left)
    first, again = to.keep(to.value(node.right))
    if not to.is_certain(node.right):
        tests.append(either(is_a(first, "_list"), is_a(again, "_tuple")))
        first = again
    if meter is Meter.ITEMS:
        tests.append(to.paid(call("_len", first), meter.value))
        first = again
    found = compare(value, ast.In(), first)
    return to.guarded(both(*tests), found) if tests else found


def _in_set(to: Generator, node: Binary, container: Type) -> ast.expr:
    tests, value = _text(to, node.left)
    right = to.value(node.right)
    if isinstance(container, Map):
        first, right = to.keep(right)
        tests.append(is_a(first, "_dict"))
    found = compare(value, ast.In(), right)
    return to.guarded(both(*tests), found) if tests else found
