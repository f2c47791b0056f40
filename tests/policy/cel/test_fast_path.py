"""The generated code says what the walker says, whatever the expression and whatever the data."""

import math
import random
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.cel import DEFAULT_BUDGET, DYN, EvaluationError, Program, compile_program
from gateway.policy.cel.codegen import generate
from gateway.policy.cel.cost import costs_of
from tests.policy.cel.world import WORLD, as_json, checked, data, expressions

KINDS = expressions()
ANY_KIND = st.sampled_from(sorted(KINDS)).flatmap(lambda kind: KINDS[kind])
ODD = (True, False, 0, 1, 1.0, 2, 7.5, "", "a", "ab", "v", None, 2**70, -(2**70))
KEYS = ("a", "k", "v", "x", "y", "o", "f")
FROM_OUTSIDE = sorted(set(WORLD) - {"ob", "ts", "du", "r"})
FIELDS = ["n", "o", "s", "f", "l", "sub", "maybe"]


def an_odd_value(pick: random.Random, depth: int = 2) -> Any:
    """Any JSON value, near to those that expressions look for."""
    kind = pick.randrange(4) if depth else 0
    if kind == 1:
        return [an_odd_value(pick, depth - 1) for _ in range(pick.randrange(4))]
    if kind == 2:
        return {key: an_odd_value(pick, depth - 1) for key in KEYS if pick.random() < 0.4}
    return pick.choice(ODD)


def shape(value: Any) -> Any:
    """A value in a form that tells 1 from True and where NaN equals NaN."""
    if type(value) in {list, tuple}:
        return [shape(each) for each in value]
    if type(value) is dict:
        return {key: shape(each) for key, each in value.items()}
    return (type(value), "nan" if isinstance(value, float) and math.isnan(value) else value)


def outcome(run: Callable[[], Any]) -> Any:
    try:
        return shape(run())
    except EvaluationError as error:
        return (type(error), error.reason)


class GaveUpError(Exception):
    """The fast path has no answer of its own."""


@lru_cache(maxsize=8)
def both_of(text: str) -> tuple[Program, Callable[..., Any]]:
    """The program, and its fast path without a walker behind it."""

    def give_up(*_: Any) -> Any:
        raise GaveUpError

    made = checked(text, DYN)
    return compile_program(made), generate(made, costs_of(made), DEFAULT_BUDGET, give_up)


def assert_fast_path_is_right(text: str, values: dict[str, Any]) -> None:
    program, fast = both_of(text)
    expected = outcome(lambda: program.walk(values))
    assert outcome(lambda: program.evaluate(values)) == expected
    try:
        found = shape(fast(*[values[name] for name in program.names]))
    except (GaveUpError, EvaluationError):
        return
    assert found == expected


@given(ANY_KIND, data())
def test_on_data_that_match_their_types_both_agree(text: str, several: list[dict[str, Any]]) -> None:
    for values in several:
        assert_fast_path_is_right(text, values)
        assert_fast_path_is_right(text, {key: as_json(value) for key, value in values.items()})


@given(ANY_KIND, data(), st.integers(0, 999))
def test_on_data_that_do_not_match_their_types_both_agree(text: str, several: list[dict[str, Any]], seed: int) -> None:
    pick = random.Random(seed)
    for values in several:
        odd = {key: an_odd_value(pick) for key in FROM_OUTSIDE if pick.random() < 0.5}
        odd_fields = {key: an_odd_value(pick) for key in FIELDS if pick.random() < 0.5}
        assert_fast_path_is_right(text, {**values, **odd, "r": {**values["r"], **odd_fields}})


@given(KINDS["bool"], data())
def test_an_explanation_ends_with_what_the_expression_gives(text: str, several: list[dict[str, Any]]) -> None:
    program = compile_program(checked(text))
    for values in several:
        last = program.explain(values)[-1]
        result = outcome(partial(program.evaluate, values))
        assert result in {(bool, last.value), (EvaluationError, last.error)}
