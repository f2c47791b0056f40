"""What a message must contain for a condition to hold, where that can be told from its bytes without looking inside.

The shape that this knows is how content rules are written: `texts.exists(t, t.contains("${") && ...)`. Where `${`
stands nowhere in the bytes of a message without escapes, no text of it contains it, every operand `t.contains("${")`
is false, and CEL's `&&` makes each body false whatever its other operands are. So does the evaluation itself, at a
hundred times the cost; tests/policy/test_guard.py holds the two against each other.
"""

from dataclasses import dataclass
from typing import Final

from gateway.policy.cel.checked import Checked
from gateway.policy.cel.cost import costs_of
from gateway.policy.cel.nodes import Call, Comprehension, Literal, Logical, Name, Node, Select

__all__ = ["Guard", "guard_of"]

_VERBATIM: Final = frozenset({"strings", "odd_strings"})
"""Facts that are lists of texts as they stand in the message, and that cannot fail."""
_BYTES_PER_TEXT: Final = 3
"""A text needs two quotes and a comma."""
_MAX_BYTES: Final = 2_047
"""Below this no text is long enough for contains() to be charged for."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition is false, without an error, for messages that are no longer and hold neither `literal` nor a backslash."""

    literal: bytes
    max_bytes: int
    """In longer messages the evaluation might run out of its budget, which is an error and not false."""

    def rules_out(self, data: bytes) -> bool:
        """True if the condition is false for the message with these bytes."""
        return len(data) <= self.max_bytes and self.literal not in data and b"\\" not in data


def guard_of(checked: Checked, budget: int) -> Guard | None:
    """The guard of a condition, None where there is none that is known to be right."""
    root = checked.expression.root
    if not isinstance(root, Comprehension) or root.macro != "exists" or not _is_verbatim(root.range):
        return None
    literal = _first_contained(root.body, root.variable)
    if (
        literal is None
        or not literal
        or not literal.isascii()
        or not literal.isprintable()
        or set(literal) & {'"', "\\"}
    ):
        return None
    weight = costs_of(checked).weights[root]
    return Guard(literal.encode("ascii"), min(_MAX_BYTES, _BYTES_PER_TEXT * budget // weight))


def _is_verbatim(node: Node) -> bool:
    return (
        isinstance(node, Select)
        and not node.optional
        and node.field in _VERBATIM
        and isinstance(node.operand, Name)
        and node.operand.name == "facts"
    )


def _first_contained(body: Node, variable: str) -> str | None:
    """The literal of the first operand, if that is `variable.contains(literal)`: it is evaluated first, alone, each time."""
    first = body.operands[0] if isinstance(body, Logical) and body.operator == "&&" else body
    if not isinstance(first, Call) or first.function != "contains":
        return None
    receiver, (argument,) = first.receiver, first.arguments
    if not isinstance(receiver, Name) or receiver.name != variable or not isinstance(argument, Literal):
        return None
    return argument.value if isinstance(argument.value, str) else None
