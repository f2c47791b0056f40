"""Passwords of the CSMS: held until control has them, refused if it has not; what the charge point says is passed on."""

import json
from typing import Any

import msgspec
import pytest

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import FORWARD, Forward, LearnPassword, PasswordAnswered, Reply
from gateway.relay.lanes import LaneLimits
from tests.relay.scenario import CSMS, LIMITS, ChargePoint, Scenario, report

V2 = OCPPVersion.V2_0_1
KEY = "00112233445566778899AABBCCDDEEFF"
ASKED = f'[2,"a","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{KEY}"}}]'
OTHER = '[2,"b","ChangeConfiguration",{"key":"HeartbeatInterval","value":"5"}]'
WHY = "ChangeConfiguration by the CSMS: it could not be remembered"


def variables(*passwords: str) -> str:
    names: dict[str, Any] = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    return json.dumps(
        [2, "a", "SetVariables", {"setVariableData": [{**names, "attributeValue": p} for p in passwords]}]
    )


def test_it_goes_on_when_control_has_it() -> None:
    with Scenario() as s:
        s >> CSMS(ASKED) << LearnPassword(1, KEY)
        assert s.relay.password_noted(1, s.now, stored=True) == (Forward(),)
        assert s.relay.password_noted(1, s.now, stored=True) == ()


@pytest.mark.requirement("A01.FR.04")
def test_it_is_refused_when_control_will_not_have_it() -> None:
    with Scenario() as s:
        s >> CSMS(ASKED) << LearnPassword(1, KEY)
        assert s.relay.password_noted(1, s.now, stored=False) == (
            report("password.not_learnt", "high", "answer", WHY),
            Reply(b'[3,"a",{"status":"Rejected"}]'),
        )
        s >> ChargePoint('[3,"a",{"status":"Accepted"}]') << report("rpc.unsolicited_result", "high", "drop")


@pytest.mark.parametrize(("status", "outcome"), [("Accepted", "accepted"), ("Rejected", "refused")])
def test_the_answer_goes_on_and_says_what_became_of_it(status: str, outcome: Any) -> None:
    with Scenario() as s:
        s >> CSMS(ASKED) << LearnPassword(1, KEY)
        s.relay.password_noted(1, s.now, stored=True)
        s >> ChargePoint(f'[3,"a",{{"status":"{status}"}}]') << (Forward(), PasswordAnswered(outcome))


def test_other_settings_go_on_at_once_and_their_answers_say_nothing() -> None:
    with Scenario() as s:
        s >> CSMS(OTHER) << FORWARD
        s >> ChargePoint('[3,"b",{"status":"Accepted"}]') << FORWARD


def test_the_charge_point_cannot_set_its_own() -> None:
    with Scenario() as s:
        s >> ChargePoint(ASKED) << FORWARD


def test_it_waits_its_turn_behind_a_call_that_is_on_its_way() -> None:
    one_at_a_time = msgspec.structs.replace(LIMITS, calls=LaneLimits())
    with Scenario(limits=one_at_a_time) as s:
        s >> CSMS('[2,"0","ClearCache",{}]') << FORWARD
        s >> CSMS(ASKED) << LearnPassword(1, KEY)
        assert s.relay.password_noted(1, s.now, stored=True) == ()
        s >> ChargePoint('[3,"0",{"status":"Accepted"}]') << (Forward(), Reply(ASKED.encode()))


def test_two_different_ones_in_one_call_are_refused_whole() -> None:
    with Scenario(V2) as s:
        effects = s.relay.from_csms(variables("a" * 16, "b" * 16).encode(), s.now)
        assert [type(effect).__name__ for effect in effects] == ["ReportEvent", "Reply"]
        assert isinstance(effects[1], Reply)
        said = json.loads(effects[1].text)[2]["setVariableResult"]
        assert [each["attributeStatus"] for each in said] == ["Rejected", "Rejected"]
    with Scenario(V2) as s:
        s >> CSMS(variables("a" * 16, "a" * 16)) << LearnPassword(1, "a" * 16)


def test_so_many_at_once_are_too_many() -> None:
    with Scenario() as s:
        for number in range(4):
            s >> CSMS(ASKED.replace('"a"', f'"{number}"')) << LearnPassword(number + 1, KEY)
        effects = s.relay.from_csms(ASKED.encode(), s.now)
        assert effects[-1] == Reply(b'[3,"a",{"status":"Rejected"}]')


def test_an_error_says_nothing_about_it() -> None:
    with Scenario() as s:
        s >> CSMS(ASKED) << LearnPassword(1, KEY)
        s.relay.password_noted(1, s.now, stored=True)
        s >> ChargePoint('[4,"a","InternalError","",{}]') << FORWARD


def test_no_password_is_in_a_repr() -> None:
    assert KEY not in repr(LearnPassword(1, KEY))
