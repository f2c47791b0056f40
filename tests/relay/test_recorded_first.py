"""Dangerous commands wait for their record: nothing of them happens before, also no refusal, and nothing overtakes them."""

import pytest

from gateway.ocpp.build import build_call_error
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import FORWARD, NOTHING, AwaitRecord, Effects, Forward, NoteRegistered, Reply, ReportEvent
from gateway.relay.judge import Judge
from gateway.relay.lanes import LaneLimits
from gateway.relay.relay import Relay, RelayLimits
from tests.relay.scenario import CSMS, LIMITS, ChargePoint, Scenario, make_admission, report
from tests.relay.test_judged import Judged, names

RESET = CSMS('[2,"r1","Reset",{"type":"Hard"}]')
READ = CSMS('[2,"g1","GetConfiguration",{}]')


def limits(*actions: str, calls: LaneLimits = LIMITS.calls) -> RelayLimits:
    return RelayLimits(
        messages_per_s=10.0, messages_burst=100, flood_grace_s=5.0, calls=calls, recorded_first=frozenset(actions)
    )


def script(*actions: str, version: OCPPVersion = OCPPVersion.V1_6) -> Scenario:
    return Scenario(version, limits=limits(*(actions or ("Reset",))))


def recorded(script: Scenario, ticket: int, *, may_go_on: bool = True) -> Effects:
    return script.relay.recorded(ticket, script.now, may_go_on=may_go_on)


def refusal(message_id: str) -> Reply:
    return Reply(build_call_error(OCPPVersion.V1_6, message_id, ErrorMeaning.SECURITY, "cannot be recorded"))


def test_a_dangerous_command_goes_on_when_the_log_has_it_and_its_answer_passes() -> None:
    with script() as s:
        s >> RESET << AwaitRecord(1, FORWARD)
        assert recorded(s, 1) is FORWARD
        s >> ChargePoint('[3,"r1",{"status":"Accepted"}]') << FORWARD
        assert recorded(s, 1) == NOTHING


def test_a_command_that_cannot_be_recorded_is_answered_and_never_forwarded() -> None:
    with script() as s:
        s >> RESET << AwaitRecord(1, FORWARD)
        assert recorded(s, 1, may_go_on=False) == (
            report("audit.command_refused", "high", "callerror", "Reset"),
            refusal("r1"),
        )
        # Nothing is open: an answer to it is nobody's.
        s >> ChargePoint('[3,"r1",{"status":"Accepted"}]') << report("rpc.unsolicited_result", "high", "drop")


def test_what_is_harmless_waits_for_nothing() -> None:
    with script() as s:
        s >> READ << FORWARD


def test_the_same_action_from_a_charge_point_waits_for_nothing() -> None:
    with script("DataTransfer") as s:
        s >> ChargePoint('[2,"d","DataTransfer",{"vendorId":"v"}]') << FORWARD
        s >> CSMS('[2,"d","DataTransfer",{"vendorId":"v"}]') << AwaitRecord(1, FORWARD)


def test_a_signed_command_is_what_it_signs() -> None:
    with script(version=OCPPVersion.V2_0_1) as s:
        s >> CSMS('[2,"r1","Reset-Signed",{"signature":"","payload":""}]')
        (effect,) = s.effects()
        assert isinstance(effect, AwaitRecord)


def test_a_harmless_call_does_not_overtake_a_command_that_waits_and_later_ones_do_not_wait() -> None:
    with script() as s:
        s >> RESET << AwaitRecord(1, FORWARD)
        s >> READ << AwaitRecord(2, FORWARD)
        assert recorded(s, 1) is FORWARD
        assert recorded(s, 2) is FORWARD
        s >> CSMS('[2,"g2","GetConfiguration",{}]') << FORWARD


def test_the_charge_point_is_heard_meanwhile() -> None:
    with script() as s:
        s >> RESET << AwaitRecord(1, FORWARD)
        s >> ChargePoint('[2,"1","Heartbeat",{}]') << FORWARD
        s >> CSMS('[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]') << (Forward(), NoteRegistered())


def test_a_command_that_comes_when_another_one_is_open_waits_its_turn_after_its_record() -> None:
    with Scenario(limits=limits("Reset", calls=LaneLimits(max_open=1))) as s:
        s >> READ << FORWARD
        s >> RESET << AwaitRecord(1, FORWARD)
        assert recorded(s, 1) == NOTHING
        s >> ChargePoint('[3,"g1",{}]') << (Forward(), Reply(str(RESET).encode()))


def test_the_time_for_an_answer_begins_when_the_command_goes_on() -> None:
    with Scenario(limits=limits("Reset", calls=LaneLimits(max_open=1, call_timeout_s=30.0))) as s:
        s >> RESET << AwaitRecord(1, FORWARD)
        s.now += 29.0
        assert recorded(s, 1) is FORWARD
        s.now += 2.0
        s >> READ << NOTHING  # else the command would count as timed out, and make way


@pytest.mark.parametrize("may_go_on", [True, False])
def test_a_command_that_is_refused_hears_so_when_the_log_has_it_or_cannot_have_it(may_go_on: bool) -> None:
    with Judged() as s:
        s.relay = Relay(make_admission(), s.session.version, limits("Reset"), Judge(s.policy, s.session))
        s >> CSMS('[2,"r1","Reset",{"type":"Harder"}]')
        (effect,) = s.effects()
        assert isinstance(effect, AwaitRecord)
        assert names(effect.then) == ["schema.violation"]
        assert recorded(s, effect.ticket, may_go_on=may_go_on) == effect.then
        s >> CSMS('[2,"g1","GetConfiguration",{"key":7}]')
        assert names(s.effects()) == ["schema.violation"]


def test_too_many_at_once_are_refused() -> None:
    with script() as s:
        for number in range(16):
            s >> CSMS(f'[2,"r{number}","Reset",{{"type":"Hard"}}]')
            assert isinstance(s.effects()[0], AwaitRecord)
        s >> CSMS('[2,"r16","Reset",{"type":"Hard"}]')
        event, reply = s.effects()
        assert isinstance(event, ReportEvent)
        assert event.event == "rpc.too_many_pending"
        assert isinstance(reply, Reply)
