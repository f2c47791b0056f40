"""What a charge point says of itself before its security profile is changed: questions by version, answers read. Pure."""

import datetime
from typing import Any, Final

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.messages import Message, status_of
from gateway.provisioning.network_keys import NetworkKeys

__all__ = ["InstalledRoot", "StationFacts", "facts_of", "questions", "roots_of", "roots_question"]

_KEYS_1_6: Final = ["SecurityProfile", "CpoName", "CertificateStoreMaxLength"]
_VARIABLES: Final = (
    ("OCPPCommCtrlr", "NetworkConfigurationPriority", ""),
    ("OCPPCommCtrlr", "ActiveNetworkProfile", ""),
    ("SecurityCtrlr", "SecurityProfile", ""),
    ("ClockCtrlr", "DateTime", ""),
    ("SecurityCtrlr", "CertificateEntries", ""),
    ("SecurityCtrlr", "CertificateEntries", "MaxSet"),
    ("SecurityCtrlr", "AllowSecurityProfileDowngrade", ""),
)
_AT_A_TIME: Final = 4
"""DeviceDataCtrlr.ItemsPerMessage may be small."""


class InstalledRoot(msgspec.Struct, frozen=True, kw_only=True):
    """CertificateHashData of a root that it knows its CSMS by."""

    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


class StationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Empty or None is what it does not say."""

    security_profile: str = ""
    priority: str = ""
    active_slot: str = ""
    clock: float | None = None
    """Seconds since the epoch by its own clock."""
    certificates: int | None = None
    max_certificates: int | None = None
    allows_downgrade: bool | None = None
    roots: tuple[InstalledRoot, ...] | None = None
    network_keys: NetworkKeys | None = None
    """1.6, of some vendors."""
    unheard: str = ""
    """Why something that decides was asked and not answered at all: its line broke, say. Empty: everything was."""


def questions(version: OCPPVersion) -> tuple[Message, ...]:
    """What it is asked, beside its roots."""
    if version is OCPPVersion.V1_6:
        return (Message("GetConfiguration", {"key": _KEYS_1_6}),)
    parts = [_VARIABLES[start : start + _AT_A_TIME] for start in range(0, len(_VARIABLES), _AT_A_TIME)]
    return tuple(Message("GetVariables", {"getVariableData": [_asked(*each) for each in part]}) for part in parts)


def _asked(component: str, variable: str, attribute: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"component": {"name": component}, "variable": {"name": variable}}
    return {**asked, "attributeType": attribute} if attribute else asked


def roots_question(version: OCPPVersion) -> Message:
    """Which roots it knows its CSMS by (M03)."""
    if version is OCPPVersion.V1_6:
        return Message("GetInstalledCertificateIds", {"certificateType": "CentralSystemRootCertificate"})
    return Message("GetInstalledCertificateIds", {"certificateType": ["CSMSRootCertificate"]})


def facts_of(version: OCPPVersion, answers: tuple[Any, ...], roots: tuple[InstalledRoot, ...] | None) -> StationFacts:
    """From the results of `questions`, None where there was none."""
    if version is OCPPVersion.V1_6:
        return StationFacts(security_profile=_keys(answers[0]).get("SecurityProfile", ""), roots=roots)
    said: dict[tuple[str, str, str], str] = {}
    for answer in answers:
        said |= _variables(answer)
    downgrade = said.get(_VARIABLES[6], "")
    return StationFacts(
        priority=said.get(_VARIABLES[0], ""),
        active_slot=said.get(_VARIABLES[1], ""),
        security_profile=said.get(_VARIABLES[2], ""),
        clock=_time(said.get(_VARIABLES[3], "")),
        certificates=_number(said.get(_VARIABLES[4], "")),
        max_certificates=_number(said.get(_VARIABLES[5], "")),
        allows_downgrade=downgrade.lower() == "true" if downgrade else None,
        roots=roots,
    )


def _keys(answer: Any) -> dict[str, str]:
    found = answer.get("configurationKey") if isinstance(answer, dict) else None
    return {
        each["key"]: each["value"]
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, dict) and isinstance(each.get("key"), str) and isinstance(each.get("value"), str)
    }


def _variables(answer: Any) -> dict[tuple[str, str, str], str]:
    results = answer.get("getVariableResult") if isinstance(answer, dict) else None
    found = {}
    for each in results if isinstance(results, list) else ():
        value = each.get("attributeValue") if isinstance(each, dict) else None
        if not isinstance(value, str) or each.get("attributeStatus") != "Accepted":
            continue
        kind = each.get("attributeType", "Actual")
        key = (_name(each, "component"), _name(each, "variable"), "" if kind == "Actual" else str(kind))
        found[key] = value
    return found


def _name(result: dict[str, Any], which: str) -> str:
    named = result.get(which)
    name = named.get("name") if isinstance(named, dict) else None
    return name if isinstance(name, str) else ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None  # noqa: PLR2004  a count


def _time(text: str) -> float | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)).timestamp()


def roots_of(version: OCPPVersion, answer: Any) -> tuple[InstalledRoot, ...] | None:
    """From the result of `roots_question`; None where it does not say."""
    status = status_of(answer)
    if status == "NotFound":
        return ()
    if status != "Accepted":
        return None
    if version is OCPPVersion.V1_6:
        data = answer.get("certificateHashData")
    else:
        chains = answer.get("certificateHashDataChain")
        data = [each.get("certificateHashData") for each in chains if isinstance(each, dict)] if chains else []
    return tuple(map(_root, filter(lambda each: isinstance(each, dict), data or ())))


def _root(data: dict[str, Any]) -> InstalledRoot:
    return InstalledRoot(
        hash_algorithm=str(data.get("hashAlgorithm", "")),
        issuer_name_hash=str(data.get("issuerNameHash", "")),
        issuer_key_hash=str(data.get("issuerKeyHash", "")),
        serial_number=str(data.get("serialNumber", "")),
    )
