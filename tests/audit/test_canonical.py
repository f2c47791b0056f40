"""Canonical JSON: one value, one spelling."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.canonical import NotCanonical, canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.text(st.characters(max_codepoint=127))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@given(st.dictionaries(NAMES, VALUES))
def test_it_is_what_another_serialiser_says(value: dict[str, Any]) -> None:
    # For what is allowed here, Python's own serialiser with sorted names is RFC 8785, too.
    judged = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    assert canonical(value) == judged
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(NAMES, VALUES), st.randoms())
def test_the_order_in_which_a_value_was_made_does_not_matter(value: dict[str, Any], random) -> None:
    names = list(value)
    random.shuffle(names)
    assert canonical({name: value[name] for name in names}) == canonical(value)


def test_escapes_are_those_of_rfc_8785() -> None:
    # Section 3.2.2.2: short forms where there are any, lower-case hexadecimal otherwise, everything else literally.
    assert (
        canonical({"a": '\b\t\n\f\r"\\/\x0f\x7f\u20ac\u2028'})
        == '{"a":"\\b\\t\\n\\f\\r\\"\\\\/\\u000f\x7f\u20ac\u2028"}'.encode()
    )


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1.0},
        {"a": [float("nan")]},
        {"a": 2**53},
        {"a": -(2**53)},
        {"\u00e9": 1},
        {"a": b"x"},
        {"a": {1: 2}},
        {"a": "\ud800"},
    ],
)
def test_what_has_no_canonical_form_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(NotCanonical):
        canonical(value)


def test_the_largest_integers_pass() -> None:
    assert canonical({"a": 2**53 - 1, "b": -(2**53) + 1}) == b'{"a":9007199254740991,"b":-9007199254740991}'
