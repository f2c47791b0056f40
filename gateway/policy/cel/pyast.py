"""Short names for the few Python syntax nodes that generated code consists of. No text is ever turned into code."""

import ast
from typing import Any

__all__ = [
    "assign",
    "attribute",
    "both",
    "call",
    "compare",
    "conditional",
    "const",
    "either",
    "is_a",
    "item",
    "let",
    "name",
    "negate",
    "store",
    "subtract",
    "when",
]


def name(identifier: str) -> ast.Name:
    """Read a variable."""
    return ast.Name(identifier, ast.Load())


def store(identifier: str) -> ast.Name:
    """Write a variable."""
    return ast.Name(identifier, ast.Store())


def const(value: Any) -> ast.Constant:
    """A literal: str, int, float, bool, None, or a frozenset or tuple of them."""
    return ast.Constant(value)


def let(identifier: str, value: ast.expr) -> ast.NamedExpr:
    """`(identifier := value)`."""
    return ast.NamedExpr(store(identifier), value)


def assign(identifier: str, value: ast.expr) -> ast.stmt:
    """`identifier = value`."""
    return ast.Assign([store(identifier)], value)


def subtract(identifier: str, value: ast.expr) -> ast.stmt:
    """`identifier -= value`."""
    return ast.AugAssign(store(identifier), ast.Sub(), value)


def attribute(value: ast.expr, field: str) -> ast.Attribute:
    """`value.field`."""
    return ast.Attribute(value, field, ast.Load())


def item(value: ast.expr, key: ast.expr) -> ast.Subscript:
    """`value[key]`."""
    return ast.Subscript(value, key, ast.Load())


def call(function: ast.expr | str, *arguments: ast.expr) -> ast.Call:
    """`function(*arguments)`."""
    return ast.Call(name(function) if isinstance(function, str) else function, list(arguments), [])


def compare(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> ast.Compare:
    """`left operator right`."""
    return ast.Compare(left, [operator], [right])


def is_a(value: ast.expr, kind: str, *, negated: bool = False) -> ast.expr:
    """`type(value) is kind`, for a name that `codegen` gives to a type."""
    return compare(call("_type", value), ast.IsNot() if negated else ast.Is(), name(kind))


def both(*operands: ast.expr) -> ast.expr:
    """`a and b and ...`."""
    return operands[0] if len(operands) == 1 else ast.BoolOp(ast.And(), list(operands))


def either(*operands: ast.expr) -> ast.expr:
    """`a or b or ...`."""
    return operands[0] if len(operands) == 1 else ast.BoolOp(ast.Or(), list(operands))


def negate(operand: ast.expr) -> ast.expr:
    """`not operand`."""
    return ast.UnaryOp(ast.Not(), operand)


def conditional(test: ast.expr, yes: ast.expr, no: ast.expr) -> ast.expr:
    """`yes if test else no`."""
    return ast.IfExp(test, yes, no)


def when(test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt] | None = None) -> ast.stmt:
    """`if test: body`, perhaps with an else branch."""
    return ast.If(test, body, orelse or [])
