"""The lane for charge points whose certificate is good for getting another one and for nothing else. Pure.

That is one that has expired (A00.FR.429), where the registry lets it in until a day, and a factory certificate
(A00.FR.406, 806). BootNotification is answered Pending by the gateway itself and never reaches the CSMS, which would
accept the charge point: it would then send what it must not, and lose what is refused. While Pending it keeps its
transactions for later (B02). What passes is the renewal alone, to and from whoever runs it; the gateway's own calls are
no exception. A charge point that merely reconnects sends its transactions without any BootNotification: those are not
answered, because what is refused is lost, and what is not answered comes again.
"""

import datetime
from typing import Any, Final

from gateway.ocpp.build import build_call_error, build_call_result
from gateway.ocpp.codec import Payload
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.relay.billing import TRANSACTION_ACTIONS
from gateway.relay.effects import Effects, Reply, ReportEvent

__all__ = ["ONLY_RENEWAL", "instead_of", "is_own_renewal"]

_PENDING_INTERVAL_S: Final = 300
"""When to ask again. It will have reconnected with its new certificate before."""
_FROM_CHARGE_POINT: Final = frozenset({"SignCertificate", "SecurityEventNotification"})
_FROM_CSMS: Final = frozenset({"CertificateSigned", "InstallCertificate", "GetInstalledCertificateIds"})
_TRIGGERS: Final = frozenset({"TriggerMessage", "ExtendedTriggerMessage"})
_TRIGGERED: Final = frozenset(
    {
        "BootNotification",
        "SignChargePointCertificate",
        "SignChargingStationCertificate",
        "SignV2GCertificate",
        "SignV2G20Certificate",
        "SignCombinedCertificate",
    }
)
_LIMITS_ASKED_BY: Final = frozenset({"GetConfiguration", "GetVariables"})
ONLY_RENEWAL: Final = "only the renewal of the certificate"


def _is_renewal(action: str, payload: Payload, origin: Origin) -> bool:
    """True for a call that belongs to the renewal. A signed or tunnelled one never does."""
    if origin is Origin.CHARGE_POINT:
        return action in _FROM_CHARGE_POINT
    # Nothing has looked at the payload yet.
    wanted = payload.get("requestedMessage") if action in _TRIGGERS else None
    return action in _FROM_CSMS or (isinstance(wanted, str) and wanted in _TRIGGERED)


def is_own_renewal(action: str, payload: Payload) -> bool:
    """True for a call of the gateway's own that belongs to it; how long a chain may be is asked for before it is sent."""
    return action in _LIMITS_ASKED_BY or _is_renewal(action, payload, Origin.CSMS)


def instead_of(version: OCPPVersion, call: Call, payload: Payload, origin: Origin, wall_now: float) -> Effects | None:
    """What happens instead of the call's going on, or None if it belongs to the renewal. `wall_now`: since the epoch."""
    action = call.action
    if origin is Origin.CHARGE_POINT and action == "BootNotification":
        return (Reply(build_call_result(call.message_id, _pending(wall_now))),)
    if _is_renewal(action, payload, origin):
        return None
    if origin is Origin.CHARGE_POINT and action in TRANSACTION_ACTIONS:
        return (ReportEvent("state.renewal_only", "medium", "drop", action),)
    report = ReportEvent("state.renewal_only", "medium", "callerror", action)
    return (report, Reply(build_call_error(version, call.message_id, ErrorMeaning.SECURITY, ONLY_RENEWAL)))


def _pending(wall_now: float) -> dict[str, Any]:
    now = datetime.datetime.fromtimestamp(wall_now, datetime.UTC)
    return {"currentTime": f"{now:%Y-%m-%dT%H:%M:%SZ}", "interval": _PENDING_INTERVAL_S, "status": "Pending"}
