"""What the gateway says to a charge point about its certificate, and what the answers mean. Pure; one row per version."""

from typing import Any, Final, NamedTuple

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.enrolment import CHARGING_STATION

__all__ = [
    "MAX_CHAIN_CHARS",
    "Message",
    "ask_chain_limit",
    "ask_organization",
    "certificate_signed",
    "chain_limit",
    "organization_of",
    "set_organization",
    "status_of",
    "trigger",
]

MAX_CHAIN_CHARS: Final = 10_000
"""OCPP: certificateChain is string[0..10000]."""
_LIMIT_1_6: Final = "CertificateSignedMaxChainSize"
_LIMIT_2: Final = ("SecurityCtrlr", "MaxCertificateChainSize")
_NAME_1_6: Final = "CpoName"
_NAME_2: Final = ("SecurityCtrlr", "OrganizationName")


class Message(NamedTuple):
    """A call."""

    action: str
    payload: dict[str, Any]


def trigger(version: OCPPVersion) -> Message:
    """A02: make a key and ask. Without connectorId, which has no meaning here."""
    if version is OCPPVersion.V1_6:
        return Message("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
    return Message("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})


def certificate_signed(
    version: OCPPVersion, chain: str, *, certificate_type: str = "", request_id: int | None = None
) -> Message:
    """The certificate with those above it, PEM.

    2.x: the type, which is that of the request (A02.FR.14) and named also where that left it out, because certification
    asks for it. 2.1: the request's id (A02.FR.24), without which the charge point would refuse it.
    """
    payload: dict[str, Any] = {"certificateChain": chain}
    if version.is_2x:
        payload["certificateType"] = certificate_type or CHARGING_STATION
    if version is OCPPVersion.V2_1 and request_id is not None:
        payload["requestId"] = request_id
    return Message("CertificateSigned", payload)


def ask_chain_limit(version: OCPPVersion) -> Message:
    """How long a chain it takes."""
    return _ask(version, _LIMIT_1_6, _LIMIT_2)


def ask_organization(version: OCPPVersion) -> Message:
    """Which operator it puts into its request (A02.FR.13)."""
    return _ask(version, _NAME_1_6, _NAME_2)


def organization_of(version: OCPPVersion, answer: Any) -> str | None:
    """From the result of `ask_organization`; None where it does not say."""
    text = _value_1_6(answer, _NAME_1_6) if version is OCPPVersion.V1_6 else _value_2(answer)
    return text if isinstance(text, str) else None


def set_organization(version: OCPPVersion, name: str) -> Message:
    """The name that its certificate is to have as O."""
    if version is OCPPVersion.V1_6:
        return Message("ChangeConfiguration", {"key": _NAME_1_6, "value": name})
    component, variable = _NAME_2
    asked = {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": name}
    return Message("SetVariables", {"setVariableData": [asked]})


def _ask(version: OCPPVersion, key: str, variable: tuple[str, str]) -> Message:
    if version is OCPPVersion.V1_6:
        return Message("GetConfiguration", {"key": [key]})
    asked = {"component": {"name": variable[0]}, "variable": {"name": variable[1]}}
    return Message("GetVariables", {"getVariableData": [asked]})


def chain_limit(version: OCPPVersion, answer: Any) -> int:
    """Characters of PEM, from the result of `ask_chain_limit`; what OCPP permits where it does not say."""
    text = _value_1_6(answer, _LIMIT_1_6) if version is OCPPVersion.V1_6 else _value_2(answer)
    if isinstance(text, str) and text.strip().isascii() and text.strip().isdigit() and len(text.strip()) <= 9:  # noqa: PLR2004
        said = int(text)
        return min(said, MAX_CHAIN_CHARS) if said else MAX_CHAIN_CHARS
    return MAX_CHAIN_CHARS


def _value_1_6(answer: Any, key: str) -> Any:
    keys = answer.get("configurationKey") if isinstance(answer, dict) else None
    for each in keys if isinstance(keys, list) else ():
        if isinstance(each, dict) and each.get("key") == key:
            return each.get("value", "")
    return None


def _value_2(answer: Any) -> Any:
    results = answer.get("getVariableResult") if isinstance(answer, dict) else None
    first = results[0] if isinstance(results, list) and results else None
    if isinstance(first, dict) and first.get("attributeStatus") == "Accepted":
        return first.get("attributeValue")
    return None


def status_of(answer: Any) -> str:
    """The status in a result; empty where there is none."""
    status = answer.get("status") if isinstance(answer, dict) else None
    return status if isinstance(status, str) else ""
