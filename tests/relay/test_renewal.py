"""A certificate that is good for its renewal alone: the gateway keeps the charge point Pending, and lets the renewal pass."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.identity.evidence import CertificateProof, RenewalOnly
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import FORWARD, NOTHING, Answered, Deliver, Effects, Reply, ReportEvent
from gateway.relay.relay import Relay
from tests.relay.scenario import CSMS, LIMITS, ChargePoint, Scenario, make_admission

V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
VERSIONS = pytest.mark.parametrize("version", [V1_6, V2_0_1, V2_1])
pytestmark = pytest.mark.requirement("A00.FR.429")
BOOT = {
    V1_6: '{"chargePointVendor":"V","chargePointModel":"M"}',
    V2_0_1: '{"reason":"PowerUp","chargingStation":{"model":"M","vendorName":"V"}}',
}
BOOT[V2_1] = BOOT[V2_0_1]


def limited(version: OCPPVersion, why: RenewalOnly = "expired", serial: str = "SN-1") -> Scenario:
    proof = CertificateProof(
        sha256="00", spki_sha256="00", serial_number="1", common_name="SN-1", not_after=0.0, renewal_only=why
    )
    scenario = Scenario(version, expected_serial_number=serial)
    scenario.relay = Relay(replace(make_admission(serial), proof=proof), version, LIMITS, wall_offset_s=1_000_000_000)
    return scenario


def call(action: str, payload: str = "{}", message_id: str = "1") -> str:
    return f'[2,"{message_id}","{action}",{payload}]'


def refusal(effects: Effects, action: str) -> None:
    report, reply = effects
    assert report == ReportEvent("state.renewal_only", "medium", "callerror", action)
    assert isinstance(reply, Reply)
    kind, message_id, code, *_ = json.loads(reply.text)
    assert (kind, message_id, code) == (4, "1", "SecurityError")


@VERSIONS
@pytest.mark.parametrize("why", ["expired", "factory"])
def test_boot_notification_is_answered_pending_and_never_reaches_the_csms(
    version: OCPPVersion, why: RenewalOnly
) -> None:
    with limited(version, why) as scenario:
        scenario >> ChargePoint(call("BootNotification", BOOT[version]))
        (reply,) = scenario.effects()
    assert isinstance(reply, Reply)
    assert json.loads(reply.text) == [
        3,
        "1",
        {"status": "Pending", "interval": 300, "currentTime": "2001-09-09T02:03:20Z"},
    ]


@VERSIONS
def test_the_renewal_passes_in_both_directions(version: OCPPVersion) -> None:
    with limited(version) as scenario:
        scenario >> ChargePoint(call("SignCertificate", '{"csr":"x"}', "s")) << FORWARD
        scenario >> CSMS('[3,"s",{"status":"Accepted"}]') << FORWARD
        scenario >> CSMS(call("CertificateSigned", '{"certificateChain":"x"}', "c")) << FORWARD
        scenario >> ChargePoint('[3,"c",{"status":"Accepted"}]') << FORWARD
        for number, action in enumerate(("InstallCertificate", "GetInstalledCertificateIds")):
            scenario >> CSMS(call(action, "{}", f"i{number}")) << FORWARD
        scenario >> ChargePoint(call("SecurityEventNotification", "{}", "e")) << FORWARD


@VERSIONS
@pytest.mark.parametrize(
    "action",
    ["Heartbeat", "StatusNotification", "Authorize",
     "DataTransfer", "BootNotification-Signed", "SignCertificate-Signed", "CertificateSigned", "Nonsense"],
)  # fmt: skip
def test_nothing_else_of_the_charge_point_passes(version: OCPPVersion, action: str) -> None:
    with limited(version) as scenario:
        scenario >> ChargePoint(call(action))
        refusal(scenario.effects(), action)


@VERSIONS
@pytest.mark.parametrize("action", ["StartTransaction", "StopTransaction", "TransactionEvent", "MeterValues"])
def test_what_billing_rests_on_is_neither_passed_nor_refused(version: OCPPVersion, action: str) -> None:
    """A charge point that merely reconnects sends its queue before it can hear Pending; what is refused is lost."""
    with limited(version) as scenario:
        for _ in range(2):
            scenario >> ChargePoint(call(action)) << ReportEvent("state.renewal_only", "medium", "drop", action)


@pytest.mark.parametrize(("action", "passes"), [("RemoteStartTransaction", False), ("ExtendedTriggerMessage", True)])
def test_the_gateways_own_calls_are_no_exception(action: str, passes: bool) -> None:
    payload = {"requestedMessage": "SignChargePointCertificate"} if passes else {"idTag": "X"}
    with limited(V1_6) as scenario:
        (effect,) = scenario.relay.ask("id-1", action, payload, scenario.now)
        assert isinstance(effect, Deliver if passes else Answered)
        if not passes:
            assert effect == Answered("id-1", error="only the renewal of the certificate", is_sent=False)
    with limited(V1_6, "") as unlimited:
        (effect,) = unlimited.relay.ask("id-1", action, payload, unlimited.now)
        assert isinstance(effect, Deliver)


@VERSIONS
@pytest.mark.parametrize(
    "action",
    ["Reset", "RemoteStartTransaction", "RequestStartTransaction", "UpdateFirmware", "SetVariables",
     "ChangeConfiguration", "DeleteCertificate", "DataTransfer", "CertificateSigned-Signed", "SignCertificate"],
)  # fmt: skip
def test_nothing_else_of_the_csms_passes(version: OCPPVersion, action: str) -> None:
    with limited(version) as scenario:
        scenario >> CSMS(call(action))
        refusal(scenario.effects(), action)


@pytest.mark.parametrize(
    ("version", "action", "message", "passes"),
    [
        (V2_0_1, "TriggerMessage", "SignChargingStationCertificate", True),
        (V2_0_1, "TriggerMessage", "BootNotification", True),
        (V2_0_1, "TriggerMessage", "StatusNotification", False),
        (V2_1, "TriggerMessage", "SignV2G20Certificate", True),
        (V1_6, "ExtendedTriggerMessage", "SignChargePointCertificate", True),
        (V1_6, "ExtendedTriggerMessage", "LogStatusNotification", False),
        (V1_6, "TriggerMessage", "BootNotification", True),
        (V1_6, "TriggerMessage", "MeterValues", False),
        (V1_6, "TriggerMessage", ["BootNotification"], False),
        (V2_0_1, "TriggerMessage", {"BootNotification": 1}, False),
        (V2_1, "TriggerMessage", None, False),
    ],
)
def test_only_what_belongs_to_the_renewal_is_triggered(
    version: OCPPVersion, action: str, message: Any, passes: bool
) -> None:
    with limited(version) as scenario:
        scenario >> CSMS(call(action, json.dumps({"requestedMessage": message})))
        effects = scenario.effects()
    assert (
        effects is FORWARD if passes else effects[0] == ReportEvent("state.renewal_only", "medium", "callerror", action)
    )


@pytest.mark.requirement("B01.FR.12")
def test_a_boot_notification_of_another_charge_point_closes_the_connection_all_the_same() -> None:
    other = '{"reason":"PowerUp","chargingStation":{"model":"M","vendorName":"V","serialNumber":"SN-2"}}'
    with limited(V2_0_1) as scenario:
        scenario >> ChargePoint(call("BootNotification", other))
        assert [type(effect).__name__ for effect in scenario.effects()] == ["ReportEvent", "CloseBoth"]


def test_a_send_is_dropped() -> None:
    with limited(V2_1) as scenario:
        scenario >> ChargePoint('[6,"1","NotifyPeriodicEventStream",{}]')
        (report,) = scenario.effects()
    assert report == ReportEvent("state.renewal_only", "medium", "drop", "NotifyPeriodicEventStream")


def test_an_answered_call_registers_nobody() -> None:
    with limited(V1_6) as scenario:
        scenario >> ChargePoint(call("SignCertificate", '{"csr":"x"}', "s")) << FORWARD
        scenario >> CSMS('[3,"s",{"status":"Accepted"}]') << FORWARD
    assert not scenario.relay.registered


def test_with_an_unlimited_certificate_everything_passes() -> None:
    with limited(V1_6, "") as scenario:
        scenario >> ChargePoint(call("Heartbeat")) << FORWARD
        scenario >> CSMS(call("Reset", '{"type":"Soft"}', "2")) << FORWARD
        assert scenario.effects() is NOTHING
