"""Lists of other CAs as control follows them: from files and over HTTP, across restarts, late, damaged and gone."""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from gateway.config.model import Trust
from gateway.control import crl_source, foreign_revocations
from gateway.control.crl_source import fetch
from gateway.control.foreign_revocations import ForeignRevocations
from gateway.identity.client_certificate import parse_leaf
from gateway.identity.evidence import CertificateName, TLSFacts
from gateway.identity.refusal import Reason, Refusal
from gateway.identity.trust import TrustBundle
from gateway.link.messages import TrustSettings
from pki.crl import CRLStamp, build_crl
from pki.revocation import RevokedCertificate
from tests.support.revocation_material import HOUR, authority, moment
from tests.support.tls_material import Authority

NOW = moment()
CA = authority()
ISSUER = CA.root.subject.rfc4514_string()
LEAF = CA.charge_point("SN-1")
FACTS = parse_leaf(LEAF.der)
NAME = CertificateName(FACTS.sha256, FACTS.issuer, FACTS.serial_number)
TLS = TLSFacts(version="TLSv1.3", cipher="", leaf_der=LEAF.der)
WAIT_S = 90.0


def listed(*serials: int, number: int = 1, lives: datetime.timedelta = 24 * HOUR) -> bytes:
    entries = [RevokedCertificate(serial, NOW) for serial in serials]
    return build_crl(CA.root, CA.key, entries, CRLStamp(number, NOW, NOW + lives))


REVOKING = listed(LEAF.certificate.serial_number, number=2)


class Followed:
    """One bundle with one source, and what was said of it."""

    def __init__(self, work: Path, where: str, revocation: str = "hard", **fields: Any) -> None:
        self.events: list[tuple[str, str, str, str]] = []
        self.changes = 0
        self.now = NOW.timestamp() + 1
        self.bundle = TrustBundle(name="partner", use="other-operator", demands_status=revocation == "hard")
        trust = Trust(name="partner", use="other-operator", roots=(), crl=(where,), revocation=revocation, **fields)  # type: ignore[arg-type]
        self.trust = (TrustSettings(trust, CA.pem),)
        self.it = ForeignRevocations(
            work / "cache", lambda *event: self.events.append(event), lambda: [("aa", "partner")], lambda: self.now
        )
        self.it.on_change = self._changed

    def _changed(self) -> None:
        self.changes += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Followed"]:
        self.it.use(self.trust)
        try:
            yield self
        finally:
            await self.it.close()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.01)

    async def said(self, name: str) -> tuple[str, str, str, str]:
        await self.until(lambda: any(event[0] == name for event in self.events))
        return next(event for event in self.events if event[0] == name)

    async def verdict(self) -> Reason | None:
        """What an admission would hear."""
        if self.it.is_revoked("partner", NAME):
            return Reason.CERT_REVOKED
        try:
            await self.it.require_status(self.bundle, FACTS, TLS)
        except Refusal as refusal:
            return refusal.reason
        return None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_revocations, "_LOOK_S", 0.02)


async def test_an_admission_right_after_the_start_waits_for_the_list(tmp_path: Path) -> None:
    (tmp_path / "list.crl").write_bytes(listed())
    async with Followed(tmp_path, str(tmp_path / "list.crl")).running() as followed:
        assert not followed.it.has_status(followed.bundle, FACTS)
        assert await followed.verdict() is None
        assert followed.it.has_status(followed.bundle, FACTS)


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "list.crl"
    path.write_bytes(listed())
    async with Followed(tmp_path, str(path)).running() as followed:
        await followed.said("trust.crl_loaded")
        changes = followed.changes
        path.write_bytes(REVOKING)
        await followed.until(lambda: followed.changes > changes)
        assert await followed.verdict() is Reason.CERT_REVOKED
        path.unlink()
        assert "No such file" in (await followed.said("trust.crl_failed"))[3]
        assert await followed.verdict() is Reason.CERT_REVOKED


async def test_another_bundle_is_not_concerned(tmp_path: Path) -> None:
    (tmp_path / "list.crl").write_bytes(REVOKING)
    async with Followed(tmp_path, str(tmp_path / "list.crl")).running() as followed:
        await followed.said("trust.crl_loaded")
        assert followed.it.is_revoked("partner", NAME)
        assert not followed.it.is_revoked("", NAME)
        assert not followed.it.is_revoked("partner", CertificateName("", ISSUER, "1"))
        assert not followed.it.is_revoked("partner", CertificateName("", "CN=Another", NAME.serial_number))


async def test_a_restart_forgets_nothing_and_nothing_older_is_believed_after_it(tmp_path: Path) -> None:
    path = tmp_path / "list.crl"
    path.write_bytes(REVOKING)
    async with Followed(tmp_path, str(path)).running() as before:
        await before.said("trust.crl_loaded")
    path.write_bytes(listed(number=1))
    async with Followed(tmp_path, str(path)).running() as after:
        assert "older than the one in use" in (await after.said("trust.crl_failed"))[3]
        assert await after.verdict() is Reason.CERT_REVOKED


async def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "list.crl"
    path.write_bytes(listed())
    async with Followed(tmp_path, str(path)).running() as before:
        await before.said("trust.crl_loaded")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"noise")
    async with Followed(tmp_path, str(path)).running() as after:
        assert await after.verdict() is None


@pytest.mark.parametrize(("revocation", "verdict"), [("hard", Reason.CERT_STATUS_UNKNOWN), ("soft", None)])
async def test_what_happens_without_a_list_is_the_bundles_policy(
    tmp_path: Path, revocation: str, verdict: Reason | None
) -> None:
    async with Followed(tmp_path, str(tmp_path / "none.crl"), revocation).running() as followed:
        name, severity, decision, detail = await followed.said("trust.crl_missing")
        assert await followed.verdict() is verdict
    assert (severity, decision) == ("high", "fail_closed" if revocation == "hard" else "allow_alert")
    assert f"({revocation}); 1 sessions live by it" in detail
    assert name == "trust.crl_missing"


async def test_the_end_is_announced_before_and_after_and_again_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "list.crl").write_bytes(listed(lives=24 * HOUR))
    followed = Followed(tmp_path, str(tmp_path / "list.crl"), warn_before_s=3_600.0)
    async with followed.running():
        await followed.said("trust.crl_loaded")
        (source,) = followed.it._followed

        def announced(hours: float) -> list[str]:
            followed.events.clear()
            followed.it._announce(source, NOW.timestamp() + hours * 3_600)
            return [event[0] for event in followed.events]

        assert announced(22.5) == []
        assert announced(23.5) == ["trust.crl_expiring"]
        assert announced(23.6) == []
        assert announced(24.1) == ["trust.crl_expired"]
        assert announced(25.0) == []
        assert announced(31.0) == ["trust.crl_expired"]


async def test_a_short_list_is_announced_in_its_last_quarter(tmp_path: Path) -> None:
    (tmp_path / "list.crl").write_bytes(listed(lives=4 * HOUR))
    async with Followed(tmp_path, str(tmp_path / "list.crl")).running() as followed:
        await followed.said("trust.crl_loaded")
        source = followed.it._followed[0].source
        assert source.freshness(NOW.timestamp() + 2.9 * 3_600) == "current"
        assert source.freshness(NOW.timestamp() + 3.1 * 3_600) == "expiring"
        assert source.freshness(NOW.timestamp() + 4.1 * 3_600) == "expired"


async def test_a_source_that_is_taken_out_is_forgotten_and_one_that_stays_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "list.crl").write_bytes(REVOKING)
    async with Followed(tmp_path, str(tmp_path / "list.crl")).running() as followed:
        await followed.said("trust.crl_loaded")
        followed.it.use(followed.trust)
        assert followed.it.is_revoked("partner", NAME)
        followed.it.use(())
        assert not followed.it.is_revoked("partner", NAME)
        assert followed.it.status() == []
    assert [event[0] for event in followed.events] == ["trust.crl_loaded"]


async def test_a_list_whose_memory_was_deleted_is_forgotten_by_a_reload(tmp_path: Path) -> None:
    path = tmp_path / "list.crl"
    path.write_bytes(listed(number=1_000))
    async with Followed(tmp_path, str(path)).running() as followed:
        await followed.said("trust.crl_loaded")
        path.write_bytes(listed(number=1))
        await followed.said("trust.crl_failed")
        followed.it.use(followed.trust)
        assert followed.it.status()[0]["number"] == 1_000
        (kept,) = (tmp_path / "cache").iterdir()
        kept.unlink()
        followed.it.use(followed.trust)
        assert "number 1000 forgotten" in (await followed.said("trust.crl_forgotten"))[3]
        assert await followed.verdict() is None
        assert followed.it.status()[0]["number"] == 1


async def test_other_settings_of_a_bundle_forget_nothing_for_no_moment(tmp_path: Path) -> None:
    (tmp_path / "list.crl").write_bytes(REVOKING)
    async with Followed(tmp_path, str(tmp_path / "list.crl")).running() as followed:
        await followed.said("trust.crl_loaded")
        for kept in (tmp_path / "cache").iterdir():
            kept.unlink()
        (one,) = followed.trust
        followed.it.use((TrustSettings(replace(one.trust, refresh_s=7_200.0), one.roots_pem),))
        assert followed.it.is_revoked("partner", NAME)
        followed.it.use((TrustSettings(replace(one.trust, refresh_s=60.0), Authority().pem),))
        assert not followed.it.is_revoked("partner", NAME)


async def test_a_clock_that_was_set_back_costs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crl_source, "_RETRY_S", 0.05)
    path = tmp_path / "list.crl"
    path.write_bytes(REVOKING)
    async with Followed(tmp_path, str(path)).running() as before:
        await before.said("trust.crl_loaded")
    path.write_bytes(listed(number=1))
    after = Followed(tmp_path, str(path))
    after.now -= 3_600
    async with after.running():
        await after.it.recalled()
        assert after.it.is_revoked("partner", NAME)
        after.now += 3_600
        await after.until(lambda: any("older than the one in use" in event[3] for event in after.events))
        assert after.it.is_revoked("partner", NAME)


async def test_a_file_that_was_rejected_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crl_source, "_RETRY_S", 0.05)
    (tmp_path / "list.crl").write_bytes(REVOKING)
    followed = Followed(tmp_path, str(tmp_path / "list.crl"))
    followed.now -= 3_600
    async with followed.running():
        assert "from the future" in (await followed.said("trust.crl_failed"))[3]
        followed.now += 3_600
        await followed.said("trust.crl_loaded")
        assert followed.it.is_revoked("partner", NAME)


async def test_a_list_of_a_version_that_does_not_exist_is_rejected_like_any_other(tmp_path: Path) -> None:
    publisher = Publisher()
    publisher.body = _of_version_4(listed())
    async with publisher.running() as url, Followed(tmp_path, url).running() as followed:
        assert "cannot be read" in (await followed.said("trust.crl_failed"))[3]
        await asyncio.sleep(0.2)
        assert publisher.asked == 1


def _of_version_4(crl: bytes) -> bytes:
    """The first INTEGER of a list is its version."""
    at = crl.index(bytes.fromhex("020101"))
    return crl[:at] + bytes.fromhex("020103") + crl[at + 3 :]


# -- over HTTP


class Publisher:
    """A web server with one list."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = listed(), 200, 0
        self.headers: dict[str, str] = {}

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_route("*", "/ca.crl", self.answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/ca.crl"
        finally:
            await runner.cleanup()


async def test_an_address_is_asked_when_it_is_time_and_its_failure_changes_nothing(tmp_path: Path) -> None:
    publisher = Publisher()
    async with publisher.running() as url, Followed(tmp_path, url, refresh_s=0.05).running() as followed:
        assert await followed.verdict() is None
        publisher.status = 503
        assert "HTTP status 503" in (await followed.said("trust.crl_failed"))[3]
        assert await followed.verdict() is None
        publisher.status, publisher.body = 200, REVOKING
        await followed.until(lambda: followed.it.is_revoked("partner", NAME))


async def test_an_address_is_not_asked_before_it_is_time(tmp_path: Path) -> None:
    publisher = Publisher()
    async with publisher.running() as url, Followed(tmp_path, url).running() as followed:
        assert await followed.verdict() is None
        await asyncio.sleep(0.2)
    assert publisher.asked == 1


async def test_what_is_fetched_is_bounded_and_comes_from_where_it_was_asked_for() -> None:
    publisher = Publisher()
    async with publisher.running() as url:
        publisher.body = b"x" * 1_000
        assert await fetch(url, max_bytes=1_000, timeout_s=5) == publisher.body
        with pytest.raises(OSError, match="more than 999 bytes"):
            await fetch(url, max_bytes=999, timeout_s=5)
        publisher.status, publisher.headers = 302, {"Location": url}
        with pytest.raises(OSError, match="302"):
            await fetch(url, max_bytes=1_000, timeout_s=5)
    with pytest.raises(OSError):
        await fetch(url, max_bytes=1_000, timeout_s=5)


# -- OCSP


WITH_ISSUER = TLSFacts(
    version="TLSv1.3", cipher="", leaf_der=LEAF.der, issuers_der=(CA.root.public_bytes(Encoding.DER),)
)


def asking(work: Path, url: str, revocation: str) -> Followed:
    """A bundle with a responder and without lists."""
    followed = Followed(work, "", revocation)
    (one,) = followed.trust
    followed.trust = (TrustSettings(replace(one.trust, crl=(), ocsp=url), one.roots_pem),)
    return followed


async def test_a_soft_bundle_says_so_when_its_responder_is_dead(tmp_path: Path) -> None:
    publisher = Publisher()
    publisher.status = 503
    async with publisher.running() as url, asking(tmp_path, url, "soft").running() as followed:
        await followed.it.require_status(followed.bundle, FACTS, WITH_ISSUER)
        await followed.said("trust.status_unknown")
        await followed.it.require_status(followed.bundle, FACTS, WITH_ISSUER)
        said = await followed.said("trust.status_unknown")
        assert (said[2], "let in" in said[3], "HTTP status 503" in said[3]) == ("allow_alert", True, True)
        await followed.until(lambda: publisher.asked == 2)
    assert [event[0] for event in followed.events] == ["trust.status_unknown"]


async def test_one_that_was_never_answered_is_asked_about_again_while_its_session_lives(tmp_path: Path) -> None:
    publisher = Publisher()
    publisher.status = 503
    async with publisher.running() as url, asking(tmp_path, url, "soft").running() as followed:
        await followed.it.require_status(followed.bundle, FACTS, WITH_ISSUER)
        await followed.said("trust.status_unknown")
        client = followed.it._ocsp
        assert client.ask_again(["another"]) == 0
        assert client.ask_again([FACTS.sha256]) == 1
        await followed.until(lambda: publisher.asked == 2)


async def test_nobody_waits_longer_for_a_responder_because_others_wait_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign_revocations, "_ANSWER_S", 0.05)
    publisher = Publisher()
    async with publisher.running() as url, asking(tmp_path, url, "hard").running() as followed:
        async with followed.it._ocsp._room:
            room = followed.it._ocsp._room
            for _ in range(15):
                await room.acquire()
            with pytest.raises(Refusal) as refusal:
                await followed.it.require_status(followed.bundle, FACTS, WITH_ISSUER)
            for _ in range(15):
                room.release()
        assert "no answer yet" in refusal.value.detail
        assert followed.events[-1][:3] == ("trust.status_unknown", "high", "fail_closed")
    assert refusal.value.reason is Reason.CERT_STATUS_UNKNOWN


async def test_a_current_list_says_nothing_about_another_issuer_and_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.crl").write_bytes(listed())
    other = parse_leaf(Authority("Another").charge_point("SN-1").der)
    async with Followed(tmp_path, str(tmp_path / "list.crl")).running() as followed:
        assert await followed.verdict() is None
        with pytest.raises(Refusal):
            await followed.it.require_status(followed.bundle, other, TLS)
        said = await followed.said("trust.status_unknown")
        assert (said[1], said[2]) == ("high", "fail_closed")
        assert "refused, no current list of " in said[3] and "Another" in said[3]
