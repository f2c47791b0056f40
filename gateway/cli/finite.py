"""Numbers that options take: click's ranges let `nan` through, which is in no range."""

import math
from typing import Any

import click
from typing_extensions import override

__all__ = ["FiniteRange"]


class FiniteRange(click.FloatRange):
    """A number within bounds, or within none; neither `nan` nor infinite."""

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found
