"""Guards: what looking at the bytes rules out is false, and nothing else is ruled out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ocpp.vocabulary import Origin
from gateway.policy.cel import DEFAULT_BUDGET, Guard, guard_of
from gateway.policy.facts import Facts
from gateway.policy.rules import Phase
from tests.policy.build import session_of, snapshot_of

GUARDED = [
    'facts.strings.exists(s, s.contains("${"))',
    'facts.odd_strings.exists(s, s.contains("${") && s.matches("^[a-z$]*[{]x"))',
    'facts.strings.exists(s, s.contains("<") && (s.size() > 3 || s.contains(">")))',
]
UNGUARDED = [
    'facts.strings.exists(s, s.size() > 3 && s.contains("${"))',
    'facts.strings.exists(s, s.contains("${") || s.contains("<"))',
    'facts.strings.exists(s, !s.contains("${"))',
    'facts.strings.all(s, s.contains("${"))',
    'facts.strings.exists_one(s, s.contains("${"))',
    'facts.tokens.exists(s, s.contains("${"))',
    'facts.config_names.exists(s, s.contains("x"))',
    'facts.strings.exists(s, s.contains("\\""))',
    'facts.strings.exists(s, s.contains("\\\\"))',
    'facts.strings.exists(s, s.contains("é"))',
    'facts.strings.exists(s, s.contains(""))',
    "facts.strings.exists(s, s.contains(s))",
    'facts.strings.exists(s, "${".contains(s))',
    'facts.strings.exists(s, s.contains("${")) || msg.size > 3',
    "facts.strings.size() > 3",
]


def compiled(when):
    (rule,) = snapshot_of({"when": when}).view(session_of()).rules(Origin.CHARGE_POINT, Phase.CALL, "DataTransfer")
    return rule


@pytest.mark.parametrize("when", GUARDED)
def test_content_rules_have_a_guard(when):
    rule = compiled(when)
    assert rule.guard is not None
    assert guard_of(rule.when.checked, DEFAULT_BUDGET) == rule.guard


@pytest.mark.parametrize("when", UNGUARDED)
def test_what_is_not_known_to_be_right_has_none(when):
    assert compiled(when).guard is None


def test_an_escape_could_hide_the_literal_and_a_long_message_could_use_up_the_budget():
    guard = Guard(b"${", 40)
    assert guard.rules_out(b'[2,"1","DataTransfer",{"vendorId":"a"}]')
    assert not guard.rules_out(b'[2,"1","DataTransfer",{"vendorId":"${"}]')
    assert not guard.rules_out(b'[2,"1","DataTransfer",{"v":"\\u0024{"}]')
    assert not guard.rules_out(b'[2,"1","DataTransfer",{"vendorId":"abcd"}]')


texts = st.text(st.sampled_from('ab${}<>&é\\"\n1 '), max_size=6)
payloads = st.recursive(
    texts | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from([compiled(when) for when in GUARDED]), st.dictionaries(texts, payloads, max_size=4), st.booleans()
)
def test_what_a_guard_rules_out_is_false(rule, payload, ascii_only):
    data = json.dumps([2, "1", "DataTransfer", payload], ensure_ascii=ascii_only).encode()
    if rule.guard.rules_out(data):
        assert rule.when.evaluate({"facts": Facts("DataTransfer", payload)}) is False


@pytest.mark.parametrize("when", GUARDED)
def test_the_longest_message_that_a_guard_judges_stays_within_the_budget(when):
    rule = compiled(when)
    for text in ("", "$", "a", "&&", "$ &" * 70):
        data = [text]
        while len(json.dumps([2, "1", "DataTransfer", {"data": data}], separators=(",", ":"))) < rule.guard.max_bytes:
            data.append(text)
        assert rule.when.evaluate({"facts": Facts("DataTransfer", {"data": data})}) is False
