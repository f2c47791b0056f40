"""What the gateway says to move a charge point to another security profile, and what the answers mean. Pure.

1.6 has ChangeConfiguration of SecurityProfile and vendors' keys for the URL; 2.x SetNetworkProfile and the priority
list of network profiles; 2.1 also the variables of NetworkConfiguration (B09.FR.20 to 35).
"""

from typing import Any, Final, NamedTuple

from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from gateway.provisioning.messages import Message, status_of

__all__ = [
    "NetworkPlan",
    "address_in",
    "address_key",
    "address_question",
    "free_slots",
    "is_taken",
    "is_wrong_slot",
    "network_variables",
    "priority_message",
    "profile_key",
    "reset",
    "set_network_profile",
]

_PRIORITY: Final = ("OCPPCommCtrlr", "NetworkConfigurationPriority")
_SLOTS: Final = (1, 2, 0, 3, 4)
"""In which order they are tried: most charge points have two, numbered from 1 or from 0 (B09.FR.06)."""
_MESSAGE_TIMEOUT_S: Final = 30
_TAKEN: Final = frozenset({"Accepted", "RebootRequired"})


class NetworkPlan(NamedTuple):
    """A network profile that is to be set."""

    slot: int
    url: str
    security_profile: SecurityProfile
    interface: str


def profile_key(profile: SecurityProfile) -> Message:
    """1.6, A05: only upwards."""
    return Message("ChangeConfiguration", {"key": "SecurityProfile", "value": str(int(profile))})


def address_key(key: str, url: str) -> Message:
    """1.6: the standard has no key for it; vendors do."""
    return Message("ChangeConfiguration", {"key": key, "value": url})


def address_question(key: str) -> Message:
    """1.6: what is in it now, to be put back."""
    return Message("GetConfiguration", {"key": [key]})


def address_in(answer: Any, key: str) -> str:
    """From the result of `address_question`; empty where it does not say."""
    found = answer.get("configurationKey") if isinstance(answer, dict) else None
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict) and str(each.get("key", "")).lower() == key.lower():
            value = each.get("value")
            return value if isinstance(value, str) else ""
    return ""


def set_network_profile(version: OCPPVersion, plan: NetworkPlan) -> Message:
    """2.x, B09. 2.0.1 has no name for its own version and wants ``OCPP20``; in 2.1 the field says nothing."""
    data: dict[str, Any] = {
        "ocppTransport": "JSON",
        "ocppCsmsUrl": plan.url,
        "messageTimeout": _MESSAGE_TIMEOUT_S,
        "securityProfile": int(plan.security_profile),
        "ocppInterface": plan.interface,
    }
    if version is OCPPVersion.V2_0_1:
        data["ocppVersion"] = "OCPP20"
    return Message("SetNetworkProfile", {"configurationSlot": plan.slot, "connectionData": data})


def network_variables(plan: NetworkPlan) -> Message:
    """2.1: the same as variables of the slot, for charge points without SetNetworkProfile."""
    values = {
        "OcppCsmsUrl": plan.url,
        "OcppInterface": plan.interface,
        "OcppTransport": "JSON",
        "MessageTimeout": str(_MESSAGE_TIMEOUT_S),
        "SecurityProfile": str(int(plan.security_profile)),
    }
    component = {"name": "NetworkConfiguration", "instance": str(plan.slot)}
    asked = [
        {"component": component, "variable": {"name": name}, "attributeValue": value} for name, value in values.items()
    ]
    return Message("SetVariables", {"setVariableData": asked})


def priority_message(priority: str) -> Message:
    """2.x: which network profiles it tries, in this order, from its next start on (B10)."""
    component, variable = _PRIORITY
    asked = {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": priority}
    return Message("SetVariables", {"setVariableData": [asked]})


def reset(version: OCPPVersion) -> Message:
    """1.6: as certification does it (TC_083). 2.x: once no transaction runs (B12)."""
    return Message("Reset", {"type": "Hard" if version is OCPPVersion.V1_6 else "OnIdle"})


def free_slots(priority: str) -> tuple[int, ...]:
    """Slots to try, never one that is in use (B09.FR.21). `priority`: comma-separated, as the charge point has it."""
    used = {word.strip() for word in priority.split(",")}
    return tuple(slot for slot in _SLOTS if str(slot) not in used)


def is_taken(payload: Any) -> bool:
    """True if everything that was asked for in a message is accepted, perhaps from the next start on."""
    results = payload.get("setVariableResult") if isinstance(payload, dict) else None
    if isinstance(results, list):
        statuses = [each.get("attributeStatus") if isinstance(each, dict) else None for each in results]
        return bool(statuses) and all(status in _TAKEN for status in statuses)
    return status_of(payload) in {*_TAKEN, "Scheduled"}


def is_wrong_slot(payload: Any) -> bool:
    """True if a network profile was refused for the number of its slot (B09.FR.05), or nobody knows why."""
    if status_of(payload) != "Rejected":
        return False
    info = payload.get("statusInfo")
    reason = info.get("reasonCode") if isinstance(info, dict) else None
    return reason in {None, "InvalidConfSlot"}
