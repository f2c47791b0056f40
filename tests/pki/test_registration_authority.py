"""The registration authority: the checks of the embedded CA, somebody else's signature, one journal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pki.approval import Operator, PresentedCertificate, Unproven
from pki.errors import Misconfigured, Reason, Refused
from pki.inventory import RequestEntry, RequestState
from pki.issuance import Application, IssuancePolicy
from pki.journal import Journal
from pki.journal_follower import IssuedNews, JournalFollower, RevokedNews
from pki.names import Subject
from pki.opened import issuance_in
from pki.profiles import CHARGE_POINT, CSMS
from pki.records import RevocationReason
from pki.registration_authority import MARK, RegistrationAuthority
from tests.pki.hierarchy import NOW
from tests.pki.request_material import csr_pem
from tests.support.other_ca import OPERATOR, OtherCA

CA = OtherCA()
PASSWORD = Unproven("a password")


class Place:
    """A directory, opened again and again."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.numbers = iter(range(1000))
        self.ra = self.open()

    def open(self) -> RegistrationAuthority:
        names = self.numbers
        return RegistrationAuthority(self.work / "journal", "est", IssuancePolicy(), NOW, lambda: f"r{next(names)}")

    def again(self) -> RegistrationAuthority:
        self.ra.close()
        self.ra = self.open()
        return self.ra

    def ask(self, csr: str, applicant: Any = PASSWORD, common_name: str = "SN-1") -> RequestEntry:
        wanted = Application(profile=CHARGE_POINT.name, subject=Subject(common_name, OPERATOR), applicant=applicant)
        return self.ra.request(csr, wanted, NOW)

    def approved(self, csr: str) -> RequestEntry:
        return self.ra.decide(self.ask(csr).id, approved=True, by="op", note="", now=NOW)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.ra.close()


def csr(key: Any = None, common_name: str = "SN-1") -> str:
    return csr_pem(key, organization=OPERATOR, common_name=common_name)


def chain_for(text: str, **changes: Any) -> tuple[x509.Certificate, ...]:
    return CA.issue(x509.load_pem_x509_csr(text.encode()), **changes), CA.sub.certificate


def test_what_is_approved_waits_for_the_other_ca_and_is_then_in_the_journal(place: Place) -> None:
    text = csr()
    entry = place.approved(text)
    assert entry.state is RequestState.APPROVED
    with pytest.raises(Misconfigured, match="the gateway asks it"):
        place.ra.issue(entry.id, NOW)
    chain = chain_for(text)
    place.ra.receive(entry.id, chain, NOW)
    found = place.again().issue(entry.id, NOW)
    assert (found.certificate, found.chain) == (chain[0], chain[1:])
    assert place.ra.certificate(chain[0].serial_number).certificate == chain[0]
    assert place.ask(text).state is RequestState.ISSUED  # the same request, the same certificate
    assert place.ra.receive(entry.id, chain_for(text), NOW).certificate == chain[0]


def test_a_renewal_with_its_certificate_is_not_held_and_one_with_another_names_is(place: Place) -> None:
    text = csr()
    chain = chain_for(text)
    place.ra.receive(place.approved(text).id, chain, NOW)
    shown = PresentedCertificate(chain[0].serial_number)
    assert place.ask(csr(), shown).state is RequestState.APPROVED
    assert place.ask(csr(common_name="SN-2"), shown, "SN-2").rule == "changed-identity"


def test_a_key_of_somebody_else_never_goes_out(place: Place) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    place.approved(csr(key))
    with pytest.raises(Refused) as refused:
        place.ask(csr(key, "SN-2"), common_name="SN-2")
    assert refused.value.reason is Reason.KEY_OF_ANOTHER_IDENTITY


def test_what_the_other_ca_refuses_is_over_and_may_be_asked_for_again(place: Place) -> None:
    text = csr()
    entry = place.approved(text)
    place.ra.turn_down(entry.id, "denied-by-ca: no", NOW)
    again = place.again().inventory.requests[entry.id]
    assert (again.state, again.reason) == (RequestState.ABANDONED, "denied-by-ca: no")
    assert place.ask(text).id != entry.id


def test_a_new_request_of_the_same_charge_point_ends_the_one_that_the_ca_thinks_about(place: Place) -> None:
    first, other = place.approved(csr()), place.approved(csr(common_name="SN-1"))
    assert first.state is RequestState.ABANDONED
    assert other.state is RequestState.APPROVED


def test_a_certificate_that_nobody_waits_for_any_more_is_on_record(place: Place) -> None:
    text = csr()
    entry = place.approved(text)
    place.approved(csr())
    chain = chain_for(text)
    assert place.ra.receive(entry.id, chain, NOW).certificate == chain[0]
    assert chain[0].serial_number in place.again().inventory.certificates


def test_a_serial_number_is_taken_once(place: Place) -> None:
    first, second = csr(), csr(common_name="SN-2")
    one = chain_for(first, serial_number=77)
    place.ra.receive(place.approved(first).id, one, NOW)
    held = place.ask(second, common_name="SN-2")
    place.ra.decide(held.id, approved=True, by="op", note="", now=NOW)
    with pytest.raises(Refused) as refused:
        place.ra.receive(held.id, chain_for(second, serial_number=77, common_name="SN-2"), NOW)
    assert refused.value.reason is Reason.SERIAL_USED
    assert place.again().certificate(77).certificate == one[0]


def test_it_is_for_charge_points_and_for_sound_names(place: Place) -> None:
    with pytest.raises(Refused) as refused:
        place.ask(csr(common_name="10.0.0.1"), common_name="10.0.0.1")
    assert refused.value.reason is Reason.NAME_IS_ADDRESS
    host = Application(profile=CSMS.name, subject=Subject("gw.example.com", OPERATOR), applicant=Operator("op"))
    with pytest.raises(Refused) as refused:
        place.ra.request(csr(common_name="gw.example.com"), host, NOW)
    assert refused.value.reason is Reason.PROFILE_NOT_SERVED


def test_a_revoked_certificate_stays_revoked_and_its_key_is_refused(place: Place) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    text = csr(key)
    chain = chain_for(text)
    place.ra.receive(place.approved(text).id, chain, NOW)
    place.ra.revoke(chain[0].serial_number, RevocationReason.KEY_COMPROMISE, by="op", note="", now=NOW)
    place.again()
    with pytest.raises(Refused) as refused:
        place.ask(csr(key))
    assert refused.value.reason is Reason.KEY_REVOKED


def test_a_directory_with_the_mark_is_opened_without_a_signer(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("vault\n")
    with issuance_in(tmp_path, NOW, lambda: "r") as ca:
        assert not ca.issues_itself
        wanted = Application(profile=CHARGE_POINT.name, subject=Subject("SN-1", OPERATOR), applicant=PASSWORD)
        assert ca.request(csr(), wanted, NOW).issuer == "vault"
        with pytest.raises(Misconfigured):
            ca.signed_entries()
    journal = Journal(tmp_path / "journal", read_only=True)
    assert len(journal.inventory.requests) == 1
    journal.close()


def test_whoever_follows_the_journal_learns_of_certificates_and_revocations(place: Place) -> None:
    issued: list[IssuedNews] = []
    revoked: list[RevokedNews] = []
    follower = JournalFollower(place.work / "journal", revoked.append, issued.append)
    text = csr()
    chain = chain_for(text)
    place.ra.receive(place.approved(text).id, chain, NOW)
    follower.read()
    assert [(each.certificate, each.profile) for each in issued] == [(chain[0], CHARGE_POINT.name)]
    place.ra.revoke(chain[0].serial_number, RevocationReason.SUPERSEDED, by="op", note="", now=NOW)
    follower.read()
    follower.close()
    assert [(each.serial, each.issuer) for each in revoked] == [(chain[0].serial_number, "CN=Other Sub,O=Test")]
