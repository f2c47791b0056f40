"""The signer's process: a Unix socket before the core. One order at a time; a peer that hangs holds nobody up for long."""

import contextlib
import datetime
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from pki.errors import PKIError, Refused, SignerUnavailable
from pki.issuer import Issuer
from pki.signer.core import SigningCore
from pki.signer.protocol import (
    Answer,
    Digest,
    DigestAt,
    Failed,
    IssuerFacts,
    ListRevoked,
    ListSigned,
    NewResponder,
    Question,
    Refusal,
    Remember,
    Remembered,
    ResponderRequest,
    RevokedList,
    Sign,
    Signature,
    SignedList,
    SignedResponses,
    SignResponses,
    SignRevocationList,
    Status,
    StatusQuestion,
    receive,
    send,
)
from pki.signer.responders import ResponderKeys
from pki.signer.settings import load_issuers, responder_secrets

__all__ = ["LIST_NAME", "SNAPSHOT_NAME", "SOCKET_NAME", "bind_socket", "open_core", "serve"]

SOCKET_NAME: Final = "socket"
LIST_NAME: Final = "signed"
SNAPSHOT_NAME: Final = "signed.snapshot"
RESPONDERS_NAME: Final = "responders"
_MAX_CONNECTIONS: Final = 16
_BACKLOG: Final = 128
_MAX_DETAIL: Final = 500
_IDLE_S: Final = 3600.0
_SILENT_S: Final = 5.0
_QUESTIONS: "Final[msgspec.msgpack.Decoder[Question]]" = msgspec.msgpack.Decoder(Question)


def open_core(directory: Path, *, whole: bool = True) -> SigningCore:
    """Keys and list of a signer's directory. Raises PKIError, OSError. `whole`: as `SignerBook` has it."""
    keys = ResponderKeys(directory / RESPONDERS_NAME, responder_secrets(directory))
    return SigningCore(load_issuers(directory), directory / LIST_NAME, _now, keys, whole=whole)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def bind_socket(path: Path, *, others: bool = False) -> socket.socket:
    """A listening socket that only this user can connect to. A dead one in its place is removed. Raises OSError.

    `others`: any user can connect, and `serve` looks who it is.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o111 if others else 0o177)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    return listener


class _Connections:
    """Those there are, at most so many. One that asks nothing makes room for one that waits."""

    def __init__(self, silent_s: float) -> None:
        self._silent_s = silent_s
        self._slots = threading.Semaphore(_MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._silent_since: dict[socket.socket, float] = {}

    def admit(self) -> None:
        """Returns when there is room for one more."""
        while not self._slots.acquire(timeout=self._silent_s / 2):
            latest = time.monotonic() - self._silent_s
            with self._lock:
                for connection in [each for each, since in self._silent_since.items() if since <= latest][:1]:
                    del self._silent_since[connection]
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """There is room again."""
        self._slots.release()

    @contextlib.contextmanager
    def silent(self, connection: socket.socket) -> Iterator[None]:
        """While nothing is asked."""
        with self._lock:
            self._silent_since[connection] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._silent_since.pop(connection, None)


def serve(
    listener: socket.socket,
    core: SigningCore,
    allowed: frozenset[int] = frozenset(),
    *,
    silent_s: float = _SILENT_S,
) -> None:
    """Answers until the listener is closed. `allowed`: users (uid) who may ask besides this one and root.

    `silent_s`: after this a connection that asks nothing is closed if another one waits.
    """
    lock, connections = threading.Lock(), _Connections(silent_s)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connections.admit()
        threading.Thread(target=_converse, args=(connection, core, lock, connections, allowed), daemon=True).start()


def _converse(
    connection: socket.socket,
    core: SigningCore,
    lock: threading.Lock,
    connections: _Connections,
    allowed: frozenset[int],
) -> None:
    try:
        with connection:
            connection.settimeout(_IDLE_S)
            if _peer(connection) not in {0, os.geteuid(), *allowed}:
                return
            while True:
                with connections.silent(connection):
                    question = receive(connection, _QUESTIONS)
                if question is None:
                    return
                with lock:
                    answer = _answer(core, question)
                send(connection, answer)
    except (OSError, SignerUnavailable):
        return
    finally:
        connections.leave()


def _peer(connection: socket.socket) -> int:
    """The user at the other end, as the kernel knows."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


def _answer(core: SigningCore, question: Question) -> Answer:
    try:
        return _answered(core, question)
    except Refused as refused:
        return Refusal(refused.reason.code, refused.detail)
    except (OSError, PKIError) as error:
        return Failed(str(error))
    except Exception as error:  # noqa: BLE001  whoever asks is answered, whatever a token's library raises
        return Failed(f"a defect, {type(error).__name__}: {error}"[:_MAX_DETAIL])


def _answered(core: SigningCore, question: Question) -> Answer:
    book = core.book
    match question:
        case StatusQuestion():
            facts = [_facts(issuer) for issuer in core.issuers]
            return Status(facts, book.signed_count, book.remembered, book.place)
        case Sign():
            signature = core.sign(question.issuer, question.profile, question.tbs, question.journal)
            return Signature(signature, book.place)
        case SignRevocationList():
            return Signature(core.sign_revocation_list(question.issuer, question.tbs), book.place)
        case Remember():
            core.remember(question.journal, question.revoked)
            return Remembered(book.place)
        case ListSigned():
            return SignedList(*book.listed(question.start))
        case ListRevoked():
            return RevokedList(*book.listed_revoked(question.start))
        case DigestAt():
            return Digest(book.digest_at(question.sequence) or b"")
        case NewResponder():
            return ResponderRequest(core.new_responder(question.issuer))
        case SignResponses():
            made = core.sign_responses(question)
            return SignedResponses([[(each.tbs, each.signature) for each in one] for one in made])


def _facts(issuer: Issuer) -> IssuerFacts:
    publication = issuer.publication
    return IssuerFacts(
        name=issuer.name,
        certificates=[each.public_bytes(Encoding.DER) for each in (issuer.certificate, *issuer.chain)],
        profiles={profile.name: profile.lifetime.total_seconds() for profile in issuer.profiles},
        organizations=list(issuer.organizations),
        domains=list(issuer.domains),
        crl_url=publication.crl_url,
        crl_shards=publication.crl_shards,
        ocsp_url=publication.ocsp_url,
        issuer_url=publication.issuer_url,
    )
