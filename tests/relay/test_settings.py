"""The answer to a setting of the CSMS says what a charge point has taken; nobody else's answer does."""

from gateway.ocpp.vocabulary import SecurityProfile
from gateway.relay.effects import FORWARD, Forward, ProfileTaken
from tests.relay.scenario import CSMS, ChargePoint, Scenario

ASKED = '[2,"a","ChangeConfiguration",{"key":"SecurityProfile","value":"3"}]'
YES, NO = '[3,"a",{"status":"Accepted"}]', '[3,"a",{"status":"Rejected"}]'


def test_a_security_profile_that_a_charge_point_has_taken_is_told() -> None:
    with Scenario() as s:
        s >> CSMS(ASKED) << FORWARD
        s >> ChargePoint(YES) << (Forward(), ProfileTaken(SecurityProfile(3)))
        s >> CSMS(ASKED.replace('"a"', '"b"')) << FORWARD
        s >> ChargePoint(NO.replace('"a"', '"b"')) << FORWARD


def test_the_charge_point_cannot_give_itself_one() -> None:
    with Scenario() as s:
        s >> ChargePoint('[2,"boot","Heartbeat",{}]') << FORWARD
        s >> CSMS('[3,"boot",{}]')
        s.effects()  # registered
        s >> ChargePoint(ASKED) << FORWARD
        s >> CSMS(YES) << FORWARD
