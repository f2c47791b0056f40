"""What is said over the signer's socket: one question, one answer, each a length and a msgpack value."""

import datetime
import socket
from typing import Final, TypeVar

import msgspec

from pki.chained_file import Position
from pki.errors import SignerUnavailable

__all__ = [
    "Answer",
    "Digest",
    "DigestAt",
    "Failed",
    "IssuerFacts",
    "ListRevoked",
    "ListSigned",
    "NewResponder",
    "OCSPStatus",
    "Question",
    "Refusal",
    "Remember",
    "Remembered",
    "ResponderRequest",
    "RevokedList",
    "Sign",
    "SignResponses",
    "SignRevocationList",
    "Signature",
    "SignedEntry",
    "SignedList",
    "SignedResponses",
    "Status",
    "StatusQuestion",
    "receive",
    "send",
]

_T = TypeVar("_T")
_MAX_BYTES: Final = 16_000_000
_PREFIX_BYTES: Final = 4


class StatusQuestion(msgspec.Struct, frozen=True, tag="status"):
    """Who are you, and how much do you remember?"""


class Sign(msgspec.Struct, frozen=True, tag="sign"):
    """Sign this body of a certificate. `journal`: where it is journalled."""

    issuer: str
    profile: str
    tbs: bytes
    journal: Position


class Remember(msgspec.Struct, frozen=True, tag="remember"):
    """The journal has got here; a shorter or another one is not to be believed."""

    journal: Position
    revoked: str = ""
    """A serial number, if that is what has just been journalled."""


class SignRevocationList(msgspec.Struct, frozen=True, tag="sign-crl"):
    """Sign this body of a revocation list."""

    issuer: str
    tbs: bytes


class ListSigned(msgspec.Struct, frozen=True, tag="list"):
    """What have you signed, from your n-th signature on?"""

    start: int


class ListRevoked(msgspec.Struct, frozen=True, tag="list-revoked"):
    """Which serial numbers were you told are revoked, from your n-th on?"""

    start: int


class DigestAt(msgspec.Struct, frozen=True, tag="digest-at"):
    """What is the digest of the record of your list with this number?"""

    sequence: int


class NewResponder(msgspec.Struct, frozen=True, tag="new-responder"):
    """Make a key for another OCSP responder of this issuing CA, and a request for its certificate."""

    issuer: str


class OCSPStatus(msgspec.Struct, frozen=True, array_like=True):
    """What is to be said of one certificate: good, or since when and why (RFC 5280) it is revoked."""

    serial: str
    revoked_at: datetime.datetime | None = None
    reason: str = ""


class SignResponses(msgspec.Struct, frozen=True, tag="sign-ocsp"):
    """Make and sign OCSP responses. `responder`: serial number of its certificate, in hex."""

    issuer: str
    responder: str
    this_update: datetime.datetime
    next_update: datetime.datetime
    statuses: list[OCSPStatus]


Question = (
    StatusQuestion
    | Sign
    | SignRevocationList
    | Remember
    | ListSigned
    | ListRevoked
    | DigestAt
    | NewResponder
    | SignResponses
)


class IssuerFacts(msgspec.Struct, frozen=True):
    """An issuing CA as the signer has it configured; all public."""

    name: str
    certificates: list[bytes]
    """DER: its own, then those above."""
    profiles: dict[str, float]
    """Name: lifetime in seconds."""
    organizations: list[str]
    domains: list[str]
    crl_url: str
    crl_shards: int
    ocsp_url: str
    issuer_url: str


class Status(msgspec.Struct, frozen=True, tag="status"):
    """Everything public about the signer."""

    issuers: list[IssuerFacts]
    signed: int
    remembered: Position
    place: Position
    """Of its own list, as far as nothing of it may be lost."""


class Signature(msgspec.Struct, frozen=True, tag="signature"):
    """The signature over the body, and how far that has brought the list."""

    signature: bytes
    place: Position


class Remembered(msgspec.Struct, frozen=True, tag="remembered"):
    """It is on the disk."""

    place: Position


class SignedEntry(msgspec.Struct, frozen=True):
    """One serial number that the signer was asked to sign, and its signature if it was made."""

    serial: str
    issuer: str
    tbs: bytes
    signature: bytes


class SignedList(msgspec.Struct, frozen=True, tag="signed"):
    """A part of the list; `next` is where to go on, 0 if that was all."""

    entries: list[SignedEntry]
    next: int


class RevokedList(msgspec.Struct, frozen=True, tag="revoked"):
    """A part of them, in hex; `next` is where to go on, 0 if that was all."""

    serials: list[str]
    next: int


class Digest(msgspec.Struct, frozen=True, tag="digest"):
    """Of that record; empty if there is none."""

    digest: bytes


class ResponderRequest(msgspec.Struct, frozen=True, tag="responder-request"):
    """PKCS#10, DER, signed with the new key."""

    csr: bytes


class SignedResponses(msgspec.Struct, frozen=True, tag="signed-ocsp"):
    """In the order of the question; for each certificate body and signature of one response for each hash (`pki.ocsp.HASHES`)."""

    responses: list[list[tuple[bytes, bytes]]]


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The signer does not sign that."""

    reason: str
    detail: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The signer cannot: a disk that is full, hardware that went away."""

    detail: str


Answer = (
    Status
    | Signature
    | Remembered
    | SignedList
    | RevokedList
    | Digest
    | ResponderRequest
    | SignedResponses
    | Refusal
    | Failed
)

_encoder = msgspec.msgpack.Encoder()


def send(sock: socket.socket, message: Question | Answer) -> None:
    """Raises OSError."""
    body = _encoder.encode(message)
    sock.sendall(len(body).to_bytes(_PREFIX_BYTES, "big") + body)


def receive(sock: socket.socket, decoder: "msgspec.msgpack.Decoder[_T]") -> _T | None:
    """The next message, or None if the other side has closed. Raises OSError, SignerUnavailable for garbage."""
    prefix = _exactly(sock, _PREFIX_BYTES)
    if prefix is None:
        return None
    size = int.from_bytes(prefix, "big")
    if size > _MAX_BYTES:
        raise SignerUnavailable(f"a message of {size} bytes")
    body = _exactly(sock, size)
    if body is None:
        raise SignerUnavailable("the connection ended within a message")
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SignerUnavailable(f"not a message: {error}") from None


def _exactly(sock: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            if data:
                raise SignerUnavailable("the connection ended within a message")
            return None
        data += chunk
    return bytes(data)
