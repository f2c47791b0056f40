import json
from typing import Any

import pytest

from gateway.ocpp.vocabulary import Origin
from gateway.policy.conversation import Conversation
from gateway.policy.engine import PolicyState, decide
from gateway.policy.explain import explain
from gateway.policy.site import GroupPolicy, SitePolicy
from tests.policy.build import NOW, PLAIN, gates, session_of, snapshot_of

RESET = b'[2,"1","Reset",{"type":"Hard"}]'
RULE: dict[str, Any] = {
    "match": {"action": "Reset", "direction": "to_station", "version": "1.6"},
    "when": "payload.type == 'Hard' && msg.size > 5",
    "respond": {"status": "Rejected"},
}


def explained(*rules, rule="", session=None, state=None, data=RESET, site=PLAIN, now=NOW, **more):
    conversation = Conversation(session or session_of())
    message = conversation.message(Origin.CSMS, data, now)
    return explain(
        snapshot_of(*rules, site=site, **more), conversation, message, state or PolicyState(), now, gates(), rule=rule
    )


def test_a_match_with_every_value_and_the_answer():
    found = explained(RULE)
    steps = {step.text: step.value for step in found.rules[0].conditions[0].steps}
    assert steps["payload.type == 'Hard'"] == "true"
    assert steps["msg.size"] == str(len(RESET))
    assert (found.rules[0].outcome, found.key) == ("matched", "1.6 to_station call Reset")
    assert json.loads(found.answer) == [3, "1", {"status": "Rejected"}]
    assert "t/0" in found.combination
    json.dumps(found.to_record())


@pytest.mark.parametrize(
    ("change", "session", "site", "outcome"),
    [
        ({"when": "payload.type == 'Soft'"}, {}, GroupPolicy(), "condition"),
        ({"unless": "msg.size > 1"}, {}, GroupPolicy(), "condition"),
        ({}, {}, GroupPolicy(mode="monitor"), "watched"),
        ({}, {}, GroupPolicy(modes={"t/0": "off"}), "off"),
        ({"rollout": {"percent": 0}}, {}, GroupPolicy(), "watched"),
        ({"match": {**RULE["match"], "vendor": ["V"]}}, {}, GroupPolicy(), "static"),
        ({"rate": {"limit": "5/1m"}}, {}, GroupPolicy(), "counter"),
        ({"when": "facts.expiry > now", "on_error": "no-match"}, {}, GroupPolicy(), "error"),
    ],
)
def test_why_a_rule_did_not_refuse(change, session, site, outcome):
    found = explained(
        {**RULE, **change}, rule="t/0", session=session_of(**session), site=SitePolicy(groups={"g": site})
    )
    assert found.rules[0].outcome == outcome


def test_the_static_part_that_does_not_fit_is_named():
    wrong = {
        part.name: part.fits
        for part in explained(RULE, rule="t/0", session=session_of("2.0.1"), data=b'[2,"1","ClearCache",{}]')
        .rules[0]
        .static
    }
    assert wrong == {"phase": True, "direction": True, "version": False, "action": False}


def test_a_rule_outside_its_rollout_says_so():
    assert explained({**RULE, "rollout": {"percent": 0}}).rules[0].mode.startswith("monitor: outside its rollout")


def test_an_exception_is_shown_whether_it_applies_or_not():
    exceptions = [
        {"rule": "t/0", "match": {"group": "g"}, "until": "2026-12-31", "owner": "ops", "reason": "r"},
        {"rule": "t/0", "match": {"group": "x"}, "until": "2026-12-31", "owner": "x", "reason": "r"},
        {"rule": "t/0", "match": {"group": "g"}, "until": "2025-01-01", "owner": "late", "reason": "r"},
    ]
    found = explained(RULE, exceptions=exceptions).rules[0]
    assert found.outcome == "excepted"
    assert [(item.owner, item.applies, item.because) for item in found.exceptions] == [
        ("ops", True, "it fits"),
        ("x", False, "for other groups"),
        ("late", False, "it has ended"),
    ]


def test_explaining_draws_on_nothing():
    limited = {**RULE, "rate": {"limit": "1/1m"}}
    state, snapshot = PolicyState(), snapshot_of(limited)
    for _ in range(3):
        assert explained(limited, state=state).rules[0].outcome == "counter"
    conversation = Conversation(session_of())
    message = conversation.message(Origin.CSMS, RESET, NOW)
    decide(snapshot.view(conversation.session), message, conversation.transactions, state, NOW)
    assert explained(limited, state=state).rules[0].outcome == "matched"


def test_a_counter_that_something_else_made_unnecessary():
    found = explained(RULE, {**RULE, "rate": {"limit": "1/1m"}})
    assert [rule.outcome for rule in found.rules] == ["matched", "outranked"]


def test_a_rule_that_does_not_exist():
    assert explained(RULE, rule="t/nine").rules[0].outcome == "unknown"


def test_what_a_rule_redacts_is_not_shown():
    data = b'[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"s3cr3t-s3cr3t"}]'
    rule = {
        "match": {"action": "ChangeConfiguration", "version": "1.6"},
        "when": "payload.value.size() > 3 && payload.value.contains('s3')",
    }
    assert "s3cr3t-s3cr3t" in json.dumps(explained(rule, data=data).to_record())
    assert "s3cr3t-s3cr3t" not in json.dumps(
        explained({**rule, "audit": {"redact": ["payload.value"]}}, data=data).to_record()
    )


def test_a_wrapped_call_is_explained_by_what_is_inside():
    payload = "eyJ0eXBlIjoiSGFyZCJ9"  # {"type":"Hard"}
    data = b'[2,"1","Reset-Signed",{"payload":"%s","protected":"e30","signature":""}]' % payload.encode()
    found = explained(RULE, data=data)
    assert found.key == "1.6 to_station call Reset"
    assert json.loads(found.answer)[:3] == [4, "1", "SecurityError"]
