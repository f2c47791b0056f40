"""When the CA of the listeners' certificates would like them to be renewed, asked as often as it says (RFC 9773)."""

import datetime
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from gateway.audit.event import printable
from gateway.control.own_certificate_files import OwnCertificate
from gateway.control.own_certificate_source import CertificateNotHad, OwnCertificateSource
from pki.acme.renewal_info import renewal_time

__all__ = ["RenewalAdvisor"]

_AFTER_FAILURE_S: Final = 3_600.0
_WITHOUT_OPINION_S: Final = 86_400.0
_MAX_WORDS: Final = 300
_log = structlog.get_logger("control.own_certificates")


class _Advised(NamedTuple):
    serial: int
    window: tuple[datetime.datetime, datetime.datetime]
    at: datetime.datetime
    explanation: str


class RenewalAdvisor:
    """What was advised last, by kind of key. Without advice it is the certificate's own time that counts.

    `draw` picks the moment within a window, from 0 to 1, so that not everybody comes at once.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._advised: dict[str, _Advised] = {}
        self._ask_again: dict[tuple[str, int], float] = {}
        """By kind and serial number; monotonic."""

    def forget(self) -> None:
        """Another CA may be asked from now on."""
        self._advised, self._ask_again = {}, {}

    def renewal_at(self, kind: str, found: OwnCertificate) -> datetime.datetime:
        """When this certificate is to be renewed."""
        advised = self._advised.get(kind)
        if advised is None or advised.serial != found.chain[0].serial_number:
            return found.renewal_at
        return advised.at

    def explanation(self, kind: str, found: OwnCertificate) -> str:
        """Why then, in the CA's words; empty if it said none."""
        advised = self._advised.get(kind)
        return advised.explanation if advised and advised.serial == found.chain[0].serial_number else ""

    async def ask(self, kind: str, found: OwnCertificate, source: OwnCertificateSource) -> None:
        """Ask if it is time to. What fails changes nothing."""
        leaf = found.chain[0]
        key, now = (kind, leaf.serial_number), time.monotonic()
        if now < self._ask_again.get(key, 0.0):
            return
        self._ask_again = {each: at for each, at in self._ask_again.items() if each[0] != kind}
        self._ask_again[key] = now + _AFTER_FAILURE_S
        try:
            advice = await source.renewal_advice(leaf)
        except CertificateNotHad as error:
            _log.info("no_renewal_advice", key=kind, why=printable(str(error), _MAX_WORDS))
            return
        if advice is None:
            self._advised.pop(kind, None)
            self._ask_again[key] = now + _WITHOUT_OPINION_S
            return
        self._ask_again[key] = now + advice.check_after.total_seconds()
        before, window = self._advised.get(kind), (advice.start, advice.end)
        if before is not None and (before.serial, before.window) == (leaf.serial_number, window):
            return  # drawn once: drawn again and again, the earliest moment would win
        at = renewal_time(advice, found.in_use_since, leaf.not_valid_after_utc, self._draw())
        self._advised[kind] = _Advised(leaf.serial_number, window, at, printable(advice.explanation, _MAX_WORDS))
        _log.info("renewal_advised", key=kind, at=at.isoformat(), why=self._advised[kind].explanation)
