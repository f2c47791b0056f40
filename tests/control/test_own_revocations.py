"""The journal taken over into the registry: what is told, in how many events, and what a registry that is locked costs."""

import contextlib
import secrets
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.control.own_revocations import OwnRevocations
from gateway.control.store_thread import StoreThread
from gateway.store.registry import Registry
from pki.approval import Operator
from pki.issuance import Application, IssuancePolicy
from pki.names import Subject
from pki.opened import issuance_in
from pki.profiles import CHARGE_POINT
from pki.records import RevocationReason
from pki.registration_authority import RegistrationAuthority
from tests.pki.hierarchy import NOW, Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import make_signer_directory
from tests.support.other_ca import OPERATOR, OtherCA

pytestmark = pytest.mark.integration
CA = Hierarchy()
BY = Operator("alice")


class Followed:
    """A CA's directory with so many certificates, and the part of a node that follows it."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory, self.url = directory, url
        make_signer_directory(directory / "signer", CA)
        self.registry = Registry.open(url)
        self.store = StoreThread(url)
        self.told: list[tuple[str, ...]] = []
        self.part = self.following(self.store)

    def following(self, store: StoreThread) -> OwnRevocations:
        """The part of a node."""
        return OwnRevocations(
            store, lambda *event: self.told.append(event), self.registry.revocations, str(self.directory)
        )

    def issue_and_revoke(self, issued: int, revoked: int) -> list[str]:
        serials = []
        with issuance_in(self.directory, NOW, lambda: secrets.token_hex(6)) as ca:
            for number in range(issued):
                name = f"SN-{secrets.token_hex(4)}"
                wanted = Application(
                    profile="ChargePointCertificate", subject=Subject(name, "CPO"), applicant=Operator("alice")
                )
                made = ca.issue(ca.request(csr_pem(common_name=name), wanted, NOW).id, NOW)
                serial = made.certificate.serial_number
                serials.append(f"{serial:x}")
                if number < revoked:
                    ca.revoke(serial, RevocationReason.SUPERSEDED, by="alice", note="n", now=NOW)
        return serials

    def in_registry(self) -> tuple[int, int]:
        """How many certificates are known, and how many revoked."""
        return len(self.registry.inventory.find(0.0, 0.0)), len(self.registry.revocations().issuer_serials)


@pytest.fixture
async def followed(tmp_path: Path, url: str) -> AsyncIterator[Followed]:
    made = Followed(tmp_path / "ca", url)
    yield made
    await made.store.close()
    made.registry.close()


async def test_before_there_is_a_journal_nothing_happens(followed: Followed) -> None:
    await followed.part.tick()
    assert (followed.told, followed.in_registry()) == ([], (0, 0))
    assert followed.part.status() == {"ca": str(followed.directory), "failure": ""}


async def test_what_is_new_is_told_once(followed: Followed) -> None:
    first, _ = followed.issue_and_revoke(2, 1)
    await followed.part.load()
    assert followed.in_registry() == (2, 1)
    assert followed.told == [
        ("certificate.revoked", "high", "deny", f"serial {first} of CN=Issuing,O=CPO: superseded, by alice: n")
    ]
    await followed.part.tick()
    again = followed.following(followed.store)
    await again.load()
    assert (len(followed.told), followed.in_registry()) == (1, (2, 1))


async def test_what_the_registry_knows_already_is_an_event_if_it_comes_while_we_look(followed: Followed) -> None:
    first, second = followed.issue_and_revoke(2, 1)
    issuer = CA.issuing.subject.rfc4514_string()
    followed.registry.revoke_certificate(issuer=issuer, serial=first, reason="lost", now=1.0)
    await followed.part.load()
    assert followed.told == []  # since before
    followed.registry.revoke_certificate(issuer=issuer, serial=second, reason="lost", now=1.0)
    with issuance_in(followed.directory, NOW, lambda: "r") as ca:
        ca.revoke(int(second, 16), RevocationReason.SUPERSEDED, by="alice", note="", now=NOW)
    for _ in range(2):
        await followed.part.tick()
    assert [event[0] for event in followed.told] == ["certificate.revoked"]
    assert second in followed.told[0][3]


async def test_many_at_once_are_named_in_part_and_counted(followed: Followed) -> None:
    followed.issue_and_revoke(23, 22)
    await followed.part.tick()
    assert followed.in_registry() == (23, 22)
    assert len(followed.told) == 21
    assert followed.told[-1][3] == "2 more were revoked in the journal of the CA"


async def test_a_locked_registry_loses_nothing(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.database._BUSY_TIMEOUT_S", 0.05)
    impatient = StoreThread(followed.url)
    part = followed.following(impatient)
    followed.issue_and_revoke(2, 1)
    other = sqlite3.connect(followed.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await part.tick()
    assert (followed.told, followed.in_registry()) == ([], (0, 0))
    other.execute("ROLLBACK")
    other.close()
    await part.tick()
    assert (len(followed.told), followed.in_registry()) == (1, (2, 1))
    await impatient.close()


async def test_another_directory_is_followed_from_its_start(followed: Followed, tmp_path: Path) -> None:
    followed.issue_and_revoke(1, 1)
    await followed.part.tick()
    other = Followed(tmp_path / "other", followed.url)
    other.issue_and_revoke(2, 1)
    followed.part._follow_in(str(other.directory))
    await followed.part.tick()
    assert followed.in_registry() == (3, 2)
    followed.part._follow_in("")
    assert followed.part.status() is None
    await other.store.close()
    other.registry.close()


async def test_a_registry_that_was_put_back_from_a_backup_does_not_un_revoke(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed.issue_and_revoke(2, 2)
    for _ in range(2):
        await followed.part.tick()
    assert (followed.in_registry(), len(followed.told)) == ((2, 2), 2)
    other = sqlite3.connect(followed.url.removeprefix("sqlite:///"))
    with other:
        other.execute("DELETE FROM revoked_certificates WHERE id = (SELECT min(id) FROM revoked_certificates)")
    other.close()
    await followed.part.tick()
    assert followed.in_registry() == (2, 1)  # not compared twice a second
    monkeypatch.setattr("gateway.control.own_revocations._COMPARE_EVERY_S", 0.0)
    await followed.part.tick()
    assert (followed.in_registry(), len(followed.told)) == ((2, 2), 3)


async def test_an_old_journal_that_was_put_back_is_told_of_and_un_revokes_nobody(followed: Followed) -> None:
    journal = followed.directory / "journal"
    first = followed.issue_and_revoke(1, 1)
    old = journal.read_bytes()
    second = followed.issue_and_revoke(1, 1)
    await followed.part.tick()
    followed.told.clear()
    journal.write_bytes(old)
    again = followed.following(followed.store)  # the next control process
    await again.load()
    [(event, severity, decision, detail)] = followed.told
    assert (event, severity, decision) == ("trust.journal_failed", "critical", "keep_last_good")
    assert "an old copy was put back" in detail
    assert {serial for _, serial in followed.registry.revocations().issuer_serials} == {*first, *second}


async def test_the_newest_journal_put_back_is_no_event(followed: Followed) -> None:
    journal = followed.directory / "journal"
    followed.issue_and_revoke(2, 1)
    await followed.part.tick()
    followed.told.clear()
    copy = journal.read_bytes()
    journal.unlink()
    journal.write_bytes(copy)
    journal.chmod(0o600)
    await followed.following(followed.store).load()
    assert followed.told == []


async def test_so_it_is_where_another_ca_issues(tmp_path: Path, url: str) -> None:
    """EST, Vault, CMP and a command share this journal; no signer remembers anything there."""
    directory, other, told = tmp_path / "requests", OtherCA(), list[tuple[str, ...]]()
    directory.mkdir(mode=0o700)
    registry, store = Registry.open(url), StoreThread(url)

    def received() -> int:
        with contextlib.closing(
            RegistrationAuthority(directory / "journal", "est", IssuancePolicy(), NOW, lambda: secrets.token_hex(6))
        ) as ra:
            text = csr_pem(common_name=f"SN-{secrets.token_hex(4)}", organization=OPERATOR)
            name = x509.load_pem_x509_csr(text.encode()).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
            subject = Subject(str(name), OPERATOR)
            request = ra.request(text, Application(profile=CHARGE_POINT.name, subject=subject, applicant=BY), NOW)
            leaf = other.issue(x509.load_pem_x509_csr(text.encode()))
            ra.receive(request.id, (leaf, other.sub.certificate), NOW)
            ra.revoke(leaf.serial_number, RevocationReason.KEY_COMPROMISE, by="alice", note="", now=NOW)
            return leaf.serial_number

    def following() -> OwnRevocations:
        return OwnRevocations(store, lambda *event: told.append(event), registry.revocations, str(directory))

    first = received()
    old = (directory / "journal").read_bytes()
    second = received()
    await following().load()
    (directory / "journal").write_bytes(old)
    told.clear()
    await following().load()
    assert [event for event, *_ in told] == ["trust.journal_failed"]
    assert {serial for _, serial in registry.revocations().issuer_serials} == {f"{first:x}", f"{second:x}"}
    await store.close()
    registry.close()
