from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.policy.rules import Phase
from gateway.policy.snapshot import in_rollout
from tests.policy.build import session_of, snapshot_of

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
    assert len(view._rules) == 1000


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
