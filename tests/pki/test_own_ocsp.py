"""OCSP of our own issuing CAs: who has a response, which come first, and when they are signed again."""

import datetime
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from pki.approval import Operator
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.names import Subject
from pki.own_ocsp import OwnOCSP, has_responder, known_responder, new_responder
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
        self.now = NOW
        signer = NearSigner(place, lambda: self.now)
        ids = itertools.count()
        self.ca = Issuance(directory / "journal", signer, IssuancePolicy(), NOW, lambda: f"r{next(ids)}")
        self.issuer = self.ca.issuers["issuing"]
        self.ocsp = OwnOCSP(self.issuer, LIFETIME)
        self.use(new_responder(self.ca, self.issuer, "gateway", NOW))

    def use(self, responder: int) -> None:
        self.ocsp.use(self.ca.certificate(responder).certificate)

    def issue(self) -> x509.Certificate:
        wanted = Application(
            profile="ChargePointCertificate", subject=Subject("SN-1", "CPO"), applicant=Operator("alice")
        )
        return self.ca.issue(self.ca.request(csr_pem(), wanted, NOW).id, NOW).certificate

    def revoke(self, certificate: x509.Certificate) -> None:
        self.ca.revoke(certificate.serial_number, RevocationReason.KEY_COMPROMISE, by="a", note="", now=NOW)

    def work(self, now: datetime.datetime = NOW, at_most: int = 1_000) -> int:
        self.now = now
        self.ocsp.plan(self.ca.inventory, now)
        return self.ocsp.sign(self.ca, now, self.turns(at_most))

    @staticmethod
    def turns(at_most: int) -> Callable[[], bool]:
        left = iter(range(at_most))
        return lambda: next(left, None) is not None

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
    assert place.ocsp.responder_ends is not None
    assert place.ocsp.responder_ends - NOW > 2 * LIFETIME


def test_every_certificate_gets_one_and_the_responder_itself_none(place: Place) -> None:
    issued = [place.issue() for _ in range(3)]
    assert place.work() == 3
    assert [place.status(each) for each in issued] == [GOOD] * 3
    assert (len(place.ocsp), place.work()) == (3, 0)


def test_what_is_revoked_comes_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pki.own_ocsp._AT_ONCE", 1)
    first, second = place.issue(), place.issue()
    place.revoke(second)
    assert place.work(at_most=1) == 1
    assert (place.status(first), place.status(second), place.ocsp.waiting) == (None, REVOKED, 1)
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


def test_a_responder_is_used_again_and_another_one_when_it_ends_or_its_key_is_gone(place: Place) -> None:
    first, ends = place.ocsp.responder, place.ocsp.responder_ends
    assert first is not None
    assert ends is not None
    inventory, issuer = place.ca.inventory, place.issuer
    assert known_responder(inventory, issuer, NOW + 2 * LIFETIME) == first
    assert known_responder(inventory, issuer, ends) is None
    assert known_responder(inventory, issuer, NOW, {first}) is None
    assert known_responder(inventory, place.ca.issuers["servers"], NOW) is None
    second = new_responder(place.ca, issuer, "gateway", NOW)
    assert known_responder(inventory, issuer, NOW, {first}) == second


def test_what_one_responder_has_signed_stays_good_beside_what_another_one_signs(place: Place) -> None:
    old = place.issue()
    place.work()
    place.use(new_responder(place.ca, place.issuer, "gateway", NOW))
    new = place.issue()
    assert place.work() == 1
    assert (place.status(old), place.status(new)) == (GOOD, GOOD)
    made = {serial: der for serial, kind, der in place.ocsp.whole_responses() if kind == "sha256"}
    signers = {ocsp.load_der_ocsp_response(der).certificates[0].serial_number for der in made.values()}
    assert len(signers) == 2


def test_what_the_signer_knows_better_costs_the_others_nothing(place: Place) -> None:
    others = [place.issue() for _ in range(3)]
    lost = place.issue()
    place.ocsp.plan(place.ca.inventory, NOW)
    place.revoke(lost)  # after it was planned; the entries are the journal's own, so a copy of before is made here
    lost_entry = place.ca.inventory.certificates[lost.serial_number]
    lost_entry.revocation, revocation = None, lost_entry.revocation
    assert place.ocsp.sign(place.ca, NOW, lambda: True) == 3
    assert "is revoked" in place.ocsp.refused
    assert [place.status(each) for each in others] == [GOOD] * 3
    assert place.status(lost) is None
    lost_entry.revocation = revocation
    assert place.work() == 1
    assert (place.status(lost), place.ocsp.refused) == (REVOKED, "")


def test_how_they_stand(place: Place) -> None:
    assert place.ocsp.facts(NOW)["first_ends"] is None
    place.issue()
    place.revoke(place.issue())
    place.work()
    facts = place.ocsp.facts(NOW)
    assert (facts["responses"], facts["revoked"], facts["waiting"], facts["stale"]) == (2, 1, 0, 0)
    assert facts["first_ends"] == (NOW.replace(microsecond=0) + LIFETIME).timestamp()
    assert facts["signed_next"] == (NOW.replace(microsecond=0) + LIFETIME / 2).timestamp()
    assert facts["responder"] == f"{place.ocsp.responder:x}"
    assert place.ocsp.facts(NOW + 2 * LIFETIME)["stale"] == 2
