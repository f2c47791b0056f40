"""OCPP 2.1: network profiles as variables, component NetworkConfiguration, one instance for each slot (B09.FR.20 to 35).

A slot may be filled in any order, so it is judged as a whole when it enters the priority list (`network.set_priority`).
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.simulator.core.credentials import is_acceptable_password
from gateway.simulator.core.memory import NetworkSlot
from gateway.simulator.core.network import SLOTS
from gateway.simulator.core.station import Station

__all__ = ["COMPONENT", "get_variable", "set_variable"]

COMPONENT: Final = "NetworkConfiguration"
_FIELDS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "OcppCsmsUrl": ("url", lambda text: text.rstrip("/")),
    "SecurityProfile": ("security_profile", int),
    "MessageTimeout": ("message_timeout_s", lambda text: max(1, int(text))),
    "Identity": ("identity", str),
    "BasicAuthPassword": ("password", str),
}
_FIXED: Final = {"OcppTransport": "JSON", "OcppInterface": "Wired0", "OcppVersion": "OCPP21"}


def _slot_number(instance: str) -> int | None:
    return int(instance) if instance.isascii() and instance.isdigit() and int(instance) in SLOTS else None


def set_variable(station: Station, instance: str, variable: str, value: str) -> tuple[str, str]:
    """The status and a reason code."""
    memory, number = station.memory, _slot_number(instance)
    if number is None:
        return "UnknownComponent", ""
    if number in memory.priority or number in memory.next_priority:
        return "Rejected", "ActiveNetworkConf"  # B09.FR.22
    if variable in _FIXED:
        return (
            ("Accepted", "") if variable != "OcppTransport" or value == "JSON" else ("Rejected", "InvalidNetworkConf")
        )
    if variable not in _FIELDS:
        return "UnknownVariable", ""
    if variable == "BasicAuthPassword" and not is_acceptable_password(station, value):
        return "Rejected", "InvalidValue"
    field, convert = _FIELDS[variable]
    try:
        converted = convert(value)
    except ValueError:
        return "Rejected", "InvalidValue"
    if variable == "SecurityProfile" and converted < memory.security_profile:
        return "Rejected", "NoSecurityDowngrade"  # B09.FR.32
    slot = memory.slots.get(number) or NetworkSlot(url="", security_profile=memory.security_profile)
    memory.slots[number] = msgspec.structs.replace(slot, **{field: converted})
    station.note("network profile changed", slot=number, variable=variable)
    return "Accepted", ""


def get_variable(station: Station, instance: str, variable: str) -> tuple[str, str]:
    """The status and the value."""
    number = _slot_number(instance)
    slot = station.memory.slots.get(number) if number is not None else None
    if slot is None:
        return "UnknownComponent", ""
    if variable in _FIXED:
        return "Accepted", _FIXED[variable]
    if variable not in _FIELDS:
        return "UnknownVariable", ""
    if variable == "BasicAuthPassword":
        return "Rejected", ""
    return "Accepted", str(getattr(slot, _FIELDS[variable][0]))
