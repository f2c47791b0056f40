"""Google's CEL as an oracle: the same expression and data, and what it makes of them.

Its traps: an evaluation error comes back as a value of type ERROR whose `.value()` is a truthy string; values of some
types cannot be fetched at all; a lone surrogate raises. Expressions are compiled without its static checks, which
refuse comparisons of int with double that the language (and ours) has.
"""

from typing import Any

import pytest

from tests.policy.cel.world import WORLD

cel: Any = pytest.importorskip(
    "cel_expr_python.cel", reason="DIFFERENTIAL FUZZ NOT RUN: pip install cel-expr-python (no musllinux wheels)"
)
extensions: Any = pytest.importorskip("cel_expr_python.ext.ext_optional")
bindings: Any = pytest.importorskip("cel_expr_python.ext.ext_bindings")
strings: Any = pytest.importorskip("cel_expr_python.ext.ext_strings")

ENVIRONMENT = cel.NewEnv(
    variables=dict.fromkeys(WORLD, cel.Type.DYN) | {"ts": cel.Type.TIMESTAMP, "du": cel.Type.DURATION},
    extensions=[extensions.ExtOptional(), bindings.ExtBindings(), strings.ExtStrings()],
)


class Failed:
    """The oracle says that there is no value."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"Failed({self.reason!r})"


def as_data(value: Any) -> Any:
    """An object of our world as a map: the oracle knows no attributes."""
    if hasattr(value, "__dict__"):
        return {key: each for key, each in vars(value).items() if each is not None}
    return value


class Oracle:
    """One expression, compiled once. Raises RuntimeError if the oracle refuses it."""

    def __init__(self, text: str) -> None:
        self._compiled = ENVIRONMENT.compile(text, disable_check=True)

    def evaluate(self, values: dict[str, Any]) -> Any:
        """The value, or Failed."""
        try:
            result = self._compiled.eval(data={key: as_data(value) for key, value in values.items()})
        except RuntimeError as error:
            return Failed(str(error))
        if result.type() == cel.Type.ERROR:
            return Failed(str(result.value()))
        return result.plain_value()
