"""The line of evidence from a socket to an admission (architecture.md, section 2).

Each type is made by one stage and is the only key to the next. `Admission` is built only by
`gateway.identity.admission.admit`; tests/test_structure.py holds everyone to that.
"""

from typing import Literal

import msgspec

from gateway.ocpp.vocabulary import BootState, ChargePointId, OCPPVersion, SecurityProfile

__all__ = [
    "Admission",
    "Authenticated",
    "BasicCredentials",
    "CertificateName",
    "CertificateProof",
    "Claim",
    "PasswordProof",
    "Peer",
    "Proof",
    "RenewalOnly",
    "TLSFacts",
    "Tolerance",
    "Transport",
    "is_limited",
]

Tolerance = Literal[
    "missing-connection-upgrade",
    "missing-subprotocol",
    "empty-subprotocol-element",
    "absolute-form-target",
    "trailing-slash",
    "username-differs",
    "no-pong",
    "deflate-1.6",
]
"""Opt-in leniencies, granted per charge point in the registry; each use is counted and visible."""


class Peer(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who is at the other end of the TCP connection, as far as the gateway trusts it."""

    address: str
    """IP address without port or zone; from PROXY protocol only when the socket peer is a trusted source."""
    port: int
    listener: str
    proxied_by: str = ""
    """Socket address of the trusted proxy, empty for a direct connection."""


class TLSFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What our own TLS termination established. Never filled from headers."""

    version: str
    """``TLSv1.2`` or ``TLSv1.3``."""
    cipher: str
    server_name: str = ""
    """SNI as sent, lower-case; empty when the charge point sent none."""
    leaf_der: bytes = b""
    """The verified client certificate in DER; empty when none was presented."""
    resumed: bool = False
    """True for an abbreviated handshake: OpenSSL did not verify the chain again."""
    issuers_der: tuple[bytes, ...] = ()
    """The verified issuers of the client certificate in DER, its own first, the trust anchor last.

    Of the handshake in which the chain was verified, also where this one resumes it.
    """


class Transport(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An established byte stream. `tls` is None on a plain listener."""

    peer: Peer
    tls: TLSFacts | None = None


class BasicCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed Basic header for a known identity. Bytes, because 1.6 keys are not text (OCPP-J 1.6, 6.2)."""

    username_matches: bool
    """True if the user name equals the identity in the URL, byte for byte (A00.FR.204)."""
    username_differs_in_case: bool = False
    """True if it would, did case not count: good enough where 2.x, whose identities ignore case, is all there is."""
    password: bytes

    def __repr__(self) -> str:
        return f"BasicCredentials(username_matches={self.username_matches}, password=<hidden>)"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer says it is, with everything it offers as proof. Nothing in it is verified yet but `transport`."""

    charge_point_id: ChargePointId
    transport: Transport
    basic: BasicCredentials | None = None
    subprotocols: tuple[str, ...] = ()
    """Offered tokens in the charge point's order, empty elements removed."""
    needs: tuple[Tolerance, ...] = ()
    """Tolerances without which this upgrade request would be refused."""
    offers_deflate: bool = False


class PasswordProof(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="password"):
    """A Basic password matched a stored credential."""

    slot: Literal["current", "pending"]
    reading: Literal["raw", "hex-decoded", "hex-text"]
    """Which reading of `AuthorizationKey` matched (ocpp-security-requirements.md, 2.6)."""


RenewalOnly = Literal["", "expired", "factory"]
"""Why a certificate is good for nothing but getting another one; empty where it is good for everything."""


class CertificateName(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How a revocation may name a certificate."""

    sha256: str
    issuer: str
    """RFC 4514 text of the issuer's name."""
    serial_number: str
    """Lower-case hex without leading zeroes."""


class CertificateProof(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="certificate"):
    """A client certificate of this very charge point passed the chain check and our leaf policy."""

    sha256: str
    spki_sha256: str
    serial_number: str
    """Certificate serial, lower-case hex without leading zeroes."""
    common_name: str
    issuer: str = ""
    """RFC 4514 text of the issuer's name: with the serial number it is how a revocation may name the certificate."""
    not_after: float
    """Seconds since the epoch. A live session outlasts it, because that is where the charge point gets a new one."""
    issuers: tuple[CertificateName, ...] = ()
    """Its issuers below the trust anchor: one that is revoked takes this certificate with it."""
    trust: str = ""
    """Name of the trust bundle that vouches for it; empty for roots that a listener names itself."""
    anchor: str = ""
    """SHA-256 fingerprint of the root: who vouches by it may be another one later, or nobody."""
    organization: str = ""
    renewal_only: RenewalOnly = ""


Proof = PasswordProof | CertificateProof


def is_limited(proof: Proof) -> bool:
    """True for a certificate that is good for nothing but getting another one."""
    return isinstance(proof, CertificateProof) and bool(proof.renewal_only)


class Authenticated(msgspec.Struct, frozen=True, kw_only=True):
    """The identity is proven. Says nothing yet about whether it may enter on this profile."""

    charge_point_id: ChargePointId
    proof: Proof
    used_security_profile: SecurityProfile


class Admission(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The key to a relay. Made only by `gateway.identity.admission.admit`, once per connection."""

    charge_point_id: ChargePointId
    """In the registry's spelling."""
    security_profile: SecurityProfile
    subprotocols: tuple[str, ...]
    """What to offer the CSMS, in the charge point's order: offered by the charge point and allowed by the registry."""
    assumed_version: OCPPVersion | None
    """Set only under the tolerance missing-subprotocol: what to speak although nothing was offered."""
    csms: str
    """Name of the CSMS in the configuration."""
    group: str
    generation: int
    """Grows with every admission of the identity; clean-up compares it before it deletes."""
    session: str
    """Gateway-wide connection id, in every event and record of this connection."""
    proof: Proof
    expected_serial_number: str
    """Profile 3: a BootNotification with another serial number closes the connection (B01.FR.11/12). Else empty."""
    tolerances: tuple[Tolerance, ...]
    upgrade_pending: bool
    """True while this session would prove a security profile upgrade by registering."""
    answers_pings: bool
    """True once this charge point was seen to answer a WebSocket ping."""
    boot_state: BootState = "unknown"
    """What the CSMS told it in an earlier session, where that still restricts it."""
    serial_number: str = ""
    """The registry's, on every profile."""
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    """vendor, model, firmware: what it said in its last BootNotification; after a mere reconnect there need not be another."""
