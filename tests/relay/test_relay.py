"""The relay as scenarios: who hears what, and what never passes."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.ocpp.codec import MalformedFrame, decode
from gateway.ocpp.frames import Call, CallError, CallResult, CallResultError, Frame, Send
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import (
    FORWARD,
    NOTHING,
    CloseBoth,
    Deliver,
    Effect,
    Effects,
    Forward,
    NoteRegistered,
    PauseReading,
    Reply,
    ReportEvent,
)
from gateway.relay.lanes import LaneLimits
from gateway.relay.relay import RelayLimits
from tests.relay.scenario import CSMS, LIMITS, ChargePoint, Scenario, Wait, report

V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
VERSIONS = pytest.mark.parametrize("version", list(OCPPVersion))
V2_X = pytest.mark.parametrize("version", [V2_0_1, V2_1])

HEARTBEAT = ChargePoint('[2,"h1","Heartbeat",{}]')
TIME = CSMS('[3,"h1",{"currentTime":"2026-01-01T00:00:00Z"}]')
RESET = CSMS('[2,"r1","Reset",{"type":"Soft"}]')
DONE = ChargePoint('[3,"r1",{"status":"Accepted"}]')
UNSOLICITED = report("rpc.unsolicited_result", "high", "drop")


def registered(version: OCPPVersion = V2_0_1, limits: RelayLimits = LIMITS) -> Scenario:
    """A session whose charge point has been accepted."""
    scenario = Scenario(version, limits=limits)
    scenario >> ChargePoint('[2,"b","BootNotification",{}]') << FORWARD
    scenario >> CSMS('[3,"b",{"status":"Accepted"}]') << (Forward(), NoteRegistered())
    return scenario


# -- correlation


@VERSIONS
def test_a_call_and_its_result_pass_in_both_directions(version: OCPPVersion) -> None:
    with registered(version) as scenario:
        scenario >> HEARTBEAT << FORWARD >> TIME << FORWARD
        scenario >> RESET << FORWARD >> DONE << FORWARD


@VERSIONS
def test_an_error_answers_a_call_like_a_result(version: OCPPVersion) -> None:
    with registered(version) as scenario:
        scenario >> RESET << FORWARD >> ChargePoint('[4,"r1","NotSupported","",{}]') << FORWARD
        scenario >> HEARTBEAT << FORWARD >> CSMS('[4,"h1","InternalError","later",{"a":1}]') << FORWARD
        scenario >> DONE << UNSOLICITED >> TIME << UNSOLICITED


@VERSIONS
@pytest.mark.parametrize("sender", [ChargePoint, CSMS])
@pytest.mark.parametrize("text", ['[3,"never-asked",{"status":"Accepted"}]', '[4,"never-asked","GenericError","",{}]'])
def test_an_answer_that_nobody_waits_for_is_dropped(
    version: OCPPVersion, sender: type[ChargePoint] | type[CSMS], text: str
) -> None:
    with Scenario(version) as scenario:
        scenario >> sender(text) << UNSOLICITED


def test_a_second_answer_is_one_too_many() -> None:
    with registered() as scenario:
        scenario >> HEARTBEAT << FORWARD >> TIME << FORWARD >> TIME << UNSOLICITED


def test_nobody_answers_a_call_of_their_own() -> None:
    with registered() as scenario:
        scenario >> HEARTBEAT << FORWARD >> ChargePoint(TIME) << UNSOLICITED >> TIME << FORWARD
        scenario >> RESET << FORWARD >> CSMS(DONE) << UNSOLICITED >> DONE << FORWARD


def test_crossing_calls_of_the_same_id_are_both_answered() -> None:
    with registered() as scenario:
        scenario >> ChargePoint('[2,"1","Heartbeat",{}]') << FORWARD
        scenario >> CSMS('[2,"1","Reset",{"type":"Soft"}]') << FORWARD
        scenario >> ChargePoint('[3,"1",{"status":"Accepted"}]') << FORWARD
        scenario >> ChargePoint('[3,"1",{"status":"Accepted"}]') << UNSOLICITED
        scenario >> CSMS('[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]') << FORWARD


def test_ids_are_compared_as_text_and_not_as_bytes() -> None:
    with registered() as scenario:
        scenario >> ChargePoint('[2,"\\u0041","Heartbeat",{}]') << FORWARD >> CSMS('[3,"a",{}]') << UNSOLICITED
        scenario >> CSMS('[3,"A",{}]') << FORWARD


def test_a_retry_under_the_same_id_passes_and_gets_one_answer() -> None:
    with registered() as scenario:
        scenario >> HEARTBEAT << FORWARD >> Wait(30) << NOTHING >> HEARTBEAT << FORWARD
        scenario >> TIME << FORWARD >> TIME << UNSOLICITED


def test_an_id_may_be_used_again_once_its_call_is_answered() -> None:
    with registered() as scenario:
        scenario >> HEARTBEAT << FORWARD >> TIME << FORWARD
        scenario >> ChargePoint('[2,"h1","StatusNotification",{}]') << FORWARD >> CSMS('[3,"h1",{}]') << FORWARD


def test_another_action_under_an_open_id_passes_and_is_reported() -> None:
    reused = report("rpc.id_reused", "low", "allow_alert", "an open message id with another action")
    with registered() as scenario:
        scenario >> HEARTBEAT << FORWARD
        scenario >> ChargePoint('[2,"h1","StatusNotification",{}]') << (reused, Forward())
        scenario >> TIME << FORWARD >> TIME << UNSOLICITED
        scenario >> RESET << FORWARD >> CSMS('[2,"r1","ClearCache",{}]') << (reused, Forward()) >> DONE << FORWARD


def test_an_answer_after_ten_minutes_is_too_late_and_one_before_is_not() -> None:
    with registered() as scenario:
        scenario >> HEARTBEAT << FORWARD >> Wait(600) << NOTHING >> TIME << FORWARD
        scenario >> HEARTBEAT << FORWARD >> Wait(600.5) << NOTHING >> TIME << UNSOLICITED
        scenario >> RESET << FORWARD >> Wait(600.5) << NOTHING >> DONE << UNSOLICITED
        scenario >> RESET << FORWARD >> Wait(601) << NOTHING
        scenario >> ChargePoint('[4,"r1","GenericError","",{}]') << UNSOLICITED


@V2_X
def test_the_news_that_something_was_unreadable_is_no_alarm_and_goes_no_further(version: OCPPVersion) -> None:
    unreadable = report("rpc.unsolicited_result", "low", "drop", "the peer could not read a message")
    with Scenario(version) as scenario:
        scenario >> CSMS('[4,"-1","RpcFrameworkError","",{}]') << unreadable
        scenario >> ChargePoint('[4,"-1","RpcFrameworkError","",{}]') << unreadable
        scenario >> ChargePoint('[3,"-1",{}]') << UNSOLICITED
    with Scenario(V1_6) as scenario:
        scenario >> CSMS('[4,"-1","GenericError","",{}]') << UNSOLICITED


def test_a_call_that_is_really_named_minus_one_is_answered_like_any_other() -> None:
    with registered() as scenario:
        scenario >> ChargePoint('[2,"-1","Heartbeat",{}]') << FORWARD
        scenario >> CSMS('[4,"-1","InternalError","",{}]') << FORWARD


# -- many open calls


@VERSIONS
def test_more_open_calls_than_the_limit_are_answered_by_the_gateway(version: OCPPVersion) -> None:
    too_many = report("rpc.too_many_pending", "medium", "callerror")
    with registered(version) as scenario:
        for at in range(4):
            scenario >> CSMS(f'[2,"{at}","Reset",{{}}]') << FORWARD
        (
            scenario
            >> CSMS('[2,"4","Reset",{}]')
            << (
                too_many,
                Reply(b'[4,"4","GenericError","too many open calls",{}]'),
            )
        )
        scenario >> ChargePoint('[3,"4",{}]') << UNSOLICITED
        scenario >> HEARTBEAT << FORWARD
        scenario >> CSMS('[2,"3","Reset",{}]') << FORWARD  # a retry opens nothing new
        scenario >> ChargePoint('[3,"0",{}]') << FORWARD >> CSMS('[2,"4","Reset",{}]') << FORWARD


def test_calls_that_will_not_be_answered_any_more_make_room() -> None:
    with registered() as scenario:
        for at in range(4):
            scenario >> CSMS(f'[2,"{at}","Reset",{{}}]') << FORWARD >> Wait(300) << NOTHING
        scenario >> CSMS('[2,"4","Reset",{}]') << FORWARD
        scenario >> ChargePoint('[3,"0",{}]') << UNSOLICITED >> ChargePoint('[3,"3",{}]') << FORWARD


# -- the message types of 2.1


def test_a_send_passes_without_an_answer() -> None:
    with registered(V2_1) as scenario:
        scenario >> ChargePoint('[6,"s","NotifyPeriodicEventStream",{"id":1}]') << FORWARD
        scenario >> CSMS('[3,"s",{}]') << UNSOLICITED


@pytest.mark.parametrize("version", [V1_6, V2_0_1])
def test_a_send_is_ignored_before_2_1(version: OCPPVersion) -> None:
    with Scenario(version) as scenario:
        (
            scenario
            >> ChargePoint('[6,"s","NotifyPeriodicEventStream",{"id":1}]')
            << report("rpc.message_type", "medium", "drop", "message type of OCPP 2.1")
        )


def test_a_result_may_be_refused_once_by_whoever_had_asked() -> None:
    refusal = '[5,"h1","FormatViolation","",{}]'
    with registered(V2_1) as scenario:
        scenario >> HEARTBEAT << FORWARD >> ChargePoint(refusal) << UNSOLICITED
        scenario >> TIME << FORWARD >> CSMS(refusal) << UNSOLICITED
        scenario >> ChargePoint(refusal) << FORWARD >> ChargePoint(refusal) << UNSOLICITED
    refusal = '[5,"r1","FormatViolation","",{}]'
    with registered(V2_1) as scenario:
        scenario >> RESET << FORWARD >> DONE << FORWARD >> ChargePoint(refusal) << UNSOLICITED
        scenario >> CSMS(refusal) << FORWARD


def test_an_error_cannot_be_refused_like_a_result() -> None:
    with registered(V2_1) as scenario:
        scenario >> HEARTBEAT << FORWARD >> CSMS('[4,"h1","InternalError","",{}]') << FORWARD
        scenario >> ChargePoint('[5,"h1","FormatViolation","",{}]') << UNSOLICITED


def test_only_the_last_results_can_be_refused() -> None:
    with registered(V2_1) as scenario:
        for at in range(5):
            scenario >> ChargePoint(f'[2,"{at}","Heartbeat",{{}}]') << FORWARD >> CSMS(f'[3,"{at}",{{}}]') << FORWARD
        scenario >> ChargePoint('[5,"0","FormatViolation","",{}]') << UNSOLICITED
        scenario >> ChargePoint('[5,"1","FormatViolation","",{}]') << FORWARD
        scenario >> ChargePoint('[5,"4","FormatViolation","",{}]') << FORWARD


# -- errors that are not what they should be


SANITIZED = report("rpc.error_sanitized", "medium", "sanitize")


@pytest.mark.parametrize(
    ("error", "instead"),
    [
        ('"<script>","fine",{}', b'"GenericError","fine",{}'),
        ('"","",{}', b'"GenericError","",{}'),
        (
            '"SecurityError","\\u001b]0;pwn\\u0007 line1\\r\\nCRITICAL",{"d":"AAAA"}',
            b'"SecurityError","]0;pwn line1CRITICAL",{}',
        ),
        ('"SecurityError","' + "A" * 256 + '",{}', b'"SecurityError","' + b"A" * 255 + b'",{}'),
        ('"NotSupported","x",{"d":"' + "A" * 1_020 + '"}', b'"NotSupported","x",{}'),
    ],
)
def test_an_error_that_could_forge_or_fill_a_log_arrives_cleaned(error: str, instead: bytes) -> None:
    with registered() as scenario:
        scenario >> RESET << FORWARD
        scenario >> ChargePoint(f'[4,"r1",{error}]') << (SANITIZED, Deliver(b'[4,"r1",' + instead + b"]"))
        scenario >> DONE << UNSOLICITED


@pytest.mark.parametrize(
    "error",
    [
        '"OccurenceConstraintViolation","",{}',
        '"FormatViolation","zu groß: 3 €",{"max":1.10}',
        '"GenericError","' + "A" * 255 + '",{"d":"' + "A" * 1_000 + '"}',
    ],
)
def test_an_error_of_any_spelling_within_the_limits_passes_as_it_is(error: str) -> None:
    for version in OCPPVersion:
        with registered(version) as scenario:
            scenario >> RESET << FORWARD >> ChargePoint(f'[4,"r1",{error}]') << FORWARD


def test_a_refused_result_is_cleaned_like_an_error() -> None:
    with registered(V2_1) as scenario:
        scenario >> HEARTBEAT << FORWARD >> TIME << FORWARD
        (
            scenario
            >> ChargePoint('[5,"h1","Oops","a\\nb",{}]')
            << (
                SANITIZED,
                Deliver(b'[5,"h1","GenericError","ab",{}]'),
            )
        )


# -- malformed frames (requirements 1.7)


def dropped(event: str, detail: str) -> ReportEvent:
    return report(event, "medium", "drop", detail)


def answered(event: str, detail: str) -> ReportEvent:
    return report(event, "medium", "callerror", detail)


@pytest.mark.parametrize("sender", [ChargePoint, CSMS])
@pytest.mark.parametrize("text", ["not json", "[]", '{"2":"x"}', '["2","x","Heartbeat",{}]'])
def test_what_is_no_frame_is_answered_with_an_id_nobody_waits_for(
    sender: type[ChargePoint] | type[CSMS], text: str
) -> None:
    detail = "not valid JSON" if text == "not json" else "not the shape of a frame"
    for version, code in ((V1_6, "FormationViolation"), (V2_0_1, "RpcFrameworkError"), (V2_1, "RpcFrameworkError")):
        reply = Reply(f'[4,"-1","{code}","not an OCPP-J message",{{}}]'.encode())
        with Scenario(version) as scenario:
            scenario >> sender(text) << (answered("rpc.malformed", detail), reply)
            # Whoever gets it knows no such call, and what he may say to it changes nothing.
            scenario >> sender('[3,"-1",{}]') << UNSOLICITED


@pytest.mark.parametrize(
    "text", ['[2,"","Heartbeat",{}]', '[2,17,"Heartbeat",{}]', '[2,"a\\r\\nFORGED","Heartbeat",{}]']
)
def test_a_call_without_a_usable_id_is_answered_with_that_of_the_standard(text: str) -> None:
    with Scenario(V2_0_1) as scenario:
        scenario >> ChargePoint(text)
        event, reply = scenario.effects()
    assert isinstance(event, ReportEvent)
    assert event.event == "rpc.message_id"
    assert reply == Reply(b'[4,"-1","RpcFrameworkError","not an OCPP-J message",{}]')


@pytest.mark.parametrize(
    ("payload", "event", "code_1_6", "code_2_x", "detail"),
    [
        (
            '{"a":1,"a":2}',
            "json.duplicate_key",
            "FormationViolation",
            "FormatViolation",
            "a key stands twice in one object",
        ),
        ("null", "rpc.malformed", "FormationViolation", "FormatViolation", "payload is not an object"),
        (
            '{"a":9007199254740993}',
            "json.number_range",
            "PropertyConstraintViolation",
            "PropertyConstraintViolation",
            "integer beyond 2**53",
        ),
        ('{"a":NaN}', "json.malformed", "FormationViolation", "RpcFrameworkError", "NaN or Infinity"),
        ("{}}", "rpc.malformed", "FormationViolation", "RpcFrameworkError", "not valid JSON"),
        ("{},1", "rpc.malformed", "FormationViolation", "RpcFrameworkError", "not the shape of a frame"),
    ],
)
def test_a_malformed_call_is_answered_in_the_spelling_of_its_version(
    payload: str, event: str, code_1_6: str, code_2_x: str, detail: str
) -> None:
    for version, code in ((V1_6, code_1_6), (V2_0_1, code_2_x), (V2_1, code_2_x)):
        with registered(version) as scenario:
            reply = Reply(f'[4,"m1","{code}","{detail}",{{}}]'.encode())
            scenario >> ChargePoint(f'[2,"m1","Authorize",{payload}]') << (answered(event, detail), reply)
            scenario >> CSMS('[3,"m1",{"status":"Accepted"}]') << UNSOLICITED


@VERSIONS
def test_a_call_of_an_impossible_action_is_not_implemented(version: OCPPVersion) -> None:
    with Scenario(version) as scenario:
        (
            scenario
            >> CSMS('[2,"k3","Re\u200bset",{}]')
            << (
                answered("rpc.unknown_action", "not the name of an action"),
                Reply(b'[4,"k3","NotImplemented","not the name of an action",{}]'),
            )
        )


@VERSIONS
def test_an_unknown_message_type_is_ignored(version: OCPPVersion) -> None:
    with Scenario(version) as scenario:
        scenario >> ChargePoint('[7,"x","Heartbeat",{}]') << dropped("rpc.message_type", "unknown message type")


@VERSIONS
@pytest.mark.parametrize(
    "text", ['[3,"",{}]', '[3,"x",[]]', '[4,"x","c","d",{"a":1,"a":1}]', '[3,"x",{"a":NaN}]', '[6,"x","y"]', '[5,"x"]']
)
def test_an_answer_with_a_bad_payload_that_nobody_waits_for_is_never_answered(version: OCPPVersion, text: str) -> None:
    with Scenario(version) as scenario:
        scenario >> CSMS(text)
        (event,) = scenario.effects()
    assert isinstance(event, ReportEvent)
    assert event.decision == "drop"


@VERSIONS
@pytest.mark.parametrize("text", ['[3,"x"]', '[4,"x","c","d"]', '[3,"x"', '[4,"x","InternalError"]'])
def test_what_only_begins_like_an_answer_is_answered_with_an_id_nobody_waits_for(
    version: OCPPVersion, text: str
) -> None:
    with registered(version) as scenario:
        # The charge point has a call of that id open: it must not take this for its answer.
        scenario >> ChargePoint('[2,"x","Heartbeat",{}]') << FORWARD >> ChargePoint(text)
        event, reply = scenario.effects()
        assert isinstance(event, ReportEvent)
        assert event.decision == "callerror"
        assert isinstance(reply, Reply)
        assert reply.text.startswith(b'[4,"-1",')
        scenario >> CSMS('[3,"x",{}]') << FORWARD


@pytest.mark.parametrize(
    "text", ['[3,"r1",{"a":1,"a":1}]', '[3,"r1",null]', '[3,"r1"]', '[3,"r1",{}}', '[4,"r1","c","d",{},1]']
)
def test_whoever_waits_for_a_malformed_answer_hears_that_it_came(text: str) -> None:
    is_result = text.startswith("[3")
    for version, code in ((V1_6, "FormationViolation"), (V2_0_1, "FormatViolation"), (V2_1, "FormatViolation")):
        with registered(version) as scenario:
            scenario >> RESET << FORWARD >> ChargePoint(text)
            event, *rest = scenario.effects()
            assert isinstance(event, ReportEvent)
            assert event.decision == "drop"
            instead = Deliver(f'[4,"r1","{code}","the answer was malformed",{{}}]'.encode())
            # FR.06: in 2.1 the sender of a result that cannot be used hears it too.
            refusal = Reply(f'[5,"r1","{code}","{event.detail}",{{}}]'.encode())
            assert rest == ([instead, refusal] if version is V2_1 and is_result else [instead])
            scenario >> DONE << UNSOLICITED


def test_a_charge_point_that_waits_hears_of_a_malformed_answer_of_the_csms() -> None:
    with registered(V1_6) as scenario:
        scenario >> ChargePoint('[2,"t","StartTransaction",{}]') << FORWARD
        (
            scenario
            >> CSMS('[3,"t",{"transactionId":9007199254740993}]')
            << (
                dropped("json.number_range", "integer beyond 2**53"),
                Deliver(b'[4,"t","FormationViolation","the answer was malformed",{}]'),
            )
        )


def test_a_malformed_answer_after_ten_minutes_is_of_no_interest() -> None:
    with registered() as scenario:
        scenario >> RESET << FORWARD >> Wait(601) << NOTHING
        scenario >> ChargePoint('[3,"r1",null]') << dropped("rpc.malformed", "payload is not an object")


@pytest.mark.parametrize("sender", [ChargePoint, CSMS])
def test_a_peer_that_goes_on_sending_malformed_frames_is_given_up(sender: type[ChargePoint] | type[CSMS]) -> None:
    ignored = dropped("rpc.message_type", "unknown message type")
    with Scenario() as scenario:
        for _ in range(20):
            scenario >> sender('[7,"x"]') << ignored
        scenario >> Wait(59) << NOTHING
        scenario >> sender('[7,"x"]') << (ignored, CloseBoth(1008, "malformed messages"))


def test_twenty_malformed_frames_a_minute_are_borne_for_ever_and_each_side_has_its_own_count() -> None:
    ignored = dropped("rpc.message_type", "unknown message type")
    with Scenario() as scenario:
        for _ in range(3):
            for _ in range(20):
                scenario >> ChargePoint('[7,"x"]') << ignored >> CSMS('[7,"x"]') << ignored
            scenario >> Wait(60.5) << NOTHING


# -- flood (WS-19)


FLOOD = report("rpc.flood", "high", "rate_limit", "reading slowed down")
WENT_ON = (report("rpc.flood", "high", "ws_close", "went on above the limit"), CloseBoth(1008, "message rate"))


def spend_the_burst(scenario: Scenario) -> None:
    """98 more messages on top of the one that `registered` has used, and one of them left."""
    for at in range(98):
        scenario >> ChargePoint(f'[2,"f{at}","Heartbeat",{{}}]') << FORWARD >> CSMS(f'[3,"f{at}",{{}}]') << FORWARD


def test_a_burst_passes_and_what_comes_on_top_slows_reading_down() -> None:
    with registered() as scenario:
        spend_the_burst(scenario)
        scenario >> HEARTBEAT << FORWARD
        scenario >> ChargePoint('[2,"a","Heartbeat",{}]') << (Forward(), FLOOD, PauseReading(0.1))
        scenario >> ChargePoint('[2,"b","Heartbeat",{}]') << (Forward(), PauseReading(0.2))
        scenario >> TIME << FORWARD >> Wait(0.4) << NOTHING
        scenario >> ChargePoint('[2,"c","Heartbeat",{}]') << FORWARD


def test_answers_count_too_and_messages_of_the_csms_do_not() -> None:
    with registered() as scenario:
        spend_the_burst(scenario)
        scenario >> HEARTBEAT << FORWARD
        for at in range(150):
            scenario >> CSMS(f'[3,"x{at}",{{}}]') << UNSOLICITED
        scenario >> RESET << FORWARD >> DONE << (Forward(), FLOOD, PauseReading(0.1))


@pytest.mark.parametrize("action", ["Heartbeat", "Authorize", "BootNotification"])
def test_who_goes_on_above_the_rate_is_closed_and_the_call_is_answered_not_forwarded(action: str) -> None:
    with registered() as scenario:
        spend_the_burst(scenario)
        scenario >> HEARTBEAT << FORWARD >> TIME << FORWARD
        for at in range(60):
            scenario >> ChargePoint(f'[3,"x{at}",{{}}]')
            scenario.effects()
        scenario >> Wait(5.1) << NOTHING
        (
            scenario
            >> ChargePoint(f'[2,"z","{action}",{{}}]')
            << (
                Reply(b'[4,"z","GenericError","message rate exceeded",{}]'),
                *WENT_ON,
            )
        )
        scenario >> CSMS('[3,"z",{"status":"Accepted"}]') << UNSOLICITED


@pytest.mark.parametrize(
    "text",
    [
        '[2,"t","StopTransaction",{}]',
        '[2,"t","StartTransaction",{}]',
        '[2,"t","TransactionEvent",{}]',
        '[2,"t","MeterValues",{}]',
        '[3,"r1",{"status":"Accepted"}]',
    ],
)
def test_what_costs_revenue_is_forwarded_even_then(text: str) -> None:
    with registered() as scenario:
        scenario >> RESET << FORWARD
        spend_the_burst(scenario)
        for at in range(60):
            scenario >> ChargePoint(f'[3,"x{at}",{{}}]')
            scenario.effects()
        scenario >> Wait(5.1) << NOTHING
        scenario >> ChargePoint(text) << (Forward(), *WENT_ON)


def test_who_stops_in_time_begins_a_new_episode() -> None:
    with registered() as scenario:
        spend_the_burst(scenario)
        scenario >> HEARTBEAT << FORWARD >> TIME << FORWARD
        scenario >> HEARTBEAT << (Forward(), FLOOD, PauseReading(0.1)) >> TIME << FORWARD
        scenario >> Wait(5.0) << NOTHING >> HEARTBEAT << FORWARD >> TIME << FORWARD
        scenario >> Wait(3.0) << NOTHING >> HEARTBEAT << FORWARD >> TIME << FORWARD
        for _ in range(77):
            scenario >> HEARTBEAT << FORWARD >> TIME << FORWARD
        scenario >> HEARTBEAT << (Forward(), FLOOD, PauseReading(0.1)) >> TIME << FORWARD


def test_a_refusal_is_not_lost_when_it_comes_in_a_flood() -> None:
    scenario = Scenario(V2_0_1, expected_serial_number="SN-1")
    with scenario:
        for at in range(160):
            scenario >> ChargePoint(f'[3,"x{at}",{{}}]')
            scenario.effects()
        scenario >> Wait(5.1) << NOTHING
        scenario >> ChargePoint('[2,"b","BootNotification",{"chargingStation":{"serialNumber":"SN-2"}}]')
        effects = scenario.effects()
    assert "identity.serial_mismatch" in [each.event for each in effects if isinstance(each, ReportEvent)]
    assert Forward() not in effects


@pytest.mark.parametrize(("serial", "version"), [("SN-2", V1_6), ("SN-1", V1_6), ("SN-1", V2_0_1)])
def test_a_report_beside_a_call_does_not_keep_it_from_its_answer(serial: str, version: OCPPVersion) -> None:
    differs = (report("identity.serial_differs", "low", "allow_alert"), Forward())
    field = f'"chargePointSerialNumber":"{serial}","chargingStation":{{"serialNumber":"{serial}"}}'
    with Scenario(version, expected_serial_number="SN-1") as scenario:
        scenario >> ChargePoint(f'[2,"b","BootNotification",{{{field}}}]') << (FORWARD if serial == "SN-1" else differs)
        scenario >> CSMS('[3,"b",{"status":"Pending"}]') << FORWARD
        scenario >> CSMS('[3,"b",{"status":"Pending"}]') << UNSOLICITED


# -- any order of anything


IDS = st.sampled_from(["1", "2", "3", "-1"])
ACTIONS = st.sampled_from(["Heartbeat", "BootNotification", "MeterValues", "DataTransfer"])
PAYLOADS = st.sampled_from(["{}", '{"status":"Accepted"}', '{"a":1,"a":1}', "null", "{", '{"a":"\\n"}'])


@st.composite
def texts(draw: st.DrawFn) -> str:
    number = draw(st.sampled_from([2, 2, 3, 3, 4, 5, 6, 7]))
    words = {
        2: f'"{draw(ACTIONS)}",',
        6: f'"{draw(ACTIONS)}",',
        4: '"GenericError","",',
        5: draw(st.sampled_from(['"FormatViolation","",', '"Oops","\\u0007",'])),
    }
    return f'[{number},"{draw(IDS)}",{words.get(number, "")}{draw(PAYLOADS)}]'


class AnyOrder(RuleBasedStateMachine):
    """A model of what each side has open; the relay must never let through what the model forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.scenario = Scenario()
        self.version = V1_6
        self.open: dict[type, dict[str, float]] = {ChargePoint: {}, CSMS: {}}
        self.answered: dict[type, list[str]] = {ChargePoint: [], CSMS: []}
        self.accepted = False
        self.closed = False

    @initialize(version=st.sampled_from(list(OCPPVersion)))
    def start(self, version: OCPPVersion) -> None:
        self.version = version
        self.scenario = Scenario(
            version,
            limits=RelayLimits(
                messages_per_s=5.0, messages_burst=12, flood_grace_s=2.0, calls=LaneLimits(max_open=2, max_waiting=0)
            ),
        )

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 61.0, 601.0]))
    def wait(self, seconds: float) -> None:
        self.scenario.feed(Wait(seconds))

    @rule(text=texts())
    def charge_point_sends(self, text: str) -> None:
        self.judge(ChargePoint(text), ChargePoint, CSMS)

    @rule(text=texts())
    def csms_sends(self, text: str) -> None:
        self.judge(CSMS(text), CSMS, ChargePoint)

    def judge(self, event: ChargePoint | CSMS, sender: type, other: type) -> None:
        if self.closed:
            return
        effects = self.scenario.feed(event)
        self.check_effects_agree(effects)
        try:
            frame = decode(event.encode(), self.version)
        except MalformedFrame as malformed:
            assert Forward() not in effects
            if any(isinstance(effect, Deliver) for effect in effects):
                assert malformed.message_id is not None
                self.close_call(other, malformed.message_id)
            return
        passed = any(isinstance(effect, Forward | Deliver) for effect in effects)
        if passed:
            self.check_passed(frame, sender, other)
        else:
            assert any(isinstance(effect, ReportEvent) for effect in effects)
            if isinstance(frame, CallResult | CallError):
                self.open[other].pop(frame.message_id, None)
        if any(isinstance(effect, NoteRegistered) for effect in effects):
            assert sender is CSMS
            assert isinstance(frame, CallResult)
            self.accepted = True

    def check_passed(self, frame: Frame, sender: type, other: type) -> None:
        if isinstance(frame, Call):
            self.open[sender][frame.message_id] = self.scenario.now
        elif isinstance(frame, CallResult | CallError):
            self.close_call(other, frame.message_id)
            if isinstance(frame, CallResult):
                self.answered[other].append(frame.message_id)
        elif isinstance(frame, CallResultError):
            self.answered[sender].remove(frame.message_id)
        else:
            assert isinstance(frame, Send)
            assert self.version is V2_1

    def close_call(self, asker: type, message_id: str) -> None:
        """No answer passes, and none is made up, without an open call."""
        since = self.open[asker].pop(message_id)
        assert self.scenario.now - since <= 600.0

    def check_effects_agree(self, effects: Effects) -> None:
        """Never two effects that contradict each other, and nothing behind the end."""

        def count(kind: type[Effect]) -> int:
            return sum(isinstance(effect, kind) for effect in effects)

        assert count(Forward) + count(Deliver) <= 1
        assert count(Reply) <= 1
        assert not (count(Forward) and count(Reply))
        assert count(CloseBoth) <= 1
        assert not (count(CloseBoth) and count(PauseReading))
        if count(CloseBoth):
            assert isinstance(effects[-1], CloseBoth)
            self.closed = True
        for effect in effects:
            if isinstance(effect, Reply | Deliver):
                assert isinstance(decode(effect.text, self.version), CallError | CallResultError)

    @invariant()
    def no_more_calls_are_open_than_the_limit(self) -> None:
        now = self.scenario.now
        assert all(sum(now - since <= 600.0 for since in calls.values()) <= 2 for calls in self.open.values())

    @invariant()
    def the_relay_is_registered_when_it_has_said_so(self) -> None:
        assert self.scenario.relay.registered is self.accepted


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_in_whatever_order_no_answer_passes_without_an_open_call = AnyOrder.TestCase
