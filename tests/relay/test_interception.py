"""Where the gateway gives charge points their certificates: what it takes, what it refuses, and all that goes on."""

import base64
import json
from typing import Any

import pytest

from gateway.config.ocpp_schemas import schema_gate
from gateway.identity.evidence import CertificateProof
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import FORWARD, Effects, LearnPassword, Reply, ReportEvent, TakeRequest
from gateway.relay.interception import MAX_CSR_CHARS, CertificateDuty, Owned
from gateway.relay.relay import Relay
from tests.relay.scenario import CSMS, LIMITS, ChargePoint, Scenario, Wait, make_admission

V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
VERSIONS = pytest.mark.parametrize("version", [V1_6, V2_0_1, V2_1])
HASH = {
    "certificateHashData": {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c"}
}
CSR = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"


def owned(version: OCPPVersion = V1_6, *, may_ask: bool = True, duty: bool = True) -> Scenario:
    scenario = Scenario(version)
    given = CertificateDuty(may_ask=may_ask) if duty else None
    scenario.relay = Relay(make_admission(), version, LIMITS, duty=given)
    return scenario


def call(action: str, payload: dict[str, Any], message_id: str = "1") -> str:
    return json.dumps([2, message_id, action, payload])


def signed(action: str, payload: dict[str, Any]) -> str:
    inner = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return call(f"{action}-Signed", {"payload": inner, "signatures": []})


def replied(effects: Effects) -> tuple[str, Any]:
    """The event and what the sender is answered; nothing else may have happened."""
    report, reply = effects
    assert isinstance(report, ReportEvent)
    assert isinstance(reply, Reply)
    return report.event, json.loads(reply.text)


@VERSIONS
@pytest.mark.requirement("A02.FR.11")
def test_a_request_is_for_the_gateway_and_for_nobody_else(version: OCPPVersion) -> None:
    with owned(version) as scenario:
        scenario >> ChargePoint(call("SignCertificate", {"csr": CSR})) << TakeRequest("1", CSR, "", None)


@pytest.mark.requirement("A02.FR.14", "A02.FR.24")
def test_type_and_request_id_are_kept_for_the_answer() -> None:
    with owned(V2_1) as scenario:
        payload = {"csr": CSR, "certificateType": "ChargingStationCertificate", "requestId": 7}
        scenario >> ChargePoint(call("SignCertificate", payload))
        scenario << TakeRequest("1", CSR, "ChargingStationCertificate", 7)


def test_a_root_that_is_named_for_it_is_for_whoever_can_choose() -> None:
    """A02.FR.27: control hears of it; a V2G certificate is another CA's, which gets the message as it came."""
    named = {"csr": CSR, "requestId": 7, "hashRootCertificate": HASH["certificateHashData"]}
    with owned(V2_1) as scenario:
        (
            scenario
            >> ChargePoint(call("SignCertificate", named))
            << TakeRequest("1", CSR, "", 7, ("SHA256", "a", "b", "c"))
        )
        scenario >> ChargePoint(call("SignCertificate", {**named, "certificateType": "V2GCertificate"})) << FORWARD


@pytest.mark.parametrize(
    "root",
    [
        {},
        "x",
        {**HASH["certificateHashData"], "serialNumber": 7},
        {**HASH["certificateHashData"], "issuerKeyHash": "x" * 129},
    ],
)
def test_what_is_no_name_of_a_root_is_left_out_and_nothing_is_turned_down_for_it(root: Any) -> None:
    with owned(V2_1) as scenario:
        payload = {"csr": CSR, "hashRootCertificate": root}
        scenario >> ChargePoint(call("SignCertificate", payload)) << TakeRequest("1", CSR, "", None)


@VERSIONS
def test_where_the_csms_owns_certificates_everything_goes_on(version: OCPPVersion) -> None:
    with owned(version, duty=False) as scenario:
        scenario >> ChargePoint(call("SignCertificate", {"csr": CSR})) << FORWARD
        scenario >> CSMS(call("CertificateSigned", {"certificateChain": "x"}, "2")) << FORWARD
        scenario >> CSMS(call("DeleteCertificate", {}, "3")) << FORWARD


@pytest.mark.parametrize("kind", ["V2GCertificate", "V2G20Certificate"])
def test_v2g_certificates_belong_to_the_csms(kind: str) -> None:
    with owned(V2_1) as scenario:
        scenario >> ChargePoint(call("SignCertificate", {"csr": CSR, "certificateType": kind})) << FORWARD
        scenario >> CSMS(call("CertificateSigned", {"certificateChain": "x", "certificateType": kind})) << FORWARD


def test_the_iso_15118_tunnel_goes_on_in_both_directions() -> None:
    tunnel = {"vendorId": "org.openchargealliance.iso15118pnc"}
    with owned(V1_6) as scenario:
        asked = {**tunnel, "messageId": "SignCertificate", "data": json.dumps({"csr": CSR})}
        scenario >> ChargePoint(call("DataTransfer", asked)) << FORWARD
        given = {**tunnel, "messageId": "CertificateSigned", "data": json.dumps({"certificateChain": "x"})}
        scenario >> CSMS(call("DataTransfer", given)) << FORWARD


class TestTunnelled:
    """The tunnel of 1.6 is for ISO 15118, and no way around who owns what: stations keep all certificates in one place."""

    @staticmethod
    def tunnel(action: str, data: Any) -> dict[str, Any]:
        return {"vendorId": "org.openchargealliance.ISO15118pnc", "messageId": action, "data": data}

    @pytest.mark.parametrize("as_text", [True, False])
    @pytest.mark.parametrize(
        ("action", "data", "status"),
        [
            ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "x"}, "Rejected"),
            ("DeleteCertificate", HASH, "Failed"),
            (
                "CertificateSigned",
                {"certificateChain": "x", "certificateType": "ChargingStationCertificate"},
                "Rejected",
            ),
        ],
    )
    def test_what_is_not_about_iso_15118_is_refused_inside(
        self, action: str, data: Any, status: str, as_text: bool
    ) -> None:
        with owned(V1_6) as scenario:
            scenario >> CSMS(call("DataTransfer", self.tunnel(action, json.dumps(data) if as_text else data)))
            event, answer = replied(scenario.effects())
            assert (event, answer[0], answer[2]["status"]) == ("certificate.not_yours", 3, "Accepted")
            assert json.loads(answer[2]["data"]) == {"status": status}
            assert schema_gate(V1_6).check("DataTransfer", "result", answer[2]) is None

    @pytest.mark.parametrize(
        ("action", "data"),
        [
            ("InstallCertificate", {"certificateType": "V2GRootCertificate", "certificate": "x"}),
            ("InstallCertificate", {"certificateType": "MORootCertificate", "certificate": "x"}),
            ("CertificateSigned", {"certificateChain": "x", "certificateType": "V2GCertificate"}),
            ("CertificateSigned", {"certificateChain": "x"}),
            ("GetInstalledCertificateIds", {}),
            ("TriggerMessage", {"requestedMessage": "SignV2GCertificate"}),
        ],
    )
    def test_all_else_goes_on(self, action: str, data: Any) -> None:
        with owned(V1_6) as scenario:
            scenario >> CSMS(call("DataTransfer", self.tunnel(action, json.dumps(data)))) << FORWARD

    def test_as_a_signed_message(self) -> None:
        with owned(V1_6) as scenario:
            scenario >> CSMS(signed("DataTransfer", self.tunnel("DeleteCertificate", HASH)))
            event, answer = replied(scenario.effects())
            assert (event, answer[2]) == ("certificate.not_yours", "NotSupported")

    @VERSIONS
    def test_data_of_other_vendors_and_what_a_charge_point_says_goes_on(self, version: OCPPVersion) -> None:
        with owned(version) as scenario:
            other = {"vendorId": "com.vendor", "messageId": "DeleteCertificate", "data": json.dumps(HASH)}
            scenario >> CSMS(call("DataTransfer", other)) << FORWARD
            scenario >> ChargePoint(call("DataTransfer", self.tunnel("DeleteCertificate", "{}"))) << FORWARD

    def test_where_deletions_are_the_csms_own_they_go_on(self) -> None:
        with owned(V1_6) as scenario:
            duty = CertificateDuty(may_ask=True, owned=frozenset({"SignCertificate", "CertificateSigned"}))
            scenario.relay = Relay(make_admission(), V1_6, LIMITS, duty=duty)
            scenario >> CSMS(call("DataTransfer", self.tunnel("DeleteCertificate", json.dumps(HASH)))) << FORWARD


class TestRejected:
    """At once, where it is certain without looking into the request."""

    def test_without_tls_nobody_knows_who_asks(self) -> None:
        with owned(may_ask=False) as scenario:
            scenario >> ChargePoint(call("SignCertificate", {"csr": CSR}))
            assert replied(scenario.effects()) == ("certificate.rejected", [3, "1", {"status": "Rejected"}])

    @pytest.mark.requirement("A02.FR.12")
    def test_a_request_may_be_as_long_as_ocpp_says_and_no_longer(self) -> None:
        longest = "x" * MAX_CSR_CHARS
        with owned() as scenario:
            scenario >> ChargePoint(call("SignCertificate", {"csr": longest})) << TakeRequest("1", longest, "", None)
            scenario >> ChargePoint(call("SignCertificate", {"csr": longest + "x"}))
            assert replied(scenario.effects()) == ("certificate.rejected", [3, "1", {"status": "Rejected"}])

    @pytest.mark.parametrize("payload", [{}, {"csr": 5}, {"csr": None}, {"csr": [CSR]}])
    def test_what_is_no_request_does_not_reach_the_csms_either(self, payload: dict[str, Any]) -> None:
        with owned() as scenario:
            scenario >> ChargePoint(call("SignCertificate", payload))
            assert replied(scenario.effects()) == ("certificate.rejected", [3, "1", {"status": "Rejected"}])

    def test_five_at_once_and_then_one_a_minute(self) -> None:
        def asking(number: int) -> ChargePoint:
            return ChargePoint(call("SignCertificate", {"csr": f"{CSR}{number}"}))

        with owned() as scenario:
            for number in range(5):
                scenario >> asking(number) << TakeRequest("1", f"{CSR}{number}", "", None)
            scenario >> asking(5)
            assert replied(scenario.effects())[1] == [3, "1", {"status": "Rejected"}]
            scenario >> Wait(60.0) >> asking(6) << TakeRequest("1", f"{CSR}6", "", None)
            scenario >> asking(7)
            assert replied(scenario.effects())[0] == "certificate.rejected"

    def test_the_request_that_was_taken_last_is_never_turned_down_for_its_repetitions(self) -> None:
        """Or its charge point would forget the key that the certificate on its way is for."""
        with owned() as scenario:
            for _ in range(5):
                scenario >> ChargePoint(call("SignCertificate", {"csr": CSR})) << TakeRequest("1", CSR, "", None)
            again = Reply(b'[3,"1",{"status":"Accepted"}]')
            for _ in range(3):
                scenario >> ChargePoint(call("SignCertificate", {"csr": CSR})) << again
            scenario >> ChargePoint(call("SignCertificate", {"csr": f"{CSR}2"}))
            assert replied(scenario.effects())[1] == [3, "1", {"status": "Rejected"}]
            scenario >> ChargePoint(call("SignCertificate", {"csr": CSR})) << again


class TestOfTheCSMS:
    """What it would do to certificates that are not its own."""

    @VERSIONS
    @pytest.mark.parametrize(
        ("action", "payload", "status"),
        [
            ("CertificateSigned", {"certificateChain": "x"}, "Rejected"),
            ("DeleteCertificate", {"certificateHashData": {}}, "Failed"),
            ("InstallCertificate", {"certificate": "x", "certificateType": "own"}, "Rejected"),
        ],
    )
    def test_is_refused_in_the_terms_of_the_version(
        self, version: OCPPVersion, action: str, payload: dict[str, Any], status: str
    ) -> None:
        if payload.get("certificateType") == "own":
            root = "CentralSystemRootCertificate" if version is V1_6 else "CSMSRootCertificate"
            payload = {**payload, "certificateType": root}
        with owned(version) as scenario:
            scenario >> CSMS(call(action, payload))
            event, (kind, message_id, answer) = replied(scenario.effects())
        assert (event, kind, message_id, answer) == ("certificate.not_yours", 3, "1", {"status": status})
        assert schema_gate(version).check(action, "result", answer) is None

    def test_an_answer_for_the_charging_station_by_name_is_refused_as_well(self) -> None:
        with owned(V2_0_1) as scenario:
            payload = {"certificateChain": "x", "certificateType": "ChargingStationCertificate"}
            scenario >> CSMS(call("CertificateSigned", payload))
            assert replied(scenario.effects())[1] == [3, "1", {"status": "Rejected"}]

    @pytest.mark.parametrize(
        "kind", ["V2GRootCertificate", "MORootCertificate", "OEMRootCertificate", "ManufacturerRootCertificate"]
    )
    def test_roots_of_others_can_be_installed(self, kind: str) -> None:
        with owned(V2_1) as scenario:
            scenario >> CSMS(call("InstallCertificate", {"certificate": "x", "certificateType": kind})) << FORWARD

    def test_it_may_look_and_trigger(self) -> None:
        with owned(V2_0_1) as scenario:
            scenario >> CSMS(call("GetInstalledCertificateIds", {})) << FORWARD
            trigger = {"requestedMessage": "SignChargingStationCertificate"}
            scenario >> CSMS(call("TriggerMessage", trigger, "2")) << FORWARD


class TestSigned:
    """The answer would have to be signed: nobody gets one that is not, and nobody else gets the message."""

    @pytest.mark.parametrize(
        ("sender", "action", "payload"),
        [
            (ChargePoint, "SignCertificate", {"csr": CSR}),
            (CSMS, "CertificateSigned", {"certificateChain": "x"}),
            (CSMS, "DeleteCertificate", {}),
        ],
    )
    def test_is_refused(self, sender: type[ChargePoint] | type[CSMS], action: str, payload: dict[str, Any]) -> None:
        with owned(V2_0_1) as scenario:
            scenario >> sender(signed(action, payload))
            event, (kind, _, code, *_) = replied(scenario.effects())
        assert (event, kind, code) == ("certificate.not_yours", 4, "NotSupported")

    def test_one_that_cannot_be_read_is_refused(self) -> None:
        with owned(V2_0_1) as scenario:
            scenario >> ChargePoint(call("SignCertificate-Signed", {"payload": "!"}))
            assert replied(scenario.effects())[1][2] == "NotSupported"

    def test_one_about_v2g_goes_on(self) -> None:
        with owned(V2_0_1) as scenario:
            payload = {"csr": CSR, "certificateType": "V2GCertificate"}
            scenario >> ChargePoint(signed("SignCertificate", payload)) << FORWARD


@pytest.mark.requirement("A00.FR.429")
def test_a_session_for_renewal_alone_asks_the_gateway_as_well() -> None:
    proof = CertificateProof(
        sha256="00", spki_sha256="00", serial_number="1", common_name="SN-1", not_after=0.0, renewal_only="expired"
    )
    scenario = Scenario(V2_0_1)
    from msgspec.structs import replace

    admission = replace(make_admission("SN-1"), proof=proof)
    scenario.relay = Relay(admission, V2_0_1, LIMITS, duty=CertificateDuty(may_ask=True))
    with scenario:
        scenario >> ChargePoint(call("SignCertificate", {"csr": CSR})) << TakeRequest("1", CSR, "", None)
        scenario >> ChargePoint(call("Heartbeat", {}))
        assert replied(scenario.effects())[0] == "state.renewal_only"


def variable(component: str, name: str, value: str = "x") -> dict[str, Any]:
    item = {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value}
    return {"setVariableData": [item]}


class TestOwners:
    """Per kind of message, whoever owns the certificates."""

    @staticmethod
    def owned(version: OCPPVersion, *kinds: Owned) -> Scenario:
        scenario = Scenario(version)
        duty = CertificateDuty(may_ask=True, owned=frozenset(kinds))
        scenario.relay = Relay(make_admission(), version, LIMITS, duty=duty)
        return scenario

    @VERSIONS
    def test_what_is_installed_is_nobodys_business(self, version: OCPPVersion) -> None:
        root = "CentralSystemRootCertificate" if version is V1_6 else ["CSMSRootCertificate"]
        asked = call("GetInstalledCertificateIds", {"certificateType": root})
        with self.owned(version, "GetInstalledCertificateIds") as scenario:
            scenario >> CSMS(asked)
            answer = replied(scenario.effects())
            assert answer == ("certificate.not_yours", [3, "1", {"status": "NotFound"}])
            assert schema_gate(version).check("GetInstalledCertificateIds", "result", answer[1][2]) is None
        with self.owned(version, "InstallCertificate") as scenario:
            scenario >> CSMS(asked) << FORWARD

    @pytest.mark.parametrize(
        ("version", "kinds", "goes_on"),
        [
            (V1_6, "ManufacturerRootCertificate", True),
            (V2_0_1, ["V2GRootCertificate", "V2GCertificateChain"], True),
            (V2_0_1, ["V2GRootCertificate", "CSMSRootCertificate"], False),
            (V2_0_1, [], False),
            (V2_0_1, None, False),
        ],
    )
    def test_lists_of_others_go_on(self, version: OCPPVersion, kinds: Any, *, goes_on: bool) -> None:
        payload = {} if kinds is None else {"certificateType": kinds}
        with self.owned(version, "GetInstalledCertificateIds") as scenario:
            scenario >> CSMS(call("GetInstalledCertificateIds", payload))
            assert (scenario.effects() is FORWARD) is goes_on

    def test_roots_may_stay_with_the_csms_where_certificates_do_not(self) -> None:
        with self.owned(V2_0_1, "SignCertificate", "CertificateSigned") as scenario:
            root = {"certificateType": "CSMSRootCertificate", "certificate": "x"}
            scenario >> CSMS(call("InstallCertificate", root, "1")) << FORWARD
            scenario >> CSMS(call("DeleteCertificate", {}, "2")) << FORWARD
            scenario >> ChargePoint(call("SignCertificate", {"csr": CSR})) << TakeRequest("1", CSR, "", None)

    def test_certificates_may_stay_with_the_csms_where_roots_do_not(self) -> None:
        with self.owned(V2_0_1, "InstallCertificate") as scenario:
            scenario >> ChargePoint(call("SignCertificate", {"csr": CSR})) << FORWARD
            scenario >> CSMS(call("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "x"}))
            assert replied(scenario.effects())[1] == [3, "1", {"status": "Rejected"}]

    @pytest.mark.requirement("A01.FR.04")
    @pytest.mark.parametrize(
        ("version", "action", "payload"),
        [
            (V1_6, "ChangeConfiguration", {"key": "authorizationKey", "value": "00" * 16}),
            (V1_6, "ChangeConfiguration", {"key": " AuthorizationKey\t", "value": "00" * 16}),
            (V2_0_1, "SetVariables", variable("SecurityCtrlr ", " BasicAuthPassword")),
            (V2_0_1, "SetVariables", variable("SecurityCtrlr", "BasicAuthPassword")),
            (V2_1, "SetVariables", variable("NetworkConfiguration", "BasicAuthPassword")),
        ],
    )
    def test_passwords(self, version: OCPPVersion, action: str, payload: dict[str, Any]) -> None:
        with self.owned(version, "passwords") as scenario:
            scenario >> CSMS(call(action, payload))
            event, answer = replied(scenario.effects())
            assert event == "setting.not_yours"
            assert schema_gate(version).check(action, "result", answer[2]) is None
            assert "Rejected" in str(answer)
        with self.owned(version, "security-settings") as scenario:
            scenario >> CSMS(call(action, payload))
            (effect,) = scenario.effects()
            assert isinstance(effect, LearnPassword)

    @pytest.mark.parametrize(
        ("version", "action", "payload"),
        [
            (V1_6, "ChangeConfiguration", {"key": "SecurityProfile", "value": "2"}),
            (V1_6, "ChangeConfiguration", {"key": "CpoName", "value": "Somebody"}),
            (V1_6, "ChangeConfiguration", {"key": "NetworkConnectionProfile1", "value": "x"}),
            (V2_0_1, "SetVariables", variable("SecurityCtrlr", "OrganizationName")),
            (V2_0_1, "SetVariables", variable("OCPPCommCtrlr", "NetworkConfigurationPriority", "1,2")),
            (V2_1, "SetVariables", variable("NetworkConfiguration", "OcppCsmsUrl")),
            (V2_0_1, "SetNetworkProfile", {"configurationSlot": 1, "connectionData": {}}),
        ],
    )
    def test_security_settings(self, version: OCPPVersion, action: str, payload: dict[str, Any]) -> None:
        with self.owned(version, "security-settings") as scenario:
            scenario >> CSMS(call(action, payload))
            event, answer = replied(scenario.effects())
            assert event == "setting.not_yours"
            assert schema_gate(version).check(action, "result", answer[2]) is None
        with self.owned(version, "passwords") as scenario:
            scenario >> CSMS(call(action, payload)) << FORWARD

    @pytest.mark.parametrize(
        ("version", "action", "payload"),
        [
            (V1_6, "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "2"}),
            (V1_6, "ChangeConfiguration", {"key": 5}),
            (V2_0_1, "SetVariables", variable("OCPPCommCtrlr", "HeartbeatInterval")),
            (V2_0_1, "SetVariables", variable("ISO15118Ctrlr", "OrganizationName")),
            (V2_0_1, "SetVariables", {"setVariableData": "x"}),
            (V2_0_1, "GetVariables", {}),
        ],
    )
    def test_all_other_settings_go_on(self, version: OCPPVersion, action: str, payload: dict[str, Any]) -> None:
        with self.owned(version, "passwords", "security-settings") as scenario:
            scenario >> CSMS(call(action, payload)) << FORWARD

    def test_as_a_signed_message(self) -> None:
        with self.owned(V2_0_1, "passwords", "security-settings") as scenario:
            scenario >> CSMS(signed("SetVariables", variable("SecurityCtrlr", "OrganizationName")))
            event, answer = replied(scenario.effects())
            assert (event, answer[:3]) == ("setting.not_yours", [4, "1", "NotSupported"])
            scenario >> CSMS(signed("SetVariables", variable("OCPPCommCtrlr", "HeartbeatInterval"))) << FORWARD

    def test_a_charge_point_is_not_the_csms(self) -> None:
        with self.owned(V1_6, "passwords", "InstallCertificate") as scenario:
            scenario >> ChargePoint(call("ChangeConfiguration", {"key": "AuthorizationKey", "value": "x"})) << FORWARD


EVENT = {"type": "TamperDetectionActivated", "timestamp": "2026-01-01T00:00:00Z"}


@VERSIONS
def test_a_security_event_that_is_the_gateways_is_answered_by_it_and_by_nobody_else(version: OCPPVersion) -> None:
    with Scenario(version) as scenario:
        duty = CertificateDuty(may_ask=True, owned=frozenset({"SecurityEventNotification"}))
        scenario.relay = Relay(make_admission(), version, LIMITS, duty=duty)
        scenario >> ChargePoint(call("SecurityEventNotification", EVENT))
        (reply,) = scenario.effects()
        assert isinstance(reply, Reply)
        assert json.loads(reply.text) == [3, "1", {}]
        scenario >> ChargePoint(call("StatusNotification", {}, "2")) << FORWARD


@VERSIONS
def test_else_it_goes_on_to_the_csms(version: OCPPVersion) -> None:
    with owned(version) as scenario:
        scenario >> ChargePoint(call("SecurityEventNotification", EVENT)) << FORWARD
