"""Is the embedded CA's journal the newest? Its signer knows, and which certificates are revoked, whatever an old copy says.

An old journal beside a registry that is old or new as well would let in what was revoked. So what the signer was told counts then
(docs/decisions/0079).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from gateway.config.model import Config
from gateway.control.background import in_background
from gateway.control.part import NodePart
from gateway.control.store_thread import StoreThread
from gateway.store.errors import StoreError
from gateway.store.inventory import OwnRevocation
from pki.errors import PKIError, RolledBack
from pki.journal import Journal
from pki.opened import JOURNAL, SIGNER, signer_in_turn
from pki.signer.client import SignerClient
from pki.signer.server import SOCKET_NAME
from pki.two_books import verify_books

__all__ = ["OwnBooks"]

_SETTLE_S: Final = 30.0
"""A signer that has to be started for it would be in the way of whoever wants a certificate at the start."""
_EVERY_S: Final = 3_600.0
_AGAIN_S: Final = 60.0
_PATIENCE_S: Final = 5.0
_log = structlog.get_logger("control.own_books")

Report = Callable[[str, str, str, str], None]
"""event, severity, decision, detail"""


class OwnBooks(NodePart):
    """One per node. Asks at the start, after a reload to another CA, and every hour; does nothing without an embedded CA.

    At once where a signer runs as a service, else half a minute later.
    """

    name = "own_books"
    tick_every_s = 1.0

    def __init__(self, store: StoreThread, report: Report) -> None:
        self._store = store
        self._report = report
        self._directory = ""
        self._not_before = 0.0
        self._problem = ""

    def use(self, config: Config) -> None:
        """The CA of this configuration, from the next tick on."""
        directory = config.pki.ca if config.pki.backend == "embedded" else ""
        if directory != self._directory:
            self._directory, self._problem = directory, ""
            runs = (Path(directory) / SIGNER / SOCKET_NAME).exists()
            self._not_before = time.monotonic() + (0.0 if runs else _SETTLE_S)

    async def tick(self) -> None:
        """Ask if it is time to. A signer that cannot be asked is asked again."""
        directory = self._directory
        if not directory or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _AGAIN_S
        try:
            problem, revoked = await in_background(lambda: _compared(Path(directory)))
            if revoked:
                await self._store.call(lambda registry: registry.inventory.revoke(revoked))
        except (PKIError, OSError, StoreError) as error:
            _log.info("books_not_compared", why=str(error))
            return
        if problem and problem != self._problem:
            detail = f"{problem}; {len(revoked)} revocations that the signer was told of are in force"
            self._report("trust.journal_failed", "critical", "keep_last_good", detail)
        self._problem = problem
        if not problem:
            self._not_before = time.monotonic() + _EVERY_S

    def status(self) -> dict[str, str] | None:
        """Which of the CA's books is an old copy, if one is."""
        return {"ca": self._directory, "problem": self._problem} if self._directory else None


def _compared(directory: Path) -> tuple[str, list[OwnRevocation]]:
    """What is wrong with the books, and then all that the signer was told is revoked. Raises PKIError, OSError."""
    with signer_in_turn(directory, _PATIENCE_S) as signer:
        path = directory / JOURNAL
        if not path.exists():
            known = signer.remembered()[0].sequence
            return (
                (f"{path} is not there, and the signer remembers {known} records", _told(signer)) if known else ("", [])
            )
        journal = Journal(path, read_only=True)
        try:
            verify_books(journal, signer)
        except RolledBack:
            return _again(journal, signer)
        finally:
            journal.close()
    return "", []


def _again(journal: Journal, signer: SignerClient) -> tuple[str, list[OwnRevocation]]:
    """Somebody may have issued since the journal was read."""
    journal.catch_up()
    try:
        verify_books(journal, signer)
    except RolledBack as why:
        return str(why), _told(signer)
    return "", []


def _told(signer: SignerClient) -> list[OwnRevocation]:
    """Of each issuing CA, as the signer remembers numbers alone: they are random, and no other certificate has one of them."""
    names = [each.certificate.subject.rfc4514_string() for each in signer.issuers()]
    now, why = time.time(), "the CA's signer was told that it is revoked"
    return [
        OwnRevocation(issuer=name, serial=f"{serial:x}", reason=why, revoked_at=now)
        for serial in signer.revoked()
        for name in names
    ]
