"""Configuration keys of 1.6 and variables of 2.x: one table, two ways of asking. Both write the same memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from gateway.simulator.core.station import Station

__all__ = ["SETTINGS", "Setting", "find_1_6", "find_2_x", "is_visible", "value_of"]

Access = Literal["read", "write", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One of them. An empty name: this version does not know it."""

    key: str = ""
    """OCPP 1.6."""
    component: str = ""
    variable: str = ""
    """OCPP 2.x."""
    access: Access
    default: str = ""
    minimum: int | None = None
    """Of a number; None: it is text."""
    max_chars: int = 500
    computed: Callable[[Station], str] | None = None
    """Where the value is not in the memory's settings."""

    @property
    def name(self) -> str:
        """Under which the memory keeps it."""
        return self.variable or self.key


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _slots(station: Station) -> str:
    return ",".join(map(str, station.memory.next_priority or station.memory.priority))


SETTINGS: Final = (
    Setting(
        key="HeartbeatInterval",
        component="OCPPCommCtrlr",
        variable="HeartbeatInterval",
        access="both",
        default="300",
        minimum=1,
    ),
    Setting(
        key="WebSocketPingInterval",
        component="OCPPCommCtrlr",
        variable="WebSocketPingInterval",
        access="both",
        default="0",
        minimum=0,
    ),
    Setting(
        key="MeterValueSampleInterval",
        component="SampledDataCtrlr",
        variable="TxUpdatedInterval",
        access="both",
        default="10",
        minimum=0,
    ),
    Setting(
        key="TransactionMessageAttempts",
        component="OCPPCommCtrlr",
        variable="MessageAttempts",
        access="both",
        default="3",
        minimum=1,
    ),
    Setting(
        key="TransactionMessageRetryInterval",
        component="OCPPCommCtrlr",
        variable="MessageAttemptInterval",
        access="both",
        default="10",
        minimum=1,
    ),
    Setting(
        key="RetryBackOffWaitMinimum",
        component="OCPPCommCtrlr",
        variable="RetryBackOffWaitMinimum",
        access="both",
        default="5",
        minimum=0,
    ),
    Setting(
        key="RetryBackOffRandomRange",
        component="OCPPCommCtrlr",
        variable="RetryBackOffRandomRange",
        access="both",
        default="2",
        minimum=0,
    ),
    Setting(
        key="RetryBackOffRepeatTimes",
        component="OCPPCommCtrlr",
        variable="RetryBackOffRepeatTimes",
        access="both",
        default="5",
        minimum=0,
    ),
    Setting(
        key="NetworkProfileConnectionAttempts",
        component="OCPPCommCtrlr",
        variable="NetworkProfileConnectionAttempts",
        access="both",
        default="3",
        minimum=1,
    ),
    Setting(
        component="OCPPCommCtrlr",
        variable="ActiveNetworkProfile",
        access="read",
        computed=lambda station: str(station.memory.active_slot),
    ),
    Setting(component="OCPPCommCtrlr", variable="NetworkConfigurationPriority", access="both", computed=_slots),
    Setting(
        key="SecurityProfile",
        access="both",
        computed=lambda station: str(station.memory.security_profile),
    ),
    Setting(
        component="SecurityCtrlr",
        variable="SecurityProfile",
        access="read",
        computed=lambda station: str(station.memory.security_profile),
    ),
    Setting(component="ClockCtrlr", variable="DateTime", access="read", computed=lambda station: station.timestamp()),
    Setting(key="AuthorizationKey", component="SecurityCtrlr", variable="BasicAuthPassword", access="write"),
    Setting(key="CpoName", component="SecurityCtrlr", variable="OrganizationName", access="both", max_chars=64),
    Setting(
        component="SecurityCtrlr", variable="Identity", access="read", computed=lambda station: station.memory.identity
    ),
    Setting(
        key="CertificateStoreMaxLength",
        access="read",
        computed=lambda station: str(station.model.max_roots),
    ),
    Setting(
        component="SecurityCtrlr",
        variable="CertificateEntries",
        access="read",
        computed=lambda station: str(len(station.memory.roots)),
    ),
    Setting(
        key="CertificateSignedMaxChainSize",
        component="SecurityCtrlr",
        variable="MaxCertificateChainSize",
        access="read",
        computed=lambda station: str(station.model.max_chain_chars),
    ),
    Setting(
        key="AdditionalRootCertificateCheck",
        component="SecurityCtrlr",
        variable="AdditionalRootCertificateCheck",
        access="read",
        computed=lambda station: _flag(station.model.additional_root_check),
    ),
    Setting(
        key="CertSigningWaitMinimum",
        component="SecurityCtrlr",
        variable="CertSigningWaitMinimum",
        access="both",
        default="300",
        minimum=1,
    ),
    Setting(
        key="CertSigningRepeatTimes",
        component="SecurityCtrlr",
        variable="CertSigningRepeatTimes",
        access="both",
        default="3",
        minimum=0,
    ),
    Setting(key="CentralSystemURL", access="both", computed=lambda station: station.slot.url),
    Setting(key="NumberOfConnectors", access="read", computed=lambda _: "1"),
    Setting(
        key="SupportedFeatureProfiles",
        access="read",
        computed=lambda _: "Core,FirmwareManagement,RemoteTrigger,Security",
    ),
    Setting(
        key="SupportedFileTransferProtocols",
        component="OCPPCommCtrlr",
        variable="FileTransferProtocols",
        access="read",
        computed=lambda _: "HTTPS",
    ),
)
"""CentralSystemURL is no key of the standard: 1.6 has none for it, and vendors have each their own."""

_BY_KEY: Final = {setting.key.lower(): setting for setting in SETTINGS if setting.key}
_BY_VARIABLE: Final = {
    (setting.component.lower(), setting.variable.lower()): setting for setting in SETTINGS if setting.component
}


def find_1_6(key: str) -> Setting | None:
    """By its key; upper and lower case are the same (1.6, 5.3)."""
    return _BY_KEY.get(key.lower())


def find_2_x(component: str, variable: str) -> Setting | Literal["component", "variable"]:
    """By its names; else which of the two is unknown."""
    found = _BY_VARIABLE.get((component.lower(), variable.lower()))
    if found is not None:
        return found
    is_known = any(setting.component.lower() == component.lower() for setting in SETTINGS)
    return "variable" if is_known else "component"


def is_visible(setting: Setting) -> bool:
    """False for secrets."""
    return setting.access != "write"


def value_of(station: Station, setting: Setting) -> str:
    """What it is now."""
    if setting.computed is not None:
        return setting.computed(station)
    return station.memory.settings.get(setting.name, setting.default)
