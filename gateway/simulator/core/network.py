"""Where to connect next time: network profiles (B09, B10), security profile (A05). What is staged here counts after a reset.

Nothing ever lowers the security profile, and nothing is accepted whose prerequisites are missing (A05.FR.01 to 05).
"""

from typing import Final

import msgspec

from gateway.simulator.core.memory import NetworkSlot
from gateway.simulator.core.station import Payload, Station

__all__ = ["SLOTS", "apply_staged", "raise_profile", "set_priority", "set_profile", "set_url"]

SLOTS: Final = range(1, 5)
"""Numbers of the slots that there are."""
_TLS: Final = 2
_CLIENT_CERTIFICATE: Final = 3
_APPLIES_ITSELF_S: Final = 60.0
"""1.6: a new profile is used after so long, if nobody sends a Reset."""


def apply_staged(station: Station) -> None:
    """At the start: what was staged is what is tried first."""
    memory = station.memory
    if memory.next_priority:
        memory.priority, memory.next_priority = memory.next_priority, []


def _missing(station: Station, slot: NetworkSlot) -> str:
    """What a slot needs that is not there; empty: nothing."""
    memory, profile = station.memory, slot.security_profile
    if profile < _CLIENT_CERTIFICATE and not (slot.password or memory.password):
        return "a password"
    if profile >= _TLS and not any(root.certificate_type == "CSMSRootCertificate" for root in memory.roots):
        return "a root"
    if profile == _CLIENT_CERTIFICATE and not memory.certificates:
        return "a certificate"
    return ""


def _refused(station: Station, reason: str, detail: str = "") -> Payload:
    station.note("network profile rejected", reason=reason, detail=detail)
    return {"status": "Rejected", "statusInfo": {"reasonCode": reason}}


def _fits(profile: int, url: str) -> bool:
    return profile in (1, 2, 3) and url.startswith("wss://" if profile >= _TLS else "ws://")


def set_profile(station: Station, payload: Payload) -> Payload:
    """SetNetworkProfile."""
    number, data = payload["configurationSlot"], payload["connectionData"]
    profile, url = data["securityProfile"], data["ocppCsmsUrl"].rstrip("/")
    if number not in SLOTS:
        return _refused(station, "InvalidConfSlot")
    if profile < station.memory.security_profile:
        return _refused(station, "NoSecurityDowngrade")
    if data["ocppTransport"] != "JSON" or not _fits(profile, url):
        return _refused(station, "InvalidNetworkConf")
    station.memory.slots[number] = NetworkSlot(
        url=url,
        security_profile=profile,
        message_timeout_s=max(1, data["messageTimeout"]),
        identity=data.get("identity", ""),
        password=data.get("basicAuthPassword", ""),
    )
    station.note("network profile set", slot=number, url=url, security_profile=profile)
    return {"status": "Accepted"}


def set_priority(station: Station, value: str) -> str:
    """NetworkConfigurationPriority: an empty text if it is accepted, else why not (A05.FR.02, 03)."""
    try:
        numbers = [int(word) for word in value.split(",")]
    except ValueError:
        return "InvalidValue"
    memory = station.memory
    for number in numbers:
        slot = memory.slots.get(number)
        if slot is None or not _fits(slot.security_profile, slot.url):
            return "InvalidNetworkConf"
        if slot.security_profile < memory.security_profile:
            return "NoSecurityDowngrade"
        if slot.security_profile > memory.security_profile and (missing := _missing(station, slot)):
            station.note("network priority rejected", missing=missing)
            return "InvalidNetworkConf"
    memory.next_priority = list(dict.fromkeys(numbers))
    return ""


def raise_profile(station: Station, value: str) -> str:
    """1.6, ChangeConfiguration of SecurityProfile: the status."""
    if value not in ("1", "2", "3") or int(value) <= station.memory.security_profile:
        return "Rejected"
    profile = int(value)
    staged = _staged(station)
    url = staged.url
    if profile >= _TLS and not url.startswith("wss://"):
        url = station.model.secure_url.rstrip("/") or f"wss://{url.partition('://')[2]}"
    slot = msgspec.structs.replace(staged, url=url, security_profile=profile)
    if missing := _missing(station, slot):
        station.note("security profile rejected", missing=missing)
        return "Rejected"
    _stage(station, slot)
    station.note("security profile staged", security_profile=profile, url=url)
    return "Accepted"


def set_url(station: Station, value: str) -> str:
    """1.6, the vendor's key for the URL: the status."""
    if not value.startswith(("ws://", "wss://")):
        return "Rejected"
    if station.memory.security_profile >= _TLS and not value.startswith("wss://"):
        return "Rejected"
    _stage(station, msgspec.structs.replace(_staged(station), url=value.rstrip("/")))
    return "Accepted"


def _staged(station: Station) -> NetworkSlot:
    memory = station.memory
    return memory.slots[memory.next_priority[0]] if memory.next_priority else station.slot


def _stage(station: Station, slot: NetworkSlot) -> None:
    """The new one first, what works now as the fall-back."""
    memory = station.memory
    current = memory.priority[station.live.place]
    number = 1 if current == 2 else 2  # noqa: PLR2004  the other one of two
    memory.slots[number] = slot
    memory.next_priority = [number, current]
    station.timer("apply-profile", _APPLIES_ITSELF_S)
