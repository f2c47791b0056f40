"""Values and errors of single expressions: the traps of Python, missing data, and what an error says."""

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.policy.cel import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    BudgetExceeded,
    EvaluationError,
    Field,
    List,
    Map,
    Object,
    Program,
    Record,
    Scope,
    Set,
    Type,
    check,
    compile_program,
    parse,
)
from gateway.policy.cel.operations import OperationError, of_nothing

URL = Object("url", {"host": Field(STRING), "port": Field(INT, optional=True)})
SCOPE = Scope(
    {
        "payload": Record(
            "payload",
            {
                "n": Field(INT),
                "x": Field(DOUBLE),
                "s": Field(STRING),
                "b": Field(BOOL),
                "l": Field(List(INT)),
                "t": Field(List(STRING)),
                "o": Field(INT, optional=True),
                "sub": Field(Record("sub", {"y": Field(INT, optional=True)}), optional=True),
                "any": Field(DYN, optional=True),
            },
        ),
        "facts": Object(
            "facts", {"urls": Field(List(URL)), "expiry": Field(TIMESTAMP), "vendor": Field(STRING, optional=True)}
        ),
        "sets": Record("sets", {"hosts": Field(Set())}),
        "keys": Map(INT),
        "now": TIMESTAMP,
        "age": DURATION,
    }
)
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
VALUES: dict[str, Any] = {
    "payload": {"n": 3, "x": 1.5, "s": "abc", "b": True, "l": [1, 2, 3], "t": ["a", "b"]},
    "facts": SimpleNamespace(urls=(SimpleNamespace(host="a.test", port=None),), expiry=NOW, vendor=None),
    "sets": {"hosts": frozenset({"a.test"})},
    "keys": {"k": 1},
    "now": NOW,
    "age": datetime.timedelta(hours=1),
}


def program(text: str, expect: Type = DYN) -> Program:
    report = check(parse(text), SCOPE, expect, guards=False)
    assert report.checked is not None, report.findings
    return compile_program(report.checked)


def value(text: str, **payload: Any) -> Any:
    """What both the fast path and the walker say."""
    made, values = program(text), {**VALUES, "payload": {**VALUES["payload"], **payload}}
    found = made.evaluate(values)
    assert repr(made.walk(values)) == repr(found)
    return found


def failure(text: str, **payload: Any) -> EvaluationError:
    with pytest.raises(EvaluationError) as caught:
        value(text, **payload)
    return caught.value


@pytest.mark.parametrize(
    ("text", "payload", "expected"),
    [
        ("payload.n == 1", {"n": True}, False),
        ("payload.n != 1", {"n": True}, True),
        ("payload.n == 0", {"n": False}, False),
        ("payload.n == 1", {"n": 1.0}, True),
        ("payload.n == 1", {"n": "1"}, False),
        ("payload.n in [1, 2]", {"n": True}, False),
        ("payload.n in payload.l", {"n": True}, False),
        ("1 in payload.l", {"l": [True, 1.0]}, True),
        ("payload.l == [1, 2]", {"l": [True, 2]}, False),
        ("payload.l == [1, 2]", {"l": [1.0, 2]}, True),
        ("payload.b == true", {"b": 1}, False),
        ("payload.b != true", {"b": 1}, True),
        ("payload.s == 'abc'", {"s": ["a", "b", "c"]}, False),
        ("payload.s in payload.t", {"s": "a"}, True),
        ("payload.s in ['abc', 'd']", {}, True),
        ("payload.n in ['abc'] || payload.s in ['abc']", {"n": 1}, None),
        ("payload.x / 2.0", {"x": 3}, 1.5),
        ("payload.x + 0.5", {"x": 16}, 16.5),
        ("payload.n / 2", {"n": 7.0}, 3),
        ("payload.l[payload.n]", {"n": 0.0}, 1),
        ("string(payload.n) + string(payload.x)", {"n": 3.0, "x": 2}, "32"),
        ("payload.x <= 32.0", {"x": 32}, True),
        ("payload.n < payload.x", {"n": 2**53 + 1, "x": 2.0**53}, False),
        ("has(payload.any)", {"any": None}, True),
        ("payload.any == null", {"any": None}, True),
        ("payload.any == 1", {"any": True}, False),
        ("payload.any.x.y == 'z'", {"any": {"x": {"y": "z"}}}, True),
        ("payload.?any.x.?y.orValue('none') == 'none'", {"any": {"x": {}}}, True),
        ("payload.any > 1", {"any": 1.5}, True),
        ("payload.any[1] == 'b'", {"any": ["a", "b"]}, True),
        ("payload.any['k'] == 'b'", {"any": {"k": "b"}}, True),
        ("payload.any.exists(e, e == 2)", {"any": [1, 2]}, True),
        ("payload.any.contains('x') && size(payload.any) == 2", {"any": "xy"}, True),
        ("'a' in payload.any", {"any": {"a": 1}}, True),
        ("payload.any == [[1], [2]]", {"any": [[1.0], [2]]}, True),
        ("int(payload.any) + 1", {"any": "41"}, 42),
        ("int(payload.any)", {"any": 7}, 7),
        ("double(payload.any)", {"any": "-1.5e1"}, -15.0),
        ("payload.x - 0.5", {"x": 2}, 1.5),
        ("payload.x * 2.0", {"x": 2}, 4.0),
        ("payload.x / 0.0 == 1.0 / 0.0", {"x": 2}, True),
        ("0.0 / payload.x == 0.0 / payload.x", {"x": 0}, False),
        ("timestamp(now) == now && duration(age) == age", {}, True),
        ("int(now)", {}, 1767225600),
        ("[][?0].orValue(payload.n)", {}, 3),
        ("has(payload.?sub.y)", {}, False),
        ("has(payload.?sub.y)", {"sub": {"y": 1}}, True),
        ("payload.?any.k[0].orValue('none')", {}, "none"),
        ("has(facts.expiry)", {}, True),
        ("facts.?vendor.orValue('a') + string(payload.b)", {}, "atrue"),
    ],
)
def test_values_are_compared_by_type_and_not_as_python_does(text: str, payload: dict[str, Any], expected: Any) -> None:
    if expected is None:
        assert check(parse(text), SCOPE, DYN, guards=False).checked is None
        return
    found = value(text, **payload)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("text", "payload", "failing", "reason"),
    [
        ("payload.n < 2", {"n": True}, "payload.n < 2", "cannot compare bool with int"),
        ("payload.n < 2", {"n": "1"}, "payload.n < 2", "cannot compare string with int"),
        ("payload.s < 'b'", {"s": 1}, "payload.s < 'b'", "cannot compare int with string"),
        ("payload.s < payload.t[0]", {"s": [1], "t": [[2]]}, "payload.s < payload.t[0]", "cannot compare list"),
        ("payload.b && true", {"b": 1}, "payload.b", "expected bool, found int"),
        ("!payload.b", {"b": "yes"}, "payload.b", "expected bool, found string"),
        ("payload.b ? 1 : 2", {"b": None}, "payload.b", "expected bool, found null"),
        ("payload.n + 1", {"n": True}, "payload.n + 1", "expected int, found bool"),
        ("payload.n + 1", {"n": 2.5}, "payload.n + 1", "expected int, found double"),
        ("payload.n + 1", {"n": 2**63 - 1}, "payload.n + 1", "overflow"),
        ("payload.n + 0", {"n": 2**70}, "payload.n + 0", "overflow"),
        ("payload.x + 1.0", {"x": "a"}, "payload.x + 1.0", "expected double"),
        ("payload.s + 'x'", {"s": 1}, "payload.s + 'x'", "cannot add"),
        ("payload.n / 0", {}, "payload.n / 0", "division by zero"),
        ("payload.l[3]", {}, "payload.l[3]", "no such index"),
        ("payload.l[0 - 1]", {}, "payload.l[0 - 1]", "no such index"),
        ("payload.l[0]", {"l": "abc"}, "payload.l[0]", "expected a list or map"),
        ("payload.l.exists(x, x == 9)", {"l": "abc"}, "payload.l.exists(x, x == 9)", "expected a list or map"),
        ("'bc' in payload.t", {"t": "abc"}, "'bc' in payload.t", "expected a list, set or map"),
        ("payload.s.startsWith('a')", {"s": 1}, "payload.s.startsWith('a')", "needs a string"),
        ("payload.s.contains('a')", {"s": ["a"]}, "payload.s.contains('a')", "needs a string"),
        ("payload.s.matches('a')", {"s": 1}, "payload.s.matches('a')", "needs a string"),
        ("payload.s.matches('a')", {"s": "b" * 1025}, "payload.s.matches('a')", "longer than 1024"),
        ("payload.s.lowerAscii()", {"s": None}, "payload.s.lowerAscii()", "needs a string"),
        ("size(payload.l)", {"l": 5}, "size(payload.l)", "size()"),
        ("has(payload.sub.y)", {"sub": "y"}, "has(payload.sub.y)", "expected a map"),
        ("has(payload.sub.y)", {"sub": ["y"]}, "has(payload.sub.y)", "expected a map"),
        ("payload.sub.y == 1", {"sub": [1]}, "payload.sub.y", "expected a map"),
        ("payload.?sub.y.orValue(1)", {"sub": 1}, "payload.?sub.y", "expected a map"),
        ("payload.o == 1", {}, "payload.o", "no such field: o"),
        ("timestamp(payload.s) < now", {"s": "2026-01-01"}, "timestamp(payload.s)", "RFC 3339"),
        ("duration(payload.s) < age", {"s": "1 day"}, "duration(payload.s)", "not a duration"),
        ("int(payload.s)", {"s": "9" * 5000}, "int(payload.s)", "not a 64-bit integer"),
        ("double(payload.s)", {"s": "1e1" * 50}, "double(payload.s)", "not a number"),
        ("facts.vendor == 'x'", {}, "facts.vendor", "no such field: vendor"),
        ("facts.urls[0].port > 1", {}, "facts.urls[0].port", "no such field: port"),
        ("payload.n % 0", {}, "payload.n % 0", "modulus by zero"),
        ("payload.n % -1", {"n": -(2**63)}, "payload.n % -1", "overflow"),
        ("payload.l + payload.l", {"l": {}}, "payload.l + payload.l", "cannot add map and map"),
        ("payload.any in payload.any", {"any": {"a": 1}}, "payload.any in payload.any", "map is no key"),
        ("now - duration('87660000h')", {}, "now - duration('87660000h')", "out of range"),
        ("duration('87660000h') + age", {}, "duration('87660000h') + age", "out of range"),
        ("[].map(x, x + 1)[0]", {}, "[].map(x, x + 1)[0]", "no such index"),
        ("now + duration('87660000h') > now", {}, "now + duration('87660000h')", "out of range"),
    ],
)
def test_an_error_names_the_sub_expression_that_failed(
    text: str, payload: dict[str, Any], failing: str, reason: str
) -> None:
    error = failure(text, **payload)
    assert (error.text, text[error.start : error.end]) == (failing, failing)
    assert reason in error.reason


def test_an_error_never_quotes_the_payload() -> None:
    secret = "s3cr3t"
    for text in ("payload.n + 1", "timestamp(payload.n)", "payload.n < 1", "int(payload.n)", "payload.n.x == 1"):
        if check(parse(text), SCOPE, DYN, guards=False).checked is not None:
            assert secret not in str(failure(text, n=secret))


def test_errors_are_absorbed_where_the_other_side_decides() -> None:
    assert value("payload.o == 1 || payload.b") is True
    assert value("payload.o == 1 && !payload.b") is False
    assert value("payload.l.exists(x, 6 / (x - 1) == 6)") is True
    assert value("payload.l.all(x, 6 / (x - 1) == 6)") is False
    assert failure("payload.o == 1 || !payload.b").text == "payload.o"
    assert failure("payload.l.exists_one(x, 6 / (x - 1) == 6)").text == "6 / (x - 1)"


def test_objects_are_read_by_attribute_and_only_when_needed() -> None:
    class Lazy:
        def __init__(self) -> None:
            self.read: list[str] = []

        @property
        def urls(self) -> list[SimpleNamespace]:
            self.read.append("urls")
            return [SimpleNamespace(host="a.test", port=443)]

        @property
        def expiry(self) -> datetime.datetime:
            self.read.append("expiry")
            return NOW

    facts = Lazy()
    made = program("payload.n == 9 && facts.expiry > now")
    assert made.names == ("facts", "now", "payload")
    assert made.test(facts, NOW, {"n": 3}) is False
    assert facts.read == []
    assert program("facts.urls.all(u, u.host in sets.hosts && u.port == 443)").test(facts, VALUES["sets"]) is True
    assert facts.read == ["urls"]


def test_an_exception_in_a_fact_is_an_evaluation_error() -> None:
    class Broken:
        @property
        def expiry(self) -> datetime.datetime:
            raise KeyError("s3cr3t")

    with pytest.raises(EvaluationError) as caught:
        program("facts.expiry > now").test(Broken(), NOW)
    assert caught.value.text == "facts.expiry"
    assert "s3cr3t" not in str(caught.value)


def test_an_optional_attribute_is_absent_while_it_is_none() -> None:
    assert value("has(facts.vendor)") is False
    assert value("facts.?vendor.orValue('none')") == "none"
    assert value("facts.urls.exists(u, u.?port.orValue(443) == 443)") is True


def test_a_fact_of_the_wrong_type_is_an_error() -> None:
    for text in ("facts.expiry - age > now", "now + facts.expiry > now", "facts.expiry + age > now"):
        if check(parse(text), SCOPE).checked is not None:
            with pytest.raises(EvaluationError):
                program(text).evaluate({**VALUES, "facts": SimpleNamespace(expiry="2026")})


def test_after_an_error_the_walker_gives_up_early() -> None:
    made = program("payload.l.exists(x, 1 / x == 2) || payload.b")
    short, long = [0] * 100, [0] * 2000
    assert made.test({"l": short, "b": True}) is True
    with pytest.raises(BudgetExceeded, match="after an error"):
        made.test({"l": long, "b": True})
    assert made.walk({"payload": {"l": long, "b": True}}) is True


def test_nothing_is_computed_with_the_elements_of_an_empty_list() -> None:
    assert value("[].map(x, x + 1) + [].map(x, -x)") == []
    with pytest.raises(OperationError):
        of_nothing(1, 2)


def test_a_set_may_be_any_container_of_strings() -> None:
    class Network:
        def __contains__(self, address: str) -> bool:
            return address.startswith("10.")

    made = program("payload.s in sets.hosts")
    assert made.test({"s": "10.1.2.3"}, {"hosts": Network()}) is True
    assert made.test({"s": "192.0.2.1"}, {"hosts": Network()}) is False
    assert made.test({"s": 10}, {"hosts": Network()}) is False


def test_roots_are_given_by_position_or_by_name() -> None:
    made = program("payload.s == 'abc' && now > now - age")
    assert made.names == ("age", "now", "payload")
    assert made.test(VALUES["age"], NOW, {"s": "abc"}) is True
    assert made.test(payload={"s": "abc"}, now=NOW, age=VALUES["age"]) is True
    assert made.evaluate(VALUES) is True
    assert made.text in repr(made)


def test_a_condition_that_is_no_bool_at_run_time_is_an_error() -> None:
    made = program("payload.b", BOOL)
    assert made.test({"b": True}) is True
    with pytest.raises(EvaluationError):
        made.test({"b": 1})


def test_a_name_may_hide_another_one() -> None:
    assert value("payload.l.map(payload, payload + 1)") == [2, 3, 4]
    assert value("cel.bind(now, 1, now + 1)") == 2
    assert value("payload.l.filter(l, ['a'].exists(l, l == 'a') && l > 1)") == [2, 3]


def test_what_a_loop_does_not_change_is_still_read_when_the_list_is_empty() -> None:
    made = program("payload.l.all(x, x < payload.n)")
    assert made.test({"l": [], "n": "not a number"}) is True
    assert made.test({"l": []}) is True
    with pytest.raises(EvaluationError):
        made.test({"l": [1], "n": "not a number"})


def test_statements_inside_a_branch_run_only_if_the_branch_does() -> None:
    text = "payload.b ? payload.l.exists(x, x == 2) : payload.t.exists(x, x == 'zz')"
    assert value(text) is True
    assert value(text, b=False) is False
    assert value("payload.?o.orValue(payload.l.map(x, x * 2)[0])") == 2
    assert value("payload.?o.orValue(payload.l.map(x, x * 2)[0])", o=7) == 7
    assert value("!payload.b || payload.l.exists(x, x == 3) || payload.t.all(x, x == 'q')") is True


def test_explain_shows_every_sub_expression_in_evaluation_order() -> None:
    steps = program("payload.n > 1 && payload.l.exists(x, x / 0 == payload.o)").explain(VALUES)
    assert [(step.text, step.iteration) for step in steps[:4]] == [
        ("payload", ()),
        ("payload.n", ()),
        ("1", ()),
        ("payload.n > 1", ()),
    ]
    assert [step.value for step in steps[1:4]] == [3, 1, True]
    errors = [step for step in steps if step.error is not None]
    assert [step.iteration for step in errors if step.text == "x / 0"] == [(0,), (1,), (2,)]
    assert errors[0].error == "division by zero"
    assert steps[-1].text == "payload.n > 1 && payload.l.exists(x, x / 0 == payload.o)"
    assert steps[-1].error == "division by zero"
    absent = program("payload.?o").explain(VALUES)[-1]
    assert repr(absent.value) == "absent"


def test_an_explanation_is_bounded_and_ends_with_the_whole() -> None:
    steps = program("payload.l.all(x, x > 0 && x < 1000)").explain({"payload": {"l": [5] * 500}})
    assert len(steps) <= 1001
    assert steps[-1].value is True
    assert steps[-1].iteration == ()


def test_an_explanation_of_an_evaluation_that_was_stopped_says_so() -> None:
    made = program("payload.l.all(x, x > 0)")
    values = {"payload": {"l": [1] * 3000}}
    with pytest.raises(BudgetExceeded):
        made.evaluate(values)
    assert made.explain(values)[-1].error == "too many steps"
