"""The configuration as frozen values. `gateway.config.load` makes them from TOML and cross-checks them.

Every field has its unit in its name and its default here, once; the template that `init` writes and the reference in
docs/configuration.md are made from these docstrings. Secrets are never in the file: it names files that hold them.
"""

from typing import Literal

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile

__all__ = [
    "CSMS",
    "CertificateFiles",
    "CipherPolicy",
    "Config",
    "Limits",
    "Listener",
    "ListenerTLS",
    "Operations",
    "SecurityEvents",
    "WebSocketSettings",
]

CipherPolicy = Literal["ocpp-cert", "modern", "legacy-quarantine"]
ClientCertificate = Literal["none", "optional", "required"]
CSMSAuthentication = Literal["none", "basic", "pass-through", "mtls"]


class CertificateFiles(msgspec.Struct, frozen=True, kw_only=True):
    """One server certificate: PEM chain (leaf first, no root) and its key."""

    certificate: str
    key: str


class ListenerTLS(msgspec.Struct, frozen=True, kw_only=True):
    """TLS of a listener."""

    certificates: tuple[CertificateFiles, ...]
    """Give an RSA and an ECDSA certificate: charge points may support only one of them (A00.FR.318/421)."""
    client_certificate: ClientCertificate = "none"
    """``required`` for profile 3 alone, ``optional`` for profiles 2 and 3 on one port."""
    client_trust: tuple[str, ...] = ()
    """PEM files with the roots (and, if wanted, intermediates) that may issue charge point certificates."""
    cipher_policy: CipherPolicy = "ocpp-cert"
    engine: Literal["pyopenssl", "stdlib"] = "pyopenssl"
    strict_x509: bool = True
    """X509_STRICT in chain verification; switch off only for vendors with extension-less certificates."""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One address that charge points connect to."""

    name: str
    address: str
    """``host:port``; IPv6 as ``[::]:8443``."""
    security_profiles: tuple[SecurityProfile, ...]
    csms: str
    path_prefix: str = "/"
    """The identity is the one path segment behind it."""
    tls: ListenerTLS | None = None
    """None is a plain listener: profile 1 only, and `allowed_networks` must not be empty (A00.FR.201)."""
    allowed_networks: tuple[str, ...] = ()
    """CIDR networks that may connect. Empty: everybody on a TLS listener, nobody on a plain one."""
    proxy_protocol_from: tuple[str, ...] = ()
    """CIDR networks of load balancers that must speak PROXY protocol v1 or v2."""
    allowed_origins: tuple[str, ...] = ()
    unknown_identity_status: Literal[401, 404] = 401
    """401 does not tell which identities exist; 404 is what OCPP-J recommends."""
    server_name_must_match_host: bool = True


class CSMS(msgspec.Struct, frozen=True, kw_only=True):
    """The back end behind the gateway, unmodified."""

    name: str
    urls: tuple[str, ...]
    """ws:// or wss:// without the identity, which is appended. Several: first healthy one wins."""
    authentication: CSMSAuthentication = "none"
    username: str = "{id}"
    """For ``basic``; ``{id}`` stands for the charge point's identity."""
    password_file: str = ""
    """File with the password for ``basic``: one line, mode 0600."""
    headers: dict[str, str] = {}
    """Extra headers; ``{id}``, ``{address}``, ``{security_profile}`` are filled in."""
    forwarded_headers: bool = False
    """Send X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host."""
    client_cert_header: bool = False
    """Send the charge point's certificate as Client-Cert (RFC 9440)."""
    ca: str = ""
    """PEM bundle for wss://; empty takes the system's."""
    server_name: str = ""
    """Host name to verify and send as SNI, if it differs from the URL's."""
    danger_accept_any_certificate: bool = False
    certificate: str = ""
    """Client certificate chain for ``mtls``."""
    key: str = ""
    ocpp_versions: tuple[OCPPVersion, ...] = (OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1)
    permessage_deflate: bool = False
    connect_timeout_s: float = 10.0
    retry_unhealthy_after_s: float = 15.0


class WebSocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and timers of the WebSocket layer, both legs."""

    max_message_bytes: int = 262_144
    max_fragments: int = 64
    fragment_deadline_s: float = 30.0
    control_frames_per_s: float = 10.0
    control_frames_burst: int = 20
    ping_interval_s: float = 30.0
    ping_timeout_s: float = 20.0
    silent_session_timeout_s: float = 900.0
    """For a charge point that was never seen to answer a ping: how long it may send nothing at all."""
    tcp_user_timeout_s: float = 60.0
    """How long sent bytes may stay unacknowledged by the peer's TCP before the connection counts as dead."""
    write_deadline_s: float = 20.0
    """How long a peer may leave data unread once the write buffer is full."""
    max_write_buffer_bytes: int = 524_288
    close_timeout_s: float = 5.0
    messages_per_s: float = 50.0
    messages_burst: int = 250
    flood_grace_s: float = 5.0
    """How long a session may stay above messages_per_s, reading paused, before it is closed with 1008."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits before a session exists."""

    handshake_timeout_s: float = 15.0
    """TLS handshake and complete HTTP request head together."""
    max_handshakes: int = 1000
    """Connections per edge worker that are not admitted yet."""
    handshakes_per_address: int = 50
    connects_per_address_per_minute: int = 600
    max_head_bytes: int = 16_384
    max_headers: int = 64
    max_request_line_bytes: int = 2_048
    max_identity_chars: int = 48
    failed_attempts_per_address_per_minute: int = 30
    failed_attempts_per_identity_per_minute: int = 10
    """Counted per identity over all addresses from which it never proved itself; the real charge point is not affected."""
    reconnects_per_hour: int = 120
    duplicate_probe_timeout_s: float = 5.0
    drain_timeout_s: float = 20.0


class Operations(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics, health and readiness; keep it on loopback."""

    address: str = "127.0.0.1:9180"


class SecurityEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Where security events go, one JSON object a line."""

    path: str = ""
    """Empty: security-events.jsonl in the state directory. ``-`` is standard output."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, checked. Paths are absolute, resolved against the file's directory."""

    path: str
    """The file it came from."""
    state_dir: str
    database_url: str
    edge_workers: int
    """At least 1; 0 in the file means one per core."""
    log_level: Literal["debug", "info", "warning", "error"]
    listeners: tuple[Listener, ...]
    csms: tuple[CSMS, ...]
    limits: Limits = Limits()
    websocket: WebSocketSettings = WebSocketSettings()
    operations: Operations = Operations()
    security_events: SecurityEvents = SecurityEvents()
    operator_names: tuple[str, ...] = ()
    """Values accepted as O of charge point certificates where the registry names none (A00.FR.404)."""
    unsafe_dev_certificates: bool = False
    """Permit listener certificates and trust roots made by the development PKI (subject says DEV ONLY)."""
