"""OCSP responders of the issuing CAs here: their keys, which never leave the signer, and what they may be made to say.

Whoever has a responder's key can say of every certificate that it is good, for as long as the responder's certificate lives. So the
keys are made here, certificates are signed for no other ones, and each response is built here from what is to be said of
each certificate:

(1) the responder's certificate was signed here, for this issuer, and its key is here
(2) the responses are for now, not for longer than they may be, and end before the responder's certificate does
(3) a certificate was signed here, for this issuer
(4) good is said of none that the signer was told is revoked
(5) revoked is said for good, and with a reason that a CA here revokes for
"""

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from pki.blocked_keys import spki_sha256
from pki.errors import Misconfigured, Reason, Refused
from pki.issuer import Issuer
from pki.keys import PrivateKey, certificate_key, generate_key, write_key
from pki.ocsp import OCSPSigner, OCSPWindow, Presigned
from pki.profiles import OCSP_RESPONDER
from pki.records import RevocationReason
from pki.revocation import RevokedCertificate
from pki.secrets_at_rest import load_private_key
from pki.signer.book import SignerBook
from pki.signer.protocol import OCSPStatus, SignResponses
from pki.signing import certificate_of
from pki.snapshot import give_to_owner

__all__ = ["ResponderKeys", "signed_responses"]

_KEYS_KEPT: Final = 8
"""Of each issuing CA: the newest ones. A responder lives 30 days, and is replaced in its last third or so."""
_MAX_STATUSES: Final = 1_000
_CLOCK_TOLERANCE: Final = datetime.timedelta(minutes=5)
_LONGEST: Final = datetime.timedelta(days=10)
"""A response that is good for longer is an old one in somebody's hands for longer."""
_REASONS: Final = {each.value for each in RevocationReason}


class ResponderKeys:
    """The keys: in files, encrypted as the CA's own key is, so that a restart needs no new certificate; else in memory."""

    def __init__(self, directory: Path | None = None, secrets: Mapping[str, bytes | None] | None = None) -> None:
        """`secrets`: by issuing CA; one that is not in there has its responders' keys in memory only."""
        self._directory = directory
        self._secrets = secrets or {}
        self._known: dict[tuple[str, bytes], PrivateKey] = {}

    def request(self, issuer: Issuer) -> bytes:
        """A request (PKCS#10, DER) with a new key. Raises Refused where the issuer has no responders, OSError."""
        issuer.profile(OCSP_RESPONDER.name)
        issuer.verify_names(OCSP_RESPONDER, issuer.responder_subject, ())
        key = generate_key("rsa-2048" if isinstance(issuer.public_key, rsa.RSAPublicKey) else "ec-p256")
        self._keep(issuer.name, key)
        builder = x509.CertificateSigningRequestBuilder().subject_name(issuer.responder_subject.name())
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def key(self, issuer: str, digest: bytes) -> PrivateKey:
        """The one with this SHA-256 of its SPKI. Raises Refused if it is not here, or its file cannot be used."""
        if (issuer, digest) not in self._known:
            self._known[issuer, digest] = self._read(issuer, digest)
        return self._known[issuer, digest]

    def _read(self, issuer: str, digest: bytes) -> PrivateKey:
        path = self._path(issuer, digest)
        if path is None or not path.exists():
            raise Refused(Reason.RESPONDER_KEY, f"of {issuer}")
        try:
            found = load_private_key(path, self._secrets[issuer])
        except Misconfigured as error:
            raise Refused(Reason.RESPONDER_KEY, str(error)) from None
        if spki_sha256(found.public_key()) != digest:
            raise Refused(Reason.RESPONDER_KEY, f"{path} holds another key than its name says")
        return found

    def _path(self, issuer: str, digest: bytes) -> Path | None:
        if self._directory is None or issuer not in self._secrets:
            return None
        return self._directory / issuer / f"{digest.hex()}.key"

    def _keep(self, issuer: str, key: PrivateKey) -> None:
        digest = spki_sha256(key.public_key())
        path = self._path(issuer, digest)
        if path is not None:
            for place in (path.parent.parent, path.parent):
                if not place.exists():
                    place.mkdir(mode=0o700)
                    _give(place)
            write_key(key, path, self._secrets[issuer])
            _give(path)
            for old in sorted(path.parent.glob("*.key"), key=_written_at)[:-_KEYS_KEPT]:
                old.unlink(missing_ok=True)
        self._known[issuer, digest] = key
        for name in [each for each in self._known if each[0] == issuer][:-_KEYS_KEPT]:
            del self._known[name]


def signed_responses(
    order: SignResponses, issuer: Issuer, book: SignerBook, keys: ResponderKeys, now: datetime.datetime
) -> list[tuple[Presigned, ...]]:
    """The responses, in the order of what is to be said. Raises Refused."""
    if len(order.statuses) > _MAX_STATUSES:
        raise Refused(Reason.OCSP_STATUS, f"more than {_MAX_STATUSES} at once")
    # Step 1.
    signer = _responder(order, issuer, book, keys)
    # Step 2.
    window = OCSPWindow(order.this_update, order.next_update)
    moments = [*window, *(each.revoked_at for each in order.statuses if each.revoked_at is not None)]
    if any(each.tzinfo is None for each in moments):
        raise Refused(Reason.OCSP_STATUS, "a time without a time zone")
    if not now - _LONGEST <= window.this_update <= now + _CLOCK_TOLERANCE:
        raise Refused(Reason.CLOCK, f"it is {now:%Y-%m-%d %H:%M:%S} here, and responses are of {window.this_update}")
    if not window.this_update < window.next_update <= window.this_update + _LONGEST:
        raise Refused(Reason.CLOCK, f"responses from {window.this_update} to {window.next_update}")
    try:
        return [signer.presign(*_verified(status, issuer, book, now), window) for status in order.statuses]
    except ValueError as error:
        raise Refused(Reason.OCSP_STATUS, str(error)) from None


def _responder(order: SignResponses, issuer: Issuer, book: SignerBook, keys: ResponderKeys) -> OCSPSigner:
    serial = _number(order.responder)
    ordered, signature = book.order(serial), book.signature(serial)
    if ordered is None or not signature or ordered.issuer != issuer.name or ordered.profile != OCSP_RESPONDER.name:
        raise Refused(Reason.RESPONDER_KEY, f"{order.responder} is no responder of {issuer.name}")
    certificate = x509.load_der_x509_certificate(certificate_of(ordered.tbs, signature))
    key = keys.key(issuer.name, spki_sha256(certificate_key(certificate)))
    if book.is_revoked(serial):
        raise Refused(Reason.ALREADY_REVOKED, order.responder)
    return OCSPSigner(issuer.certificate, certificate, key)


def _verified(
    status: OCSPStatus, issuer: Issuer, book: SignerBook, now: datetime.datetime
) -> tuple[int, RevokedCertificate | None]:
    """What is to be said, if it may be said. Raises Refused, ValueError."""
    serial = _number(status.serial)
    ordered = book.order(serial)
    if status.revoked_at is None:
        # Steps 3 and 4.
        if ordered is None or not book.signature(serial) or ordered.issuer != issuer.name:
            raise Refused(Reason.OCSP_STATUS, f"{status.serial} was not signed by {issuer.name}")
        if book.is_revoked(serial):
            raise Refused(Reason.OCSP_STATUS, f"{status.serial} is revoked")
        return serial, None
    # Step 5. Also of a number under which nothing was signed in the end: RFC 6960, 2.2.
    if ordered is not None and ordered.issuer != issuer.name:
        raise Refused(Reason.OCSP_STATUS, f"{status.serial} is of {ordered.issuer}")
    if status.reason not in _REASONS or status.revoked_at > now + _CLOCK_TOLERANCE:
        raise Refused(Reason.OCSP_STATUS, f"{status.serial} is revoked for {status.reason!r} at {status.revoked_at}")
    return serial, RevokedCertificate(serial, status.revoked_at, x509.ReasonFlags(status.reason))


def _number(serial: str) -> int:
    try:
        return int(serial, 16)
    except ValueError:
        raise Refused(Reason.OCSP_STATUS, "not a serial number in hex") from None


def _give(path: Path) -> None:
    """What root begins belongs to whom the directory belongs: a signer that is not root goes on with it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        give_to_owner(descriptor, path.parent)
    finally:
        os.close(descriptor)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
