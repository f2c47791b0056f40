"""What must not be kept of a message, and what must stay as it was sent."""

import base64
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.redaction import redacted, token_pseudonym
from gateway.ocpp.codec import decode_message
from gateway.ocpp.vocabulary import OCPPVersion

KEY = bytes(range(32))
SECRET = "S3cr3t-Marker-0123"
PRIVATE = "PRIVATE" + " KEY"
"""In two pieces: no file of the project holds what looks like a key."""
TOKEN = "04A1B2C3D4"


def pseudonym(token: str) -> str:
    return token_pseudonym(KEY, token)


def text_of(frame: list[Any], *also: str, version: OCPPVersion = OCPPVersion.V2_1) -> str:
    return redacted(json.dumps(frame).encode(), version, pseudonym, also).decode()


def kept(frame: list[Any], *also: str) -> list[Any]:
    result: list[Any] = json.loads(text_of(frame, *also))
    return result


def transfer(data: Any) -> list[Any]:
    return [2, "1", "DataTransfer", {"vendorId": "v", "data": data}]


def settings(key: str, value: str = "") -> list[Any]:
    return [3, "1", {"configurationKey": [{"key": key, "readonly": False, "value": value or SECRET}], "unknownKey": []}]


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
        {"vendorId": "v", "data": f"-----BEGIN EC {PRIVATE}-----\n{SECRET}\n-----END EC {PRIVATE}-----"},
    ],
    "error": [4, "1", "InternalError", f"bad password: {SECRET}", {"info": f"secret={SECRET}"}],
    "signed": [2, "1", "ChangeConfiguration-Signed", signed({"key": "AuthorizationKey", "value": SECRET})],
    "signed result": [3, "1", signed({"configurationKey": [{"key": "AuthorizationKey", "value": SECRET}]})],
    "signed and unreadable": [2, "1", "X-Signed", {"protected": "e30", "payload": f"{SECRET}", "signature": "c2ln"}],
    "a person": [2, "1", "NotifyCustomerInformation", {"data": f"name: {SECRET}", "seqNo": 0}],
    "contract": [2, "1", "Get15118EVCertificate", {"exiRequest": SECRET, "action": "Install"}],
}
SECRETS |= {
    **{f"setting {key}": settings(key) for key in (
        "WiFiPass", "Ftp_Pass", "GPRS_PW", "AdminPIN", "EncryptionKey", "HmacKey", "WepKey", "AuthToken", "BasicAuth",
        "VpnKey", "VPN_PSK_Value", "Anything.At.All", "pa\u017f\u017fword", "x" * 65 + "Password", "HeartbeatInterval\u212a",
    )},
    **{f"transferred {name}": transfer(data) for name, data in {
        "blank": f' {{"key":"AuthorizationKey","value":"{SECRET}"}}',
        "line end": f'\n{{"idTag":"{SECRET}"}}',
        "twice": json.dumps(json.dumps({"idTag": SECRET})),
        "deep": "[" * 700 + f'"{SECRET}"' + "]" * 700,
        "markup": f"<password>{SECRET}</password>",
        "words": f"idTag={SECRET};connector=1",
        "twice the same name": f'{{"idTag":"{SECRET}","idTag":""}}',
        "object": {"Key": "AuthorizationKey", "Value": SECRET},
        "another name": {"name": "WifiPassword", "newValue": SECRET},
        "pairs": [["AuthorizationKey", SECRET]],
        "name": {SECRET: 1},
        "number": 47110815,
        "base64": base64.b64encode(json.dumps({"password": SECRET}).encode()).decode(),
    }.items()},
    **{f"URL {url}": [2, "1", "GetDiagnostics", {"location": url}] for url in (
        f"ftp://u:{SECRET}/w@h/", f"ftp://u:{SECRET}#w@h/x", f"//u:{SECRET}@h/x", f"ftp:/u:{SECRET}@h", f"user:{SECRET}@host/p",
        f"https://h/p?key={SECRET}", f"https://h/p#{SECRET}", f"https://u:p {SECRET}@h/",
    )},
    "error words": [4, "1", "InternalError", f"wrong {SECRET}", {}],
    "error code": [4, "1", f"{SECRET} {SECRET}", "", {}],
    "action": [2, "1", f"pass word {SECRET}", {}],
    "custom data": [2, "1", "Heartbeat", {"customData": {"vendorId": "v", "secret": SECRET}}],
    "signed reading of 1.6": [2, "1", "StopTransaction", {"transactionData": [{"sampledValue": [
        {"value": f'OCMF|{{"ID":"{SECRET}"}}|{{}}', "format": "SignedData"}]}]}],
    "signed reading": [2, "1", "MeterValues", {"meterValue": [{"sampledValue": [{"value": 1.0, "signedMeterValue": {
        "signedMeterData": SECRET, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}}]}]}],
    "contract": [2, "1", "Authorize", {"certificate": SECRET, "idToken": {"idToken": "", "type": "eMAID"}}],
    "contract's number": [2, "1", "CustomerInformation", {"customerCertificate": {"serialNumber": SECRET}}],
    "signed, of a person": [2, "1", "NotifyCustomerInformation-Signed", signed({"data": SECRET, "seqNo": 0})],
    "company": [2, "1", "NotifySettlement", {"vatNumber": SECRET, "vatCompany": {"name": "x", "address1": SECRET}}],
    "token reader": [2, "1", "NotifyEvent", {"eventData": [
        {"component": {"name": "TokenReader"}, "variable": {"name": "Token"}, "actualValue": SECRET}]}],
    "both names": [2, "1", "X", {"x": [{"key": "HeartbeatInterval", "variable": {"name": "BasicAuthPassword"}, "value": SECRET}]}],
    "innocent JSON behind it": [2, "1", "X", {"password": SECRET, "data": "{}"}],
    "tunnelled": [2, "1", "DataTransfer", {"vendorId": "org.openchargealliance.iso15118pnc", "messageId": "Authorize",
        "data": json.dumps({"certificate": SECRET, "idToken": {"idToken": SECRET, "type": "eMAID"}})}],
}  # fmt: skip
TOKENS: dict[str, list[Any]] = {
    "1.6": [2, "1", "Authorize", {"idTag": TOKEN}],
    "2.x": [2, "1", "Authorize", {"idToken": {"idToken": TOKEN, "type": "ISO14443"}}],
    "parent": [3, "1", {"idTagInfo": {"status": "Accepted", "parentIdTag": TOKEN}}],
    "list": [2, "1", "SendLocalList", {"listVersion": 1, "localAuthorizationList": [{"idTag": TOKEN}]}],
    "customer": [2, "1", "CustomerInformation", {"customerIdentifier": TOKEN}],
    "a list": [3, "1", {"tariffAssignments": [{"idTokens": [TOKEN], "tariffId": "t"}]}],
    "contracts": [2, "1", "Get15118EVCertificate", {"prioritizedEMAIDs": ["x", TOKEN]}],
    "tunnelled": [
        2,
        "1",
        "DataTransfer",
        {
            "vendorId": "org.openchargealliance.iso15118pnc",
            "messageId": "Authorize",
            "data": json.dumps({"idToken": {"idToken": TOKEN, "type": "eMAID"}}),
        },
    ],
    "signed": [2, "1", "Authorize-Signed", signed({"idTag": TOKEN})],
    "additional": [
        2,
        "1",
        "Authorize",
        {"idToken": {"idToken": "", "additionalInfo": [{"additionalIdToken": TOKEN, "type": "x"}]}},
    ],
}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
INNOCENT: dict[str, list[Any]] = {
    "heartbeat": [2, "1", "Heartbeat", {}],
    "boot": [2, "1", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "Wallbox Basic 22kW"}],
    "a key of the standard": [2, "1", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "300"}],
    "in another spelling": [2, "1", "ChangeConfiguration", {"key": "heartbeat interval", "value": "300"}],
    "the security profile": [2, "1", "ChangeConfiguration", {"key": "SecurityProfile", "value": "3"}],
    "any key that is on or off": [2, "1", "ChangeConfiguration", {"key": "VendorPassword", "value": "True"}],
    "keys asked for": [2, "1", "GetConfiguration", {"key": ["AuthorizationKey", "HeartbeatInterval"]}],
    "URL": [2, "1", "UpdateFirmware", {"location": "https://fw.example:8443/v1.bin"}],
    "empty token": [2, "1", "StopTransaction", {"idTag": "", "transactionId": 1}],
    "meter": [2, "1", "MeterValues", {"meterValue": [{"sampledValue": [{"value": "-1.5e3"}, {"value": 2.5}]}]}],
    "variable": [
        2,
        "1",
        "SetVariables",
        {
            "setVariableData": [
                {
                    "component": {"name": "OCPPCommCtrlr"},
                    "variable": {"name": "HeartbeatInterval"},
                    "attributeValue": "5",
                }
            ]
        },
    ],
    "report": [
        2,
        "1",
        "NotifyReport",
        {
            "reportData": [
                {
                    "component": {"name": "OCPPCommCtrlr"},
                    "variable": {"name": "HeartbeatInterval"},
                    "variableAttribute": [{"type": "Actual", "value": "5", "mutability": "ReadWrite"}],
                }
            ]
        },
    ],
    "certificate of a CA": [
        2,
        "1",
        "InstallCertificate",
        {"certificate": CERTIFICATE, "certificateType": "CSMSRootCertificate"},
    ],
    "request": [2, "1", "SignCertificate", {"csr": "-----BEGIN CERTIFICATE REQUEST-----"}],
    "hashes": [2, "1", "DeleteCertificate", {"certificateHashData": {"issuerNameHash": "aa", "serialNumber": "01"}}],
    "profile": [2, "1", "SetChargingProfile", {"chargingProfile": {"stackLevel": 0, "chargingSchedule": [{"id": 1}]}}],
    "error": [4, "1", "NotSupported", "", {}],
    "signed": [2, "1", "Heartbeat-Signed", {"protected": "", "payload": "e30", "signature": ""}],
}


class TestSecrets:
    @pytest.mark.parametrize("frame", SECRETS.values(), ids=SECRETS)
    def test_nothing_of_a_secret_is_kept_and_the_shape_is(self, frame: list[Any]) -> None:
        text = text_of(frame)
        inside = json.loads(text)[-1]
        payload = inside.get("payload", "").replace("*", "A") if isinstance(inside, dict) else ""
        decoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode("latin-1")
        assert SECRET not in text
        assert SECRET not in decoded
        assert "4711" not in text
        assert base64.b64encode(SECRET.encode()).decode()[4:-4] not in text
        assert _shape(json.loads(text)) == _shape(frame)

    def test_what_is_beside_it_stays(self) -> None:
        assert kept(SECRETS["ChangeConfiguration"])[3] == {"key": "AuthorizationKey", "value": "*" * len(SECRET)}
        assert kept(SECRETS["query of a URL"])[3]["log"]["remoteLocation"] == (
            "https://b.example/x" + "*" * len(f"?a=1&sig={SECRET}&b=2")
        )
        assert kept(SECRETS["user of a URL"])[3]["location"].endswith("@files.example/up")
        report = kept(SECRETS["NotifyReport"])[3]["reportData"][0]
        assert report["variableAttribute"] == [{"type": "Actual", "value": "*" * len(SECRET)}]
        vpn = kept(SECRETS["SetNetworkProfile"])[3]["connectionData"]["vpn"]
        assert (vpn["server"], vpn["key"]) == ("vpn.example", "*" * len(SECRET))


class TestTokens:
    @pytest.mark.parametrize("frame", TOKENS.values(), ids=TOKENS)
    def test_a_token_becomes_the_same_pseudonym_everywhere(self, frame: list[Any]) -> None:
        text = text_of(frame)
        assert TOKEN not in text
        assert pseudonym(TOKEN) in text or _within(text, pseudonym(TOKEN))

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
        assert redacted(text, OCPPVersion.V2_1, pseudonym) is text

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.just("plain"), st.lists, max_leaves=50
        )
    )
    def test_any_value_under_a_known_name_stays_and_under_another_nothing_does(self, value: Any) -> None:
        known, unknown = (json.dumps([3, "1", {name: value}]).encode() for name in ("status", "vendorStatus"))
        assert redacted(known, OCPPVersion.V2_1, pseudonym) == known
        assert b"plain" not in redacted(unknown, OCPPVersion.V2_1, pseudonym)


class TestWhatRulesWant:
    def test_paths(self) -> None:
        frame = [2, "1", "X", {"status": {"type": ["one", 2], "unit": "stays"}, "tax": [{"x": 7}]}]
        assert kept(frame, "payload.status.type", "payload.tax.x", "payload.nowhere")[3] == {
            "status": {"type": ["***", 0], "unit": "stays"},
            "tax": [{"x": 0}],
        }

    def test_values_of_configuration(self) -> None:
        assert kept(INNOCENT["a key of the standard"], "facts.config_changes")[3]["value"] == "***"

    def test_urls(self) -> None:
        assert "fw.example" not in json.dumps(kept(INNOCENT["URL"], "facts.urls"))

    def test_a_fact_of_unknown_origin_takes_everything(self) -> None:
        assert kept(INNOCENT["URL"], "facts.power_w")[3]["location"].strip("*") == ""

    def test_a_signed_message_is_taken_whole_because_the_names_are_inside(self) -> None:
        frame = [2, "1", "X-Signed", signed({"status": "inner"})]
        assert set(kept(frame, "payload.status")[3]["payload"]) == {"*"}


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b"[2,",
        b"\xff",
        b'[2,"1","X",{"value":"a","value":""}]',
        b'[2,"1","X",{"key":"k","k\\u0065y":"x"}]',
        b"[9,1]",
    ],
)
def test_what_the_codec_does_not_take_is_not_kept(text: bytes) -> None:
    with pytest.raises(ValueError):
        redacted(text, OCPPVersion.V2_1, pseudonym)


@pytest.mark.parametrize("frame", [*SECRETS.values(), *TOKENS.values()], ids=[*SECRETS, *TOKENS])
def test_what_is_kept_can_be_read_again_and_has_nothing_more_to_take_out(frame: list[Any]) -> None:
    once = text_of(frame)
    decode_message(once.encode(), OCPPVersion.V2_1)
    assert redacted(once.encode(), OCPPVersion.V2_1, lambda token: token).decode() == once


@pytest.mark.parametrize(
    "piece",
    ["x-amz-", "a@", "://", "password=", "[", '{"a":', "?", "Basic ", f"-----BEGIN {PRIVATE}-----", "OCMF|", "="],
)
def test_the_work_grows_with_the_size_and_no_faster(piece: str) -> None:
    """Counted in Python's own steps, not in time. A text of 256 KiB must not stop a worker."""
    small, large = (_steps(transfer_text(piece, size)) for size in (4_000, 64_000))
    assert large < 40 * small + 2_000


def transfer_text(piece: str, size: int) -> bytes:
    return json.dumps(
        [2, "1", "GetLog", {"location": piece * (size // len(piece)), "status": piece * (size // len(piece))}]
    ).encode()


def _steps(text: bytes) -> int:
    """Lines of redaction.py run; what the regular expressions do is bounded by their form: no repetition is within another."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename.endswith("redaction.py") else None

    sys.settrace(trace)
    try:
        redacted(text, OCPPVersion.V2_1, pseudonym)
    finally:
        sys.settrace(None)
    return count


def _within(text: str, wanted: str) -> bool:
    inside = json.loads(text)[3]["payload"]
    return wanted in base64.urlsafe_b64decode(inside + "=" * (-len(inside) % 4)).decode()


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [_shape(inner) for inner in value.values()]
    return [_shape(each) for each in value] if isinstance(value, list) else type(value).__name__
