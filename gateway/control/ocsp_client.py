"""Asks foreign OCSP responders about client certificates, remembers the answers, and asks again while sessions live.

"Revoked" is remembered for good, also on the disk; one on hold is asked about again, and comes back when the responder says so.
"""

import asyncio
import datetime
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec
import structlog
from cryptography import x509

from gateway.audit.event import printable
from gateway.control.background import in_background
from gateway.control.crl_source import fetch
from gateway.control.ocsp_memory import Evidence, OCSPMemory
from pki.foreign_ocsp import ForeignStatus, OCSPRejected, counts_instead, ocsp_request, read_ocsp_response

__all__ = ["OCSPClient", "Question"]

_MAX_ANSWER_BYTES: Final = 65_536
_TIMEOUT_S: Final = 5.0
"""A charge point whose bundle demands an answer waits this long at most; an edge waits longer for its admission."""
_AT_ONCE: Final = 16
_MAX_KNOWN: Final = 100_000
_AGAIN_BEFORE_S: Final = 300.0
_HOLD_AGAIN_S: Final = 600.0
_log = structlog.get_logger("control.ocsp")


Report = Callable[[str, str, str, str], None]
"""Event, severity, decision, detail."""


class Question(msgspec.Struct, frozen=True):
    """Whom to ask about what. The issuer is the one of the verified chain."""

    url: str
    leaf_sha256: str
    leaf_der: bytes
    issuer_der: bytes


class _Known(msgspec.Struct):
    question: Question
    status: ForeignStatus | None = None
    """None: never answered."""
    asked_at: float = 0.0
    """Monotonic."""

    def is_due(self, soon: float) -> bool:
        return self.status is None or self.status.until.timestamp() < soon


class _Revoked(msgspec.Struct):
    evidence: Evidence
    status: ForeignStatus
    is_kept: bool = False
    """On the disk."""
    asked_at: float = 0.0
    """Monotonic."""
    is_contradicted: bool = False


class OCSPClient:
    """Answers by certificate. `on_revoked` is called when one turns out to be revoked."""

    def __init__(
        self,
        wall_clock: Callable[[], float],
        on_revoked: Callable[[], None],
        memory: OCSPMemory,
        report: Report,
    ) -> None:
        self._wall_clock = wall_clock
        self._on_revoked = on_revoked
        self._memory = memory
        self._report = report
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._revoked: dict[str, _Revoked] = {}
        """Never let go of: there are as many as the CA has issued, at most."""
        self._asking: dict[str, asyncio.Task[str]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._keeping = asyncio.Lock()
        self._is_full = False
        self.failures = 0

    def is_revoked(self, leaf_sha256: str) -> bool:
        """True if a responder has said so, however long ago."""
        return leaf_sha256 in self._revoked

    @property
    def revoked_count(self) -> int:
        """Of how many certificates that is known."""
        return len(self._revoked)

    async def recall(self) -> None:
        """What was known before a restart."""
        failures: list[str] = []
        found = await in_background(lambda: self._memory.recall(failures.append))
        for evidence, status in found:
            if status.revoked:
                self._revoked.setdefault(evidence.leaf_sha256, _Revoked(evidence, status, is_kept=True))
        for why in failures:
            detail = f"an answer that was believed before is lost: {why}"
            self._report("trust.ocsp_failed", "high", "allow_alert", detail)

    def forget_deleted(self) -> None:
        """Let go of those whose file an operator has deleted."""
        for sha256, each in list(self._revoked.items()):
            if each.is_kept and not self._memory.has(sha256):
                del self._revoked[sha256]
                self._known.pop(sha256, None)
                detail = f"{_named(each)}: revocation forgotten, its file was deleted"
                self._report("trust.ocsp_forgotten", "high", "allow_alert", detail)

    def is_current(self, leaf_sha256: str) -> bool:
        """True if the last answer still holds."""
        known = self._known.get(leaf_sha256)
        return known is not None and not known.is_due(self._wall_clock())

    def ask(self, question: Question) -> asyncio.Task[str]:
        """Ask, once at a time for each certificate. The task's result says why there is no answer, or is empty."""
        task = self._asking.get(question.leaf_sha256)
        if task is None:
            known = self._remembered(question)
            known.question, known.asked_at = question, time.monotonic()
            task = asyncio.get_running_loop().create_task(self._ask(question), name="ocsp")
            self._asking[question.leaf_sha256] = task
            task.add_done_callback(lambda _: self._asking.pop(question.leaf_sha256, None))
        return task

    async def _ask(self, question: Question) -> str:
        try:
            certificate, issuer = map(x509.load_der_x509_certificate, (question.leaf_der, question.issuer_der))
            async with self._room:
                data = await fetch(
                    question.url,
                    max_bytes=_MAX_ANSWER_BYTES,
                    timeout_s=_TIMEOUT_S,
                    post=ocsp_request(certificate, issuer),
                    kind="application/ocsp-request",
                )
            now = datetime.datetime.fromtimestamp(self._wall_clock(), datetime.UTC)
            status = read_ocsp_response(data, certificate, issuer, now)
        except (OSError, ValueError, OCSPRejected) as error:
            self.failures += 1
            _log.warning("ocsp_no_answer", url=question.url, why=str(error))
            return str(error)
        except Exception as error:  # noqa: BLE001  an admission waits for this: a defect here is no answer
            self.failures += 1
            _log.exception("ocsp_failed", url=question.url)
            return f"defect: {type(error).__name__}"
        self._note(question, status, data)
        await self.keep_rest()
        return ""

    def _note(self, question: Question, status: ForeignStatus, response: bytes) -> None:
        before = self._revoked.get(question.leaf_sha256)
        self._remembered(question).status = status
        if before is not None and not counts_instead(before.status, status):
            self._contradicted(before, status)
        elif status.revoked:
            evidence = Evidence(question.url, question.leaf_der, question.issuer_der, response)
            made = self._revoked[question.leaf_sha256] = _Revoked(evidence, status, asked_at=time.monotonic())
            if before is None or before.status.reason != status.reason:
                self._report("trust.ocsp_revoked", "high", "deny", f"{_named(made)}: {status.reason or 'revoked'}")
            if before is None:
                self._on_revoked()
        elif before is not None:
            self._released(question.leaf_sha256, before)

    def _contradicted(self, before: _Revoked, status: ForeignStatus) -> None:
        if not status.revoked and status.since > before.status.since and not before.is_contradicted:
            before.is_contradicted = True
            detail = f"{_named(before)}: says good after {before.status.reason or 'revoked'}; it stays revoked here"
            self._report("trust.ocsp_contradicted", "high", "deny", detail)

    def _released(self, leaf_sha256: str, before: _Revoked) -> None:
        """The hold is over. If the file cannot be removed, it is on hold again after a restart, until it is asked about."""
        del self._revoked[leaf_sha256]
        try:
            self._memory.forget(leaf_sha256)
        except OSError as error:
            _log.warning("ocsp_answer_not_removed", sha256=leaf_sha256, why=str(error))
        self._report("trust.ocsp_released", "medium", "allow", f"{_named(before)}: the hold is over")

    async def keep_rest(self) -> None:
        """Put on the disk what is not there yet. A full disk costs the memory of a restart, and that is said."""
        async with self._keeping:
            for sha256, each in [(sha256, each) for sha256, each in self._revoked.items() if not each.is_kept]:
                try:
                    await asyncio.to_thread(self._memory.keep, each.evidence)
                    if sha256 not in self._revoked:  # its hold is over, and was while it was being written
                        await asyncio.to_thread(self._memory.forget, sha256)
                except OSError as error:
                    self._not_kept(each, error)
                    return
                each.is_kept = True
            self._is_full = False

    def _not_kept(self, revoked: _Revoked, error: OSError) -> None:
        if not self._is_full:
            detail = f"{_named(revoked)}: revoked until a restart only, it cannot be written: {error.strerror or error}"
            self._report("trust.ocsp_failed", "high", "allow_alert", detail)
        self._is_full = True

    def _remembered(self, question: Question) -> _Known:
        """Also one that was never answered: it is asked again while its session lives."""
        known = self._known.setdefault(question.leaf_sha256, _Known(question))
        self._known.move_to_end(question.leaf_sha256)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return known

    def ask_about_holds(self, urls: Collection[str]) -> None:
        """Ask, now and then, about those that may come back. `urls`: the responders that are asked at all."""
        before = time.monotonic() - _HOLD_AGAIN_S
        on_hold = [each for each in self._revoked.values() if each.status.is_on_hold and each.evidence.url in urls]
        for each in sorted(on_hold, key=lambda one: one.asked_at)[: _AT_ONCE * 4]:
            if not each.asked_at or each.asked_at <= before:
                each.asked_at = time.monotonic()
                evidence = each.evidence
                self.ask(Question(evidence.url, evidence.leaf_sha256, evidence.leaf, evidence.issuer))

    def ask_again(self, live: Iterable[str]) -> int:
        """Ask about certificates of live sessions without an answer, or with one about to run out; how many that are.

        Those first who have waited longest: a few that nobody answers must not keep the others from their turn.
        """
        soon = self._wall_clock() + _AGAIN_BEFORE_S
        due = [known for sha in live if (known := self._known.get(sha)) and known.is_due(soon)]
        due.sort(key=lambda known: known.asked_at)
        for known in due[: _AT_ONCE * 4]:
            self.ask(known.question)
        return len(due)

    async def close(self) -> None:
        """Let go of what is being asked."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _named(revoked: _Revoked) -> str:
    certificate = x509.load_der_x509_certificate(revoked.evidence.leaf)
    issuer = printable(certificate.issuer.rfc4514_string())
    return f"serial {certificate.serial_number:x} of {issuer}, says {revoked.evidence.url}"
