import pytest

from gateway.config.yaml_file import read_yaml
from gateway.policy.findings import Findings
from gateway.policy.trial import run_trial
from gateway.policy.trial_reading import read_cases
from tests.policy.build import codes, gates, scopes, snapshot_of

RULE = {"id": "t/size", "match": {"action": "*", "direction": "to_csms"}, "when": "msg.size > 40", "event": "x.y"}
FLOOD = {"id": "t/flood", "match": {"action": "Heartbeat"}, "rate": {"key": ["session.identity"], "limit": "2/1m"}}
SHORT = """{dir: to_csms, frame: '[2,"1","Heartbeat",{}]', expect: {%s}}"""
LONG = """{dir: to_csms, frame: '[2,"1","DataTransfer",{"vendorId":"vvvvvvvvvvvvvvv"}]', expect: {%s}}"""
PROVEN = [SHORT % "decision: allow", LONG % "decision: deny, rule: t/size"]


def run(steps, *rules, more="", session="{}"):
    text = (
        f"pack: t\ncases:\n  - name: c\n    session: {session}\n"
        + more
        + "".join(f"{'    steps:' if not n else ''}\n      - {s}" for n, s in enumerate(steps))
    )
    findings = Findings()
    pack, cases = read_cases(read_yaml(text + "\n", "t.test.yaml").value, findings)
    assert findings.errors == []
    return run_trial(pack, cases, snapshot_of(*(rules or (RULE,))), gates(), scopes())


def said(result):
    return [failure.message for case in result.cases for failure in case.failures]


def test_a_rule_that_fires_and_does_not_fire_is_proven():
    result = run(PROVEN)
    assert (result.passed, said(result), result.unproven) == (True, [], ())


@pytest.mark.parametrize(("steps", "missing"), [(PROVEN[:1], "no firing case"), (PROVEN[1:], "no non-firing case")])
def test_a_rule_without_one_of_both_fails(steps, missing):
    result = run(steps)
    assert not result.passed
    assert result.unproven == (("t/size", missing),)


@pytest.mark.parametrize(
    ("expect", "failure"),
    [
        ("decision: allow", "deny by t/size, not allow"),
        ("decision: drop, rule: t/size", "deny by t/size, not drop"),
        ("decision: deny, rule: t/sized", "there is no rule 't/sized' (did you mean 't/size'?)"),
        (
            "decision: deny, rule: t/size, to_sender: {code: GenericError}",
            "the sender got SecurityError, not GenericError",
        ),
        (
            "decision: deny, rule: t/size, to_sender: {status: Rejected}",
            "the sender got SecurityError, not status Rejected",
        ),
        ("decision: deny, rule: t/size, forwarded: true", "was not forwarded"),
        ("decision: deny, rule: t/size, event: a.b", "events ['x.y'], not a.b"),
        ("quiet: t/size", "t/size matched"),
    ],
)
def test_every_difference_is_a_failure(expect, failure):
    assert failure in said(run([LONG % expect]))


def test_a_quiet_rule_must_have_been_asked():
    frame = """{dir: to_station, frame: '[2,"1","Reset",{"type":"Hard"}]', expect: {quiet: t/size}}"""
    assert said(run([frame])) == ["t/size was not even asked"]


def test_the_wrong_rule_does_not_prove_the_right_one():
    result = run(
        [LONG % "decision: deny, rule: t/other"],
        RULE,
        {"id": "t/other", "match": {"action": "*"}, "when": "msg.size > 9000"},
    )
    assert said(result) == ["t/other did not match"]


def test_a_frame_that_breaks_the_schema_is_a_mistake_unless_meant():
    frame = """{dir: to_csms, %s frame: '[2,"1","Heartbeat",{"x":1}]', expect: {decision: allow}}"""
    assert "breaks the schema" in said(run([frame % ""]))[0]
    assert said(run([frame % "schema: broken,"])) == []


def test_a_frame_that_a_gate_refuses_is_a_mistake_unless_expected():
    frame = """{dir: to_csms, frame: '[2,"1","Heartbeat",{"x":1,"x":2}]'%s}"""
    assert said(run([frame % ""])) == ["refused by a gate before any rule: json.duplicate_key"]
    assert said(run([frame % ", expect: {decision: gate, forwarded: false}"])) == []


def test_repeats_count_and_the_clock_moves():
    step = """{dir: to_csms, at: "+%s", frame: '[2,"{n}","Heartbeat",{}]'}"""
    after = "    repeat: 3\n    after: {rule: t/flood, not_before_repeat: %d}\n"
    assert run([step % "1s"], FLOOD, more=after % 3).passed
    assert said(run([step % "1s"], FLOOD, more=after % 4)) == ["t/flood matched in repeat 3, before 4"]
    assert said(run([step % "31s"], FLOOD, more=after % 3)) == ["t/flood never matched"]
    never = "    repeat: 3\n    after: {rule: t/flood, never: true}\n"
    assert said(run([step % "31s"], FLOOD, more=never)) == []
    assert said(run([step % "1s"], FLOOD, more=never)) == ["t/flood matched in repeat 3"]


def test_charge_points_of_a_case_are_apart():
    step = """{dir: to_csms, identity: "CP-{n}", frame: '[2,"1","Heartbeat",{}]'}"""
    assert said(run([step], FLOOD, more="    repeat: 9\n    after: {rule: t/flood, never: true}\n")) == []


def test_results_find_their_calls_and_transactions_are_tracked():
    rule = {
        "match": {"action": "StopTransaction", "version": "1.6"},
        "when": "!(payload.transactionId in tx.open_ids)",
        "action": "alert",
    }
    stop = """{dir: to_csms, frame: '[2,"9","StopTransaction",{"transactionId":%d,"meterStop":1,"timestamp":"2026-01-01T00:00:00Z"}]', expect: {%s}}"""
    steps = [
        """{dir: to_csms, frame: '[2,"1","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"}]'}""",
        """{dir: to_station, frame: '[3,"1",{"transactionId":7,"idTagInfo":{"status":"Accepted"}}]'}""",
        stop % (8, "decision: alert, rule: t/0"),
        stop % (7, "decision: allow, quiet: t/0"),
    ]
    assert run(steps, rule).passed


@pytest.mark.parametrize(
    ("params", "failure"),
    [
        ("{n: 3}", None),
        ("{m: 3}", "no loaded pack has a parameter m"),
        ("{n: x}", "parameter n must be a int, not 'x'"),
    ],
)
def test_parameters_of_a_case(params, failure):
    rule = {**RULE, "when": "msg.size > params.n"}
    text = f"pack: t\ncases:\n  - {{name: c, params: {params}, steps: [{SHORT % 'decision: deny, rule: t/size'}]}}\n"
    _, cases = read_cases(read_yaml(text, "t").value, Findings())
    result = run_trial("t", cases, snapshot_of(rule, params={"n": {"type": "int", "default": 1000}}), gates(), scopes())
    assert said(result) == ([failure] if failure else [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("pack: t\ncases: [{name: c, steps: []}]", "P090"),
        ("pack: t\ncases: [{name: c, steps: [{dir: to_csms, frame: x, expect: {decision: deny}}]}]", "P090"),
        ("pack: t\ncases: [{name: c, steps: [{dir: to_csms, frame: x, expct: {}}]}]", "P003"),
        ("pack: t\ncases: [{name: c, steps: [{frame: x}]}]", "P005"),
        ("pack: t\ncases: [{name: c, steps: [{dir: to_csms, at: 20s, frame: x}]}]", "P005"),
        ("pack: t\ncases: [{name: c, session: {version: '1.7'}, steps: [{dir: to_csms, frame: x}]}]", "P005"),
        ("pack: t\ncases: [{name: c, steps: [{dir: to_csms, at: +20s, frame: x}]}]", None),
    ],
)
def test_cases_are_read_strictly(text, code):
    findings = Findings()
    read_cases(read_yaml(text, "t").value, findings)
    assert codes(findings) == ({code} if code else set())


def test_no_cases_at_all_are_no_success():
    assert not run_trial("t", [], snapshot_of(RULE), gates(), scopes()).passed
