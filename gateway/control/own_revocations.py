"""What the embedded CA issues and revokes, whoever has it do so: from its journal into the registry, and so to every node.

The journal is read beside whoever writes it. The registry keeps what was learnt: a journal that cannot be read any more
takes back nothing.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from gateway.config.model import Config
from gateway.control.background import in_background
from gateway.control.certificate_facts import known_certificate
from gateway.control.part import NodePart
from gateway.control.store_thread import StoreThread
from gateway.store.certificates import Revocations
from gateway.store.errors import StoreError
from gateway.store.inventory import JournalPosition, KnownCertificate, OwnRevocation
from pki.chained_file import START, Position
from pki.errors import PKIError
from pki.journal_follower import IssuedNews, JournalFollower, RevokedNews
from pki.opened import JOURNAL
from pki.records import Told

__all__ = ["OwnRevocations"]

_NAMED_AT_ONCE: Final = 20
"""More that are new at the same time, as after a restore, are one event with their number."""
_AGAIN_S: Final = 10.0
"""After a failure: a damaged journal of a large fleet is not read all through twice a second."""
_COMPARE_EVERY_S: Final = 10.0
_log = structlog.get_logger("control.own_revocations")

Report = Callable[[str, str, str, str], None]
"""event, severity, decision, detail"""


class OwnRevocations(NodePart):
    """Follows the journal in one directory."""

    name = "own_revocations"
    tick_every_s = 0.2
    """The registry is followed twice a second, so that a revocation is everywhere within a second."""

    def __init__(self, store: StoreThread, report: Report, in_force: Callable[[], Revocations], directory: str) -> None:
        """`in_force`: what the registry has revoked, as this process knows it.

        `directory`: of the CA, as `use` takes it from the configuration.
        """
        self._store = store
        self._report = report
        self._directory = ""
        self._follower: JournalFollower | None = None
        self._in_force = in_force
        self._found: list[OwnRevocation] = []
        """Read, and not in the registry yet."""
        self._read_ever: dict[tuple[str, str], OwnRevocation] = {}
        """By issuer and serial number."""
        self._watched: list[OwnRevocation] = []
        """Those among them that came while we looked: an event, also if the registry knows them already."""
        self._is_read = False
        """The journal has been read to its end once."""
        self._compared_at = 0.0
        self._issued: list[KnownCertificate] = []
        self._failure = ""
        self._lacks = 0
        """The record that the registry knows of and the journal lacks; of which an event told."""
        self._not_before = 0.0
        self._news: list[RevokedNews | Told] = []
        """Of one look at the journal."""
        self.on_news: Callable[[str, Sequence[RevokedNews | Told]], None] = lambda _directory, _news: None
        """Hears, on the event loop, what that journal says about revocations, also what another CA has said to them."""
        self._follow_in(directory)

    async def load(self) -> None:
        """What was revoked while no gateway ran is in the registry before anybody is admitted."""
        await self.tick()

    def use(self, config: Config) -> None:
        """Follow the CA of this configuration from the next tick on, if there is one."""
        self._follow_in(config.pki.ca)

    def _follow_in(self, directory: str) -> None:
        if directory != self._directory:
            self._directory, self._follower = directory, None
            self._read_ever, self._is_read = {}, False
            self._failure, self._lacks, self._not_before = "", 0, 0.0

    async def tick(self) -> None:
        """Look whether there is something new; in the registry when it returns, unless the registry cannot be written."""
        if not self._directory or time.monotonic() < self._not_before:
            return
        try:
            follower = self._follower = self._follower or await self._begun(self._directory)
            if follower.has_news():
                await self._read(follower)
            self._compare()
            await self._write(follower)
        except StoreError as error:
            _log.warning("journal_not_taken_over", revocations=len(self._found), error=str(error))

    async def _begun(self, directory: str) -> JournalFollower:
        """From where another control process, or an earlier life of this one, has got."""
        position = await self._store.call(lambda registry: registry.inventory.journal_position(directory))
        known = START if position is None else Position(position.sequence, bytes.fromhex(position.digest))
        return JournalFollower(Path(directory) / JOURNAL, self._revoked, self._was_issued, known, self._news.append)

    async def _read(self, follower: JournalFollower) -> None:
        directory = self._directory  # another one may be in force when it has been read
        self._news.clear()
        try:
            await in_background(follower.read)
        except (PKIError, OSError, ValueError) as error:
            self._not_before = time.monotonic() + _AGAIN_S
            self._failed(str(error))
        else:
            self._failed("")
            self._missed(follower.lacks)
            self._is_read = True
            self.on_news(directory, self._news)

    def _compare(self) -> None:
        """A registry that was put back from a backup while we ran has forgotten, and must not un-revoke."""
        if self._found or time.monotonic() - self._compared_at < _COMPARE_EVERY_S:
            return
        self._compared_at = time.monotonic()
        known = self._in_force().issuer_serials
        self._found += [each for name, each in self._read_ever.items() if name not in known]

    async def _write(self, follower: JournalFollower) -> None:
        """Revocations first, and they are what somebody waits for. Raises StoreError; nothing that was read is lost."""
        if self._found:
            entries = list(self._found)
            added = await self._store.call(lambda registry: registry.inventory.revoke(entries))
            names = {(each.issuer, each.serial) for each in added}
            also = [each for each in self._watched if (each.issuer, each.serial) not in names]
            self._found, self._watched = [], []
            self._announce([*added, *also])
        if self._issued:
            issued, told = list(self._issued), follower.told
            position = JournalPosition(self._directory, told.sequence, told.digest.hex())
            await self._store.call_later(lambda registry: registry.inventory.record(issued, position))
            self._issued = []

    def _missed(self, record: int) -> None:
        """An old copy: what it has forgotten is in the registry, as long as that is not an old one, too."""
        if record and record != self._lacks:
            detail = (
                f"the journal in {self._directory} does not have record {record} that the registry knows of: an old copy was put"
                " back, or another journal. Put the newest one there; what was revoked stays revoked"
            )
            self._report("trust.journal_failed", "critical", "keep_last_good", detail)
        self._lacks = record

    def _failed(self, why: str) -> None:
        if why and why != self._failure:
            detail = f"{why}; what it revoked before stays revoked, what it revokes from now on is not seen"
            self._report("trust.journal_failed", "critical", "keep_last_good", detail)
        self._failure = why

    def _revoked(self, news: RevokedNews) -> None:
        """On the thread that reads; nobody else touches the list meanwhile, as a tick waits for it."""
        note = f": {news.note}" if news.note else ""
        found = OwnRevocation(
            issuer=news.issuer,
            serial=f"{news.serial:x}",
            reason=f"{news.reason}, by {news.by}{note}",
            revoked_at=news.at.timestamp(),
        )
        if self._is_read and (found.issuer, found.serial) not in self._read_ever:
            self._watched.append(found)
        self._read_ever[found.issuer, found.serial] = found
        self._found.append(found)
        self._news.append(news)

    def _was_issued(self, news: IssuedNews) -> None:
        self._issued.append(known_certificate(news.certificate, "issued", news.at.timestamp(), news.profile))

    def _announce(self, added: list[OwnRevocation]) -> None:
        for each in added[:_NAMED_AT_ONCE]:
            detail = f"serial {each.serial} of {each.issuer}: {each.reason}"
            self._report("certificate.revoked", "high", "deny", detail)
        if len(added) > _NAMED_AT_ONCE:
            detail = f"{len(added) - _NAMED_AT_ONCE} more were revoked in the journal of the CA"
            self._report("certificate.revoked", "high", "deny", detail)

    def status(self) -> dict[str, str] | None:
        """Which CA is followed, and why it cannot be."""
        return {"ca": self._directory, "failure": self._failure} if self._directory else None
