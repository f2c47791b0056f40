"""The signer's list read from its file, by whoever may: without a key, and whether or not a signer runs.

It answers what the signer itself would (`pki.two_books.SignersList`).
"""

from pathlib import Path

from cryptography import x509

from pki.chained_file import START, Position
from pki.errors import Misconfigured
from pki.signer.book import SignerBook
from pki.signer.server import LIST_NAME
from pki.signer.settings import issuer_certificates

__all__ = ["ListAtRest"]


class ListAtRest:
    """As far as it was written when it was opened; one that is not there has nothing in it."""

    def __init__(self, directory: Path) -> None:
        """`directory`: of the signer. Raises JournalDamaged, Misconfigured, OSError."""
        self._directory = directory
        try:
            self._book: SignerBook | None = SignerBook(directory / LIST_NAME, whole=False, read_only=True)
        except FileNotFoundError:
            self._book = None

    def close(self) -> None:
        """Of no use afterwards."""
        if self._book is not None:
            self._book.close()

    def remembered(self) -> tuple[Position, int]:
        """The furthest place of the journal in it, and how many serial numbers were signed."""
        return (START, 0) if self._book is None else (self._book.remembered, self._book.signed_count)

    def digest_at(self, sequence: int) -> bytes | None:
        """Of the record with this number; None if there is none."""
        if self._book is None:
            return START.digest if sequence == START.sequence else None
        return self._book.digest_at(sequence)

    def revoked(self) -> list[int]:
        """Every serial number that the signer was told is revoked."""
        return [] if self._book is None else list(self._book.revoked())

    def issuer_certificates(self) -> list[x509.Certificate]:
        """Of the issuing CAs that have their settings beside the list. Raises Misconfigured."""
        try:
            return issuer_certificates(self._directory)
        except OSError as error:
            raise Misconfigured(f"{error.filename}: {error.strerror}") from None
