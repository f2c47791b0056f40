"""Which optional fields are surely there: `has(a.b) && a.b.c`, `!has(a.b) || a.b.c`, ternaries, filters (P023).

Guards count from left to right, as they are evaluated. Going the other way round is an error that CEL would absorb,
but only by evaluating everything a second time.
"""

from gateway.policy.cel.nodes import Binary, Bind, Comprehension, Conditional, Has, Literal, Logical, Node, Unary
from gateway.policy.cel.place import Binding, Path, Place, path_of
from gateway.policy.cel.types import NOTHING

__all__ = ["known_from_filter", "known_if"]

_NOTHING: frozenset[Path] = frozenset()


def known_if(node: Node, value: bool, place: Place) -> frozenset[Path]:
    """The paths that are present whenever `node` evaluates to `value`."""
    match node:
        case Has():
            return _with_prefixes(path_of(node.select, place)) if value else _NOTHING
        case Unary(operator="!"):
            return known_if(node.operand, not value, place)
        case Logical():
            parts = [known_if(operand, value, place) for operand in node.operands]
            holds_all = value == (node.operator == "&&")
            return frozenset.union(*parts) if holds_all else frozenset.intersection(*parts)
        case Conditional():
            return _known_if_conditional(node, value, place)
        case Binary(operator="in", left=Literal(value=str() as key)):
            container = path_of(node.right, place)
            return _with_prefixes((*container, key)) if value and container is not None else _NOTHING
        case Bind():
            return known_if(node.body, value, place.binding(node.variable, _bound(node, place)))
        case _:
            return _NOTHING


def _bound(node: Bind, place: Place) -> Binding:
    """The name as far as paths go: it may hide another one."""
    return Binding(NOTHING, path_of(node.value, place) or (f"{node.variable}@{node.start}",), None)


def _known_if_conditional(node: Conditional, value: bool, place: Place) -> frozenset[Path]:
    branches = []
    for branch, test in ((node.yes, True), (node.no, False)):
        if not (isinstance(branch, Literal) and branch.value is not value):
            branches.append(known_if(node.test, test, place) | known_if(branch, value, place))
    return frozenset.intersection(*branches) if branches else _NOTHING


def known_from_filter(range_: Node, binding: Binding, place: Place) -> frozenset[Path]:
    """What `xs.filter(x, has(x.a))` says about each element, when the elements are bound like `binding`."""
    known = _NOTHING
    while isinstance(range_, Comprehension) and range_.macro == "filter":
        known |= known_if(range_.body, True, place.binding(range_.variable, binding))
        range_ = range_.range
    return known


def _with_prefixes(path: Path | None) -> frozenset[Path]:
    return frozenset(path[:length] for length in range(2, len(path) + 1)) if path else _NOTHING
