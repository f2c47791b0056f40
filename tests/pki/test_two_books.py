"""The journal and the signer's list against each other: what either notices, what is told, and what waits."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from pki.approval import Unproven
from pki.errors import Reason, Refused, RolledBack, SignerFailed, SignerUnavailable
from pki.inventory import RequestState
from pki.profiles import CHARGE_POINT
from pki.reconcile import reconcile
from pki.signer.core import SigningCore
from tests.pki.hierarchy import DAY, NOW
from tests.pki.request_material import csr_pem
from tests.pki.signer.test_revocation_list import crl
from tests.pki.signer_directory import NearSigner
from tests.pki.test_issuance import COMPROMISED, Site, new_key

SECOND_DAY = NOW + DAY


@pytest.fixture
def site(tmp_path: Path):
    made = Site(tmp_path)
    yield made
    made.close()


def revoke(site: Site, serial: int) -> None:
    site.ca.revoke(serial, COMPROMISED, by="alice", note="", now=site.now)


def discrepancies(site: Site) -> list[str]:
    found = reconcile(site.ca.inventory, site.ca.signed_parts, site.signer.signed(), site.signer.revoked())
    return [each.code for each in found]


class Unreachable:
    """The signer as it is, except for what is not answered."""

    def __init__(self, signer: NearSigner, **answers) -> None:
        self._signer, self._answers = signer, answers

    def __getattr__(self, name: str):
        return self._answers.get(name) or getattr(self._signer, name)


def gone(*_: object) -> None:
    raise SignerUnavailable("gone")


class TestRevocations:
    def test_the_signer_is_told_before_anybody_hears_that_it_is_done(self, site: Site) -> None:
        serial = site.issue().certificate.serial_number
        revoke(site, serial)
        assert site.signer.revoked() == [serial]

    def test_one_that_the_signer_was_not_told_is_told_even_if_the_journal_has_gone_on(self, site: Site) -> None:
        serial = site.issue().certificate.serial_number
        site.ca._signer = Unreachable(site.signer, remember=gone)
        with pytest.raises(SignerUnavailable):
            revoke(site, serial)
        assert discrepancies(site) == ["not-told"]
        site.ca._signer = site.signer
        site.issue()  # the signer hears of a later place of the journal
        site.reopen()
        assert site.signer.revoked() == [serial]
        assert discrepancies(site) == []
        with pytest.raises(Refused) as refused:
            site.signer.core.sign_revocation_list("issuing", crl(1).tbs_certlist_bytes)
        assert refused.value.reason is Reason.CRL_FORGETS

    def test_one_that_only_the_signer_knows_is_a_discrepancy(self, site: Site) -> None:
        serial = site.issue().certificate.serial_number
        site.signer.remember(site.ca.head, f"{serial:x}")
        assert discrepancies(site) == ["not-revoked"]


class TestOldCopies:
    def test_a_list_without_the_last_revocation_and_the_last_crl_does_not_start(self, site: Site) -> None:
        serial = site.issue().certificate.serial_number
        site.close()
        listed = site.directory / "signer" / "signed"
        shutil.copy(listed, site.directory / "backup")
        site._open()
        revoke(site, serial)
        site.signer.core.sign_revocation_list("issuing", crl(50, serial).tbs_certlist_bytes)
        site.close()
        newest = listed.read_bytes()
        shutil.copy(site.directory / "backup", listed)
        with pytest.raises(RolledBack, match="an old copy of the list"):
            site._open()
        listed.write_bytes(newest)
        site._open()

    def test_a_list_without_the_last_crl_does_not_start_once_that_was_noted(self, site: Site) -> None:
        site.issue()
        site.close()
        listed = site.directory / "signer" / "signed"
        shutil.copy(listed, site.directory / "backup")
        site._open()
        site.signer.core.sign_revocation_list("issuing", crl(50).tbs_certlist_bytes)
        site.reopen()  # noted
        site.close()
        newest = listed.read_bytes()
        shutil.copy(site.directory / "backup", listed)
        with pytest.raises(RolledBack, match="an old copy of the list"):
            site._open()
        listed.write_bytes(newest)
        site._open()

    def test_a_journal_in_which_a_denied_request_is_held_again_does_not_start(self, site: Site) -> None:
        request = site.request(applicant=Unproven("profile 2"))
        site.reopen()
        journal = site.directory / "journal"
        shutil.copy(journal, site.directory / "backup")
        site.ca.decide(request.id, approved=False, by="alice", note="stolen", now=site.now)
        site.signer.core.close()
        site.ca._journal.close()  # killed
        newest = journal.read_bytes()
        shutil.copy(site.directory / "backup", journal)
        with pytest.raises(RolledBack, match="an old copy"):
            site._open()
        journal.write_bytes(newest)
        site._open()
        assert site.ca.inventory.requests[request.id].state is RequestState.DENIED

    def test_a_decision_holds_though_the_signer_cannot_hear_of_it(self, site: Site) -> None:
        request = site.request(applicant=Unproven("profile 2"))
        site.ca._signer = Unreachable(site.signer, remember=gone)
        assert site.ca.decide(request.id, approved=False, by="a", note="n", now=site.now).state is RequestState.DENIED

    def test_starting_again_and_again_writes_nothing_new(self, site: Site) -> None:
        revoke(site, site.issue().certificate.serial_number)
        site.reopen()
        site.reopen()
        sizes = [(site.directory / name).stat().st_size for name in ("journal", "signer/signed")]
        for _ in range(3):
            site.reopen()
        assert [(site.directory / name).stat().st_size for name in ("journal", "signer/signed")] == sizes


def lost_answer(site: Site):
    """A request whose certificate the signer has signed, and whose answer nobody got."""
    request = site.request()

    def sign(*order) -> bytes:
        site.signer.sign(*order)
        raise SignerUnavailable("gone")

    site.ca._signer = Unreachable(site.signer, sign=sign)
    with pytest.raises(SignerUnavailable):
        site.ca.issue(request.id, site.now)
    site.ca._signer = site.signer
    return request


def settings(site: Site) -> Path:
    return site.directory / "signer" / "issuing.toml"


class TestLostAnswers:
    def test_a_signature_is_fetched_though_the_signer_would_not_make_it_any_more(self, site: Site) -> None:
        request = lost_answer(site)
        text = settings(site).read_text()
        settings(site).write_text(text.replace("[key]", "[lifetime_days]\nChargePointCertificate = 30\n[key]"))
        site.reopen()
        site.ca.resume(site.now)
        assert site.ca.inventory.requests[request.id].state is RequestState.ISSUED
        assert discrepancies(site) == []

    def test_the_signature_of_what_was_revoked_meanwhile_is_stored(self, site: Site) -> None:
        request = lost_answer(site)
        revoke(site, request.serial)
        site.reopen()
        site.ca.resume(site.now)
        entry = site.ca.inventory.certificates[request.serial]
        assert (entry.request.state, entry.is_valid_at(site.now)) == (RequestState.ISSUED, False)
        assert discrepancies(site) == []
        site.reopen()

    def test_what_was_revoked_before_it_was_signed_is_never_signed(self, site: Site) -> None:
        request = site.request()
        site.ca._signer = Unreachable(site.signer, sign=gone, remember=gone)
        with pytest.raises(SignerUnavailable):
            site.ca.issue(request.id, site.now)
        with pytest.raises(SignerUnavailable):
            revoke(site, request.serial)
        site.ca._signer = site.signer  # which has not heard of it
        site.ca.resume(site.now)
        assert (request.state, site.signer.signed()) == (RequestState.ABANDONED, [])


class TestPassingTroubles:
    def test_an_issuing_ca_that_is_not_there_for_a_moment_costs_no_request(self, site: Site) -> None:
        csr = csr_pem(new_key())
        request = site.request(csr=csr, applicant=Unproven("profile 2"))
        site.ca.decide(request.id, approved=True, by="alice", note="", now=site.now)
        settings(site).rename(settings(site).with_suffix(".aside"))
        site.reopen()
        assert site.ca.resume(site.now) == []
        with pytest.raises(SignerFailed, match="waits"):
            site.ca.issue(request.id, site.now)
        settings(site).with_suffix(".aside").rename(settings(site))
        site.reopen()
        assert [each.id for each in site.ca.resume(site.now)] == [request.id]
        assert site.issue(csr=csr).request.serial is not None

    def test_a_ca_that_was_retired_while_another_serves_does_not_keep_a_request_waiting(self, site: Site) -> None:
        csr = csr_pem(new_key())
        request = site.request(csr=csr)
        issuer = site.ca.issuers["issuing"]
        retired = dataclasses.replace(issuer, profiles=(), organizations=())
        site.ca.issuers["issuing"] = retired
        with pytest.raises(SignerFailed, match="waits"):
            site.ca.issue(request.id, site.now)
        site.ca.issuers["next"] = dataclasses.replace(issuer, name="next")
        with pytest.raises(Refused):
            site.ca.issue(request.id, site.now)
        assert request.state is RequestState.ABANDONED
        assert site.request(csr=csr).issuer == "next"

    def test_it_is_abandoned_if_that_does_not_pass(self, site: Site) -> None:
        request = site.request()
        settings(site).unlink()
        site.reopen()
        site.now += 8 * DAY
        with pytest.raises(Refused) as refused:
            site.ca.issue(request.id, site.now)
        assert refused.value.reason is Reason.ISSUER_UNKNOWN
        assert site.ca.inventory.requests[request.id].state is RequestState.ABANDONED

    def test_a_clock_that_was_put_back_costs_no_request_and_holds_up_no_other(self, site: Site) -> None:
        request = site.request()
        site.signer.core._clock = lambda: NOW - DAY / 100
        with pytest.raises(SignerFailed, match="waits"):
            site.ca.issue(request.id, site.now)
        assert site.ca.resume(site.now) == []
        site.signer.core._clock = lambda: site.now
        assert [each.id for each in site.ca.resume(site.now)] == [request.id]

    def test_a_request_that_the_signer_fails_at_does_not_hold_up_the_others(self, site: Site) -> None:
        first, second = site.request(), site.request()

        def sign(issuer: str, profile: str, tbs: bytes, journal) -> bytes:
            if tbs == site.ca.signed_parts(first.serial)[0]:
                raise SignerFailed("the token is asleep")
            return site.signer.sign(issuer, profile, tbs, journal)

        site.ca._signer = Unreachable(site.signer, sign=sign)
        assert [each.id for each in site.ca.resume(site.now)] == [second.id]
        site.ca._signer = site.signer
        assert [each.id for each in site.ca.resume(site.now)] == [first.id]


def test_what_cannot_be_built_is_abandoned_and_holds_up_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that the library refuses a value which we thought to be right."""
    request = site.request()

    def refuses(*_: object) -> None:
        raise ValueError("too long for the library")

    monkeypatch.setattr("pki.issuance.certificate_builder", refuses)
    with pytest.raises(Refused, match="too long for the library"):
        site.ca.issue(request.id, site.now)
    monkeypatch.undo()
    assert request.state is RequestState.ABANDONED
    assert site.issue().request.serial is not None


def test_what_the_linter_finds_is_abandoned_at_once(site: Site) -> None:
    request = site.request()
    site.ca.issue(request.id, site.now)
    assert isinstance(site.signer.core, SigningCore)
    ended = site.request()
    site.ca._signer = Unreachable(site.signer, sign=gone)
    with pytest.raises(SignerUnavailable):
        site.ca.issue(ended.id, site.now)
    site.ca._signer = site.signer
    site.now += 91 * DAY
    with pytest.raises(Refused):
        site.ca.issue(ended.id, site.now)
    assert ended.state is RequestState.ABANDONED
    assert CHARGE_POINT.name == ended.profile
