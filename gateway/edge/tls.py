"""TLS as a layer without I/O: bytes in, bytes out, failures as reasons. What OpenSSL says is understood here, once.

An engine (`tls_pyopenssl`, `tls_stdlib`) implements `TLSConnection`; the leg that owns the TCP transport moves the
bytes. That is why every failed handshake sends its alert and becomes one event with its reason: asyncio's own TLS
does neither (docs/decisions/0003).
"""

from typing import Final, Protocol

from gateway.identity.evidence import TLSFacts
from gateway.identity.refusal import Reason

__all__ = [
    "NO_CHECK_TIME",
    "POLICY_CHECK",
    "TLSConnection",
    "TLSContext",
    "TLSFailure",
    "first_bytes_refusal",
    "reason_for_openssl",
    "reason_for_verify",
]

NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: everything else of the chain is verified; times are then our own leaf policy's business."""

POLICY_CHECK: Final = 0x80
"""X509_V_FLAG_POLICY_CHECK: a chain that demands an explicit policy (RFC 5280, 4.2.1.11) is not taken for one that does not.

OpenSSL ignores such demands otherwise. As neither engine lets us name policies, it refuses every chain with that demand.
"""

_HANDSHAKE_RECORD = 0x16
_TLS_MAJOR = 3
_UNTRUSTED = frozenset({2, 18, 19, 20, 21, 27, 28, 33})
_EXPIRED, _NOT_YET_VALID, _REVOKED = 10, 9, 23
_WEAK = frozenset({66, 67, 68})

_BY_TEXT = (
    ("unexpected eof", Reason.PEER_WENT_AWAY),
    ("end of stream", Reason.PEER_WENT_AWAY),
    ("http request", Reason.PLAIN_ON_TLS),
    ("https proxy request", Reason.PLAIN_ON_TLS),
    ("peer did not return a certificate", Reason.CERT_MISSING),
    ("alert", Reason.TLS_PEER_ALERT),
    ("unsupported protocol", Reason.TLS_VERSION),
    ("unknown protocol", Reason.TLS_VERSION),
    ("version too low", Reason.TLS_VERSION),
    ("inappropriate fallback", Reason.TLS_VERSION),
    ("no shared cipher", Reason.TLS_CIPHER),
    ("no suitable", Reason.TLS_CIPHER),
    ("no ciphers", Reason.TLS_CIPHER),
    ("no shared signature", Reason.TLS_CIPHER),
    ("renegotiation", Reason.TLS_RENEGOTIATION),
    ("ee key too small", Reason.CERT_WEAK),
    ("key too small", Reason.CERT_WEAK),
)


class TLSFailure(Exception):  # noqa: N818  an outcome of the peer's behaviour
    """The TLS connection is over. `detail` is OpenSSL's own wording, for our records."""

    certificate_sha256 = ""
    """Fingerprint of the certificate that chain verification refused, where the engine can tell it."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.code)
        self.reason = reason
        self.detail = detail


class TLSConnection(Protocol):
    """One TLS connection, server side, fed by its owner."""

    __slots__ = ()

    closed: bool
    """True once the peer sent close_notify."""
    knows_renegotiation: bool
    """True in TLS 1.2 and below: output that appears while nothing is sent is then the refusal of a renegotiation.

    TLS 1.3 has nothing to say unasked: OpenSSL keeps its answer to a KeyUpdate for its next record (RFC 8446, 4.6.3).
    """

    def handshake(self, data: bytes) -> bool:
        """Take bytes from the peer; True once the handshake is complete. Raises TLSFailure."""

    def output(self) -> bytes:
        """Bytes for the peer: handshake flights, tickets, alerts. Empty when there are none."""

    def facts(self) -> TLSFacts:
        """What was negotiated. Once, after the handshake, when its last `output` has been taken."""

    def decrypt(self, data: bytes) -> bytes:
        """Plain bytes out of `data` (and what was held back before), possibly none. Raises TLSFailure."""

    def encrypt(self, data: bytes) -> bytes:
        """Records that carry `data`. Raises TLSFailure if the connection is broken."""

    def shutdown(self) -> bytes:
        """close_notify, ready to write."""


class TLSContext(Protocol):
    """Everything connections of one listener and one trust generation share."""

    def accept(self) -> TLSConnection:
        """A fresh server-side connection."""


def first_bytes_refusal(data: bytes, *, tls_expected: bool) -> Reason | None:
    """Judge the very first bytes of a connection, or None if they fit the listener.

    A TLS record starts with 22, major version 3 (RFC 8446, 5.1); an HTTP request with a letter.
    """
    first = data[0]
    looks_tls = first == _HANDSHAKE_RECORD and (len(data) == 1 or data[1] == _TLS_MAJOR)
    if not tls_expected:
        return Reason.TLS_ON_PLAIN if looks_tls else None
    if looks_tls:
        return None
    if 0x41 <= first <= 0x5A or 0x61 <= first <= 0x7A:  # noqa: PLR2004  ASCII letters: a method
        return Reason.PLAIN_ON_TLS
    if first & 0x80 and len(data) > 2 and data[2] == 1:  # noqa: PLR2004  SSLv2 ClientHello: length, type 1
        return Reason.TLS_VERSION
    return Reason.NOT_TLS


def reason_for_verify(code: int) -> Reason:
    """The reason for an X509_V_ERR code of chain verification (RFC 5280, 6; A00.FR.403)."""
    if code == _EXPIRED:
        return Reason.CERT_EXPIRED
    if code == _NOT_YET_VALID:
        return Reason.CERT_NOT_YET_VALID
    if code == _REVOKED:
        return Reason.CERT_REVOKED
    if code in _WEAK:
        return Reason.CERT_WEAK
    return Reason.CERT_UNTRUSTED if code in _UNTRUSTED else Reason.CERT_INVALID


def reason_for_openssl(text: str, verify_code: int) -> TLSFailure:
    """The failure for an OpenSSL reason text; `verify_code` is 0 unless chain verification failed."""
    lowered = text.lower().replace("_", " ")
    if "certificate verify failed" in lowered and verify_code:
        return TLSFailure(reason_for_verify(verify_code), f"{text} ({verify_code})")
    for part, reason in _BY_TEXT:
        if part in lowered:
            return TLSFailure(reason, text)
    return TLSFailure(Reason.TLS_PROTOCOL, text)
