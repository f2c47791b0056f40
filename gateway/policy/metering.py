"""Meter readings, version-neutral: energy in Wh with its moment, state of charge in percent."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.policy.cel.times import parse_timestamp

__all__ = ["Reading", "energies_wh", "readings", "states_of_charge"]

Payload = dict[str, Any]
_ENERGY: Final = "Energy.Active.Import.Register"
_TO_WH: Final = {"Wh": 1.0, "kWh": 1000.0}
_MAX_VALUE = 1e15


class Reading(msgspec.Struct, frozen=True):
    """One reading of the energy import register."""

    wh: float
    at: float | None
    """Seconds since the epoch, None where the message does not say."""


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


def _moment(value: Any) -> float | None:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return parse_timestamp(value).timestamp()
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
    """Readings of the energy import register: at the start, on the way, at the end."""
    found: list[Reading] = []
    start, stop = _number(payload.get("meterStart")), _number(payload.get("meterStop"))
    moment = None if start is None and stop is None else _moment(payload.get("timestamp"))
    if start is not None:
        found.append(Reading(start, moment))
    for value in _meter_values(payload):
        energies = [wh for sample in _objects(value.get("sampledValue")) if (wh := _energy(sample)) is not None]
        if energies:
            at = _moment(value.get("timestamp"))
            found += [Reading(wh, at) for wh in energies]
    if stop is not None:
        found.append(Reading(stop, moment))
    return found


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
