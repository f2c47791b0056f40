"""The one map from refusals to the wire: HTTP status and fixed phrase. Peers never learn more than this.

A TLS-stage reason has no HTTP answer: its alert is OpenSSL's, or `tls_refusal`'s where OpenSSL never saw a byte, or
silence is the answer.
"""

from typing import Final, NamedTuple

from gateway.config.model import Listener
from gateway.identity.evidence import TLSFacts
from gateway.identity.refusal import Reason
from gateway.ocpp.vocabulary import SecurityProfile
from gateway.websocket.handshake import build_refused

__all__ = ["CLOSE_CODES", "Asker", "asker_of", "http_refusal", "status_of", "tls_refusal"]


class _Answer(NamedTuple):
    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...] = ()


_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="OCPP", charset="UTF-8"')
_BAD_REQUEST = _Answer(400, "Bad Request")
_UNAUTHORIZED = _Answer(401, "Unauthorized", (_CHALLENGE,))
_FORBIDDEN = _Answer(403, "Forbidden")
_NOT_FOUND = _Answer(404, "Not Found")
_TOO_MANY = _Answer(429, "Too Many Requests")
_BAD_GATEWAY = _Answer(502, "Bad Gateway")
_UNAVAILABLE = _Answer(503, "Service Unavailable", (("Retry-After", "5"),))
_UPGRADE = _Answer(426, "Upgrade Required", (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")))
_HEAD_TOO_LARGE = _Answer(431, "Request Header Fields Too Large")

_ANSWERS: Final[dict[Reason, _Answer]] = {
    Reason.SOURCE_NOT_ALLOWED: _FORBIDDEN,
    Reason.HTTP_MALFORMED: _BAD_REQUEST,
    Reason.HTTP_AMBIGUOUS: _BAD_REQUEST,
    Reason.HTTP_LIMIT: _HEAD_TOO_LARGE,
    Reason.HTTP_URI_TOO_LONG: _Answer(414, "URI Too Long"),
    Reason.HTTP_METHOD: _Answer(405, "Method Not Allowed", (("Allow", "GET"),)),
    Reason.HTTP_NOT_WEBSOCKET: _UPGRADE,
    Reason.HTTP_WEBSOCKET_VERSION: _UPGRADE,
    Reason.HTTP_ORIGIN: _FORBIDDEN,
    Reason.SNI_HOST_MISMATCH: _Answer(421, "Misdirected Request"),
    Reason.IDENTITY_INVALID: _BAD_REQUEST,
    Reason.IDENTITY_CONFUSION: _BAD_REQUEST,
    Reason.IDENTITY_TOO_LONG: _BAD_REQUEST,
    Reason.PATH_UNKNOWN: _NOT_FOUND,
    Reason.SUBPROTOCOL: _BAD_REQUEST,
    Reason.TOLERANCE_NOT_GRANTED: _BAD_REQUEST,
    Reason.AUTH_MISSING: _UNAUTHORIZED,
    Reason.AUTH_MALFORMED: _UNAUTHORIZED,
    Reason.IDENTITY_MISMATCH: _UNAUTHORIZED,
    Reason.IDENTITY_UNKNOWN: _UNAUTHORIZED,
    Reason.PASSWORD_WRONG: _UNAUTHORIZED,
    Reason.GUESSING: _TOO_MANY,
    Reason.CERT_WRONG_IDENTITY: _FORBIDDEN,
    Reason.CERT_WRONG_OPERATOR: _FORBIDDEN,
    Reason.CERT_WEAK: _FORBIDDEN,
    Reason.CERT_NOT_LEAF: _FORBIDDEN,
    Reason.CERT_KEY_SHARED: _FORBIDDEN,
    Reason.CERT_REVOKED: _FORBIDDEN,
    Reason.CERT_STATUS_UNKNOWN: _FORBIDDEN,
    Reason.CERT_UNTRUSTED: _FORBIDDEN,
    Reason.CERT_EXPIRED: _FORBIDDEN,
    Reason.CERT_NOT_YET_VALID: _FORBIDDEN,
    Reason.CERT_INVALID: _FORBIDDEN,
    Reason.DISABLED: _FORBIDDEN,
    Reason.PROFILE_MISMATCH: _FORBIDDEN,
    Reason.PROFILE_BELOW_FLOOR: _FORBIDDEN,
    Reason.PROFILE_NOT_ON_LISTENER: _FORBIDDEN,
    Reason.DUPLICATE: _Answer(409, "Conflict"),
    Reason.FLAPPING: _TOO_MANY,
    Reason.CONTROL_DOWN: _UNAVAILABLE,
    Reason.DRAINING: _UNAVAILABLE,
    Reason.CSMS_UNREACHABLE: _UNAVAILABLE,
    Reason.CSMS_REFUSED: _BAD_GATEWAY,
    Reason.CSMS_HANDSHAKE_INVALID: _BAD_GATEWAY,
    Reason.CSMS_TLS: _BAD_GATEWAY,
}

_KNOWN_ONLY = frozenset(
    {Reason.PROFILE_MISMATCH, Reason.PROFILE_BELOW_FLOOR, Reason.PROFILE_NOT_ON_LISTENER, Reason.DISABLED}
)
"""Reasons that would tell a stranger that the identity exists."""
_ASK_FOR_PASSWORD = frozenset({Reason.AUTH_MISSING, Reason.IDENTITY_MISMATCH, Reason.PASSWORD_WRONG})

_ALERTS: Final = {Reason.TLS_ON_PLAIN: 40, Reason.TLS_VERSION: 70}
"""handshake_failure, protocol_version (RFC 8446, 6.2)."""

CLOSE_CODES: Final = {
    "csms-lost": 1012,
    "csms-violation": 1011,
    "charge-point-lost": 1001,
    "revoked": 1008,
    "unrecorded": 1013,
    "draining": 1001,
    "slow": 1008,
    "silent": 1001,
}
"""WebSocket close codes for what ends a live session, by cause."""


class Asker(NamedTuple):
    """Who is refused, and where: what the answer may depend on beside the reason."""

    proven: bool = False
    """The peer had proven its identity before it was refused; only then may the answer depend on what the registry
    says of it."""
    has_certificate: bool = False
    """TLS has accepted a client certificate."""
    takes_password: bool = True
    """The listener serves security profile 1 or 2."""
    unknown_identity_status: int = 401


_STRANGER: Final = Asker()


def asker_of(listener: Listener, tls: TLSFacts | None, *, proven: bool) -> Asker:
    """Who asks on this listener, over that TLS connection."""
    return Asker(
        proven=proven,
        has_certificate=tls is not None and bool(tls.leaf_der),
        takes_password=min(listener.security_profiles) < SecurityProfile.TLS_CLIENT_CERTIFICATE,
        unknown_identity_status=listener.unknown_identity_status,
    )


def _answer(reason: Reason, asker: Asker) -> _Answer | None:
    """The same for an unknown identity as for a certificate or a password that is not that of a known one.

    Only where a certificate is shown and a password would do as well, a 401 tells who is to send one: it asks for it.
    """
    if asker.proven:
        return _ANSWERS.get(reason)
    if reason is Reason.IDENTITY_UNKNOWN:
        if asker.unknown_identity_status == _NOT_FOUND.status:
            return _NOT_FOUND
        return _FORBIDDEN if asker.has_certificate else _UNAUTHORIZED
    if reason in _KNOWN_ONLY or reason in _ASK_FOR_PASSWORD:
        return _FORBIDDEN if asker.has_certificate and not asker.takes_password else _UNAUTHORIZED
    return _ANSWERS.get(reason)


def status_of(reason: Reason, asker: Asker = _STRANGER) -> int:
    """HTTP status for a refusal, 0 where nothing is sent."""
    answer = _answer(reason, asker)
    return answer.status if answer else 0


def tls_refusal(reason: Reason) -> bytes:
    """A fatal alert for a handshake that never reaches OpenSSL, empty where silence is the answer."""
    alert = _ALERTS.get(reason)
    return bytes((0x15, 3, 1, 0, 2, 2, alert)) if alert is not None else b""


def http_refusal(reason: Reason, asker: Asker = _STRANGER, *, retry_after_s: int = 0) -> bytes:
    """The complete HTTP answer for a refusal, empty where nothing is sent."""
    answer = _answer(reason, asker)
    if answer is None:
        return b""
    headers = answer.headers
    if retry_after_s and answer.status in {429, 503}:
        headers = (("Retry-After", str(retry_after_s)),)
    return build_refused(answer.status, answer.phrase, headers)
