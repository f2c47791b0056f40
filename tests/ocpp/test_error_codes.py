"""One meaning, and how each version spells it."""

import pytest

from gateway.ocpp.error_codes import ErrorMeaning, meaning_of, spell
from gateway.ocpp.vocabulary import OCPPVersion

V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
CODES_OF_1_6 = {
    "NotImplemented",
    "NotSupported",
    "InternalError",
    "ProtocolError",
    "SecurityError",
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "TypeConstraintViolation",
    "GenericError",
}
CODES_OF_2_X = CODES_OF_1_6 - {"FormationViolation", "OccurenceConstraintViolation"} | {
    "FormatViolation",
    "OccurrenceConstraintViolation",
    "MessageTypeNotSupported",
    "RpcFrameworkError",
}


def test_each_version_is_sent_its_own_codes_and_all_of_them() -> None:
    assert {spell(meaning, V1_6) for meaning in ErrorMeaning} == CODES_OF_1_6
    assert {spell(meaning, V2_0_1) for meaning in ErrorMeaning} == CODES_OF_2_X
    assert {spell(meaning, V2_1) for meaning in ErrorMeaning} == CODES_OF_2_X


@pytest.mark.parametrize(
    ("meaning", "in_1_6", "in_2_x"),
    [
        (ErrorMeaning.FORMAT, "FormationViolation", "FormatViolation"),
        (ErrorMeaning.OCCURRENCE_CONSTRAINT, "OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
        (ErrorMeaning.RPC_FRAMEWORK, "FormationViolation", "RpcFrameworkError"),
        (ErrorMeaning.MESSAGE_TYPE_NOT_SUPPORTED, "ProtocolError", "MessageTypeNotSupported"),
        (ErrorMeaning.SECURITY, "SecurityError", "SecurityError"),
    ],
)
def test_the_spelling_is_that_of_the_version(meaning: ErrorMeaning, in_1_6: str, in_2_x: str) -> None:
    assert [spell(meaning, version) for version in (V1_6, V2_0_1, V2_1)] == [in_1_6, in_2_x, in_2_x]


def test_both_spellings_are_understood_whatever_the_version() -> None:
    assert {code for code in CODES_OF_1_6 | CODES_OF_2_X if meaning_of(code) is None} == set()
    assert meaning_of("FormationViolation") is meaning_of("FormatViolation") is ErrorMeaning.FORMAT
    assert meaning_of("OccurenceConstraintViolation") is ErrorMeaning.OCCURRENCE_CONSTRAINT


@pytest.mark.parametrize("code", ["", "securityerror", "SecurityError ", "NotImplementedError", "<script>", "OK"])
def test_what_is_no_code_has_no_meaning(code: str) -> None:
    assert meaning_of(code) is None
