"""Who takes part in the demo: data only."""

from dataclasses import dataclass
from typing import Literal

from gateway.identity.refusal import Reason
from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from pki.development import OPERATOR, ChargePointCertificate

__all__ = ["ACTORS", "CERTIFICATES", "MISFITS", "OPERATOR", "UPGRADED", "Actor", "Misfit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A charge point that behaves."""

    id: str
    version: OCPPVersion
    security_profile: SecurityProfile
    serial_number: str
    certificate: str = ""
    key_kind: Literal["", "ECDSA", "RSA"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A connection that must be refused, and why."""

    id: str
    """The identity it claims."""
    case: str
    reason: Reason
    listener: Literal["plain", "tls"] = "tls"
    certificate: str = ""
    password: Literal["", "right", "wrong"] = ""


_P1, _P2, _P3 = SecurityProfile.BASIC, SecurityProfile.TLS_BASIC, SecurityProfile.TLS_CLIENT_CERTIFICATE
_V16, _V201, _V21 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1

ACTORS = (
    Actor(id="CP-16-P1", version=_V16, security_profile=_P1, serial_number="SN-1601"),
    Actor(id="CP-16-P2", version=_V16, security_profile=_P2, serial_number="SN-1602"),
    Actor(
        id="CP-16-P3",
        version=_V16,
        security_profile=_P3,
        serial_number="SN-1603",
        certificate="cp-16-p3",
        key_kind="ECDSA",
    ),
    Actor(id="CP-201-P1", version=_V201, security_profile=_P1, serial_number="SN-2011"),
    Actor(id="CP-201-P2", version=_V201, security_profile=_P2, serial_number="SN-2012"),
    Actor(
        id="CP-201-P3",
        version=_V201,
        security_profile=_P3,
        serial_number="SN-2013",
        certificate="cp-201-p3",
        key_kind="RSA",
    ),
    Actor(id="CP-21-P1", version=_V21, security_profile=_P1, serial_number="SN-2101"),
    Actor(id="CP-21-P2", version=_V21, security_profile=_P2, serial_number="SN-2102"),
    Actor(
        id="CP-21-P3",
        version=_V21,
        security_profile=_P3,
        serial_number="SN-2103",
        certificate="cp-21-p3",
        key_kind="ECDSA",
    ),
)

UPGRADED = (
    Actor(id="CP-16-UP", version=_V16, security_profile=_P1, serial_number="SN-1604"),
    Actor(id="CP-201-UP", version=_V201, security_profile=_P1, serial_number="SN-2014"),
)
"""Those that the gateway moves from profile 1 to 3."""

MISFITS = (
    Misfit(id="CP-16-P2", case="wrong password", reason=Reason.PASSWORD_WRONG, password="wrong"),
    Misfit(id="CP-NOBODY", case="unknown identity", reason=Reason.IDENTITY_UNKNOWN, password="wrong"),
    Misfit(
        id="CP-201-P3",
        case="certificate of another charge point",
        reason=Reason.CERT_WRONG_IDENTITY,
        certificate="cp-16-p3",
    ),
    Misfit(
        id="CP-201-P3",
        case="certificate of another operator",
        reason=Reason.CERT_UNTRUSTED,
        certificate="other-operator",
    ),
    Misfit(id="CP-201-P3", case="expired certificate", reason=Reason.CERT_EXPIRED, certificate="expired"),
    Misfit(
        id="CP-21-P3",
        case="security profile 1, but 3 is required",
        reason=Reason.PROFILE_MISMATCH,
        listener="plain",
        password="wrong",
    ),
)

CERTIFICATES = (
    ChargePointCertificate(name="cp-16-p3", serial_number="SN-1603"),
    ChargePointCertificate(name="cp-201-p3", serial_number="SN-2013", kind="rsa-2048"),
    ChargePointCertificate(name="cp-21-p3", serial_number="SN-2103"),
    ChargePointCertificate(name="other-operator", serial_number="SN-2013", other_operator=True),
    ChargePointCertificate(name="expired", serial_number="SN-2013", expired=True),
)
