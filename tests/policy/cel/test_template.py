"""Messages: what is shown, what is cut, what is refused when the rule is loaded."""

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
    CheckedTemplate,
    ExpressionInvalid,
    Field,
    List,
    Object,
    Record,
    Scope,
    check_template,
    parse_template,
)
from gateway.policy.cel.template import MAX_RENDERED

URL = Object("url", {"host": Field(STRING)})
SCOPE = Scope(
    {
        "params": Record(
            "params", {"max_amps": Field(DOUBLE), "hosts": Field(List(STRING)), "wait": Field(DURATION)}, unknown="P070"
        ),
        "payload": Record(
            "payload",
            {
                "n": Field(INT),
                "s": Field(STRING),
                "b": Field(BOOL),
                "o": Field(STRING, optional=True),
                "any": Field(DYN),
            },
        ),
        "facts": Object("facts", {"urls": Field(List(URL)), "expiry": Field(TIMESTAMP)}),
    }
)
VALUES: dict[str, Any] = {
    "params": {"max_amps": 32.0, "hosts": ["a.test", "b.test"], "wait": datetime.timedelta(minutes=10)},
    "payload": {"n": 7, "s": "text", "b": True, "any": 1},
    "facts": SimpleNamespace(
        urls=[SimpleNamespace(host="evil.test")], expiry=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    ),
}


def checked(text: str) -> CheckedTemplate:
    report = check_template(parse_template(text), SCOPE)
    assert report.checked is not None, report.findings
    return report.checked


def shown(text: str, **payload: Any) -> str:
    return checked(text).render({**VALUES, "payload": {**VALUES["payload"], **payload}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limit above {params.max_amps} A", "limit above 32 A"),
        ("firmware location {facts.urls[0].host} is not listed", "firmware location evil.test is not listed"),
        ("{payload.n + 1}{payload.b}", "8true"),
        ("until {facts.expiry}, wait {params.wait}", "until 2026-01-01T00:00:00Z, wait 600s"),
        ("one of {params.hosts}", "one of a.test, b.test"),
        ("{{literal}} {payload.s}", "{literal} text"),
        ("{payload.s.contains('}') ? 'a' : \"{\"}", "{"),
        ("{'it\\'s }'}", "it's }"),
        ("no expression at all", "no expression at all"),
        ("", ""),
    ],
)
def test_expressions_in_braces_are_replaced_by_their_values(text: str, message: str) -> None:
    assert shown(text) == message


def test_what_has_no_value_is_a_question_mark() -> None:
    assert shown("{payload.o} {payload.?o} {facts.urls[5].host} {1 / 0} {payload.n + 1}", n=True) == "? ? ? ? ?"
    assert shown("{payload.any}", any={"a": 1}) == "?"
    assert shown("{payload.any}", any=None) == "?"


def test_values_cannot_break_out_of_their_line() -> None:
    assert (
        shown("{payload.s}", s="a\r\nb\x1b[31m\u202e\u2028\ud800") == "a\\u000d\\u000ab\\u001b[31m\\u202e\\u2028\\ud800"
    )
    assert shown("{payload.s}", s="naïve 😀 {x}") == "naïve 😀 {x}"
    assert shown("a\nb") == "a\\u000ab"


def test_values_and_messages_are_cut() -> None:
    assert shown("{payload.s}", s="x" * 1000) == "x" * 127 + "…"
    many = shown("{payload.s}" * 10, s="\n" * 1000)
    assert len(many) == MAX_RENDERED
    assert many.endswith("…")
    assert shown("{payload.any}", any=["x" * 100] * 100) == ("x" * 100 + ", " + "x" * 25 + "…")


def test_a_message_names_the_roots_it_reads() -> None:
    assert checked("{payload.n} of {params.max_amps} {payload.s}").names == ("params", "payload")


@pytest.mark.parametrize(
    ("text", "offset"),
    [("a {", 2), ("a } b", 2), ("{payload.n", 0), ("{}", 1), ("ab {payload.n +} cd", 15), ("{'a}", 0), ("{1}" * 40, 0)],
)
def test_a_template_that_cannot_be_read_is_refused_where_it_is_wrong(text: str, offset: int) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        parse_template(text)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("at {payload.typo}", "P022", "payload.typo"),
        ("at {params.typo}", "P070", "params.typo"),
        ("at {nowhere}", "P020", "nowhere"),
        ("at {payload.n + 'a'}", "P021", "payload.n + 'a'"),
        ("at {facts.urls[0]}", "P021", "facts.urls[0]"),
        ("at {facts}", "P021", "facts"),
        ("at {facts.urls}", "P021", "facts.urls"),
    ],
)
def test_a_template_is_checked_when_it_is_loaded(text: str, code: str, place: str) -> None:
    report = check_template(parse_template(text), SCOPE)
    assert report.is_refused
    assert [(each.code, text[each.start : each.end]) for each in report.findings] == [(code, place)]
