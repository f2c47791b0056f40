"""A journal that another process writes, followed: which certificates were issued and revoked since the last look."""

import datetime
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from pki.chained_file import START, ChainedFile, Position
from pki.records import Intended, Issued, JournalRecord, Requested, Revoked
from pki.signing import certificate_of, unsigned_certificate

__all__ = ["IssuedNews", "JournalFollower", "RevokedNews"]


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


class JournalFollower:
    """One thread at a time. Tells each record once; if the file was replaced, all of it again."""

    def __init__(
        self,
        path: Path,
        on_revoked: Callable[[RevokedNews], None],
        on_issued: Callable[[IssuedNews], None] | None = None,
        known: Position = START,
    ) -> None:
        """`known`: up to where in this very journal the caller knows what was issued. Revocations are told from the start."""
        self._path = path
        self._on_revoked = on_revoked
        self._on_issued = on_issued
        self._known = known
        self._file: ChainedFile[JournalRecord] | None = None
        self._inode = 0
        self._profiles: dict[str, str] = {}
        """Of requests that have no certificate yet."""
        self._intended: dict[int, int] = {}
        """Record with the body of each serial number."""
        self._untold: list[tuple[int, str]] = []
        """Records, and the profile of what they issued."""

    @property
    def head(self) -> Position:
        """How far it has read."""
        return START if self._file is None else self._file.head

    def has_news(self) -> bool:
        """True if `read` may have something to tell; so cheap that it can be asked all the time."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self._file is not None
        except OSError:
            return True
        return self._file is None or (found.st_ino, found.st_size) != (self._inode, self._file.size_bytes)

    def read(self) -> None:
        """Tell what is new. A journal that is not there has nothing. Raises JournalDamaged, OSError."""
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
        self._profiles, self._intended, self._untold = {}, {}, []
        self._file = ChainedFile(self._path, JournalRecord, self._noted, read_only=True)
        if self._file.digest_at(self._known.sequence) != self._known.digest:
            self._known = START  # another journal than the caller knows

    def _noted(self, record: JournalRecord, sequence: int) -> None:
        match record:
            case Requested():
                self._profiles[record.request] = sys.intern(record.profile)
            case Intended():
                self._intended[int(record.serial, 16)] = sequence
            case Issued():
                self._untold.append((sequence, self._profiles.pop(record.request, "")))
            case Revoked():
                self._untold.append((sequence, ""))
            case _:
                pass

    def _tell(self) -> None:
        file, untold = self._file, self._untold
        assert file is not None
        self._untold = []
        for sequence, profile in untold:
            record = file.read(sequence) if not profile or sequence > self._known.sequence else None
            if isinstance(record, Revoked):
                self._on_revoked(self._revoked(record))
            elif isinstance(record, Issued) and self._on_issued is not None:
                self._on_issued(self._issued(record, profile))
        self._known = file.head

    def _body(self, serial: str) -> bytes:
        assert self._file is not None
        intent = self._file.read(self._intended[int(serial, 16)])
        assert isinstance(intent, Intended)
        return intent.tbs

    def _issued(self, record: Issued, profile: str) -> IssuedNews:
        der = certificate_of(self._body(record.serial), record.signature)
        return IssuedNews(certificate=x509.load_der_x509_certificate(der), profile=profile, at=record.at)

    def _revoked(self, record: Revoked) -> RevokedNews:
        body = unsigned_certificate(self._body(record.serial))
        return RevokedNews(
            issuer=body.issuer.rfc4514_string(),
            serial=body.serial_number,
            at=record.at,
            reason=record.reason.value,
            by=record.by,
            note=record.note,
        )
