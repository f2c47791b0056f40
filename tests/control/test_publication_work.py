"""What is published of an embedded CA, step by step, with a real signer: first lists, revocations, restarts, what is lost."""

import datetime
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from gateway.control.publication_work import PublicationWork
from pki.approval import Operator
from pki.crl import CRLStamp, build_crl
from pki.errors import Misconfigured
from pki.issuance import Application
from pki.journal import Journal
from pki.names import Subject
from pki.opened import issuance_in, signer_in_turn
from pki.own_crls import next_list, read_list, write_list
from pki.profiles import OCSP_RESPONDER
from pki.records import RevocationReason
from tests.pki.hierarchy import DAY, Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import make_signer_directory, signer_process

pytestmark = pytest.mark.integration
CA = Hierarchy()
WEEK = 7 * DAY
SHARDS = 2
PUBLICATION = f"""[publication]
crl_url = "http://pki.example.com/crl/issuing/{{shard}}.crl"
crl_shards = {SHARDS}
ocsp_url = "http://pki.example.com/ocsp/issuing"
"""


def real_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Place:
    """A CA's directory, its operator, and a gateway that publishes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        make_signer_directory(directory / "signer", CA)
        with (directory / "signer" / "issuing.toml").open("a") as file:
            file.write(PUBLICATION)
        self.ahead = datetime.timedelta()
        self.work = self.another()

    def another(self) -> PublicationWork:
        """Of a control process after this one."""
        return PublicationWork(self.directory, WEEK, 4 * DAY, lambda: real_now() + self.ahead)

    def issue(self) -> x509.Certificate:
        wanted = Application(
            profile="ChargePointCertificate", subject=Subject("SN-1", "CPO"), applicant=Operator("alice")
        )
        with issuance_in(self.directory, real_now(), lambda: secrets.token_hex(6)) as ca:
            return ca.issue(ca.request(csr_pem(), wanted, real_now()).id, real_now()).certificate

    def revoke(self, certificate: x509.Certificate) -> None:
        with issuance_in(self.directory, real_now(), lambda: secrets.token_hex(6)) as ca:
            reason = RevocationReason.SUPERSEDED
            ca.revoke(certificate.serial_number, reason, by="alice", note="", now=real_now())

    def later(self) -> None:
        """Lists of one shard are a second apart."""
        self.ahead += datetime.timedelta(seconds=1)

    def listed(self) -> set[int]:
        crls = self.work.content().crls
        return {each.serial_number for made in crls.values() for each in x509.load_der_x509_crl(made.der)}

    def responders(self) -> set[int]:
        """Serial numbers of their certificates, as the journal has them."""
        journal = Journal(self.directory / "journal", read_only=True)
        journal.close()
        return {each.serial for each in journal.inventory.issued() if each.request.profile == OCSP_RESPONDER.name}

    def numbers(self) -> dict[tuple[str, int], int]:
        return {
            key: x509.load_der_x509_crl(made.der).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            for key, made in self.work.content().crls.items()
        }

    def said_of(self, certificate: x509.Certificate) -> ocsp.OCSPCertStatus | None:
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, CA.issuing, hashes.SHA256()).build()
        source = self.work.content().ocsp["issuing"]
        answer = ocsp.load_der_ocsp_response(source.answer(asked.public_bytes(Encoding.DER), real_now()).der)
        is_answered = answer.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL
        return answer.certificate_status if is_answered else None


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.work.close()


def test_before_anything_is_issued_there_are_empty_lists(place: Place) -> None:
    done = place.work.step()
    assert {(each.issuer, each.shard) for each in done.lists} == {("issuing", 0), ("issuing", 1), ("servers", 0)}
    assert place.listed() == set()
    assert place.work.content().certificates["issuing"] == CA.issuing.public_bytes(Encoding.DER)
    assert place.work.step().lists == []


def test_a_revocation_makes_the_list_of_its_shard_anew_and_no_other(place: Place) -> None:
    lost, kept = place.issue(), place.issue()
    place.work.step()
    assert (place.said_of(lost), place.said_of(kept)) == (ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.GOOD)
    before = place.numbers()
    place.revoke(lost)
    place.later()
    done = place.work.step()
    shard = lost.serial_number % SHARDS
    assert [(each.issuer, each.shard) for each in done.lists] == [("issuing", shard)]
    assert place.listed() == {lost.serial_number}
    after = place.numbers()
    assert {key for key in after if after[key] != before[key]} == {("issuing", shard)}
    assert after["issuing", shard] > before["issuing", shard]
    assert (place.said_of(lost), place.said_of(kept)) == (ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.GOOD)


def test_two_revocations_within_a_second_are_both_published(place: Place) -> None:
    moment = real_now() + DAY  # a clock that stands still, for as long as the test does not move it
    place.work = PublicationWork(place.directory, WEEK, 4 * DAY, lambda: moment + place.ahead)
    place.ahead = -DAY
    first, second = place.issue(), place.issue()
    place.work.step()
    place.revoke(first)
    place.revoke(second)
    place.work.step()
    assert place.listed() != {first.serial_number, second.serial_number}
    place.later()
    place.work.step()
    assert place.listed() == {first.serial_number, second.serial_number}


def test_after_a_restart_lists_are_those_on_the_disk_and_the_responder_is_the_same(place: Place) -> None:
    certificate = place.issue()
    place.work.step()
    numbers, responders = place.numbers(), place.responders()
    place.work.close()
    place.work = place.another()
    done = place.work.step()
    assert (done.lists, place.numbers()) == ([], numbers)
    assert place.said_of(certificate) is ocsp.OCSPCertStatus.GOOD
    assert place.responders() == responders


def test_a_responder_whose_key_is_lost_is_replaced(place: Place) -> None:
    certificate = place.issue()
    place.work.step()
    for path in (place.directory / "signer" / "responders").rglob("*.key"):
        path.unlink()
    place.work = place.another()
    place.work.step()
    assert place.said_of(certificate) is None
    place.later()
    place.work.step()
    assert place.said_of(certificate) is ocsp.OCSPCertStatus.GOOD
    assert len(place.responders()) == 2


def test_a_signer_that_forgets_its_responders_is_not_given_new_ones_all_the_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose own key is in a token, and that is started for each turn."""

    def forgetful(*options: Any) -> Any:
        for path in (place.directory / "signer" / "responders").rglob("*.key"):
            path.unlink()
        return signer_in_turn(*options)

    monkeypatch.setattr("gateway.control.publication_work.signer_in_turn", forgetful)
    certificate = place.issue()
    done = place.work.step()
    assert "has to run as a service" in done.refused
    for _ in range(3):
        place.later()
        place.work.step()
    assert (len(place.responders()), place.said_of(certificate)) == (1, None)
    monkeypatch.undo()
    monkeypatch.setattr("gateway.control.publication_work._ANOTHER_RESPONDER_S", 0.0)
    place.work = place.another()
    place.work.step()
    place.work.step()
    assert place.said_of(certificate) is ocsp.OCSPCertStatus.GOOD


def test_lost_files_are_made_again_with_higher_numbers(place: Place) -> None:
    place.work.step()
    numbers = place.numbers()
    for path in (place.directory / "published").rglob("*.crl"):
        path.unlink()
    place.work = place.another()
    place.later()
    assert len(place.work.step().lists) == len(numbers)
    assert all(place.numbers()[key] > number for key, number in numbers.items())


def test_a_signer_that_somebody_else_has_is_waited_for_and_then_an_error(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.control.publication_work._PATIENCE_S", 0.1)
    with (
        signer_process(place.directory / "signer", "--socket", str(tmp_path / "elsewhere")),
        pytest.raises(Misconfigured, match="in use by another process"),
    ):
        place.work.step()
    assert len(place.work.step().lists) == SHARDS + 1


def test_a_list_that_a_command_has_made_is_served_in_the_next_step_and_an_older_one_never(place: Place) -> None:
    place.work.step()
    path = place.directory / "published" / "issuing" / "0.crl"
    before, old = place.numbers(), path.read_bytes()
    place.later()
    with signer_in_turn(place.directory, 1.0) as signer:
        [issuer] = (each for each in signer.issuers() if each.name == "issuing")
        current = read_list(place.directory, issuer, 0)
        made = next_list(issuer, 0, (), current, signer.revocation_key(issuer), real_now() + place.ahead, WEEK)
    write_list(place.directory, made)
    done = place.work.step()
    assert (done.lists, done.found) == ([], [made])
    assert place.numbers() == {**before, ("issuing", 0): made.stamp.number}
    assert place.work.step().found == []
    path.write_bytes(old)
    assert place.work.step().found == []
    assert place.numbers()["issuing", 0] == made.stamp.number
    path.unlink()
    assert (place.work.step().found, place.numbers()["issuing", 0]) == ([], made.stamp.number)


def test_seconds_left_are_those_of_the_list_that_ends_first(place: Place) -> None:
    place.work.step()
    left = place.work.seconds_left()
    assert left.keys() == {"issuing", "servers"}
    assert all(WEEK.total_seconds() - 60 < each <= WEEK.total_seconds() for each in left.values())
    place.ahead = 8 * DAY
    assert all(each < 0 for each in place.work.seconds_left().values())


def test_a_list_that_is_refused_keeps_no_other_from_being_made(place: Place) -> None:
    """As after a clock that ran ahead for a while: the signer has seen a higher number for this one list."""
    url = "http://pki.example.com/crl/issuing/0.crl"
    with signer_in_turn(place.directory, 1.0) as signer:
        [issuer] = (each for each in signer.issuers() if each.name == "issuing")
        ahead = CRLStamp(1 << 60, real_now().replace(microsecond=0), real_now() + DAY)
        build_crl(issuer.certificate, signer.revocation_key(issuer), (), ahead, url=url)
    certificate = place.issue()
    done = place.work.step()
    assert done.refused.startswith("issuing, shard 0: ")
    assert {(each.issuer, each.shard) for each in done.lists} == {("issuing", 1), ("servers", 0)}
    assert place.work.content().crls.keys() == {("issuing", 1), ("servers", 0)}
    assert place.said_of(certificate) is ocsp.OCSPCertStatus.GOOD
    place.work.step()  # the responder's own certificate is news in the journal
    again = place.work.step()
    assert (again.planned, again.lists) == (False, [])  # not twice a second
