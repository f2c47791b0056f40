"""What an honest CSMS and an honest charge point answer, by the schema of the version."""

import json
from typing import Any

__all__ = ["answer_of_csms", "answer_of_station"]

_TIME = "2026-01-01T00:00:00Z"
_STATUS = {
    "DataTransfer": "Accepted",
    "Get15118EVCertificate": "Accepted",
    "GetCertificateStatus": "Accepted",
    "NotifyEVChargingNeeds": "Accepted",
    "NotifyEVChargingSchedule": "Accepted",
    "OpenPeriodicEventStream": "Accepted",
    "SignCertificate": "Accepted",
}
_NOTHING_TO_SAY = frozenset({"UpdateFirmware 1.6", "GetDiagnostics 1.6", "GetConfiguration 1.6"})
_STATION_SAYS: dict[str, dict[str, Any]] = {
    "CostUpdated": {},
    "GetPeriodicEventStream": {},
    "GetTransactionStatus": {"messagesInQueue": False},
    "NotifyWebPaymentStarted": {},
    "UnlockConnector": {"status": "Unlocked"},
}


def _call(text: str) -> list[Any] | None:
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    return frame if isinstance(frame, list) and frame[:1] == [2] and len(frame) == 4 else None


def _result(message_id: Any, payload: dict[str, Any]) -> str:
    return json.dumps([3, message_id, payload], separators=(",", ":"))


def answer_of_csms(text: str) -> str | None:
    """The result for a call of a charge point; None for what is no call. Cards are accepted, transactions counted on."""
    frame = _call(text)
    if frame is None:
        return None
    _, message_id, action, payload = frame
    info = {"status": "Accepted"}
    match action:
        case "BootNotification":
            made: dict[str, Any] = {"status": "Accepted", "currentTime": _TIME, "interval": 300}
        case "Heartbeat":
            made = {"currentTime": _TIME}
        case "StartTransaction":
            made = {"idTagInfo": info, "transactionId": 1 + abs(hash(text)) % 1_000_000}
        case "Authorize":
            made = {"idTagInfo": info} if "idTag" in payload else {"idTokenInfo": info}
        case _:
            made = {"status": _STATUS[action]} if action in _STATUS else {}
    return _result(message_id, made)


def _listed(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The results of 2.x that answer each item of a list; empty for all others."""
    match action:
        case "SetVariables" | "GetVariables":
            verb = action[:3].lower()
            asked = payload.get(f"{verb}VariableData", ())
            names = [{key: item[key] for key in ("component", "variable")} for item in asked]
            return {f"{verb}VariableResult": [{"attributeStatus": "Accepted", **each} for each in names]}
        case "SetVariableMonitoring":
            kept = ("type", "severity", "component", "variable")
            asked = payload.get("setMonitoringData", ())
            made = [{"status": "Accepted", **{key: item[key] for key in kept}} for item in asked]
            return {"setMonitoringResult": made}
        case "ClearVariableMonitoring":
            return {"clearMonitoringResult": [{"status": "Accepted", "id": each} for each in payload.get("id", ())]}
        case "ClearTariffs":
            return {"clearTariffsResult": [{"status": "Accepted"}]}
        case _:
            return {}


def answer_of_station(text: str, version: str) -> str | None:
    """The result of a charge point that does as it is told."""
    frame = _call(text)
    if frame is None:
        return None
    _, message_id, action, payload = frame
    if action in _STATION_SAYS:
        return _result(message_id, _STATION_SAYS[action])
    if listed := _listed(action, payload):
        return _result(message_id, listed)
    if action == "GetLocalListVersion":
        return _result(message_id, {"listVersion" if version == "1.6" else "versionNumber": 1})
    if f"{action} {version}" in _NOTHING_TO_SAY:
        return _result(message_id, {})
    return _result(message_id, {"status": "Accepted"})
