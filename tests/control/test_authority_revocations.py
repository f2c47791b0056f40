"""The other CA is told what is revoked here: until it has accepted, over restarts, and no sooner forgotten than settled."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509

from gateway.config.authorities import EST, Vault
from gateway.config.model import PKI
from gateway.control.authority_revocations import AuthorityRevocations
from gateway.control.own_revocations import OwnRevocations
from gateway.control.store_thread import StoreThread
from gateway.store.registry import Registry
from pki.approval import Operator
from pki.issuance import Application
from pki.journal import Journal
from pki.names import Subject
from pki.opened import issuance_in
from pki.profiles import CHARGE_POINT
from pki.records import RevocationReason, Told, ToldState
from pki.registration_authority import MARK, RegistrationAuthority
from tests.pki.hierarchy import NOW
from tests.pki.request_material import csr_pem
from tests.support.other_ca import OPERATOR, https
from tests.support.other_ca_servers import EST_PREFIX, VAULT_TOKEN, VaultServer

pytestmark = pytest.mark.integration
HOURS = 3_600.0


class Site:
    """A registration authority before a Vault, and the parts of a node that follow its journal and tell the CA."""

    def __init__(self, work: Path, url: str, vault: VaultServer, address: str, root: str) -> None:
        self.vault, self.directory, self.now = vault, work / "ca", NOW.timestamp()
        self.directory.mkdir()
        (self.directory / MARK).write_text("vault\n")
        for name, content in (("tls.pem", root), ("token", VAULT_TOKEN), ("root.pem", vault.ca.root.pem.decode())):
            (work / name).write_text(content)
            (work / name).chmod(0o600)
        self.pki = PKI(
            ca=str(self.directory),
            backend="vault",
            roots=(str(work / "root.pem"),),
            vault=Vault(
                address=address,
                role="charge-points",
                token_file=str(work / "token"),
                server_roots=str(work / "tls.pem"),
            ),
            est=EST(url=address + EST_PREFIX, server_roots=str(work / "tls.pem")),
        )
        self.store, self.registry = StoreThread(url), Registry.open(url)
        self.events: list[tuple[str, ...]] = []
        self.restarted()

    def restarted(self) -> None:
        """Another control process."""
        self.part = AuthorityRevocations(self._heard, self.pki, lambda: self.now)
        self.following = OwnRevocations(self.store, self._heard, self.registry.revocations, self.pki.ca)
        self.following.on_news = self.part.heard

    def _heard(self, *event: str) -> None:
        if event[0].startswith("certificate.revocation_"):
            self.events.append(event)

    def opened(self) -> contextlib.AbstractContextManager[Any]:
        return issuance_in(self.directory, NOW, lambda: f"r{len(self.vault.ca.issued)}")

    def revoked(self, *, is_revoked: bool = True, **changes: Any) -> str:
        """The serial number of a certificate that the CA has issued, and that was revoked here."""
        name = f"SN-{len(self.vault.ca.issued)}"
        wanted = Application(profile=CHARGE_POINT.name, subject=Subject(name, OPERATOR), applicant=Operator("alice"))
        csr = csr_pem(organization=OPERATOR, common_name=name)
        with self.opened() as ra:
            request = ra.request(csr, wanted, NOW)
            leaf = self.vault.ca.issue(x509.load_pem_x509_csr(csr.encode()), name, **changes)
            ra.receive(request.id, (leaf, self.vault.ca.sub.certificate), NOW)
            if is_revoked:
                ra.revoke(leaf.serial_number, RevocationReason.KEY_COMPROMISE, by="alice", note="", now=NOW)
        return f"{leaf.serial_number:x}"

    async def tick(self, after_s: float = 0.0) -> list[str]:
        """The serial numbers that the CA is told of."""
        self.now += after_s
        already = len(self.vault.asked)
        await self.following.tick()
        await self.part.tick()
        told = [each["serial_number"].replace(":", "") for each in self.vault.asked[already:]]
        return [f"{int(each, 16):x}" for each in told]

    def told(self, serial: str) -> Told | None:
        journal = Journal(self.directory / "journal", read_only=True)
        journal.close()
        return journal.inventory.certificates[int(serial, 16)].told

    def state(self) -> tuple[int, int]:
        shown = self.part.status()
        assert shown is not None
        return shown["waiting"], shown["by_hand"]

    def use(self, **changes: Any) -> None:
        """A reload with these settings."""
        self.pki = msgspec.structs.replace(self.pki, **changes)
        self.part.use(_Configuration(self.pki))  # type: ignore[arg-type]


class _Configuration:
    def __init__(self, pki: PKI) -> None:
        self.pki = pki


@pytest.fixture
async def site(tmp_path: Path, url: str) -> AsyncIterator[Site]:
    vault = VaultServer()
    async with https(tmp_path, vault.routes()) as (address, root):
        made = Site(tmp_path, url, vault, address, root)
        yield made
        await made.store.close()
        made.registry.close()


async def test_the_ca_is_told_once_and_only_what_is_revoked(site: Site) -> None:
    site.revoked(is_revoked=False)
    serial = site.revoked()
    assert await site.tick() == [serial]
    told = site.told(serial)
    assert told is not None
    assert (told.state, told.by) == (ToldState.ACCEPTED, "gateway")
    assert site.events == [("certificate.revocation_told", "info", "allow", f"serial {serial}: vault has accepted it")]
    assert await site.tick(HOURS) == []
    site.restarted()
    assert await site.tick(HOURS) == []
    assert site.state() == (0, 0)


async def test_a_ca_that_is_down_is_told_when_it_is_back_also_by_another_process(site: Site) -> None:
    site.vault.status, site.vault.errors = 503, ["sealed"]
    serial = site.revoked()
    assert await site.tick() == [serial]
    assert await site.tick(4.0) == []
    assert await site.tick(1.0) == [serial]
    told = site.told(serial)
    assert told is not None
    assert (told.state, told.detail) == (ToldState.FAILED, "HTTP status 503: sealed")
    assert site.state() == (1, 0)
    [(name, severity, _, detail)] = site.events
    assert (name, severity) == ("certificate.revocation_failed", "high")
    assert detail == "1 revocations wait for the CA behind vault: HTTP status 503: sealed; here they are in force"
    site.restarted()
    site.vault.status = 200
    assert await site.tick() == [serial]
    assert site.state() == (0, 0)


async def test_a_local_revocation_does_not_wait_for_the_ca(site: Site) -> None:
    site.vault.status = 503
    serial = site.revoked()
    await site.following.tick()
    assert {number for _, number in site.registry.revocations().issuer_serials} == {serial}
    assert site.vault.asked == []


async def test_an_acceptance_that_could_not_be_put_on_record_is_put_there_later(site: Site) -> None:
    serial = site.revoked()
    with site.opened():
        await site.tick()
        assert site.told(serial) is None
    assert await site.tick() == []
    told = site.told(serial)
    assert told is not None
    assert told.state is ToldState.ACCEPTED


class TestByHand:
    """A CA that cannot is told apart from one that failed."""

    async def test_who_has_to_do_what_is_said_once_and_confirmed_by_somebody(self, site: Site) -> None:
        site.use(backend="est")
        serial = site.revoked()
        await site.tick()
        assert site.state() == (0, 1)
        told = site.told(serial)
        assert told is not None
        assert (told.state, told.detail) == (ToldState.BY_HAND, "EST has no revocation")
        [(name, severity, _, detail)] = site.events
        assert (name, severity) == ("certificate.revocation_by_hand", "high")
        assert detail.endswith("revoke it at the CA behind est, then: ocpp-gateway pki told SERIAL")
        site.restarted()
        for _ in range(2):
            await site.tick(25 * HOURS)
        assert (site.state(), len(site.events)) == ((0, 1), 1)
        with site.opened() as ra:
            ra.note_told(int(serial, 16), ToldState.CONFIRMED, "ticket 7", "alice", NOW)
        await site.tick()
        assert site.state() == (0, 0)

    async def test_what_a_ca_refuses_it_may_take_on_another_day(self, site: Site) -> None:
        site.vault.status, site.vault.errors = 400, ["not found"]
        serial = site.revoked()
        assert await site.tick() == [serial]
        assert site.state() == (0, 1)
        site.vault.status = 200
        assert await site.tick(23 * HOURS) == []
        assert await site.tick(1 * HOURS) == [serial]
        assert site.state() == (0, 0)

    async def test_a_way_that_has_revocation_is_taken_when_it_is_configured(self, site: Site) -> None:
        site.use(backend="est")
        serial = site.revoked()
        await site.tick()
        site.use(backend="vault")
        assert await site.tick() == [serial]
        told = site.told(serial)
        assert told is not None
        assert told.state is ToldState.ACCEPTED


async def test_a_ca_that_does_not_answer_is_not_asked_for_all_of_them(site: Site) -> None:
    site.vault.status = 503
    serials = {site.revoked() for _ in range(10)}
    tried = await site.tick()
    assert 4 <= len(tried) <= 7  # as many as were under way when the fourth had failed
    assert len(site.events) == 1
    site.vault.status = 200
    assert {*await site.tick()} == serials - {*tried}
    assert {*await site.tick(5.0)} == {*tried}
    assert site.state() == (0, 0)


async def test_of_a_certificate_that_has_expired_nobody_is_told(site: Site) -> None:
    site.vault.status = 503
    serial = site.revoked()
    assert await site.tick() == [serial]
    site.vault.status = 200
    assert await site.tick(91 * 24 * HOURS) == []
    assert site.state() == (0, 0)


async def test_where_the_embedded_ca_issues_there_is_nobody_to_tell(site: Site) -> None:
    site.revoked()
    site.use(backend="embedded")
    assert await site.tick() == []
    assert site.part.status() is None
    assert site.part.metrics() == {}


async def test_the_journal_takes_nothing_that_cannot_follow(site: Site) -> None:
    serial = int(site.revoked(), 16)
    with site.opened() as ra:
        assert isinstance(ra, RegistrationAuthority)
        ra.note_told(serial, ToldState.CONFIRMED, "", "alice", NOW)
        head = ra.head
        ra.note_told(serial, ToldState.FAILED, "late", "gateway", NOW)
        assert ra.head == head
