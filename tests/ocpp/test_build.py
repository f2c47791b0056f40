"""Frames of the gateway's own: the strict codec must read them as what they were meant to be."""

import msgspec
import pytest

from gateway.ocpp.build import UNREADABLE_ID, build_call, build_call_error, build_call_result_error
from gateway.ocpp.codec import decode, decode_payload
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.frames import Call, CallError, CallResultError
from gateway.ocpp.vocabulary import OCPPVersion


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (OCPPVersion.V1_6, "FormationViolation"),
        (OCPPVersion.V2_0_1, "FormatViolation"),
        (OCPPVersion.V2_1, "FormatViolation"),
    ],
)
def test_a_call_error_is_spelled_for_its_version(version: OCPPVersion, code: str) -> None:
    text = build_call_error(version, "id-1", ErrorMeaning.FORMAT, 'not "an" object')
    assert text == f'[4,"id-1","{code}","not \\"an\\" object",{{}}]'.encode()
    assert decode(text, version) == CallError("id-1", code, 'not "an" object', msgspec.Raw(b"{}"))


def test_an_error_about_an_unreadable_frame_has_the_id_of_the_standard() -> None:
    text = build_call_error(OCPPVersion.V2_1, UNREADABLE_ID, ErrorMeaning.RPC_FRAMEWORK, "")
    assert text == b'[4,"-1","RpcFrameworkError","",{}]'


def test_a_call_result_error_is_one_to_2_1() -> None:
    text = build_call_result_error(OCPPVersion.V2_1, "r", ErrorMeaning.TYPE_CONSTRAINT, "x")
    assert decode(text, OCPPVersion.V2_1) == CallResultError("r", "TypeConstraintViolation", "x", msgspec.Raw(b"{}"))


def test_a_call_carries_its_payload() -> None:
    frame = decode(build_call("u", "Reset", {"type": "Soft", "n": [1, None]}), OCPPVersion.V1_6)
    assert isinstance(frame, Call)
    assert (frame.message_id, frame.action) == ("u", "Reset")
    assert decode_payload(frame.payload) == {"type": "Soft", "n": [1, None]}
