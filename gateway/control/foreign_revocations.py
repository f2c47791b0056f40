"""What other CAs say of their certificates: lists and OCSP, followed off the way of admissions, which only look it up.

A list that has expired goes on revoking whom it revokes. Whom it does not name is then let in (``soft``) or refused
(``hard``), as the bundle says; long before, and again and again, this is announced. Live sessions never end because a
list is late.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from gateway.audit.event import printable
from gateway.control.crl_source import CRLSource, Freshness
from gateway.control.ocsp_client import OCSPClient, Question
from gateway.control.ocsp_memory import OCSPMemory
from gateway.control.trust import certificates_in
from gateway.identity.client_certificate import LeafCertificate
from gateway.identity.evidence import CertificateName, TLSFacts
from gateway.identity.refusal import Reason, Refusal
from gateway.identity.trust import TrustBundle
from gateway.link.messages import TrustSettings
from gateway.link.tasks import TaskOwner

__all__ = ["ForeignRevocations"]

_LOOK_S: Final = 2.0
_ASK_AGAIN_S: Final = 30.0
_SETTLE_S: Final = 5.0
_REPEAT_S: Final = 6 * 3_600.0
"""How often a list that is running out, or has run out, is announced again."""
_NOTE_REPEAT_S: Final = 3_600.0
_MAX_NOTED: Final = 1_000
_ANSWER_S: Final = 5.0
"""A charge point whose bundle demands an answer waits this long at most, also behind others who wait."""
_LEVELS: Final[dict[Freshness, tuple[str, str]]] = {
    "missing": ("trust.crl_missing", "high"),
    "expiring": ("trust.crl_expiring", "high"),
    "expired": ("trust.crl_expired", "critical"),
}
Report = Callable[[str, str, str, str], None]
"""Event, severity, decision, detail."""
_log = structlog.get_logger("control.revocations")


class _Followed(msgspec.Struct):
    """A source, and what was said of it last."""

    source: CRLSource
    announced: Freshness = "current"
    announced_at: float = 0.0
    failure: str = ""
    recalled: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """What was known before a restart is known again."""
    settled: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """There is a list, if only the one from before a restart, or it has been looked for once."""


class ForeignRevocations:
    """Lists and answers by bundle. `live` gives fingerprints and bundle of the certificates of live sessions."""

    def __init__(
        self,
        cache: Path,
        report: Report,
        live: Callable[[], Iterable[tuple[str, str]]],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._report = report
        self._live = live
        self._wall_clock = wall_clock
        self._followed: list[_Followed] = []
        self._tasks = TaskOwner()
        self._following: dict[int, asyncio.Task[Any]] = {}
        self._ocsp_urls: dict[str, str] = {}
        self._ocsp = OCSPClient(wall_clock, self._changed, OCSPMemory(cache / "ocsp"), report)
        self._noted: dict[tuple[str, str], float] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when somebody more may be revoked."""

    # -- life

    def use(self, trust: tuple[TrustSettings, ...]) -> None:
        """Follow the sources of these bundles. Those that stay keep what they know, unless it was deleted on disk."""
        wanted = [
            CRLSource(each.trust, where, certificates_in(each.roots_pem), self._cache)
            for each in trust
            for where in each.trust.crl
        ]
        known = {one.source.identity: one for one in self._followed}
        followed = [known.pop(source.identity) if source.identity in known else _Followed(source) for source in wanted]
        before = {(one.source.bundle.name, one.source.where): one.source for one in known.values()}
        for one in followed:
            if id(one) in self._following:
                self._forget_deleted(one)
            elif (old := before.get((one.source.bundle.name, one.source.where))) is not None:
                one.source.adopt(old)
        for gone in known.values():
            self._following.pop(id(gone)).cancel()
        self._followed = followed
        self._ocsp_urls = {each.trust.name: each.trust.ocsp for each in trust if each.trust.ocsp}
        self._ocsp.forget_deleted()
        for one in followed:
            if id(one) not in self._following:
                self._following[id(one)] = self._tasks.start(self._follow(one), f"crl-{one.source.bundle.name}")
        if self._ocsp_urls and 0 not in self._following:
            self._following[0] = self._tasks.start(self._ask_again(), "ocsp-again")

    async def close(self) -> None:
        """Stop following."""
        await self._tasks.close()
        await self._ocsp.close()

    def _forget_deleted(self, one: _Followed) -> None:
        number = one.source.crl.number if one.source.crl is not None else 0
        if one.source.forget():
            one.settled.clear()
            detail = f"{_named(one.source)}: number {number} forgotten, its file was deleted"
            self._report("trust.crl_forgotten", "high", "allow_alert", detail)

    async def recalled(self) -> None:
        """Return when all that was known before a restart is known again."""
        await asyncio.gather(self._ocsp.recall(), *(one.recalled.wait() for one in self._followed))

    async def _follow(self, one: _Followed) -> None:
        try:
            why = await one.source.recall()
            if why:
                detail = f"{_named(one.source)}: what was believed before is lost: {why}"
                self._report("trust.crl_failed", "high", "allow_alert", detail)
        finally:
            one.recalled.set()
        if one.source.crl is not None:
            one.settled.set()
            self._changed()
        while True:
            try:
                if await one.source.look(self._wall_clock()):
                    self._loaded(one.source)
                    self._changed()
                self._announce(one, self._wall_clock())
            except Exception as error:  # noqa: BLE001  a source with a defect must not be forgotten
                _log.error("crl_not_followed", where=one.source.where, error=repr(error), exc_info=error)
                one.source.failure = f"defect: {type(error).__name__}"
                self._announce(one, self._wall_clock())
            one.settled.set()
            await asyncio.sleep(_LOOK_S)

    async def _ask_again(self) -> None:
        while True:
            await asyncio.sleep(_ASK_AGAIN_S)
            self._ocsp.ask_again(sha256 for sha256, bundle in self._live() if bundle in self._ocsp_urls)
            self._ocsp.ask_about_holds(set(self._ocsp_urls.values()))
            await self._ocsp.keep_rest()

    def _changed(self) -> None:
        self.on_change()

    # -- what operators hear

    def _loaded(self, source: CRLSource) -> None:
        crl = source.crl
        assert crl is not None
        detail = f"{_named(source)}: number {crl.number}, {len(crl.revoked)} revoked, until {crl.next_update:%Y-%m-%d %H:%M} UTC"
        self._report("trust.crl_loaded", "info", "allow", detail)

    def _announce(self, one: _Followed, now: float) -> None:
        source = one.source
        if source.failure != one.failure:
            one.failure = source.failure
            if source.failure:
                self._report("trust.crl_failed", "medium", "keep_last_good", f"{_named(source)}: {source.failure}")
        freshness = source.freshness(now)
        level = _LEVELS.get(freshness)
        if level is None or not source.attempts:
            one.announced = "current"
            return
        if freshness == one.announced and now - one.announced_at < _REPEAT_S:
            return
        one.announced, one.announced_at = freshness, now
        hard = source.bundle.revocation == "hard"
        name, severity = level
        bites = hard and freshness != "expiring"
        self._report(name, severity, "fail_closed" if bites else "allow_alert", self._consequence(source, freshness))

    def _consequence(self, source: CRLSource, freshness: Freshness) -> str:
        bundle, crl = source.bundle, source.crl
        sessions = sum(1 for _, name in self._live() if name == bundle.name)
        when = f", {freshness} {crl.next_update:%Y-%m-%d %H:%M} UTC" if crl is not None else ", never had"
        what = "refuses new connections" if bundle.revocation == "hard" else "lets new connections in"
        tense = "then " if freshness == "expiring" else ""
        return f"{_named(source)}{when}: the bundle {tense}{what} ({bundle.revocation}); {sessions} sessions live by it"

    # -- what admissions ask

    def is_revoked(self, bundle: str, name: CertificateName) -> bool:
        """True if a list of this bundle, current or not, or its responder, has revoked the certificate."""
        if not self._followed and not self._ocsp_urls:
            return False
        for one in self._followed:
            crl = one.source.crl
            if crl is not None and one.source.bundle.name == bundle and crl.names(name.issuer, name.serial_number):
                return True
        return bundle in self._ocsp_urls and self._ocsp.is_revoked(name.sha256)

    def has_status(self, bundle: TrustBundle, leaf: LeafCertificate) -> bool:
        """True if `require_status` has nothing to wait for, to refuse or to say."""
        if self._has_current_list(bundle.name, leaf) or self._ocsp.is_current(leaf.sha256):
            return True
        return not bundle.demands_status and bundle.name not in self._ocsp_urls and not self._has_source(bundle.name)

    async def require_status(self, bundle: TrustBundle, leaf: LeafCertificate, tls: TLSFacts) -> None:
        """Raise Refusal if the bundle demands a current status and there is none, or it says revoked.

        Without that demand nothing is waited for: a responder is asked, and what it says counts when it is there.
        """
        if not self.has_status(bundle, leaf):
            await self._settled(bundle.name)
        if self.has_status(bundle, leaf):
            return
        url = self._ocsp_urls.get(bundle.name, "")
        why = f"no current list of {printable(leaf.issuer)}" if not url else ""
        if url and tls.issuers_der:
            task = self._ocsp.ask(Question(url, leaf.sha256, tls.leaf_der, tls.issuers_der[0]))
            if bundle.demands_status:
                why = await _in_time(task)
                if self._ocsp.is_revoked(leaf.sha256):
                    raise Refusal(Reason.CERT_REVOKED, f"serial {leaf.serial_number}, says {url}")
                if not why:
                    return
            else:
                task.add_done_callback(lambda done: self._note_unanswered(bundle.name, done))
        if bundle.demands_status:
            self._note_unknown(bundle.name, why, refused=True)
            raise Refusal(Reason.CERT_STATUS_UNKNOWN, f"trust bundle {bundle.name}: {why}")
        if why:
            self._note_unknown(bundle.name, why, refused=False)

    async def _settled(self, bundle: str) -> None:
        """Right after a start: the lists that were there before are on their way from the disk, or from their issuer."""
        waiting = [one.settled.wait() for one in self._followed if one.source.bundle.name == bundle]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await asyncio.gather(*waiting)

    def _has_source(self, bundle: str) -> bool:
        return any(one.source.bundle.name == bundle for one in self._followed)

    def _has_current_list(self, bundle: str, leaf: LeafCertificate) -> bool:
        now = self._wall_clock()
        return any(
            crl.is_about(leaf.issuer, leaf.crl_points)
            and crl.next_update.timestamp() >= now
            and not self.is_revoked(bundle, CertificateName("", *crl.signer))
            for one in self._followed
            if one.source.bundle.name == bundle and (crl := one.source.crl) is not None
        )

    def _note_unanswered(self, bundle: str, done: asyncio.Task[str]) -> None:
        if not done.cancelled() and done.result():
            self._note_unknown(bundle, done.result(), refused=False)

    def _note_unknown(self, bundle: str, why: str, *, refused: bool) -> None:
        """Once in a while for each reason: a list that is current says nothing about the certificates of another issuer."""
        now = self._wall_clock()
        if now - self._noted.get((bundle, why), 0.0) < _NOTE_REPEAT_S:
            return
        if len(self._noted) >= _MAX_NOTED:
            self._noted.clear()
        self._noted[bundle, why] = now
        severity, decision, what = (
            ("high", "fail_closed", "refused") if refused else ("medium", "allow_alert", "let in")
        )
        self._report("trust.status_unknown", severity, decision, f"trust bundle {bundle}: {what}, {why}")

    # -- status

    def status(self) -> list[dict[str, Any]]:
        """For `ocpp-gateway status`."""
        now = self._wall_clock()
        return [
            {
                "trust": one.source.bundle.name,
                "source": one.source.where,
                "state": one.source.freshness(now),
                "policy": one.source.bundle.revocation,
                "issuer": crl.issuer if (crl := one.source.crl) is not None else "",
                "number": crl.number if crl is not None else 0,
                "revoked": len(crl.revoked) if crl is not None else 0,
                "next_update": crl.next_update.timestamp() if crl is not None else 0.0,
                "failure": one.source.failure,
            }
            for one in self._followed
        ]

    def metrics(self) -> dict[str, float]:
        """How long each list is good; negative for one that has run out. One that was never had is not there."""
        now = self._wall_clock()
        left = {
            f'ocpp_gateway_revocation_list_seconds_left{{trust="{one.source.bundle.name}",list="{number}"}}': (
                one.source.crl.next_update.timestamp() - now
            )
            for number, one in enumerate(self._followed)
            if one.source.crl is not None
        }
        if not self._ocsp_urls:
            return left
        return {
            **left,
            "ocpp_gateway_ocsp_failures_total": float(self._ocsp.failures),
            "ocpp_gateway_ocsp_revoked": float(self._ocsp.revoked_count),
        }


async def _in_time(task: asyncio.Task[str]) -> str:
    """Its result, or that it has none yet; it goes on all the same."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await asyncio.shield(task)
    except TimeoutError:
        return "no answer yet"


def _named(source: CRLSource) -> str:
    return f"trust bundle {source.bundle.name}, {source.where}"
