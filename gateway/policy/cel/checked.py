"""An expression that has passed the checker, with everything the back ends need to know about its nodes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.policy.cel.automaton import Automaton
from gateway.policy.cel.nodes import Expression, Node
from gateway.policy.cel.types import Type

__all__ = ["Checked"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Checked:
    """The evidence that an expression may be compiled. Made by the checker only."""

    expression: Expression
    result: Type
    types: Mapping[Node, Type]
    operations: Mapping[Node, Callable[..., Any]]
    """The function of each arithmetic node, chosen by the types of its operands."""
    patterns: Mapping[Node, Automaton]
    """The automaton of each call of matches()."""
    constants: Mapping[Node, Any]
    """Timestamps and durations that are written as literals."""
    names: tuple[str, ...]
    """Root names that are used, sorted: the arguments of the compiled function."""
    uses: tuple[tuple[str, ...], ...]
    """Longest access paths from each root, sorted: ``("payload", "chargingSchedule", "[]", "limit")``."""
