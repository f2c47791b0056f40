"""A small world of names, and strategies for data in it and for well-typed expressions over it.

The expressions are texts, built by type, so that each of them passes the checker (guards apart) and means the same to
every CEL engine. Data are what JSON makes of such a world: a number may come as an int where the schema says number.
"""

import datetime
from random import Random
from types import SimpleNamespace
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from gateway.policy.cel import (
    BOOL,
    DOUBLE,
    DURATION,
    INT,
    STRING,
    TIMESTAMP,
    Checked,
    Field,
    List,
    Map,
    Object,
    Record,
    Scope,
    check,
    parse,
)

SUB = Record("sub", {"x": Field(DOUBLE), "y": Field(STRING, optional=True)})
ROW = Record("row", {"k": Field(INT), "v": Field(STRING, optional=True)})
RECORD = Record(
    "record",
    {
        "n": Field(INT),
        "o": Field(INT, optional=True),
        "s": Field(STRING),
        "f": Field(BOOL, optional=True),
        "l": Field(List(INT)),
        "sub": Field(SUB),
        "maybe": Field(SUB, optional=True),
    },
)
OBJECT = Object("object", {"n": Field(INT), "s": Field(STRING, optional=True), "b": Field(BOOL)})
WORLD = Scope(
    {
        "i": INT,
        "d": DOUBLE,
        "s": STRING,
        "b": BOOL,
        "li": List(INT, 8),
        "ld": List(DOUBLE, 8),
        "ls": List(STRING, 8),
        "lr": List(ROW, 8),
        "m": Map(INT),
        "r": RECORD,
        "ob": OBJECT,
        "ts": TIMESTAMP,
        "du": DURATION,
    }
)
EVERYTHING = tuple(sorted(WORLD))


def checked(text: str, expect: Any = BOOL) -> Checked:
    """The expression, which must pass without an error; guards and vain comparisons are for the tests of the checker."""
    report = check(parse(text), WORLD, expect, guards=False)
    if report.checked is None and {finding.code for finding in report.findings} <= {"P024", "P025"}:
        reject()
    assert report.checked is not None, (text, report.findings)
    return report.checked


# Data: made from a seed, because drawing each value apart would take longer than everything that is tested with it

INTS = (*range(-3, 10), 2**63 - 1, -(2**63), 2**53, 2**53 + 1, 1000)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 7.0, 16.0, 31.9, 1e300, -1e300, 9007199254740992.0, 9.223372036854775807e18)
TEXTS = ("", "a", "A", "ab", "abc", "aab", "é", "😀", "\uffff", "k", "1", "10m", "2026-01-01T00:00:00+01:00")
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def a_sub(pick: Random) -> dict[str, Any]:
    return {"x": pick.choice(FLOATS)} | ({"y": pick.choice(TEXTS)} if pick.random() < 0.7 else {})


def a_row(pick: Random) -> dict[str, Any]:
    return {"k": pick.choice(INTS)} | ({"v": pick.choice(TEXTS)} if pick.random() < 0.7 else {})


def a_record(pick: Random) -> dict[str, Any]:
    record = {"n": pick.choice(INTS), "s": pick.choice(TEXTS), "l": pick.choices(INTS, k=pick.randrange(4))}
    optional = {"o": pick.choice(INTS), "f": pick.random() < 0.5, "maybe": a_sub(pick)}
    return record | {"sub": a_sub(pick)} | {key: value for key, value in optional.items() if pick.random() < 0.7}


def some_data(seed: int) -> dict[str, Any]:
    """Values of the right types for every name of the world."""
    pick = Random(seed)
    return {
        "i": pick.choice(INTS),
        "d": pick.choice(FLOATS),
        "s": pick.choice(TEXTS),
        "b": pick.random() < 0.5,
        "li": pick.choices(INTS, k=pick.randrange(5)),
        "ld": pick.choices(FLOATS, k=pick.randrange(5)),
        "ls": pick.choices(TEXTS, k=pick.randrange(5)),
        "lr": [a_row(pick) for _ in range(pick.randrange(4))],
        "m": {key: pick.choice(INTS) for key in ("a", "k", "") if pick.random() < 0.7},
        "r": a_record(pick),
        "ob": SimpleNamespace(n=pick.choice(INTS), s=pick.choice([None, *TEXTS]), b=pick.random() < 0.5),
        "ts": START + datetime.timedelta(microseconds=pick.choice([0, 1, 999_000, 86_400_000_000])),
        "du": datetime.timedelta(microseconds=pick.choice([0, -1, 600_000_000, 10**15])),
    }


def data() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Several sets of data at once."""
    return st.integers(0, 999).map(lambda seed: [some_data(seed * 6 + step) for step in range(6)])


def as_json(value: Any) -> Any:
    """The same data with whole doubles as ints, where that is the same number: 16.0 is written 16 by many senders."""
    if type(value) is float and value.is_integer() and str(value) != "-0.0" and abs(value) < 2**53:
        return int(value)
    if type(value) is list:
        return [as_json(each) for each in value]
    if type(value) is dict:
        return {key: as_json(each) for key, each in value.items()}
    return value


# Expressions


def _one(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


def _with(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda filled: template.format(*filled))


Kinds = dict[str, st.SearchStrategy[str]]


def expressions(depth: int = 3, *, objects: bool = True) -> Kinds:
    """Strategies for expressions by type: bool, int, double, string, ints, timestamp, duration."""
    kinds = _leaves(objects=objects)
    for _ in range(depth):
        kinds = {name: st.one_of(kinds[name], grown) for name, grown in _grown(kinds).items()}
    return kinds


def _leaves(*, objects: bool) -> Kinds:
    return {
        "bool": _one("b", "true", "r.f", "has(r.o)", "has(r.maybe)", "has(r.maybe.y)", "lr[0].k == i", *["ob.b"] * objects),
        "int": _one(
            "i", "0", "1", "-1", "7", "9223372036854775807", "r.n", "r.o", "li[0]", "li[i]", "lr[1].k", "m.a", 'm["k"]',
            "r.l[0]", *["ob.n"] * objects,
        ),
        "double": _one("d", "0.0", "1.5", "-2.0", "16.0", "1e300", "ld[0]", "r.sub.x", "r.maybe.x"),
        "string": _one(
            "s", "''", "'a'", '"ab"', "'é😀'", "ls[0]", "r.s", "r.sub.y", "lr[0].v", r'r"\n"', *["ob.s"] * objects
        ),
        "ints": _one("li", "r.l", "[]", "[1, 2, 3]", "[i, 7]"),
        "strings": _one("ls", "['a', s]", "[]"),
        "timestamp": _one("ts", 'timestamp("2026-01-01T00:00:00Z")', "timestamp(s)"),
        "duration": _one("du", 'duration("10m")', 'duration("-1.5s")', "duration(s)"),
    }  # fmt: skip


def _grown(kinds: Kinds) -> Kinds:
    boolean, integer, double, string = kinds["bool"], kinds["int"], kinds["double"], kinds["string"]
    ints, strings, timestamp, duration = kinds["ints"], kinds["strings"], kinds["timestamp"], kinds["duration"]
    number = st.one_of(integer, double)
    index = integer.filter(lambda text: text != "-1")
    order = _one("<", "<=", ">", ">=")
    equality = _one("==", "!=")
    comparison = st.one_of(order, equality)
    return {
        "bool": st.one_of(
            _with("({} && {})", boolean, boolean),
            _with("({} || {})", boolean, boolean),
            _with("({} && {} && {})", boolean, boolean, boolean),
            _with("!({})", boolean),
            _with("({} ? {} : {})", boolean, boolean, boolean),
            _with("({} {} {})", number, comparison, number),
            _with("({} {} {})", string, comparison, string),
            _with("({} {} {})", boolean, comparison, boolean),
            _with("({} {} {})", ints, equality, ints),
            _with("({} {} {})", timestamp, comparison, timestamp),
            _with("({} {} {})", duration, comparison, duration),
            _with("({} in {})", number, ints),
            _with("({} in [1, 2.0, 7])", number),
            _with("({} in {})", string, strings),
            _with("({} in ['a', 'b', ''])", string),
            _with("({} in m)", string),
            _with("{}.{}({})", string, _one("startsWith", "endsWith", "contains"), string),
            _with("{}.matches({})", string, _one("'a'", "'^a*$'", '"[^a-c]"', "'^$'", "'(?i)A|é'", "'.'")),
            _with("{}.{}(x, x > {})", ints, _one("all", "exists", "exists_one"), integer),
            _with("{}.{}(x, 6 / x == {})", ints, _one("all", "exists", "exists_one"), integer),
            _with("{}.{}(x, x {} {})", strings, _one("all", "exists", "exists_one"), comparison, string),
            _with("{}.{}(x, {})", ints, _one("all", "exists"), boolean),
            _with("lr.{}(x, has(x.v) && x.v == {})", _one("all", "exists", "exists_one"), string),
            _with("lr.{}(x, x.?v.orValue({}) == {})", _one("all", "exists"), string, string),
            _with("lr.{}(x, x.k == {} || x.v == {})", _one("all", "exists"), integer, string),
            _with("m.{}(x, m[x] > {})", _one("all", "exists"), integer),
            _with("cel.bind(y, {}, y > {})", integer, number),
            _with("li.all(x, r.l.exists(y, y {} x + {}))", comparison, integer),
        ),
        "int": st.one_of(
            _with("({} {} {})", integer, _one("+", "-", "*", "/", "%"), integer),
            _with("-({})", integer),
            _with("({} ? {} : {})", boolean, integer, integer),
            _with("size({})", st.one_of(ints, strings, string)),
            _with("{}.size()", st.one_of(ints, strings, string)),
            _with("m.size()"),
            _with("r.?o.orValue({})", integer),
            _with("li[?{}].orValue({})", index, integer),
            _with("r.?l[?{}].orValue({})", index, integer),
            _with("{}[{}]", ints, index),
            _with("m[{}]", string),
            _with("int({})", st.one_of(integer, double)),
            _with("cel.bind(y, {}, y + y)", integer),
        ),
        "double": st.one_of(
            _with("({} {} {})", double, _one("+", "-", "*", "/"), double),
            _with("-({})", double),
            _with("({} ? {} : {})", boolean, double, double),
            _with("double({})", number),
            _with("r.?maybe.x.orValue({})", double),
        ),
        "string": st.one_of(
            _with("({} + {})", string, string),
            _with("({} ? {} : {})", boolean, string, string),
            _with("{}.lowerAscii()", string),
            _with("r.?maybe.y.orValue({})", string),
            _with("string({})", st.one_of(integer, boolean, string)),
            _with("ls[?{}].orValue({})", index, string),
        ),
        "ints": st.one_of(
            _with("{}.filter(x, x > {})", ints, integer),
            _with("{}.map(x, x + {})", ints, integer),
            _with("{}.map(x, x != {}, x * {})", ints, integer, integer),
            _with("({} + {})", ints, ints),
            _with("[{}, {}]", integer, integer),
            _with("lr.map(x, x.k)"),
        ),
        "strings": st.one_of(
            _with("{}.filter(x, x != {})", strings, string), _with("{}.map(x, x + {})", strings, string)
        ),
        "timestamp": st.one_of(
            _with("({} + {})", timestamp, duration),
            _with("({} - {})", timestamp, duration),
            _with("({} + {})", duration, timestamp),
        ),
        "duration": st.one_of(
            _with("({} - {})", timestamp, timestamp),
            _with("({} {} {})", duration, _one("+", "-"), duration),
        ),
    }
