"""What the gateway does itself instead of passing a call on: renewals of limited sessions, and what it owns. Pure.

Per CSMS and kind of message either the gateway or the CSMS is the one who gives orders (`Owned`). Where the gateway gives
charge points their certificates, SignCertificate is for the gateway and never reaches the CSMS; what the CSMS would do
that is the gateway's is refused in its own terms. ISO 15118 is not ours: V2G certificates, roots of V2G, mobility
operators, OEMs and manufacturers go on, and so does the tunnel of 1.6, unless the CSMS would do through it what is not
its own outside: a charge point may keep all of its certificates in one place.
"""

from collections.abc import Set as AbstractSet
from typing import Final, Literal

import msgspec

from gateway.audit.event import Severity
from gateway.ocpp.build import build_call_error, build_call_result
from gateway.ocpp.codec import Payload
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.frames import Call
from gateway.ocpp.password_messages import SETTING_ACTIONS, refusal_of
from gateway.ocpp.security_settings import changes_password, changes_security
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.ocpp.wrapped import Unreadable, as_signed, inner_call, unsigned
from gateway.relay import renewal
from gateway.relay.effects import Effects, Reply, ReportEvent, TakeRequest

__all__ = ["CERTIFICATES", "MAX_CSR_CHARS", "CertificateDuty", "Interception", "Owned"]

Owned = Literal[
    "SignCertificate",
    "CertificateSigned",
    "InstallCertificate",
    "DeleteCertificate",
    "GetInstalledCertificateIds",
    "SecurityEventNotification",
    "passwords",
    "security-settings",
]
"""Kinds of messages that the gateway may own; the last two are what ChangeConfiguration and its likes set."""
CERTIFICATES: Final[frozenset[Owned]] = frozenset(
    {"SignCertificate", "CertificateSigned", "InstallCertificate", "DeleteCertificate"}
)
"""What belongs to whoever gives the certificates, unless it is said otherwise."""

MAX_CSR_CHARS: Final = 5_500
"""OCPP: csr is string[0..5500]."""
_HASH_PARTS: Final = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
_MAX_HASH_CHARS: Final = 128
_REQUESTS_BURST: Final = 5
_REQUESTS_PER_S: Final = 1.0 / 60.0
"""EVerest has sent the same request again at once (PR #2479); a charge point that makes keys all day long is broken."""
_SIGN: Final = "SignCertificate"
_CHARGE_POINT_TYPES: Final = frozenset({None, "", "ChargingStationCertificate"})
_ROOTS_OF_OTHERS: Final = frozenset(
    {"V2GRootCertificate", "MORootCertificate", "OEMRootCertificate", "ManufacturerRootCertificate"}
)
_EVENT: Final = "SecurityEventNotification"
_TUNNEL: Final = "DataTransfer"
_STATUS: Final = {
    "CertificateSigned": "Rejected",
    "InstallCertificate": "Rejected",
    "DeleteCertificate": "Failed",
    "GetInstalledCertificateIds": "NotFound",
}
"""How each says no; all versions have these."""
_LISTED_OF_OTHERS: Final = _ROOTS_OF_OTHERS | {"V2GCertificateChain"}
_LOOKED_AT: Final = frozenset(
    spelling for action in (_SIGN, _TUNNEL, *_STATUS, *SETTING_ACTIONS) for spelling in (action, as_signed(action))
) | {_EVENT}


class CertificateDuty(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway owns of this charge point."""

    may_ask: bool
    """For a certificate. False on a connection without TLS, where nobody knows who asks (pki.md 7; libocpp #857)."""
    owned: frozenset[Owned] = CERTIFICATES


class Interception:
    """Of one session. All times are monotonic seconds from the caller."""

    __slots__ = ("_duty", "_renewal_only", "_taken", "_tokens", "_tokens_at", "_version")

    def __init__(self, version: OCPPVersion, duty: CertificateDuty | None, *, renewal_only: bool) -> None:
        self._version = version
        self._duty = duty
        self._renewal_only = renewal_only
        self._tokens = float(_REQUESTS_BURST)
        self._taken = 0
        """Hash of the request that was handed over last."""
        self._tokens_at = 0.0

    def instead_of(self, call: Call, payload: Payload, origin: Origin, now: float, wall_now: float) -> Effects | None:
        """What happens instead of the call's going on; None if nothing does. `wall_now`: seconds since the epoch."""
        if self._renewal_only:
            instead = renewal.instead_of(self._version, call, payload, origin, wall_now)
            if instead is not None:
                return instead
        if self._duty is None or call.action not in _LOOKED_AT:
            return None
        if unsigned(call.action) == _TUNNEL:
            return self._tunnelled(call, payload, origin, self._duty.owned)
        if call.action == _EVENT:
            return self._heard(call, origin, self._duty.owned)
        if call.action != unsigned(call.action):
            return self._signed(call, payload, origin, self._duty.owned)
        if not _is_ours(call.action, payload, origin, self._duty.owned):
            return None
        if origin is Origin.CHARGE_POINT:
            return self._asked(call, payload, now, may_ask=self._duty.may_ask)
        about_settings = call.action in SETTING_ACTIONS
        said = refusal_of(call.action, payload) if about_settings else {"status": _STATUS[call.action]}
        event = "setting.not_yours" if about_settings else "certificate.not_yours"
        report = ReportEvent(event, "medium", "answer", f"{call.action} by the CSMS")
        return (report, Reply(build_call_result(call.message_id, said)))

    def _heard(self, call: Call, origin: Origin, owned: AbstractSet[Owned]) -> Effects | None:
        """A charge point reports a security event, and its CSMS does not know such messages: the log has it (white paper 1.6)."""
        if origin is Origin.CSMS or _EVENT not in owned:
            return None
        return (Reply(build_call_result(call.message_id, {})),)

    def _signed(self, call: Call, payload: Payload, origin: Origin, owned: AbstractSet[Owned]) -> Effects | None:
        """Its answer would have to be signed as well, which the gateway cannot do in anybody's name."""
        try:
            inner = inner_call(self._version, call.action, payload)
        except Unreadable:
            inner = None
        if inner is None and unsigned(call.action) in SETTING_ACTIONS:
            return None  # what cannot be read does not pass the gates
        if inner is not None and not _is_ours(inner.action, inner.payload, origin, owned):
            return None
        event = "setting.not_yours" if unsigned(call.action) in SETTING_ACTIONS else "certificate.not_yours"
        return self._not_signed(call, event)

    def _tunnelled(self, call: Call, payload: Payload, origin: Origin, owned: AbstractSet[Owned]) -> Effects | None:
        """What the CSMS says through the tunnel for ISO 15118 (1.6), where it is not about ISO 15118."""
        if origin is Origin.CHARGE_POINT:
            return None
        try:
            inner = inner_call(self._version, call.action, payload)
        except Unreadable:
            return None  # what cannot be read does not pass the gates
        if inner is None or not _is_ours_inside(inner.action, inner.payload, owned):
            return None
        if inner.signed:
            return self._not_signed(call, "certificate.not_yours")
        said = {"status": "Accepted", "data": f'{{"status":"{_STATUS[inner.action]}"}}'}
        report = ReportEvent(
            "certificate.not_yours", "medium", "answer", f"{inner.action} by the CSMS, in a DataTransfer"
        )
        return (report, Reply(build_call_result(call.message_id, said)))

    def _not_signed(self, call: Call, event: str) -> Effects:
        report = ReportEvent(event, "medium", "callerror", call.action)
        error = build_call_error(self._version, call.message_id, ErrorMeaning.NOT_SUPPORTED, "not as a signed message")
        return (report, Reply(error))

    def _asked(self, call: Call, payload: Payload, now: float, *, may_ask: bool) -> Effects:
        """A certificate is asked for: handed over, or Rejected at once where that is certain without looking into it."""
        csr, request_id = payload.get("csr"), payload.get("requestId")
        if not may_ask:
            return self._rejected(call, "high", "without TLS nobody knows who asks")
        if not isinstance(csr, str) or len(csr) > MAX_CSR_CHARS:
            return self._rejected(call, "medium", f"no text of at most {MAX_CSR_CHARS} characters")
        if not self._within_rate(now):
            if self._taken != hash(csr):
                return self._rejected(call, "high", "too many requests")
            # An impatient charge point forgets a request that is turned down, and the certificate for it is on its way.
            return (Reply(build_call_result(call.message_id, {"status": "Accepted"})),)
        self._taken = hash(csr)
        certificate_type = payload.get("certificateType")
        return (
            TakeRequest(
                call.message_id,
                csr,
                certificate_type if isinstance(certificate_type, str) else "",
                request_id if type(request_id) is int else None,
                _root_of(payload.get("hashRootCertificate")),
            ),
        )

    def _rejected(self, call: Call, severity: Severity, why: str) -> Effects:
        report = ReportEvent("certificate.rejected", severity, "answer", why)
        return (report, Reply(build_call_result(call.message_id, {"status": "Rejected"})))

    def _within_rate(self, now: float) -> bool:
        self._tokens = min(_REQUESTS_BURST, self._tokens + (now - self._tokens_at) * _REQUESTS_PER_S)
        self._tokens_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def _root_of(named: object) -> tuple[str, ...]:
    """The four parts of a CertificateHashData; empty where it is none."""
    parts = tuple(named.get(part) for part in _HASH_PARTS) if isinstance(named, dict) else ()
    is_sound = all(isinstance(part, str) and len(part) <= _MAX_HASH_CHARS for part in parts)
    return tuple(str(part) for part in parts) if is_sound else ()


def _is_ours(action: str, payload: Payload, origin: Origin, owned: AbstractSet[Owned]) -> bool:
    """True if a call is of a kind that the gateway owns, and about the charge point's own CSMS."""
    if (action == _SIGN) is not (origin is Origin.CHARGE_POINT):
        return False  # the wrong way round: not for the other side either, which is for the direction gate
    if action in SETTING_ACTIONS:
        return ("passwords" in owned and changes_password(action, payload)) or (
            "security-settings" in owned and changes_security(action, payload)
        )
    return action in owned and not _is_of_others(action, payload.get("certificateType"))


def _is_ours_inside(action: str, payload: Payload, owned: AbstractSet[Owned]) -> bool:
    """The same for what the CSMS says in the tunnel, where a certificate without a type is one for ISO 15118."""
    if action == "CertificateSigned":
        return action in owned and payload.get("certificateType") == "ChargingStationCertificate"
    return action in _STATUS and _is_ours(action, payload, Origin.CSMS, owned)


def _is_of_others(action: str, kind: object) -> bool:
    """True if it is about ISO 15118 or manufacturers. From the hash in DeleteCertificate that cannot be seen."""
    match action:
        case "DeleteCertificate":
            return False
        case "InstallCertificate":
            return isinstance(kind, str) and kind in _ROOTS_OF_OTHERS
        case "GetInstalledCertificateIds":
            kinds = kind if isinstance(kind, list) else [kind]
            return bool(kinds) and all(isinstance(each, str) and each in _LISTED_OF_OTHERS for each in kinds)
        case _:
            return isinstance(kind, str) and kind not in _CHARGE_POINT_TYPES
