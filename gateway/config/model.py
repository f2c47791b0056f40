"""The configuration as frozen values. `gateway.config.load` makes them from TOML and cross-checks them.

Every field has its unit in its name and its default here, once; the template that `init` writes and the reference in
docs/configuration.md are made from these docstrings. Secrets are never in the file: it names files that hold them.
"""

from typing import Final, Literal

import msgspec

from gateway.config.audit_tables import Audit, Detections
from gateway.config.authorities import CMP, EST, BackendName, Command, Vault
from gateway.config.firmware import Firmware
from gateway.config.own_certificates import ServerCertificates
from gateway.config.policy import Policy
from gateway.config.upgrades import Upgrades
from gateway.identity.trust import TrustUse
from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from gateway.provisioning.known_firmware import FirmwareRule

__all__ = [
    "CSMS",
    "LARGEST_MESSAGE_BYTES",
    "PKI",
    "Audit",
    "CertificateFiles",
    "CipherPolicy",
    "Config",
    "Detections",
    "Firmware",
    "Limits",
    "Listener",
    "ListenerTLS",
    "Operations",
    "OwnedMessage",
    "Policy",
    "Publication",
    "Recording",
    "SecurityEvents",
    "Sink",
    "Trust",
    "WebSocketSettings",
]

CipherPolicy = Literal["ocpp-cert", "modern", "legacy-quarantine"]
ClientCertificate = Literal["none", "optional", "required"]
CSMSAuthentication = Literal["none", "basic", "pass-through", "mtls"]


class CertificateFiles(msgspec.Struct, frozen=True, kw_only=True):
    """One server certificate: PEM chain (leaf first, no root) and its key."""

    certificate: str
    """PEM file: the server's certificate first, then its issuers, without the root."""
    key: str
    """PEM file with the private key, not encrypted, mode 0600."""


class ListenerTLS(msgspec.Struct, frozen=True, kw_only=True):
    """TLS of a listener."""

    certificates: tuple[CertificateFiles, ...] = ()
    """Give an RSA and an ECDSA certificate: charge points may support only one of them (A00.FR.318/421)."""
    next_certificates: tuple[CertificateFiles, ...] = ()
    """Under another root: shown in their place once `campaign switch` has said that charge points have it (docs/roots.md)."""
    automatic_certificates: bool = False
    """In place of files: what the gateway gets for itself, as `[server_certificates]` says."""
    client_certificate: ClientCertificate = "none"
    """``required`` for profile 3 alone, ``optional`` for profiles 2 and 3 on one port."""
    client_trust: tuple[str, ...] = ()
    """PEM files with the roots (and, if wanted, intermediates) that may issue charge point certificates."""
    trust: tuple[str, ...] = ()
    """Names of `[[trust]]` bundles whose roots may issue charge point certificates as well."""
    expired_certificates: Literal["refuse", "by-registry"] = "refuse"
    """``by-registry``: a charge point for which the registry says so until a date may come with an expired certificate,
    to get a new one and for nothing else (A00.FR.429). Times are then checked after the TLS handshake."""
    cipher_policy: CipherPolicy = "ocpp-cert"
    """``ocpp-cert``: what OCPP certification demands, static RSA included. ``modern``: forward secrecy only.
    ``legacy-quarantine``: TLS 1.0 and 1.1 as well, for old charge points in `allowed_networks`."""
    server_roots: tuple[str, ...] = ()
    """PEM files with the roots above `certificates`, as charge points have them. Only compared with what they report."""
    engine: Literal["pyopenssl", "stdlib"] = "pyopenssl"
    """The TLS library underneath. Both follow the same rules."""
    strict_x509: bool = True
    """X509_STRICT and POLICY_CHECK in chain verification; switch off only for vendors with extension-less certificates."""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One address that charge points connect to."""

    name: str
    """Shown in events, metrics and `status`."""
    address: str
    """``host:port``; IPv6 as ``[::]:8443``."""
    security_profiles: tuple[SecurityProfile, ...]
    """Served here. 1 stands alone on a listener without TLS; 2 and 3 may share one."""
    csms: str
    """Name of the CSMS for charge points whose own record names none."""
    url: str = ""
    """As charge points reach it, without the identity: where an upgrade of the security profile sends them."""
    path_prefix: str = "/"
    """The identity is the one path segment behind it."""
    tls: ListenerTLS | None = None
    """None is a plain listener: profile 1 only, and `allowed_networks` must not be empty (A00.FR.201)."""
    allowed_networks: tuple[str, ...] = ()
    """CIDR networks that may connect. Empty: everybody on a TLS listener, nobody on a plain one."""
    proxy_protocol_from: tuple[str, ...] = ()
    """CIDR networks of load balancers that must speak PROXY protocol v1 or v2."""
    allowed_origins: tuple[str, ...] = ()
    """Origin headers that may appear. Charge points send none; browsers do, and are refused."""
    unknown_identity_status: Literal[401, 404] = 401
    """401 does not tell which identities exist; 404 is what OCPP-J recommends."""
    server_name_must_match_host: bool = True
    """Refuse a request whose Host header names another host than the TLS server name (SNI)."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Roots of one kind that may issue charge point certificates, and how their revocations are learnt."""

    name: str
    """By which `[listener.tls]` refers to it; shown in events and `status`."""
    use: TrustUse = "own"
    """``own``; ``other-operator``; ``v2g``: the certificate is an ISO 15118 one; ``manufacturer``: a factory
    certificate, good for getting an operator's certificate and for nothing else (A00.FR.406, 806)."""
    roots: tuple[str, ...]
    """PEM files with the roots, and with the intermediates whose revocation lists are read."""
    operator_names: tuple[str, ...] = ()
    """Values of O that these roots may vouch for. Needed for every use but ``own``: nobody else vouches for your name."""
    crl: tuple[str, ...] = ()
    """Revocation lists of these issuers: files, or http:// and https:// addresses (lists are signed)."""
    ocsp: str = ""
    """Address of an OCSP responder that is asked about each certificate of this bundle."""
    revocation: Literal["soft", "hard"] = "soft"
    """When no current answer can be had: ``soft`` lets in and says so, ``hard`` refuses. Known revocations always count."""
    refresh_s: float = 3_600.0
    """How often lists are fetched; files are looked at every few seconds."""
    warn_before_s: float = 86_400.0
    """How long before a list expires without a newer one this is announced."""


OwnedMessage = Literal[
    "InstallCertificate",
    "DeleteCertificate",
    "GetInstalledCertificateIds",
    "SecurityEventNotification",
    "passwords",
    "security-settings",
]


class CSMS(msgspec.Struct, frozen=True, kw_only=True):
    """The back end behind the gateway, unmodified."""

    name: str
    """By which listeners and charge points refer to it."""
    urls: tuple[str, ...]
    """ws:// or wss:// without the identity, which is appended. Several: first healthy one wins."""
    authentication: CSMSAuthentication = "none"
    """How the gateway proves itself: ``none``, ``basic``, ``mtls``, or ``pass-through`` of the charge point's password."""
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
    """Do not verify the CSMS's certificate: anybody on the way can pose as the CSMS."""
    certificate: str = ""
    """Client certificate chain for ``mtls``."""
    key: str = ""
    """Private key for ``mtls``, mode 0600."""
    ocpp_versions: tuple[OCPPVersion, ...] = (OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1)
    """What this CSMS speaks."""
    certificates: Literal["csms", "gateway"] = "csms"
    """Who gives charge points their certificates: ``gateway`` needs `[pki]` ca, and keeps SignCertificate from the CSMS
    and CertificateSigned, InstallCertificate of CSMS roots and DeleteCertificate from the charge point."""
    owners: dict[OwnedMessage, Literal["csms", "gateway"]] = {}
    """Who gives orders, by kind of message, where it is not whoever gives the certificates: what the gateway owns never
    reaches the charge point from the CSMS."""
    unsafe_enrolment_without_tls: bool = False
    """Let charge points on security profile 1 ask the gateway for certificates: anybody on the way can ask instead."""
    permessage_deflate: bool = False
    """Offer compression to the CSMS."""
    connect_timeout_s: float = 10.0
    """For TCP, TLS and the WebSocket upgrade together."""
    retry_unhealthy_after_s: float = 15.0
    """How long an address that failed is tried last, where there are several."""


class WebSocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and timers of the WebSocket layer, both legs."""

    max_message_bytes: int = 262_144
    """A larger message closes the connection with 1009."""
    max_fragments: int = 64
    """How many frames one message may come in."""
    fragment_deadline_s: float = 30.0
    """How long a message may take from its first fragment to its last."""
    control_frames_per_s: float = 10.0
    """Pings, pongs and closes that a peer may send, on average."""
    control_frames_burst: int = 20
    """The same at once."""
    ping_interval_s: float = 30.0
    """How often the gateway pings each leg."""
    ping_timeout_s: float = 20.0
    """How long a peer that answers pings may leave one unanswered."""
    silent_session_timeout_s: float = 900.0
    """For a charge point that was never seen to answer a ping: how long it may send nothing at all."""
    tcp_user_timeout_s: float = 60.0
    """How long sent bytes may stay unacknowledged by the peer's TCP before the connection counts as dead."""
    write_deadline_s: float = 20.0
    """How long a peer may leave data unread once the write buffer is full."""
    max_write_buffer_bytes: int = 524_288
    """What may wait to be written to one peer before reading from the other one pauses."""
    close_timeout_s: float = 5.0
    """How long a closing handshake may take."""
    messages_per_s: float = 50.0
    """What one charge point may send, on average."""
    messages_burst: int = 250
    """The same at once, e.g. a queue from hours without a connection."""
    max_open_calls: int = 1
    """Calls in one direction that are on the way at the same time; the next ones wait their turn. OCPP allows one."""
    max_waiting_calls: int = 63
    """Calls in one direction that may wait; more are answered with an error."""
    call_timeout_s: float = 30.0
    """An unanswered call makes way for the next one after this; a call of the CSMS that has waited as long is not sent."""
    flood_grace_s: float = 5.0
    """How long a session may stay above messages_per_s, reading paused, before it is closed with 1008."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits before a session exists, and what ends one."""

    handshake_timeout_s: float = 15.0
    """TLS handshake and complete HTTP request head together."""
    max_handshakes: int = 1000
    """Connections per edge worker that are not admitted yet."""
    handshakes_per_address: int = 50
    """Connections from one address, or one IPv6 /64, per edge worker, that are not admitted yet."""
    connects_per_address_per_minute: int = 600
    """New connections from one address, or one IPv6 /64, per edge worker."""
    max_head_bytes: int = 16_384
    """Of the whole HTTP request head."""
    max_headers: int = 64
    """Number of header fields."""
    max_request_line_bytes: int = 2_048
    """Of the first line alone."""
    max_identity_chars: int = 48
    """OCPP 2.x allows 48; 1.6 has no limit of its own."""
    failed_attempts_per_address_per_minute: int = 30
    """Guesses at passwords and identities from one address; more are refused unchecked."""
    failed_attempts_per_identity_per_minute: int = 10
    """Counted per identity over all addresses from which it never proved itself; the real charge point is not affected."""
    reconnects_per_hour: int = 120
    """Admissions of one charge point."""
    duplicate_probe_timeout_s: float = 5.0
    """How long an old connection has to show that it is alive when its charge point connects again."""
    drain_timeout_s: float = 20.0
    """How long a gateway that stops takes to close its sessions one after the other."""
    revoked_sessions: Literal["close", "keep"] = "close"
    """A live session whose certificate is revoked. ``keep``: until it ends by itself; it cannot come again."""


class Operations(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics, health and readiness; keep it on loopback."""

    address: str = "127.0.0.1:9180"
    """``host:port``; /healthz, /readyz and /metrics are here."""


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """Revocation lists, OCSP answers and CA certificates of the PKI, over plain HTTP: all of it is signed."""

    address: str = ""
    """``host:port``; empty: nothing is published. Whoever verifies your certificates must reach it."""
    requests_per_address_per_minute: int = 600
    """More are answered 429."""
    max_connections: int = 500
    """More are closed at once."""


class SecurityEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Where security events go, one JSON object a line."""

    path: str = ""
    """Empty: security-events.jsonl in the state directory. ``-`` is standard output."""


class Sink(msgspec.Struct, frozen=True, kw_only=True):
    """A SIEM or file that gets every record of the audit log, from where it stopped. A reload starts, ends and changes sinks."""

    name: str
    """In metrics and logs, and of the file that remembers how far it has come: letters, digits and ``-``."""
    kind: Literal["file", "syslog", "webhook", "otlp", "nats", "kafka"]
    """``file``: one record a line. ``syslog``: RFC 5424 over TLS. ``webhook``: signed POSTs of up to 500 records.
    ``otlp``: OpenTelemetry logs, HTTP with JSON. ``nats``: JetStream, ``kafka``: a topic; with these extras."""
    target: str
    """A file, ``host:port`` of a syslog server, an ``https`` URL (for ``otlp`` with ``/v1/logs``), or
    ``tls://host:port/NAME`` of NATS and Kafka; plain ``http``, ``nats://`` and ``kafka://`` on loopback only."""
    format: Literal["jsonl", "ecs", "cef", "ocsf"] = "jsonl"
    """In whose words: ours, Elastic Common Schema, Common Event Format, OCSF 1.8."""
    ca: str = ""
    """PEM file with the roots of the receiver; empty takes the system's."""
    certificate: str = ""
    """Client certificate chain, where the receiver wants one."""
    key: str = ""
    """Its private key, mode 0600."""
    secret_file: str = ""
    """File with one line, mode 0600: what signs requests of a ``webhook``, the bearer token for ``otlp``, that for ``nats``."""


class PKI(msgspec.Struct, frozen=True, kw_only=True):
    """The CA, where the gateway gives charge points their certificates (docs/provisioning.md)."""

    ca: str = ""
    """The CA's directory, as `ocpp-gateway pki ceremony` makes it (docs/pki.md). For another CA: where requests and
    their approvals are kept, made if missing. Empty: none."""
    backend: BackendName = "embedded"
    """Who signs: ``embedded``, or another CA behind its own table, `[pki.est]`, `[pki.vault]`, `[pki.command]` or
    `[pki.cmp]` (docs/backends.md)."""
    roots: tuple[str, ...] = ()
    """For another CA: PEM files with the roots that its certificates must chain to."""
    min_validity_days: float = 45.0
    """For another CA: a certificate with less is not delivered, as charge points renew a month before the end."""
    max_validity_days: float = 825.0
    """For another CA: nor one with more."""
    est: EST | None = None
    """How to reach it, for ``est``."""
    vault: Vault | None = None
    """The same for ``vault``."""
    command: Command | None = None
    """The same for ``command``."""
    cmp: CMP | None = None
    """The same for ``cmp``."""
    chain: Literal["leaf+subs", "+root", "leaf"] = "leaf+subs"
    """What a charge point is sent beside its certificate: the CAs above it, the root as well, or nothing."""
    key_patience_s: float = 3_600.0
    """How long a charge point keeps the key of a request that is not answered. Later it is asked for a new one."""
    renew_after: float = 2 / 3
    """Share of its lifetime after which a certificate that the gateway has given is renewed, more than 0 and less than 0.9.
    Spread over a further twelfth, and not while the charge point is charging, unless nine tenths are over."""
    renewals_at_once: int = 10
    """So many renewals run at once on this node; 0: none is begun by the gateway."""
    renew_retry_s: float = 3_600.0
    """After a renewal that has failed, doubled with each further one."""
    retire_old_after_s: float = 2_678_400.0
    """How long after the new certificate's first connection the one before it still counts as expected: 31 days."""
    crl_lifetime_s: float = 604_800.0
    """How long a revocation list that the gateway publishes is good: 7 days. The next one comes after half of it, and at
    once after a revocation."""
    ocsp_lifetime_s: float = 345_600.0
    """The same for OCSP responses: 4 days."""


LARGEST_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""What `max_message_bytes` may be at most."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """Record what is relayed, without secrets and with pseudonyms for tokens, to try rules on it: `policy replay`."""

    enabled: bool = False
    """A reload switches it on and off for live sessions."""
    path: str = ""
    """Empty: recording.jsonl in the state directory."""
    max_bytes: int = 268_435_456
    """Of the file; a full one is kept beside it (``.1``) until the next one is full. An hour of 1 000 busy charge points."""
    groups: tuple[str, ...] = ()
    """Only charge points of these groups. Empty: all."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, checked. Paths are absolute, resolved against the file's directory."""

    path: str
    """The file it came from."""
    state_dir: str
    """Registry, event log and sockets. Made if missing, readable by the gateway's user only."""
    database_url: str
    """``sqlite:////path/registry.sqlite`` or ``postgresql://host/name``. Empty: registry.sqlite in the state directory."""
    edge_workers: int
    """At least 1; 0 in the file means one per core."""
    log_level: Literal["debug", "info", "warning", "error"]
    """How much goes to standard error."""
    listeners: tuple[Listener, ...]
    csms: tuple[CSMS, ...]
    trust: tuple[Trust, ...] = ()
    limits: Limits = Limits()
    websocket: WebSocketSettings = WebSocketSettings()
    operations: Operations = Operations()
    publication: Publication = Publication()
    security_events: SecurityEvents = SecurityEvents()
    audit: Audit = Audit()
    sinks: tuple[Sink, ...] = ()
    pki: PKI = PKI()
    server_certificates: ServerCertificates = ServerCertificates()
    upgrades: Upgrades = Upgrades()
    known_firmware: tuple[FirmwareRule, ...] = ()
    policy: Policy = Policy()
    firmware: Firmware = Firmware()
    recording: Recording = Recording()
    operator_names: tuple[str, ...] = ()
    """Values accepted as O of charge point certificates where the registry names none (A00.FR.404)."""
    unsafe_dev_certificates: bool = False
    """Permit listener certificates and trust roots made by the development PKI (subject says DEV ONLY)."""
