"""The syntax tree. Nodes compare by identity, so that facts about a node can be kept in a dict beside the tree.

`&&` and `||` are flat: `a && b && c` is one node with three operands. Macros (`has`, `all`, `cel.bind`, ...) are nodes
of their own. Nothing here knows types; see `checker`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal as OneOf

__all__ = [
    "Binary",
    "Bind",
    "Call",
    "Comprehension",
    "Conditional",
    "Expression",
    "Has",
    "Index",
    "ListLiteral",
    "Literal",
    "Logical",
    "Macro",
    "Name",
    "Node",
    "Select",
    "Unary",
    "children",
    "height",
    "walk",
]

Macro = OneOf["all", "exists", "exists_one", "map", "filter"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Spanned:
    start: int
    """Offset of the first code point in the source."""
    end: int
    """Offset behind the last one."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Literal(_Spanned):
    """A number, string, boolean or null as written."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Name(_Spanned):
    """A root name, or a variable of an enclosing macro."""

    name: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Select(_Spanned):
    """`operand.field`, or `operand.?field`."""

    operand: "Node"
    field: str
    optional: bool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Index(_Spanned):
    """`operand[index]`, or `operand[?index]`."""

    operand: "Node"
    index: "Node"
    optional: bool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Has(_Spanned):
    """`has(a.b)`."""

    select: Select


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ListLiteral(_Spanned):
    """`[a, b]`."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Unary(_Spanned):
    """`!a` or `-a`."""

    operator: OneOf["!", "-"]
    operand: "Node"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Binary(_Spanned):
    """Arithmetic, a comparison, or `in`."""

    operator: OneOf["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in"]
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Logical(_Spanned):
    """`a && b && ...` or `a || b || ...`: two operands at least."""

    operator: OneOf["&&", "||"]
    operands: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Conditional(_Spanned):
    """`test ? yes : no`."""

    test: "Node"
    yes: "Node"
    no: "Node"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Call(_Spanned):
    """`function(arguments)` or `receiver.function(arguments)`."""

    function: str
    receiver: "Node | None"
    arguments: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Comprehension(_Spanned):
    """`range.macro(variable, body)`; `map` may have a transform: `range.map(variable, body, transform)`.

    For `map` without one, `body` is the transform and `transform` is None.
    """

    macro: Macro
    range: "Node"
    variable: str
    body: "Node"
    transform: "Node | None"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bind(_Spanned):
    """`cel.bind(variable, value, body)`."""

    variable: str
    value: "Node"
    body: "Node"


Node = (
    Literal
    | Name
    | Select
    | Index
    | Has
    | ListLiteral
    | Unary
    | Binary
    | Logical
    | Conditional
    | Call
    | Comprehension
    | Bind
)


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A parsed text."""

    text: str
    root: Node

    def source(self, node: Node) -> str:
        """The text of a node as it was written."""
        return self.text[node.start : node.end]


def children(node: Node) -> tuple[Node, ...]:  # noqa: C901, PLR0911  one row per kind of node
    """The direct sub-expressions, in evaluation order."""
    match node:
        case Literal() | Name():
            return ()
        case Select():
            return (node.operand,)
        case Index():
            return (node.operand, node.index)
        case Has():
            return (node.select.operand,)
        case ListLiteral():
            return node.items
        case Unary():
            return (node.operand,)
        case Binary():
            return (node.left, node.right)
        case Logical():
            return node.operands
        case Conditional():
            return (node.test, node.yes, node.no)
        case Call():
            return node.arguments if node.receiver is None else (node.receiver, *node.arguments)
        case Comprehension():
            inner = (node.body,) if node.transform is None else (node.body, node.transform)
            return (node.range, *inner)
        case Bind():
            return (node.value, node.body)


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        yield each
        waiting.extend(reversed(children(each)))


def height(node: Node) -> int:
    """The longest way down, in nodes. Iterative: the tree may be as deep as its text is long."""
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        each, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting.extend((child, depth + 1) for child in children(each))
    return deepest
