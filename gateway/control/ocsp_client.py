"""Asks foreign OCSP responders about client certificates, remembers the answers, and asks again while sessions live."""

import asyncio
import datetime
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog
from cryptography import x509

from gateway.control.crl_source import fetch
from pki.foreign_ocsp import ForeignStatus, OCSPRejected, ocsp_request, read_ocsp_response

__all__ = ["OCSPClient", "Question"]

_MAX_ANSWER_BYTES: Final = 65_536
_TIMEOUT_S: Final = 5.0
"""A charge point whose bundle demands an answer waits this long at most; an edge waits longer for its admission."""
_AT_ONCE: Final = 16
_MAX_KNOWN: Final = 100_000
_AGAIN_BEFORE_S: Final = 300.0
_log = structlog.get_logger("control.ocsp")


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


class OCSPClient:
    """Answers by certificate. `on_revoked` is called when one turns out to be revoked."""

    def __init__(self, wall_clock: Callable[[], float], on_revoked: Callable[[], None]) -> None:
        self._wall_clock = wall_clock
        self._on_revoked = on_revoked
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[str]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.failures = 0

    def is_revoked(self, leaf_sha256: str) -> bool:
        """True if a responder has said so, however long ago."""
        known = self._known.get(leaf_sha256)
        return known is not None and known.status is not None and known.status.revoked

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
        self._note(question, status)
        return ""

    def _note(self, question: Question, status: ForeignStatus) -> None:
        was_revoked = self.is_revoked(question.leaf_sha256)
        self._remembered(question).status = status
        if status.revoked and not was_revoked:
            self._on_revoked()

    def _remembered(self, question: Question) -> _Known:
        """Also one that was never answered: it is asked again while its session lives."""
        known = self._known.setdefault(question.leaf_sha256, _Known(question))
        self._known.move_to_end(question.leaf_sha256)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return known

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
