"""Security events: names and which are critical, by version (1.6 white paper chapter 8, part 2 appendix 1)."""

from typing import Final

from gateway.simulator.core.station import Station

__all__ = ["report"]

_NAMES_1_6: Final = {
    "InvalidCsmsCertificate": "InvalidCentralSystemCertificate",
    "InvalidChargingStationCertificate": "InvalidChargePointCertificate",
}
_ALWAYS_CRITICAL: Final = frozenset(
    {"FirmwareUpdated", "SettingSystemTime", "StartupOfTheDevice", "ResetOrReboot", "MemoryExhaustion"}
)
_CRITICAL_IN_2_X: Final = frozenset(
    {
        "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate",
        "InvalidCsmsCertificate",
        "InvalidChargingStationCertificate",
        "DiscardedRenewedClientCertificate",
    }
)
_EXPECTED_IN_1_6: Final = frozenset({"InvalidCsmsCertificate", "InvalidChargingStationCertificate"})
"""Not critical there, but sent all the same (M05, A02 of the white paper; TC_077, TC_078)."""
_MAX_INFO_CHARS: Final = 255
_MAX_ALIKE: Final = 10
"""So many of one kind wait for a connection; a wrong clock must not fill the memory."""


def report(station: Station, event: str, info: str = "") -> None:
    """Tell the CSMS, with guaranteed delivery (A04.FR.02), if this event is to be sent. `event`: its 2.x name."""
    wanted = _ALWAYS_CRITICAL | (_EXPECTED_IN_1_6 if station.is_1_6 else _CRITICAL_IN_2_X)
    name = _NAMES_1_6.get(event, event) if station.is_1_6 else event
    station.note("security event", type=name)
    if event not in wanted:
        return
    alike = sum(queued.payload.get("type") == name for queued in station.memory.queue)
    if alike >= _MAX_ALIKE:
        return
    payload = {"type": name, "timestamp": station.timestamp()}
    station.call_surely("SecurityEventNotification", payload | ({"techInfo": info[:_MAX_INFO_CHARS]} if info else {}))
