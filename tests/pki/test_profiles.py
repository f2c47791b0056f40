"""What a certificate of each use looks like."""

import datetime

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.profiles import CHARGE_POINT, CSMS, ISSUING_CA, ROOT_CA, CertificateProfile

ALL = (ROOT_CA, ISSUING_CA, CSMS, CHARGE_POINT)
DAY = datetime.timedelta(days=1)


def said(profile: CertificateProfile, *, rsa: bool) -> set[str]:
    usage = profile.key_usage(rsa=rsa)
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    return {name for name in [*names, "key_cert_sign", "crl_sign"] if getattr(usage, name)}


@pytest.mark.parametrize("profile", [ROOT_CA, ISSUING_CA])
@pytest.mark.parametrize("rsa", [True, False])
def test_a_ca_signs_certificates_and_revocation_lists_and_nothing_else(profile: CertificateProfile, rsa: bool) -> None:
    assert profile.is_ca
    assert said(profile, rsa=rsa) == {"key_cert_sign", "crl_sign"}


@pytest.mark.requirement("A00.FR.318", "A00.FR.421")
@pytest.mark.parametrize("profile", [CSMS, CHARGE_POINT])
def test_an_end_entity_signs_and_with_rsa_also_enciphers_keys_for_the_static_suites(
    profile: CertificateProfile,
) -> None:
    assert not profile.is_ca
    assert said(profile, rsa=False) == {"digital_signature"}
    assert said(profile, rsa=True) == {"digital_signature", "key_encipherment"}


def test_an_issuing_ca_may_make_no_further_ca() -> None:
    assert (ROOT_CA.path_length, ISSUING_CA.path_length) == (None, 0)


def test_each_end_entity_has_the_one_use_of_its_side() -> None:
    assert CSMS.extended_key_usage == ExtendedKeyUsageOID.SERVER_AUTH
    assert CHARGE_POINT.extended_key_usage == ExtendedKeyUsageOID.CLIENT_AUTH
    assert (ROOT_CA.extended_key_usage, ISSUING_CA.extended_key_usage) == (None, None)


def test_only_servers_have_alternative_names() -> None:
    assert [profile.subject_alternative_names for profile in ALL] == [False, False, True, False]


def test_everything_is_back_dated_an_hour_and_what_is_below_ends_before_what_is_above() -> None:
    assert {profile.backdate for profile in ALL} == {datetime.timedelta(hours=1)}
    assert ROOT_CA.lifetime > ISSUING_CA.lifetime > CSMS.lifetime
    assert CHARGE_POINT.lifetime == 90 * DAY
