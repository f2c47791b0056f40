"""All shipped packs: faultless, proven by their own cases, and covering what the attack vectors ask of rules."""

import functools
import json
import re
from pathlib import Path

import pytest

from gateway.config.policy_packs import DEFAULT_PACKS, load_bundle, load_tests, policy_scopes, shipped_packs
from gateway.policy.classes import CLASSES
from gateway.policy.findings import Findings
from gateway.policy.rules import Effect
from gateway.policy.site import SitePolicy
from gateway.policy.trial import run_trial
from gateway.policy.trial_reading import read_cases
from tests.policy.build import NOW, gates

VECTORS = Path(__file__).parents[1] / "vectors"
WANTED = {
    "baseline", "observe", "lockdown", "firmware", "smart-charging", "fleet", "tokens", "transactions", "metering", "config",
    "certificates", "logs", "datatransfer", "content", "floods", "reservation", "virtual-patches", "uk-smart-charge-points",
}  # fmt: skip
NOT_RULES: dict[str, str] = {}
"""suggested_rule -> why no pack has it yet."""
FINISHED_BY_GATES = re.compile(r"(json|rpc|schema|ws|tls|http|auth|identity|audit|policy)\.")


@functools.cache
def bundle(name):
    return load_bundle([name], SitePolicy(), now=NOW)


def own_rules():
    return [
        (name, rule)
        for name in shipped_packs()
        for pack in bundle(name).packs
        for rule in pack.rules
        if rule.pack == name
    ]


def test_the_packs_that_are_promised_are_there():
    assert set(shipped_packs()) >= WANTED
    assert any(name.startswith("quirks/") for name in shipped_packs())


@pytest.mark.parametrize("name", shipped_packs())
def test_a_pack_has_no_findings(name):
    assert [str(problem) for problem in bundle(name).problems] == []


@pytest.mark.parametrize("name", shipped_packs())
def test_a_pack_is_proven_by_its_cases(name):
    document = load_tests(name)
    assert document is not None, "no cases"
    findings = Findings()
    pack, cases = read_cases(document.value, findings)
    assert (pack, findings.all) == (name, [])
    result = run_trial(pack, cases, bundle(name).snapshot(), gates(), policy_scopes())
    assert [(case.name, case.failures) for case in result.cases if case.failures] == []
    assert result.unproven == ()


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.id) for _, rule in own_rules()])
def test_a_rule_says_what_it_is_for(rule):
    assert all((rule.title, rule.message, rule.references, rule.level, rule.severity))
    assert not rule.event.startswith("policy.") or rule.effect is Effect.ALLOW
    refuses = rule.effect.restrictive and rule.effect is not Effect.THROTTLE
    if refuses and rule.match.phase == "call":
        named = {member for word in rule.match.actions for member in CLASSES.get(word, {word})}
        assert not named & CLASSES["@transaction"], "billing data is never lost"
        assert "*" not in rule.match.actions or {origin.value for origin in rule.match.origins} == {"csms"}


@pytest.mark.parametrize(
    "parameter",
    [p for name in sorted(WANTED) for pack in bundle(name).packs for p in pack.parameters if pack.name == name],
)
def test_a_parameter_has_help(parameter):
    assert len(parameter.help) > 15


def test_every_suggested_rule_exists():
    ids = {rule.id for _, rule in own_rules()}
    suggested = {}
    for line in (VECTORS / "attacks.jsonl").read_text().splitlines():
        case = json.loads(line)
        if "suggested_rule" in case:
            suggested[case["suggested_rule"]] = case["expected"].get("event", "")
    assert {rule for rule in suggested if rule not in ids and rule not in NOT_RULES} == set()


def test_every_event_that_attacks_ask_of_rules_is_raised_by_one():
    events = {rule.event for _, rule in own_rules()}
    wanted = set()
    for line in (VECTORS / "attacks.jsonl").read_text().splitlines():
        case = json.loads(line)
        event = case["expected"].get("event", "")
        if case.get("layer") in {"ocpp", "fleet"} and event and not FINISHED_BY_GATES.match(event):
            wanted.add(event)
    assert wanted - events == set()


def test_the_default_set_enforces_only_what_needs_no_parameter():
    loaded = load_bundle(DEFAULT_PACKS, SitePolicy(), now=NOW)
    assert loaded.errors == ()
    enforced = {rule.id for pack in loaded.packs for rule in pack.rules if rule.mode == "enforce"}
    assert {"content/jndi", "config/profile-downgrade", "content/ssrf"} <= enforced
    assert not {
        rule
        for rule in enforced
        if "allowlist" in rule or rule.startswith(("firmware/", "datatransfer/", "fleet/", "tokens/", "certificates/"))
    }
    watched = {rule.id for pack in loaded.packs for rule in pack.rules if rule.mode == "monitor"}
    assert {"firmware/location-allowlist", "fleet/disruptive-budget", "tokens/bruteforce"} <= watched


def test_observing_refuses_nothing():
    assert {rule.mode for pack in bundle("observe").packs for rule in pack.rules} == {"monitor"}
