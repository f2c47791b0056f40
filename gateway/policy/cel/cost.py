"""What an evaluation is charged for, in steps. Walker and generated code follow these same rules.

- Entering a comprehension: its number of elements, times a weight that grows with the size of its body.
- `+` that makes a longer text or list: 1 per 256 characters, or per element.
- contains() and lowerAscii() of texts without a short maxLength: 1 per 4096 characters.
- `in` of a list: 1 per 64 elements. `==` of lists and maps: 1 per value in the left one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.policy.cel import operations
from gateway.policy.cel.checked import Checked
from gateway.policy.cel.functions import FUNCTIONS
from gateway.policy.cel.nodes import Binary, Call, Comprehension, ListLiteral, Literal, Node, children, walk
from gateway.policy.cel.types import DYN, List, Map, Record, String

__all__ = ["ITEMS_SHIFT", "RESULT_SHIFT", "TEXT_SHIFT", "Costs", "Meter", "costs_of"]

TEXT_SHIFT: Final = 12
RESULT_SHIFT: Final = 8
ITEMS_SHIFT: Final = 6
_NODES_PER_STEP: Final = 32
_MATCHES_WEIGHT: Final = 8


class Meter(Enum):
    """How an operation is charged, beside comprehensions."""

    RESULT_TEXT = "characters of the result"
    RESULT_ITEMS = "elements of the result"
    TEXT = "characters of the receiver"
    ITEMS = "elements of the list on the right"
    DEEP = "values of the left operand"


@dataclass(frozen=True, slots=True)
class Costs:
    """The charges of one expression, by node. What is not here is cheap whatever the message."""

    meters: Mapping[Node, Meter]
    weights: Mapping[Node, int]
    """Steps per element of each comprehension: 1, and 1 more for each 32 operations of its body."""


def costs_of(checked: Checked) -> Costs:
    """The charges of an expression."""
    meters: dict[Node, Meter] = {}
    weights: dict[Node, int] = {}
    for node in walk(checked.expression.root):
        if isinstance(node, Comprehension):
            weights[node] = _weight(node)
        elif isinstance(node, Binary | Call) and (meter := _meter(node, checked)) is not None:
            meters[node] = meter
    return Costs(meters, weights)


def _meter(node: Binary | Call, checked: Checked) -> Meter | None:
    if isinstance(node, Call):
        return _meter_of_call(node, checked)
    operation = checked.operations.get(node)
    if operation is operations.concat_strings:
        return Meter.RESULT_TEXT
    if operation is operations.concat_lists:
        return Meter.RESULT_ITEMS
    left, right = checked.types[node.left], checked.types[node.right]
    if node.operator == "in" and isinstance(right, List) and not isinstance(node.right, ListLiteral):
        return Meter.ITEMS
    is_deep = all(isinstance(kind, List | Map | Record) or kind is DYN for kind in (left, right))
    return Meter.DEEP if node.operator in {"==", "!="} and is_deep else None


def _meter_of_call(node: Call, checked: Checked) -> Meter | None:
    if node.function not in {"contains", "lowerAscii"} or node.receiver is None or isinstance(node.receiver, Literal):
        return None
    text = checked.types[node.receiver]
    is_short = isinstance(text, String) and text.max_length is not None and text.max_length < 1 << TEXT_SHIFT
    return None if is_short else Meter.TEXT


def _weight(node: Comprehension) -> int:
    total = sum(_operations(part) for part in (node.body, node.transform) if part is not None)
    return 1 + total // _NODES_PER_STEP


def _operations(root: Node) -> int:
    """Operations of one evaluation, where the bodies of inner comprehensions count on their own."""
    total, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        total += _weight_of(node)
        waiting.extend((node.range,) if isinstance(node, Comprehension) else children(node))
    return total


def _weight_of(node: Node) -> int:
    if not isinstance(node, Call):
        return 1
    function = FUNCTIONS.get(node.function)
    return function.weight if function else _MATCHES_WEIGHT
