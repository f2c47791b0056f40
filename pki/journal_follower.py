"""A journal that another process writes, followed: what was issued and revoked since the last look, and told to another CA."""

import datetime
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from pki.chained_file import START, ChainedFile, Position
from pki.records import Intended, Issued, JournalRecord, Received, Requested, Revoked, Told
from pki.signing import certificate_of, unsigned_certificate

__all__ = ["IssuedNews", "JournalFollower", "RevokedNews"]

_AT_ONCE: Final = 1_000
"""Certificates told by one `read`: a fleet's worth of them would be a hundred megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedNews:
    """A certificate that exists since then."""

    certificate: x509.Certificate
    profile: str
    at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedNews:
    """A revocation, as whoever meets the certificate can tell it."""

    issuer: str
    """RFC 4514 text of the issuer's name."""
    serial: int
    at: datetime.datetime
    reason: str
    by: str
    note: str
    received: x509.Certificate | None = None
    """The certificate, if another CA has issued it: that one is to be told."""


class JournalFollower:
    """One thread at a time. Tells each record once; if the file was replaced, all of it again."""

    def __init__(
        self,
        path: Path,
        on_revoked: Callable[[RevokedNews], None],
        on_issued: Callable[[IssuedNews], None] | None = None,
        known: Position = START,
        on_told: Callable[[Told], None] | None = None,
    ) -> None:
        """`known`: up to where in this very journal the caller knows what was issued. Revocations are told from the start.

        So is what another CA knows of them, each after its revocation.
        """
        self._path = path
        self._on_revoked = on_revoked
        self._on_issued = on_issued
        self._on_told = on_told or (lambda _: None)
        self._file: ChainedFile[JournalRecord] | None = None
        self._inode = 0
        self._profiles: dict[str, str] = {}
        """Of requests that have no certificate yet."""
        self._intended: dict[int, int] = {}
        """Record with the body of each serial number."""
        self._issued: deque[tuple[int, str]] = deque()
        """Records that are not told yet, with the profile of what they issued."""
        self._revocations: list[int] = []
        """Records about revocations that are not told yet."""
        self._told = known
        self._lacks = 0

    @property
    def head(self) -> Position:
        """How far it has read."""
        return START if self._file is None else self._file.head

    @property
    def lacks(self) -> int:
        """The number of the record that the caller knows and this journal has not: it is an old copy, or another; 0 if none."""
        return self._lacks

    @property
    def told(self) -> Position:
        """Up to where everything issued has been told; it goes on from there if that is given as `known`."""
        return self._told

    def has_news(self) -> bool:
        """True if `read` may have something to tell; so cheap that it can be asked all the time."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self._file is not None
        except OSError:
            return True
        return (
            self._file is None
            or bool(self._issued)
            or (found.st_ino, found.st_size) != (self._inode, self._file.size_bytes)
        )

    def read(self) -> None:
        """Tell what is new: all that was revoked, and of what was issued as much as is told at once.

        A journal that is not there has nothing. Raises JournalDamaged, OSError.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self.close()
            return
        try:
            if self._file is None or found.st_ino != self._inode:
                self._open(found.st_ino)
            elif found.st_size != self._file.size_bytes:
                self._file.catch_up()
            self._tell()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Forget the file: the next `read` begins anew."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, inode: int) -> None:
        self.close()
        self._inode = inode
        self._profiles, self._intended, self._issued, self._revocations = {}, {}, deque(), []
        self._file = ChainedFile(self._path, JournalRecord, self._noted, read_only=True)
        self._lacks = 0
        if self._file.digest_at(self._told.sequence) != self._told.digest:
            self._lacks, self._told = self._told.sequence, START

    def _noted(self, record: JournalRecord, sequence: int) -> None:
        match record:
            case Requested():
                self._profiles[record.request] = sys.intern(record.profile)
            case Intended():
                self._intended[int(record.serial, 16)] = sequence
            case Issued():
                self._issued.append((sequence, self._profiles.pop(record.request, "")))
            case Received():
                leaf = x509.load_der_x509_certificate(record.chain[0])
                self._intended[leaf.serial_number] = sequence
                self._issued.append((sequence, self._profiles.pop(record.request, "")))
            case Revoked() | Told():
                self._revocations.append(sequence)
            case _:
                pass

    def _tell(self) -> None:
        file, news = self._file, self._revocations
        assert file is not None
        self._revocations = []
        for sequence in news:
            record = file.read(sequence)
            if isinstance(record, Told):
                self._on_told(record)
                continue
            assert isinstance(record, Revoked)
            self._on_revoked(self._revocation(record))
        if self._on_issued is None:
            self._issued.clear()
        self._tell_issued(file, self._on_issued or (lambda _: None))

    def _tell_issued(self, file: ChainedFile[JournalRecord], on_issued: Callable[[IssuedNews], None]) -> None:
        told = 0
        while self._issued and told < _AT_ONCE:
            sequence, profile = self._issued.popleft()
            if sequence <= self._told.sequence:
                continue
            record = file.read(sequence)
            assert isinstance(record, Issued | Received)
            on_issued(self._certificate(record, profile))
            digest = file.digest_at(sequence)
            assert digest is not None
            self._told = Position(sequence, digest)
            told += 1

    def _received(self, serial: str) -> x509.Certificate | None:
        assert self._file is not None
        intent = self._file.read(self._intended[int(serial, 16)])
        return x509.load_der_x509_certificate(intent.chain[0]) if isinstance(intent, Received) else None

    def _body(self, serial: str) -> bytes:
        assert self._file is not None
        intent = self._file.read(self._intended[int(serial, 16)])
        assert isinstance(intent, Intended)
        return intent.tbs

    def _certificate(self, record: Issued | Received, profile: str) -> IssuedNews:
        if isinstance(record, Received):
            certificate = x509.load_der_x509_certificate(record.chain[0])
            return IssuedNews(certificate=certificate, profile=profile, at=record.at)
        der = certificate_of(self._body(record.serial), record.signature)
        return IssuedNews(certificate=x509.load_der_x509_certificate(der), profile=profile, at=record.at)

    def _revocation(self, record: Revoked) -> RevokedNews:
        received = self._received(record.serial)
        body = received or unsigned_certificate(self._body(record.serial))
        return RevokedNews(
            issuer=body.issuer.rfc4514_string(),
            serial=body.serial_number,
            at=record.at,
            reason=record.reason.value,
            by=record.by,
            note=record.note,
            received=received,
        )
