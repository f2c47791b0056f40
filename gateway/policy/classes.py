"""Action classes: one name for every action that does the same thing, in all versions, and every carrier of a payload.

A rule on `@firmware` holds for UpdateFirmware, SignedUpdateFirmware and PublishFirmware; `-Signed` forms need no entry, as
they are judged by their inner call.
"""

from collections.abc import Iterable
from typing import Final

from gateway.ocpp.actions import lookup
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["CLASSES", "expand", "is_class", "spelt_out"]

CLASSES: Final[dict[str, frozenset[str]]] = {
    name: frozenset(members.split())
    for name, members in {
        "@firmware": "UpdateFirmware SignedUpdateFirmware PublishFirmware",
        "@charging_profile": (
            "SetChargingProfile RemoteStartTransaction RequestStartTransaction UpdateDynamicSchedule SetDERControl"
        ),
        "@remote_start": "RemoteStartTransaction RequestStartTransaction",
        "@remote_stop": "RemoteStopTransaction RequestStopTransaction",
        "@disruptive": (
            "Reset ChangeAvailability UnlockConnector RemoteStopTransaction RequestStopTransaction UpdateFirmware "
            "SignedUpdateFirmware PublishFirmware ChangeConfiguration SetVariables SetNetworkProfile ClearCache "
            "InstallCertificate DeleteCertificate SendLocalList"
        ),
        "@reset": "Reset ChangeAvailability UnlockConnector",
        "@security_config": "ChangeConfiguration SetVariables SetNetworkProfile",
        "@certificates": (
            "InstallCertificate DeleteCertificate CertificateSigned SignCertificate GetInstalledCertificateIds "
            "Get15118EVCertificate GetCertificateStatus GetCertificateChainStatus"
        ),
        "@logs": "GetDiagnostics GetLog",
        "@local_list": "SendLocalList GetLocalListVersion",
        "@reservation": "ReserveNow CancelReservation",
        "@transaction": "StartTransaction StopTransaction TransactionEvent MeterValues",
        "@authorize": "Authorize StartTransaction TransactionEvent",
        "@trigger": "TriggerMessage ExtendedTriggerMessage",
        "@display": "SetDisplayMessage ClearDisplayMessage GetDisplayMessages",
        "@tariff": "SetDefaultTariff ChangeTransactionTariff ClearTariffs CostUpdated",
        "@monitoring": "SetMonitoringBase SetMonitoringLevel SetVariableMonitoring ClearVariableMonitoring",
        "@privacy": "CustomerInformation NotifyCustomerInformation",
        "@vendor": "DataTransfer",
    }.items()
}
"""Members by class name. TRANSACTION messages carry billing data: rules on them alert rather than deny (P032)."""


def is_class(name: str) -> bool:
    """True for a word that names a class rather than an action."""
    return name.startswith("@")


def expand(names: tuple[str, ...], version: OCPPVersion) -> frozenset[str]:
    """The actions of `version` that a rule's `action` list means; ``*`` is every action there is.

    Raises KeyError for a class that does not exist. Actions of other versions are left out.
    """
    found: set[str] = set()
    for name in names:
        if name == "*":
            return frozenset({"*"})
        members = CLASSES[name] if is_class(name) else {name}
        found.update(member for member in members if lookup(version, member) is not None)
    return frozenset(found)


def spelt_out(names: Iterable[str]) -> frozenset[str]:
    """The actions that names of actions and of classes mean, in whatever version."""
    return frozenset(action for name in names for action in CLASSES.get(name, (name,)))
