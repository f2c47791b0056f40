"""The other end of the signer's socket, for whoever runs the issuance procedure."""

import datetime
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pki.chained_file import START, Position
from pki.errors import Misconfigured, Reason, Refused, SignerFailed, SignerUnavailable
from pki.issuer import Issuer
from pki.kept_keys import KeptECKey, KeptRSAKey, require_pkcs1v15
from pki.keys import PrivateKey
from pki.ocsp import OCSPWindow
from pki.profiles import END_ENTITY_PROFILES
from pki.signer.protocol import (
    Answer,
    Digest,
    DigestAt,
    Failed,
    IssuerFacts,
    ListRevoked,
    ListSigned,
    NewResponder,
    OCSPStatus,
    Question,
    Refusal,
    Remember,
    Remembered,
    ResponderRequest,
    RevokedList,
    Sign,
    Signature,
    SignedEntry,
    SignedList,
    SignedResponses,
    SignResponses,
    SignRevocationList,
    Status,
    StatusQuestion,
    receive,
    send,
)
from pki.template import Publication

__all__ = ["SignerClient"]

_ANSWERS: "Final[msgspec.msgpack.Decoder[Answer]]" = msgspec.msgpack.Decoder(Answer)


class SignerClient:
    """One connection; a call at a time. Every call raises SignerUnavailable if the signer cannot be asked."""

    def __init__(self, path: Path, timeout_s: float = 30.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self.place = START
        """How far its own list had got by its last answer."""

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def issuers(self) -> list[Issuer]:
        """Its issuing CAs, checked anew. Raises Misconfigured."""
        return [_issuer(facts) for facts in self._status().issuers]

    def issuer_certificates(self) -> list[x509.Certificate]:
        """Those of its issuing CAs."""
        return [each.certificate for each in self.issuers()]

    def remembered(self) -> tuple[Position, int]:
        """The furthest place of the journal that it knows, and how many serial numbers it has signed."""
        status = self._status()
        return status.remembered, status.signed

    def sign(self, issuer: str, profile: str, tbs: bytes, journal: Position) -> bytes:
        """The signature over a certificate's body. Raises Refused."""
        answer = self._ask(Sign(issuer, profile, tbs, journal))
        if not isinstance(answer, Signature):
            raise self._strange(answer)
        return answer.signature

    def sign_revocation_list(self, issuer: str, tbs: bytes) -> bytes:
        """The signature over a revocation list's body. Raises Refused."""
        answer = self._ask(SignRevocationList(issuer, tbs))
        if not isinstance(answer, Signature):
            raise self._strange(answer)
        return answer.signature

    def revocation_key(self, issuer: Issuer) -> PrivateKey:
        """The issuer's key as far as it signs revocation lists, for whatever builds them. Its `sign` raises as above."""
        key = issuer.public_key
        if isinstance(key, ec.EllipticCurvePublicKey):
            return _RemoteECKey(key, issuer.name, self)
        return _RemoteRSAKey(key, issuer.name, self)

    def remember(self, journal: Position, revoked: str = "") -> None:
        """Tells it how far the journal has got, and what has just been revoked. Raises Refused."""
        answer = self._ask(Remember(journal, revoked))
        if not isinstance(answer, Remembered):
            raise self._strange(answer)

    def signed(self) -> Iterator[SignedEntry]:
        """Everything that it was ever asked to sign, and what it signed."""
        start = 0
        while True:
            answer = self._ask(ListSigned(start))
            if not isinstance(answer, SignedList):
                raise self._strange(answer)
            yield from answer.entries
            if not answer.next:
                return
            start = answer.next

    def revoked(self) -> Iterator[int]:
        """Every serial number that it was told is revoked."""
        start = 0
        while True:
            answer = self._ask(ListRevoked(start))
            if not isinstance(answer, RevokedList):
                raise self._strange(answer)
            yield from (int(serial, 16) for serial in answer.serials)
            if not answer.next:
                return
            start = answer.next

    def new_responder(self, issuer: str) -> bytes:
        """A request (PKCS#10, DER) for the certificate of an OCSP responder whose key the signer has just made. Raises Refused."""
        answer = self._ask(NewResponder(issuer))
        if not isinstance(answer, ResponderRequest):
            raise self._strange(answer)
        return answer.csr

    def sign_responses(
        self, issuer: str, responder: int, window: OCSPWindow, statuses: Sequence[OCSPStatus]
    ) -> list[list[tuple[bytes, bytes]]]:
        """OCSP responses, as `SignedResponses` has them. Raises Refused."""
        answer = self._ask(SignResponses(issuer, f"{responder:x}", *window, list(statuses)))
        if not isinstance(answer, SignedResponses) or len(answer.responses) != len(statuses):
            raise self._strange(answer)
        return answer.responses

    def digest_at(self, sequence: int) -> bytes | None:
        """Of the record of its list with this number; None if there is none."""
        answer = self._ask(DigestAt(sequence))
        if not isinstance(answer, Digest):
            raise self._strange(answer)
        return answer.digest or None

    def _status(self) -> Status:
        answer = self._ask(StatusQuestion())
        if not isinstance(answer, Status):
            raise self._strange(answer)
        return answer

    def _ask(self, question: Question) -> Answer:
        is_old = self._socket is not None
        answer = self._asked(question, may_be_closed=is_old)
        if answer is None and is_old and not isinstance(question, SignRevocationList):
            # It needed the room while we asked nothing. Whatever it has done, asked again it does the same.
            self.close()
            answer = self._asked(question)
        if answer is None:
            self.close()
            raise SignerUnavailable(f"signer at {self._path}: it has closed the connection")
        if isinstance(answer, Refusal):
            raise Refused(Reason.of(answer.reason), answer.detail)
        if isinstance(answer, Failed):
            raise SignerFailed(f"signer at {self._path}: {answer.detail}")
        if isinstance(answer, Status | Signature | Remembered):
            self.place = answer.place
        return answer

    def _asked(self, question: Question, *, may_be_closed: bool = False) -> Answer | None:
        """The answer; None if the signer has closed the connection."""
        try:
            if self._socket is None:
                self._socket = self._connect()
            send(self._socket, question)
            return receive(self._socket, _ANSWERS)
        except (BrokenPipeError, ConnectionResetError) as error:
            if may_be_closed:
                return None
            self.close()
            raise SignerUnavailable(f"signer at {self._path}: {error}") from None
        except (OSError, SignerUnavailable) as error:
            self.close()
            raise SignerUnavailable(f"signer at {self._path}: {error}") from None

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A socket with a timeout is one that never waits, and is refused while the signer's queue is full.
        seconds, part = divmod(self._timeout_s, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(seconds), int(part * 1e6)))
        try:
            sock.connect(str(self._path))
        except OSError:
            sock.close()
            raise
        sock.settimeout(self._timeout_s)
        return sock

    def _strange(self, answer: Answer) -> SignerUnavailable:
        self.close()
        return SignerUnavailable(f"signer at {self._path}: an answer to another question ({type(answer).__name__})")


class _RemoteECKey(KeptECKey):
    """Signs the bodies of revocation lists, with the hash that goes with the key."""

    def __init__(self, public: ec.EllipticCurvePublicKey, issuer: str, signer: SignerClient) -> None:
        super().__init__(public)
        self._issuer, self._signer = issuer, signer

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        del signature_algorithm  # stands in the body, where the signer compares it
        return self._signer.sign_revocation_list(self._issuer, bytes(data))


class _RemoteRSAKey(KeptRSAKey):
    """The same with RSA."""

    def __init__(self, public: rsa.RSAPublicKey, issuer: str, signer: SignerClient) -> None:
        super().__init__(public)
        self._issuer, self._signer = issuer, signer

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        require_pkcs1v15(padding)
        del algorithm  # stands in the body, where the signer compares it
        return self._signer.sign_revocation_list(self._issuer, bytes(data))


def _issuer(facts: IssuerFacts) -> Issuer:
    certificates = [x509.load_der_x509_certificate(der) for der in facts.certificates]
    unknown = facts.profiles.keys() - END_ENTITY_PROFILES.keys()
    if unknown:
        raise Misconfigured(f"issuing CA {facts.name}: the signer is of another release, with profile {min(unknown)}")
    return Issuer(
        name=facts.name,
        certificate=certificates[0],
        chain=tuple(certificates[1:]),
        profiles=tuple(
            END_ENTITY_PROFILES[name].with_lifetime(datetime.timedelta(seconds=seconds))
            for name, seconds in facts.profiles.items()
        ),
        organizations=tuple(facts.organizations),
        domains=tuple(facts.domains),
        publication=Publication(
            crl_url=facts.crl_url,
            crl_shards=facts.crl_shards,
            ocsp_url=facts.ocsp_url,
            issuer_url=facts.issuer_url,
        ),
    )
