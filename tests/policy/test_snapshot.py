from typing import Any

import pytest

from gateway.config.policy_packs import load_bundle
from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile
from gateway.policy.rules import Phase
from gateway.policy.site import SitePolicy
from gateway.policy.snapshot import Snapshot, in_rollout
from tests.policy.build import NOW, scopes, session_of, snapshot_of

UP, DOWN = Origin.CHARGE_POINT, Origin.CSMS
V16, V201, V21 = OCPPVersion


def ids(rules):
    return [getattr(rule, "rule", rule).id for rule in rules]


def test_rules_are_found_by_version_sender_phase_and_action():
    snapshot = snapshot_of(
        {"match": {"action": "@firmware", "direction": "to_station"}, "when": "facts.urls.size() > 0"},
        {"match": {"action": "*", "direction": "to_csms"}, "when": "msg.size > 1"},
        {"match": {"phase": "result", "of": ["Authorize"], "direction": "to_station"}},
        {"match": {"phase": "send", "action": "NotifyPeriodicEventStream"}, "action": "drop"},
    )
    assert ids(snapshot.candidates(V16, DOWN, Phase.CALL, "SignedUpdateFirmware")) == ["t/0"]
    assert ids(snapshot.candidates(V201, DOWN, Phase.CALL, "PublishFirmware")) == ["t/0"]
    assert ids(snapshot.candidates(V16, DOWN, Phase.CALL, "PublishFirmware")) == []
    assert ids(snapshot.candidates(V16, UP, Phase.CALL, "UpdateFirmware")) == ["t/1"]
    assert ids(snapshot.candidates(V16, UP, Phase.CALL, "NoSuchAction")) == ["t/1"]
    assert ids(snapshot.candidates(V16, DOWN, Phase.RESULT, "Authorize")) == ["t/2"]
    assert ids(snapshot.candidates(V21, UP, Phase.SEND, "NotifyPeriodicEventStream")) == ["t/3"]
    assert ids(snapshot.candidates(V201, UP, Phase.SEND, "NotifyPeriodicEventStream")) == []


def test_a_view_compiles_once_and_forgets_when_told():
    view = snapshot_of({"match": {"action": "*", "vendor": ["V"]}}).view(session_of())
    assert view.rules(UP, Phase.CALL, "Heartbeat") == ()
    view.session.vendor = "V"
    assert view.rules(UP, Phase.CALL, "Heartbeat") == ()
    view.forget()
    found = view.rules(UP, Phase.CALL, "Heartbeat")
    assert ids(found) == ["t/0"]
    assert view.rules(UP, Phase.CALL, "Heartbeat") is found


def test_invented_actions_do_not_fill_the_memory():
    view = snapshot_of({"match": {"action": "*"}}).view(session_of())
    for number in range(1200):
        assert ids(view.rules(UP, Phase.CALL, f"Fuzz{number}")) == ["t/0"]
    assert not view.cohort.rules
    view.rules(UP, Phase.CALL, "Heartbeat")
    assert len(view.cohort.rules) == 1


@pytest.mark.parametrize(
    ("rule", "alike", "other"),
    [
        ({"match": {"action": "*", "vendor": ["V"]}}, {"vendor": "W"}, {"vendor": "V"}),
        ({"match": {"action": "*", "model": ["M"]}}, {"model": "N"}, {"model": "M"}),
        ({"match": {"action": "*", "group": ["g"]}}, {"ip": "10.0.0.1"}, {"group": "h"}),
        (
            {"match": {"action": "*", "security_profile": [3]}},
            {"serial": "1"},
            {"security_profile": SecurityProfile(3)},
        ),
        ({"match": {"action": "*", "identity": ["CP-9"]}}, {"identity": "CP-8"}, {"identity": "CP-9"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_sessions_share_what_was_found_out_exactly_if_they_have_the_same_rules(rule, alike, other):
    snapshot = snapshot_of(rule)
    first = snapshot.view(session_of())
    assert snapshot.view(session_of(**alike)).cohort is first.cohort
    assert snapshot.view(session_of(**other)).cohort is not first.cohort
    for session in (session_of(**alike), session_of(**other)):
        shared, alone = snapshot.view(session), snapshot_of(rule).view(session)
        assert ids(shared.rules(UP, Phase.CALL, "Heartbeat")) == ids(alone.rules(UP, Phase.CALL, "Heartbeat"))


@pytest.mark.parametrize(
    "identities", [{}, {"match": {"action": "*", "identity": [f"CP-{number}" for number in range(0, 40, 2)]}}]
)
def test_a_rollout_is_per_charge_point_although_others_share_its_cohort(identities):
    rule = {"rollout": {"percent": 50}, **identities}
    shared = snapshot_of(rule)
    found = []
    for number in range(40):
        session = session_of(identity=f"CP-{number}")
        rules = shared.view(session).rules(UP, Phase.CALL, "Heartbeat")
        alone = snapshot_of(rule).view(session).rules(UP, Phase.CALL, "Heartbeat")
        assert [each.enforced for each in rules] == [each.enforced for each in alone]
        found += [each.enforced for each in rules]
    assert set(found) == {True, False}


def test_a_rollout_by_groups():
    rule = snapshot_of({"rollout": {"groups": ["pilot"]}}).rules[0]
    assert in_rollout(rule, session_of(group="pilot"))
    assert not in_rollout(rule, session_of(group="g"))


def test_the_state_of_a_counter_belongs_to_what_it_depends_on():
    def key(limit, other, when):
        rule = {"rate": {"limit": "params.n", "window": "1m"}, "when": when}
        params = {"n": {"type": "int", "default": limit}, "o": {"type": "int", "default": other}}
        return snapshot_of(rule, params=params).view(session_of()).rules(UP, Phase.CALL, "Heartbeat")[0].state_key

    plain = key(1, 1, "msg.size > 1")
    assert key(1, 2, "msg.size > 1") == plain
    assert key(2, 1, "msg.size > 1") != plain
    assert key(1, 1, "msg.size > 2") != plain
    assert key(1, 2, "msg.size > params.o") != key(1, 3, "msg.size > params.o")


# -- loading and compiling bit by bit


def met(snapshot: Snapshot, *kinds: tuple[Origin, Phase, str], **session: Any) -> dict[tuple[Any, ...], list[str]]:
    """What rules sessions get for these kinds of messages."""
    view = snapshot.view(session_of(**session))
    return {kind: [rule.rule.id for rule in view.rules(*kind)] for kind in kinds}


KINDS = (
    (Origin.CSMS, Phase.CALL, "Reset"),
    (Origin.CHARGE_POINT, Phase.CALL, "Heartbeat"),
    (Origin.CSMS, Phase.RESULT, "Heartbeat"),
)


def test_loading_in_steps_makes_the_same_snapshot_and_no_step_is_long() -> None:
    bundle = load_bundle(("observe",), SitePolicy(), now=NOW)
    whole = bundle.snapshot()
    snapshot, loading = Snapshot.in_steps(bundle.revision, bundle.packs, SitePolicy(), scopes())
    assert sum(1 for _ in loading) == len(whole.rules)
    assert snapshot.reads_power == whole.reads_power
    assert met(snapshot, *KINDS) == met(whole, *KINDS)


def test_what_sessions_have_met_is_compiled_before_it_is_needed() -> None:
    bundle = load_bundle(("observe",), SitePolicy(), now=NOW)
    before, after = bundle.snapshot(), bundle.snapshot()
    expected = met(before, *KINDS), met(before, KINDS[0], version="2.0.1", boot_state="pending")
    steps = sum(1 for _ in after.prepare(before))
    compiled = dict(after._compiled)
    assert steps >= len(compiled) > 10
    assert (met(after, *KINDS), met(after, KINDS[0], version="2.0.1", boot_state="pending")) == expected
    assert after._compiled == compiled


def test_nothing_is_compiled_for_messages_that_nobody_has_met() -> None:
    bundle = load_bundle(("observe",), SitePolicy(), now=NOW)
    before, after = bundle.snapshot(), bundle.snapshot()
    before.view(session_of())
    assert list(after.prepare(before)) == []
    assert after._compiled == {}
