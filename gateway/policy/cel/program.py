"""A compiled expression: the fast path, with the walker behind it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.policy.cel.checked import Checked
from gateway.policy.cel.codegen import generate
from gateway.policy.cel.cost import costs_of
from gateway.policy.cel.walker import Step, Walker

__all__ = ["DEFAULT_BUDGET", "Program", "compile_program"]

DEFAULT_BUDGET: Final = 2000
"""Steps an evaluation may take; see `cost`."""
_VISITS_PER_STEP: Final = 1
"""Nodes the walker may visit per step after an error: it is slower than the fast path, and peers can cause errors."""


class Program:
    """A compiled expression. Immutable, and safe to share between threads."""

    __slots__ = ("_costs", "budget", "checked", "names", "test", "uses")

    def __init__(self, checked: Checked, budget: int) -> None:
        self.checked = checked
        self.budget = budget
        self.names: tuple[str, ...] = checked.names
        """The root names it reads, sorted: the parameters of `test`. Nothing else needs to be computed for it."""
        self.uses: tuple[tuple[str, ...], ...] = checked.uses
        """The access paths it reads, e.g. ``("payload", "chargingSchedule", "[]", "limit")``."""
        self._costs = costs_of(checked)
        self.test: Callable[..., Any] = generate(checked, self._costs, budget, self._recover)
        """The value for root values in the order of `names` (or by keyword). Raises EvaluationError, nothing else."""

    @property
    def text(self) -> str:
        """The source."""
        return self.checked.expression.text

    def __repr__(self) -> str:
        return f"Program({self.text!r})"

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The same as `test` with the root values by name; more values than needed do not matter."""
        return self.test(*[values[name] for name in self.names])

    def walk(self, values: Mapping[str, Any]) -> Any:
        """The value according to the reference walker alone. Raises EvaluationError."""
        return Walker(self.checked, self._costs, self.budget).evaluate(values)

    def explain(self, values: Mapping[str, Any]) -> tuple[Step, ...]:
        """Every sub-expression that was evaluated, in the order it was done; the last step is the whole expression.

        The first 1,000 steps at most, and the last. Errors are steps too, so this does not raise.
        """
        steps: list[Step] = []
        Walker(self.checked, self._costs, self.budget, steps=steps).explain(values)
        return tuple(steps)

    def _recover(self, *values: Any) -> Any:
        walker = Walker(self.checked, self._costs, self.budget, visits=self.budget * _VISITS_PER_STEP)
        return walker.evaluate(dict(zip(self.names, values, strict=True)))


def compile_program(checked: Checked, budget: int = DEFAULT_BUDGET) -> Program:
    """The program of a checked expression."""
    return Program(checked, budget)
