"""BootNotification: who the charge point says it is, and when the CSMS has accepted it."""

import msgspec
import pytest

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import FORWARD, NOTHING, CloseBoth, Effects, Forward, NoteRegistered
from gateway.relay.registration import is_accepted, read_boot_notification
from tests.relay.scenario import CSMS, ChargePoint, Scenario, Wait, report

V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
V2_X = pytest.mark.parametrize("version", [V2_0_1, V2_1])

MISMATCH: Effects = (
    report("identity.serial_mismatch", "critical", "ws_close", "BootNotification names another serial number"),
    CloseBoth(1008, "serial number"),
)
DIFFERS: Effects = (report("identity.serial_differs", "low", "allow_alert"), Forward())
ACCEPTED = CSMS('[3,"b",{"status":"Accepted","currentTime":"2026-01-01T00:00:00Z","interval":300}]')


def boot(payload: str, message_id: str = "b") -> ChargePoint:
    return ChargePoint(f'[2,"{message_id}","BootNotification",{payload}]')


def station(fields: str) -> ChargePoint:
    return boot('{"reason":"PowerUp","chargingStation":{"model":"M","vendorName":"V"' + fields + "}}")


# -- B01.FR.11 and .12


@pytest.mark.requirement("B01.FR.11")
@V2_X
def test_the_serial_number_of_the_certificate_passes(version: OCPPVersion) -> None:
    with Scenario(version, expected_serial_number="SN-1") as scenario:
        scenario >> station(',"serialNumber":"SN-1"') << FORWARD
        scenario >> ACCEPTED << (Forward(), NoteRegistered("SN-1", "V", "M"))


@pytest.mark.requirement("B01.FR.11", "B01.FR.12")
@V2_X
@pytest.mark.parametrize("serial", ["SN-2", "sn-1", "SN-1 ", " SN-1", "SN-10", "N-1", "SN\\u00a0-1", "SN-1\\n"])
def test_any_other_serial_number_closes_the_connection(version: OCPPVersion, serial: str) -> None:
    with Scenario(version, expected_serial_number="SN-1") as scenario:
        scenario >> station(f',"serialNumber":"{serial}"') << MISMATCH
        scenario >> ACCEPTED << report("rpc.unsolicited_result", "high", "drop")


@pytest.mark.requirement("B01.FR.12")
@V2_X
@pytest.mark.parametrize("serial", ['["SN-2"]', '["SN-1"]', '{"SN-1":"SN-1"}', "2", "true", "false", "0"])
def test_a_serial_number_of_another_type_is_no_way_around_the_comparison(version: OCPPVersion, serial: str) -> None:
    with Scenario(version, expected_serial_number="SN-1") as scenario:
        scenario >> station(f',"serialNumber":{serial}') << MISMATCH


@pytest.mark.requirement("B01.FR.11")
@V2_X
@pytest.mark.parametrize("fields", ["", ',"serialNumber":""', ',"serialNumber":null'])
def test_no_serial_number_is_no_mismatch(version: OCPPVersion, fields: str) -> None:
    with Scenario(version, expected_serial_number="SN-1") as scenario:
        scenario >> station(fields) << FORWARD
        scenario >> ACCEPTED << (Forward(), NoteRegistered("", "V", "M"))


@pytest.mark.requirement("B01.FR.11")
@V2_X
def test_an_escaped_serial_number_is_compared_as_the_text_that_it_is(version: OCPPVersion) -> None:
    with Scenario(version, expected_serial_number="SN-1") as scenario:
        scenario >> station(',"serialNumber":"\\u0053N-1"') << FORWARD


@V2_X
def test_below_profile_3_there_is_no_certificate_to_compare_with(version: OCPPVersion) -> None:
    with Scenario(version) as scenario:
        scenario >> station(',"serialNumber":"SN-2"') << FORWARD


@pytest.mark.requirement("B01.FR.12")
def test_the_mismatch_counts_in_every_boot_notification_of_a_session() -> None:
    with Scenario(V2_0_1, expected_serial_number="SN-1") as scenario:
        scenario >> station(',"serialNumber":"SN-1"') << FORWARD
        scenario >> ACCEPTED << (Forward(), NoteRegistered("SN-1", "V", "M"))
        scenario >> station(',"serialNumber":"SN-2"') << MISMATCH


def test_a_boot_notification_of_the_csms_proves_nothing_about_anybody() -> None:
    with Scenario(V2_0_1, expected_serial_number="SN-1") as scenario:
        scenario >> CSMS(station(',"serialNumber":"SN-2"')) << FORWARD
        scenario >> ChargePoint(ACCEPTED) << FORWARD
    assert not scenario.relay.registered


@pytest.mark.parametrize("field", ["chargePointSerialNumber", "chargeBoxSerialNumber"])
def test_in_1_6_another_serial_number_is_reported_and_passes(field: str) -> None:
    with Scenario(V1_6, expected_serial_number="SN-1") as scenario:
        scenario >> boot(f'{{"{field}":"SN-2"}}') << DIFFERS
        scenario >> ACCEPTED << (Forward(), NoteRegistered("SN-2"))
        scenario >> boot(f'{{"{field}":"SN-1"}}') << FORWARD


# -- accepted or not


@pytest.mark.parametrize("version", list(OCPPVersion))
def test_a_charge_point_is_registered_when_the_csms_says_accepted(version: OCPPVersion) -> None:
    with Scenario(version) as scenario:
        scenario >> boot("{}") << FORWARD
        assert not scenario.relay.registered
        scenario >> ACCEPTED << (Forward(), NoteRegistered())
        assert scenario.relay.registered


@pytest.mark.parametrize("version", list(OCPPVersion))
@pytest.mark.parametrize("payload", ['{"status":"Pending"}', '{"status":"Rejected"}', '{"status":"accepted"}', "{}"])
def test_any_other_answer_does_not_register_it(version: OCPPVersion, payload: str) -> None:
    with Scenario(version) as scenario:
        scenario >> boot("{}") << FORWARD >> CSMS(f'[3,"b",{payload}]') << FORWARD
        scenario >> ChargePoint('[2,"h","Heartbeat",{}]') << FORWARD >> CSMS('[3,"h",{"status":"Accepted"}]') << FORWARD
        scenario >> boot("{}") << FORWARD >> CSMS('[4,"b","InternalError","",{}]') << FORWARD
        assert not scenario.relay.registered
        scenario >> boot("{}") << FORWARD >> ACCEPTED << (Forward(), NoteRegistered())


def test_in_1_6_the_first_answered_call_after_a_reconnect_registers_and_in_2_x_it_does_not() -> None:
    for version, effects in ((V1_6, (Forward(), NoteRegistered())), (V2_0_1, FORWARD), (V2_1, FORWARD)):
        with Scenario(version) as scenario:
            scenario >> ChargePoint('[2,"h","Heartbeat",{}]') << FORWARD >> CSMS('[3,"h",{}]') << effects
            scenario >> ChargePoint('[2,"i","Heartbeat",{}]') << FORWARD >> CSMS('[3,"i",{}]') << FORWARD
            assert scenario.relay.registered is (version is V1_6)


def test_an_answer_of_the_charge_point_registers_nobody() -> None:
    with Scenario(V1_6) as scenario:
        scenario >> CSMS('[2,"r","Reset",{}]') << FORWARD >> ChargePoint('[3,"r",{"status":"Accepted"}]') << FORWARD
        assert not scenario.relay.registered


def test_what_it_is_becomes_known_also_when_it_boots_after_its_first_call() -> None:
    with Scenario(V1_6) as scenario:
        scenario >> ChargePoint('[2,"s","StatusNotification",{}]') << FORWARD
        scenario >> CSMS('[3,"s",{}]') << (Forward(), NoteRegistered())
        scenario >> boot('{"chargePointVendor":"V","chargePointModel":"M","firmwareVersion":"1"}') << FORWARD
        scenario >> ACCEPTED << (Forward(), NoteRegistered("", "V", "M", "1"))


def test_an_answer_to_another_call_under_the_same_id_registers_nobody() -> None:
    reused = report("rpc.id_reused", "low", "allow_alert", "an open message id with another action")
    with Scenario(V2_0_1) as scenario:
        scenario >> ChargePoint('[2,"b","DataTransfer",{"vendorId":"v"}]') << FORWARD
        scenario >> boot("{}") << (reused, Forward())
        scenario >> CSMS('[3,"b",{"status":"Accepted"}]') << FORWARD
        assert not scenario.relay.registered
        scenario >> boot("{}") << FORWARD >> Wait(30) << NOTHING >> boot("{}") << FORWARD
        scenario >> ACCEPTED << (Forward(), NoteRegistered())


# -- reading the two messages


def read(version: OCPPVersion, payload: bytes) -> NoteRegistered:
    return read_boot_notification(version, msgspec.json.decode(payload))


def test_1_6_tells_its_serial_number_in_one_of_two_fields() -> None:
    both = b'{"chargePointSerialNumber":"P","chargeBoxSerialNumber":"B","chargePointVendor":"V"}'
    assert read(V1_6, both) == NoteRegistered("P", "V")
    assert read(V1_6, both.replace(b'"P"', b'""')) == NoteRegistered("B", "V")
    assert read(V1_6, b'{"chargePointModel":"M","firmwareVersion":"F"}') == NoteRegistered("", "", "M", "F")
    assert read(V1_6, b'{"chargingStation":{"serialNumber":"S"}}') == NoteRegistered()


@V2_X
def test_2_x_tells_what_it_is_in_one_object(version: OCPPVersion) -> None:
    full = b'{"chargingStation":{"serialNumber":"S","vendorName":"V","model":"M","firmwareVersion":"F"}}'
    assert read(version, full) == NoteRegistered("S", "V", "M", "F")
    assert read(version, b'{"chargePointSerialNumber":"S"}') == NoteRegistered()
    assert read(version, b'{"chargingStation":["S"]}') == NoteRegistered()


@pytest.mark.parametrize("value", ["7", "null", "[]", "{}", "true"])
def test_a_claim_that_is_no_text_is_no_claim(value: str) -> None:
    fields = f'"vendorName":{value},"model":{value},"firmwareVersion":{value}'
    assert read(V2_1, f'{{"chargingStation":{{{fields}}}}}'.encode()) == NoteRegistered()
    fields = f'"chargePointVendor":{value},"chargePointModel":{value},"firmwareVersion":{value}'
    assert read(V1_6, f"{{{fields}}}".encode()) == NoteRegistered()


@pytest.mark.parametrize(
    ("payload", "accepted"),
    [
        (b'{"status":"Accepted"}', True),
        (b'{"status":"Accept\\u0065d"}', True),
        (b'{"status":"ACCEPTED"}', False),
        (b'{"status":["Accepted"]}', False),
        (b'{"Status":"Accepted"}', False),
        (b'{"a":{"status":"Accepted"}}', False),
        (b"{}", False),
    ],
)
def test_only_the_exact_word_is_an_acceptance(payload: bytes, accepted: bool) -> None:
    assert is_accepted(msgspec.json.decode(payload)) is accepted
