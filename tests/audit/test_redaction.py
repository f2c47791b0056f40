"""What must not be kept of a message, and what must stay as it was sent."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.redaction import redacted, token_pseudonym
from gateway.ocpp.codec import decode_message
from gateway.ocpp.vocabulary import OCPPVersion

KEY = bytes(range(32))
SECRET = "S3cr3t-Marker-0123"
TOKEN = "04A1B2C3D4"


def pseudonym(token: str) -> str:
    return token_pseudonym(KEY, token)


def kept(frame: list[Any], *also: str) -> list[Any]:
    result: list[Any] = json.loads(redacted(json.dumps(frame).encode(), pseudonym, also))
    return result


def signed(payload: dict[str, Any]) -> dict[str, Any]:
    encode = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=").decode()  # noqa: E731
    return {"protected": "e30", "payload": encode(json.dumps(payload).encode()), "signature": "c2ln"}


VPN = {"server": "vpn.example", "user": "u", "password": SECRET, "key": SECRET, "type": "IPSec"}
APN = {"apn": "internet", "apnUserName": "u", "apnPassword": SECRET, "simPin": 4711, "apnAuthentication": "AUTO"}
SECRETS: dict[str, list[Any]] = {
    "ChangeConfiguration": [2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}],
    "in another case": [2, "1", "ChangeConfiguration", {"key": "authorization_key", "value": SECRET}],
    "a vendor's key": [2, "1", "ChangeConfiguration", {"key": "Wifi.PSK", "value": SECRET}],
    "GetConfiguration": [
        3,
        "1",
        {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": SECRET}], "unknownKey": []},
    ],
    "SetVariables": [
        2,
        "1",
        "SetVariables",
        {
            "setVariableData": [
                {
                    "component": {"name": "SecurityCtrlr"},
                    "variable": {"name": "BasicAuthPassword"},
                    "attributeValue": SECRET,
                }
            ]
        },
    ],
    "GetVariables": [
        3,
        "1",
        {
            "getVariableResult": [
                {
                    "attributeStatus": "Accepted",
                    "component": {"name": "SecurityCtrlr"},
                    "variable": {"name": "BasicAuthPassword"},
                    "attributeValue": SECRET,
                }
            ]
        },
    ],
    "NotifyReport": [
        2,
        "1",
        "NotifyReport",
        {
            "reportData": [
                {
                    "component": {"name": "SecurityCtrlr"},
                    "variable": {"name": "BasicAuthPassword"},
                    "variableAttribute": [{"type": "Actual", "value": SECRET}],
                }
            ]
        },
    ],
    "NotifyEvent": [
        2,
        "1",
        "NotifyEvent",
        {
            "eventData": [
                {
                    "component": {"name": "SecurityCtrlr"},
                    "variable": {"name": "BasicAuthPassword"},
                    "actualValue": SECRET,
                }
            ]
        },
    ],
    "SetNetworkProfile": [
        2,
        "1",
        "SetNetworkProfile",
        {"configurationSlot": 1, "connectionData": {"ocppCsmsUrl": "wss://c.example", "vpn": VPN, "apn": APN}},
    ],
    "2.1 network profile": [2, "1", "SetNetworkProfile", {"connectionData": {"basicAuthPassword": SECRET}}],
    "user of a URL": [2, "1", "GetDiagnostics", {"location": f"ftp://user:{SECRET}@files.example/up"}],
    "query of a URL": [2, "1", "GetLog", {"log": {"remoteLocation": f"https://b.example/x?a=1&sig={SECRET}&b=2"}}],
    "JSON in DataTransfer": [2, "1", "DataTransfer", {"vendorId": "v", "data": json.dumps({"password": SECRET})}],
    "JSON in JSON": [
        2,
        "1",
        "DataTransfer",
        {"vendorId": "v", "data": json.dumps({"inner": json.dumps([{"key": "AuthorizationKey", "value": SECRET}])})},
    ],
    "text in DataTransfer": [2, "1", "DataTransfer", {"vendorId": "v", "data": f"user=x;password={SECRET};y=1"}],
    "a header somebody logs": [2, "1", "SecurityEventNotification", {"techInfo": f"Authorization: Basic {SECRET}"}],
    "private key": [
        2,
        "1",
        "DataTransfer",
        {"vendorId": "v", "data": f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----"},
    ],
    "error": [4, "1", "InternalError", f"bad password: {SECRET}", {"info": f"secret={SECRET}"}],
    "signed": [2, "1", "ChangeConfiguration-Signed", signed({"key": "AuthorizationKey", "value": SECRET})],
    "signed result": [3, "1", signed({"configurationKey": [{"key": "AuthorizationKey", "value": SECRET}]})],
    "signed and unreadable": [2, "1", "X-Signed", {"protected": "e30", "payload": f"{SECRET}", "signature": "c2ln"}],
    "a person": [2, "1", "NotifyCustomerInformation", {"data": f"name: {SECRET}", "seqNo": 0}],
    "contract": [2, "1", "Get15118EVCertificate", {"exiRequest": SECRET, "action": "Install"}],
}
TOKENS: dict[str, list[Any]] = {
    "1.6": [2, "1", "Authorize", {"idTag": TOKEN}],
    "2.x": [2, "1", "Authorize", {"idToken": {"idToken": TOKEN, "type": "ISO14443"}}],
    "parent": [3, "1", {"idTagInfo": {"status": "Accepted", "parentIdTag": TOKEN}}],
    "list": [2, "1", "SendLocalList", {"listVersion": 1, "localAuthorizationList": [{"idTag": TOKEN}]}],
    "customer": [2, "1", "CustomerInformation", {"customerIdentifier": TOKEN}],
    "additional": [
        2,
        "1",
        "Authorize",
        {"idToken": {"idToken": "", "additionalInfo": [{"additionalIdToken": TOKEN, "type": "x"}]}},
    ],
}
INNOCENT: dict[str, list[Any]] = {
    "heartbeat": [2, "1", "Heartbeat", {}],
    "another key": [2, "1", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "300"}],
    "a key about authorization": [2, "1", "ChangeConfiguration", {"key": "AuthorizeRemoteTxRequests", "value": "true"}],
    "URL": [2, "1", "UpdateFirmware", {"location": "https://fw.example/v1.bin?model=a&version=2"}],
    "e-mail like": [2, "1", "StatusNotification", {"info": "call me@example.com"}],
    "data": [2, "1", "DataTransfer", {"vendorId": "v", "data": '{"a": 1.50,  "b": [1]}'}],
    "empty token": [2, "1", "StopTransaction", {"idTag": "", "transactionId": 1}],
    "meter": [2, "1", "MeterValues", {"meterValue": [{"sampledValue": [{"value": "1.0"}]}]}],
    "variable": [
        2,
        "1",
        "SetVariables",
        {
            "setVariableData": [
                {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "X"}, "attributeValue": "5"}
            ]
        },
    ],
}


class TestSecrets:
    @pytest.mark.parametrize("frame", SECRETS.values(), ids=SECRETS)
    def test_nothing_of_a_secret_is_kept_and_the_shape_is(self, frame: list[Any]) -> None:
        text = redacted(json.dumps(frame).encode(), pseudonym).decode()
        inside = json.loads(text)[-1]
        payload = inside.get("payload", "").replace("*", "A") if isinstance(inside, dict) else ""
        decoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode("latin-1")
        assert SECRET not in text
        assert SECRET not in decoded
        assert "4711" not in text
        assert _shape(json.loads(text)) == _shape(frame)

    def test_what_is_beside_it_stays(self) -> None:
        assert kept(SECRETS["ChangeConfiguration"])[3] == {"key": "AuthorizationKey", "value": "*" * len(SECRET)}
        assert kept(SECRETS["query of a URL"])[3]["log"]["remoteLocation"] == (
            f"https://b.example/x?a=1&sig={'*' * len(SECRET)}&b=2"
        )
        assert kept(SECRETS["user of a URL"])[3]["location"].endswith("@files.example/up")
        report = kept(SECRETS["NotifyReport"])[3]["reportData"][0]
        assert report["variableAttribute"] == [{"type": "Actual", "value": "*" * len(SECRET)}]
        vpn = kept(SECRETS["SetNetworkProfile"])[3]["connectionData"]["vpn"]
        assert (vpn["server"], vpn["key"]) == ("vpn.example", "*" * len(SECRET))


class TestTokens:
    @pytest.mark.parametrize("frame", TOKENS.values(), ids=TOKENS)
    def test_a_token_becomes_the_same_pseudonym_everywhere(self, frame: list[Any]) -> None:
        text = redacted(json.dumps(frame).encode(), pseudonym).decode()
        assert TOKEN not in text
        assert pseudonym(TOKEN) in text

    def test_spellings_of_one_token_are_one_pseudonym_and_others_are_not(self) -> None:
        assert pseudonym(" 04a1b2c3d4 ") == pseudonym(TOKEN)
        assert pseudonym("04A1B2C3D5") != pseudonym(TOKEN)
        assert token_pseudonym(bytes(32), TOKEN) != pseudonym(TOKEN)

    def test_it_fits_where_an_idtag_fits(self) -> None:
        assert len(pseudonym("x" * 255)) == 20


class TestInnocent:
    @pytest.mark.parametrize("frame", INNOCENT.values(), ids=INNOCENT)
    def test_it_stays_byte_for_byte(self, frame: list[Any]) -> None:
        text = json.dumps(frame, indent=1).encode()
        assert redacted(text, pseudonym) is text

    @given(st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.just("plain"), st.lists))
    def test_any_value_without_names_stays(self, value: Any) -> None:
        text = json.dumps([3, "1", {"x": value}]).encode()
        assert redacted(text, pseudonym) == text


class TestWhatRulesWant:
    def test_paths(self) -> None:
        frame = [2, "1", "X", {"a": {"b": ["one", 2], "c": "stays"}, "d": [{"e": "gone"}]}]
        assert kept(frame, "payload.a.b", "payload.d.e", "payload.nowhere")[3] == {
            "a": {"b": ["***", 0], "c": "stays"},
            "d": [{"e": "****"}],
        }

    def test_values_of_configuration(self) -> None:
        assert kept(INNOCENT["another key"], "facts.config_changes")[3]["value"] == "***"

    def test_urls(self) -> None:
        assert "fw.example" not in json.dumps(kept(INNOCENT["URL"], "facts.urls"))

    def test_a_fact_of_unknown_origin_takes_everything(self) -> None:
        assert kept(INNOCENT["URL"], "facts.power_w")[3]["location"].strip("*") == ""

    def test_a_signed_message_is_taken_whole_because_the_names_are_inside(self) -> None:
        frame = [2, "1", "X-Signed", signed({"a": "inner"})]
        assert set(kept(frame, "payload.a")[3]["payload"]) == {"*"}


def test_what_is_no_frame_is_refused() -> None:
    for text in (b"{}", b"[]", b"[2,", b"\xff"):
        with pytest.raises(ValueError):
            redacted(text, pseudonym)


@pytest.mark.parametrize("frame", [*SECRETS.values(), *TOKENS.values()], ids=[*SECRETS, *TOKENS])
def test_what_is_kept_can_be_judged_again(frame: list[Any]) -> None:
    if frame[0] == 2:
        version = OCPPVersion.V2_1
        decode_message(json.dumps(frame).encode(), version)
        decode_message(redacted(json.dumps(frame).encode(), pseudonym), version)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    return [_shape(each) for each in value] if isinstance(value, list) else type(value).__name__
