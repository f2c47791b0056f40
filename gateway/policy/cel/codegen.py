"""From a checked expression to one Python function: the fast path.

The code is right only where it returns. Wherever a value is not exactly of the type the schema promises, or an
operation fails, it raises, and the function returns what the walker says instead. So each piece below either gives
what `operations` would give, or raises: `payload["n"] == 1` alone would not do, because True == 1.

Expressions become Python expressions. Comprehensions and whatever contains one become statements; the parts of `&&`,
`||`, `?:` and orValue() that need statements go into an `if`, so nothing is evaluated that CEL would not evaluate.
Evaluation order does not matter otherwise: expressions have no effects but errors, and those lead to the walker. An
exceeded budget does not: nothing absorbs it, so it is raised at once.
"""

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any, Final

from gateway.policy.cel import operations
from gateway.policy.cel.checked import Checked
from gateway.policy.cel.codegen_comparison import comparison, membership
from gateway.policy.cel.codegen_invariant import invariants, python_types
from gateway.policy.cel.cost import Costs
from gateway.policy.cel.errors import BudgetExceeded
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
from gateway.policy.cel.pyast import (
    assign,
    attribute,
    both,
    call,
    compare,
    conditional,
    const,
    either,
    is_a,
    item,
    let,
    name,
    negate,
    store,
    subtract,
    when,
)
from gateway.policy.cel.types import BOOL, DYN, Object, Optional, Record, Type

__all__ = ["generate"]

_ABSENT: Final = "_absent"
_LEFT: Final = "_left"
_UNTYPED: Final = (Name, Select, Index)


class _Unexpected(Exception):  # noqa: N818  leads to the walker, never out of it
    """A value is not what its type promises."""


def _slow() -> Any:
    raise _Unexpected


def _exceeded() -> Any:
    raise BudgetExceeded("too many steps")


_GLOBALS: Final[dict[str, Any]] = {
    "__builtins__": {},
    "_type": type,
    "_len": len,
    "_bool": bool,
    "_int": int,
    "_float": float,
    "_str": str,
    "_list": list,
    "_tuple": tuple,
    "_dict": dict,
    "_Exception": Exception,
    "_BudgetExceeded": BudgetExceeded,
    "_slow": _slow,
    "_exceeded": _exceeded,
    _ABSENT: operations.ABSENT,
    **{f"_op_{each}": getattr(operations, each) for each in operations.__all__},
    **{f"_fn_{each.name}": each.run for each in FUNCTIONS.values()},
}


def generate(checked: Checked, costs: Costs, budget: int, recover: Callable[..., Any]) -> Callable[..., Any]:
    """The function of an expression. Its parameters are `checked.names`, in order.

    `recover` is called with the same arguments when the fast path gives up, and its result is returned.
    """
    return _Generator(checked, costs, budget).function(recover)


def _get(container: ast.expr, field: str, default: ast.expr) -> ast.expr:
    """`container.get(field, default)`; only dicts have such a method."""
    return call(attribute(container, "get"), const(field), default)


class _Generator:
    def __init__(self, checked: Checked, costs: Costs, budget: int) -> None:
        self.checked = checked
        self._costs = costs
        self._budget = budget
        self._globals = dict(_GLOBALS)
        self._body: list[ast.stmt] = []
        self._counter = 0
        self._variables: dict[str, str] = {each: each for each in checked.names}
        self._kept: dict[Node, str] = {}
        """Values that no element of a comprehension changes: read and tested before the loop."""

    def function(self, recover: Callable[..., Any]) -> Callable[..., Any]:
        root = self.checked.expression.root
        result = self.truth(root) if self.checked.result is BOOL else self.value(root)
        self._body.append(ast.Return(result))
        self._globals["_recover"] = recover
        arguments = [name(each) for each in self.checked.names]
        guarded = ast.Try(
            [assign(_LEFT, const(self._budget)), *self._body],
            [
                ast.ExceptHandler(name("_BudgetExceeded"), None, [ast.Raise(None, None)]),
                ast.ExceptHandler(name("_Exception"), None, [ast.Return(call("_recover", *arguments))]),
            ],
            [],
            [],
        )
        return self._built(guarded)

    def _built(self, body: ast.stmt) -> Callable[..., Any]:
        parameters = ast.arguments([], [ast.arg(each) for each in self.checked.names], None, [], [], None, [])
        definition = ast.FunctionDef("test", parameters, [body], [], None)
        module = ast.fix_missing_locations(ast.Module([definition], []))
        code = compile(module, "<policy expression>", "exec", dont_inherit=True)
        inner = next(each for each in code.co_consts if isinstance(each, CodeType))
        return FunctionType(inner, self._globals)

    # Used by `codegen_comparison` too

    def temporary(self) -> str:
        self._counter += 1
        return f"_{self._counter}"

    def keep(self, value: ast.expr) -> tuple[ast.expr, ast.expr]:
        """The value for its first use, and for the uses after that."""
        if isinstance(value, ast.Name | ast.Constant):
            return value, value
        held = self.temporary()
        return let(held, value), name(held)

    def type_of(self, node: Node) -> Type:
        return self.checked.types[node]

    def is_certain(self, node: Node) -> bool:
        """True if the value is made by the language itself, so that it has its type for sure."""
        match node:
            case Select() if node in self._kept:
                return self.type_of(node) is not DYN
            case Conditional():
                return self.is_certain(node.yes) and self.is_certain(node.no)
            case Bind():
                return self.is_certain(node.body)
            case Call(function="orValue"):
                return False
            case _:
                return not isinstance(node, _UNTYPED)

    def guarded(self, test: ast.expr, value: ast.expr) -> ast.expr:
        """`value if test else give up`."""
        return conditional(test, value, call("_slow"))

    def paid(self, quantity: ast.expr, shift: int) -> ast.expr:
        """An expression that is true while the budget covers `quantity >> shift`, and stops the evaluation then."""
        charge = ast.BinOp(quantity, ast.RShift(), const(shift))
        is_covered = compare(let(_LEFT, ast.BinOp(name(_LEFT), ast.Sub(), charge)), ast.GtE(), const(0))
        return either(is_covered, call("_exceeded"))

    def truth(self, node: Node) -> ast.expr:
        """The value of a condition, a bool for sure."""
        value = self.value(node)
        if self.is_certain(node):
            return value
        first, again = self.keep(value)
        is_true = compare(first, ast.Is(), const(True))
        return self.guarded(either(is_true, compare(again, ast.Is(), const(False))), again)

    def value(self, node: Node) -> ast.expr:  # noqa: C901, PLR0911  one row per kind of node
        """The value of a node; the statements it needs go to the current block."""
        match node:
            case Select() if node in self._kept:
                return name(self._kept[node])
            case Literal():
                return const(node.value)
            case Name():
                return name(self._variables[node.name])
            case Select():
                return self._select(node)
            case Index():
                return self._index(node)
            case Has():
                return self._has(node)
            case ListLiteral():
                return ast.List([self.value(each) for each in node.items], ast.Load())
            case Unary():
                return self._unary(node)
            case Binary():
                return self._binary(node)
            case Logical():
                return self._logical(node)
            case Conditional():
                return self._conditional(node)
            case Call():
                return self._call(node)
            case Comprehension():
                return self._comprehension(node)
            case Bind():
                return self._bind(node)

    @contextmanager
    def _block(self) -> Iterator[list[ast.stmt]]:
        """Collect statements apart."""
        outer, self._body = self._body, []
        try:
            yield self._body
        finally:
            self._body = outer

    # Names and fields

    def _unless_absent(self, operand: Node, inner: Callable[[ast.expr], ast.expr], absent: ast.expr) -> ast.expr:
        """`inner(operand)`, or `absent` for an optional operand that is missing."""
        value = self.value(operand)
        if not isinstance(self.type_of(operand), Optional):
            return inner(value)
        first, again = self.keep(value)
        return conditional(compare(first, ast.Is(), name(_ABSENT)), absent, inner(again))

    def _select(self, node: Select) -> ast.expr:
        kind = self.type_of(node.operand)
        is_optional = node.optional or isinstance(kind, Optional)
        base = kind.value if isinstance(kind, Optional) else kind
        if isinstance(base, Object):
            is_plain = not base.fields[node.field].optional
            return self._unless_absent(
                node.operand,
                lambda value: self._attribute(value, node.field, is_plain=is_plain, is_optional=is_optional),
                name(_ABSENT),
            )
        if not is_optional:
            return item(self.value(node.operand), const(node.field))
        return self._unless_absent(node.operand, lambda value: _get(value, node.field, name(_ABSENT)), name(_ABSENT))

    def _attribute(self, value: ast.expr, field: str, *, is_plain: bool, is_optional: bool) -> ast.expr:
        read = attribute(value, field)
        if is_plain:
            return read
        first, again = self.keep(read)
        is_there = compare(first, ast.IsNot(), const(None))
        return conditional(is_there, again, name(_ABSENT) if is_optional else call("_slow"))

    def _has(self, node: Has) -> ast.expr:
        select = node.select
        return self._unless_absent(
            select.operand, lambda value: self._has_in(select, self._base(select.operand), value), const(False)
        )

    def _base(self, node: Node) -> Type:
        kind = self.type_of(node)
        return kind.value if isinstance(kind, Optional) else kind

    def _has_in(self, select: Select, kind: Type, value: ast.expr) -> ast.expr:
        if isinstance(kind, Object):
            is_optional = kind.fields[select.field].optional
            read = attribute(value, select.field) if is_optional else value
            return compare(read, ast.IsNot(), const(None) if is_optional else name(_ABSENT))
        if isinstance(kind, Record) and self._is_root(select.operand):
            return compare(const(select.field), ast.In(), value)
        first, again = self.keep(value)
        return self.guarded(is_a(first, "_dict"), compare(const(select.field), ast.In(), again))

    def _is_root(self, node: Node) -> bool:
        """True for a root name, whose value is a dict if its type is a Record."""
        return isinstance(node, Name) and self._variables[node.name] == node.name

    def _index(self, node: Index) -> ast.expr:
        function = "_op_at_or_absent" if node.optional else "_op_at"
        index = self.value(node.index)
        return self._unless_absent(node.operand, lambda value: call(function, value, index), name(_ABSENT))

    # Operators

    def _unary(self, node: Unary) -> ast.expr:
        if node.operator == "!":
            return negate(self.truth(node.operand))
        return call(f"_op_{self.checked.operations[node].__name__}", self.value(node.operand))

    def _binary(self, node: Binary) -> ast.expr:
        operation = self.checked.operations.get(node)
        if operation is not None:
            return self._arithmetic(node, operation.__name__)
        meter = self._costs.meters.get(node)
        if node.operator == "in":
            return membership(self, node, meter)
        return comparison(self, node, meter)

    def _arithmetic(self, node: Binary, operation: str) -> ast.expr:
        value = call(f"_op_{operation}", self.value(node.left), self.value(node.right))
        meter = self._costs.meters.get(node)
        if meter is None:
            return value
        first, again = self.keep(value)
        return self.guarded(self.paid(call("_len", first), meter.value), again)

    def _logical(self, node: Logical) -> ast.expr:
        join, is_and = (both, True) if node.operator == "&&" else (either, False)
        pending = [self.truth(node.operands[0])]
        held: str | None = None
        for operand in node.operands[1:]:
            with self._block() as statements:
                value = self.truth(operand)
            if not statements:
                pending.append(value)
                continue
            before = join(*pending) if held is None else join(name(held), *pending)
            held = held or self.temporary()
            self._body.append(assign(held, before))
            test = name(held) if is_and else negate(name(held))
            self._body.append(when(test, [*statements, assign(held, value)]))
            pending = []
        return join(*pending) if held is None else join(name(held), *pending)

    def _conditional(self, node: Conditional) -> ast.expr:
        test = self.truth(node.test)
        with self._block() as first:
            yes = self.value(node.yes)
        with self._block() as second:
            no = self.value(node.no)
        if not first and not second:
            return conditional(test, yes, no)
        held = self.temporary()
        self._body.append(when(test, [*first, assign(held, yes)], [*second, assign(held, no)]))
        return name(held)

    # Calls

    def _call(self, node: Call) -> ast.expr:
        if node in self.checked.constants:
            return self._bound(self.checked.constants[node])
        if node.function == "orValue" and node.receiver is not None:
            return self._or_value(node.receiver, node.arguments[0])
        operands = [] if node.receiver is None else [node.receiver]
        operands += node.arguments
        if node in self.checked.patterns or node.function in {"contains", "lowerAscii"}:
            return self._scanning(node, operands)
        if node.function == "size":
            return call("_len", self.value(operands[0]))
        if node.function in {"startsWith", "endsWith"}:
            if not isinstance(operands[1], Literal):
                return self._scanning(node, operands)
            method = attribute(self.value(operands[0]), node.function.lower())
            return call(method, self.value(operands[1]))
        return call(f"_fn_{node.function}", *(self.value(each) for each in operands))

    def _bound(self, value: Any) -> ast.expr:
        """A value that is no Python literal, as a name of the function's own."""
        identifier = f"_k{len(self._globals)}"
        self._globals[identifier] = value
        return name(identifier)

    def _scanning(self, node: Call, operands: list[Node]) -> ast.expr:
        """A function that may look at the whole text."""
        first, again = self.keep(self.value(operands[0]))
        tests = [is_a(first, "_str")]
        meter = self._costs.meters.get(node)
        if meter is not None:
            tests.append(self.paid(call("_len", again), meter.value))
        pattern = self.checked.patterns.get(node)
        if pattern is not None:
            return self.guarded(both(*tests), call(self._bound(pattern.search), again))
        rest = [self.value(each) for each in operands[1:]]
        if node.function == "contains" and self.is_certain(operands[1]):
            return self.guarded(both(*tests), compare(rest[0], ast.In(), again))
        return self.guarded(both(*tests), call(f"_fn_{node.function}", again, *rest))

    def _or_value(self, receiver: Node, other: Node) -> ast.expr:
        if isinstance(receiver, Select) and isinstance(other, Literal) and self._is_plain_map(receiver.operand):
            return _get(self.value(receiver.operand), receiver.field, const(other.value))
        held = self.temporary()
        value = self.value(receiver)
        with self._block() as statements:
            instead = self.value(other)
        if not statements:
            return conditional(compare(let(held, value), ast.IsNot(), name(_ABSENT)), name(held), instead)
        self._body.append(assign(held, value))
        is_absent = compare(name(held), ast.Is(), name(_ABSENT))
        self._body.append(when(is_absent, [*statements, assign(held, instead)]))
        return name(held)

    def _is_plain_map(self, node: Node) -> bool:
        return not isinstance(self.type_of(node), Object | Optional)

    # Macros

    def _bind(self, node: Bind) -> ast.expr:
        held = self.temporary()
        self._body.append(assign(held, self.value(node.value)))
        with self._scope(node.variable, held):
            return self.value(node.body)

    @contextmanager
    def _scope(self, variable: str, held: str) -> Iterator[None]:
        outer = self._variables
        self._variables = {**outer, variable: held}
        try:
            yield
        finally:
            self._variables = outer

    def _comprehension(self, node: Comprehension) -> ast.expr:
        self._keep_invariants(node)
        items, result, variable = self.temporary(), self.temporary(), self.temporary()
        self._body += [
            assign(items, self.value(node.range)),
            when(is_a(name(items), "_list", negated=True), [assign(items, call("_op_elements", name(items)))]),
            subtract(_LEFT, self._charge(node, items)),
            when(compare(name(_LEFT), ast.Lt(), const(0)), [ast.Expr(call("_exceeded"))]),
        ]
        with self._scope(node.variable, variable), self._block() as body:
            start = self._loop_body(node, result, variable)
        self._body += [assign(result, start), ast.For(store(variable), name(items), body, [])]
        if node.macro == "exists_one":
            return compare(name(result), ast.Eq(), const(1))
        return name(result)

    def _keep_invariants(self, node: Comprehension) -> None:
        """Read what the body needs of params and the like once; a wrong type is found out then and there."""
        by_path: dict[tuple[str, ...], str] = {}
        for path, select in invariants(node, self.checked):
            if select in self._kept:
                continue
            if path not in by_path:
                held = by_path[path] = self.temporary()
                self._body.append(assign(held, self._select(select)))
                kinds = [is_a(name(held), kind) for kind in python_types(self.type_of(select))]
                if kinds:
                    self._body.append(when(negate(either(*kinds)), [ast.Expr(call("_slow"))]))
            self._kept[select] = by_path[path]

    def _charge(self, node: Comprehension, items: str) -> ast.expr:
        length = call("_len", name(items))
        per_element = self._costs.weights[node]
        return length if per_element == 1 else ast.BinOp(length, ast.Mult(), const(per_element))

    def _loop_body(self, node: Comprehension, result: str, variable: str) -> ast.expr:
        """Fill the current block with the body of the loop; the value of the result before the first element."""
        if node.macro == "map" and node.transform is None:
            self._append(result, self.value(node.body))
            return ast.List([], ast.Load())
        test = self.truth(node.body)
        if node.macro in {"all", "exists"}:
            decides = node.macro == "exists"
            stop: list[ast.stmt] = [assign(result, const(decides)), ast.Break()]
            self._body.append(when(test if decides else negate(test), stop))
            return const(not decides)
        with self._block() as kept:
            if node.macro == "exists_one":
                kept.append(ast.AugAssign(store(result), ast.Add(), const(1)))
            else:
                self._append(result, name(variable) if node.transform is None else self.value(node.transform))
        self._body.append(when(test, kept))
        return const(0) if node.macro == "exists_one" else ast.List([], ast.Load())

    def _append(self, result: str, value: ast.expr) -> None:
        self._body.append(ast.Expr(call(attribute(name(result), "append"), value)))
