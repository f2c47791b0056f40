"""Names: what a certificate may say, and what would deceive."""

import pytest

from pki.errors import Reason, Refused
from pki.names import Subject, reads_as_host_name, verify_charge_point_name, verify_host_name, verify_organization


def refusal(check, value: str) -> Reason | None:
    try:
        check(value)
    except Refused as refused:
        return refused.reason
    return None


@pytest.mark.requirement("A00.FR.511")
class TestChargePoint:
    @pytest.mark.parametrize(
        "value",
        [
            "SN-4711",
            "AL.P123.7",
            "DE*ABC*E1",
            "a" * 64,
            "1 2",
            "0004A30B001C0530",
            "x:y@z_1+|",
            "A=1",
            "_x",
            "*SN",
            "10.0.0.1:x",
            "AB:12",
        ],
    )
    def test_serial_numbers_pass(self, value: str) -> None:
        assert refusal(verify_charge_point_name, value) is None

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("", Reason.NAME_EMPTY),
            ("   ", Reason.NAME_EMPTY),
            ("a" * 65, Reason.NAME_TOO_LONG),
            ("wss://cp.example.com", Reason.NAME_IS_ADDRESS),
            ("www.example.com", Reason.NAME_IS_ADDRESS),
            ("10.0.0.1", Reason.NAME_IS_ADDRESS),
            ("fe80::1", Reason.NAME_IS_ADDRESS),
            ("SN\0", Reason.NAME_CONTROL_CHARACTER),
            ("\u202eSN", Reason.NAME_BIDI_CHARACTER),
            ("SN/1", Reason.NAME_CHARACTER),
            ("SN+O=1", Reason.NAME_CHARACTER),
            ("(SN)", Reason.NAME_CHARACTER),
            ("10.0.0.1:80", Reason.NAME_IS_ADDRESS),
            ("10.0.0.1:65535", Reason.NAME_IS_ADDRESS),
            ("SN,1", Reason.NAME_CHARACTER),
            ("SN ", Reason.NAME_CHARACTER),
            ("ЅN-1", Reason.NAME_CHARACTER),
        ],
    )
    def test_what_deceives_or_is_an_address_is_refused(self, value: str, reason: Reason) -> None:
        assert refusal(verify_charge_point_name, value) is reason


@pytest.mark.requirement("A00.FR.510")
class TestHost:
    @pytest.mark.parametrize("value", ["csms.example.com", "a.b", "xn--kln-sna.example", "a-b.c1.example", "1.example"])
    def test_host_names_pass(self, value: str) -> None:
        assert refusal(verify_host_name, value) is None

    @pytest.mark.parametrize(
        "value",
        [
            "localhost",
            "*.example.com",
            "a..b",
            "-a.example",
            "a-.example",
            "10.0.0.1",
            "a.example.",
            "köln.example",
            "a_b.example",
        ],
    )
    def test_others_are_refused(self, value: str) -> None:
        assert refusal(verify_host_name, value) is Reason.NAME_NOT_A_HOST_NAME


class TestOrganization:
    def test_any_writing_passes_that_shows_what_it_is(self) -> None:
        for value in ("Example CPO", "Stadtwerke Köln GmbH & Co. KG", "東京電力", "a" * 64):
            assert refusal(verify_organization, value) is None

    def test_others_are_refused(self) -> None:
        cases = {
            "": Reason.NAME_EMPTY,
            "a" * 65: Reason.NAME_TOO_LONG,
            " CPO": Reason.NAME_CHARACTER,
            "C\u2066PO": Reason.NAME_BIDI_CHARACTER,
        }
        assert {value: refusal(verify_organization, value) for value in cases} == cases


def test_what_openssl_takes_for_a_host_name_when_it_applies_name_constraints() -> None:
    """As its `cn2dnsid` has it: letters, digits, hyphens and underscores, in two labels or more."""
    assert [reads_as_host_name(x) for x in ("AL.P123", "a.b.c", "1.2.3.4", "a_.b", "a--b.c")] == [True] * 5
    assert [reads_as_host_name(x) for x in ("SN-1", "a.b*c", ".a", "a.", "a..b", "a-.b", "a.-b", "-a.b", "a b.c")] == [
        False
    ] * 9


def test_the_organization_stands_first_where_there_is_no_country() -> None:
    """Name constraints permit by the beginning of a name."""
    assert Subject("SN", "CPO", "U").name().rfc4514_string() == "CN=SN,OU=U,O=CPO"
    assert (
        Subject("SECC", "CPO", country="DE", domain_component="CPO").name().rfc4514_string()
        == "DC=CPO,CN=SECC,O=CPO,C=DE"
    )
