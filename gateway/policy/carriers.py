"""Where things ride: per action, the places of charging limits, tokens, URLs, configuration keys, certificates. Tables and walks.

The same attack can come in RemoteStartTransaction, in the third schedule of a 2.0.1 profile or in PublishFirmware; a rule
on a fact sees them all, a rule on one JSON path does not. Total on any payload: what has the wrong shape is left out,
because the schema gate may be soft. Charging limits are not: a receiver may read what the schema forbids, so a number in
quotes is that number, what is no number at all is a limit without end, and without a known unit a limit is one in both.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

__all__ = [
    "TAKES_SET_POINT",
    "charging_limits",
    "configuration_changes",
    "connectors",
    "is_signed_firmware",
    "longest_list",
    "named_strings",
    "pem_texts",
    "periods",
    "schedule_start",
    "set_point_w",
    "texts_named",
    "tokens",
    "url_texts",
]

Payload = dict[str, Any]

_MAX_STRINGS = 10_000
_CSMS_URL: Final = "ocppCsmsUrl"
"""In a network profile; 2.1 has it as a variable of the component NetworkConfiguration as well."""
_URL_NAMES: Final = frozenset({"location", "remoteLocation", _CSMS_URL, "responderURL", "receiptUrl", "urls"})
_WITH_PLACES_OF_MEASURING: Final = frozenset({"MeterValues", "StopTransaction", "TransactionEvent"})
"""There `location` says where a value was measured (Outlet, EV, ...), and is no URL."""
_PEM_ONLY: Final = frozenset({"certificate", "certificateChain", "signingCertificate"})
_LIMIT_NAMES: Final = tuple(
    f"{name}{phase}"
    for name in ("limit", "dischargeLimit", "setpoint", "setpointReactive", "v2xBaseline")
    for phase in ("", "_L2", "_L3")
)


def _objects(value: Any) -> list[Payload]:
    """A list of objects from an object or a list of them."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf
    return None if math.isnan(number) else number


TAKES_SET_POINT: Final = frozenset(
    {
        "AFRRSignal",
        "RemoteStartTransaction",
        "RequestStartTransaction",
        "SetChargingProfile",
        "SetDERControl",
        "UpdateDynamicSchedule",
    }
)
"""Calls with which a CSMS sets one, and whose result says whether the charge point has accepted it."""


def _schedules(payload: Payload) -> Iterator[Payload]:
    """Every charging schedule in a payload, whichever action and version carries it."""
    for name in ("csChargingProfiles", "chargingProfile"):
        for profile in _objects(payload.get(name)):
            yield from _objects(profile.get("chargingSchedule"))


def schedule_start(payload: Payload) -> str:
    """When the first schedule that says so starts, as sent; empty where it is relative or there is none."""
    starts = (schedule.get("startSchedule") for schedule in _schedules(payload))
    return next((start for start in starts if isinstance(start, str)), "")


def set_point_w(action: str, payload: Payload, volts: float = 230.0) -> float:
    """What a message sets first, in watt: a limit in ampere counts for its phases (3 where it does not say). -1: nothing."""
    for schedule in _schedules(payload):
        for period in _objects(schedule.get("chargingSchedulePeriod"))[:1]:
            limit = _number(period.get("limit", period.get("setpoint")))
            phases = _number(period.get("numberPhases")) or 3.0
            if limit is not None:
                return abs(limit) * (volts * phases if schedule.get("chargingRateUnit") == "A" else 1.0)
    limits = [value for _, value in charging_limits(action, payload)]
    return limits[0] if limits else -1.0


def charging_limits(action: str, payload: Payload) -> Iterator[tuple[str, float]]:
    """(unit ``A`` or ``W``, magnitude) of every limit and set-point; discharge counts as much as charge."""
    for schedule in _schedules(payload):
        unit = schedule.get("chargingRateUnit")
        for known in (unit,) if unit in ("A", "W") else ("A", "W"):
            for holder in (*_objects(schedule.get("chargingSchedulePeriod")), *_objects(schedule.get("limitAtSoC"))):
                yield from _magnitudes(holder, known)
    if action == "UpdateDynamicSchedule":
        for update in _objects(payload.get("scheduleUpdate")):
            yield from _magnitudes(update, "W")
    if action == "AFRRSignal":
        yield from _magnitude(payload.get("signal"), "W")


def _magnitudes(item: Payload, unit: str) -> Iterator[tuple[str, float]]:
    for name in _LIMIT_NAMES:
        yield from _magnitude(item.get(name), unit)
    for curve in ("v2xFreqWattCurve", "v2xSignalWattCurve"):
        for point in _objects(item.get(curve)):
            yield from _magnitude(point.get("power"), "W")


def _magnitude(value: Any, unit: str) -> Iterator[tuple[str, float]]:
    if value is not None:
        number = _number(value)
        yield unit, math.inf if number is None else abs(number)


def periods(payload: Payload) -> list[list[float]]:
    """Start seconds of the periods of each schedule, as sent."""
    found = []
    for schedule in _schedules(payload):
        starts = [_number(period.get("startPeriod")) for period in _objects(schedule.get("chargingSchedulePeriod"))]
        found.append([start for start in starts if start is not None])
    return found


def tokens(payload: Payload) -> Iterator[str]:
    """Every token: idTag and idToken wherever they stand, local lists included."""
    for name in ("idTag", "parentIdTag"):
        if isinstance(payload.get(name), str):
            yield payload[name]
    for name in ("idToken", "groupIdToken"):
        for holder in _objects(payload.get(name)):
            if isinstance(holder.get("idToken"), str):
                yield holder["idToken"]
    for entry in _objects(payload.get("localAuthorizationList")):
        yield from tokens(entry)


def configuration_changes(action: str, payload: Payload) -> Iterator[tuple[str, str]]:
    """(key, value) of what a message sets: 1.6 keys as sent, 2.x as ``Component.Variable``, network profiles as both."""
    if action == "ChangeConfiguration" and isinstance(payload.get("key"), str):
        yield payload["key"], str(payload.get("value", ""))
    if action == "SetVariables":
        for item in _objects(payload.get("setVariableData")):
            component, variable = item.get("component"), item.get("variable")
            if isinstance(component, dict) and isinstance(variable, dict):
                yield f"{component.get('name')}.{variable.get('name')}", str(item.get("attributeValue", ""))
    if action == "SetNetworkProfile":
        for data in _objects(payload.get("connectionData")):
            for name, label in (("securityProfile", "SecurityProfile"), ("ocppCsmsUrl", "OcppCsmsUrl")):
                if name in data:
                    yield f"NetworkConfiguration.{label}", str(data[name])
            if "basicAuthPassword" in data:
                yield "NetworkConfiguration.BasicAuthPassword", str(data["basicAuthPassword"])


def url_texts(action: str, payload: Payload) -> Iterator[str]:
    """Every text in a place that OCPP gives to a URL: firmware, logs, the CSMS, OCSP responders, displayed links."""
    if action in _WITH_PLACES_OF_MEASURING:
        return
    for name, text in named_strings(payload):
        if name in _URL_NAMES:
            yield text
    if action == "SetVariables":
        for key, value in configuration_changes(action, payload):
            if key.strip().lower().endswith("." + _CSMS_URL.lower()):
                yield value
    for message in _displayed(payload):
        if message.get("format") == "URI" and isinstance(message.get("content"), str):
            yield message["content"]


def _displayed(payload: Payload) -> Iterator[Payload]:
    """MessageContent objects, wherever a message shows one."""
    for name in ("message", "messageExtra", "personalMessage", "personalMessageExtra"):
        for message in _objects(payload.get(name)):
            yield message
            yield from _displayed(message)


def connectors(payload: Payload) -> Iterator[int]:
    """Every connector and EVSE number that a message names, at the top or in an `evse`."""
    holders = [payload, *_objects(payload.get("evse"))]
    for holder in holders:
        for name in ("connectorId", "evseId", "id") if holder is not payload else ("connectorId", "evseId"):
            value = holder.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                yield value


def longest_list(payload: Payload) -> int:
    """Length of the longest list anywhere in a payload."""
    longest, waiting = 0, [payload]
    while waiting:
        value: Any = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            longest = max(longest, len(value))
            waiting.extend(value)
    return longest


def is_signed_firmware(payload: Payload) -> bool:
    """Whether a firmware update carries a certificate and a signature that a charge point could check."""
    return any(
        bool(item.get("signingCertificate")) and bool(item.get("signature"))
        for item in _objects(payload.get("firmware"))
    )


def pem_texts(payload: Payload, *, requests: bool) -> Iterator[str]:
    """Certificates, or (with `requests`) certificate signing requests, as sent."""
    for name, text in named_strings(payload):
        if (name == "csr") if requests else (name in _PEM_ONLY):
            yield text


def named_strings(payload: Payload) -> Iterator[tuple[str, str]]:
    """Every text value in a payload with the name it stands under, at most 10 000."""
    waiting: list[tuple[str, Any]] = [("", payload)]
    count = 0
    while waiting and count < _MAX_STRINGS:
        name, value = waiting.pop()
        if isinstance(value, str):
            count += 1
            yield name, value
        elif isinstance(value, dict):
            waiting.extend(reversed(list(value.items())))
        elif isinstance(value, list):
            waiting.extend((name, item) for item in reversed(value))


def texts_named(wanted: str, payload: Payload) -> list[str]:
    """Every text value that stands under a name, in the order of the payload; also those in a list under it."""
    found: list[str] = []
    _collect(wanted, payload, found)
    return found


def _collect(wanted: str, container: Payload, found: list[str]) -> None:
    """Recursive, as the codec bounds the depth."""
    if wanted not in container:  # most objects: only what is in them can be of interest
        for value in container.values():
            kind = type(value)
            if kind is dict:
                _collect(wanted, value, found)
            elif kind is list:
                _collect_of_list(wanted, value, found, is_wanted=False)
        return
    for name, value in container.items():
        kind = type(value)
        if kind is str:
            if name == wanted:
                found.append(value)
        elif kind is dict:
            _collect(wanted, value, found)
        elif kind is list:
            _collect_of_list(wanted, value, found, is_wanted=name == wanted)


def _collect_of_list(wanted: str, items: list[Any], found: list[str], *, is_wanted: bool) -> None:
    """`is_wanted`: the list stands under the name."""
    for value in items:
        kind = type(value)
        if kind is dict:
            _collect(wanted, value, found)
        elif kind is list:
            _collect_of_list(wanted, value, found, is_wanted=is_wanted)
        elif is_wanted and kind is str:
            found.append(value)
