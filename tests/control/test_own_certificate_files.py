"""The gateway's own certificates on disk: whole or not there, private, and when the next one is due."""

import datetime
import os
from pathlib import Path

import pytest
from cryptography import x509

from gateway.control.own_certificate_files import read_own, write_own
from pki.authority import Authority, Issued, Subject
from pki.keys import generate_key
from pki.profiles import CSMS

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
ROOT = Authority.create_root(Subject("Root", "CPO"), "ec-p256", NOW)


def issued(lifetime: datetime.timedelta = DAY) -> Issued:
    return ROOT.issue(CSMS, Subject("cp.example.com", "CPO"), "ec-p256", NOW, lifetime=lifetime)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server-certificates" / "ec-p256.pem"


def write(path: Path, made: Issued) -> tuple[x509.Certificate, ...]:
    chain = (made.certificate, ROOT.certificate)
    write_own(path, chain, made.key)
    return chain


def test_what_was_written_is_read_and_shows_no_key(path: Path) -> None:
    chain = write(path, issued())
    found = read_own(path)
    assert found is not None
    assert (found.chain, found.names) == (chain, ("cp.example.com",))
    assert "PRIVATE" not in repr(found)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_next_one_takes_its_place_and_leaves_nothing_behind(path: Path) -> None:
    write(path, issued())
    path.with_suffix(".new").write_bytes(b"left by a crash")
    chain = write(path, issued())
    found = read_own(path)
    assert found is not None
    assert found.chain == chain
    assert list(path.parent.iterdir()) == [path]


def test_what_does_not_belong_together_is_none(path: Path) -> None:
    assert read_own(path) is None
    write_own(path, (issued().certificate,), generate_key("ec-p256"))
    assert read_own(path) is None
    for content in (b"", b"hello", path.read_bytes()[:200]):
        path.write_bytes(content)
        assert read_own(path) is None


@pytest.mark.parametrize("lifetime", [datetime.timedelta(minutes=3), DAY, 90 * DAY])
def test_two_thirds_of_the_life_from_when_it_was_written(path: Path, lifetime: datetime.timedelta) -> None:
    write(path, issued(lifetime))
    os.utime(path, (0, NOW.timestamp()))
    found = read_own(path)
    assert found is not None
    assert abs(found.renewal_at - (NOW + lifetime * 2 / 3)) < datetime.timedelta(seconds=2)


def test_a_file_with_a_date_of_its_own_is_renewed_before_the_end_all_the_same(path: Path) -> None:
    write(path, issued())
    for moment in (NOW - 100 * DAY, NOW + 100 * DAY):
        os.utime(path, (0, moment.timestamp()))
        found = read_own(path)
        assert found is not None
        assert found.renewal_at < NOW + DAY * 2 / 3
