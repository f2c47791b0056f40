"""Ways around the judge that do not exist: reused ids, signed boots, tunnelled answers, SENDs, large messages."""

import base64
import json

import pytest

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.vocabulary import BootState, OCPPVersion, SecurityProfile
from gateway.policy.session import SessionFacts
from gateway.policy.snapshot import Snapshot
from gateway.relay.effects import (
    FORWARD,
    NOTHING,
    AskFleet,
    CloseBoth,
    Deliver,
    Effects,
    Forward,
    NoteRegistered,
    PauseReading,
    ReportEvent,
)
from gateway.relay.judge import Judge, PolicyInForce
from gateway.relay.lanes import LaneLimits
from gateway.relay.relay import Relay, RelayLimits
from tests.policy.build import snapshot_of
from tests.relay.scenario import CSMS, LIMITS, ChargePoint, Scenario, make_admission, report

V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
REUSED = report("rpc.id_reused", "low", "allow_alert", "an open message id with another action")


class Ruled(Scenario):
    """A relay under a snapshot of a few rules."""

    def __init__(self, snapshot: Snapshot, version: OCPPVersion, *, boot_state: BootState = "unknown") -> None:
        super().__init__(version)
        session = SessionFacts(
            identity="CP-1", group="", version=version, ip="127.0.0.1", security_profile=SecurityProfile(2)
        )
        self.policy = PolicyInForce(snapshot, schema_gate)
        self.judge = Judge(self.policy, session, boot_state=boot_state)
        self.relay = Relay(make_admission(), version, LIMITS, self.judge)


def names(effects: Effects) -> list[str]:
    return [effect.event for effect in effects if isinstance(effect, ReportEvent)]


# -- an id that two open calls have

NO_TOKENS = {
    "match": {"phase": "result", "of": ["Authorize"], "direction": "to_station"},
    "when": 'facts.token_status == "Accepted"',
    "action": "deny",
}
AUTHORIZE = ChargePoint('[2,"1","Authorize",{"idTag":"A"}]')
ACCEPTED = CSMS('[3,"1",{"idTagInfo":{"status":"Accepted"}}]')


def test_an_answer_that_may_belong_to_either_call_passes_only_if_it_may_as_both() -> None:
    with Ruled(snapshot_of(NO_TOKENS), V1_6) as scenario:
        scenario >> AUTHORIZE << FORWARD >> ChargePoint('[2,"1","Heartbeat",{}]') << (REUSED, Forward())
        scenario >> ACCEPTED
        effects = scenario.effects()
    assert not any(isinstance(effect, Forward) for effect in effects)
    assert any(isinstance(effect, Deliver) for effect in effects)


def test_an_answer_that_neither_rule_minds_passes() -> None:
    with Ruled(snapshot_of(NO_TOKENS), V1_6) as scenario:
        scenario >> AUTHORIZE << FORWARD >> ChargePoint('[2,"1","Heartbeat",{}]') << (REUSED, Forward())
        scenario >> CSMS('[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]')
        assert Forward() in scenario.effects()


def test_open_calls_of_the_other_side_push_nothing_out() -> None:
    with Ruled(snapshot_of(NO_TOKENS), V1_6) as scenario:
        scenario >> AUTHORIZE << FORWARD
        for number in range(100):
            scenario >> CSMS(f'[2,"c{number}","ClearCache",{{}}]')
            scenario.effects()
        scenario >> ACCEPTED
        assert not any(isinstance(effect, Forward) for effect in scenario.effects())


def test_in_1_6_an_answer_to_nobody_knows_what_is_no_registration() -> None:
    with Scenario(V1_6) as scenario:
        scenario >> AUTHORIZE << FORWARD >> ChargePoint('[2,"1","Heartbeat",{}]') << (REUSED, Forward())
        scenario >> CSMS('[3,"1",{}]') << FORWARD
        assert not scenario.relay.registered
        scenario >> ChargePoint('[2,"2","Heartbeat",{}]') << FORWARD
        scenario >> CSMS('[3,"2",{}]') << (Forward(), NoteRegistered())


@pytest.mark.parametrize("boot_first", [True, False])
def test_an_answer_that_may_be_somebody_elses_says_nothing_about_the_registration(boot_first: bool) -> None:
    calls = [
        ChargePoint('[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'),
        ChargePoint('[2,"1","DataTransfer",{"vendorId":"v"}]'),
    ]
    with Ruled(snapshot_of(NO_TOKENS), V1_6) as scenario:
        scenario >> calls[not boot_first] << FORWARD >> calls[boot_first] << (REUSED, Forward())
        scenario >> CSMS('[3,"1",{"status":"Rejected"}]')
        scenario.effects()
        assert scenario.judge.boot_state == "unknown"
        scenario >> ChargePoint('[2,"2","Heartbeat",{}]') << FORWARD  # and the charge point is not stranded


@pytest.mark.parametrize(("state", "registers"), [("pending", False), ("unknown", True)])
def test_who_was_held_back_before_the_reconnect_is_not_registered_by_any_answer(
    state: BootState, registers: bool
) -> None:
    with Ruled(snapshot_of(NO_TOKENS), V1_6, boot_state=state) as scenario:
        scenario >> ChargePoint('[2,"2","Heartbeat",{}]') << FORWARD
        scenario >> CSMS('[3,"2",{"currentTime":"2026-01-01T00:00:00Z"}]')
        scenario.effects()
        assert scenario.relay.registered is registers


# -- a signed BootNotification is one


def signed_boot(serial: str) -> ChargePoint:
    payload = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V", "serialNumber": serial}}
    text = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return ChargePoint(f'[2,"b","BootNotification-Signed",{{"payload":"{text}","protected":"e30","signature":""}}]')


@pytest.mark.requirement("B01.FR.12")
@pytest.mark.parametrize("version", [V2_0_1, V2_1])
def test_a_signed_boot_names_a_serial_number_too(version: OCPPVersion) -> None:
    with Scenario(version, expected_serial_number="SN-1") as scenario:
        scenario >> signed_boot("SN-2")
        assert CloseBoth(1008, "serial number") in scenario.effects()
    with Scenario(version, expected_serial_number="SN-1") as scenario:
        scenario >> signed_boot("SN-1") << FORWARD
        scenario >> CSMS('[3,"b",{"status":"Accepted"}]') << (Forward(), NoteRegistered("SN-1", "V", "M"))


# -- the answer in the tunnel

RESULT_RULE = {
    "match": {"phase": "result", "of": ["GetCertificateStatus"], "direction": "to_station"},
    "when": 'payload.status == "Accepted"',
    "action": "deny",
}
HASH = (
    '{"hashAlgorithm":"SHA256","issuerNameHash":"a","issuerKeyHash":"b","serialNumber":"1","responderURL":"http://o"}'
)


def tunnelled(data: str) -> ChargePoint:
    fields = {"vendorId": "org.openchargealliance.iso15118pnc", "messageId": "GetCertificateStatus", "data": data}
    return ChargePoint(json.dumps([2, "t", "DataTransfer", fields]))


def told(data: str | None, status: str = "Accepted") -> CSMS:
    return CSMS(json.dumps([3, "t", {"status": status, **({} if data is None else {"data": data})}]))


def test_a_rule_about_a_tunnelled_call_sees_the_answer_inside() -> None:
    for status, passes in (("Accepted", False), ("Failed", True)):
        with Ruled(snapshot_of(RESULT_RULE), V1_6) as scenario:
            scenario >> tunnelled('{"ocspRequestData":' + HASH + "}") << FORWARD
            scenario >> told(json.dumps({"status": status}))
            assert any(isinstance(effect, Forward) for effect in scenario.effects()) is passes


@pytest.mark.parametrize("data", [None, "", "no json", "[]"])
def test_an_answer_without_an_inside_is_no_violation(data: str | None) -> None:
    with Ruled(snapshot_of(RESULT_RULE | {"action": "alert", "when": "msg.size < 0"}), V1_6) as scenario:
        scenario >> tunnelled('{"ocspRequestData":' + HASH + "}") << FORWARD
        scenario >> told(data, "UnknownVendorId")
        effects = scenario.effects()
    assert Forward() in effects
    assert names(effects) == []


# -- budgets of the fleet hold for SENDs

SEND_BUDGET = {
    "match": {"phase": "send", "action": "NotifyPeriodicEventStream"},
    "action": "drop",
    "rate": {"limit": "10/1m", "by": ["fleet"]},
}


@pytest.mark.parametrize("kept", [True, False])
def test_a_send_waits_for_what_control_says_of_a_budget(kept: bool) -> None:
    send = '[6,"s","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"2026-01-01T00:00:00Z","data":[{"v":"1","t":0}]}]'
    with Ruled(snapshot_of(SEND_BUDGET), V2_1) as scenario:
        scenario >> ChargePoint(send)
        (ask,) = scenario.effects()
        assert isinstance(ask, AskFleet)
        answers = {each.rule.id: kept for each in ask.asks}
        effects = scenario.relay.answered(ask.ticket, answers, scenario.now)
    assert any(isinstance(effect, Forward) for effect in effects) is kept


def test_what_may_pass_without_an_answer_of_control_is_open_also_when_too_many_wait() -> None:
    alert = {
        "match": {"action": "DataTransfer", "direction": "to_csms"},
        "action": "alert",
        "rate": {"limit": "1000/1m", "by": ["fleet"]},
    }
    limits = RelayLimits(messages_per_s=100.0, messages_burst=1_000, flood_grace_s=5.0, calls=LaneLimits(max_open=64))
    with Ruled(snapshot_of(alert), V2_0_1) as scenario:
        scenario.relay = Relay(make_admission(), V2_0_1, limits, scenario.judge)
        passed = []
        for number in range(18):
            scenario >> ChargePoint(f'[2,"{number}","DataTransfer",{{"vendorId":"v"}}]')
            if Forward() in scenario.effects():
                passed.append(number)
        assert passed == [16, 17]
        for number in passed:
            scenario >> CSMS(f'[3,"{number}",{{"status":"Accepted"}}]')
            assert Forward() in scenario.effects()


# -- one message, one revision


def test_a_message_that_waits_for_control_is_recorded_under_the_policy_that_judged_it() -> None:
    old, new = (snapshot_of({**SEND_BUDGET, "event": "x.old"}, revision=name) for name in ("old", "new"))
    send = '[6,"s","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"2026-01-01T00:00:00Z","data":[{"v":"1","t":0}]}]'
    with Ruled(old, V2_1) as scenario:
        scenario >> ChargePoint(send)
        (ask,) = scenario.effects()
        assert isinstance(ask, AskFleet)
        scenario.policy.use(new)
        effects = scenario.relay.answered(ask.ticket, {each.rule.id: False for each in ask.asks}, scenario.now)
    assert {effect.revision for effect in effects if isinstance(effect, ReportEvent)} == {"old"}


# -- what a message costs grows with its size


def test_large_messages_use_up_the_rate_sooner() -> None:
    large = '[2,"{}","DataTransfer",{{"vendorId":"v","data":"' + "x" * 40_000 + '"}}]'
    with Scenario(V2_0_1) as scenario:
        slowed_at = 0
        for number in range(12):
            scenario >> ChargePoint(large.format(number))
            if any(isinstance(effect, PauseReading) for effect in scenario.effects()):
                slowed_at = slowed_at or number + 1
            scenario >> CSMS(f'[3,"{number}",{{}}]')
            scenario.effects()
    assert slowed_at == 11  # 100 at once, ten each
    with Scenario(V2_0_1) as scenario:
        for number in range(12):
            scenario >> ChargePoint(f'[2,"{number}","Heartbeat",{{}}]') << FORWARD
            scenario >> CSMS(f'[3,"{number}",{{}}]') << FORWARD
    assert NOTHING == ()
