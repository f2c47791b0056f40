"""Versions, security profiles and origins: closed sets without defaults."""

import pytest

from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile


@pytest.mark.requirement("TC_088_CSMS", "TC_B_58_CSMS")
@pytest.mark.parametrize(
    ("token", "version"),
    [("ocpp1.6", OCPPVersion.V1_6), ("ocpp2.0.1", OCPPVersion.V2_0_1), ("ocpp2.1", OCPPVersion.V2_1)],
)
def test_a_registered_subprotocol_stands_for_its_version(token: str, version: OCPPVersion) -> None:
    assert OCPPVersion.from_subprotocol(token) is version
    assert version.subprotocol == token


@pytest.mark.requirement("TC_088_CSMS", "TC_B_58_CSMS")
@pytest.mark.parametrize("token", ["ocpp0.1", "ocpp1.5", "ocpp2.0", "OCPP1.6", "ocpp1.6 ", "1.6", "", "ocpp1.6j"])
def test_any_other_subprotocol_is_no_version_of_ours(token: str) -> None:
    assert OCPPVersion.from_subprotocol(token) is None


def test_only_1_6_is_not_2_x() -> None:
    assert [version.is_2x for version in (OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1)] == [
        False,
        True,
        True,
    ]


def test_there_are_three_security_profiles_and_no_zero() -> None:
    assert [int(profile) for profile in SecurityProfile] == [1, 2, 3]
    with pytest.raises(ValueError, match="0 is not a valid"):
        SecurityProfile(0)


def test_there_are_three_origins() -> None:
    assert {origin.value for origin in Origin} == {"charge-point", "csms", "gateway"}
