"""Gates and rules in the relay, as scenarios: what is refused, what is only reported, and what passes beside it."""

import base64
import copy
import json

import pytest

from gateway.config.ocpp_schemas import schema_gate
from gateway.config.policy_packs import load_bundle
from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from gateway.policy.session import SessionFacts
from gateway.policy.site import Gates, GroupPolicy, SitePolicy
from gateway.policy.site_sizes import SizeRule
from gateway.relay.effects import FORWARD, NOTHING, AskFleet, Effects, Forward, NoteBootState, ReportEvent
from gateway.relay.judge import Judge, PolicyInForce
from gateway.relay.relay import Relay
from tests.relay.scenario import CSMS, LIMITS, ChargePoint, Scenario, Wait, make_admission

NOW = 1_767_225_600.0
V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
STRICT = SitePolicy(everyone=GroupPolicy(gates=Gates(schema="enforce")))
START = '[2,"s1","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"}]'
STARTED = '[3,"s1",{"transactionId":7,"idTagInfo":{"status":"Accepted"}}]'


class Judged(Scenario):
    """A relay with gates and rules."""

    def __init__(
        self, version: OCPPVersion = V1_6, *packs: str, site: SitePolicy = STRICT, state: str = "unknown"
    ) -> None:
        super().__init__(version)
        self.policy = PolicyInForce(load_bundle(packs or ("baseline",), site, now=NOW).snapshot(), schema_gate)
        self.session = SessionFacts(
            identity="CP-1", group="", version=version, ip="127.0.0.1", security_profile=SecurityProfile(2)
        )
        self.session.boot_state = state.replace("unknown", "none")
        self.reconnect(state)

    def reconnect(self, state: str = "unknown") -> None:
        """Another session of the same charge point, judged by the same worker."""
        self.session = copy.copy(self.session)
        judge = Judge(self.policy, self.session, boot_state=state)
        self.relay = Relay(make_admission(), self.session.version, LIMITS, judge)


def names(effects: Effects) -> list[str]:
    return [effect.event for effect in effects if isinstance(effect, ReportEvent)]


# -- replays


def test_a_start_that_comes_again_after_its_answer_is_a_replay() -> None:
    with Scenario() as scenario:
        scenario >> ChargePoint(START) << FORWARD >> CSMS(STARTED)
        scenario.effects()
        scenario >> ChargePoint(START)
        effects = scenario.effects()
    assert names(effects) == ["rpc.replay"]
    assert b'[4,"s1","SecurityError"' in effects[-1].text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "again",
    [START.replace('"s1"', '"s2"'), START.replace('"meterStart":0', '"meterStart":1')],
    ids=["another id", "another content"],
)
def test_what_differs_from_the_answered_call_passes(again: str) -> None:
    with Scenario() as scenario:
        scenario >> ChargePoint(START) << FORWARD >> CSMS(STARTED)
        scenario.effects()
        scenario >> ChargePoint(again) << FORWARD


def test_a_retry_of_a_call_without_an_answer_passes() -> None:
    with Scenario() as scenario:
        scenario >> ChargePoint(START) << FORWARD >> Wait(31) << NOTHING >> ChargePoint(START) << FORWARD


def test_ids_of_what_carries_no_billing_data_may_come_again() -> None:
    """Counters of small firmware wrap."""
    with Scenario() as scenario:
        for _ in range(3):
            scenario >> ChargePoint('[2,"1","Heartbeat",{}]') << FORWARD
            scenario >> CSMS('[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]')
            scenario.effects()


# -- registration


def answered(scenario: Judged, status: str) -> Effects:
    scenario >> ChargePoint('[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]')
    scenario.effects()
    scenario >> CSMS(f'[3,"b",{{"status":"{status}","currentTime":"2026-01-01T00:00:00Z","interval":60}}]')
    return scenario.effects()


def test_what_restricts_a_charge_point_is_noted_when_it_begins_and_when_it_ends_and_not_in_between() -> None:
    with Judged() as scenario:
        noted = [
            [effect for effect in answered(scenario, status) if isinstance(effect, NoteBootState)]
            for status in ("Accepted", "Pending", "Pending", "Rejected", "Nonsense", "Accepted", "Accepted")
        ]
    states = [[effect.state for effect in effects] for effects in noted]
    assert states == [[], ["pending"], [], ["rejected"], [], ["accepted"], []]


def test_the_answer_that_restricts_a_charge_point_goes_on_to_it() -> None:
    with Judged() as scenario:
        effects = answered(scenario, "Pending")
    assert [type(effect) for effect in effects] == [NoteBootState, Forward]


@pytest.mark.parametrize(
    ("state", "frame", "passes"),
    [
        ("rejected", ChargePoint('[2,"1","Heartbeat",{}]'), False),
        ("rejected", ChargePoint('[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'), True),
        ("rejected", CSMS('[2,"1","Reset",{"type":"Soft"}]'), False),
        ("pending", ChargePoint('[2,"1","Heartbeat",{}]'), True),
        ("pending", CSMS('[2,"1","RemoteStartTransaction",{"idTag":"A"}]'), False),
        ("pending", CSMS('[2,"1","Reset",{"type":"Soft"}]'), True),
        ("unknown", ChargePoint('[2,"1","Heartbeat",{}]'), True),
        ("unknown", CSMS('[2,"1","RemoteStartTransaction",{"idTag":"A"}]'), True),
    ],
)
def test_a_session_begins_in_the_state_in_which_the_one_before_it_ended(state: str, frame: str, passes: bool) -> None:
    with Judged(state=state) as scenario:
        scenario >> frame  # type: ignore[operator]
        effects = scenario.effects()
    assert (effects is FORWARD) is passes
    assert (names(effects) == ["state.not_accepted"]) is not passes


def test_a_session_that_begins_restricted_is_free_once_the_csms_accepts() -> None:
    with Judged(state="rejected") as scenario:
        assert NoteBootState("accepted") in answered(scenario, "Accepted")
        scenario >> ChargePoint('[2,"h","Heartbeat",{}]') << FORWARD


# -- probing


def fuzz(scenario: Judged, actions: int, *, pause: float = 0.0) -> list[str]:
    found = []
    for number in range(actions):
        scenario >> ChargePoint(f'[2,"f{number}","Fuzz{number}",{{}}]')
        effects = scenario.effects()
        assert b"NotImplemented" in effects[-1].text  # type: ignore[union-attr]
        found += names(effects)
        scenario.now += pause
    return found


def test_twenty_different_unknown_actions_in_a_minute_are_reported_once_as_fuzzing() -> None:
    with Judged() as scenario:
        assert fuzz(scenario, 19).count("rpc.fuzzing") == 0
        assert fuzz(scenario, 50).count("rpc.fuzzing") == 1


def test_the_same_unknown_action_again_and_again_or_a_few_now_and_then_are_no_fuzzing() -> None:
    with Judged() as scenario:
        assert fuzz(scenario, 40, pause=4.0).count("rpc.fuzzing") == 0
        for number in range(30):
            scenario >> ChargePoint(f'[2,"v{number}","VendorThing",{{}}]')
            assert "rpc.fuzzing" not in names(scenario.effects())


# -- wrappers and keys


def signed(inner: str) -> str:
    text = base64.urlsafe_b64encode(inner.encode()).decode().rstrip("=")
    return f'[2,"g1","UpdateFirmware-Signed",{{"payload":"{text}","protected":"e30","signature":""}}]'


@pytest.mark.parametrize("version", list(OCPPVersion))
@pytest.mark.parametrize("inner", ['{"x":1}', "{", '{"a":1,"a":2}'])
def test_a_signed_call_that_hides_something_else_is_a_matter_of_security(version: OCPPVersion, inner: str) -> None:
    with Judged(version) as scenario:
        scenario >> CSMS(signed(inner))
        effects = scenario.effects()
    assert "policy.denied" in names(effects)
    assert b"SecurityError" in effects[-1].text  # type: ignore[union-attr]


def test_a_signed_call_that_is_what_it_says_passes() -> None:
    inner = '{"requestId":1,"firmware":{"location":"https://fw.example/1","retrieveDateTime":"2026-01-01T00:00:00Z"}}'
    with Judged(V2_0_1) as scenario:
        scenario >> CSMS(signed(inner)) << FORWARD


@pytest.mark.parametrize(("key", "told"), [("__proto__", True), ("constructor", True), ("protocol", False)])
def test_keys_that_rebuild_objects_are_named(key: str, told: bool) -> None:
    with Judged() as scenario:
        scenario >> ChargePoint(f'[2,"z","DataTransfer",{{"vendorId":"v","{key}":{{"x":1}}}}]')
        effects = scenario.effects()
    assert ("json.suspicious_key" in names(effects)) is told
    assert "schema.violation" in names(effects)


# -- set-points


def limit(amps: int, connector: int = 1) -> CSMS:
    schedule = f'{{"chargingRateUnit":"A","chargingSchedulePeriod":[{{"startPeriod":0,"limit":{amps}}}]}}'
    profile = (
        '{"chargingProfileId":1,"stackLevel":0,"chargingProfilePurpose":"TxDefaultProfile",'
        f'"chargingProfileKind":"Relative","chargingSchedule":{schedule}}}'
    )
    return CSMS(f'[2,"p","SetChargingProfile",{{"connectorId":{connector},"csChargingProfiles":{profile}}}]')


def swing(scenario: Judged, command: CSMS, answer: str = "Accepted") -> float:
    """What a command draws on the budget of the fleet, which control says is kept. The charge point answers."""
    scenario >> command
    effects, amount = scenario.effects(), 0.0
    if isinstance(effects[-1], AskFleet):
        amount = sum(abs(ask.amount) for ask in effects[-1].asks if ask.rule.id == "fleet/swing")
        kept = {ask.rule.id: True for ask in effects[-1].asks}
        assert any(
            isinstance(each, Forward) for each in scenario.relay.answered(effects[-1].ticket, kept, scenario.now)
        )
    scenario >> ChargePoint(f'[3,"p",{{"status":"{answer}"}}]')
    assert any(isinstance(each, Forward) for each in scenario.effects())
    return amount


def test_a_csms_that_closes_connections_between_commands_hides_no_swing() -> None:
    with Judged(V1_6, "fleet") as scenario:
        amounts = []
        for amps in (32, 0, 32, 32, 0):
            amounts.append(swing(scenario, limit(amps)))
            scenario.reconnect()
    assert amounts == [22_080, 22_080, 22_080, 0, 22_080]


def test_every_connector_has_its_own_swing_and_what_is_not_accepted_has_none() -> None:
    with Judged(V1_6, "fleet") as scenario:
        assert [swing(scenario, limit(32, connector)) for connector in (1, 2, 1, 2)] == [22_080, 22_080, 0, 0]
        assert swing(scenario, limit(0), "Rejected") == 22_080
        assert swing(scenario, limit(32)) == 0


def test_a_set_point_of_which_nothing_is_known_counts_as_a_full_swing_unless_nothing_can_be_charging() -> None:
    with Judged(V1_6, "fleet") as scenario:
        assert swing(scenario, limit(0)) == 11_000
    with Judged(V1_6, "fleet") as scenario:
        answered(scenario, "Accepted")
        assert swing(scenario, limit(16)) == 0
        assert swing(scenario, limit(0)) == 11_040
    with Judged(V1_6, "fleet") as scenario:
        answered(scenario, "Accepted")
        scenario >> ChargePoint(START) << FORWARD >> CSMS(STARTED)
        scenario.effects()
        assert swing(scenario, limit(0)) == 11_000


# -- quarantine


def test_no_command_reaches_a_charge_point_in_quarantine_and_its_own_calls_pass() -> None:
    with Judged() as scenario:
        scenario.policy.state.quarantined["CP-1"] = "site/rule"
        scenario >> CSMS('[2,"r","Reset",{"type":"Soft"}]')
        effects = scenario.effects()
        assert names(effects) == ["policy.quarantined"]
        assert b"SecurityError" in effects[-1].text  # type: ignore[union-attr]
        scenario >> ChargePoint('[2,"h","Heartbeat",{}]') << FORWARD
        scenario >> CSMS('[3,"h",{"currentTime":"2026-01-01T00:00:00Z"}]')
        assert Forward() in scenario.effects()
        scenario.policy.state.quarantined.clear()
        scenario >> CSMS('[2,"r","Reset",{"type":"Soft"}]') << FORWARD


# -- budgets that answers draw on


def refused_card(scenario: Judged) -> AskFleet:
    scenario >> ChargePoint('[2,"a","Authorize",{"idTag":"0412AB"}]') << FORWARD
    scenario >> CSMS('[3,"a",{"idTagInfo":{"status":"Invalid"}}]')
    effects = scenario.effects()
    assert Forward() in effects
    (ask,) = [effect for effect in effects if isinstance(effect, AskFleet)]
    return ask


@pytest.mark.parametrize("kept", [True, False])
def test_an_answer_goes_on_at_once_and_is_reported_if_the_budget_of_the_fleet_was_used_up(kept: bool) -> None:
    with Judged(V1_6, "tokens") as scenario:
        ask = refused_card(scenario)
        answers = dict.fromkeys((each.rule.id for each in ask.asks), kept)
        effects = scenario.relay.answered(ask.ticket, answers, scenario.now)
    assert names(effects) == ([] if kept else ["token.distributed_bruteforce"])
    assert all(isinstance(effect, ReportEvent) for effect in effects)


def boot(number: int) -> str:
    return f'[2,"b{number}","BootNotification",{{"chargePointVendor":"v","chargePointModel":"m"}}]'


def pending(number: int, interval: int) -> str:
    return f'[3,"b{number}",{{"status":"Pending","currentTime":"2026-01-01T00:00:00Z","interval":{interval}}}]'


def test_a_boot_at_the_time_that_was_told_is_no_flood_also_over_another_connection_and_one_that_does_not_wait_is() -> (
    None
):
    scenario = Judged()
    with scenario:
        for number in range(40):
            scenario >> ChargePoint(boot(number))
            assert Forward() in scenario.effects(), number
            scenario >> CSMS(pending(number, 10))
            scenario.effects()
            scenario >> Wait(10.0)
            if number % 2:
                scenario.reconnect("pending")
        scenario >> ChargePoint(boot(100)) << FORWARD >> CSMS(pending(100, 3_600)) << FORWARD
        passed, effects = 0, NOTHING
        for number in range(101, 140):
            scenario >> Wait(5.0) >> ChargePoint(boot(number))
            effects = scenario.effects()
            passed += Forward() in effects
            if Forward() in effects:
                scenario >> CSMS(pending(number, 3_600))
                scenario.effects()
        assert passed == 19, "the very first one counts: nothing had been told"
        assert names(effects) == ["state.boot_flood", "policy.denied"]


# -- sizes


LARGE = "x" * 20_000


def sized(mode: str = "enforce", **rules: SizeRule) -> SitePolicy:
    return SitePolicy(everyone=GroupPolicy(gates=Gates(sizes=mode), sizes=rules))  # type: ignore[arg-type]


def test_what_is_larger_than_its_schema_can_be_is_refused_and_near_misses_pass() -> None:
    with Judged(site=sized()) as scenario:
        scenario >> ChargePoint(f'[2,"1","Heartbeat",{{"custom":"{LARGE}"}}]')
        refused = scenario.effects()
        assert names(refused) == ["schema.oversize"]
        assert b'[4,"1","OccurenceConstraintViolation","too large for this action",{}]' in refused[-1].text  # type: ignore[union-attr]
        scenario >> ChargePoint('[2,"2","Heartbeat",{"custom":[' + ",".join(["1"] * 101) + "]}]")
        assert names(scenario.effects()) == ["schema.oversize"]
        scenario >> ChargePoint('[2,"3","Heartbeat",{"custom":[' + ",".join(["1"] * 100) + "]}]")
        assert Forward() in scenario.effects()


def test_a_gate_that_watches_lets_it_pass_and_tells() -> None:
    with Judged(site=sized("monitor")) as scenario:
        scenario >> ChargePoint(f'[2,"1","Heartbeat",{{"custom":"{LARGE}"}}]')
        effects = scenario.effects()
    assert Forward() in effects
    assert [each.decision for each in effects if isinstance(each, ReportEvent) and each.event == "schema.oversize"] == [
        "would:callerror"
    ]


def test_billing_data_is_never_too_large_unless_the_site_says_so() -> None:
    stop = '[2,"1","StopTransaction",{"transactionId":7,"meterStop":9,"timestamp":"2026-01-01T00:00:00Z","transactionData":[%s]}]'
    value = '{"timestamp":"2026-01-01T00:00:00Z","sampledValue":[{"value":"1"}]}'
    text = stop % ",".join([value] * 3_000)
    with Judged(site=sized()) as scenario:
        scenario >> ChargePoint(text)
        assert Forward() in scenario.effects()
    with Judged(site=sized(StopTransaction=SizeRule(items=1_000))) as scenario:
        scenario >> ChargePoint(text)
        assert names(scenario.effects()) == ["schema.oversize"]


def test_an_answer_is_held_to_its_own_size_and_whoever_asked_hears_an_error() -> None:
    answer = json.dumps([3, "1", {"configurationKey": [{"key": "k", "readonly": True}] * 50}])
    for rule, passes in (
        (SizeRule(answer_items=49), False),
        (SizeRule(answer_items=50), True),
        (SizeRule(items=1), True),
    ):
        with Judged(site=sized(GetConfiguration=rule)) as scenario:
            scenario >> CSMS('[2,"1","GetConfiguration",{}]') << FORWARD >> ChargePoint(answer)
            effects = scenario.effects()
        assert (Forward() in effects) is passes
        assert names(effects) == ([] if passes else ["schema.oversize"])
        if not passes:
            assert effects[-1].text.startswith(b'[4,"1","SecurityError"')  # type: ignore[union-attr]


def test_a_limit_holds_for_the_call_inside_too() -> None:
    inner = json.dumps({"csr": "A" * 600})
    tunnel = {"vendorId": "org.openchargealliance.iso15118pnc", "messageId": "SignCertificate", "data": inner}
    for most, passes in ((500, False), (2_000, True)):
        with Judged(site=sized(SignCertificate=SizeRule(bytes=most))) as scenario:
            scenario >> ChargePoint(json.dumps([2, "1", "DataTransfer", tunnel]))
            assert ("schema.oversize" in names(scenario.effects())) is not passes
