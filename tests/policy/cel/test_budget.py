"""Whatever the rule and whatever the message, an evaluation ends after a bounded number of steps."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.cel import (
    BOOL,
    DYN,
    INT,
    STRING,
    BudgetExceeded,
    EvaluationError,
    Field,
    List,
    Program,
    Record,
    Scope,
    String,
    check,
    compile_program,
    parse,
)
from gateway.policy.cel.nodes import Comprehension

ITEM = Record(
    "item", {"a": Field(INT), "s": Field(STRING), "short": Field(String(max_length=50)), "inner": Field(List(INT))}
)
FIELDS = {
    "l": Field(List(ITEM, 40)),
    "n": Field(List(INT, 40)),
    "t": Field(List(STRING, 40)),
    "s": Field(STRING),
    "short": Field(String(max_length=50)),
    "any": Field(DYN, optional=True),
}
SCOPE = Scope({"p": Record("p", FIELDS)})
BIG_TEXT = "x" * 262_144
MANY = 10_000


def program(text: str, budget: int = 2000) -> Program:
    report = check(parse(text), SCOPE, DYN, guards=False)
    assert report.checked is not None, report.findings
    return compile_program(report.checked, budget)


def message(size: int) -> dict[str, Any]:
    """More than the schema allows: what counts is what arrives."""
    item = {"a": 1, "s": "x", "short": "y", "inner": [1]}
    return {"p": {"l": [item] * size, "n": [1] * size, "t": ["a"] * size, "s": BIG_TEXT, "short": "a"}}


def is_stopped(text: str, values: dict[str, Any], budget: int = 2000) -> bool:
    """True if both the fast path and the walker stop it."""
    made = program(text, budget)
    outcomes = set()
    for run in (made.evaluate, made.walk):
        try:
            run(values)
            outcomes.add(False)
        except BudgetExceeded:
            outcomes.add(True)
    assert len(outcomes) == 1, "the fast path and the walker charge alike"
    return outcomes == {True}


@pytest.mark.parametrize(("size", "stopped"), [(0, False), (2000, False), (2001, True), (MANY, True)])
def test_a_comprehension_costs_its_elements(size: int, stopped: bool) -> None:
    assert is_stopped("p.n.all(x, x == 1)", message(size)) is stopped


def test_the_budget_is_configurable() -> None:
    assert is_stopped("p.n.all(x, x == 1)", message(11), budget=10)
    assert not is_stopped("p.n.all(x, x == 1)", message(10), budget=10)


def test_comprehensions_share_the_budget() -> None:
    text = "p.n.all(x, x == 1) && p.n.all(x, x == 1)"
    assert not is_stopped(text, message(1000))
    assert is_stopped(text, message(1001))


def test_an_inner_comprehension_is_charged_each_time() -> None:
    assert not is_stopped("p.l.all(a, p.n.all(b, a.a == b))", message(40))
    assert is_stopped("p.l.all(a, p.n.all(b, a.a == b))", message(45))


def test_a_comprehension_that_is_not_reached_costs_nothing() -> None:
    assert not is_stopped("p.short == 'b' && p.n.all(x, x == 1)", message(MANY))
    assert not is_stopped("p.short == 'a' ? true : p.n.all(x, x == 1)", message(MANY))
    assert not is_stopped("p.?any.orValue(p.n.map(x, x)).size() == 1", {"p": {**message(MANY)["p"], "any": [1]}})


def test_a_large_body_costs_more() -> None:
    body = " || ".join(f"x == {number}" for number in range(2, 100))
    assert not is_stopped(f"p.n.exists(x, {body})", message(100))
    assert is_stopped(f"p.n.exists(x, {body})", message(300))


@pytest.mark.parametrize(
    ("body", "most"),
    [
        ("x == 1", 2000),
        ("x > 0 && x < 5 && x != 7", 2000),
        ("x * 2 + x * 3 > x - 4", 2000),
        ("x * 2 + x * 3 + x * 4 + x * 5 > 0", 1000),
        ("double(x) < 5.0", 2000),
        ("double(x) < double(p.s)", 1000),
    ],
)
def test_how_many_elements_a_condition_may_be_asked_of(body: str, most: int) -> None:
    values = message(0)
    values["p"]["s"] = "9"
    for size, stopped in ((most, False), (most + 1, True)):
        values["p"]["n"] = [1] * size
        assert is_stopped(f"p.n.all(x, {body})", values) is stopped


def test_lowering_a_text_costs_more_than_searching_it() -> None:
    values = message(1)
    for function, most in (("contains('b')", 15), ("lowerAscii() == ''", 7)):
        for times, stopped in ((most, False), (most + 1, True)):
            assert is_stopped(" || ".join([f"p.s.{function}"] * times), values) is stopped


def test_searching_large_texts_and_lists_costs_more() -> None:
    assert not is_stopped("p.l.all(a, !p.short.contains('b'))", message(1500))
    assert is_stopped("p.l.all(a, !p.s.contains('b'))", message(40))
    assert is_stopped("p.l.all(a, p.s.lowerAscii() == p.s)", message(40))
    assert is_stopped("p.t.all(a, !('b' in p.t))", message(400))
    assert is_stopped("p.l.all(a, p.l == p.l)", message(30))


@pytest.mark.parametrize(
    "text",
    [
        "p.s + p.s + p.s == 'a'",
        "cel.bind(a, p.s + p.s, cel.bind(b, a + a, cel.bind(c, b + b, c + c))) == ''",
        "cel.bind(a, p.n + p.n, cel.bind(b, a + a, cel.bind(c, b + b, (c + c).size()))) == 1",
        "p.n.map(x, p.n.map(y, p.s)).size() == 1",
        "p.l.map(x, p.s + p.s).size() == 1",
        "p.l.all(a, p.l.all(b, p.l.all(c, a.s == b.s && b.s == c.s)))",
        "p.l.all(a, a.s.matches('(a|b)*c') || int(a.s) == 1 || p.s == a.s)",
    ],
)
def test_costly_rules_are_stopped(text: str) -> None:
    made = compile_unchecked(text)
    assert made is not None
    with pytest.raises(BudgetExceeded):
        made.evaluate(message(MANY))


def compile_unchecked(text: str, max_items: int = 9) -> Program | None:
    """Compiled as if the checker had let nested comprehensions pass; None if something else is wrong."""
    lists = {"l": Field(List(ITEM, max_items)), "n": Field(List(INT, max_items)), "t": Field(List(STRING, max_items))}
    scope = Scope({"p": Record("p", {**FIELDS, **lists})})
    report = check(parse(text), scope, BOOL, guards=False)
    return None if report.checked is None else compile_program(report.checked)


LEAVES = st.sampled_from(
    """
    x.a == 1; x.s == p.s; p.s.contains(x.s); x.a in p.n; p.t.exists(t, t == x.s); p.n.all(n, n == x.a);
    p.l.exists(y, y.s == p.s + x.s); x.s.matches('^(a|b)*c'); p.n.map(n, n + 1).size() > 1; p.l == p.l;
    x.inner.all(i, i / 0 == 1); int(x.s) == 1; p.s.lowerAscii() == p.s; p.l.map(y, p.l).size() == 1
    """.replace("\n", "").split(";")
)
BODIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(" && ".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} || {two[1]})"),
        inner.map(lambda body: f"p.l.exists(x, {body})"),
        inner.map(lambda body: f"p.l.all(x, !({body}))"),
    ),
    max_leaves=8,
)


@given(BODIES, st.sampled_from([0, 10, 50, 500, MANY]))
def test_any_rule_ends_on_any_message(body: str, size: int) -> None:
    """Lines of generated code and calls of the walker, counted by the interpreter itself."""
    made = compile_unchecked(f"p.l.exists(x, {body})", 2)
    if made is None:
        return
    values = message(size)
    lines = count_lines(lambda: made.evaluate(values))
    assert lines < 250_000


def count_lines(run: Callable[[], Any]) -> int:
    """Lines of Python executed in this package and in generated code."""
    lines = 0

    def trace(_frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with suppress(EvaluationError):
            run()
    finally:
        sys.settrace(before)
    return lines


def test_the_fast_path_executes_a_bounded_number_of_lines() -> None:
    """The worst body that the weights allow, on as many elements as the budget pays for."""
    made = program("p.n.all(x, " + " || ".join(["x == 2"] * 5) + " || x == 1)")
    values = message(2000)
    assert made.evaluate(values) is True
    assert count_lines(lambda: made.evaluate(values)) < 5 * 2000


def test_the_deepest_comprehensions_that_parse_can_be_compiled() -> None:
    text = "v5.inner.size() > 0"
    for depth in range(5, 0, -1):
        text = f"p.l.exists(v{depth}, {text})"
    scope = Scope({"p": Record("p", {"l": Field(List(ITEM, 2))})})
    report = check(parse(text), scope)
    assert report.checked is not None, report.findings
    assert any(isinstance(node, Comprehension) for node in report.checked.types)
    assert compile_program(report.checked).evaluate(message(2)) is True
