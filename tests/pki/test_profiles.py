"""What a certificate of each use looks like."""

import dataclasses
import datetime

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.errors import Misconfigured
from pki.profiles import (
    CHARGE_POINT,
    CHARGE_POINT_ISSUING_CA,
    CSMS,
    CSMS_ISSUING_CA,
    ISSUING_CA,
    OCSP_RESPONDER,
    ROOT_CA,
    V2G_SECC,
    CertificateProfile,
    SubjectKind,
)

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


def test_the_issuing_cas_of_ceremonies_serve_one_side_each() -> None:
    assert CHARGE_POINT_ISSUING_CA.extended_key_usage == ExtendedKeyUsageOID.CLIENT_AUTH
    assert CSMS_ISSUING_CA.extended_key_usage == ExtendedKeyUsageOID.SERVER_AUTH
    assert {CHARGE_POINT_ISSUING_CA.path_length, CSMS_ISSUING_CA.path_length} == {0}


@pytest.mark.parametrize("rsa", [True, False])
def test_a_responder_signs_and_an_secc_also_agrees_on_keys(rsa: bool) -> None:
    assert said(OCSP_RESPONDER, rsa=rsa) == {"digital_signature"}
    assert said(V2G_SECC, rsa=False) == {"digital_signature", "key_agreement"}


@pytest.mark.parametrize(
    ("profile", "changes", "problem"),
    [
        (CHARGE_POINT, {"name": ""}, "no name"),
        (CHARGE_POINT, {"lifetime": -DAY}, "lifetime is not positive"),
        (CHARGE_POINT, {"lifetime": 0 * DAY}, "lifetime is not positive"),
        (CHARGE_POINT, {"backdate": 2 * DAY}, "back-dated by more than a day"),
        (CHARGE_POINT, {"backdate": -DAY}, "back-dated"),
        (CHARGE_POINT, {"key_kinds": frozenset()}, "no kind of key"),
        (CHARGE_POINT, {"key_kinds": frozenset({"ed25519"})}, "unknown"),
        (CHARGE_POINT, {"is_ca": True}, "a CA's subject is an authority"),
        (CHARGE_POINT, {"subject": SubjectKind.AUTHORITY}, "a CA's subject is an authority"),
        (CHARGE_POINT, {"path_length": 0}, "only a CA has a path length"),
        (CHARGE_POINT, {"subject_alternative_names": True}, "others none"),
        (CHARGE_POINT, {"extended_key_usage": ExtendedKeyUsageOID.SERVER_AUTH}, "others are not"),
        (CHARGE_POINT, {"no_revocation_check": True}, "only an OCSP responder"),
        (CHARGE_POINT, {"extended_key_usage": ExtendedKeyUsageOID.OCSP_SIGNING}, "a responder signs OCSP"),
        (CSMS, {"subject_alternative_names": False}, "hosts have alternative names"),
        (CSMS, {"extended_key_usage": None}, "hosts are TLS servers"),
        (ROOT_CA, {"subject_alternative_names": True}, "a CA has no alternative names"),
        (ROOT_CA, {"path_length": -1}, "negative"),
        (ROOT_CA, {"key_agreement": True}, "does not agree"),
    ],
)
def test_a_profile_that_contradicts_itself_is_not_made(profile: CertificateProfile, changes, problem: str) -> None:
    with pytest.raises(Misconfigured, match=problem):
        dataclasses.replace(profile, **changes)


@pytest.mark.requirement("A03.FR.02", "A00.FR.514")
def test_changes_that_make_sense_are_taken() -> None:
    assert CHARGE_POINT.with_lifetime(365 * DAY).lifetime == 365 * DAY
    assert dataclasses.replace(CHARGE_POINT, extended_key_usage=None).extended_key_usage is None
    assert CHARGE_POINT.with_lifetime(45 * DAY).warnings() == ()
    assert "44 days are less than 45" in CHARGE_POINT.with_lifetime(44 * DAY).warnings()[0]
    assert CSMS.with_lifetime(DAY).warnings() == ()
