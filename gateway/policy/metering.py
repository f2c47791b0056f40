"""Meter readings, version-neutral: energy in Wh, state of charge in percent."""

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["energies_wh", "states_of_charge"]

Payload = dict[str, Any]
_ENERGY: Final = "Energy.Active.Import.Register"
_TO_WH: Final = {"Wh": 1.0, "kWh": 1000.0}


def _objects(value: Any) -> list[Payload]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _samples(payload: Payload) -> Iterator[Payload]:
    for name in ("meterValue", "transactionData"):
        for reading in _objects(payload.get(name)):
            yield from _objects(reading.get("sampledValue"))


def _number(value: Any) -> float | None:
    """1.6 sends numbers as text, 2.x as numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None  # noqa: PLR2004  NaN and infinities fail this too


def energies_wh(action: str, payload: Payload) -> list[float]:
    """Readings of the energy import register in Wh, in the order of the message."""
    found = [_number(payload.get(name)) for name in ("meterStart", "meterStop") if action and name in payload]
    for sample in _samples(payload):
        if sample.get("measurand", _ENERGY) != _ENERGY or "phase" in sample:
            continue
        unit = sample.get("unit")
        multiplier = 0.0
        described = sample.get("unitOfMeasure")
        if isinstance(described, dict):
            unit, multiplier = described.get("unit", "Wh"), _number(described.get("multiplier", 0)) or 0.0
        value = _number(sample.get("value"))
        if value is not None and (unit is None or unit in _TO_WH) and abs(multiplier) <= 9:  # noqa: PLR2004
            found.append(value * _TO_WH.get(unit or "Wh", 1.0) * 10.0**multiplier)
    return [value for value in found if value is not None]


def states_of_charge(payload: Payload) -> list[float]:
    """State of charge in percent, from samples and from 2.x charging needs."""
    found = [_number(sample.get("value")) for sample in _samples(payload) if sample.get("measurand") == "SoC"]
    needs = payload.get("chargingNeeds")
    parameters = needs.get("dcChargingParameters") if isinstance(needs, dict) else None
    if isinstance(parameters, dict):
        found.append(_number(parameters.get("stateOfCharge")))
    return [value for value in found if value is not None]
