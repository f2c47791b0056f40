"""What another CA's responder has revoked: over restarts, with the responder down, on hold and back, contradicted, deleted."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from gateway.control import ocsp_client
from gateway.identity.evidence import CertificateName
from gateway.identity.refusal import Reason, Refusal
from tests.control.test_foreign_revocations import FACTS, LEAF, NAME, NOW, WITH_ISSUER, Followed, Publisher, asking
from tests.pki.test_foreign_ocsp import answer
from tests.support.revocation_material import HOUR

ON_HOLD = x509.ReasonFlags.certificate_hold
STOLEN = x509.ReasonFlags.key_compromise


class Responder(Publisher):
    """Says one thing about one certificate."""

    def says(self, reason: x509.ReasonFlags | None, hours: int = 0) -> None:
        status = ocsp.OCSPCertStatus.GOOD if reason is None else ocsp.OCSPCertStatus.REVOKED
        since = NOW + hours * HOUR
        self.body = answer(LEAF.certificate, status=status, reason=reason, since=since, until=since + HOUR)


async def asked(followed: Followed) -> None:
    """Once more, and its answer has been heard."""
    client = followed.it._ocsp
    question = ocsp_client.Question(
        followed.trust[0].trust.ocsp, FACTS.sha256, LEAF.der, (WITH_ISSUER.issuers_der or (b"",))[0]
    )
    await client.ask(question)


def names(followed: Followed) -> list[str]:
    return [event[0] for event in followed.events if event[0].startswith("trust.ocsp")]


@pytest.mark.parametrize("revocation", ["soft", "hard"])
async def test_a_restart_while_the_responder_is_down_un_revokes_nobody(tmp_path: Path, revocation: str) -> None:
    responder = Responder()
    async with responder.running() as url:
        responder.says(STOLEN)
        async with asking(tmp_path, url, revocation).running() as before:
            await asked(before)
            assert await before.verdict() is Reason.CERT_REVOKED
            assert names(before) == ["trust.ocsp_revoked"]
        responder.status = 503
        async with asking(tmp_path, url, revocation).running() as after:
            assert not after.it.is_revoked("partner", NAME)
            await after.it.recalled()
            assert after.it.is_revoked("partner", NAME)
            assert not after.it.is_revoked("another", NAME)
            assert not after.it.is_revoked("partner", CertificateName("0" * 64, NAME.issuer, NAME.serial_number))
            assert names(after) == []


async def test_a_hold_is_over_when_the_responder_says_so_and_stays_over(tmp_path: Path) -> None:
    responder = Responder()
    async with responder.running() as url:
        responder.says(ON_HOLD)
        async with asking(tmp_path, url, "soft").running() as followed:
            await asked(followed)
            responder.says(None, hours=-1)
            await asked(followed)
            assert followed.it.is_revoked("partner", NAME)  # an answer of before the hold
        async with asking(tmp_path, url, "soft").running() as after:
            await after.it.recalled()
            assert after.it.is_revoked("partner", NAME)
            after.now += HOUR.total_seconds()
            responder.says(None, hours=1)
            after.it._ocsp.ask_about_holds({"http://another.example"})
            assert after.it._ocsp._asking == {}
            after.it._ocsp.ask_about_holds({url})
            await after.until(lambda: not after.it.is_revoked("partner", NAME))
            assert names(after) == ["trust.ocsp_released"]
            assert await after.verdict() is None
        async with asking(tmp_path, url, "soft").running() as last:
            await last.it.recalled()
            assert not last.it.is_revoked("partner", NAME)


async def test_revoked_for_good_is_for_good_whatever_is_said_later(tmp_path: Path) -> None:
    responder = Responder()
    async with responder.running() as url, asking(tmp_path, url, "hard").running() as followed:
        responder.says(STOLEN)
        await asked(followed)
        followed.now += 2 * HOUR.total_seconds()
        for hours in (2, 3):
            responder.says(None, hours=hours)
            await asked(followed)
        assert followed.it.is_revoked("partner", NAME)
        assert names(followed) == ["trust.ocsp_revoked", "trust.ocsp_contradicted"]
        followed.it._ocsp.ask_about_holds({url})
        assert followed.it._ocsp._asking == {}  # nothing could come of it


async def test_an_operator_can_have_it_forgotten(tmp_path: Path) -> None:
    responder = Responder()
    responder.says(STOLEN)
    async with responder.running() as url, asking(tmp_path, url, "hard").running() as followed:
        await asked(followed)
        followed.it.use(followed.trust)
        assert followed.it.is_revoked("partner", NAME)
        (tmp_path / "cache" / "ocsp" / f"{FACTS.sha256}.ocsp").unlink()
        assert followed.it.is_revoked("partner", NAME)
        followed.it.use(followed.trust)
        assert not followed.it.is_revoked("partner", NAME)
        assert names(followed) == ["trust.ocsp_revoked", "trust.ocsp_forgotten"]
        with pytest.raises(Refusal) as refusal:  # and it is asked about anew
            await followed.it.require_status(followed.bundle, FACTS, WITH_ISSUER)
        assert refusal.value.reason is Reason.CERT_REVOKED


async def test_what_cannot_be_written_is_revoked_all_the_same_and_written_later(tmp_path: Path) -> None:
    responder = Responder()
    responder.says(STOLEN)
    (tmp_path / "cache").write_text("in the way")
    async with responder.running() as url, asking(tmp_path, url, "soft").running() as followed:
        for _ in range(2):
            await asked(followed)
        assert followed.it.is_revoked("partner", NAME)
        assert names(followed) == ["trust.ocsp_revoked", "trust.ocsp_failed"]
        (tmp_path / "cache").unlink()
        await followed.it._ocsp.keep_rest()
        assert (tmp_path / "cache" / "ocsp" / f"{FACTS.sha256}.ocsp").exists()


async def test_a_file_that_nobody_has_signed_is_said_and_not_believed(tmp_path: Path) -> None:
    responder = Responder()
    responder.says(STOLEN)
    async with responder.running() as url:
        async with asking(tmp_path, url, "soft").running() as before:
            await asked(before)
        path = tmp_path / "cache" / "ocsp" / f"{FACTS.sha256}.ocsp"
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes((good[-1] ^ 1,)))
        (path.parent / f"{'0' * 64}.ocsp").write_bytes(good)
        async with asking(tmp_path, url, "soft").running() as after:
            await after.it.recalled()
            assert not after.it.is_revoked("partner", NAME)
            assert [name for name, *_ in after.events] == ["trust.ocsp_failed"] * 2
            assert "another certificate" in after.events[0][3]
            assert str(path) in after.events[1][3]
