"""OCSP responses signed in advance (RFC 6960, 5019): one for each certificate and kind of CertID, and what to answer with.

The listener that answers holds no key. A nonce is ignored, as a response made in advance cannot contain it (RFC 9654,
2.1); a certificate that is not known here gets `unauthorized`, for the same reason (RFC 5019, 2.2.3).
"""

import base64
import binascii
import datetime
import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from asn1crypto import algos, core
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.der import INTEGER, SEQUENCE, element, generalized_time
from pki.encoded import public_key_bits, subject_name
from pki.keys import PrivateKey, certificate_key
from pki.revocation import REASON_CODES, RevokedCertificate, octets_of_serial
from pki.signatures import algorithm_der, require_own_key, sign
from pki.unreadable import UNREADABLE

__all__ = [
    "HASHES",
    "MAX_REQUEST_BYTES",
    "OCSPAnswer",
    "OCSPResponses",
    "OCSPSigner",
    "OCSPWindow",
    "Presigned",
    "Tail",
    "assembled",
    "request_from_path",
    "response_tail",
]

MAX_REQUEST_BYTES: Final = 2_048
"""A request about one certificate has about 100; one with a nonce and a signature still fits."""

_MAX_NONCE_OCTETS: Final = 128
HASHES: Final = ("sha1", "sha256")
"""Of CertIDs: SHA-1 is what most clients still ask with, SHA-256 what RFC 5019's successor and OCPP want."""
_OCTETS, _EXPLICIT_0, _EXPLICIT_2, _GOOD, _REVOKED = 0x04, 0xA0, 0xA2, b"\x80\x00", 0xA1
_BASIC_RESPONSE: Final = core.ObjectIdentifier("1.3.6.1.5.5.7.48.1.1").dump()
_MALFORMED, _TRY_LATER, _UNAUTHORIZED = (bytes.fromhex(f"30030a01{code}") for code in ("01", "03", "06"))
"""Whole responses without content (RFC 6960, 4.2.1)."""


class OCSPWindow(NamedTuple):
    """From when until when a response may be believed. Both with a time zone."""

    this_update: datetime.datetime
    next_update: datetime.datetime


class Tail(NamedTuple):
    """What follows the signed part of a response and its signature: the same in all of one responder."""

    algorithm: bytes
    certificates: bytes


class Presigned(NamedTuple):
    """A response without what many of them share: 100 000 of them have to be kept in memory."""

    tbs: bytes
    signature: bytes
    window: OCSPWindow
    tail: Tail


class OCSPAnswer(NamedTuple):
    """A response in DER; `window` is None where it says nothing that could be cached."""

    der: bytes
    window: OCSPWindow | None = None


class OCSPSigner:
    """Makes the responses of one issuer with a responder certificate that the issuer has delegated this to."""

    def __init__(self, issuer: x509.Certificate, responder: x509.Certificate, key: PrivateKey) -> None:
        """Raises ValueError unless `responder` is the issuer itself or delegated as RFC 6960, 4.2.2.2 demands."""
        require_own_key(responder, key)
        if responder != issuer:
            _require_delegated(responder, issuer)
        self._key = key
        self._not_after = responder.not_valid_after_utc
        self._responder_id = element(_EXPLICIT_2, element(_OCTETS, hashlib.sha1(public_key_bits(responder)).digest()))  # noqa: S324  byKey is SHA-1
        self._cert_ids = [_cert_id_head(name, issuer) for name in HASHES]
        self._tail = response_tail(issuer, responder)

    def presign(
        self, serial_number: int, revoked: RevokedCertificate | None, window: OCSPWindow
    ) -> tuple[Presigned, ...]:
        """One response for each hash, in the order of `OCSPResponses`. `revoked` is None for a good certificate.

        Raises ValueError if the window outlasts the responder's certificate.
        """
        if window.next_update > self._not_after:
            raise ValueError("the responder's certificate expires before the next update")
        serial = element(INTEGER, octets_of_serial(serial_number))
        start = generalized_time(window.this_update)
        end = element(_EXPLICIT_0, generalized_time(window.next_update))
        after_id = (_GOOD if revoked is None else _revoked(revoked)) + start + end
        found = []
        for head in self._cert_ids:
            single = element(SEQUENCE, element(SEQUENCE, head + serial) + after_id)
            tbs = element(SEQUENCE, self._responder_id + start + element(SEQUENCE, single))
            found.append(Presigned(tbs, sign(self._key, tbs), window, self._tail))
        return tuple(found)


def _require_delegated(responder: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        responder.verify_directly_issued_by(issuer)
        usages = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    except x509.ExtensionNotFound as error:
        raise ValueError(f"not a responder certificate: it has no {error.oid.dotted_string}") from None
    except Exception:  # noqa: BLE001  any way in which a signature can be wrong
        raise ValueError("the responder's certificate was not issued by the issuer it speaks for") from None
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usages:
        raise ValueError("not a responder certificate: its extended key usage is not OCSPSigning")


def _cert_id_head(hash_name: str, issuer: x509.Certificate) -> bytes:
    """A CertID up to its serial number."""
    algorithm = algos.DigestAlgorithm({"algorithm": hash_name, "parameters": core.Null()}).dump()
    hashed = [hashlib.new(hash_name, part).digest() for part in (subject_name(issuer), public_key_bits(issuer))]
    return bytes(algorithm) + b"".join(element(_OCTETS, digest) for digest in hashed)


def _revoked(revoked: RevokedCertificate) -> bytes:
    code = REASON_CODES[revoked.reason]
    reason = element(_EXPLICIT_0, bytes((0x0A, 1, code))) if code else b""
    return element(_REVOKED, generalized_time(revoked.revoked_at) + reason)


def response_tail(issuer: x509.Certificate, responder: x509.Certificate) -> Tail:
    """Of the responses of this responder: its certificate is in there, unless it is the issuer's own."""
    der = b"" if responder == issuer else responder.public_bytes(Encoding.DER)
    return Tail(algorithm_der(certificate_key(responder)), element(_EXPLICIT_0, element(SEQUENCE, der)) if der else b"")


class OCSPResponses:
    """Prepared responses of one issuer, and the answer to a request. Holds no key and makes no signature."""

    def __init__(self, issuer: x509.Certificate, presigned: Mapping[int, tuple[Presigned, ...]]) -> None:
        """`presigned`: what `OCSPSigner.presign` has made, by serial number; it may grow and change meanwhile."""
        self._presigned = presigned
        self._known = {
            name: (
                hashlib.new(name, subject_name(issuer)).digest(),
                hashlib.new(name, public_key_bits(issuer)).digest(),
                index,
            )
            for index, name in enumerate(HASHES)
        }

    def answer(self, request: bytes, now: datetime.datetime) -> OCSPAnswer:
        """The response to a request in DER. Never raises: what cannot be answered has a response of its own."""
        try:
            asked = ocsp.load_der_ocsp_request(request)
            _verify_extensions(asked.extensions)
            name, serial = asked.hash_algorithm.name, asked.serial_number
            hashes = asked.issuer_name_hash, asked.issuer_key_hash
        except (NotImplementedError, UnsupportedAlgorithm):
            return OCSPAnswer(_UNAUTHORIZED)  # several certificates at once, or a CertID with another hash
        except UNREADABLE:
            return OCSPAnswer(_MALFORMED)
        known = self._known.get(name)
        found = self._presigned.get(serial)
        if known is None or hashes != known[:2] or found is None:
            return OCSPAnswer(_UNAUTHORIZED)
        response = found[known[2]]
        if now > response.window.next_update:
            return OCSPAnswer(_TRY_LATER)
        return OCSPAnswer(assembled(response), response.window)


def _verify_extensions(extensions: x509.Extensions) -> None:
    """Raises ValueError for a nonce of impossible length (RFC 9654, 2.1) or a critical extension that is not known."""
    for extension in extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            if not 0 < len(extension.value.nonce) <= _MAX_NONCE_OCTETS:
                raise ValueError("a nonce has 1 to 128 octets")
        elif extension.critical:
            raise ValueError("an unknown critical extension")


def assembled(response: Presigned) -> bytes:
    """The whole response, DER."""
    tail, signature = response.tail, element(0x03, b"\x00" + response.signature)
    basic = element(SEQUENCE, response.tbs + tail.algorithm + signature + tail.certificates)
    content = element(SEQUENCE, _BASIC_RESPONSE + element(_OCTETS, basic))
    return element(SEQUENCE, b"\x0a\x01\x00" + element(_EXPLICIT_0, content))


def request_from_path(text: str) -> bytes:
    """The request in the last part of a GET's path, percent-decoded (RFC 6960, A.1). Raises ValueError."""
    if len(text) > MAX_REQUEST_BYTES * 4 // 3:
        raise ValueError("too long")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
