"""Where things ride: per action, the places of charging limits, tokens, URLs, configuration keys, certificates. Tables and walks.

The same attack can come in RemoteStartTransaction, in the third schedule of a 2.0.1 profile or in PublishFirmware; a rule
on a fact sees them all, a rule on one JSON path does not. Total on any payload: what has the wrong shape is left out,
because the schema gate may be soft. Charging limits are not: a receiver may read what the schema forbids, so a number in
quotes is that number, what is no number at all is a limit without end, and without a known unit a limit is one in both.

Walks visit each value of a message once, and it has 10 000 at most (the codec sees to that).
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from gateway.ocpp.vocabulary import name_of_setting

__all__ = [
    "TAKES_SET_POINT",
    "Contents",
    "charging_limits",
    "configuration_changes",
    "connectors",
    "is_signed_firmware",
    "period_count",
    "periods",
    "plain",
    "schedule_start",
    "set_point_w",
    "tokens",
    "url_texts",
]

Payload = dict[str, Any]

_CSMS_URL: Final = "ocppCsmsUrl"
"""In a network profile; 2.1 has it as a variable of the component NetworkConfiguration as well."""
_URL_NAMES: Final = frozenset({"location", "remoteLocation", _CSMS_URL, "responderURL", "receiptUrl", "urls"})
_WITH_PLACES_OF_MEASURING: Final = frozenset({"MeterValues", "StopTransaction", "TransactionEvent"})
"""There `location` says where a value was measured (Outlet, EV, ...), and is no URL."""
_LIMIT_NAMES: Final = tuple(
    f"{name}{phase}"
    for name in ("limit", "dischargeLimit", "setpoint", "setpointReactive", "v2xBaseline")
    for phase in ("", "_L2", "_L3")
)
_CURVES: Final = ("v2xFreqWattCurve", "v2xSignalWattCurve")
_HOLDS_LIMIT: Final = frozenset(_LIMIT_NAMES + _CURVES)
_ONLY_A_LIMIT: Final = frozenset({"limit"})


def _objects(value: Any) -> list[Payload]:
    """A list of objects from an object or a list of them."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]


def _first_object(value: Any) -> Payload | None:
    items = value if isinstance(value, list) else [value]
    return next((item for item in items if isinstance(item, dict)), None)


def _number(value: Any) -> float | None:
    kind = type(value)
    if kind is not float and kind is not int and kind is not str:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf
    return number if number == number else None  # noqa: PLR0124  NaN is not itself


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
        period = _first_object(schedule.get("chargingSchedulePeriod"))
        if period is not None:
            limit = _number(period.get("limit", period.get("setpoint")))
            phases = _number(period.get("numberPhases")) or 3.0
            if limit is not None:
                return abs(limit) * (volts * phases if schedule.get("chargingRateUnit") == "A" else 1.0)
    _, limit = next(charging_limits(action, payload), ("", -1.0))
    return limit


def charging_limits(action: str, payload: Payload) -> Iterator[tuple[str, float]]:
    """(unit ``A`` or ``W``, magnitude) of every limit and set-point; discharge counts as much as charge."""
    for schedule in _schedules(payload):
        unit = schedule.get("chargingRateUnit")
        units = (unit,) if unit in ("A", "W") else ("A", "W")
        for name in ("chargingSchedulePeriod", "limitAtSoC"):
            for holder in _objects(schedule.get(name)):
                held = _HOLDS_LIMIT.intersection(holder)
                if held == _ONLY_A_LIMIT and holder["limit"] is not None:  # as in nearly all
                    magnitude = _magnitude(holder["limit"])
                    for unit in units:
                        yield unit, magnitude
                elif held:
                    yield from _magnitudes(holder, units)
    if action == "UpdateDynamicSchedule":
        for update in _objects(payload.get("scheduleUpdate")):
            yield from _magnitudes(update, ("W",))
    if action == "AFRRSignal" and payload.get("signal") is not None:
        yield "W", _magnitude(payload["signal"])


def _magnitudes(item: Payload, units: Iterable[str]) -> Iterator[tuple[str, float]]:
    for name in _LIMIT_NAMES:
        if name in item and item[name] is not None:
            magnitude = _magnitude(item[name])
            for unit in units:
                yield unit, magnitude
    for curve in _CURVES:
        for point in _objects(item.get(curve)):
            if point.get("power") is not None:
                yield "W", _magnitude(point["power"])


def _magnitude(value: Any) -> float:
    number = _number(value)
    return math.inf if number is None else abs(number)


def periods(payload: Payload) -> list[list[float]]:
    """Start seconds of the periods of each schedule, as sent."""
    found = []
    for schedule in _schedules(payload):
        starts = [_number(period.get("startPeriod")) for period in _objects(schedule.get("chargingSchedulePeriod"))]
        found.append([start for start in starts if start is not None])
    return found


def period_count(payload: Payload) -> int:
    """Number of schedule periods in all."""
    return sum(len(_objects(schedule.get("chargingSchedulePeriod"))) for schedule in _schedules(payload))


def tokens(payload: Payload) -> Iterator[str]:
    """Every token: idTag and idToken wherever they stand, local lists included."""
    for name in ("idTag", "parentIdTag"):
        text = payload.get(name)
        if type(text) is str:
            yield text
    for name in ("idToken", "groupIdToken"):
        if name in payload:
            for holder in _objects(payload[name]):
                text = holder.get("idToken")
                if type(text) is str:
                    yield text
    if "localAuthorizationList" in payload:
        for entry in _objects(payload["localAuthorizationList"]):
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


def plain(key: str) -> str:
    """What a key of `configuration_changes` is compared by: each of its parts is a name without case."""
    return ".".join(map(name_of_setting, key.split(".")))


def _is_csms_url(key: str) -> bool:
    return plain(key).endswith("." + _CSMS_URL.lower())


def url_texts(action: str, payload: Payload, contents: "Contents") -> Iterator[str]:
    """Every text in a place that OCPP gives to a URL: firmware, logs, the CSMS, OCSP responders, displayed links."""
    if action in _WITH_PLACES_OF_MEASURING:
        return
    yield from contents.under(_URL_NAMES)
    if action == "SetVariables":
        for key, value in configuration_changes(action, payload):
            if _is_csms_url(key):
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


def is_signed_firmware(payload: Payload) -> bool:
    """Whether a firmware update carries a certificate and a signature that a charge point could check."""
    return any(
        bool(item.get("signingCertificate")) and bool(item.get("signature"))
        for item in _objects(payload.get("firmware"))
    )


class Contents:
    """What one walk through a payload finds."""

    __slots__ = ("_distinct", "longest_list", "names", "texts")

    def __init__(self, payload: Payload) -> None:
        self.names: list[str] = []
        """For each text the name that it, or the list around it, stands under."""
        self.texts: list[str] = []
        """Every text, in the order of the payload."""
        self.longest_list = _walk(payload, self.names.append, self.texts.append)
        self._distinct = frozenset(self.names)

    def under(self, wanted: frozenset[str]) -> Iterator[str]:
        """Texts that stand under one of these names."""
        if self._distinct.isdisjoint(wanted):
            return iter(())
        return (text for name, text in zip(self.names, self.texts, strict=True) if name in wanted)


_Note = Callable[[str], None]


def _walk(container: Payload, add_name: _Note, add_text: _Note) -> int:
    """Note every text and its name; the length of the longest list. Recursive, as the codec bounds the depth."""
    longest = 0
    for name, value in container.items():
        kind = type(value)
        if kind is str:
            add_name(name)
            add_text(value)
        elif kind is dict or kind is list:
            within = _walk(value, add_name, add_text) if kind is dict else _walk_list(name, value, add_name, add_text)
            if within > longest:  # noqa: PLR1730  a call for every list takes longer
                longest = within
    return longest


def _walk_list(name: str, items: list[Any], add_name: _Note, add_text: _Note) -> int:
    longest = len(items)
    for value in items:
        kind = type(value)
        if kind is str:
            add_name(name)
            add_text(value)
        elif kind is dict or kind is list:
            within = _walk(value, add_name, add_text) if kind is dict else _walk_list(name, value, add_name, add_text)
            if within > longest:  # noqa: PLR1730  a call for every list takes longer
                longest = within
    return longest
