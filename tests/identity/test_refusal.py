"""The closed list of reasons."""

import re

import pytest

from gateway.identity.refusal import Reason, Refusal, Stage


def test_a_reason_is_found_by_its_code_and_an_unknown_code_is_an_error() -> None:
    assert [Reason.from_code(reason.code) for reason in Reason] == list(Reason)
    for wrong in ("", "password", "PASSWORD-WRONG", "password-wrong "):
        with pytest.raises(KeyError):
            Reason.from_code(wrong)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_stage_an_event_and_words_for_people(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", reason.code)
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", reason.event)
    assert isinstance(reason.stage, Stage)
    assert reason.severity in {"info", "low", "medium", "high", "critical"}
    assert reason.meaning.endswith(".")
    assert reason.remedy.endswith(".")


@pytest.mark.requirement("A00.FR.314", "A00.FR.322", "A00.FR.408", "A00.FR.417", "A00.FR.425")
@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("InvalidTLSVersion", {"tls-version"}),
        ("InvalidTLSCipherSuite", {"tls-cipher"}),
        (
            "InvalidChargingStationCertificate",
            {reason.code for reason in Reason if reason.code.startswith("certificate-")} - {"certificate-missing"},
        ),
        ("", {reason.code for reason in Reason if not reason.code.startswith(("certificate-", "tls-"))}),
    ],
)
def test_reasons_carry_ocpps_name_for_the_event_where_it_has_one(name: str, reasons: set[str]) -> None:
    assert {reason.code for reason in Reason if reason.ocpp_event == name} >= reasons
    if name:
        assert {reason.code for reason in Reason if reason.ocpp_event == name} == reasons


def test_the_text_of_a_refusal_is_its_code_so_that_no_detail_slips_out_with_it() -> None:
    refusal = Refusal(Reason.PASSWORD_WRONG, "for our records", retry_after_s=3)
    assert str(refusal) == "password-wrong"
    assert (refusal.reason, refusal.detail, refusal.retry_after_s) == (Reason.PASSWORD_WRONG, "for our records", 3)
    assert (Refusal(Reason.DISABLED).detail, Refusal(Reason.DISABLED).retry_after_s) == ("", 0)
