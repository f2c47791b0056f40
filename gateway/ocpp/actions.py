"""Every action of every version: who may send it, and the block (2.x) or profile (1.6) it belongs to.

A table and one dict access. Whether an action is *allowed* here and now is policy, which is elsewhere.
Sources: OCPP 1.6 and its security white paper; part 2 of 2.0.1 and 2.1, chapters A to S.
"""

from typing import Final

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion, Origin

__all__ = ["Action", "actions", "lookup"]


class Action(msgspec.Struct, frozen=True):
    """One action of one version."""

    name: str
    """Exactly as on the wire; names are case-sensitive (part 4, 4.2.1)."""
    block: str
    senders: frozenset[Origin]
    """CHARGE_POINT, CSMS or, for DataTransfer, both. The gateway's own calls go in the direction of the CSMS's."""
    is_send: bool = False
    """True if it travels as SEND (message type 6) and is never answered; all others are Calls."""


_UP: Final = frozenset({Origin.CHARGE_POINT})
_DOWN: Final = frozenset({Origin.CSMS})
_BOTH: Final = _UP | _DOWN

_Rows = tuple[tuple[str, frozenset[Origin], str], ...]
"""Block, senders, names separated by blanks."""

_V1_6: Final[_Rows] = (
    (
        "Core",
        _UP,
        "Authorize BootNotification Heartbeat MeterValues StartTransaction StatusNotification StopTransaction",
    ),
    ("Core", _BOTH, "DataTransfer"),
    (
        "Core",
        _DOWN,
        "ChangeAvailability ChangeConfiguration ClearCache GetConfiguration RemoteStartTransaction "
        "RemoteStopTransaction Reset UnlockConnector",
    ),
    ("FirmwareManagement", _UP, "DiagnosticsStatusNotification FirmwareStatusNotification"),
    ("FirmwareManagement", _DOWN, "GetDiagnostics UpdateFirmware"),
    (
        "Security",
        _UP,
        "LogStatusNotification SecurityEventNotification SignCertificate SignedFirmwareStatusNotification",
    ),
    (
        "Security",
        _DOWN,
        "CertificateSigned DeleteCertificate ExtendedTriggerMessage GetInstalledCertificateIds GetLog "
        "InstallCertificate SignedUpdateFirmware",
    ),
    ("LocalAuthListManagement", _DOWN, "GetLocalListVersion SendLocalList"),
    ("Reservation", _DOWN, "CancelReservation ReserveNow"),
    ("SmartCharging", _DOWN, "ClearChargingProfile GetCompositeSchedule SetChargingProfile"),
    ("RemoteTrigger", _DOWN, "TriggerMessage"),
)

_V2_0_1: Final[_Rows] = (
    ("A Security", _UP, "SecurityEventNotification SignCertificate"),
    ("A Security", _DOWN, "CertificateSigned"),
    ("B Provisioning", _UP, "BootNotification NotifyReport"),
    (
        "B Provisioning",
        _DOWN,
        "GetBaseReport GetReport GetVariables Reset SetNetworkProfile SetVariables",
    ),
    ("C Authorization", _UP, "Authorize"),
    ("C Authorization", _DOWN, "ClearCache"),
    ("D LocalAuthorizationListManagement", _DOWN, "GetLocalListVersion SendLocalList"),
    ("E Transactions", _UP, "TransactionEvent"),
    ("E Transactions", _DOWN, "GetTransactionStatus"),
    ("F RemoteControl", _DOWN, "RequestStartTransaction RequestStopTransaction TriggerMessage UnlockConnector"),
    ("G Availability", _UP, "Heartbeat StatusNotification"),
    ("G Availability", _DOWN, "ChangeAvailability"),
    ("H Reservation", _UP, "ReservationStatusUpdate"),
    ("H Reservation", _DOWN, "CancelReservation ReserveNow"),
    ("I TariffAndCost", _DOWN, "CostUpdated"),
    ("J MeterValues", _UP, "MeterValues"),
    (
        "K SmartCharging",
        _UP,
        "ClearedChargingLimit NotifyChargingLimit NotifyEVChargingNeeds NotifyEVChargingSchedule "
        "ReportChargingProfiles",
    ),
    (
        "K SmartCharging",
        _DOWN,
        "ClearChargingProfile GetChargingProfiles GetCompositeSchedule SetChargingProfile",
    ),
    ("L FirmwareManagement", _UP, "FirmwareStatusNotification PublishFirmwareStatusNotification"),
    ("L FirmwareManagement", _DOWN, "PublishFirmware UnpublishFirmware UpdateFirmware"),
    ("M CertificateManagement", _UP, "Get15118EVCertificate GetCertificateStatus"),
    ("M CertificateManagement", _DOWN, "DeleteCertificate GetInstalledCertificateIds InstallCertificate"),
    ("N Diagnostics", _UP, "LogStatusNotification NotifyCustomerInformation NotifyEvent NotifyMonitoringReport"),
    (
        "N Diagnostics",
        _DOWN,
        "ClearVariableMonitoring CustomerInformation GetLog GetMonitoringReport SetMonitoringBase "
        "SetMonitoringLevel SetVariableMonitoring",
    ),
    ("O DisplayMessage", _UP, "NotifyDisplayMessages"),
    ("O DisplayMessage", _DOWN, "ClearDisplayMessage GetDisplayMessages SetDisplayMessage"),
    ("P DataTransfer", _BOTH, "DataTransfer"),
)

_ADDED_IN_2_1: Final[_Rows] = (
    ("C Authorization", _UP, "NotifySettlement VatNumberValidation"),
    ("C Authorization", _DOWN, "NotifyWebPaymentStarted"),
    ("I TariffAndCost", _DOWN, "ChangeTransactionTariff ClearTariffs GetTariffs SetDefaultTariff"),
    ("K SmartCharging", _UP, "NotifyPriorityCharging PullDynamicScheduleUpdate"),
    ("K SmartCharging", _DOWN, "UpdateDynamicSchedule UsePriorityCharging"),
    ("M CertificateManagement", _UP, "GetCertificateChainStatus"),
    ("N Diagnostics", _UP, "ClosePeriodicEventStream OpenPeriodicEventStream"),
    ("N Diagnostics", _DOWN, "AdjustPeriodicEventStream GetPeriodicEventStream"),
    ("Q BidirectionalPowerTransfer", _DOWN, "AFRRSignal NotifyAllowedEnergyTransfer"),
    ("R DERControl", _UP, "NotifyDERAlarm NotifyDERStartStop ReportDERControl"),
    ("R DERControl", _DOWN, "ClearDERControl GetDERControl SetDERControl"),
    ("S BatterySwapping", _UP, "BatterySwap"),
    ("S BatterySwapping", _DOWN, "RequestBatterySwap"),
)

_PERIODIC_EVENT_STREAM: Final = Action("NotifyPeriodicEventStream", "N Diagnostics", _UP, is_send=True)


def _table(*parts: _Rows) -> dict[str, Action]:
    return {
        name: Action(name, block, senders) for rows in parts for block, senders, names in rows for name in names.split()
    }


_TABLES: Final[dict[OCPPVersion, dict[str, Action]]] = {
    OCPPVersion.V1_6: _table(_V1_6),
    OCPPVersion.V2_0_1: _table(_V2_0_1),
    OCPPVersion.V2_1: _table(_V2_0_1, _ADDED_IN_2_1) | {_PERIODIC_EVENT_STREAM.name: _PERIODIC_EVENT_STREAM},
}


def lookup(version: OCPPVersion, action: str) -> Action | None:
    """The action of that exact name in that version; None if there is no such action."""
    return _TABLES[version].get(action)


def actions(version: OCPPVersion) -> tuple[Action, ...]:
    """All actions of a version: 39 in 1.6, 64 in 2.0.1, 90 and one SEND in 2.1."""
    return tuple(_TABLES[version].values())
