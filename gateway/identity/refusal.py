"""Why somebody did not get in: one closed list, with the security event and the words for people.

    Refusal (exception)            raised by the stages accept .. admit and by the CSMS dial
      .reason: Reason              a row of the table below
      .detail: str                 for the audit record only; never sent to the peer

What the peer sees (HTTP status, fixed phrase, alert, close code) is decided in `gateway.edge.refusals`, nowhere else.
"""

from enum import Enum
from typing import NamedTuple

from gateway.audit.event import Severity

__all__ = ["Reason", "Refusal", "Stage"]


class Stage(Enum):
    """Stages of the data path in order."""

    ACCEPT = "accept"
    TLS = "tls"
    UPGRADE = "upgrade"
    IDENTIFY = "identify"
    AUTHENTICATE = "authenticate"
    ADMIT = "admit"
    CSMS = "csms"


class _Row(NamedTuple):
    """One reason. `code` makes rows distinct and is what logs, JSON output and `why` show."""

    code: str
    stage: Stage
    event: str
    severity: Severity
    meaning: str
    remedy: str


_A, _T, _U, _I, _N, _D, _C = (
    Stage.ACCEPT,
    Stage.TLS,
    Stage.UPGRADE,
    Stage.IDENTIFY,
    Stage.AUTHENTICATE,
    Stage.ADMIT,
    Stage.CSMS,
)


class Reason(Enum):
    """Every way to be refused before the relay starts."""

    # fmt: off

    # accept
    SOURCE_NOT_ALLOWED = _Row(
        "source-not-allowed", _A, "net.source_not_allowed", "medium",
        "The connection came from an address outside the listener's allowed_networks.",
        "Add the network to the listener's allowed_networks, or send the charge point to a TLS listener.")
    TOO_MANY_CONNECTIONS = _Row(
        "too-many-connections", _A, "net.connection_limit", "medium",
        "The address has too many connections in handshake, or the gateway as a whole has.",
        "Wait, or raise limits.handshakes_per_address or limits.max_handshakes.")
    CONNECT_RATE = _Row(
        "connect-rate", _A, "net.connect_rate", "medium",
        "The address opens connections faster than limits.connects_per_address_per_minute.",
        "Find out what reconnects in a loop; raise the limit if many charge points share one address.")
    PROXY_PROTOCOL_INVALID = _Row(
        "proxy-protocol-invalid", _A, "net.proxy_protocol", "high",
        "The listener expects a PROXY protocol header from this source and got none, or a damaged one.",
        "Switch PROXY protocol on at the load balancer, or correct the listener's proxy_protocol_from.")
    HANDSHAKE_TIMEOUT = _Row(
        "handshake-timeout", _A, "net.handshake_timeout", "low",
        "TLS and the HTTP upgrade were not finished in time.",
        "Check the link quality; raise limits.handshake_timeout_s for slow modems.")
    PEER_WENT_AWAY = _Row(
        "peer-went-away", _A, "net.reset", "info",
        "The peer closed or reset the connection before it was admitted.",
        "Nothing, unless it repeats: then look at the charge point's own log.")
    # TLS
    TLS_ON_PLAIN = _Row(
        "tls-on-plain-listener", _T, "tls.on_plain_listener", "medium",
        "A TLS handshake arrived on a plain listener.",
        "Point the charge point (wss://) at a TLS listener.")
    PLAIN_ON_TLS = _Row(
        "plain-on-tls-listener", _T, "tls.plaintext", "high",
        "Plain HTTP arrived on a TLS listener.",
        "Configure wss:// instead of ws:// in the charge point.")
    NOT_TLS = _Row(
        "not-tls", _T, "tls.malformed", "medium",
        "The first bytes are neither TLS nor HTTP, or a TLS record was damaged.",
        "Usually a port scan. If it is a charge point, capture the traffic.")
    TLS_VERSION = _Row(
        "tls-version", _T, "tls.downgrade", "high",
        "The peer offers only TLS versions below 1.2 (A00.FR.313-315).",
        "Update the charge point's firmware, or give it a quarantine listener with cipher_policy legacy-quarantine.")
    TLS_CIPHER = _Row(
        "tls-cipher", _T, "tls.downgrade", "high",
        "The peer offers no cipher suite that the listener accepts (A00.FR.321-323).",
        "Update the charge point, or look whether the listener has both an RSA and an ECDSA certificate.")
    TLS_RENEGOTIATION = _Row(
        "tls-renegotiation", _T, "tls.renegotiation", "high",
        "The peer tried to renegotiate an established TLS connection.",
        "No charge point needs this; treat the source as hostile.")
    TLS_PROTOCOL = _Row(
        "tls-protocol", _T, "tls.malformed", "medium",
        "The TLS handshake broke a protocol rule.",
        "Compare the detail of the event with the charge point's TLS log.")
    TLS_PEER_ALERT = _Row(
        "tls-peer-alert", _T, "tls.peer_alert", "medium",
        "The peer ended the handshake with an alert of its own, most often because it does not trust our certificate.",
        "Install the root of the listener's certificate in the charge point; the detail names the alert.")
    CERT_MISSING = _Row(
        "certificate-missing", _T, "cert.missing", "high",
        "The listener demands a client certificate and none was presented.",
        "Enrol the charge point, or send it to a listener for its security profile.")
    CERT_UNTRUSTED = _Row(
        "certificate-untrusted", _T, "cert.untrusted", "critical",
        "The client certificate does not chain to a trusted root.",
        "Add the issuing root to the listener's client_trust if it is yours; otherwise treat it as an attack.")
    CERT_EXPIRED = _Row(
        "certificate-expired", _T, "cert.expired", "high",
        "The client certificate, or one of its issuers, has expired.",
        "Renew the certificate on the charge point.")
    CERT_NOT_YET_VALID = _Row(
        "certificate-not-yet-valid", _T, "cert.not_yet_valid", "medium",
        "The client certificate is not valid yet.",
        "Check the gateway's clock and the notBefore of the certificate.")
    CERT_REVOKED = _Row(
        "certificate-revoked", _N, "cert.revoked", "critical",
        "The client certificate has been revoked.",
        "Issue a new certificate if the charge point is genuine.")
    CERT_STATUS_UNKNOWN = _Row(
        "certificate-status-unknown", _N, "cert.status_unknown", "high",
        "Its issuer has not said lately whether the client certificate is revoked, and the trust bundle demands it.",
        "See why the bundle's revocation list or OCSP responder gives nothing current: ocpp-gateway status. "
        'To let such certificates in meanwhile, set the bundle to revocation = "soft".')
    CERT_INVALID = _Row(
        "certificate-invalid", _T, "cert.invalid", "high",
        "The client certificate breaks a rule: purpose, CA flag, path length, signature or key.",
        "Look at the detail; issue a certificate with the ChargePointCertificate profile.")
    # upgrade
    HTTP_MALFORMED = _Row(
        "http-malformed", _U, "http.malformed", "high",
        "The HTTP request breaks the grammar of RFC 9112.",
        "A genuine charge point does not do this; look at the detail.")
    HTTP_AMBIGUOUS = _Row(
        "http-ambiguous", _U, "http.ambiguous", "high",
        "The request can be read in two ways (repeated or contradicting headers).",
        "A genuine charge point does not do this; look at the detail.")
    HTTP_LIMIT = _Row(
        "http-limit", _U, "http.limit", "medium",
        "The request head is too large or has too many headers.",
        "Look at what fills the headers.")
    HTTP_URI_TOO_LONG = _Row(
        "http-uri-too-long", _U, "http.limit", "medium",
        "The request line is too long.",
        "Shorten the URL configured in the charge point.")
    HTTP_METHOD = _Row(
        "http-method", _U, "http.method", "low",
        "The request is not a GET.",
        "Usually a scanner.")
    HTTP_NOT_WEBSOCKET = _Row(
        "http-not-websocket", _U, "http.not_websocket", "low",
        "The request does not ask for a WebSocket.",
        "Usually a browser, a scanner or a health check: point health checks at the operations listener. "
        "For a charge point that leaves out Connection: Upgrade, grant the tolerance missing-connection-upgrade.")
    HTTP_WEBSOCKET_VERSION = _Row(
        "http-websocket-version", _U, "http.websocket_version", "medium",
        "The request asks for a WebSocket version other than 13.",
        "Update the charge point.")
    HTTP_SMUGGLING = _Row(
        "http-smuggling", _U, "http.smuggling", "critical",
        "A second request was hidden behind a refused one.",
        "Treat the source as hostile.")
    HTTP_ORIGIN = _Row(
        "http-origin", _U, "http.origin", "high",
        "The request carries a browser's Origin header that is not listed.",
        "Charge points send no Origin; list it in allowed_origins only if you know why it is there.")
    SNI_HOST_MISMATCH = _Row(
        "sni-host-mismatch", _U, "tls.sni_host_mismatch", "high",
        "The TLS server name and the Host header name different hosts.",
        "Correct the charge point's URL.")
    # identify
    IDENTITY_INVALID = _Row(
        "identity-invalid", _I, "identity.invalid", "high",
        "The identity in the URL contains control characters or is not valid UTF-8.",
        "Correct the identity in the charge point.")
    IDENTITY_CONFUSION = _Row(
        "identity-confusion", _I, "identity.confusion", "high",
        "The URL could be read as more than one identity (double encoding, extra slashes, query, non-ASCII look-alikes).",
        "Use the plain URL <endpoint>/<identity>; for a trailing slash grant the tolerance trailing-slash.")
    IDENTITY_TOO_LONG = _Row(
        "identity-too-long", _I, "http.limit", "medium",
        "The identity is longer than allowed (48 characters by default).",
        "Shorten it, or raise limits.max_identity_chars for 1.6 charge points.")
    PATH_UNKNOWN = _Row(
        "path-unknown", _I, "http.path_unknown", "low",
        "The path does not start with the listener's path_prefix.",
        "Correct the URL in the charge point, or the path_prefix of the listener.")
    SUBPROTOCOL = _Row(
        "subprotocol", _I, "http.subprotocol", "medium",
        "The charge point offers no OCPP version that the registry allows and the CSMS speaks (TC_088, TC_B_58).",
        "Compare ocpp_versions of the charge point with what it offers; for one that offers none grant missing-subprotocol.")
    TOLERANCE_NOT_GRANTED = _Row(
        "tolerance-not-granted", _I, "http.not_tolerated", "medium",
        "The request has a known flaw that is tolerated only where the registry says so.",
        "Grant the tolerance named in the detail to this charge point, or update its firmware.")
    # authenticate
    AUTH_MISSING = _Row(
        "auth-missing", _N, "auth.missing", "critical",
        "No Basic credentials were sent (A00.FR.202).",
        "Set the password (AuthorizationKey, BasicAuthPassword) in the charge point.")
    AUTH_MALFORMED = _Row(
        "auth-malformed", _N, "auth.malformed", "medium",
        "The Authorization header is not valid Basic authentication.",
        "Check the password configured in the charge point; it must not be empty.")
    IDENTITY_MISMATCH = _Row(
        "identity-mismatch", _N, "identity.mismatch", "critical",
        "The user name of the Basic credentials is not the identity in the URL (A00.FR.204).",
        "Set the user name to the identity, or grant the tolerance username-differs to this charge point.")
    IDENTITY_UNKNOWN = _Row(
        "identity-unknown", _N, "identity.unknown", "high",
        "No charge point of this name is registered.",
        "Register it: ocpp-gateway charge-point add ID --security-profile N.")
    PASSWORD_WRONG = _Row(
        "password-wrong", _N, "auth.failed", "high",
        "The password is wrong.",
        "Set the charge point's password again: ocpp-gateway charge-point set ID --new-password.")
    GUESSING = _Row(
        "guessing", _N, "auth.enumeration", "high",
        "Too many failed attempts from this address; further guesses are not even checked.",
        "A charge point that proves itself is never affected. Otherwise wait for the time shown, or look who guesses.")
    CERT_WRONG_IDENTITY = _Row(
        "certificate-of-another-charge-point", _N, "identity.mismatch", "critical",
        "The certificate's CN is not the serial number registered for this identity (A00.FR.405).",
        "Correct the serial number in the registry, or find out why another charge point's certificate is used.")
    CERT_WRONG_OPERATOR = _Row(
        "certificate-of-another-operator", _N, "cert.wrong_operator", "critical",
        "The certificate's O is not one of the operator names registered for this charge point (A00.FR.404).",
        "Add the operator name to the charge point or the group if it is right.")
    CERT_WEAK = _Row(
        "certificate-weak", _N, "cert.weak", "high",
        "The certificate's key or signature algorithm is too weak (A00.FR.501-504).",
        "Issue a certificate with EC P-256 or RSA 2048 and SHA-256, or better.")
    CERT_NOT_LEAF = _Row(
        "certificate-not-for-charge-points", _N, "cert.invalid", "high",
        "The certificate is a CA certificate or not meant for client authentication.",
        "Issue a certificate with the ChargePointCertificate profile.")
    CERT_KEY_SHARED = _Row(
        "certificate-key-shared", _N, "cert.key_shared", "critical",
        "The certificate's key already belongs to another charge point (A00.FR.427).",
        "Generate a key per charge point; cloned firmware keys must be replaced.")
    # admit
    DISABLED = _Row(
        "disabled", _D, "identity.disabled", "medium",
        "The charge point is disabled in the registry.",
        "ocpp-gateway charge-point enable ID.")
    PROFILE_MISMATCH = _Row(
        "security-profile-mismatch", _D, "profile.mismatch", "high",
        "The charge point used another security profile than the registry requires (A00.FR.002).",
        "Reconfigure the charge point, or change its security profile in the registry.")
    PROFILE_BELOW_FLOOR = _Row(
        "security-profile-below-floor", _D, "profile.downgrade", "critical",
        "The charge point has already used a higher security profile and may never go back (A05.FR.09).",
        "If this is wanted (replacement hardware): ocpp-gateway charge-point set ID --lower-floor N --reason TEXT.")
    PROFILE_NOT_ON_LISTENER = _Row(
        "security-profile-not-on-listener", _D, "profile.mismatch", "high",
        "The listener does not serve the security profile that was used.",
        "Send the charge point to the right port, or add the profile to the listener.")
    DUPLICATE = _Row(
        "duplicate", _D, "identity.duplicate", "critical",
        "The charge point is already connected and the old connection is alive.",
        "If there is only one such charge point, its credentials are in somebody else's hands.")
    FLAPPING = _Row(
        "flapping", _D, "identity.flapping", "medium",
        "The charge point reconnects too often.",
        "Look at the modem and the CSMS; raise limits.reconnects_per_hour if this is normal there.")
    CONTROL_DOWN = _Row(
        "control-down", _D, "gateway.control_down", "high",
        "The control process does not answer, so nothing is admitted.",
        "It restarts by itself within seconds; otherwise see the gateway's log.")
    DRAINING = _Row(
        "draining", _D, "gateway.draining", "info",
        "The gateway is shutting down.",
        "Nothing; the charge point comes back by itself.")
    # CSMS
    CSMS_UNREACHABLE = _Row(
        "csms-unreachable", _C, "upstream.unreachable", "high",
        "The CSMS does not accept connections.",
        "Check the CSMS and the urls in the configuration.")
    CSMS_REFUSED = _Row(
        "csms-refused", _C, "upstream.refused", "high",
        "The CSMS answered the WebSocket upgrade with an HTTP error.",
        "Check that the CSMS knows this identity and the gateway's own credentials.")
    CSMS_HANDSHAKE_INVALID = _Row(
        "csms-handshake-invalid", _C, "upstream.handshake_invalid", "critical",
        "The CSMS answered the WebSocket upgrade wrongly (status, Sec-WebSocket-Accept, subprotocol).",
        "Check what answers at the CSMS's address.")
    CSMS_TLS = _Row(
        "csms-tls", _C, "upstream.tls", "critical",
        "The TLS connection to the CSMS could not be verified.",
        "Check ca, hostname and client certificate of the CSMS in the configuration.")

    @property
    def code(self) -> str:
        """Stable machine-readable name, e.g. ``password-wrong``."""
        return self.value.code

    @property
    def stage(self) -> Stage:
        """The stage that refuses for this reason."""
        return self.value.stage

    @property
    def event(self) -> str:
        """Name of the security event."""
        return self.value.event

    @property
    def severity(self) -> Severity:
        """Severity of the security event."""
        return self.value.severity

    @property
    def meaning(self) -> str:
        """One sentence for people."""
        return self.value.meaning

    @property
    def remedy(self) -> str:
        """What an operator can do about it."""
        return self.value.remedy

    @property
    def ocpp_event(self) -> str:
        """OCPP's own name for the same security event (requirements, 2.10), as 2.x spells it; empty if it has none."""
        return _OCPP_EVENTS.get(self, "")

    @classmethod
    def from_code(cls, code: str) -> "Reason":
        """The reason with this code. Raises KeyError."""
        return _BY_CODE[code]


_BY_CODE = {reason.value.code: reason for reason in Reason}
_OCPP_EVENTS = {
    Reason.TLS_VERSION: "InvalidTLSVersion",
    Reason.TLS_CIPHER: "InvalidTLSCipherSuite",
    **dict.fromkeys(
        (
            Reason.CERT_UNTRUSTED,
            Reason.CERT_EXPIRED,
            Reason.CERT_NOT_YET_VALID,
            Reason.CERT_REVOKED,
            Reason.CERT_STATUS_UNKNOWN,
            Reason.CERT_INVALID,
            Reason.CERT_WRONG_IDENTITY,
            Reason.CERT_WRONG_OPERATOR,
            Reason.CERT_WEAK,
            Reason.CERT_NOT_LEAF,
            Reason.CERT_KEY_SHARED,
        ),
        "InvalidChargingStationCertificate",
    ),
}
"""A00.FR.408, 417, 425. 1.6 has no name for the last one; the CSMS side may record it under that of 2.x."""


class Refusal(Exception):  # noqa: N818  a refusal is an outcome, not an error of the program
    """Entry was refused. `detail` is for our records and never goes to the peer."""

    def __init__(self, reason: Reason, detail: str = "", *, retry_after_s: int = 0) -> None:
        super().__init__(reason.code)
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s
