"""OCSP of our own issuing CAs: who has a response, which come first, and when they are signed again."""

import datetime
import itertools
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from pki.approval import Operator
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.names import Subject
from pki.own_ocsp import OwnOCSP, has_responder, new_signer
from pki.records import RevocationReason
from tests.pki.hierarchy import DAY, NOW, Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import NearSigner, make_signer_directory

CA = Hierarchy()
LIFETIME = 4 * DAY
GOOD, REVOKED = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED


class Place:
    def __init__(self, directory: Path) -> None:
        place = make_signer_directory(directory / "signer", CA)
        with (place / "issuing.toml").open("a") as settings:
            settings.write('[publication]\nocsp_url = "http://o.example/"\n')
        signer = NearSigner(place, lambda: NOW)
        ids = itertools.count()
        self.ca = Issuance(directory / "journal", signer, IssuancePolicy(), NOW, lambda: f"r{next(ids)}")
        made, ends = new_signer(self.ca, self.ca.issuers["issuing"], "gateway", NOW)
        self.ocsp = OwnOCSP(self.ca.issuers["issuing"], made, ends, LIFETIME)

    def issue(self) -> x509.Certificate:
        wanted = Application(
            profile="ChargePointCertificate", subject=Subject("SN-1", "CPO"), applicant=Operator("alice")
        )
        return self.ca.issue(self.ca.request(csr_pem(), wanted, NOW).id, NOW).certificate

    def revoke(self, certificate: x509.Certificate) -> None:
        self.ca.revoke(certificate.serial_number, RevocationReason.KEY_COMPROMISE, by="a", note="", now=NOW)

    def work(self, now: datetime.datetime = NOW, at_most: int = 1_000) -> int:
        turns = iter(range(at_most))
        self.ocsp.plan(self.ca.inventory, now)
        return self.ocsp.sign(now, lambda: next(turns, None) is not None)

    def status(self, certificate: x509.Certificate, now: datetime.datetime = NOW) -> ocsp.OCSPCertStatus | None:
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, CA.issuing, hashes.SHA256()).build()
        answer = ocsp.load_der_ocsp_response(self.ocsp.responses.answer(asked.public_bytes(Encoding.DER), now).der)
        is_answered = answer.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL
        return answer.certificate_status if is_answered else None


@pytest.fixture
def place(tmp_path: Path):
    made = Place(tmp_path)
    yield made
    made.ca.close()


def test_the_responder_is_of_the_issuing_ca_and_lives_longer_than_responses(place: Place) -> None:
    assert has_responder(place.ca.issuers["issuing"])
    assert not has_responder(place.ca.issuers["servers"])
    assert place.ocsp.signer_ends - NOW > 2 * LIFETIME


def test_every_certificate_gets_one_and_the_responder_itself_none(place: Place) -> None:
    issued = [place.issue() for _ in range(3)]
    before = place.ocsp.is_complete
    assert place.work() == 3
    assert (before, place.ocsp.is_complete) == (False, True)
    assert [place.status(each) for each in issued] == [GOOD] * 3
    assert (len(place.ocsp), place.work()) == (3, 0)


def test_what_is_revoked_comes_first(place: Place) -> None:
    first, second = place.issue(), place.issue()
    place.revoke(second)
    assert place.work(at_most=1) == 1
    assert (place.status(first), place.status(second), place.ocsp.waiting) == (None, REVOKED, 1)
    assert not place.ocsp.is_complete
    place.work()
    place.revoke(first)
    assert place.status(first) is GOOD
    assert place.work() == 1
    assert place.status(first) is REVOKED
    assert place.work() == 0


def test_again_after_half_a_life(place: Place) -> None:
    certificate = place.issue()
    place.work()
    assert place.work(NOW + LIFETIME / 2 - datetime.timedelta(seconds=1)) == 0
    assert place.work(NOW + LIFETIME / 2) == 1
    assert place.status(certificate, NOW + LIFETIME) is GOOD
    assert place.status(certificate, NOW + 2 * LIFETIME) is None


def test_an_expired_one_is_forgotten(place: Place) -> None:
    certificate = place.issue()
    place.work()
    assert place.work(certificate.not_valid_after_utc + datetime.timedelta(seconds=1)) == 0
    assert len(place.ocsp) == 0
