"""Revocation lists: numbers and times, shards, what is refused. Whether others accept them: tests/interop/test_revocation_judges.py."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from pki.crl import CRLStamp, CRLTooSoon, build_crl, distribution_points, next_stamp, shard_of
from pki.revocation import REASON_CODES, RevokedCertificate, octets_of_serial, reason_from_text
from tests.support.revocation_material import HOUR, authority, moment
from tests.support.tls_material import Issued, _name, new_key

NOW = moment()
STAMP = CRLStamp(7, NOW, NOW + HOUR)
SECOND = datetime.timedelta(seconds=1)
SERIALS = st.integers(min_value=1, max_value=(1 << 159) - 1)
TIMES = st.integers(min_value=631_152_000, max_value=4_700_000_000).map(
    lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.UTC)
)


def made(*entries: RevokedCertificate, url: str = "", scope: str = "all") -> x509.CertificateRevocationList:
    issuer = authority()
    der = build_crl(issuer.root, issuer.key, entries, STAMP, url=url, scope=scope)  # type: ignore[arg-type]
    found = x509.load_der_x509_crl(der)
    assert found.is_signature_valid(issuer.key.public_key())
    return found


@given(st.dictionaries(SERIALS, st.tuples(TIMES, st.sampled_from(list(REASON_CODES))), max_size=30))
def test_list_says_exactly_what_is_revoked_since_when_and_why(
    entries: dict[int, tuple[datetime.datetime, x509.ReasonFlags]],
) -> None:
    found = made(*(RevokedCertificate(serial, *rest) for serial, rest in entries.items()))
    read = {}
    for entry in found:
        try:
            reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        except x509.ExtensionNotFound:
            reason = x509.ReasonFlags.unspecified
        read[entry.serial_number] = entry.revocation_date_utc, reason
    assert read == entries


def test_number_times_issuer_and_key_are_in_the_list() -> None:
    issuer, found = authority(), made()
    assert (found.last_update_utc, found.next_update_utc, len(found)) == (NOW, NOW + HOUR, 0)
    assert found.issuer == issuer.root.subject
    number = found.extensions.get_extension_for_class(x509.CRLNumber)
    key = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert (number.value.crl_number, number.critical) == (7, False)
    assert key == issuer.root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_a_whole_list_has_no_distribution_point_and_a_shard_has_that_of_its_certificates() -> None:
    with pytest.raises(x509.ExtensionNotFound):
        made().extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    url = "http://pki.example.test/crl/issuing/3.crl"
    point = made(url=url, scope="user").extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    (in_certificate,) = distribution_points(url)
    assert point.critical
    assert point.value.full_name == in_certificate.full_name
    assert (point.value.only_contains_user_certs, point.value.only_contains_ca_certs) == (True, False)


def test_the_earlier_of_two_revocations_of_one_certificate_counts() -> None:
    late, early = RevokedCertificate(5, NOW, x509.ReasonFlags.superseded), RevokedCertificate(5, NOW - HOUR)
    for entries in ((late, early), (early, late)):
        (entry,) = made(*entries)
        assert entry.revocation_date_utc == NOW - HOUR


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_what_is_no_serial_number_is_not_encoded(serial: int) -> None:
    with pytest.raises(ValueError, match="serial number"):
        octets_of_serial(serial)
    with pytest.raises(ValueError, match="serial number"):
        made(RevokedCertificate(serial, NOW))


def test_a_key_that_is_not_the_issuers_signs_nothing() -> None:
    with pytest.raises(ValueError, match="key"):
        build_crl(authority().root, new_key(), (), STAMP)


def test_an_issuer_that_may_not_sign_lists_signs_none() -> None:
    leaf = authority().charge_point("SN-1")
    with pytest.raises(ValueError, match="key usage"):
        build_crl(leaf.certificate, leaf.key, (), STAMP)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_a_stronger_curve_signs_with_its_own_hash(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    root = self_signed(key)
    found = x509.load_der_x509_crl(build_crl(root.certificate, key, (), STAMP))
    assert found.is_signature_valid(key.public_key())
    assert isinstance(found.signature_hash_algorithm, hashes.SHA384 if curve.key_size == 384 else hashes.SHA512)


def self_signed(key: ec.EllipticCurvePrivateKey) -> Issued:
    name = _name("Strong", "Test")
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + HOUR)
    return Issued(builder.sign(key, hashes.SHA512()), key)


# -- numbers and times


def test_numbers_start_at_one_and_grow_by_one() -> None:
    first = next_stamp(None, NOW, HOUR)
    assert first == (1, NOW, NOW + HOUR)
    assert next_stamp(first, NOW + SECOND, HOUR).number == 2


@given(st.lists(st.integers(min_value=-5_000, max_value=5_000), min_size=1, max_size=30))
def test_each_list_is_newer_by_a_second_and_never_from_the_future(steps_ms: list[int]) -> None:
    stamp, clock = None, NOW
    for step in steps_ms:
        clock += datetime.timedelta(milliseconds=step)
        try:
            following = next_stamp(stamp, clock, HOUR)
        except CRLTooSoon as soon:
            assert stamp is not None
            waited = clock + datetime.timedelta(seconds=soon.wait_s)
            assert next_stamp(stamp, waited, HOUR).number == stamp.number + 1
            continue
        assert following.this_update <= clock
        if stamp is not None:
            assert following.number == stamp.number + 1
            assert following.this_update >= stamp.this_update + SECOND
        stamp = following


def test_a_clock_set_back_says_how_long_to_wait() -> None:
    stamp = next_stamp(None, NOW, HOUR)
    with pytest.raises(CRLTooSoon) as soon:
        next_stamp(stamp, NOW - HOUR, HOUR)
    assert soon.value.wait_s == 3_601


def test_a_list_that_is_never_valid_is_refused() -> None:
    with pytest.raises(ValueError, match="valid"):
        next_stamp(None, NOW, datetime.timedelta(0))


@given(SERIALS, st.integers(min_value=1, max_value=1_000))
def test_every_certificate_is_in_one_shard(serial: int, shards: int) -> None:
    assert 0 <= shard_of(serial, shards) < shards


def test_reasons_are_named_as_in_rfc_5280() -> None:
    assert reason_from_text("keyCompromise") is x509.ReasonFlags.key_compromise
    with pytest.raises(ValueError, match="keyCompromise"):
        reason_from_text("stolen")
    with pytest.raises(ValueError, match="not one of"):
        reason_from_text("removeFromCRL")
