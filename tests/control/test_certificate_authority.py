"""The embedded CA behind an event loop, with a real signer process: what is issued, what is held, who gets a turn."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.control.certificate_authority import Asked, CertificateAuthority, Held, Turned, Unavailable
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.enrolment import Given
from pki.blocked_keys import spki_sha256
from pki.journal import Journal
from tests.pki.hierarchy import NOW, Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import make_signer_directory

pytestmark = pytest.mark.integration
CP = ChargePointId("CP-1")
OWNERS: dict[str, ChargePointId] = {}


@contextlib.asynccontextmanager
async def authority(tmp_path: Path) -> AsyncIterator[CertificateAuthority]:
    if not (tmp_path / "signer").exists():
        make_signer_directory(tmp_path / "signer", Hierarchy())
    ca = CertificateAuthority(tmp_path, OWNERS.get)
    try:
        yield ca
    finally:
        await ca.close()


def asked(csr: str, **more: str) -> Asked:
    return Asked(csr=csr, charge_point_id=CP, common_name="SN-1", organization="CPO", **more)


async def test_first_held_then_approved_by_what_covers_it_and_the_renewal_at_once(tmp_path: Path) -> None:
    async with authority(tmp_path) as ca:
        first = csr_pem()
        held = await ca.ask(asked(first, method="security profile 2"))
        assert isinstance(held, Held)
        assert held.rule == "first-enrolment"
        assert await ca.look(held.request) == held
        assert await ca.decided({held.request, "unheard-of"}) == set()
        given = await ca.ask(asked(first, released_by="approval of another request"))
        assert isinstance(given, Given)
        assert given.request == held.request
        assert await ca.decided({held.request, "unheard-of"}) == {held.request}
        assert await ca.ask(asked(first)) == given  # the same request, the same certificate
        renewal = asked(csr_pem(), presented_serial=given.serial, presented_sha256=given.sha256)
        renewed = await ca.ask(renewal)
        assert isinstance(renewed, Given)
        assert renewed.serial != given.serial
        chain = x509.load_pem_x509_certificates(renewed.chain.encode())
        assert [chain[0].not_valid_before_utc < NOW, len(chain)] == [True, 3]


async def test_a_number_alone_is_no_certificate_of_ours(tmp_path: Path) -> None:
    """Another trusted CA could have issued one with the same serial number."""
    async with authority(tmp_path) as ca:
        given = await ca.ask(asked(csr_pem(), released_by="x"))
        assert isinstance(given, Given)
        other = await ca.ask(asked(csr_pem(), presented_serial=given.serial, presented_sha256="00" * 32))
        assert isinstance(other, Held)
        assert other.rule == "first-enrolment"


@pytest.mark.requirement("A00.FR.427")
async def test_a_key_that_the_registry_knows_as_somebody_elses(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = spki_sha256(key.public_key()).hex()
    async with authority(tmp_path) as ca:
        OWNERS[name] = ChargePointId("CP-2")
        turned = await ca.ask(asked(csr_pem(key=key)))
        assert isinstance(turned, Turned)
        assert turned.code == "key-of-another-identity"
        OWNERS[name] = CP
        assert isinstance(await ca.ask(asked(csr_pem(key=key))), Held)


async def test_what_is_withdrawn_cannot_be_approved_any_more(tmp_path: Path) -> None:
    async with authority(tmp_path) as ca:
        held = await ca.ask(asked(csr_pem()))
        assert isinstance(held, Held)
        await ca.withdraw(held.request, "another one has come")
        assert await ca.look(held.request) == Turned("denied", "another one has come")


async def test_while_an_operator_has_the_journal_nothing_is_lost_and_there_is_news(tmp_path: Path) -> None:
    async with authority(tmp_path) as ca:
        csr = csr_pem()
        assert isinstance(await ca.ask(asked(csr)), Held)
        assert not ca.has_news()
    async with authority(tmp_path) as ca:
        journal = Journal(tmp_path / "journal")
        assert isinstance(await ca.ask(asked(csr)), Unavailable)
        assert ca.has_news()
        assert await ca.decided({"any"}) == set()
        assert ca.has_news()
        journal.close()
        assert isinstance(await ca.ask(asked(csr)), Held)
