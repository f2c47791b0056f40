"""Which settings decide how a charge point connects and proves itself, in every version. Pure.

Passwords are `gateway.ocpp.password_messages`; a call may set both.
"""

from typing import Any, Final

from gateway.ocpp.codec import Payload
from gateway.ocpp.vocabulary import name_of_setting

__all__ = ["changes_password", "changes_security"]

_KEY_1_6: Final = "authorizationkey"
_VARIABLE: Final = "basicauthpassword"
_KEYS: Final = frozenset(
    {
        "additionalrootcertificatecheck",
        "certificatesignedmaxchainsize",
        "certificatestoremaxlength",
        "cponame",
        "networkconfigurationpriority",
        "securityprofile",
    }
)
"""1.6: the white paper's, and one that vendors have brought back from 2.x."""
_SLOT_KEYS: Final = "networkconnectionprofile"
_SECURITY: Final = "securityctrlr"
_SLOTS: Final = "networkconfiguration"
_PRIORITY: Final = ("ocppcommctrlr", "networkconfigurationpriority")


def changes_password(action: str, payload: Payload) -> bool:
    """True if a call sets a password, whatever its value is."""
    if action == "SetNetworkProfile":
        connection = payload.get("connectionData")
        return isinstance(connection, dict) and "basicAuthPassword" in connection
    return any(_is_password(*each) for each in _settings(action, payload))


def changes_security(action: str, payload: Payload) -> bool:
    """True if a call sets anything else of this kind: the profile, the operator's name, where and how it connects."""
    return action == "SetNetworkProfile" or any(_is_security(*each) for each in _settings(action, payload))


def _is_password(component: str, name: str) -> bool:
    return name == (_VARIABLE if component else _KEY_1_6) and component in {"", _SECURITY, _SLOTS}


def _is_security(component: str, name: str) -> bool:
    if _is_password(component, name):
        return False
    if not component:
        return name in _KEYS or name.startswith(_SLOT_KEYS)
    return component in {_SECURITY, _SLOTS} or (component, name) == _PRIORITY


def _settings(action: str, payload: Payload) -> list[tuple[str, str]]:
    """Component and variable of each setting, in lower case; of 1.6 an empty component and the key."""
    if action == "ChangeConfiguration":
        key = payload.get("key")
        return [("", name_of_setting(key))] if isinstance(key, str) else []
    items = payload.get("setVariableData") if action == "SetVariables" else None
    objects = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [(_name(item, "component"), _name(item, "variable")) for item in objects if _name(item, "component")]


def _name(item: dict[str, Any], of: str) -> str:
    named = item.get(of)
    name = named.get("name") if isinstance(named, dict) else None
    return name_of_setting(name) if isinstance(name, str) else ""
