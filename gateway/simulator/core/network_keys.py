"""OCPP 1.6 with network profiles in configuration keys, as some vendors have them: a quirk, for there is no standard for it."""

from typing import Final

from gateway.simulator.core.memory import NetworkSlot
from gateway.simulator.core.station import Payload, Station

__all__ = ["KEYS", "change", "read"]

_SLOTS: Final = {"networkconnectionprofile1": 1, "networkconnectionprofile2": 2}
_PRIORITY: Final = "networkconfigurationpriority"
KEYS: Final = frozenset({*_SLOTS, _PRIORITY})
"""In lower case."""
_NAMES: Final = {1: "NetworkConnectionProfile1", 2: "NetworkConnectionProfile2"}


def read(station: Station, key: str) -> Payload:
    """One row of GetConfiguration."""
    memory = station.memory
    number = _SLOTS.get(key.lower())
    if number is None:
        order = memory.next_priority or memory.priority
        return {
            "key": "NetworkConfigurationPriority",
            "readonly": False,
            "value": ",".join(_NAMES[each] for each in order if each in _NAMES),
        }
    slot = memory.slots.get(number)
    return {"key": _NAMES[number], "readonly": False, "value": slot.url if slot is not None else ""}


def change(station: Station, key: str, value: str) -> str:
    """ChangeConfiguration: the status. What is in use stays as it is until the next start."""
    memory = station.memory
    number = _SLOTS.get(key.lower())
    if number is None:
        numbers = [_SLOTS.get(word.strip().lower(), 0) for word in value.split(",")]
        if not numbers or any(each not in memory.slots for each in numbers):
            return "Rejected"
        memory.next_priority = numbers
        station.note("network priority staged", priority=numbers)
        return "RebootRequired"
    in_use = memory.priority[station.live.place]
    if not value.startswith(("ws://", "wss://")) or number == in_use:
        return "Rejected"
    memory.slots[number] = NetworkSlot(url=value.rstrip("/"), security_profile=memory.security_profile)
    station.note("network profile set", slot=number, url=value, security_profile=memory.security_profile)
    return "Accepted"
