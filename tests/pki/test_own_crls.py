"""Lists of our own issuing CAs: when the next one is due, what is on it, and numbers that only grow."""

import dataclasses
import datetime
from pathlib import Path

import pytest
from cryptography import x509

from pki.approval import Operator
from pki.crl import CRLTooSoon
from pki.errors import Reason, Refused
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.issuer import Issuer
from pki.names import Subject
from pki.own_crls import OwnList, is_due, list_url, lists_in, next_list, read_list, revoked_by_shard, write_list
from pki.records import RevocationReason
from pki.signer.client import SignerClient
from pki.signer.launch import signer_for
from pki.template import Publication
from tests.pki.hierarchy import DAY, NOW, Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import make_signer_directory

CA = Hierarchy()
WEEK = 7 * DAY
SECOND = datetime.timedelta(seconds=1)
SHARDED = Publication(crl_url="http://pki.example.com/{shard}.crl", crl_shards=2)


def nowhere(_: int) -> str:
    """A certificate that names no list."""
    return ""


class Place:
    """A CA with a signer in a process of its own."""

    def __init__(self, directory: Path, signer: SignerClient) -> None:
        self.directory, self.signer = directory, signer
        self.ca = Issuance(directory / "journal", signer, IssuancePolicy(), NOW, iter("abcdefgh").__next__)
        self.issuer: Issuer = self.ca.issuers["issuing"]

    def issue(self) -> int:
        wanted = Application(
            profile="ChargePointCertificate", subject=Subject("SN-1", "CPO"), applicant=Operator("alice")
        )
        return self.ca.issue(self.ca.request(csr_pem(), wanted, NOW).id, NOW).certificate.serial_number

    def revoke(self, serial: int) -> None:
        self.ca.revoke(serial, RevocationReason.SUPERSEDED, by="alice", note="", now=NOW)

    def next(self, current: OwnList | None, now: datetime.datetime = NOW) -> OwnList:
        entries = revoked_by_shard(self.issuer, self.ca.inventory, nowhere, now, WEEK)[0]
        return next_list(self.issuer, 0, entries, current, self.signer.revocation_key(self.issuer), now, WEEK)

    def is_due(self, current: OwnList | None, now: datetime.datetime = NOW) -> bool:
        return is_due(current, revoked_by_shard(self.issuer, self.ca.inventory, nowhere, now, WEEK)[0], now)


@pytest.fixture
def place(tmp_path: Path):
    with signer_for(make_signer_directory(tmp_path / "signer", CA)) as signer:
        made = Place(tmp_path, signer)
        yield made
        made.ca.close()


def test_due_are_no_list_half_a_life_and_a_name_that_is_missing(place: Place) -> None:
    serial = place.issue()
    assert place.is_due(None)
    made = place.next(None)
    assert not place.is_due(made)
    assert not place.is_due(made, NOW + WEEK / 2 - SECOND)
    assert place.is_due(made, NOW + WEEK / 2)
    place.revoke(serial)
    assert place.is_due(made)
    newer = place.next(made, NOW + SECOND)
    assert newer.serials == {serial}
    assert not place.is_due(newer)


def test_two_in_one_second_are_not_made(place: Place) -> None:
    made = place.next(None)
    with pytest.raises(CRLTooSoon):
        place.next(made)
    assert place.next(made, NOW + SECOND).stamp.number == made.stamp.number + 1


def test_numbers_go_on_growing_when_the_files_are_lost(place: Place) -> None:
    first = place.next(None)
    assert place.next(None, NOW + SECOND).stamp.number > first.stamp.number
    with pytest.raises(Refused) as caught:
        place.next(None, NOW)  # a clock that was set back: the signer remembers
    assert caught.value.reason is Reason.CRL_NUMBER


def test_a_file_is_believed_only_with_the_signature_of_its_issuer(place: Place) -> None:
    made = place.next(None)
    assert read_list(place.directory, place.issuer, 0) is None
    write_list(place.directory, made)
    assert read_list(place.directory, place.issuer, 0) == made
    assert read_list(place.directory, place.ca.issuers["servers"], 0) is None
    path = place.directory / "published" / "issuing" / "0.crl"
    assert path.stat().st_mode & 0o777 == 0o644
    for wrong in (b"", made.der[:-1] + bytes([made.der[-1] ^ 1])):
        path.write_bytes(wrong)
        assert read_list(place.directory, place.issuer, 0) is None
    other = place.directory / "published" / "servers"
    other.mkdir()
    (other / "0.crl").write_bytes(made.der)
    assert read_list(place.directory, place.ca.issuers["servers"], 0) is None


def test_shards_divide_by_serial_number_and_are_there_when_empty(place: Place) -> None:
    issuer = dataclasses.replace(place.issuer, publication=SHARDED)
    serials = {place.issue() for _ in range(4)}
    for serial in serials:
        place.revoke(serial)
    found = revoked_by_shard(issuer, place.ca.inventory, nowhere, NOW, WEEK)
    assert {shard: {entry.serial_number for entry in entries} for shard, entries in found.items()} == {
        shard: {serial for serial in serials if serial % 2 == shard} for shard in (0, 1)
    }
    assert list_url(issuer, 1) == "http://pki.example.com/1.crl"
    assert lists_in(place.directory, issuer) == {0: None, 1: None}
    whole = dataclasses.replace(place.issuer, publication=Publication(crl_url="http://x/a.crl"))
    assert revoked_by_shard(whole, place.ca.inventory, nowhere, NOW, WEEK).keys() == {0}


def test_the_address_in_the_certificate_counts_and_not_how_lists_are_divided_today(place: Place) -> None:
    issuer = dataclasses.replace(place.issuer, publication=SHARDED)
    serial = place.issue()
    place.revoke(serial)
    where = serial % 2
    for address, shard in {list_url(issuer, 1 - where): 1 - where, "http://gone.example.com/7.crl": where}.items():
        found = revoked_by_shard(issuer, place.ca.inventory, {serial: address}.__getitem__, NOW, WEEK)
        assert {number: len(entries) for number, entries in found.items()} == {shard: 1, 1 - shard: 0}


def test_expired_ones_stay_until_a_list_after_their_end_has_named_them(place: Place) -> None:
    serial = place.issue()
    place.revoke(serial)
    end = place.ca.inventory.certificates[serial].not_after
    assert end is not None
    on_list = [
        [entry.serial_number for entry in revoked_by_shard(place.issuer, place.ca.inventory, nowhere, now, WEEK)[0]]
        for now in (end + DAY, end + 2 * WEEK, end + 2 * WEEK + SECOND)
    ]
    assert on_list == [[serial], [serial], []]


def test_the_list_is_one_that_cryptography_reads(place: Place) -> None:
    serial = place.issue()
    place.revoke(serial)
    found = x509.load_der_x509_crl(place.next(None).der)
    entry = found.get_revoked_certificate_by_serial_number(serial)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.superseded
