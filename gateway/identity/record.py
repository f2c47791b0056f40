"""What the registry knows of one charge point. Made by `gateway.store`, judged by `gateway.identity.admission`."""

import msgspec

from gateway.identity.evidence import Tolerance
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile

__all__ = ["ChargePointRecord", "StoredPassword"]


class StoredPassword(msgspec.Struct, frozen=True, kw_only=True):
    """A password as its hash: argon2id of our own, or an imported bcrypt or PBKDF2 hash until its first use."""

    phc: str
    """The hash string, e.g. ``$argon2id$v=19$m=...``, ``$2b$12$...``, ``$pbkdf2-sha256$...``, ``pbkdf2_sha256$...``."""
    created_at: float = 0.0

    def __repr__(self) -> str:
        return "StoredPassword(<hidden>)"


class ChargePointRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the registry, with everything that admission needs."""

    charge_point_id: ChargePointId
    security_profile: SecurityProfile
    """Required: the one profile it must use (A00.FR.001)."""
    floor: SecurityProfile | None = None
    """Highest profile ever proven; nothing below is accepted again, whatever `security_profile` says (A05.FR.09)."""
    pending_security_profile: SecurityProfile | None = None
    """Target of a running upgrade: accepted as well until proven or given up."""
    serial_number: str = ""
    """What the certificate's CN must be. Never derived from the identity."""
    operator_names: tuple[str, ...] = ()
    """Accepted values of the certificate's O; empty: the configuration's operator_names, from the operator's own CA.

    The roots of others vouch for this charge point only if it names them here.
    """
    group: str = "default"
    csms: str = ""
    """Name of the CSMS; empty: the listener's."""
    ocpp_versions: tuple[OCPPVersion, ...] = (OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1)
    default_version: OCPPVersion | None = None
    """What to assume under the tolerance missing-subprotocol."""
    password: StoredPassword | None = None
    pending_password: StoredPassword | None = None
    """A candidate whose outcome is unknown: accepted as well until one of the two is used (A01)."""
    password_reading: str = ""
    """Reading that matched first (raw, hex-decoded, hex-text), shown to operators; empty: not learnt yet."""
    tolerances: tuple[Tolerance, ...] = ()
    expired_certificate_until: float = 0.0
    """Seconds since the epoch. Until then a certificate that has expired lets it in, to renew it (A00.FR.429)."""
    enabled: bool = True
    answers_pings: bool = False
    notes: str = ""
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    """vendor, model, firmware: learnt from BootNotification, claimed by the charge point."""
    last_seen_at: float = 0.0
    last_address: str = ""
    """From where it last proved itself: guessing limits never slow that address down for this identity."""
    created_at: float = 0.0
    updated_at: float = 0.0
