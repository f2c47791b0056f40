"""Comparisons that can only go one way: outside an enumeration, longer than allowed (P024), always the same (P025)."""

from typing import Final

from gateway.policy.cel.findings import did_you_mean
from gateway.policy.cel.nodes import Binary, Call, ListLiteral, Literal, Name, Node, walk
from gateway.policy.cel.place import Place, path_of
from gateway.policy.cel.types import String, Type

__all__ = ["constant_comparison", "impossible_literals", "is_constant", "never_equal"]

_SHOWN: Final = 6
_REFLEXIVE: Final = frozenset({"==", "<=", ">="})
_IRREFLEXIVE: Final = frozenset({"!=", "<", ">"})
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def is_constant(node: Node) -> bool:
    """True if no name occurs in it, so that it has the same value for every message."""
    return not any(isinstance(each, Name) for each in walk(node))


def never_equal(kind: Type, text: str) -> tuple[str, str] | None:
    """Why a string of that type is never `text`, and a suggestion; None if it may be."""
    if not isinstance(kind, String):
        return None
    if kind.values is not None and text not in kind.values:
        known = sorted(kind.values)
        shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        return f"{text!r} is not one of its values ({shown})", did_you_mean(text, known)
    if kind.max_length is not None and len(text) > kind.max_length:
        return f"longer than the field can be ({kind.max_length} characters)", ""
    return None


def impossible_literals(node: Binary, left: Type, right: Type) -> list[tuple[Literal, str, str]]:
    """String literals that this `==`, `!=` or `in` compares in vain, each with a message and a suggestion."""
    compared: list[tuple[Node, Type, Node]] = []
    if node.operator in {"==", "!="}:
        compared = [(node.left, left, node.right), (node.right, right, node.left)]
    elif isinstance(node.right, ListLiteral):
        compared = [(node.left, left, item) for item in node.right.items]
    found = []
    for other, kind, literal in compared:
        if isinstance(literal, Literal) and isinstance(literal.value, str) and not is_constant(other):
            reason = never_equal(kind, literal.value)
            if reason is not None:
                found.append((literal, *reason))
    return found


def constant_comparison(node: Binary, place: Place) -> bool | None:
    """What a comparison always gives, or None: something with itself, or a size with a negative number."""
    path = path_of(node.left, place)
    if path is not None and path == path_of(node.right, place):
        return True if node.operator in _REFLEXIVE else False if node.operator in _IRREFLEXIVE else None
    if _is_size(node.left) and isinstance(node.right, Literal):
        return _of_size(node.operator, node.right.value)
    if _is_size(node.right) and isinstance(node.left, Literal) and node.operator in _MIRRORED:
        return _of_size(_MIRRORED[node.operator], node.left.value)
    return None


def _is_size(node: Node) -> bool:
    return isinstance(node, Call) and node.function == "size"


def _of_size(operator: str, bound: object) -> bool | None:
    """What `size(x) operator bound` always gives."""
    if not isinstance(bound, int | float) or bound > 0 or (bound == 0 and operator not in {"<", ">="}):
        return None
    return operator in {">", ">=", "!="}
