"""Reading and writing settings over OCPP, with the rules of those that are about security."""

from typing import Any, Final

import msgspec

from gateway.simulator.core import network, network_keys, network_variables
from gateway.simulator.core.credentials import change_password, is_acceptable_password
from gateway.simulator.core.settings import SETTINGS, Setting, find_1_6, find_2_x, is_visible, value_of
from gateway.simulator.core.station import Payload, Station

__all__ = ["change", "get", "get_base_report", "get_variables", "set_variables"]

_SECURITY_KEYS: Final = frozenset({"AuthorizationKey", "SecurityProfile", "CpoName"})
_REPORTED_AT_ONCE: Final = 10


def change(station: Station, payload: Payload) -> Payload:
    """ChangeConfiguration."""
    if _is_network_key(station, payload["key"]):
        return {"status": network_keys.change(station, payload["key"], payload["value"])}
    setting = find_1_6(payload["key"])
    if setting is None or ("no-security-actions" in station.quirks and setting.key in _SECURITY_KEYS):
        return {"status": "NotSupported"}
    value = payload["value"]
    if setting.key == "SecurityProfile":
        return {"status": network.raise_profile(station, value)}
    if setting.key == "CentralSystemURL":
        return {"status": network.set_url(station, value)}
    return {"status": "Accepted" if not _write(station, setting, value) else "Rejected"}


def _write(station: Station, setting: Setting, value: str) -> str:
    """Write what is not special; an empty text if it was written, else a reason code."""
    if setting.access == "read":
        return "ReadOnly"
    if setting.access == "write":
        if not is_acceptable_password(station, value):
            return "InvalidValue"
        change_password(station, value)
        return ""
    if len(value) > setting.max_chars:
        return "TooLargeElement"
    if setting.minimum is not None and not (value.isascii() and value.isdigit() and int(value) >= setting.minimum):
        return "InvalidValue"
    station.memory.settings[setting.name] = value
    station.note("setting changed", name=setting.name, value=value)
    if setting.name == "HeartbeatInterval":
        station.timer("heartbeat", float(value))
    return ""


def get(station: Station, payload: Payload) -> Payload:
    """GetConfiguration: those asked for, or all; secrets never."""
    asked = payload.get("key")
    found: list[Payload] = []
    unknown: list[str] = []
    for key in asked or [setting.key for setting in SETTINGS if setting.key]:
        setting = find_1_6(key)
        if _is_network_key(station, key):
            found.append(network_keys.read(station, key))
        elif setting is None:
            unknown.append(key)
        elif is_visible(setting):
            found.append(
                {"key": setting.key, "readonly": setting.access == "read", "value": value_of(station, setting)[:500]}
            )
    return {"configurationKey": found, **({"unknownKey": unknown} if unknown else {})}


def _is_network_key(station: Station, key: str) -> bool:
    return "network-keys" in station.quirks and key.lower() in network_keys.KEYS


def set_variables(station: Station, payload: Payload) -> Payload:
    """SetVariables, one after the other."""
    return {"setVariableResult": [_set_variable(station, each) for each in payload["setVariableData"]]}


def _set_variable(station: Station, asked: Payload) -> Payload:
    result: Payload = {"component": asked["component"], "variable": asked["variable"]}
    if "attributeType" in asked:
        result["attributeType"] = asked["attributeType"]
    status, reason = _set_status(station, asked)
    result["attributeStatus"] = status
    if reason:
        result["attributeStatusInfo"] = {"reasonCode": reason}
    return result


def _set_status(station: Station, asked: Payload) -> tuple[str, str]:
    component, variable, value = asked["component"]["name"], asked["variable"]["name"], asked["attributeValue"]
    if "no-security-actions" in station.quirks and component == "SecurityCtrlr":
        return "UnknownComponent", ""
    if station.quirks.concerns("rejects", "SetVariables"):
        return "Rejected", ""
    if component == network_variables.COMPONENT and station.memory.version == "2.1":
        return network_variables.set_variable(station, asked["component"].get("instance", ""), variable, value)
    setting = find_2_x(component, variable)
    if not isinstance(setting, Setting):
        return ("UnknownComponent" if setting == "component" else "UnknownVariable"), ""
    if asked.get("attributeType", "Actual") != "Actual":
        return "NotSupportedAttributeType", ""
    is_priority = setting.name == "NetworkConfigurationPriority"
    reason = network.set_priority(station, value) if is_priority else _write(station, setting, value)
    if setting.access == "write" and not reason:
        _clear_slot_password(station)
    return ("Rejected" if reason else "Accepted"), reason


def _clear_slot_password(station: Station) -> None:
    """2.1, B09.FR.27: the value set here counts, not that of the active network profile."""
    memory = station.memory
    slot = memory.slots[memory.active_slot]
    memory.slots[memory.active_slot] = msgspec.structs.replace(slot, password="")


def get_variables(station: Station, payload: Payload) -> Payload:
    """GetVariables, one after the other."""
    return {"getVariableResult": [_get_variable(station, each) for each in payload["getVariableData"]]}


def _get_variable(station: Station, asked: Payload) -> Payload:
    component, variable = asked["component"], asked["variable"]["name"]
    setting = find_2_x(component["name"], variable)
    result: Payload = {"component": asked["component"], "variable": asked["variable"]}
    if "attributeType" in asked:
        result["attributeType"] = asked["attributeType"]
    if component["name"] == network_variables.COMPONENT and station.memory.version == "2.1":
        status, found = network_variables.get_variable(station, component.get("instance", ""), variable)
        return {**result, "attributeStatus": status, **({"attributeValue": found} if found else {})}
    if not isinstance(setting, Setting):
        return {**result, "attributeStatus": "UnknownComponent" if setting == "component" else "UnknownVariable"}
    kind = asked.get("attributeType", "Actual")
    if kind == "MaxSet" and setting.name == "CertificateEntries":
        return {**result, "attributeStatus": "Accepted", "attributeValue": str(station.model.max_roots)}
    if kind != "Actual":
        return {**result, "attributeStatus": "NotSupportedAttributeType"}
    if not is_visible(setting):
        return {**result, "attributeStatus": "Rejected", "attributeStatusInfo": {"reasonCode": "WriteOnly"}}
    return {**result, "attributeStatus": "Accepted", "attributeValue": value_of(station, setting)}


def get_base_report(station: Station, payload: Payload) -> Payload:
    """GetBaseReport: NotifyReport messages follow, numbered, the last one says so (B07)."""
    rows = [_reported(station, setting) for setting in SETTINGS if setting.component]
    parts = [rows[start : start + _REPORTED_AT_ONCE] for start in range(0, len(rows), _REPORTED_AT_ONCE)]
    for number, part in enumerate(parts):
        report: Payload = {
            "requestId": payload["requestId"],
            "generatedAt": station.timestamp(),
            "seqNo": number,
            "tbc": number + 1 < len(parts),
            "reportData": part,
        }
        station.call("NotifyReport", report, triggered=True)
    return {"status": "Accepted"}


def _reported(station: Station, setting: Setting) -> Payload:
    mutability = {"read": "ReadOnly", "write": "WriteOnly", "both": "ReadWrite"}[setting.access]
    attribute: Payload = {"mutability": mutability}
    if is_visible(setting):
        attribute["value"] = value_of(station, setting)
    traits: dict[str, Any] = {
        "dataType": "integer" if setting.minimum is not None else "string",
        "supportsMonitoring": False,
    }
    if setting.name == "CertificateEntries":
        traits = {"dataType": "integer", "maxLimit": float(station.model.max_roots), "supportsMonitoring": False}
    if setting.name == "NetworkConfigurationPriority":
        numbers = ",".join(map(str, sorted(station.memory.slots)))
        traits = {"dataType": "SequenceList", "valuesList": numbers, "supportsMonitoring": False}
    return {
        "component": {"name": setting.component},
        "variable": {"name": setting.variable},
        "variableAttribute": [attribute],
        "variableCharacteristics": traits,
    }
