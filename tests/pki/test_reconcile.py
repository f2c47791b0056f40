"""Journal against the signer's list: each way in which they can differ is told, and agreement is silent."""

import secrets
from pathlib import Path

import pytest

from pki.approval import Operator
from pki.errors import SignerUnavailable
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.names import Subject
from pki.profiles import CHARGE_POINT
from pki.reconcile import Discrepancy, reconcile
from pki.signer.protocol import SignedEntry
from tests.pki.hierarchy import NOW, Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import NearSigner, make_signer_directory

CA = Hierarchy()


class Mute(NearSigner):
    """Signs, and dies before it can say so."""

    def sign(self, *order) -> bytes:
        super().sign(*order)
        raise SignerUnavailable("gone")


@pytest.fixture
def books(tmp_path: Path):
    make_signer_directory(tmp_path / "signer", CA)
    signer = NearSigner(tmp_path / "signer", lambda: NOW)
    ca = Issuance(tmp_path / "journal", signer, IssuancePolicy(), NOW, lambda: secrets.token_hex(8))
    for number in range(3):
        wanted = Application(profile=CHARGE_POINT.name, subject=Subject(f"SN-{number}", "CPO"), applicant=Operator("a"))
        ca.issue(ca.request(csr_pem(common_name=f"SN-{number}"), wanted, NOW).id, NOW)
    yield ca, signer.signed()
    ca.close()
    signer.core.close()


def found(ca: Issuance, signed: list[SignedEntry]) -> list[tuple[str, bool]]:
    return [(each.code, each.repairable) for each in reconcile(ca.inventory, ca.signed_parts, signed, ())]


def test_what_agrees_is_silent(books) -> None:
    assert found(*books) == []


def test_a_signature_that_nobody_journalled_is_told(books) -> None:
    ca, signed = books
    stranger = SignedEntry("1234", "issuing", b"body", b"signature")
    assert list(reconcile(ca.inventory, ca.signed_parts, [*signed, stranger], ())) == [
        Discrepancy("not-journalled", 0x1234, "the signer was asked to sign it, and the journal does not know it")
    ]


def test_a_certificate_that_the_signer_does_not_know_is_told(books) -> None:
    ca, signed = books
    assert found(ca, signed[1:]) == [("not-on-list", False)]


def test_other_bodies_and_other_signatures_are_told(books) -> None:
    ca, (first, second, third) = books
    body = SignedEntry(first.serial, first.issuer, second.tbs, first.signature)
    signature = SignedEntry(third.serial, third.issuer, third.tbs, second.signature)
    assert found(ca, [body, second, signature]) == [("other-body", False), ("other-signature", False)]


def test_what_a_crash_has_left_is_told_as_such_until_it_is_finished(tmp_path: Path) -> None:
    make_signer_directory(tmp_path / "signer", CA)
    signer = Mute(tmp_path / "signer", lambda: NOW)
    ca = Issuance(tmp_path / "journal", signer, IssuancePolicy(), NOW, lambda: secrets.token_hex(8))
    wanted = Application(profile=CHARGE_POINT.name, subject=Subject("SN-1", "CPO"), applicant=Operator("a"))
    request = ca.request(csr_pem(), wanted, NOW)
    with pytest.raises(SignerUnavailable):
        ca.issue(request.id, NOW)
    assert found(ca, signer.signed()) == [("not-stored", True)]
    ca.close()
    signer.core.close()
    again = NearSigner(tmp_path / "signer", lambda: NOW)
    ca = Issuance(tmp_path / "journal", again, IssuancePolicy(), NOW, lambda: secrets.token_hex(8))
    ca.resume(NOW)
    assert found(ca, again.signed()) == []
    ca.close()
    again.core.close()
