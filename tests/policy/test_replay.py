import json

import pytest

from gateway.policy.recording import RecordingInvalid, read_recorded
from gateway.policy.replay import replay
from gateway.policy.site import Gates, GroupPolicy, SitePolicy
from tests.policy.build import NOW, snapshot_of


def frame(number, text, origin="csms", identity="CP-1", group="g", **more):
    line = {
        "time": NOW + number,
        "identity": identity,
        "group": group,
        "version": "1.6",
        "security_profile": 2,
        "origin": origin,
        "text": text,
        **more,
    }
    return read_recorded(json.dumps(line).encode())


RESETS = [frame(n, f'[2,"{n}","Reset",{{"type":"Hard"}}]', identity=f"CP-{n % 2}") for n in range(6)]
NOTHING = snapshot_of(revision="now")
DENY = {"match": {"action": "Reset"}}


def test_new_denies_are_counted_and_shown():
    result = replay(RESETS, NOTHING, snapshot_of(DENY, revision="then"))
    assert (result.messages, result.new_denies, result.new_allows, result.share_denied) == (6, 6, 0, 1.0)
    assert (result.denies[0].candidate, result.denies[0].current, result.denies[0].line) == ("deny t/0", "allow", 1)
    assert [(d.rule, d.action, d.group, d.identity, d.current, d.candidate) for d in result.deltas] == [
        ("t/0", "Reset", "g", "CP-0", 0, 3),
        ("t/0", "Reset", "g", "CP-1", 0, 3),
    ]
    assert result.by_rule() == {"t/0": (0, 6)}


def test_new_allows_are_the_other_way_round():
    result = replay(RESETS, snapshot_of(DENY), NOTHING)
    assert (result.new_denies, result.new_allows) == (0, 6)


def test_the_same_policy_changes_nothing():
    result = replay(RESETS, snapshot_of(DENY), snapshot_of(DENY))
    assert (result.new_denies, result.new_allows, result.deltas) == (0, 0, ())


def test_from_watching_to_enforcing_is_a_delta_and_a_deny():
    result = replay(RESETS, snapshot_of({**DENY, "mode": "monitor", "level": 2}), snapshot_of({**DENY, "level": 2}))
    assert (result.deltas[0].current, result.deltas[0].candidate) == (3, 3)
    assert (result.deltas[0].current_enforced, result.deltas[0].candidate_enforced) == (0, 3)
    assert result.new_denies == 6


@pytest.mark.parametrize(
    ("match", "gates"),
    [
        ({"event": "schema.violation", "would": "callerror"}, Gates(schema="enforce")),
        ({"event": "rpc.direction", "effect": "callerror"}, Gates()),
        ({"event": "rpc.unknown_action", "effect": "callerror"}, Gates()),
        ({"event": "state.not_accepted", "would": "callerror"}, Gates()),
        ({"event": "schema.oversize", "would": "callerror"}, Gates(sizes="enforce")),
    ],
)
def test_what_gates_had_to_say_counts_by_the_mode_that_a_policy_gives_them(match, gates):
    watching = SitePolicy(everyone=GroupPolicy(gates=Gates(direction="monitor", state="monitor", sizes="monitor")))
    enforcing = SitePolicy(groups={"g": GroupPolicy(gates=gates)})
    now, then = (snapshot_of({**DENY, "action": "alert"}, site=site) for site in (watching, enforcing))
    frames = [frame(1, '[2,"1","Reset",{"type":"Hard"}]', matches=[match]), frame(2, '[2,"2","Reset",{"type":"Hard"}]')]
    result = replay(frames, now, then)
    assert (result.messages, result.new_denies, result.new_allows) == (2, 1, 0)
    assert (result.denies[0].candidate, result.denies[0].current) == (f"gate {match['event']}", "allow")
    (gate, rule) = result.deltas
    assert (gate.rule, gate.current, gate.candidate, gate.candidate_enforced) == (match["event"], 1, 1, 1)
    assert (rule.rule, rule.current, rule.candidate) == ("t/0", 2, 1)
    assert replay(frames, then, now).new_allows == 1


def test_what_a_rule_or_the_schema_of_an_answer_had_to_say_is_no_gate():
    enforcing = snapshot_of(site=SitePolicy(everyone=GroupPolicy(gates=Gates(schema="enforce"))))
    said = [{"event": "schema.violation", "would": "callerror"}]
    of_a_rule = [{**said[0], "rule": "sanity/list-caps"}]
    frames = [
        frame(1, '[2,"1","Reset",{"type":"Hard"}]', matches=of_a_rule),
        frame(2, '[3,"1",{"status":"Odd"}]', origin="charge-point", matches=said),
    ]
    result = replay(frames, NOTHING, enforcing)
    assert (result.messages, result.new_denies, result.deltas) == (2, 0, ())


def test_the_clock_is_that_of_the_recording():
    limit = snapshot_of({**DENY, "rate": {"key": ["session.identity"], "limit": "1/3s"}})
    assert replay(RESETS, NOTHING, limit).new_denies == 2
    slow = [frame(n * 60, f'[2,"{n}","Reset",{{"type":"Hard"}}]') for n in range(6)]
    assert replay(slow, NOTHING, limit).new_denies == 0


def test_a_replay_twice_is_the_same():
    limit = snapshot_of({**DENY, "distinct": {"of": "session.identity", "by": ["fleet"], "max": 1, "window": "1h"}})
    first = replay(RESETS, NOTHING, limit)
    assert first == replay(RESETS, NOTHING, limit)
    assert first.new_denies == 3


def test_a_refusal_does_not_change_what_was_recorded_behind_it():
    talk = [
        frame(0, '[2,"1","Authorize",{"idTag":"A"}]', "charge-point"),
        frame(1, '[3,"1",{"idTagInfo":{"status":"Invalid"}}]'),
        frame(2, '[3,"nobody asked",{}]'),
    ]
    refuse = {"match": {"action": "Authorize"}}
    see = {
        "match": {"phase": "result", "of": ["Authorize"]},
        "when": "facts.token_status == 'Invalid'",
        "action": "alert",
    }
    result = replay(talk, NOTHING, snapshot_of(refuse, see))
    assert result.by_rule() == {"t/0": (0, 1), "t/1": (0, 1)}
    assert (result.messages, result.unjudged) == (2, 1)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"vendor": "V", "online": 5}, True),
        ({"origin": "gateway"}, False),
        ({"version": "1.7"}, False),
        ({"security_profile": 0}, False),
        ({"extra": 1}, False),
    ],
)
def test_lines_are_read_strictly(change, fits):
    if fits:
        assert frame(0, "[]", **change).time == NOW
        return
    line = {
        "time": 0,
        "identity": "C",
        "group": "g",
        "version": "1.6",
        "security_profile": 2,
        "origin": "csms",
        "text": "",
        **change,
    }
    with pytest.raises(RecordingInvalid):
        read_recorded(json.dumps(line).encode())


BOOT = '[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M","chargePointSerialNumber":"SN-9"}]'
ANSWER = '[3,"b",{"status":"%s","currentTime":"2026-01-01T00:00:00Z","interval":300}]'


def boots(status="Accepted", boot=BOOT, **more):
    return [frame(0, boot, "charge-point", **more), frame(1, ANSWER % status, **more), frame(2, RESET_TEXT, **more)]


RESET_TEXT = '[2,"9","Reset",{"type":"Hard"}]'
OF_MODEL = {"match": {"action": "Reset", "vendor": "V", "model": "M"}}
OF_SERIAL = {**DENY, "when": "session.serial == 'SN-9'"}


@pytest.mark.parametrize("rule", [OF_MODEL, OF_SERIAL])
@pytest.mark.parametrize(
    ("frames", "fires"),
    [
        (boots(), True),
        (boots("Rejected"), False),
        (boots(boot=BOOT.replace("SN-9", "****").replace('"M"', '"*"')), False),
        (boots(vendor="V", model="M", serial="SN-9", boot=BOOT.replace("SN-9", "other").replace('"M"', '"N"')), True),
        (boots(model="N", serial="other"), False),
        ([frame(0, RESET_TEXT)], False),
        ([frame(0, RESET_TEXT), frame(1, RESET_TEXT, vendor="V", model="M", serial="SN-9")], True),
    ],
)
def test_who_a_charge_point_is_is_what_the_recording_and_its_boots_say(rule, frames, fires):
    assert replay(frames, NOTHING, snapshot_of(rule)).new_denies == fires


def test_an_identity_is_no_serial_number():
    rule = {**DENY, "when": "session.serial == session.identity"}
    assert replay([frame(0, RESET_TEXT)], NOTHING, snapshot_of(rule)).new_denies == 0
    assert replay([frame(0, RESET_TEXT, serial="CP-1")], NOTHING, snapshot_of(rule)).new_denies == 1
