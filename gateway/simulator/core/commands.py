"""What a charge point answers to each call of the CSMS: one table, and the small answers; the rest is in its own modules."""

from collections.abc import Callable
from typing import Any, Final

from gateway.ocpp.actions import lookup
from gateway.ocpp.error_codes import ErrorMeaning, spell
from gateway.simulator.core import charging, configuration, enrolment, firmware, network, roots
from gateway.simulator.core.station import CallRefused, Payload, Station

__all__ = ["SECURITY_ACTIONS", "answer", "rejection"]

SECURITY_ACTIONS: Final = frozenset(
    {
        "CertificateSigned",
        "DeleteCertificate",
        "ExtendedTriggerMessage",
        "GetInstalledCertificateIds",
        "GetLog",
        "InstallCertificate",
        "SignedUpdateFirmware",
    }
)
Answer = Callable[[Station, Payload], Payload]


def _accepted(station: Station, payload: Payload) -> Payload:
    del station, payload
    return {"status": "Accepted"}


def _start(station: Station, payload: Payload) -> Payload:
    """RemoteStartTransaction, RequestStartTransaction: not while pending (B02.FR.05), not twice."""
    if station.live.registration == "pending" or station.memory.transaction is not None:
        return {"status": "Rejected"}
    token = payload["idTag"] if station.is_1_6 else payload["idToken"]["idToken"]
    charging.start(station, token, remote_id=payload.get("remoteStartId"))
    return {"status": "Accepted"}


def _stop(station: Station, payload: Payload) -> Payload:
    """RemoteStopTransaction, RequestStopTransaction: of the transaction that runs."""
    memory = station.memory
    if memory.transaction is None:
        return {"status": "Rejected"}
    name: Any = memory.transaction_ids.get(memory.transaction.number) if station.is_1_6 else memory.transaction.name
    if payload["transactionId"] != name:
        return {"status": "Rejected"}
    charging.stop(station, "Remote")
    return {"status": "Accepted"}


def _reset(station: Station, payload: Payload) -> Payload:
    """Reset: at once, or when nothing is being charged."""
    from gateway.simulator.core import security_events

    kind = payload["type"]
    if kind == "OnIdle" and station.memory.transaction is not None:
        station.live.reset_when_idle = True
        return {"status": "Scheduled"}
    charging.stop(station, "ImmediateReset")
    security_events.report(station, "ResetOrReboot", kind)
    station.reboot("RemoteReset")
    return {"status": "Accepted"}


def _triggered_boot(station: Station) -> str:
    """2.x: not when it is registered already (F06.FR.17)."""
    if not station.is_1_6 and station.live.registration == "accepted":
        return "Rejected"
    station.live.boot_triggered = True
    return "Accepted"


def _trigger(station: Station, payload: Payload) -> Payload:
    """TriggerMessage, ExtendedTriggerMessage."""
    return {"status": _trigger_status(station, payload["requestedMessage"])}


def _trigger_status(station: Station, wanted: str) -> str:
    if wanted in _CERTIFICATES:
        if "no-security-actions" in station.quirks:
            return "NotImplemented"
        return "Accepted" if enrolment.begin(station, _CERTIFICATES[wanted]) else "Rejected"
    if wanted == "BootNotification":
        return _triggered_boot(station)
    send = _TRIGGERS.get(wanted)
    if send is None:
        return "NotImplemented"
    send(station)
    return "Accepted"


_CERTIFICATES: Final = {
    "SignChargePointCertificate": "ChargingStationCertificate",
    "SignChargingStationCertificate": "ChargingStationCertificate",
    "SignV2GCertificate": "V2GCertificate",
    "SignV2G20Certificate": "V2G20Certificate",
}
_TRIGGERS: Final[dict[str, Callable[[Station], None]]] = {
    "Heartbeat": lambda station: station.call("Heartbeat", {}, triggered=True),
    "StatusNotification": lambda station: charging.status(station, triggered=True),
    "MeterValues": lambda station: station.call("MeterValues", charging.values(station), triggered=True),
    "FirmwareStatusNotification": lambda station: firmware.send_status(station, triggered=True),
    "LogStatusNotification": firmware.send_log_status,
}

_BOTH: Final[dict[str, Answer]] = {
    "CertificateSigned": lambda station, payload: {"status": enrolment.receive(station, payload)},
    "ChangeAvailability": _accepted,
    "ClearCache": _accepted,
    "DataTransfer": lambda station, payload: {"status": "UnknownVendorId"},  # noqa: ARG005  the shape of an answer
    "DeleteCertificate": roots.delete,
    "GetLog": firmware.get_log,
    "InstallCertificate": roots.install,
    "Reset": _reset,
    "TriggerMessage": _trigger,
}
_ONLY_1_6: Final[dict[str, Answer]] = {
    "ChangeConfiguration": configuration.change,
    "ExtendedTriggerMessage": _trigger,
    "GetConfiguration": configuration.get,
    "GetInstalledCertificateIds": roots.list_1_6,
    "RemoteStartTransaction": _start,
    "RemoteStopTransaction": _stop,
    "SignedUpdateFirmware": firmware.update,
    "UpdateFirmware": firmware.update_unsigned_1_6,
}
_ONLY_2_X: Final[dict[str, Answer]] = {
    "GetBaseReport": configuration.get_base_report,
    "GetInstalledCertificateIds": roots.list_2_x,
    "GetVariables": configuration.get_variables,
    "RequestStartTransaction": _start,
    "RequestStopTransaction": _stop,
    "SetNetworkProfile": network.set_profile,
    "SetVariables": configuration.set_variables,
    "UpdateFirmware": firmware.update,
}


def answer(station: Station, action: str, payload: Payload) -> Payload:
    """The answer to a call whose payload fits its schema. Raises CallRefused."""
    table = _BOTH | (_ONLY_1_6 if station.is_1_6 else _ONLY_2_X)
    handler = table.get(action)
    version = station.memory.version
    if handler is None:
        known = lookup(version, action) is not None
        meaning = ErrorMeaning.NOT_SUPPORTED if known else ErrorMeaning.NOT_IMPLEMENTED
        raise CallRefused(spell(meaning, version), "not by this charge point")
    return handler(station, payload)


_REJECTIONS: Final = {
    "DeleteCertificate": {"status": "Failed"},
    "GetInstalledCertificateIds": {"status": "NotFound"},
    "GetConfiguration": {},
}
_CANNOT_REJECT: Final = frozenset({"GetVariables", "UpdateFirmware", "DataTransfer"})


def rejection(station: Station, action: str, payload: Payload) -> Payload:
    """The same, of one that does not want to. Raises CallRefused where an action knows no refusal."""
    if action == "SetVariables":
        return configuration.set_variables(station, payload)
    if action in _CANNOT_REJECT:
        raise CallRefused(spell(ErrorMeaning.INTERNAL, station.memory.version), "quirk")
    return _REJECTIONS.get(action, {"status": "Rejected"})
