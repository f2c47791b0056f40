"""Guards: what looking at the bytes rules out is false, and nothing else is ruled out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.policy.cel import DEFAULT_BUDGET
from gateway.policy.facts import Facts
from gateway.policy.guards import NoNegativeReading, NoSuchText, NoTransaction, PlausibleMoments, Scan, guard_of
from gateway.policy.rules import Phase
from gateway.policy.transactions import Transactions, TransactionView
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


def compiled(when, action="DataTransfer"):
    match = {"action": action, "direction": "to_csms", "version": "1.6"}
    (rule,) = (
        snapshot_of({"when": when, "match": match}).view(session_of()).rules(Origin.CHARGE_POINT, Phase.CALL, action)
    )
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
    guard, tracker = NoSuchText(b"${", 40), Transactions()
    assert guard.rules_out(Scan(b'[2,"1","DataTransfer",{"vendorId":"a"}]', tracker))
    assert not guard.rules_out(Scan(b'[2,"1","DataTransfer",{"vendorId":"${"}]', tracker))
    assert not guard.rules_out(Scan(b'[2,"1","DataTransfer",{"v":"\\u0024{"}]', tracker))
    assert not guard.rules_out(Scan(b'[2,"1","DataTransfer",{"vendorId":"abcd"}]', tracker))


texts = st.text(st.sampled_from('ab${}<>&é\\"\n1 '), max_size=6)
payloads = st.recursive(
    texts | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
CONTENT_RULES = [compiled(when) for when in GUARDED]


@given(st.sampled_from(CONTENT_RULES), st.dictionaries(texts, payloads, max_size=4), st.booleans())
def test_what_a_guard_of_texts_rules_out_is_false(rule, payload, ascii_only):
    data = json.dumps([2, "1", "DataTransfer", payload], ensure_ascii=ascii_only).encode()
    if rule.guard.rules_out(Scan(data, Transactions())):
        assert rule.when.evaluate({"facts": Facts("DataTransfer", payload)}) is False


@pytest.mark.parametrize("when", GUARDED)
def test_the_longest_message_that_a_guard_judges_stays_within_the_budget(when):
    rule = compiled(when)
    for text in ("", "$", "a", "&&", "$ &" * 70):
        data = [text]
        while len(json.dumps([2, "1", "DataTransfer", {"data": data}], separators=(",", ":"))) < rule.guard.max_bytes:
            data.append(text)
        assert rule.when.evaluate({"facts": Facts("DataTransfer", {"data": data})}) is False


# -- moments, readings, transactions

POISON = (
    "facts.absurd_times > 0 || "
    'facts.timestamps.exists(t, t < timestamp("1970-01-01T00:00:00Z") || t > timestamp("2100-01-01T00:00:00Z"))'
)
NEGATIVE = "facts.meter_wh.exists(x, x < 0.0)"
BACKWARDS = "tx.known && facts.meter_wh.exists(x, x < tx.meter_start)"


@pytest.mark.parametrize(
    ("when", "kind"),
    [
        (POISON, PlausibleMoments),
        ("facts.absurd_times > 0", PlausibleMoments),
        ('facts.timestamps.exists(t, t > timestamp("2040-01-02T00:00:00Z"))', PlausibleMoments),
        ('facts.timestamps.exists(t, t > timestamp("2040-01-01T00:00:00Z"))', type(None)),
        ('facts.timestamps.exists(t, t < timestamp("2026-01-01T00:00:00Z"))', type(None)),
        ('facts.timestamps.exists(t, t > timestamp("1970-01-01T00:00:00Z"))', type(None)),
        ('facts.timestamps.all(t, t > timestamp("2100-01-01T00:00:00Z"))', type(None)),
        ("facts.absurd_times >= 0", type(None)),
        ("facts.absurd_times > 0 || msg.size > 3", type(None)),
        (NEGATIVE, NoNegativeReading),
        ("facts.meter_wh.exists(x, x < 1.0)", type(None)),
        ("facts.meter_wh.exists(x, x <= 0.0)", type(None)),
        ("facts.soc.exists(x, x < 0.0)", type(None)),
        (BACKWARDS, NoTransaction),
        ("facts.meter_wh.size() > 0 && tx.known", type(None)),
        ("!tx.known && msg.size > 3", type(None)),
        ("tx.known || msg.size > 3", type(None)),
    ],
)
def test_which_conditions_have_which_guard(when, kind):
    guard = compiled(when, "MeterValues").guard
    assert type(guard) is kind


MOMENTS = st.sampled_from(
    [
        "2026-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-31T00:00:00Z",
        "2039-12-31T23:59:59-14:00",
        "2020-01-01T00:00:00+14:00",
        "2105-01-01T00:00:00Z",
        "1969-01-01T00:00:00Z",
        "2026-01-01Tx",
        "2026-01-01",
        "soon",
        "9999-12-31T23:59:59-14:00",
        "",
    ]
)
NUMBERS = st.sampled_from(["1", "-1", "1e3", "1e-3", "x", "−1", " -2", 0, -0.0, -1, 2.5, None, True])
SAMPLES = st.fixed_dictionaries(
    {"value": NUMBERS}, optional={"measurand": st.sampled_from(["Energy.Active.Import.Register", "SoC"])}
)
METER_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": MOMENTS | st.lists(MOMENTS, max_size=2) | st.none(),
        "transactionId": st.sampled_from([7, 8]),
        "meterValue": st.lists(
            st.fixed_dictionaries({"sampledValue": st.lists(SAMPLES, max_size=3)}, optional={"timestamp": MOMENTS}),
            max_size=3,
        ),
        "note": st.sampled_from(["timestamp", "-", '"timestamp":"2026-01-01T', "${"]),
    },
)
METER_RULES = [compiled(when, "MeterValues") for when in (POISON, NEGATIVE, BACKWARDS)]


@given(
    st.sampled_from(METER_RULES),
    METER_VALUES,
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]),
)
def test_what_guards_of_meter_values_rule_out_is_false(rule, payload, started, separators):
    tracker = Transactions()
    if started:
        tracker.seen(OCPPVersion.V1_6, "StartTransaction", {"connectorId": 1, "meterStart": 5}, {"transactionId": 7})
    data = json.dumps([2, "a-b-c", "MeterValues", payload], separators=separators).encode()
    if rule.guard.rules_out(Scan(data, tracker)):
        values = {"facts": Facts("MeterValues", payload), "tx": tracker.view("MeterValues", payload)}
        assert rule.when.evaluate(values) is False


@pytest.mark.parametrize("rule", METER_RULES, ids=lambda rule: type(rule.guard).__name__)
def test_usual_meter_values_need_no_evaluation(rule):
    sample = {"value": "12.5", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    payload = {"transactionId": 7, "meterValue": [{"timestamp": "2026-11-22T10:00:00.000Z", "sampledValue": [sample]}]}
    data = json.dumps([2, "550e8400-e29b-41d4-a716-446655440000", "MeterValues", payload]).encode()
    assert rule.guard.rules_out(Scan(data, Transactions()))


def test_the_most_moments_and_readings_in_a_message_stay_within_the_budget():
    short = {"meterValue": [{"sampledValue": [{"value": 1}] * 145}]}
    moments = {"meterValue": [{"timestamp": "2026-01-01T"}] * 65}
    for payload in (short, moments):
        data = json.dumps([2, "1", "MeterValues", payload], separators=(",", ":")).encode()
        assert Scan(data, Transactions()).is_simple
        for rule in METER_RULES:
            view: TransactionView = Transactions().view("MeterValues", payload)
            assert rule.when.evaluate({"facts": Facts("MeterValues", payload), "tx": view}) is False
