"""Is the embedded CA's journal the newest? Its signer knows, and which certificates are revoked, whatever an old copy says.

An old journal beside a registry that is old or new as well would let in what was revoked. So what the signer was told counts then
(docs/decisions/0079).
"""

import asyncio
import contextlib
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
from pki.errors import PKIError, RolledBack, SignerUnavailable
from pki.journal import Journal
from pki.opened import JOURNAL, SIGNER
from pki.signer.client import SignerClient
from pki.signer.list_at_rest import ListAtRest
from pki.signer.server import SOCKET_NAME
from pki.two_books import verify_books_in_use

__all__ = ["OwnBooks"]

_EVERY_S: Final = 3_600.0
_AGAIN_S: Final = 60.0
_START_WAITS_S: Final = 10.0
"""For a signer that hangs; the books are compared a little later then."""
_log = structlog.get_logger("control.own_books")

Report = Callable[[str, str, str, str], None]
"""event, severity, decision, detail"""


class OwnBooks(NodePart):
    """One per node. Compares at the start, after a reload to another CA, and every hour; does nothing without an embedded CA."""

    name = "own_books"
    tick_every_s = 1.0

    def __init__(self, store: StoreThread, report: Report, config: Config) -> None:
        self._store = store
        self._report = report
        self._directory = _embedded(config)
        self._not_before = 0.0
        self._problem = ""

    async def load(self) -> None:
        """What the signer remembers is in force before anybody is admitted; one that hangs keeps nobody out for long."""
        try:
            await asyncio.wait_for(self.tick(), _START_WAITS_S)
        except TimeoutError:
            _log.warning("books_not_compared", why="the signer does not answer")

    def use(self, config: Config) -> None:
        """The CA of this configuration, from the next tick on."""
        directory = _embedded(config)
        if directory != self._directory:
            self._directory, self._problem, self._not_before = directory, "", 0.0

    async def tick(self) -> None:
        """Compare if it is time to. What cannot be read, or asked, is asked again."""
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


def _embedded(config: Config) -> str:
    return config.pki.ca if config.pki.backend == "embedded" else ""


def _compared(directory: Path) -> tuple[str, list[OwnRevocation]]:
    """What is wrong with the books, and then all that the signer was told is revoked. Raises PKIError, OSError."""
    path = directory / JOURNAL
    with contextlib.ExitStack() as opened:
        if not path.exists():
            book = _list_of(directory, opened)
            known = book.remembered()[0].sequence
            problem = f"{path} is not there, and the signer remembers {known} records" if known else ""
            return problem, _told(book) if known else []
        journal = opened.enter_context(contextlib.closing(Journal(path, read_only=True)))
        try:
            verify_books_in_use(journal, lambda: _list_of(directory, opened))
        except RolledBack as why:
            return str(why), _told(_list_of(directory, opened))
    return "", []


def _list_of(directory: Path, opened: contextlib.ExitStack) -> SignerClient | ListAtRest:
    """Of the signer that runs, or else as it lies there: no key is needed for it, and nobody waits for it."""
    signer = directory / SIGNER
    socket = signer / SOCKET_NAME
    if socket.exists():
        with contextlib.suppress(SignerUnavailable):
            client = opened.enter_context(contextlib.closing(SignerClient(socket)))
            client.remembered()
            return client
    return opened.enter_context(contextlib.closing(ListAtRest(signer)))


def _told(book: SignerClient | ListAtRest) -> list[OwnRevocation]:
    """Of each issuing CA, as the signer remembers numbers alone: they are random, and no other certificate has one of them."""
    names = [each.subject.rfc4514_string() for each in book.issuer_certificates()]
    now, why = time.time(), "the CA's signer was told that it is revoked"
    return [
        OwnRevocation(issuer=name, serial=f"{serial:x}", reason=why, revoked_at=now)
        for serial in book.revoked()
        for name in names
    ]
