"""Each code with a document that has it and a near miss that has not."""

import pytest

from gateway.config.problems import ConfigError
from gateway.policy.findings import CODES, Findings
from gateway.policy.lint import lint_references
from gateway.policy.reading import read_pack
from tests.policy.build import NOW, codes, linted, read

RULE = "rules: [{id: a/b, title: t, action: alert, match: {%s}%s}]"
UP = "action: Heartbeat, direction: to_csms"


def rule(match=UP, more=""):
    return RULE % (match, f", {more}" if more else "")


PAIRS = {
    "P002": (rule("action: Reset, version: 1.6"), rule('action: Reset, version: "1.6"')),
    "P003": (rule(more="unles: 'true'"), rule(more="unless: msg.signed")),
    "P004": (
        "rules: [{id: a/b, title: t, action: alert, match: {action: Reset}}, {id: a/b, title: t, action: alert, match: {action: Reset}}]",
        "rules: [{id: a/b, title: t, action: alert, match: {action: Reset}}, {id: a/c, title: t, action: alert, match: {action: Reset}}]",
    ),
    "P005": (rule(more="level: 9"), rule(more="level: 4")),
    "P010": (rule("action: Resett"), rule("action: Reset")),
    "P011": (rule("action: Reset, direction: to_csms"), rule("action: Reset, direction: to_station")),
    "P012": (rule("phase: result, direction: to_station"), rule("phase: result, direction: to_station, of: Heartbeat")),
    "P019": (rule(more="when: 'msg.size >'"), rule(more="when: msg.size > 1")),
    "P020": (rule(more="when: mesg.size > 1"), rule(more="when: msg.size > 2")),
    "P021": (rule(more="when: msg.size > 'x'"), rule(more="when: msg.size > 3")),
    "P022": (
        rule("action: Reset", "when: payload.tpe == 'Hard'"),
        rule('action: Reset, version: "1.6"', "when: payload.type == 'Hard'"),
    ),
    "P023": (
        rule('action: MeterValues, version: "1.6"', "when: payload.transactionId == 1"),
        rule('action: MeterValues, version: "1.6"', "when: payload.?transactionId.orValue(0) == 1"),
    ),
    "P024": (
        rule('action: Reset, version: "1.6"', "when: payload.type == 'Hrad'"),
        rule('action: Reset, version: "1.6"', "when: payload.type == 'Soft'"),
    ),
    "P025": (rule(more="when: 1 == 1"), rule(more="when: msg.size == 1")),
    "P030": (
        rule("action: Reset, direction: to_station", "respond: {status: Rejectd}").replace("alert", "deny"),
        rule("action: Reset, direction: to_station", "respond: {status: Rejected}").replace("alert", "deny"),
    ),
    "P031": (
        rule("phase: send, action: NotifyPeriodicEventStream").replace("alert", "answer"),
        rule("phase: send, action: NotifyPeriodicEventStream").replace("alert", "drop"),
    ),
    "P032": (rule("action: StopTransaction").replace("alert", "deny"), rule("action: StopTransaction")),
    "P040": (
        rule("action: DataTransfer", 'when: "facts.strings.exists(a, facts.tokens.exists(b, a == b))"'),
        rule("action: DataTransfer", 'when: "facts.strings.exists(a, a in facts.tokens)"'),
    ),
    "P041": (
        rule(more="when: \"msg.action.matches('(a)\\\\\\\\1')\""),
        rule(more="when: \"msg.action.matches('(a)1')\""),
    ),
    "P052": (rule("action: UpdateFirmware, version: '1.6'"), rule("action: '@firmware', version: '1.6'")),
    "P053": (rule().replace("alert", "allow"), rule(more="tags: [allow-listed]").replace("alert", "allow")),
    "P060": (
        rule() + "\nexceptions: [{rule: a/b, match: {group: g}, owner: o, reason: r}]",
        rule() + "\nexceptions: [{rule: a/b, match: {group: g}, owner: o, reason: r, until: 2099-01-01}]",
    ),
    "P070": (
        "params: {x: {type: int, default: many}}\n" + rule(more="when: msg.size > params.x"),
        "params: {x: {type: int, default: 5}}\n" + rule(more="when: msg.size > params.x"),
    ),
    "P080": (rule(more="level: 1, mode: monitor"), rule(more="level: 2, mode: monitor")),
}


@pytest.mark.parametrize("code", PAIRS)
def test_each_code_is_found(code):
    assert code in codes(linted(PAIRS[code][0]))


@pytest.mark.parametrize("code", PAIRS)
def test_and_not_in_a_near_miss(code):
    assert codes(linted(PAIRS[code][1])) == set()


@pytest.mark.parametrize(
    ("match", "effect", "more", "found"),
    [
        ("action: '*'", "deny", "", True),
        ("action: '*', direction: to_csms", "drop", "", True),
        ("action: '*', direction: to_station", "deny", "", False),
        ("action: '*'", "alert", "", False),
        ("action: '*'", "deny", "tags: [may-lose-billing]", False),
        ("action: MeterValues, direction: to_csms", "quarantine", "", True),
        ("action: '@transaction', direction: to_csms", "disconnect", "", True),
        ("phase: result, of: StartTransaction, direction: to_station", "deny", "", True),
        ("phase: result, of: '*', direction: to_csms", "deny", "", False),
        ("phase: result, of: Authorize, direction: to_station", "deny", "", False),
        ("phase: send, action: NotifyPeriodicEventStream", "drop", "", False),
        ("action: Authorize", "throttle", "throttle: {action: [Authorize], limit: 1/1m}", False),
        ("action: Authorize", "throttle", "throttle: {action: ['@authorize'], limit: 1/1m}", True),
    ],
)
def test_whatever_may_lose_billing_data_is_told(match, effect, more, found):
    assert codes(linted(rule(match, more).replace("action: alert", f"action: {effect}"))) == (
        {"P032"} if found else set()
    )


def test_every_code_is_tested_somewhere():
    # YAML here; bundles in tests/config; trials in test_trial
    elsewhere = {"P001", "P050", "P051", "P061", "P071", "P072", "P090", "P092"}
    assert set(CODES) == set(PAIRS) | elsewhere


def test_a_duplicate_key_is_no_document():
    with pytest.raises(ConfigError) as error:
        read("rules: []\nrules: []")
    assert error.value.problems[0].line == 5
    read("rules: []\nsets: {}")


def test_an_exception_for_a_rule_that_is_not_there():
    body = rule() + "\nexceptions: [{rule: a/%s, match: {group: g}, owner: o, reason: r, until: 2026-%s}]"
    for name, day, expected in [("x", "12-31", {"P061"}), ("b", "12-31", set()), ("b", "01-05", {"P060"})]:
        pack, _ = read(body % (name, day))
        assert codes(lint_references([pack], NOW)[0][1]) == expected


def test_a_suggestion_for_a_misspelt_field_and_action():
    found = {finding.code: finding.suggestion for finding in linted(rule(more="unles: 'true'")).all}
    assert found["P003"] == "unless"
    assert linted(rule("action: Resett")).all[0].suggestion == "Reset"


@pytest.mark.parametrize(
    ("counter", "fits"),
    [
        ("rate: {limit: 5/10m}", True),
        ("rate: {limit: params.n, window: 10m}", True),
        ("rate: {limit: params.n, window: params.w}", True),
        ("rate: {limit: params.w, window: 10m}", False),
        ("rate: {limit: params.missing, window: 10m}", False),
        ("rate: {limit: params.n}", False),
        ("rate: {limit: 0/10m}", False),
        ("distinct: {of: session.identity, max: 3, window: 1m, by: [fleet]}", True),
        ("distinct: {max: 3, window: 1m}", False),
        ("sum: {of: facts.setpoint_w, max: -1, window: 1m}", False),
        ("rate: {limit: 5/10m}, sum: {of: facts.setpoint_w, max: 1, window: 1m}", False),
        ("rate: {limit: 5/10m, count: attempts}", True),
        ("rate: {limit: 5/10m, count: everything}", False),
    ],
)
def test_counters(counter, fits):
    params = "params: {n: {type: int, default: 5}, w: {type: duration, default: 10m}}\n"
    errors = linted(params + rule(more=f"{counter}, when: 'params.n > 1 && params.w > duration(\"1s\")'")).errors
    assert (errors == []) is fits


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int", "5", 5),
        ("number", "5", 5.0),
        ("bool", "true", True),
        ("duration", "10m", 600.0),
        ("list<string>", "[A, b]", ("A", "b")),
        ("list<name>", "[' AbC ']", ("abc",)),
        ("int", "true", None),
        ("bool", "1", None),
        ("list<int>", "[1, x]", None),
        ("string", "5", None),
        ("duration", "often", None),
    ],
)
def test_parameters(kind, value, expected):
    pack, findings = read(f"params: {{x: {{type: {kind}, default: {value}}}}}\nrules: []")
    if expected is None:
        assert codes(findings) == {"P070"}
    else:
        assert pack.parameters[0].default == expected


@pytest.mark.parametrize(
    ("path", "fits"), [("facts.urls", True), ("payload.location", True), ("facts.urlz", False), ("location", False)]
)
def test_redaction_of_what_exists(path, fits):
    assert (linted(rule(more=f"audit: {{redact: [{path}]}}")).errors == []) is fits


def test_a_throttle_names_actions_that_exist():
    body = rule("phase: result, of: Authorize", "throttle: {action: [%s], limit: 1/1m}").replace("alert", "throttle")
    assert codes(linted(body % "Authorize")) == set()
    assert codes(linted(body % "Authorise")) == {"P010"}


def test_an_exception_is_for_somebody():
    body = rule() + "\nexceptions: [{rule: a/b, %s owner: o, reason: r, until: 2099-01-01}]"
    assert codes(read(body % "")[1]) == {"P005"}
    assert codes(read(body % "match: {identity: [X]},")[1]) == set()


def test_the_condition_of_an_exception_is_checked():
    from tests.policy.build import scopes

    body = rule() + "\nexceptions: [{rule: a/b, match: {group: g}, when: %s, owner: o, reason: r, until: 2099-01-01}]"
    for when, expected in [("sesion.age > now", {"P020"}), ("session.in_maintenance", set())]:
        pack, _ = read(body % when)
        assert codes(lint_references([pack], NOW, scopes())[0][1]) == expected


def test_a_class_without_members_there_can_never_match():
    assert codes(linted(rule('action: "@display", version: "1.6"'))) == {"P011"}
    assert codes(linted(rule('action: "@display", version: "2.0.1"'))) == set()


@pytest.mark.parametrize(
    "field", ["identity", "group", "vendor", "model", "version", "direction", "state", "security_profile"]
)
def test_an_empty_list_is_not_everybody(field):
    assert codes(read(rule(f"action: Reset, {field}: []"))[1]) == {"P005"}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("exceptions: [{rule: a/b, match: {identity: [], group: g}, owner: o, reason: r, until: 2099-01-01}]", True),
        ("exceptions: [{rule: a/b, match: {group: g}, owner: o, reason: r, until: 2099-01-01}]", False),
    ],
)
def test_an_exception_for_an_empty_list_is_none_for_everybody(text, wrong):
    assert codes(read(rule() + "\n" + text)[1]) == ({"P005"} if wrong else set())


def test_a_version_that_is_a_number_is_told_once():
    assert codes(read(rule("action: Reset, version: 1.6"))[1]) == {"P002"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (rule().replace("action: alert", "action: reject"), "unknown action 'reject': one of alert, allow, answer,"),
        (rule("action: Reset, phase: result"), "an answer has no action: say of which calls, with `of`"),
        ("rules: 5", "rules must be a list"),
        ("params: 5", "params must be a mapping"),
    ],
)
def test_what_is_wrong_is_said_so_that_it_can_be_mended(body, said):
    (finding,) = read(body)[1].all
    assert said in finding.message


def test_a_file_of_another_kind_is_told_once():
    findings = Findings()
    read_pack(["x"], findings, shown_path="t.yaml", parse_date=None)
    assert [finding.message for finding in findings.all] == ["the file must be a mapping"]
