import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ocpp.vocabulary import Origin, SecurityProfile
from gateway.policy.budgets import FleetBudgets
from gateway.policy.engine import NOT_LISTED, PolicyState, decide, settle
from gateway.policy.rules import Effect, Phase
from gateway.policy.session import Message, Request
from gateway.policy.site import GroupPolicy, SitePolicy
from gateway.policy.snapshot import Snapshot
from gateway.policy.verdict import ALLOWED
from tests.policy.build import NOW, Bench, call, pack_of, scopes, session_of, snapshot_of

HEARTBEAT = call("Heartbeat", {})
RESET = call("Reset", {"type": "Hard"}, to="station")
EFFECTS = ["disconnect", "quarantine", "deny", "drop", "answer", "alert"]


def verdict_of(*rules, message=HEARTBEAT, session=None, **more):
    return Bench(snapshot_of(*rules, **more), session).judge(message)


def test_nothing_matches_and_the_message_passes():
    verdict = verdict_of({"match": {"action": "Reset"}})
    assert verdict is ALLOWED
    assert verdict.passes


def test_a_verdict_has_no_truth_value():
    with pytest.raises(TypeError):
        bool(ALLOWED)


@pytest.mark.parametrize("graver", range(len(EFFECTS) - 1))
def test_the_most_severe_effect_wins_and_every_match_is_reported(graver):
    verdict = verdict_of(
        {"action": EFFECTS[graver + 1], "severity": "critical"}, {"action": EFFECTS[graver], "severity": "info"}
    )
    assert (verdict.rule, verdict.effect) == ("t/1", Effect[EFFECTS[graver].upper()])
    assert [match.rule.id for match in verdict.matches] == ["t/1", "t/0"]


def test_ties_go_to_the_graver_severity_then_to_the_smaller_id():
    assert verdict_of({"severity": "low"}, {"severity": "high"}).rule == "t/1"
    assert verdict_of({"severity": "low"}, {"severity": "low"}).rule == "t/0"


rules = st.lists(
    st.fixed_dictionaries(
        {
            "action": st.sampled_from(EFFECTS),
            "severity": st.sampled_from(["info", "low", "high"]),
            "when": st.sampled_from(["msg.size > 1", "msg.size > 100000", "facts.expiry > now"]),
        },
        optional={
            "rate": st.sampled_from([{"limit": "1/1m"}, {"limit": "2/1m", "count": "attempts"}]),
            "mode": st.just("monitor"),
            "level": st.just(2),
        },
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(rules, st.randoms(use_true_random=False))
def test_the_order_of_rules_decides_nothing(found, random):
    named = [{**rule, "id": f"t/r{n}"} for n, rule in enumerate(found)]
    shuffled = random.sample(named, len(named))
    one, other = Bench(snapshot_of(*named)), Bench(snapshot_of(*shuffled))
    for _ in range(4):
        assert one.judge(HEARTBEAT, 5).to_record()["matches"] == other.judge(HEARTBEAT, 5).to_record()["matches"]
        assert one.judge(HEARTBEAT, 5).to_record()["rule"] == other.judge(HEARTBEAT, 5).to_record()["rule"]


def test_a_thousand_unrelated_rules_change_nothing():
    rule = {"id": "t/wanted", "match": {"action": "Heartbeat"}, "when": "msg.size > 1"}
    crowd = [
        {"match": {"action": "Reset", "direction": "to_station"}, "when": "payload.type == 'Hard'"} for _ in range(1000)
    ]
    alone, among = Bench(snapshot_of(rule)), Bench(snapshot_of(rule, *crowd))
    assert alone.judge(HEARTBEAT).to_record() == among.judge(HEARTBEAT).to_record()
    assert len(among.view.rules(Origin.CHARGE_POINT, Phase.CALL, "Heartbeat")) == 1


# -- errors


@pytest.mark.parametrize(("action", "passes"), [("deny", False), ("drop", False), ("answer", False), ("alert", True)])
def test_a_restrictive_rule_without_a_value_matches_and_says_where(action, passes):
    verdict = verdict_of({"action": action, "when": "facts.expiry > now"})
    assert verdict.passes is passes
    assert verdict.errors == (("t/0", "facts.expiry"),)
    assert bool(verdict.matches) is not passes


@pytest.mark.parametrize("payload", [{"expiryDate": "soon"}, {"expiryDate": 5}, {}])
def test_garbage_where_a_fact_comes_from_is_refused_and_raises_nothing(payload):
    message = Message(
        origin=Origin.CSMS, phase=Phase.CALL, action="ReserveNow", payload=payload, type=2, id="1", size=9
    )
    verdict = verdict_of({"match": {"action": "ReserveNow"}, "when": "facts.expiry > now"}, message=message)
    assert verdict.effect is Effect.DENY


def test_a_rule_may_say_that_errors_are_no_match():
    assert verdict_of({"when": "facts.expiry > now", "on_error": "no-match"}).passes


def test_a_counter_of_something_that_is_no_number_fails_closed():
    match = {"action": "DataTransfer", "version": "2.0.1"}
    rule = {"match": match, "sum": {"of": "payload.?data.orValue(0)", "max": 5, "window": "1m"}}
    for data, passes in [("x", False), (True, False), (3, True)]:
        message = call("DataTransfer", {"vendorId": "v", "data": data}, version="2.0.1")
        assert verdict_of(rule, message=message, session=session_of("2.0.1")).passes is passes


# -- modes, levels, rollout, static parts


def test_monitor_reports_what_would_have_happened():
    verdict = verdict_of({"mode": "monitor", "level": 2})
    assert verdict.passes
    assert verdict.to_record()["matches"][0]["would"] == "deny"


def test_off_is_not_even_evaluated():
    assert verdict_of({"mode": "off"}) is ALLOWED


@pytest.mark.parametrize(
    ("policy", "passes"),
    [
        (GroupPolicy(), False),
        (GroupPolicy(mode="monitor"), True),
        (GroupPolicy(level=1), True),
        (GroupPolicy(level=2), False),
        (GroupPolicy(modes={"t/0": "off"}), True),
        (GroupPolicy(mode="monitor", modes={"t/0": "enforce"}), False),
    ],
)
def test_a_site_has_the_last_word_per_group(policy, passes):
    site = SitePolicy(groups={"g": policy})
    assert verdict_of({"level": 2}, site=site).passes is passes
    assert not verdict_of({"level": 2}, site=site, session=session_of(group="other")).passes


def test_a_rollout_watches_the_rest_of_the_fleet():
    snapshot = snapshot_of({"rollout": {"percent": 25}})
    denied = [not Bench(snapshot, session_of(identity=f"CP-{n}")).judge(HEARTBEAT).passes for n in range(400)]
    assert 60 < sum(denied) < 140
    assert Bench(snapshot, session_of(identity="CP-0")).judge(HEARTBEAT).matches
    assert denied == [not Bench(snapshot, session_of(identity=f"CP-{n}")).judge(HEARTBEAT).passes for n in range(400)]


@pytest.mark.parametrize(
    ("match", "session", "matches"),
    [
        ({"identity": ["CP-A01"]}, {}, True),
        ({"identity": ["CP-B"]}, {}, False),
        ({"group": ["g"]}, {}, True),
        ({"vendor": ["V"]}, {"vendor": "V"}, True),
        ({"vendor": ["V"]}, {}, False),
        ({"security_profile": 2}, {}, True),
        ({"security_profile": [3]}, {}, False),
        ({"state": ["pending"]}, {"boot_state": "pending"}, True),
        ({"state": ["pending"]}, {"boot_state": "accepted"}, False),
        ({"version": "2.0.1"}, {}, False),
    ],
)
def test_static_parts(match, session, matches):
    assert bool(verdict_of({"match": {"action": "*", **match}}, session=session_of(**session)).matches) is matches


def test_a_change_of_the_registration_state_is_seen_at_once():
    bench = Bench(snapshot_of({"match": {"action": "*", "state": ["pending"]}}), session_of(boot_state="pending"))
    assert not bench.judge(HEARTBEAT).passes
    bench.session.boot_state = "accepted"
    assert bench.judge(HEARTBEAT).passes


def test_version_and_profile_of_a_session_compare_as_text_and_number():
    rule = {"when": "session.version == '1.6' && session.security_profile >= 2 && session.age >= duration('0s')"}
    assert not verdict_of(rule).passes
    assert verdict_of(rule, session=session_of(security_profile=SecurityProfile.BASIC)).passes


# -- exceptions

EXCEPTION = {"rule": "t/0", "match": {"group": "g"}, "until": "2026-06-30", "owner": "ops", "reason": "r"}


def test_an_exception_takes_a_charge_point_out_and_is_reported():
    verdict = verdict_of({}, exceptions=[EXCEPTION])
    assert verdict.passes
    assert verdict.matches[0].exception == "ops"
    assert not verdict_of({}, exceptions=[EXCEPTION], session=session_of(group="other")).passes


@pytest.mark.parametrize(("days", "passes"), [(180, True), (182, False)])
def test_an_exception_ends_with_its_last_day(days, passes):
    assert Bench(snapshot_of({}, exceptions=[EXCEPTION])).judge(HEARTBEAT, days * 86_400).passes is passes


def test_an_exception_with_a_condition():
    when = {**EXCEPTION, "match": {}, "when": "session.vendor == 'V'"}
    assert verdict_of({}, exceptions=[when], session=session_of(vendor="V")).passes
    assert not verdict_of({}, exceptions=[when]).passes


def test_who_is_excepted_uses_up_nobodys_budget():
    snapshot = snapshot_of({"rate": {"limit": "1/1m"}}, exceptions=[EXCEPTION])
    state = PolicyState()
    excepted, other = Bench(snapshot), Bench(snapshot, session_of(group="other"))
    excepted.state = other.state = state
    for _ in range(5):
        assert excepted.judge(HEARTBEAT).passes
    assert other.judge(HEARTBEAT).passes
    assert not other.judge(HEARTBEAT).passes
    assert excepted.judge(HEARTBEAT).matches[0].exception == "ops"


# -- counters


def test_a_rate_matches_only_above_its_limit():
    bench = Bench(snapshot_of({"rate": {"limit": "2/1m"}}))
    assert [bench.judge(HEARTBEAT, 1).passes for _ in range(4)] == [True, True, False, False]
    assert bench.judge(HEARTBEAT, 61).passes


def test_a_counter_is_spared_while_something_else_refuses():
    size = {"when": "msg.size > 30"}
    bench = Bench(snapshot_of(size, {"rate": {"limit": "1/1m"}}))
    long = call("Heartbeat", {}, number="0123456789")
    for _ in range(3):
        assert bench.judge(long).rule == "t/0"
    assert bench.judge(HEARTBEAT).passes
    assert bench.judge(HEARTBEAT).rule == "t/1"


def test_a_counter_of_attempts_counts_what_is_refused_as_well():
    bench = Bench(snapshot_of({"when": "msg.size > 30"}, {"rate": {"limit": "1/1m", "count": "attempts"}}))
    long = call("Heartbeat", {}, number="0123456789")
    bench.judge(long)
    assert [match.rule.id for match in bench.judge(long).matches] == ["t/0", "t/1"]


def test_keys_count_apart_and_long_ones_stay_apart():
    bench = Bench(
        snapshot_of({"match": {"action": "Authorize"}, "rate": {"key": ["facts.tokens[0]"], "limit": "1/1m"}})
    )
    for end in "ab":
        assert bench.judge(call("Authorize", {"idTag": "x" * 300 + end})).passes
    assert not bench.judge(call("Authorize", {"idTag": "x" * 300 + "a"})).passes


def test_a_limit_from_a_parameter_of_the_group():
    rule = {"rate": {"limit": "params.n", "window": "1m"}}
    params = {"n": {"type": "int", "default": 1}}
    site = SitePolicy(groups={"g": GroupPolicy(params={"n": 3})})
    bench = Bench(snapshot_of(rule, params=params, site=site))
    assert [bench.judge(HEARTBEAT).passes for _ in range(4)] == [True, True, True, False]
    other = Bench(snapshot_of(rule, params=params, site=site), session_of(group="other"))
    assert [other.judge(HEARTBEAT).passes for _ in range(2)] == [True, False]


def test_a_reload_that_does_not_touch_a_limit_does_not_reset_it():
    bench = Bench(snapshot_of({"rate": {"limit": "1/1m"}}, params={"x": {"type": "int", "default": 1}}))
    assert bench.judge(HEARTBEAT).passes
    bench.view = snapshot_of({"rate": {"limit": "1/1m"}}, params={"x": {"type": "int", "default": 2}}).view(
        bench.session
    )
    assert not bench.judge(HEARTBEAT).passes
    bench.view = snapshot_of({"rate": {"limit": "2/1m"}}).view(bench.session)
    assert bench.judge(HEARTBEAT).passes


# -- budgets of the fleet

BUDGET = {
    "match": {"action": "Reset"},
    "distinct": {"of": "session.identity", "by": ["fleet"], "max": 2, "window": "10m", "share_of_online": 0.1},
}


@pytest.mark.parametrize(("online", "passing"), [(1, 2), (20, 2), (50, 5)])
def test_a_fleet_budget_is_asked_and_settled(online, passing):
    snapshot, budgets, state = snapshot_of(BUDGET), FleetBudgets(), PolicyState()
    passed = 0
    for number in range(8):
        bench = Bench(snapshot, session_of(identity=f"CP-{number}"))
        verdict = bench.judge(RESET)
        assert verdict.passes
        verdict = settle(verdict, budgets.answers(verdict.asks, online, NOW), bench.session, state, NOW)
        passed += verdict.passes
    assert passed == passing


@pytest.mark.parametrize(("most", "online", "passing"), [(0, 1, 0), (0, 9, 0), (0, 30, 3), (1, 1, 1), (2, 9, 2)])
def test_a_fleet_budget_of_nothing_is_what_is_left_of_its_share(most, online, passing):
    counter = {"of": "session.identity", "by": ["fleet"], "max": "params.most", "window": "10m", "share_of_online": 0.1}
    rule = {"match": {"action": "Reset"}, "distinct": counter}
    snapshot, budgets = snapshot_of(rule, params={"most": {"type": "int", "default": most}}), FleetBudgets()
    asks = [Bench(snapshot, session_of(identity=f"CP-{number}")).judge(RESET).asks for number in range(8)]
    assert sum(budgets.keeps(ask, online, NOW) for (ask,) in asks) == passing


@pytest.mark.parametrize("most", [0, -1])
def test_a_rate_of_nothing_refuses_and_never_fails(most):
    rule = {"match": {"action": "Reset"}, "rate": {"key": ["session.identity"], "limit": "params.most", "window": "1m"}}
    bench = Bench(snapshot_of(rule, params={"most": {"type": "int", "default": most}}))
    assert [bench.judge(RESET, after=100.0).effect for _ in range(3)] == [Effect.DENY] * 3


def test_no_answer_from_control_refuses():
    bench = Bench(snapshot_of(BUDGET))
    assert settle(bench.judge(RESET), {}, bench.session, bench.state, NOW).effect is Effect.DENY
    alert = Bench(snapshot_of({**BUDGET, "action": "alert"}))
    assert settle(alert.judge(RESET), {}, alert.session, alert.state, NOW).passes


def test_a_budget_is_not_asked_for_what_is_refused_anyway():
    assert Bench(snapshot_of(BUDGET, {"match": {"action": "Reset"}})).judge(RESET).asks == ()


# -- throttle, quarantine, stance

THROTTLE = {
    "match": {"phase": "result", "direction": "to_station", "of": ["Authorize"]},
    "when": "facts.token_status == 'Invalid'",
    "rate": {"key": ["session.identity"], "limit": "2/10m"},
    "action": "throttle",
    "throttle": {"action": ["@authorize"], "limit": "1/1m", "for": "30m", "answer": {"status": "Invalid"}},
}


def refusal():
    request = Request("Authorize", {"idTag": "A"}, 5)
    return Message(
        origin=Origin.CSMS,
        phase=Phase.RESULT,
        action="Authorize",
        payload={"idTagInfo": {"status": "Invalid"}},
        type=3,
        id="1",
        size=9,
        request=request,
    )


def test_a_throttle_starts_with_the_match_and_ends_by_itself():
    bench, ask = Bench(snapshot_of(THROTTLE)), call("Authorize", {"idTag": "A"})
    for _ in range(2):
        assert bench.judge(refusal()).effect is None
        assert bench.judge(ask).passes
    started = bench.judge(refusal())
    assert (started.effect, started.passes) == (Effect.ALERT, True)
    assert bench.judge(ask, 1).passes
    throttled = bench.judge(ask, 1)
    assert (throttled.effect, throttled.rule, throttled.response.status) == (Effect.THROTTLE, "t/0", "Invalid")
    assert throttled.matches[0].rule.id == "t/0"
    assert bench.judge(HEARTBEAT, 1).passes
    assert bench.judge(ask, 60).passes
    assert bench.judge(ask, 1801).passes
    assert bench.judge(ask, 1).passes
    assert bench.state.throttles == {}


def test_a_throttle_ends_when_its_rule_is_switched_off():
    bench, ask = Bench(snapshot_of(THROTTLE)), call("Authorize", {"idTag": "A"})
    for _ in range(3):
        bench.judge(refusal())
    bench.judge(ask)
    assert not bench.judge(ask).passes
    bench.view = snapshot_of(THROTTLE, site=SitePolicy(everyone=GroupPolicy(mode="monitor"))).view(bench.session)
    assert bench.judge(ask).passes


def test_a_rule_without_a_counter_starts_its_throttle_too():
    bench, ask = (
        Bench(snapshot_of({key: value for key, value in THROTTLE.items() if key != "rate"})),
        call("Authorize", {"idTag": "A"}),
    )
    bench.judge(refusal())
    assert [bench.judge(ask).passes for _ in range(2)] == [True, False]


def test_watching_starts_neither_throttle_nor_quarantine():
    site = SitePolicy(everyone=GroupPolicy(mode="monitor"))
    bench = Bench(snapshot_of(THROTTLE, {"action": "quarantine"}, site=site))
    for _ in range(4):
        bench.judge(refusal())
    bench.judge(HEARTBEAT)
    assert (bench.state.throttles, bench.state.quarantined) == ({}, {})


@pytest.mark.parametrize("rule", [{"action": "quarantine"}, {"action": "alert", "then": ["quarantine"]}])
def test_quarantine_is_remembered(rule):
    bench = Bench(snapshot_of(rule))
    bench.judge(HEARTBEAT)
    assert bench.state.quarantined == {"CP-A01": "t/0"}


LISTED = SitePolicy(groups={"g": GroupPolicy(stance="allow-listed")})
ALLOW = {"match": {"action": "Heartbeat"}, "action": "allow", "tags": ["allow-listed"]}


def test_in_an_allow_listed_group_only_what_a_rule_allows_passes():
    bench = Bench(snapshot_of(ALLOW, site=LISTED))
    assert bench.judge(HEARTBEAT).passes
    assert bench.judge(RESET).rule == NOT_LISTED.id
    assert bench.judge(refusal()).passes, "answers belong to a call that was let through"
    start = call(
        "StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
    )
    assert bench.judge(start).passes, "billing data is never lost for want of a rule"
    assert Bench(snapshot_of(ALLOW, site=LISTED), session_of(group="other")).judge(RESET).passes


def test_allowing_overrules_no_refusal():
    assert verdict_of(ALLOW, {"severity": "info"}, site=LISTED).effect is Effect.DENY


# -- results and wrapped calls


def test_a_rule_on_results_reads_the_call_that_is_answered():
    match = {"phase": "result", "of": ["Authorize"], "version": "1.6"}
    rule = {"match": match, "when": "req.payload.idTag == 'A' && req.age_ms < 10 && 'A' in facts.asked_tokens"}
    assert not verdict_of(rule, message=refusal()).passes
    assert verdict_of(rule, message=call("Authorize", {"idTag": "A"})).passes


def test_the_iso_15118_tunnel_is_judged_by_the_rules_of_2_0_1():
    inner = '{"idToken":{"idToken":"LOST","type":"eMAID"}}'
    message = call(
        "DataTransfer", {"vendorId": "org.openchargealliance.iso15118pnc", "messageId": "Authorize", "data": inner}
    )
    newer = {"match": {"action": "Authorize", "version": "2.0.1"}, "when": "payload.idToken.idToken == 'LOST'"}
    assert not verdict_of(newer, message=message).passes
    assert verdict_of({"match": {"action": "DataTransfer"}}, message=message).passes


def test_two_packs_keep_their_parameters_apart():
    packs = []
    for name, limit in (("a", 1), ("b", 10_000)):
        pack = pack_of(
            {"id": f"{name}/x", "when": "msg.size > params.n"},
            params={"n": {"type": "int", "default": limit}},
            metadata={"name": name, "version": "1"},
        )
        packs.append(pack)
    session = session_of()
    view = Snapshot("r", packs, SitePolicy(), scopes()).view(session)
    verdict = decide(view, HEARTBEAT, Bench(snapshot_of()).transactions, PolicyState(), NOW)
    assert [match.rule.id for match in verdict.matches] == ["a/x"]


def test_rules_are_counted_with_their_evaluations_and_errors():
    erring = {"id": "a/errs", "when": "facts.expiry > now", "unless": "msg.size > 1", "action": "alert"}
    bench = Bench(snapshot_of(erring, {"id": "a/fine", "when": "msg.size > 100000"}))
    for _ in range(3):
        bench.judge(HEARTBEAT)
    tallies = bench.view.snapshot.tallies
    counted = {rule: (each.evaluations, each.errors) for rule, each in tallies.items()}
    assert counted == {"a/errs": (3, 3), "a/fine": (3, 0)}
