"""`doctor` on the embedded CA and on the ends of certificates, each fault with its near-miss."""

import datetime
import secrets
import time
from pathlib import Path

import msgspec
import pytest

from gateway.cli.checkup.check import Check
from gateway.cli.checkup.own_authority import check_certificates_in_use, check_own_authority
from gateway.config.load import load_unchecked
from gateway.config.model import PKI, Config, Publication
from gateway.control.publication_work import PublicationWork
from gateway.store.inventory import KnownCertificate
from gateway.store.registry import Registry
from pki.approval import Operator
from pki.issuance import Application
from pki.names import Subject
from pki.opened import issuance_in
from pki.profiles import CHARGE_POINT
from pki.records import RevocationReason
from tests.cli.conftest import Place
from tests.pki.hierarchy import DAY, Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import make_signer_directory, signer_process

CA = Hierarchy()
NOW = datetime.datetime.now(datetime.UTC)
WEEK = 7 * DAY
END = min(CA.issuing.not_valid_after_utc, CA.server_issuing.not_valid_after_utc)


class Bench:
    """An embedded CA that is published."""

    def __init__(self, place: Place) -> None:
        self.ca = place.directory / "ca"
        make_signer_directory(self.ca / "signer", CA)
        self.config = msgspec.structs.replace(
            load_unchecked(place.config), pki=PKI(ca=str(self.ca)), publication=Publication(address="127.0.0.1:1")
        )

    def look(self, name: str, now: datetime.datetime = NOW, config: Config | None = None) -> list[Check]:
        return [each for each in check_own_authority(config or self.config, now) if each.check == name]

    def levels(self, name: str, now: datetime.datetime = NOW) -> set[str]:
        return {each.level for each in self.look(name, now)}

    def publish(self) -> None:
        work = PublicationWork(self.ca, WEEK, WEEK, lambda: NOW)
        work.step()
        work.close()


@pytest.fixture
def bench(place: Place) -> Bench:
    return Bench(place)


def test_a_signer_with_its_keys_and_one_without(bench: Bench) -> None:
    (check,) = bench.look("ca-signer")
    assert (check.level, "issuing, servers" in check.message) == ("ok", True)
    (bench.ca / "signer" / "issuing.key").chmod(0o644)
    (check,) = bench.look("ca-signer")
    assert (check.level, "chmod" in check.message) == ("error", True)


def test_a_signer_that_works_for_somebody_else(bench: Bench, tmp_path: Path) -> None:
    with signer_process(bench.ca / "signer", "--socket", str(tmp_path / "elsewhere")):
        (check,) = bench.look("ca-signer")
    assert (check.level, "at work" in check.message) == ("ok", True)


def test_an_old_copy_of_the_journal_and_one_that_is_gone(bench: Bench) -> None:
    assert bench.levels("ca-books") == {"ok"}
    wanted = Application(profile=CHARGE_POINT.name, subject=Subject("SN-1", "CPO"), applicant=Operator("alice"))
    with issuance_in(bench.ca, NOW, lambda: secrets.token_hex(6)) as ca:
        serial = ca.issue(ca.request(csr_pem(), wanted, NOW).id, NOW).certificate.serial_number
    journal = bench.ca / "journal"
    old = journal.read_bytes()
    with issuance_in(bench.ca, NOW, lambda: secrets.token_hex(6)) as ca:
        ca.revoke(serial, RevocationReason.SUPERSEDED, by="alice", note="", now=NOW)
    newest = journal.read_bytes()
    assert bench.levels("ca-books") == {"ok"}
    journal.write_bytes(old)
    (check,) = bench.look("ca-books")
    assert (check.level, "an old copy was put back" in check.message) == ("error", True)
    journal.unlink()
    (check,) = bench.look("ca-books")
    assert (check.level, "is not there" in check.message) == ("error", True)
    journal.touch(0o600)
    journal.write_bytes(newest)
    assert bench.levels("ca-books") == {"ok"}


@pytest.mark.parametrize(
    ("before_end", "level"), [(181 * DAY, "ok"), (180 * DAY, "warning"), (DAY, "warning"), (-DAY, "error")]
)
def test_how_long_issuing_cas_last(bench: Bench, before_end: datetime.timedelta, level: str) -> None:
    assert bench.levels("ca-certificate", END - before_end) == {level}


def test_lists_that_are_missing_current_late_and_over(bench: Bench) -> None:
    assert bench.levels("ca-revocation-list") == {"warning"}
    bench.publish()
    assert bench.levels("ca-revocation-list") == {"ok"}
    assert bench.levels("ca-revocation-list", NOW + WEEK * 0.74) == {"ok"}
    assert bench.levels("ca-revocation-list", NOW + WEEK * 0.76) == {"warning"}
    assert bench.levels("ca-revocation-list", NOW + WEEK) == {"error"}


def test_lists_matter_only_where_they_are_published_and_the_ca_is_ours(bench: Bench) -> None:
    silent = msgspec.structs.replace(bench.config, publication=Publication())
    assert bench.look("ca-revocation-list", config=silent) == []
    nobody = msgspec.structs.replace(bench.config, pki=PKI())
    assert list(check_own_authority(nobody, NOW)) == []


@pytest.mark.parametrize(("days", "level"), [(6.9, "warning"), (7.1, "ok")])
def test_certificates_that_end(bench: Bench, registry: Registry, days: float, level: str) -> None:
    end = time.time() + days * 86_400
    registry.inventory.record([KnownCertificate(sha256="a" * 64, issuer="CN=X", serial="1", not_after=end)])
    (check,) = check_certificates_in_use(bench.config)
    assert (check.level, "1" in check.message) == (level, True)


def test_without_a_registry_nothing_is_said_and_none_is_made(bench: Bench, place: Place) -> None:
    assert list(check_certificates_in_use(bench.config)) == []
    assert not place.database.exists()
