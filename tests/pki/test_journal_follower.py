"""A journal that another process writes: each record is told once, a journal that was replaced all through again."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pki.approval import Operator
from pki.errors import JournalDamaged
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.journal_follower import IssuedNews, JournalFollower, RevokedNews
from pki.names import Subject
from pki.records import RevocationReason
from tests.pki.hierarchy import NOW, Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import NearSigner, make_signer_directory

CA = Hierarchy()


class Writer:
    """Issuance over a journal, as another process has it."""

    def __init__(self, directory: Path) -> None:
        signer = NearSigner(make_signer_directory(directory / "signer", CA), lambda: NOW)
        ids = itertools.count()
        self.path = directory / "journal"
        self.ca = Issuance(self.path, signer, IssuancePolicy(), NOW, lambda: f"r{next(ids)}")

    def issue(self, common_name: str = "SN-1") -> int:
        wanted = Application(
            profile="ChargePointCertificate", subject=Subject(common_name, "CPO"), applicant=Operator("alice")
        )
        request = self.ca.request(csr_pem(common_name=common_name), wanted, NOW)
        return self.ca.issue(request.id, NOW).certificate.serial_number

    def revoke(self, serial: int) -> None:
        self.ca.revoke(serial, RevocationReason.SUPERSEDED, by="alice", note="why", now=NOW)


class Reader:
    """What a follower tells."""

    def __init__(self, path: Path, **options: object) -> None:
        self.issued: list[IssuedNews] = []
        self.revoked: list[RevokedNews] = []
        self.follower = JournalFollower(path, self.revoked.append, self.issued.append, **options)  # type: ignore[arg-type]

    def news(self) -> tuple[list[int], list[int]]:
        """Serial numbers issued and revoked since the last call."""
        self.follower.read()
        found = [each.certificate.serial_number for each in self.issued], [each.serial for each in self.revoked]
        self.issued.clear()
        self.revoked.clear()
        return found


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path)
    yield made
    made.ca.close()


def test_what_is_new_is_told_once(writer: Writer) -> None:
    reader = Reader(writer.path)
    first = writer.issue()
    assert reader.follower.has_news()
    assert reader.news() == ([first], [])
    assert not reader.follower.has_news()
    assert reader.news() == ([], [])
    second = writer.issue("SN-2")
    writer.revoke(first)
    assert reader.news() == ([second], [first])


def test_a_revocation_has_the_names_by_which_handshakes_know_it(writer: Writer) -> None:
    reader, serial = Reader(writer.path), writer.issue()
    writer.revoke(serial)
    reader.follower.read()
    [told] = reader.revoked
    assert (told.issuer, told.serial) == (CA.issuing.subject.rfc4514_string(), serial)
    assert (told.reason, told.by, told.note, told.at) == ("superseded", "alice", "why", NOW)
    assert reader.issued[0].profile == "ChargePointCertificate"


def test_who_knows_a_part_is_told_the_rest_but_every_revocation(writer: Writer) -> None:
    first = writer.issue()
    writer.revoke(first)
    known = writer.ca.head
    second = writer.issue("SN-2")
    assert Reader(writer.path, known=known).news() == ([second], [first])


def test_of_another_journal_nothing_is_known(writer: Writer, tmp_path: Path) -> None:
    other = Writer(tmp_path / "other")
    other.issue()
    known = other.ca.head
    other.ca.close()
    first = writer.issue()
    assert known.sequence <= writer.ca.head.sequence
    assert Reader(writer.path, known=known).news() == ([first], [])


def test_a_line_that_is_being_written_is_not_told_before_it_is_whole(writer: Writer, tmp_path: Path) -> None:
    serial = writer.issue()
    writer.revoke(serial)
    whole = b"".join(line for line in writer.path.read_bytes().splitlines(keepends=True) if b'"noted"' not in line)
    copy = tmp_path / "copy"
    copy.write_bytes(whole[:-20])
    reader = Reader(copy)
    assert reader.news() == ([serial], [])
    with copy.open("ab") as file:
        file.write(whole[-20:])
    assert reader.news() == ([], [serial])


def test_a_journal_that_was_put_in_its_place_is_told_from_the_start(writer: Writer, tmp_path: Path) -> None:
    first = writer.issue()
    reader = Reader(writer.path)
    assert reader.news() == ([first], [])
    shutil.copy(writer.path, tmp_path / "fresh")
    writer.revoke(first)
    (tmp_path / "fresh").replace(writer.path)
    assert reader.follower.has_news()
    assert reader.news() == ([], [])  # the very same up to here


def test_a_damaged_journal_is_said_to_be_and_read_again_when_it_is_mended(writer: Writer) -> None:
    first = writer.issue()
    reader = Reader(writer.path)
    reader.news()
    good = writer.path.read_bytes()
    writer.path.write_bytes(good + b"f" * 64 + b" {}\n" + b"f" * 64 + b" {}\n")
    with pytest.raises(JournalDamaged):
        reader.follower.read()
    writer.path.write_bytes(good)
    assert reader.news() == ([], [])
    writer.path.write_bytes(good[: len(good) // 2])
    with pytest.raises(JournalDamaged, match="shorter"):
        reader.follower.read()
    writer.path.write_bytes(good)
    writer.revoke(first)
    assert reader.news() == ([], [first])


def test_no_journal_yet(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "journal")
    assert not reader.follower.has_news()
    assert reader.news() == ([], [])
