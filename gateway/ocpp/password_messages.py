"""The messages that give a charge point another password, in every version, and what their answers say (A01). Pure.

1.6    ChangeConfiguration AuthorizationKey, in hexadecimal digits
2.x    SetVariables SecurityCtrlr.BasicAuthPassword
2.1    also SetNetworkProfile and NetworkConfiguration.BasicAuthPassword, for a slot that is used later

Names of keys, components and variables differ in case only: they are the same (1.6 CiString, 2.x identifierString).
"""

from typing import Any, Final, Literal

from gateway.ocpp.codec import Payload
from gateway.ocpp.vocabulary import OCPPVersion, name_of_setting

__all__ = ["SETTING_ACTIONS", "Outcome", "outcome_of", "password_call", "passwords_in", "refusal_of"]

Outcome = Literal["accepted", "later", "refused", "unknown"]
"""`accepted`: in force. `later`: after a reboot, or with another network profile. `unknown`: nobody can tell."""

SETTING_ACTIONS: Final = frozenset({"ChangeConfiguration", "SetVariables", "SetNetworkProfile"})
_KEY_1_6: Final = "AuthorizationKey"
_COMPONENT, _VARIABLE = "SecurityCtrlr", "BasicAuthPassword"
_NAMES_ITS_VARIABLE: Final = ("component", "variable", "attributeType")
_OF_SLOTS: Final = "networkconfiguration"
_SAID: Final[dict[str, dict[str, Outcome]]] = {
    "ChangeConfiguration": {
        "Accepted": "accepted",
        "RebootRequired": "later",
        "Rejected": "refused",
        "NotSupported": "refused",
    },
    "SetVariables": {
        "Accepted": "accepted",
        "RebootRequired": "later",
        "Rejected": "refused",
        "UnknownComponent": "refused",
        "UnknownVariable": "refused",
        "NotSupportedAttributeType": "refused",
    },
    "SetNetworkProfile": {"Accepted": "later", "Rejected": "refused", "Failed": "refused"},
}
"""A01.FR.03, 04. A 2.x charge point that says RebootRequired may take the new one when it has rebooted."""


def password_call(version: OCPPVersion, password: str) -> tuple[str, dict[str, Any]]:
    """Action and payload that set `password`, which is text of 16 to 20 ASCII characters."""
    if version is OCPPVersion.V1_6:
        return "ChangeConfiguration", {"key": _KEY_1_6, "value": password.encode("ascii").hex().upper()}
    item = {"component": {"name": _COMPONENT}, "variable": {"name": _VARIABLE}, "attributeValue": password}
    return "SetVariables", {"setVariableData": [item]}


def passwords_in(action: str, payload: Payload) -> tuple[str, ...]:
    """The passwords that a call would set, as they stand in it; the schema has not been looked at."""
    if action == "ChangeConfiguration":
        key, value = payload.get("key"), payload.get("value")
        return (value,) if _is(key, _KEY_1_6) and isinstance(value, str) else ()
    if action == "SetVariables":
        values = (item.get("attributeValue") for item in _items(payload, "setVariableData") if _sets_password(item))
        return tuple(value for value in values if isinstance(value, str))
    if action == "SetNetworkProfile":
        connection = payload.get("connectionData")
        value = connection.get("basicAuthPassword") if isinstance(connection, dict) else None
        return (value,) if isinstance(value, str) else ()
    return ()


def outcome_of(action: str, payload: Payload, result: Any) -> Outcome:
    """What a result says of the password in the call `payload`."""
    if not isinstance(result, dict):
        return "unknown"
    if action != "SetVariables":
        return _outcome(action, result.get("status"))
    said = {_outcome(action, item.get("attributeStatus")) for item in _items(result, "setVariableResult")
            if _sets_password(item)}  # fmt: skip
    found: Outcome = said.pop() if len(said) == 1 else "unknown"
    set_here = [item for item in _items(payload, "setVariableData") if _sets_password(item)]
    of_slots = any(_is(_name(item, "component"), _OF_SLOTS) for item in set_here)
    return "later" if found == "accepted" and of_slots else found


def refusal_of(action: str, payload: Payload) -> dict[str, Any]:
    """The result that says no, as the charge point would say it. A call that sets several things is refused whole."""
    if action != "SetVariables":
        return {"status": "Rejected"}
    items = _items(payload, "setVariableData")
    refused = [
        {"attributeStatus": "Rejected"} | {name: item[name] for name in _NAMES_ITS_VARIABLE if name in item}
        for item in items
    ]
    return {"setVariableResult": refused}


def _outcome(action: str, status: Any) -> Outcome:
    return _SAID[action].get(status, "unknown") if isinstance(status, str) else "unknown"


def _sets_password(item: dict[str, Any]) -> bool:
    component = _name(item, "component")
    return (_is(component, _COMPONENT) or _is(component, _OF_SLOTS)) and _is(_name(item, "variable"), _VARIABLE)


def _items(payload: Payload, name: str) -> list[dict[str, Any]]:
    items = payload.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _name(item: dict[str, Any], of: str) -> Any:
    named = item.get(of)
    return named.get("name") if isinstance(named, dict) else None


def _is(text: Any, name: str) -> bool:
    return isinstance(text, str) and name_of_setting(text) == name.lower()
