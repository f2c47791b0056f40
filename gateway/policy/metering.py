"""Meter readings, version-neutral: energy in Wh with its moment, state of charge in percent."""

import functools
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.policy.cel.times import parse_timestamp
from gateway.policy.items import bounded

__all__ = ["Reading", "all_of", "energies_wh", "readings", "states_of_charge"]

Payload = dict[str, Any]
_ENERGY: Final = "Energy.Active.Import.Register"
_TO_WH: Final = {"Wh": 1.0, "kWh": 1000.0}
_MAX_VALUE = 1e15
_MAX_READINGS: Final = 2_000
_MAX_STAMP_CHARS: Final = 64


class Reading(msgspec.Struct, frozen=True):
    """One reading of the energy import register."""

    wh: float
    stamp: str | None
    """Its moment as sent."""

    @property
    def at(self) -> float | None:
        """Seconds since the epoch, None where the message does not say. Most readings are never asked."""
        return None if self.stamp is None else _moment(self.stamp)


def _objects(value: Any) -> list[Payload]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _meter_values(payload: Payload) -> Iterator[Payload]:
    for name in ("meterValue", "transactionData"):
        yield from _objects(payload.get(name))


def _number(value: Any) -> float | None:
    """1.6 sends numbers as text, 2.x as numbers."""
    kind = type(value)
    if kind is not str and kind is not int and kind is not float:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if -_MAX_VALUE < number < _MAX_VALUE else None  # NaN and infinities fail this too


def _stamp(value: Any) -> str | None:
    return value if type(value) is str and len(value) <= _MAX_STAMP_CHARS else None


@functools.lru_cache(maxsize=8)
def _moment(stamp: str) -> float | None:
    """Cached, as readings of one moment come one after the other."""
    try:
        return parse_timestamp(stamp).timestamp()
    except ValueError:
        return None


def _energy(sample: Payload) -> float | None:
    """Wh of a sample of the whole register; a single phase is none."""
    if sample.get("measurand", _ENERGY) != _ENERGY or "phase" in sample:
        return None
    unit, multiplier = sample.get("unit", "Wh"), 0.0
    described = sample.get("unitOfMeasure")
    if described is None and unit == "Wh":
        return _number(sample.get("value"))
    if isinstance(described, dict):
        unit, multiplier = described.get("unit", "Wh"), _number(described.get("multiplier", 0)) or 0.0
    value = _number(sample.get("value"))
    if value is None or not isinstance(unit, str) or unit not in _TO_WH or abs(multiplier) > 9:  # noqa: PLR2004
        return None
    return float(value * _TO_WH[unit] * 10.0**multiplier)


def readings(payload: Payload) -> list[Reading]:
    """Readings of the energy import register: at the start, on the way, at the end.

    Of more than 2 000 the last one stands in place 2 001, and those between are left out: `all_of` refuses that list.
    """
    found: list[Reading] = []
    further: tuple[float, Payload] | None = None
    start, stop = _number(payload.get("meterStart")), _number(payload.get("meterStop"))
    if start is not None:
        found.append(Reading(start, _stamp(payload.get("timestamp"))))
    for value in _meter_values(payload):
        stamp = _stamp(value.get("timestamp"))
        for sample in _objects(value.get("sampledValue")):
            wh = _energy(sample)
            if wh is None:
                continue
            if len(found) < _MAX_READINGS:
                found.append(Reading(wh, stamp))
            else:
                further = wh, value
    if stop is not None:
        further = stop, payload
    if further is not None:
        found.append(Reading(further[0], _stamp(further[1].get("timestamp"))))
    return found


def all_of(found: list[Reading]) -> list[Reading]:
    """The same list if it has all `readings` of its message. Raises TooManyItems."""
    return bounded(found, _MAX_READINGS, "meter readings")


def energies_wh(payload: Payload) -> list[float]:
    """The same as numbers only."""
    return [reading.wh for reading in readings(payload)]


def states_of_charge(payload: Payload) -> list[float]:
    """State of charge in percent, from samples and from 2.x charging needs."""
    samples = (sample for value in _meter_values(payload) for sample in _objects(value.get("sampledValue")))
    found = [_number(sample.get("value")) for sample in samples if sample.get("measurand") == "SoC"]
    needs = payload.get("chargingNeeds")
    parameters = needs.get("dcChargingParameters") if isinstance(needs, dict) else None
    if isinstance(parameters, dict):
        found.append(_number(parameters.get("stateOfCharge")))
    return [value for value in found if value is not None]
