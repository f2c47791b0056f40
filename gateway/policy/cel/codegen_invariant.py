"""What does not change while a comprehension runs: `params.max_amps` in `limits.all(x, x <= params.max_amps)`.

Only required fields of dicts that hang on a root name: reading them early costs nothing, cannot compute anything, and
if it fails the walker has the last word anyway.
"""

from collections.abc import Iterator
from typing import Final

from gateway.policy.cel.checked import Checked
from gateway.policy.cel.nodes import Bind, Comprehension, Name, Node, Select, children, walk
from gateway.policy.cel.types import BOOL, DOUBLE, INT, List, Record, String, Type

__all__ = ["invariants", "python_types"]

_PYTHON: Final[dict[Type, tuple[str, ...]]] = {
    BOOL: ("_bool",),
    INT: ("_int", "_float"),
    DOUBLE: ("_float", "_int"),
}


def python_types(kind: Type) -> tuple[str, ...]:
    """The Python types of a value, by the names that generated code has for them; empty if they are not tested."""
    match kind:
        case String():
            return ("_str",)
        case List():
            return ("_list", "_tuple")
        case _:
            return _PYTHON.get(kind, ())


def invariants(node: Comprehension, checked: Checked) -> Iterator[tuple[tuple[str, ...], Select]]:
    """The longest such selections in the body of a comprehension, each with its path."""
    hidden = {each.variable for each in walk(checked.expression.root) if isinstance(each, Bind | Comprehension)}
    waiting = [node.body] if node.transform is None else [node.body, node.transform]
    while waiting:
        each = waiting.pop()
        path = _path(each, checked) if isinstance(each, Select) else None
        if path is None or path[0] in hidden or not isinstance(each, Select):
            waiting.extend(children(each))
        elif python_types(checked.types[each]):
            yield path, each


def _path(node: Node, checked: Checked) -> tuple[str, ...] | None:
    if isinstance(node, Name):
        return (node.name,) if node.name in checked.names else None
    if not isinstance(node, Select) or node.optional:
        return None
    kind = checked.types[node.operand]
    if not isinstance(kind, Record) or node.field not in kind.fields or kind.fields[node.field].optional:
        return None
    base = _path(node.operand, checked)
    return None if base is None else (*base, node.field)
