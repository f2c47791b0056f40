"""One walk over one expression: gives every node a type and collects findings. Used by `checker` only.

After a finding the node counts as NOTHING, which fits everywhere, so one mistake is reported once.
"""

from collections.abc import Callable
from typing import Any, Final

from gateway.policy.cel.automaton import Automaton
from gateway.policy.cel.calls import CallRefused, is_function, similar_function, type_call
from gateway.policy.cel.checked import Checked
from gateway.policy.cel.constants import constant_comparison, impossible_literals, is_constant
from gateway.policy.cel.findings import Finding, Severity, did_you_mean
from gateway.policy.cel.loops import loop_of, multiplication
from gateway.policy.cel.nodes import (
    Binary,
    Bind,
    Call,
    Comprehension,
    Conditional,
    Expression,
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
from gateway.policy.cel.operations import of_nothing
from gateway.policy.cel.operators import (
    Mismatch,
    arithmetic,
    check_equality,
    check_membership,
    check_order,
    negation,
)
from gateway.policy.cel.place import Binding, Place, loops_in, path_of, use_of
from gateway.policy.cel.presence import known_from_filter, known_if
from gateway.policy.cel.types import (
    BOOL,
    DOUBLE,
    DYN,
    INT,
    NOTHING,
    NULL,
    STRING,
    Field,
    List,
    Map,
    Object,
    Optional,
    Record,
    String,
    Type,
    describe,
    is_numeric,
    join,
)

__all__ = ["Visitor"]

_LITERALS: Final[dict[type, Type]] = {bool: BOOL, int: INT, float: DOUBLE, type(None): NULL}
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})
_EQUALITY: Final = frozenset({"==", "!="})


class Visitor:
    """The state of one check."""

    def __init__(self, expression: Expression, *, guards: bool = True) -> None:
        self.findings: list[Finding] = []
        self._guards = guards
        self._expression = expression
        self._types: dict[Node, Type] = {}
        self._operations: dict[Node, Callable[..., Any]] = {}
        self._patterns: dict[Node, Automaton] = {}
        self._constants: dict[Node, Any] = {}
        self._roots: set[str] = set()
        self._uses: set[tuple[str, ...]] = set()

    def result(self, place: Place, expect: Type) -> Type:
        """Check everything; the type of the whole expression."""
        root = self._expression.root
        if expect is BOOL:
            self._condition(root, place)
            return BOOL
        found = self.visit(root, place)
        if expect is not DYN and not _fits(found, expect):
            self._report("P021", root, f"{describe(found)} instead of {describe(expect)}")
        return found

    def checked(self, result: Type) -> Checked:
        """The outcome, when there was no error."""
        uses = sorted(self._uses)
        longest = [use for use, after in zip(uses, [*uses[1:], ()], strict=False) if after[: len(use)] != use]
        return Checked(
            expression=self._expression,
            result=result,
            types=self._types,
            operations=self._operations,
            patterns=self._patterns,
            constants=self._constants,
            names=tuple(sorted(self._roots)),
            uses=tuple(longest),
        )

    def visit(self, node: Node, place: Place) -> Type:
        """The type of a node, which is remembered."""
        found = self._typed(node, place)
        self._types[node] = found
        return found

    def _typed(self, node: Node, place: Place) -> Type:  # noqa: C901, PLR0911, PLR0912  one row per kind of node
        match node:
            case Literal(value=str() as text):
                return String(frozenset({text}), len(text))
            case Literal():
                return _LITERALS[type(node.value)]
            case Name():
                return self._name(node, place)
            case Select():
                return self._select(node, place)
            case Index():
                return self._index(node, place)
            case Has():
                return self._has(node, place)
            case ListLiteral():
                return self._list(node, place)
            case Unary(operator="!"):
                self._condition(node.operand, place)
                return BOOL
            case Unary():
                return self._negative(node, place)
            case Binary():
                return self._binary(node, place)
            case Logical():
                return self._logical(node, place)
            case Conditional():
                return self._conditional(node, place)
            case Call():
                return self._call(node, place)
            case Comprehension():
                return self._comprehension(node, place)
            case Bind():
                return self._bind(node, place)

    def _report(
        self, code: str, node: Node, message: str, suggestion: str = "", severity: Severity = Severity.ERROR
    ) -> Type:
        self.findings.append(
            Finding(
                code=code, severity=severity, start=node.start, end=node.end, message=message, suggestion=suggestion
            )
        )
        return NOTHING

    # Names and fields

    def _name(self, node: Name, place: Place) -> Type:
        binding = place.names.get(node.name)
        if binding is None:
            return self._report("P020", node, f"unknown name {node.name}", did_you_mean(node.name, place.names))
        if binding.path == (node.name,):
            self._roots.add(node.name)
        self._note_use(node, place)
        return binding.type

    def _note_use(self, node: Node, place: Place) -> None:
        use = use_of(node, place)
        if use is not None:
            self._uses.add(use)

    def _select(self, node: Select, place: Place) -> Type:
        operand = self.visit(node.operand, place)
        is_maybe = isinstance(operand, Optional)
        field = self._field(node, operand.value if isinstance(operand, Optional) else operand)
        if field is None:
            return NOTHING
        self._note_use(node, place)
        if node.optional or is_maybe:
            return Optional(field.type)
        if field.optional and path_of(node, place) not in place.known:
            self._unguarded(node)
        return field.type

    def _unguarded(self, node: Select | Index) -> None:
        if not self._guards:
            return
        operand = self._expression.source(node.operand)
        if isinstance(node, Index):
            index = self._expression.source(node.index)
            hint = f"write {index} in {operand} && ..., or {operand}[?{index}].orValue(...)"
        else:
            hint = f"write has({operand}.{node.field}) && ..., or {operand}.?{node.field}.orValue(...)"
        self._report("P023", node, "may be missing here", hint)

    def _field(self, node: Select | Index, operand: Type) -> Field | None:
        """The field of a record, object or map that is selected; None after a finding."""
        name = node.field if isinstance(node, Select) else str(getattr(node.index, "value", ""))
        match operand:
            case Record() | Object():
                found = operand.fields.get(name)
                if found is None and isinstance(operand, Record) and operand.is_open:
                    return Field(DYN, optional=True)
                if found is None:
                    hint = did_you_mean(name, operand.fields)
                    self._report(operand.unknown, node, f"{operand.name} has no field {name}", hint)
                return found
            case Map():
                return Field(operand.value, optional=True)
            case _ if operand is DYN:
                return Field(DYN, optional=True)
            case _ if operand is NOTHING:
                return None
            case _:
                hint = "take an element first: x[0].field, or use exists()/all()" if isinstance(operand, List) else ""
                self._report("P021", node, f"{describe(operand)} has no fields", hint)
                return None

    def _index(self, node: Index, place: Place) -> Type:
        operand = self.visit(node.operand, place)
        index = self.visit(node.index, place)
        is_maybe = isinstance(operand, Optional)
        base = operand.value if isinstance(operand, Optional) else operand
        found = self._element(node, base, index, place, is_maybe=is_maybe)
        self._note_use(node, place)
        is_typed = found is not NOTHING or base == List(NOTHING, 0)
        return Optional(found) if (node.optional or is_maybe) and is_typed else found

    def _element(self, node: Index, base: Type, index: Type, place: Place, *, is_maybe: bool) -> Type:
        literal = node.index.value if isinstance(node.index, Literal) else None
        if isinstance(base, List):
            if index not in {INT, DYN, NOTHING}:
                return self._report("P021", node.index, f"{describe(index)} is not the index of a list")
            if isinstance(literal, int) and literal < 0:
                return self._report("P021", node.index, "indices start at 0", "there is no way to count from the end")
            return base.element
        if base in {DYN, NOTHING}:
            return base
        if not isinstance(index, String) and index not in {DYN, NOTHING}:
            return self._report("P021", node, f"no {describe(base)}[{describe(index)}]")
        if isinstance(base, Object) or (isinstance(base, Record) and not isinstance(literal, str)):
            return self._report("P021", node, f"no {describe(base)}[...]", "name the field: x.field")
        field = self._field(node, base)
        if field is None:
            return NOTHING
        is_safe = node.optional or is_maybe or not isinstance(literal, str) or path_of(node, place) in place.known
        if field.optional and not is_safe:
            self._unguarded(node)
        return field.type

    def _has(self, node: Has, place: Place) -> Type:
        select = node.select
        operand = self.visit(select.operand, place)
        base = operand.value if isinstance(operand, Optional) else operand
        field = self._field(select, base)
        if field is not None:
            self._types[select] = field.type
            self._note_use(select, place)
            if not field.optional and operand is base:
                self._always(node, True)
        return BOOL

    # Operators

    def _condition(self, node: Node, place: Place) -> None:
        """Check a node whose value decides something."""
        is_outermost = not any(
            finding.code == "P025" and finding.start <= node.start and node.end <= finding.end
            for finding in self.findings
        )
        if is_constant(node) and is_outermost:
            self._report("P025", node, "the same for every message", severity=Severity.WARNING)
        kind = self.visit(node, place)
        if kind in {BOOL, NOTHING}:
            return
        hint = ""
        if isinstance(kind, Optional):
            hint = "say what counts when it is missing: .orValue(false)"
        elif kind is DYN:
            hint = "compare it: x == true"
        self._report("P021", node, f"{describe(kind)} is no condition", hint)

    def _always(self, node: Node, value: bool) -> None:
        self._report("P025", node, f"always {str(value).lower()}", severity=Severity.WARNING)

    def _list(self, node: ListLiteral, place: Place) -> Type:
        element: Type = NOTHING
        for item in node.items:
            kind = self.visit(item, place)
            if isinstance(kind, Optional):
                self._report("P021", item, "may be missing", "say what counts then: .orValue(...)")
                continue
            joined = join(element, kind)
            if joined is None:
                self._report("P021", item, f"{describe(kind)} in a list of {describe(element)}")
            else:
                element = joined
        return List(element, len(node.items))

    def _negative(self, node: Unary, place: Place) -> Type:
        operand = self.visit(node.operand, place)
        try:
            self._operations[node] = of_nothing if operand is NOTHING else negation(operand)
        except Mismatch as mismatch:
            return self._report("P021", node, mismatch.message, mismatch.suggestion)
        return operand

    def _binary(self, node: Binary, place: Place) -> Type:
        left, right = self.visit(node.left, place), self.visit(node.right, place)
        if node.operator in _ARITHMETIC:
            return self._arithmetic(node, left, right)
        try:
            if node.operator == "in":
                check_membership(left, right, node.right)
            elif node.operator in _EQUALITY:
                check_equality(left, right)
            else:
                check_order(left, right)
        except Mismatch as mismatch:
            self._report("P021", node, mismatch.message, mismatch.suggestion)
            return BOOL
        for literal, message, suggestion in impossible_literals(node, left, right):
            self._report("P024", literal, message, suggestion)
        always = None if node.operator == "in" else constant_comparison(node, place)
        if always is not None:
            self._always(node, always)
        return BOOL

    def _arithmetic(self, node: Binary, left: Type, right: Type) -> Type:
        if NOTHING in {left, right}:
            self._operations[node] = of_nothing
            return NOTHING
        try:
            self._operations[node], result = arithmetic(node.operator, left, right, node)
        except Mismatch as mismatch:
            return self._report("P021", node, mismatch.message, mismatch.suggestion)
        return result

    def _logical(self, node: Logical, place: Place) -> Type:
        is_and = node.operator == "&&"
        for operand in node.operands:
            self._condition(operand, place)
            place = place.knowing(known_if(operand, is_and, place))
        return BOOL

    def _conditional(self, node: Conditional, place: Place) -> Type:
        self._condition(node.test, place)
        yes = self.visit(node.yes, place.knowing(known_if(node.test, True, place)))
        no = self.visit(node.no, place.knowing(known_if(node.test, False, place)))
        joined = join(yes, no)
        if joined is None:
            return self._report("P021", node, f"either {describe(yes)} or {describe(no)}")
        return joined

    # Calls and macros

    def _call(self, node: Call, place: Place) -> Type:
        operands = [] if node.receiver is None else [self.visit(node.receiver, place)]
        if not is_function(node.function):
            return self._report("P020", node, f"unknown function {node.function}()", similar_function(node.function))
        operands += [self.visit(argument, place) for argument in node.arguments]
        try:
            call = type_call(node, operands)
        except CallRefused as refused:
            return self._report(refused.code, refused.node, refused.message, refused.suggestion)
        if call.pattern is not None:
            self._patterns[node] = call.pattern
        if call.constant is not None:
            self._constants[node] = call.constant
        return call.result

    def _comprehension(self, node: Comprehension, place: Place) -> Type:
        range_type = self.visit(node.range, place)
        element = self._element_of(node, range_type)
        loop = loop_of(node, range_type, place)
        reason = multiplication(loop, place)
        if reason is not None:
            self._report("P040", node, reason, "compare with `in`, or go through one list only")
        binding = self._loop_variable(node, element, place, loop)
        inner = place.binding(node.variable, binding).inside(loop)
        inner = inner.knowing(known_from_filter(node.range, binding, place))
        if node.macro != "map":
            self._condition(node.body, inner)
            return range_type if node.macro == "filter" and isinstance(range_type, List) else _collected(node, element)
        if node.transform is None:
            return List(self._mapped(node.body, inner), loop.bound)
        self._condition(node.body, inner)
        return List(self._mapped(node.transform, inner.knowing(known_if(node.body, True, inner))), loop.bound)

    @staticmethod
    def _loop_variable(node: Comprehension, element: Type, place: Place, loop: Any) -> Binding:
        use = use_of(node.range, place)
        return Binding(
            type=element,
            path=(f"{node.variable}@{node.start}",),
            use=None if use is None else (*use, "[]"),
            loops=loops_in(node.range, place) | {loop},
        )

    def _mapped(self, node: Node, place: Place) -> Type:
        kind = self.visit(node, place)
        if isinstance(kind, Optional):
            return self._report("P021", node, "may be missing", "say what counts then: .orValue(...)")
        return kind

    def _element_of(self, node: Comprehension, range_type: Type) -> Type:
        match range_type:
            case List():
                return range_type.element
            case Map():
                return STRING
            case _ if range_type in {DYN, NOTHING}:
                return range_type
            case _:
                hint = "say what counts when it is missing: .orValue([])" if isinstance(range_type, Optional) else ""
                return self._report("P021", node.range, f"{describe(range_type)} has no elements", hint)

    def _bind(self, node: Bind, place: Place) -> Type:
        kind = self.visit(node.value, place)
        binding = Binding(
            type=kind,
            path=path_of(node.value, place) or (f"{node.variable}@{node.start}",),
            use=use_of(node.value, place),
            loops=loops_in(node.value, place),
        )
        return self.visit(node.body, place.binding(node.variable, binding))


def _collected(node: Comprehension, element: Type) -> Type:
    return List(element) if node.macro == "filter" else BOOL


def _fits(found: Type, expect: Type) -> bool:
    if found is NOTHING or found == expect:
        return True
    if is_numeric(expect):
        return found is INT and expect is DOUBLE
    return found is not DYN and join(found, expect) is not None
