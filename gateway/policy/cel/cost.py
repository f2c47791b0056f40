"""What an evaluation is charged for, in steps of about a microsecond. Walker and generated code follow these rules.

- Entering a comprehension: its number of elements, times a weight that grows with the size of its body.
- `+` that makes a longer text or list: 1 per 256 characters, or per element.
- contains(), comparing a text with a text, startsWith() and endsWith() with what is no literal: 1 per 2048 characters;
  lowerAscii(): 1 per 1024; matches(): 1 per 16 characters. Nothing for texts whose maxLength is below that.
- `in` of a list: 1 per 32 elements. `==` of lists and maps: 1 per value in the left one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.policy.cel import operations
from gateway.policy.cel.checked import Checked
from gateway.policy.cel.functions import FUNCTIONS
from gateway.policy.cel.nodes import Binary, Call, Comprehension, ListLiteral, Literal, Name, Node, children, walk
from gateway.policy.cel.types import DYN, List, Map, Record, String, Type

__all__ = ["Costs", "Meter", "costs_of"]

_OPERATIONS_PER_STEP: Final = 8
_MATCHES_WEIGHT: Final = 4
_COMPARING: Final = frozenset({"startsWith", "endsWith"})


class Meter(Enum):
    """How an operation is charged, beside comprehensions. The value: 2 to the power of it cost one step."""

    RESULT_ITEMS = 0
    """Elements of the resulting list."""
    DEEP = 1
    """Values of the left operand, see `operations.weigh`."""
    PATTERN = 4
    """Characters of the text that is matched."""
    ITEMS = 5
    """Elements of the list on the right."""
    RESULT_TEXT = 8
    """Characters of the resulting text."""
    COPY = 10
    """Characters of the receiver."""
    TEXT = 11
    """Characters of the receiver, or of the text on the left."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The charges of one expression, by node. What is not here is cheap whatever the message."""

    meters: Mapping[Node, Meter]
    weights: Mapping[Node, int]
    """Steps per element of each comprehension: 1, and 1 more for each 8 operations of its body."""


def costs_of(checked: Checked) -> Costs:
    """The charges of an expression."""
    meters: dict[Node, Meter] = {}
    weights: dict[Node, int] = {}
    for node in walk(checked.expression.root):
        if isinstance(node, Comprehension):
            weights[node] = _weight(node, checked)
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
    if node.operator == "in":
        return Meter.ITEMS if isinstance(right, List) and not isinstance(node.right, ListLiteral) else None
    if isinstance(left, String) and isinstance(right, String):
        return None if _is_short(left, Meter.TEXT) or _is_short(right, Meter.TEXT) else Meter.TEXT
    is_deep = all(isinstance(kind, List | Map | Record) or kind is DYN for kind in (left, right))
    return Meter.DEEP if node.operator in {"==", "!="} and is_deep else None


def _meter_of_call(node: Call, checked: Checked) -> Meter | None:
    text = node.arguments[0] if node.receiver is None else node.receiver
    if node in checked.patterns:
        meter = Meter.PATTERN
    elif node.function == "lowerAscii":
        meter = Meter.COPY
    elif node.function == "contains" or (node.function in _COMPARING and not isinstance(node.arguments[0], Literal)):
        meter = Meter.TEXT
    else:
        return None
    return None if _is_short(checked.types[text], meter) else meter


def _is_short(kind: Type, meter: Meter) -> bool:
    """True if a text of that type costs nothing by that meter. The schema gate holds senders to maxLength."""
    return isinstance(kind, String) and kind.max_length is not None and kind.max_length < 1 << meter.value


def _weight(node: Comprehension, checked: Checked) -> int:
    total = sum(_operations(part, checked) for part in (node.body, node.transform) if part is not None)
    return 1 + total // _OPERATIONS_PER_STEP


def _operations(root: Node, checked: Checked) -> int:
    """Operations of one evaluation, where names and literals are none and the bodies of inner comprehensions count apart."""
    total, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        total += 0 if node in checked.constants else _weight_of(node)
        waiting.extend((node.range,) if isinstance(node, Comprehension) else children(node))
    return total


def _weight_of(node: Node) -> int:
    if isinstance(node, Name | Literal):
        return 0
    if not isinstance(node, Call):
        return 1
    function = FUNCTIONS.get(node.function)
    return function.weight if function else _MATCHES_WEIGHT
