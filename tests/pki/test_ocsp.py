"""OCSP answers made in advance: what is said of whom, and what is answered to requests that cannot be answered."""

import base64
import datetime
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from pki.encoded import public_key_bits, subject_name
from pki.ocsp import MAX_REQUEST_BYTES, OCSPResponses, OCSPSigner, OCSPWindow, request_from_path
from pki.revocation import RevokedCertificate
from tests.support.revocation_material import HOUR, authority, moment, responder
from tests.support.tls_material import DAY, Authority, Issued, new_key

NOW = moment()
WINDOW = OCSPWindow(NOW, NOW + HOUR)
GOOD, REVOKED, UNSPECIFIED, UNKNOWN = 0x11, 0x22, 0x33, 0x44
LEAF = authority().charge_point("SN-1")


def responses(signed_by: Issued | None = None) -> OCSPResponses:
    issuer = authority()
    signed_by = signed_by or responder(issuer)
    signer = OCSPSigner(issuer.root, signed_by.certificate, signed_by.key)
    because = RevokedCertificate(REVOKED, NOW - HOUR, x509.ReasonFlags.key_compromise)
    presigned = {
        GOOD: signer.presign(GOOD, None, WINDOW),
        REVOKED: signer.presign(REVOKED, because, WINDOW),
        UNSPECIFIED: signer.presign(UNSPECIFIED, RevokedCertificate(UNSPECIFIED, NOW), WINDOW),
    }
    return OCSPResponses(issuer.root, presigned)


RESPONSES = responses()


def request(serial: int, algorithm: hashes.HashAlgorithm, issuer: Authority | None = None, **extension: bytes) -> bytes:
    root = (issuer or authority()).root
    name, key = (hashlib.new(algorithm.name, part(root)).digest() for part in (subject_name, public_key_bits))
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name, key, serial, algorithm)
    if "nonce" in extension:
        builder = builder.add_extension(x509.OCSPNonce(extension["nonce"]), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def asked(der: bytes, now: datetime.datetime = NOW) -> ocsp.OCSPResponse:
    return ocsp.load_der_ocsp_response(RESPONSES.answer(der, now).der)


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()])
@pytest.mark.parametrize(
    ("serial", "status", "reason"),
    [
        (GOOD, ocsp.OCSPCertStatus.GOOD, None),
        (REVOKED, ocsp.OCSPCertStatus.REVOKED, x509.ReasonFlags.key_compromise),
        (UNSPECIFIED, ocsp.OCSPCertStatus.REVOKED, None),
    ],
)
def test_each_certificate_has_its_answer_by_either_hash(
    algorithm: hashes.HashAlgorithm,
    serial: int,
    status: ocsp.OCSPCertStatus,
    reason: x509.ReasonFlags | None,
) -> None:
    found = asked(request(serial, algorithm))
    assert (found.certificate_status, found.revocation_reason, found.serial_number) == (status, reason, serial)
    assert found.hash_algorithm.name == algorithm.name
    assert (found.this_update_utc, found.next_update_utc, found.produced_at_utc) == (NOW, NOW + HOUR, NOW)
    (certificate,) = found.certificates
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(found.signature, found.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    assert found.responder_key_hash == hashlib.sha1(public_key_bits(certificate)).digest()
    if status is ocsp.OCSPCertStatus.REVOKED:
        assert found.revocation_time_utc == (NOW - HOUR if serial == REVOKED else NOW)


def test_the_window_is_given_for_caches() -> None:
    assert RESPONSES.answer(request(GOOD, hashes.SHA1()), NOW).window == WINDOW


@pytest.mark.parametrize(
    "der",
    [
        request(UNKNOWN, hashes.SHA1()),
        request(GOOD, hashes.SHA1(), Authority("Another CA")),
        request(GOOD, hashes.SHA384()),
    ],
    ids=["serial", "issuer", "hash"],
)
def test_what_is_not_known_here_is_answered_unauthorized_and_never_cached(der: bytes) -> None:
    answer = RESPONSES.answer(der, NOW)
    assert ocsp.load_der_ocsp_response(answer.der).response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED
    assert answer.window is None


def test_an_answer_that_is_out_of_date_is_not_given() -> None:
    der = request(GOOD, hashes.SHA1())
    assert asked(der, NOW + HOUR).response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    late = RESPONSES.answer(der, NOW + HOUR + datetime.timedelta(seconds=1))
    assert ocsp.load_der_ocsp_response(late.der).response_status is ocsp.OCSPResponseStatus.TRY_LATER
    assert late.window is None


@pytest.mark.parametrize("size", [1, 32, 128])
def test_a_nonce_is_ignored(size: int) -> None:
    found = asked(request(GOOD, hashes.SHA1(), nonce=b"n" * size))
    assert found.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert len(found.extensions) == 0


@pytest.mark.parametrize("size", [0, 129])
def test_a_nonce_of_impossible_length_is_malformed(size: int) -> None:
    found = asked(request(GOOD, hashes.SHA1(), nonce=b"n" * size))
    assert found.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_a_critical_extension_that_nobody_knows_is_malformed_and_one_that_is_not_critical_is_none() -> None:
    for critical, status in (
        (True, ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
        (False, ocsp.OCSPResponseStatus.SUCCESSFUL),
    ):
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
        name, key = (hashlib.sha1(part(authority().root)).digest() for part in (subject_name, public_key_bits))
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name, key, GOOD, hashes.SHA1())
        der = builder.add_extension(unknown, critical=critical).build().public_bytes(Encoding.DER)
        assert asked(der).response_status is status


def several() -> bytes:
    """A request about two certificates, which none of our responses is about."""
    from asn1crypto import ocsp as asn1_ocsp

    one = asn1_ocsp.OCSPRequest.load(request(GOOD, hashes.SHA1()))
    one["tbs_request"]["request_list"].append(one["tbs_request"]["request_list"][0].copy())
    return bytes(one.dump(force=True))


def test_a_request_about_two_certificates_is_unauthorized() -> None:
    assert asked(several()).response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED


@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(noise: bytes) -> None:
    assert asked(noise).response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL


@given(st.data())
def test_a_damaged_request_gets_an_answer(data: st.DataObject) -> None:
    der = bytearray(request(GOOD, hashes.SHA1(), nonce=b"n" * 16))
    der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    asked(bytes(der))


# -- who may sign


def test_an_issuer_may_answer_for_itself() -> None:
    issuer = authority()
    answer = responses(Issued(issuer.root, issuer.key)).answer(request(GOOD, hashes.SHA1()), NOW)
    found = ocsp.load_der_ocsp_response(answer.der)
    assert found.certificates == []
    issuer_key = issuer.key.public_key()
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    issuer_key.verify(found.signature, found.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))


def test_an_rsa_responder_signs_too() -> None:
    answer = responses(responder(authority(), kind="rsa")).answer(request(GOOD, hashes.SHA256()), NOW)
    found = ocsp.load_der_ocsp_response(answer.der)
    key = found.certificates[0].public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(found.signature, found.tbs_response_bytes, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("signed_by", "why"),
    [
        (responder(authority(), delegated=False), "OCSPSigning"),
        (responder(authority(), no_check=False), "1.3.6.1.5.5.7.48.1.5"),
        (responder(Authority("Another CA")), "not issued"),
        (responder(Authority("Revoking CA")), "not issued"),
        (Issued(responder(authority()).certificate, new_key()), "key"),
    ],
    ids=["not-delegated", "would-have-to-be-checked", "other-issuer", "other-key-of-the-issuer", "other-key"],
)
def test_nobody_else_may_sign(signed_by: Issued, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        OCSPSigner(authority().root, signed_by.certificate, signed_by.key)


def test_nothing_is_signed_beyond_the_end_of_the_responder() -> None:
    signed_by = responder(authority())
    signer = OCSPSigner(authority().root, signed_by.certificate, signed_by.key)
    assert signer.presign(GOOD, None, OCSPWindow(NOW, NOW + 19 * DAY))
    with pytest.raises(ValueError, match="expires"):
        signer.presign(GOOD, None, OCSPWindow(NOW, NOW + 21 * DAY))


# -- GET


def test_the_request_of_a_get_is_base64() -> None:
    der = request(GOOD, hashes.SHA256())
    assert request_from_path(base64.b64encode(der).decode()) == der


@pytest.mark.parametrize(
    ("text", "why"),
    [("MFEw*", "base64"), ("MFE", "padding"), ("A" * (2 * MAX_REQUEST_BYTES), "too long")],
    ids=["alphabet", "padding", "size"],
)
def test_a_get_that_is_not_base64_or_too_long_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){why}"):
        request_from_path(text)
