"""The journal and the signer's own list, held against each other: neither is believed if the other knows of more.

The signer remembers how far the journal had got; the journal notes how far the signer's list had got. An old copy of either
that is put back is noticed by the other (docs/decisions/0020).
"""

import contextlib
import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pki.chained_file import Position
from pki.errors import Refused, RolledBack, SignerUnavailable
from pki.issuer import Issuer
from pki.journal import Journal
from pki.ocsp import OCSPWindow
from pki.records import Noted
from pki.signer.protocol import OCSPStatus, SignedEntry

__all__ = ["Signer", "SignersList", "note_list", "tell_head", "tell_signer", "verify_books", "verify_books_in_use"]


class SignersList(Protocol):
    """What the signer knows, told by itself or read from its file. Each call raises SignerUnavailable."""

    def remembered(self) -> tuple[Position, int]:
        """The furthest place of the journal that it knows of, and how many serial numbers it has signed."""

    def digest_at(self, sequence: int) -> bytes | None:
        """Of the record of its own list with this number; None if there is none."""

    def revoked(self) -> Iterable[int]:
        """Every serial number that it was told is revoked."""


class Signer(SignersList, Protocol):
    """Whoever has the keys. Each call raises SignerUnavailable."""

    @property
    def place(self) -> Position:
        """How far its own list had got by its last answer."""

    def issuers(self) -> list[Issuer]:
        """The issuing CAs it has keys for."""

    def sign(self, issuer: str, profile: str, tbs: bytes, journal: Position) -> bytes:
        """A signature. Raises Refused."""

    def remember(self, journal: Position, revoked: str = "") -> None:
        """Raises Refused."""

    def signed(self) -> Iterable[SignedEntry]:
        """Everything that it was ever asked to sign."""

    def new_responder(self, issuer: str) -> bytes:
        """A request (DER) for the certificate of an OCSP responder. Raises Refused."""

    def sign_responses(
        self, issuer: str, responder: int, window: OCSPWindow, statuses: Sequence[OCSPStatus]
    ) -> list[list[tuple[bytes, bytes]]]:
        """OCSP responses. Raises Refused."""


def verify_books(journal: Journal, signer: SignersList) -> None:
    """Raises RolledBack if one of them is an old copy, or of another CA; SignerUnavailable."""
    _verify_place(journal, signer.remembered()[0])
    _verify_list(journal.inventory.noted, journal.inventory.issued_count, signer)


def verify_books_in_use(journal: Journal, signer: Callable[[], SignersList]) -> None:
    """The same beside whoever writes them. `signer`: its list as it is from then on. Raises what `verify_books` raises.

    The list is looked at after the journal has said what must be on it, and the journal's end after that.
    """
    noted, issued = journal.inventory.noted, journal.inventory.issued_count
    of_signer = signer()
    _verify_list(noted, issued, of_signer)
    remembered = of_signer.remembered()[0]
    journal.catch_up()
    _verify_place(journal, remembered)


def _verify_place(journal: Journal, remembered: Position) -> None:
    digest = journal.digest_at(remembered.sequence)
    if digest is None:
        raise RolledBack(
            f"the journal has {journal.head.sequence} records, and the signer remembers {remembered.sequence}: an old copy"
            " was put back. Put the newest one there; with this one, certificates would be un-revoked"
        )
    if digest != remembered.digest:
        raise RolledBack(
            f"record {remembered.sequence} of the journal is not the one that the signer remembers: it is another journal"
        )


def _verify_list(noted: Position, issued: int, signer: SignersList) -> None:
    if signer.digest_at(noted.sequence) != noted.digest or issued > signer.remembered()[1]:
        raise RolledBack(
            f"the signer's list does not have record {noted.sequence} as the journal noted it: an old copy of the list was put back."
            " Put the newest one there; with this one, serial numbers could be signed twice, and revocation lists forget"
        )


def tell_signer(journal: Journal, signer: Signer, now: datetime.datetime) -> None:
    """Every revocation that it was not told of, because one of us died, and how far the journal has got.

    Raises SignerUnavailable, OSError.
    """
    told = set(signer.revoked())
    untold = [
        (entry.revocation.sequence, entry.serial)
        for entry in journal.inventory.certificates.values()
        if entry.revocation is not None and entry.serial not in told
    ]
    for _, serial in sorted(untold):
        signer.remember(journal.head, f"{serial:x}")
    signer.remember(journal.head)
    note_list(journal, signer, now)


def note_list(journal: Journal, signer: Signer, now: datetime.datetime) -> None:
    """Journals how far the signer's list has got, if that is not journalled. Raises OSError."""
    if signer.place != journal.inventory.noted:
        journal.append(Noted(at=now, list=signer.place))


def tell_head(journal: Journal, signer: Signer) -> None:
    """How far the journal has got. If it cannot be told now, it is told at the next start."""
    with contextlib.suppress(SignerUnavailable, Refused):
        signer.remember(journal.head)
