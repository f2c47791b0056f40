"""Calls of functions: form, number and types of operands (P021), and patterns (P041).

The operands are already typed; nothing here looks below them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from gateway.policy.cel.automaton import Automaton, compile_pattern
from gateway.policy.cel.findings import did_you_mean
from gateway.policy.cel.functions import FUNCTIONS, Function
from gateway.policy.cel.nodes import Call, Literal, Macro, Node
from gateway.policy.cel.operations import OperationError
from gateway.policy.cel.operators import kind_of
from gateway.policy.cel.regex import PatternRefused
from gateway.policy.cel.types import BOOL, NOTHING, Optional, String, Type, describe, join

__all__ = ["CallRefused", "CallType", "is_function", "similar_function", "type_call"]

_SPECIAL: Final = ("matches", "orValue")
_COUNTED: Final = ("no arguments", "one argument", "two arguments")


class CallRefused(Exception):  # noqa: N818  what happened to the call
    """A finding about a call; `node` is what it points at."""

    def __init__(self, code: str, node: Node, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.node = node
        self.message = message
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class CallType:
    """The type of a call, and what could be prepared for it."""

    result: Type
    pattern: Automaton | None = None
    constant: Any = None


def is_function(name: str) -> bool:
    """True if there is a function of that name."""
    return name in FUNCTIONS or name in _SPECIAL


def similar_function(name: str) -> str:
    """A suggestion for a function that does not exist."""
    return did_you_mean(name, (*FUNCTIONS, *_SPECIAL, "has", *get_args(Macro)))


def type_call(node: Call, operands: Sequence[Type]) -> CallType:
    """The type of a call whose operands (receiver first) have these types, for a function that exists. Raises CallRefused."""
    if node.function == "orValue":
        return CallType(_or_value(node, operands))
    if node.function == "matches":
        return _matches(node, operands)
    function = FUNCTIONS[node.function]
    _check_form(node, function, operands)
    _check_kinds(node, function, operands)
    if function.name == "lowerAscii":
        return CallType(_lowered(operands[0]))
    return CallType(function.result, constant=_constant(node, function))


def _nodes(node: Call) -> tuple[Node, ...]:
    return node.arguments if node.receiver is None else (node.receiver, *node.arguments)


def _check_form(node: Call, function: Function, operands: Sequence[Type]) -> None:
    name, wanted = function.name, len(function.operands)
    if node.receiver is None and not function.is_global:
        raise CallRefused("P021", node, f"{name}() follows a text", f"x.{name}({'y' if wanted > 1 else ''})")
    if node.receiver is not None and not function.is_method:
        raise CallRefused("P021", node, f"{name}() takes its argument in brackets", f"{name}(x)")
    if len(operands) != wanted:
        takes = wanted if node.receiver is None else wanted - 1
        raise CallRefused("P021", node, f"{name}() takes {_COUNTED[takes]}")


def _check_kinds(node: Call, function: Function, operands: Sequence[Type]) -> None:
    for kind, allowed, place in zip(operands, function.operands, _nodes(node), strict=True):
        if kind is NOTHING or kind_of(kind) in allowed:
            continue
        hint = "say what counts when it is missing: .orValue(...)" if isinstance(kind, Optional) else ""
        raise CallRefused("P021", place, f"{function.name}() does not take {describe(kind)}", hint)


def _lowered(kind: Type) -> String:
    if not isinstance(kind, String):
        return String()
    values = None if kind.values is None else frozenset(value.lower() for value in kind.values)
    return String(values, kind.max_length)


def _constant(node: Call, function: Function) -> Any:
    """The value of timestamp("...") and duration("..."), read once when the rule is loaded."""
    argument = node.arguments[0] if node.arguments else None
    if function.name not in {"timestamp", "duration"} or not isinstance(argument, Literal):
        return None
    try:
        return function.run(argument.value)
    except OperationError as error:
        raise CallRefused("P021", argument, str(error)) from None


def _or_value(node: Call, operands: Sequence[Type]) -> Type:
    if node.receiver is None or len(operands) != 2:  # noqa: PLR2004  the value and the other one
        raise CallRefused("P021", node, "orValue() takes one argument", "x.?field.orValue(y)")
    value, other = operands
    if value is NOTHING:
        return NOTHING
    if not isinstance(value, Optional):
        raise CallRefused("P021", node, f"{describe(value)} is never missing", "write x.?field.orValue(y)")
    if isinstance(other, Optional):
        raise CallRefused("P021", node.arguments[0], "the other value may be missing too", ".orValue(...)")
    joined = join(value.value, other)
    if joined is None:
        raise CallRefused("P021", node.arguments[0], f"{describe(other)} instead of {describe(value.value)}")
    return joined


def _matches(node: Call, operands: Sequence[Type]) -> CallType:
    places = _nodes(node)
    if len(operands) != 2:  # noqa: PLR2004  text and pattern
        raise CallRefused("P021", node, "matches() takes one pattern", 'x.matches("...")')
    text, pattern = operands[0], places[1]
    if text is not NOTHING and kind_of(text) not in {"string", "dyn"}:
        hint = "say what counts when it is missing: .orValue(...)" if isinstance(text, Optional) else ""
        raise CallRefused("P021", places[0], f"matches() does not take {describe(text)}", hint)
    if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
        raise CallRefused("P041", pattern, "a pattern is a literal", 'x.matches("...")')
    try:
        return CallType(BOOL, pattern=compile_pattern(pattern.value))
    except PatternRefused as refused:
        message = f"{refused.message} (at character {refused.offset + 1} of the pattern)"
        raise CallRefused("P041", pattern, message) from None
