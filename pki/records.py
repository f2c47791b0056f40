"""What the journal says: the records of everything that this CA decided and did, in order.

    Opened
    Requested -> Decided (if held) -> Reserved -> Intended -> Issued -> Revoked
                                           or Abandoned
    Requested -> Decided (if held) -> Received -> Revoked                       where another CA signs
                                   or TurnedDown             -> Told
    Noted                                     at any time

Serial numbers are in hex without leading zeros, as OCPP has them; times in UTC.
"""

import datetime
from enum import Enum

import msgspec

from pki.chained_file import Position
from pki.names import Subject

__all__ = [
    "Abandoned",
    "Decided",
    "Intended",
    "Issued",
    "JournalRecord",
    "Noted",
    "Opened",
    "Received",
    "Requested",
    "Reserved",
    "RevocationReason",
    "Revoked",
    "Told",
    "ToldState",
    "TurnedDown",
]


class RevocationReason(Enum):
    """RFC 5280, 5.3.1, as far as it fits end entities that are revoked for good."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


class ToldState(Enum):
    """What the other CA, which has issued a certificate, has to say to its revocation here."""

    FAILED = "failed"
    """It could not be told; it will be, again and again."""
    BY_HAND = "by-hand"
    """It has no revocation, or refuses it: somebody has to see to it there."""
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    """Somebody has seen to it there."""

    @property
    def is_over(self) -> bool:
        """Nobody has to be told any more."""
        return self in {ToldState.ACCEPTED, ToldState.CONFIRMED}


class _Record(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record", forbid_unknown_fields=True
):
    at: datetime.datetime


class Opened(_Record, tag="opened", frozen=True, kw_only=True):
    """The first record."""

    format: int = 1


class Requested(_Record, tag="requested", frozen=True, kw_only=True):
    """A request that passed all checks, and what the rules say to it."""

    request: str
    profile: str
    issuer: str
    subject: Subject
    names: tuple[str, ...] = ()
    spki: bytes
    csr_sha256: bytes
    applicant: str
    """How whoever asked had proven itself, for people."""
    held: bool
    rule: str
    """Of `pki.approval`: why it is held, or why not."""
    notes: tuple[str, ...] = ()
    """What was asked for and ignored, and warnings."""


class Decided(_Record, tag="decided", frozen=True, kw_only=True):
    """Somebody approved or denied a request that was held."""

    request: str
    approved: bool
    by: str
    note: str = ""


class Reserved(_Record, tag="reserved", frozen=True, kw_only=True):
    """The serial number belongs to this request from now on, whatever happens."""

    request: str
    serial: str


class Intended(_Record, tag="intended", frozen=True, kw_only=True):
    """What is about to be signed. From here on a certificate with this serial number may exist."""

    request: str
    serial: str
    not_before: datetime.datetime
    not_after: datetime.datetime
    tbs: bytes


class Issued(_Record, tag="issued", frozen=True, kw_only=True):
    """The signature has been checked; the certificate is `tbs` of the record before with it."""

    request: str
    serial: str
    signature: bytes
    list: Position | None = None
    """How far that has brought the signer's own list."""


class Noted(_Record, tag="noted", frozen=True, kw_only=True):
    """How far the signer's own list has got: one that has not, or has another record there, is not to be believed."""

    list: Position


class Abandoned(_Record, tag="abandoned", frozen=True, kw_only=True):
    """The linter or the signer refused; nothing was signed and the serial number is not used again."""

    request: str
    serial: str
    reason: str


class Received(_Record, tag="received", frozen=True, kw_only=True):
    """Another CA has issued this, and it is what was asked for: DER, the certificate first, then those above it."""

    request: str
    chain: tuple[bytes, ...]


class TurnedDown(_Record, tag="turned-down", frozen=True, kw_only=True):
    """Another CA refuses, has sent what must not be used, or nobody waits for it any more."""

    request: str
    reason: str


class Revoked(_Record, tag="revoked", frozen=True, kw_only=True):
    """For good."""

    serial: str
    reason: RevocationReason
    by: str
    note: str = ""


class Told(_Record, tag="told", frozen=True, kw_only=True):
    """How far the CA that has issued a certificate knows that it is revoked. The last one counts."""

    serial: str
    state: ToldState
    detail: str = ""
    by: str = ""


JournalRecord = (
    Opened
    | Requested
    | Decided
    | Reserved
    | Intended
    | Issued
    | Abandoned
    | Received
    | TurnedDown
    | Revoked
    | Told
    | Noted
)
