"""Where in an expression the checker stands: what names mean there, what is known to be present, which loops run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gateway.policy.cel.nodes import Comprehension, Has, Index, Literal, Name, Node, Select, walk
from gateway.policy.cel.types import Type

__all__ = ["Binding", "Loop", "Path", "Place", "loops_in", "path_of", "use_of"]

Path = tuple[str | int, ...]
"""A value reached from a variable by constant steps; two equal paths are the same value."""


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A comprehension around the place. `bound`: most elements it can see, None if nobody knows."""

    node: Comprehension
    bound: int | None
    group: "Loop | None"
    """The enclosing loop whose elements it runs through: together they see each part of the message once."""
    is_fixed: bool
    """True if no message can make it longer."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a name stands for."""

    type: Type
    path: Path
    use: tuple[str, ...] | None
    """The access path from a root, for reports; None if the value is computed."""
    loops: frozenset[Loop] = frozenset()
    """Loops whose elements the value depends on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Immutable: entering a sub-expression makes a new one."""

    names: Mapping[str, Binding]
    known: frozenset[Path] = frozenset()
    """Optional fields that are present whenever this place is evaluated."""
    loops: tuple[Loop, ...] = ()
    fixed: frozenset[str] = frozenset()
    """Roots whose lists no message can make longer."""

    def knowing(self, paths: Iterable[Path]) -> "Place":
        """The same place when these are present too."""
        return replace(self, known=self.known.union(paths))

    def binding(self, name: str, binding: Binding) -> "Place":
        """The place inside a macro that introduces a name."""
        return replace(self, names={**self.names, name: binding})

    def inside(self, loop: Loop) -> "Place":
        """The place in the body of a comprehension."""
        return replace(self, loops=(*self.loops, loop))


def path_of(node: Node, place: Place) -> Path | None:
    """The path of a value, or None if it is computed."""
    match node:
        case Name():
            binding = place.names.get(node.name)
            return binding.path if binding else None
        case Select():
            base = path_of(node.operand, place)
            return None if base is None else (*base, node.field)
        case Index(index=Literal(value=str() | int() as step)):
            base = path_of(node.operand, place)
            return None if base is None else (*base, step)
        case Has():
            return path_of(node.select, place)
        case _:
            return None


def use_of(node: Node, place: Place) -> tuple[str, ...] | None:
    """The access path from a root name as it is reported, or None if the value is computed."""
    match node:
        case Name():
            binding = place.names.get(node.name)
            return binding.use if binding else None
        case Select():
            base = use_of(node.operand, place)
            return None if base is None else (*base, node.field)
        case Index():
            base = use_of(node.operand, place)
            step = node.index.value if isinstance(node.index, Literal) and isinstance(node.index.value, str) else "[]"
            return None if base is None else (*base, step)
        case Comprehension(macro="filter"):
            return use_of(node.range, place)
        case _:
            return None


def loops_in(node: Node, place: Place) -> frozenset[Loop]:
    """The loops whose elements an expression depends on."""
    bindings = (place.names.get(each.name) for each in walk(node) if isinstance(each, Name))
    return frozenset(loop for binding in bindings if binding for loop in binding.loops)
