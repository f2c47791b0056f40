"""The reference evaluator: walks the tree with CEL's error-absorbing `&&`, `||`, `all` and `exists`.

Slow and plain. It runs when the generated code has given up, to find the value after all or to say which
sub-expression failed, and for `explain`. What it computes is the meaning of an expression.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from gateway.policy.cel import operations
from gateway.policy.cel.checked import Checked
from gateway.policy.cel.cost import Costs, Meter
from gateway.policy.cel.errors import BudgetExceeded, EvaluationError
from gateway.policy.cel.functions import FUNCTIONS
from gateway.policy.cel.nodes import (
    Binary,
    Bind,
    Call,
    Comprehension,
    Conditional,
    Has,
    Index,
    ListLiteral,
    Literal,
    Logical,
    Name,
    Node,
    Select,
    Unary,
)
from gateway.policy.cel.operations import ABSENT, OperationError, truth
from gateway.policy.cel.types import BOOL, Object, Optional, Type

__all__ = ["MAX_STEPS", "Step", "Walker"]

MAX_STEPS: Final = 1000
"""An explanation holds no more, and the whole expression."""

_VISITS_PER_ERROR: Final = 3
_Env = dict[str, Any]
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operations.equal,
    "!=": lambda left, right: not operations.equal(left, right),
    "<": operations.less,
    "<=": operations.less_or_equal,
    ">": operations.greater,
    ">=": operations.greater_or_equal,
    "in": operations.member,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One evaluated sub-expression of an explanation."""

    text: str
    start: int
    end: int
    value: Any
    """Its value, if `error` is None. An optional value that is missing shows as `absent`."""
    error: str | None
    iteration: tuple[int, ...]
    """Which element of each enclosing comprehension it was evaluated for, outermost first."""


class Walker:
    """One evaluation of one checked expression."""

    def __init__(
        self,
        checked: Checked,
        costs: Costs,
        budget: int,
        *,
        visits: float = math.inf,
        steps: list[Step] | None = None,
    ) -> None:
        """`visits`: how many nodes it may visit, beside the budget that the fast path has too."""
        self._checked = checked
        self._types = checked.types
        self._meters = costs.meters
        self._weights = costs.weights
        self._expression = checked.expression
        self._left = budget
        self._visits = visits
        self._steps = steps
        self._iteration: tuple[int, ...] = ()

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The value for these root values. Raises EvaluationError."""
        root = self._expression.root
        env = {name: values[name] for name in self._checked.names}
        return self._truth(root, env) if self._checked.result is BOOL else self._value(root, env)

    def explain(self, values: Mapping[str, Any]) -> None:
        """Evaluate for the steps alone."""
        with suppress(EvaluationError):
            self.evaluate(values)

    # Every node goes through here

    def _value(self, node: Node, env: _Env) -> Any:
        self._visits -= 1
        if self._visits < 0:
            raise self._located(BudgetExceeded, "too many steps after an error", node)
        try:
            value = _EVALUATE[type(node)](self, node, env)
        except EvaluationError as error:
            if self._steps is not None:
                self._record(node, None, error.reason)
            raise
        except OperationError as error:
            failed = self._located(EvaluationError, str(error), node)
        except Exception as error:  # noqa: BLE001  whatever a lazy fact raises must not get past a rule
            failed = self._located(EvaluationError, f"{type(error).__name__} in a value of the gateway", node)
            failed.__cause__ = error
        else:
            if self._steps is not None:
                self._record(node, value, None)
            return value
        self._visits -= _VISITS_PER_ERROR
        self._record(node, None, failed.reason)
        raise failed

    def _located(self, kind: type[EvaluationError], reason: str, node: Node) -> EvaluationError:
        return kind(reason, start=node.start, end=node.end, text=self._expression.source(node))

    def _record(self, node: Node, value: Any, error: str | None) -> None:
        if self._steps is not None and (len(self._steps) < MAX_STEPS or node is self._expression.root):
            text = self._expression.source(node)
            step = Step(text=text, start=node.start, end=node.end, value=value, error=error, iteration=self._iteration)
            self._steps.append(step)

    def _truth(self, node: Node, env: _Env) -> bool:
        value = self._value(node, env)
        try:
            return truth(value)
        except OperationError as error:
            raise self._located(EvaluationError, str(error), node) from None

    def _charge(self, steps: int, node: Node) -> None:
        self._left -= steps
        if self._left < 0:
            raise self._located(BudgetExceeded, "too many steps", node)

    # Names and fields

    def _literal(self, node: Literal, _env: _Env) -> Any:
        return node.value

    def _name(self, node: Name, env: _Env) -> Any:
        return env[node.name]

    def _select(self, node: Select, env: _Env) -> Any:
        operand = self._value(node.operand, env)
        if operand is ABSENT:
            return ABSENT
        kind = self._types[node.operand]
        is_optional = node.optional or isinstance(kind, Optional)
        return _field(operand, kind, node.field, is_optional=is_optional)

    def _has(self, node: Has, env: _Env) -> bool:
        select = node.select
        operand = self._value(select.operand, env)
        if operand is ABSENT:
            return False
        kind = _unwrapped(self._checked.types[select.operand])
        if isinstance(kind, Object):
            return not kind.fields[select.field].optional or getattr(operand, select.field) is not None
        return operations.has_field(operand, select.field)

    def _index(self, node: Index, env: _Env) -> Any:
        operand, index = self._value(node.operand, env), self._value(node.index, env)
        if operand is ABSENT:
            return ABSENT
        return operations.at_or_absent(operand, index) if node.optional else operations.at(operand, index)

    def _list(self, node: ListLiteral, env: _Env) -> list[Any]:
        return [self._value(item, env) for item in node.items]

    # Operators

    def _unary(self, node: Unary, env: _Env) -> Any:
        if node.operator == "!":
            return not self._truth(node.operand, env)
        return self._checked.operations[node](self._value(node.operand, env))

    def _binary(self, node: Binary, env: _Env) -> Any:
        left, right = self._value(node.left, env), self._value(node.right, env)
        meter = self._meters.get(node)
        if meter is Meter.DEEP:
            self._charge(operations.weigh(left), node)
        elif meter is Meter.TEXT or meter is Meter.ITEMS:
            self._pay(meter, left if meter is Meter.TEXT else right, node)
        operation = self._checked.operations.get(node) or _COMPARISONS[node.operator]
        value: Any = operation(left, right)
        if meter is Meter.RESULT_TEXT or meter is Meter.RESULT_ITEMS:
            self._pay(meter, value, node)
        return value

    def _pay(self, meter: Meter, value: Any, node: Node) -> None:
        """Charge for the length of a text or list; what is neither leads to an error anyway."""
        if type(value) in {str, list, tuple}:
            self._charge(len(value) >> meter.value, node)

    def _logical(self, node: Logical, env: _Env) -> bool:
        decides = node.operator == "||"
        error: EvaluationError | None = None
        for operand in node.operands:
            try:
                if self._truth(operand, env) is decides:
                    return decides
            except BudgetExceeded:
                raise
            except EvaluationError as failed:
                error = error or failed
        if error is not None:
            raise error
        return not decides

    def _conditional(self, node: Conditional, env: _Env) -> Any:
        return self._value(node.yes if self._truth(node.test, env) else node.no, env)

    # Calls and macros

    def _call(self, node: Call, env: _Env) -> Any:
        if node in self._checked.constants:
            return self._checked.constants[node]
        if node.function == "orValue" and node.receiver is not None:
            value = self._value(node.receiver, env)
            return self._value(node.arguments[0], env) if value is ABSENT else value
        operands = [] if node.receiver is None else [self._value(node.receiver, env)]
        pattern = self._checked.patterns.get(node)
        arguments = node.arguments[:-1] if pattern is not None else node.arguments
        operands += [self._value(argument, env) for argument in arguments]
        meter = self._meters.get(node)
        if meter is not None:
            self._pay(meter, operands[0], node)
        return pattern.search(*operands) if pattern is not None else FUNCTIONS[node.function].run(*operands)

    def _bind(self, node: Bind, env: _Env) -> Any:
        return self._value(node.body, {**env, node.variable: self._value(node.value, env)})

    def _comprehension(self, node: Comprehension, env: _Env) -> Any:
        items = operations.elements(self._value(node.range, env))
        self._charge(len(items) * self._weights[node], node)
        outer = self._iteration
        inner = dict(env)
        try:
            return _COMPREHEND[node.macro](self, node, self._iterations(node, items, inner, outer), inner)
        finally:
            self._iteration = outer

    def _iterations(self, node: Comprehension, items: Any, env: _Env, outer: tuple[int, ...]) -> Any:
        for number, item in enumerate(items):
            self._iteration = (*outer, number)
            env[node.variable] = item
            yield item

    def _quantified(self, node: Comprehension, iterations: Any, env: _Env) -> bool:
        decides = node.macro == "exists"
        error: EvaluationError | None = None
        for _ in iterations:
            try:
                if self._truth(node.body, env) is decides:
                    return decides
            except BudgetExceeded:
                raise
            except EvaluationError as failed:
                error = error or failed
        if error is not None:
            raise error
        return not decides

    def _exists_one(self, node: Comprehension, iterations: Any, env: _Env) -> bool:
        return sum(self._truth(node.body, env) for _ in iterations) == 1

    def _filter(self, node: Comprehension, iterations: Any, env: _Env) -> list[Any]:
        return [item for item in iterations if self._truth(node.body, env)]

    def _map(self, node: Comprehension, iterations: Any, env: _Env) -> list[Any]:
        if node.transform is None:
            return [self._value(node.body, env) for _ in iterations]
        return [self._value(node.transform, env) for _ in iterations if self._truth(node.body, env)]


def _unwrapped(kind: Type) -> Type:
    return kind.value if isinstance(kind, Optional) else kind


def _field(operand: Any, kind: Type, name: str, *, is_optional: bool) -> Any:
    base = _unwrapped(kind)
    if not isinstance(base, Object):
        return operations.field_or_absent(operand, name) if is_optional else operations.field_of(operand, name)
    value = getattr(operand, name)
    if value is not None or not base.fields[name].optional:
        return value
    if is_optional:
        return ABSENT
    raise OperationError(f"no such field: {name}")


_EVALUATE: Final[Mapping[type, Callable[[Walker, Any, _Env], Any]]] = {
    Literal: Walker._literal,  # noqa: SLF001  a table of this module's own methods
    Name: Walker._name,  # noqa: SLF001
    Select: Walker._select,  # noqa: SLF001
    Index: Walker._index,  # noqa: SLF001
    Has: Walker._has,  # noqa: SLF001
    ListLiteral: Walker._list,  # noqa: SLF001
    Unary: Walker._unary,  # noqa: SLF001
    Binary: Walker._binary,  # noqa: SLF001
    Logical: Walker._logical,  # noqa: SLF001
    Conditional: Walker._conditional,  # noqa: SLF001
    Call: Walker._call,  # noqa: SLF001
    Comprehension: Walker._comprehension,  # noqa: SLF001
    Bind: Walker._bind,  # noqa: SLF001
}
_COMPREHEND: Final[Mapping[str, Callable[[Walker, Comprehension, Any, _Env], Any]]] = {
    "all": Walker._quantified,  # noqa: SLF001
    "exists": Walker._quantified,  # noqa: SLF001
    "exists_one": Walker._exists_one,  # noqa: SLF001
    "filter": Walker._filter,  # noqa: SLF001
    "map": Walker._map,  # noqa: SLF001
}
