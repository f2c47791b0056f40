"""Which root names an expression may use, and their types."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.policy.cel.types import Type

__all__ = ["Scope"]


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Root names and their types: ``Scope({"payload": record, "now": TIMESTAMP})``.

    The values of all roots but `payload` and what hangs below it come from the gateway itself. A root whose type is a
    Record must be a dict, and a timestamp must have a time zone.
    """

    names: Mapping[str, Type]
    fixed: frozenset[str] = frozenset({"params", "sets"})
    """Roots whose lists no message can make longer; going through them inside another list is no P040."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def get(self, name: str) -> Type | None:
        """The type of a root name, or None if there is no such name."""
        return self.names.get(name)
