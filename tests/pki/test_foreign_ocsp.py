"""Answers of other CAs' responders: what is believed, and why an answer is not. Against openssl's: tests/interop."""

import dataclasses
import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from pki.foreign_ocsp import ForeignStatus, OCSPRejected, counts_instead, ocsp_request, read_ocsp_response
from tests.support.revocation_material import HOUR, authority, moment, responder
from tests.support.tls_material import Authority, Issued

NOW = moment()
SHA256 = hashes.SHA256()
CA = authority()
LEAF, OTHER = (CA.charge_point(name).certificate for name in ("SN-1", "SN-2"))
ITSELF = Issued(CA.root, CA.key)


def answer(
    certificate: x509.Certificate = LEAF,
    *,
    signed_by: Issued = ITSELF,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    since: datetime.datetime = NOW,
    until: datetime.datetime | None = NOW + HOUR,
    encoding: ocsp.OCSPResponderEncoding = ocsp.OCSPResponderEncoding.HASH,
    certificates: list[x509.Certificate] | None = None,
    algorithm: Any = SHA256,
    reason: x509.ReasonFlags | None = None,
) -> bytes:
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=certificate,
        issuer=CA.root,
        algorithm=hashes.SHA1(),
        cert_status=status,
        this_update=since,
        next_update=until,
        revocation_time=NOW if revoked else None,
        revocation_reason=reason,
    )
    builder = builder.responder_id(encoding, signed_by.certificate)
    if certificates is None and signed_by is not ITSELF:
        certificates = [signed_by.certificate]
    if certificates:
        builder = builder.certificates(certificates)
    return builder.sign(signed_by.key, algorithm).public_bytes(Encoding.DER)


def read(data: bytes, now: datetime.datetime = NOW) -> ForeignStatus:
    return read_ocsp_response(data, LEAF, CA.root, now)


def rejected(data: bytes, now: datetime.datetime = NOW) -> str:
    with pytest.raises(OCSPRejected) as error:
        read(data, now)
    return str(error.value)


def test_the_question_names_the_certificate_by_its_issuer() -> None:
    asked = ocsp.load_der_ocsp_request(ocsp_request(LEAF, CA.root))
    assert (asked.serial_number, asked.hash_algorithm.name) == (LEAF.serial_number, "sha1")


@pytest.mark.parametrize("encoding", list(ocsp.OCSPResponderEncoding))
@pytest.mark.parametrize("signed_by", [ITSELF, responder(CA), responder(CA, kind="rsa")], ids=["ca", "ec", "rsa"])
def test_good_and_revoked_are_believed_from_the_issuer_and_its_delegate(
    signed_by: Issued, encoding: ocsp.OCSPResponderEncoding
) -> None:
    good = answer(signed_by=signed_by, encoding=encoding)
    assert read(good) == ForeignStatus(revoked=False, until=NOW + HOUR, since=NOW)
    revoked = answer(signed_by=signed_by, encoding=encoding, status=ocsp.OCSPCertStatus.REVOKED)
    assert read(revoked) == ForeignStatus(revoked=True, until=NOW + HOUR, since=NOW)


def test_what_was_said_once_is_read_whenever_that_is_and_by_whomever_it_was_signed() -> None:
    said = answer(signed_by=responder(CA), status=ocsp.OCSPCertStatus.REVOKED, reason=x509.ReasonFlags.certificate_hold)
    found = read_ocsp_response(said, LEAF, CA.root, None)
    assert (found.revoked, found.is_on_hold, found.reason) == (True, True, "certificateHold")
    assert rejected(said, NOW + 2 * HOUR) == "the answer is out of date"
    with pytest.raises(OCSPRejected, match="another certificate"):
        read_ocsp_response(said, OTHER, CA.root, None)


GOOD = ForeignStatus(revoked=False, until=NOW + HOUR, since=NOW)
HELD = ForeignStatus(revoked=True, until=NOW + HOUR, since=NOW, reason="certificateHold")
STOLEN = ForeignStatus(revoked=True, until=NOW + HOUR, since=NOW, reason="keyCompromise")


def at(status: ForeignStatus, since: datetime.datetime) -> ForeignStatus:
    return dataclasses.replace(status, since=since)


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        (GOOD, at(STOLEN, NOW - HOUR), True),
        (GOOD, at(GOOD, NOW + HOUR), True),
        (STOLEN, at(GOOD, NOW + HOUR), False),
        (STOLEN, at(HELD, NOW + HOUR), False),
        (HELD, at(GOOD, NOW + HOUR), True),
        (HELD, GOOD, False),
        (HELD, at(GOOD, NOW - HOUR), False),
        (HELD, at(STOLEN, NOW - HOUR), True),
        (HELD, at(HELD, NOW + HOUR), True),
    ],
)
def test_only_a_hold_is_taken_back_and_only_by_something_newer(
    before: ForeignStatus, after: ForeignStatus, counts: bool
) -> None:
    assert counts_instead(before, after) is counts


def test_an_answer_without_an_end_holds_for_an_hour() -> None:
    assert read(answer(until=None)).until == NOW + HOUR


STRANGER = Authority("Somebody Else")
_SAME_NAME = Authority("Revoking CA")
NAMESAKE = Issued(_SAME_NAME.root, _SAME_NAME.key)
BY_NAME = ocsp.OCSPResponderEncoding.NAME


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (answer(OTHER), "another certificate"),
        (answer(status=ocsp.OCSPCertStatus.UNKNOWN), "does not know"),
        (answer(signed_by=responder(CA, delegated=False)), "not for OCSP"),
        (answer(signed_by=responder(STRANGER)), "not its issuer's"),
        (answer(signed_by=responder(CA), certificates=[CA.root]), "nobody known"),
        (answer(signed_by=NAMESAKE, encoding=BY_NAME, certificates=[]), "signature"),
        (answer(signed_by=responder(CA), algorithm=hashes.SHA384())[:-1], "cannot be read"),
        (answer(since=NOW + datetime.timedelta(minutes=6)), "future"),
        (answer(since=NOW - 2 * HOUR, until=NOW - HOUR), "out of date"),
        (b"", "cannot be read"),
        (ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER),
         "try_later"),
    ],
)  # fmt: skip
def test_why_an_answer_is_not_believed(data: bytes, why: str) -> None:
    assert why in rejected(data)


def test_a_delegate_whose_own_time_is_over_is_not_believed() -> None:
    late = NOW + datetime.timedelta(days=21)
    assert "not valid now" in rejected(answer(signed_by=responder(CA), since=late, until=late + HOUR), late)
    assert read(answer(since=late, until=late + HOUR), late).until == late + HOUR


SIGNED_ONCE = answer(status=ocsp.OCSPCertStatus.REVOKED)


@given(st.data())
def test_a_damaged_answer_never_says_good(data: st.DataObject) -> None:
    der = bytearray(SIGNED_ONCE)
    index = data.draw(st.integers(0, len(der) - 1))
    der[index] ^= data.draw(st.integers(1, 255))
    try:
        assert read(bytes(der)).revoked
    except OCSPRejected:
        return
