"""The grammar of Sec-WebSocket-Extensions: what it allows is read, what looks like it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionName

from gateway.websocket.extensions import Extension, read_extension

TOKEN = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "extension"),
    [
        ("permessage-deflate", ("permessage-deflate", ())),
        ("x; a", ("x", (("a", None),))),
        ("x;a=1;b", ("x", (("a", "1"), ("b", None)))),
        ("x ;\ta = 1 ; b", ("x", (("a", "1"), ("b", None)))),
        ('x; bits="10"', ("x", (("bits", "10"),))),
        ("x; a=1; a=2", ("x", (("a", "1"), ("a", "2")))),
    ],
)
def test_an_extension_is_read_with_its_parameters_in_order(text: str, extension: Extension) -> None:
    assert read_extension(text) == extension


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "x;",
        "x; ;a",
        "x; =1",
        "x; a=",
        "x; a=1=2",
        'x; a="',
        'x; a="1',
        'x; a=1"',
        'x; a=""',
        'x; a="1 2"',
        'x; a="1;b"',
        'x; a="\\1"',
        "x y",
        "x; a b",
        "x\xa0; a",
        "x; a\x0b",
        "x; a=\xe9",
    ],
)
def test_what_breaks_the_grammar_is_no_extension(text: str) -> None:
    assert read_extension(text) is None


@given(TOKEN, st.lists(st.tuples(TOKEN, st.none() | TOKEN), max_size=4))
def test_what_websockets_writes_is_read_as_it_was_meant(name: str, parameters: list[tuple[str, str | None]]) -> None:
    assert read_extension(build_extension([(ExtensionName(name), parameters)])) == (name, tuple(parameters))


@given(st.text('ab;="\\ \t,', max_size=12))
def test_what_is_read_websockets_reads_alike(text: str) -> None:
    read = read_extension(text)
    if read is not None:
        assert parse_extension(text.strip(" \t")) == [(read[0], list(read[1]))]
