"""What the bytes of a message say about a condition without evaluating it: some are false for nearly all messages.

A guard knows the shape of one kind of condition and when it is false *without an error*, from C-speed searches in the
bytes: a hundredth of what the evaluation costs, and exactly what it would say (tests/policy/test_guards.py holds the two
against each other). Where a guard is in doubt (escapes, long messages, unusual spelling), the condition is evaluated.
"""

import datetime
import re
from dataclasses import dataclass
from typing import Final

from gateway.policy.cel import Checked
from gateway.policy.cel.cost import costs_of
from gateway.policy.cel.nodes import Binary, Call, Comprehension, Literal, Logical, Name, Node, Select
from gateway.policy.transactions import Transactions

__all__ = ["Guard", "NoNegativeReading", "NoSuchText", "NoTransaction", "PlausibleMoments", "Scan", "guard_of"]

_VERBATIM: Final = frozenset({"strings", "odd_strings"})
"""Facts that are lists of texts as they stand in the message, and that cannot fail."""
_BYTES_PER_ITEM: Final = 3
"""A text needs two quotes and a comma; so does a number with the object or list that it stands in."""
_MAX_BYTES: Final = 2_047
"""Below this no text is long enough for contains() to be charged for."""
_USUAL_MOMENT: Final = re.compile(
    rb'"timestamp" ?: ?"20[23][0-9]-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T'
).findall
_USUAL_FROM: Final = datetime.datetime(2019, 12, 31, tzinfo=datetime.UTC)
_USUAL_UNTIL: Final = datetime.datetime(2040, 1, 2, tzinfo=datetime.UTC)
"""Whatever the offset from UTC of a moment in the years 2020 to 2039."""
_HYPHENS_OF_A_MOMENT: Final = 2


class Scan:
    """The bytes of one message, and what several guards want to know of them."""

    __slots__ = ("_moments", "data", "is_simple", "transactions")

    def __init__(self, data: bytes, transactions: Transactions) -> None:
        self.data = data
        self.transactions = transactions
        self.is_simple = len(data) <= _MAX_BYTES and b"\\" not in data
        self._moments = -2

    def usual_moments(self) -> int:
        """Number of members called "timestamp", -1 if one of them is not a date of these years written as usual."""
        if self._moments == -2:  # noqa: PLR2004  not looked for yet
            data = self.data
            count = data.count(b'"timestamp"')
            self._moments = count if not count or len(_USUAL_MOMENT(data)) == count else -1
        return self._moments


@dataclass(frozen=True, slots=True)
class NoSuchText:
    """`facts.strings.exists(t, t.contains("${") && ...)`: each body is false if `${` stands nowhere.

    CEL's `&&` is false if one operand is, whatever the others are.
    """

    literal: bytes
    max_bytes: int
    """In longer messages the evaluation might run out of its budget, which is an error and not false."""

    def rules_out(self, scan: Scan) -> bool:
        """True if the condition is false for this message."""
        return scan.is_simple and len(scan.data) <= self.max_bytes and self.literal not in scan.data


@dataclass(frozen=True, slots=True)
class PlausibleMoments:
    """`facts.absurd_times > 0 || facts.timestamps.exists(t, t < timestamp("1970-...") || t > ...)`, or a part of it."""

    def rules_out(self, scan: Scan) -> bool:
        """True if the condition is false for this message."""
        return scan.is_simple and scan.usual_moments() >= 0


@dataclass(frozen=True, slots=True)
class NoNegativeReading:
    """`facts.meter_wh.exists(x, x < 0.0)`: a number below zero needs a hyphen, and moments have two."""

    def rules_out(self, scan: Scan) -> bool:
        """True if the condition is false for this message."""
        moments = scan.usual_moments() if scan.is_simple else -1
        data = scan.data
        return moments >= 0 and data.count(b"-", data.find(b"{")) == _HYPHENS_OF_A_MOMENT * moments


@dataclass(frozen=True, slots=True)
class NoTransaction:
    """`tx.known && ...`: false where no transaction is open."""

    def rules_out(self, scan: Scan) -> bool:
        """True if the condition is false for this message."""
        return not scan.transactions.open


Guard = NoSuchText | PlausibleMoments | NoNegativeReading | NoTransaction


def guard_of(checked: Checked, budget: int) -> Guard | None:
    """The guard of a condition, None where there is none that is known to be right."""
    root = checked.expression.root
    if isinstance(root, Logical) and root.operator == "&&":
        return NoTransaction() if _is_field(root.operands[0], "tx", "known") else None
    if _are_moments(root, checked):
        return PlausibleMoments()
    if not isinstance(root, Comprehension) or root.macro != "exists":
        return None
    if _is_below_zero(root):
        return NoNegativeReading()
    literal = _first_contained(root)
    if literal is None:
        return None
    weight = costs_of(checked).weights[root]
    return NoSuchText(literal.encode("ascii"), min(_MAX_BYTES, _BYTES_PER_ITEM * budget // weight))


def _is_field(node: Node, root: str, *fields: str) -> bool:
    return (
        isinstance(node, Select)
        and not node.optional
        and node.field in fields
        and isinstance(node.operand, Name)
        and node.operand.name == root
    )


def _are_moments(node: Node, checked: Checked) -> bool:
    """Whether a condition only asks if moments are absurd or outside of a time that holds all usual ones."""
    if isinstance(node, Logical) and node.operator == "||":
        return all(_are_moments(operand, checked) for operand in node.operands)
    if isinstance(node, Binary):
        is_zero = isinstance(node.right, Literal) and node.right.value == 0
        return node.operator == ">" and is_zero and _is_field(node.left, "facts", "absurd_times")
    if not isinstance(node, Comprehension) or node.macro != "exists":
        return False
    body = node.body.operands if isinstance(node.body, Logical) and node.body.operator == "||" else (node.body,)
    return _is_field(node.range, "facts", "timestamps") and all(
        _is_outside(each, node.variable, checked) for each in body
    )


def _is_outside(node: Node, variable: str, checked: Checked) -> bool:
    """`t < constant` with one before all usual moments, or `t > constant` with one after them."""
    if not isinstance(node, Binary) or not isinstance(node.left, Name) or node.left.name != variable:
        return False
    constant = checked.constants.get(node.right)
    if not isinstance(constant, datetime.datetime):
        return False
    return (node.operator == "<" and constant <= _USUAL_FROM) or (node.operator == ">" and constant >= _USUAL_UNTIL)


def _is_below_zero(root: Comprehension) -> bool:
    body = root.body
    return (
        _is_field(root.range, "facts", "meter_wh")
        and isinstance(body, Binary)
        and body.operator == "<"
        and isinstance(body.left, Name)
        and body.left.name == root.variable
        and isinstance(body.right, Literal)
        and type(body.right.value) is float
        and body.right.value == 0.0
    )


def _first_contained(root: Comprehension) -> str | None:
    """The literal, if the first operand of the body is `variable.contains(literal)` and the bytes show it as it is."""
    first = root.body.operands[0] if isinstance(root.body, Logical) and root.body.operator == "&&" else root.body
    if not isinstance(first, Call) or first.function != "contains" or not _is_field(root.range, "facts", *_VERBATIM):
        return None
    receiver, (argument,) = first.receiver, first.arguments
    if not isinstance(receiver, Name) or receiver.name != root.variable or not isinstance(argument, Literal):
        return None
    literal = argument.value
    if not isinstance(literal, str) or not literal or not literal.isascii() or not literal.isprintable():
        return None
    return None if set(literal) & {'"', "\\"} else literal
