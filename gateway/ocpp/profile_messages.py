"""The messages by which a CSMS gives a charge point another security profile, and what their answers say (A05). Pure.

1.6    ChangeConfiguration SecurityProfile
2.x    SetNetworkProfile, for a slot that is used later
2.1    also SetVariables NetworkConfiguration.SecurityProfile
"""

from typing import Any, Final

from gateway.ocpp.codec import Payload
from gateway.ocpp.vocabulary import SecurityProfile, name_of_setting

__all__ = ["profile_given"]

_KEY_1_6: Final = "securityprofile"
_VARIABLE: Final = ("networkconfiguration", "securityprofile")
_YES: Final = frozenset({"Accepted", "RebootRequired"})
_PROFILES: Final = {str(int(profile)): profile for profile in SecurityProfile}


def profile_given(action: str, payload: Payload, result: Payload) -> SecurityProfile | None:
    """The profile that the charge point has taken, to use it now or later: the highest of several. None: none."""
    if action == "SetVariables":
        said = {_number(item) for item in _items(result, "setVariableResult") if _says_yes(item, "attributeStatus")}
        given = [item for item in _items(payload, "setVariableData") if _names(item) == _VARIABLE]
        taken = [_PROFILES.get(str(item.get("attributeValue")).strip()) for item in given if _number(item) in said]
        return max((each for each in taken if each is not None), default=None)
    if not _says_yes(result, "status"):
        return None
    if action == "ChangeConfiguration":
        key, value = payload.get("key"), payload.get("value")
        is_it = isinstance(key, str) and name_of_setting(key) == _KEY_1_6 and isinstance(value, str)
        return _PROFILES.get(str(value).strip()) if is_it else None
    connection = payload.get("connectionData") if action == "SetNetworkProfile" else None
    profile = connection.get("securityProfile") if isinstance(connection, dict) else None
    return _PROFILES.get(str(profile)) if type(profile) is int else None


def _says_yes(answer: dict[str, Any], field: str) -> bool:
    status = answer.get(field)
    return isinstance(status, str) and status in _YES


def _items(payload: Payload, name: str) -> list[dict[str, Any]]:
    items = payload.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _names(item: dict[str, Any]) -> tuple[str, str]:
    component, variable = item.get("component"), item.get("variable")
    found = [each.get("name") if isinstance(each, dict) else None for each in (component, variable)]
    first, second = (name_of_setting(each) if isinstance(each, str) else "" for each in found)
    return first, second


def _number(item: dict[str, Any]) -> tuple[str, str, str]:
    """Which variable of which slot it is about."""
    component = item.get("component")
    instance = component.get("instance") if isinstance(component, dict) else None
    return (*_names(item), instance if isinstance(instance, str) else "")
