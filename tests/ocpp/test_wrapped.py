"""What is inside a wrapped call is found however it is wrapped."""

import base64
import json
from typing import Any

import pytest

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.ocpp.wrapped import InnerCall, Unreadable, inner_call

V16, V201, _ = OCPPVersion
_TOKEN = {"idToken": {"idToken": "x", "type": "eMAID"}}


def _tunnel(vendor: str) -> dict[str, Any]:
    return {"vendorId": vendor, "messageId": "Authorize", "data": json.dumps(_TOKEN)}


def _jws(payload: dict[str, Any]) -> dict[str, Any]:
    text = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return {"protected": "e30", "payload": text, "signature": "x"}


@pytest.mark.parametrize("vendor", ["org.openchargealliance.iso15118pnc", "org.openChargeAlliance.ISO15118PnC"])
def test_a_vendor_id_has_no_case(vendor):
    assert inner_call(V16, "DataTransfer", _tunnel(vendor)) == InnerCall("Authorize", _TOKEN, V201, signed=False)


def test_another_vendor_is_no_tunnel():
    assert inner_call(V16, "DataTransfer", _tunnel("org.example")) is None
    assert inner_call(V16, "DataTransfer", {"vendorId": 1}) is None
    assert inner_call(V201, "DataTransfer", _tunnel("org.openchargealliance.iso15118pnc")) is None


def test_a_signed_tunnel_is_judged_by_what_it_carries():
    signed = _jws(_tunnel("org.openchargealliance.iso15118pnc"))

    assert inner_call(V16, "DataTransfer-Signed", signed) == InnerCall("Authorize", _TOKEN, V201, signed=True)


def test_what_is_signed_twice_is_not_read():
    with pytest.raises(Unreadable):
        inner_call(V201, "Reset-Signed-Signed", _jws(_jws({"type": "Immediate"})))
