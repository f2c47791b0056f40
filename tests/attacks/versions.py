"""Messages written for one version, said in another: the same attack on charge points of every version.

A case may give one message for all its versions although it is one of 1.6 only. Where it does not fit, it is translated if
there is an equivalent; a message that has none is not sent in that version.
"""

import json
from collections.abc import Callable
from typing import Any

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.actions import lookup
from gateway.ocpp.vocabulary import OCPPVersion, Origin

__all__ = ["in_version", "known_in", "may_send"]

Payload = dict[str, Any]
_TOKEN_TYPE = "ISO14443"


def _parsed(text: str) -> tuple[int, str, str, Payload] | None:
    """(type, id, action, payload) of what looks like a call or SEND."""
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    match frame:
        case [2 | 6 as kind, str(message_id), str(action), dict(payload)]:
            return kind, message_id, action, payload
        case _:
            return None


def _known(action: str) -> bool:
    return any(lookup(version, action) is not None for version in OCPPVersion)


def _fits(text: str, version: str) -> bool:
    """False if it is a call of an action of another version, or one whose payload is not of this version."""
    parsed = _parsed(text)
    if parsed is None or not _known(parsed[2]):
        return True
    own = OCPPVersion(version)
    if lookup(own, parsed[2]) is None:
        return False
    return schema_gate(own).check(parsed[2], "call", parsed[3]) is None


def known_in(text: str, version: str) -> bool:
    """False if it is a call of an action that this version does not have."""
    parsed = _parsed(text)
    return parsed is None or lookup(OCPPVersion(version), parsed[2]) is not None


def may_send(text: str, version: str, side: str) -> bool:
    """False if it is a call that only the other side may send."""
    parsed = _parsed(text)
    action = lookup(OCPPVersion(version), parsed[2]) if parsed is not None else None
    return action is None or (Origin.CSMS if side == "csms" else Origin.CHARGE_POINT) in action.senders


def _boot(payload: Payload) -> tuple[str, Payload]:
    station = {"vendorName": payload["chargePointVendor"], "model": payload["chargePointModel"]}
    return "BootNotification", {"reason": "PowerUp", "chargingStation": station}


def _authorize(payload: Payload) -> tuple[str, Payload]:
    return "Authorize", {"idToken": {"idToken": payload["idTag"], "type": _TOKEN_TYPE}}


def _status(payload: Payload) -> tuple[str, Payload]:
    status = (
        payload["status"] if payload["status"] in {"Available", "Reserved", "Unavailable", "Faulted"} else "Occupied"
    )
    moment = payload.get("timestamp", "2026-01-01T00:00:00Z")
    number = payload["connectorId"]
    return "StatusNotification", {
        "timestamp": moment,
        "connectorStatus": status,
        "evseId": number,
        "connectorId": min(number, 1),
    }


def _reset(payload: Payload) -> tuple[str, Payload]:
    return "Reset", {"type": {"Hard": "Immediate", "Soft": "OnIdle"}[payload["type"]]}


def _profile(payload: Payload) -> tuple[str, Payload]:
    profile = dict(payload["csChargingProfiles"])
    profile["id"] = profile.pop("chargingProfileId")
    profile["chargingSchedule"] = [{"id": 1, **profile["chargingSchedule"]}]
    return "SetChargingProfile", {"evseId": payload["connectorId"], "chargingProfile": profile}


def _start(payload: Payload) -> tuple[str, Payload]:
    return "TransactionEvent", {
        "eventType": "Started",
        "timestamp": payload["timestamp"],
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": f"tx-{payload['meterStart']}"},
        "idToken": {"idToken": payload["idTag"], "type": _TOKEN_TYPE},
    }


def _configuration(payload: Payload) -> tuple[str, Payload]:
    item = {
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": payload["key"]},
        "attributeValue": payload["value"],
    }
    return "SetVariables", {"setVariableData": [item]}


_TO_2_X: dict[str, Callable[[Payload], tuple[str, Payload]]] = {
    "Authorize": _authorize,
    "BootNotification": _boot,
    "ChangeConfiguration": _configuration,
    "Reset": _reset,
    "SetChargingProfile": _profile,
    "StartTransaction": _start,
    "StatusNotification": _status,
}


def in_version(text: str, version: str) -> str | None:
    """The message in this version: as it is if it fits, else its equivalent, None if it has none."""
    if _fits(text, version):
        return text
    parsed = _parsed(text)
    if parsed is None or version == "1.6" or parsed[2] not in _TO_2_X:
        return None
    kind, message_id, action, payload = parsed
    try:
        made = json.dumps([kind, message_id, *_TO_2_X[action](payload)], separators=(",", ":"))
    except (KeyError, TypeError):
        return None
    return made
