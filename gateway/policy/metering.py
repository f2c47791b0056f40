"""Meter readings, version-neutral: energy in Wh with its moment, state of charge in percent."""

import datetime
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.policy.cel.times import parse_timestamp
from gateway.policy.items import MAX_READINGS, bounded

__all__ = ["Reading", "all_of", "energies_wh", "largest_power_w", "readings", "states_of_charge"]

Payload = dict[str, Any]
_ENERGY: Final = "Energy.Active.Import.Register"
_TO_WH: Final = {"Wh": 1.0, "kWh": 1000.0}
_MAX_VALUE = 1e15
_SHORTEST_S: Final = 60.0
"""Readings closer than this count as so far apart: clocks of charge points are coarse."""
_SHORTEST: Final = datetime.timedelta(seconds=_SHORTEST_S)
_MAX_STAMP_CHARS: Final = 64


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One reading of the energy import register."""

    wh: float
    stamp: str | None
    """Its moment as sent."""

    @property
    def at(self) -> datetime.datetime | None:
        """Its moment, None where the message does not say. Most readings are never asked."""
        try:
            return None if self.stamp is None else parse_timestamp(self.stamp)
        except ValueError:
            return None


def _objects(value: Any) -> list[Payload]:
    return [item for item in value if type(item) is dict] if type(value) is list else []


def _meter_values(payload: Payload) -> Iterator[Payload]:
    for name in ("meterValue", "transactionData"):
        yield from _objects(payload.get(name))


def _number(value: Any) -> float | None:
    """1.6 sends numbers as text, 2.x as numbers."""
    kind = type(value)
    if kind is str or kind is int or kind is float:
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        if -_MAX_VALUE < number < _MAX_VALUE:  # NaN and infinities fail this
            return number
    return None


def _stamp(value: Any) -> str | None:
    return value if type(value) is str and len(value) <= _MAX_STAMP_CHARS else None


def _energy(sample: Payload) -> float | None:
    """Wh of a sample of the whole register; a single phase is none."""
    if "phase" in sample or sample.get("measurand", _ENERGY) != _ENERGY:
        return None
    value = _number(sample.get("value"))
    unit, described = sample.get("unit", "Wh"), sample.get("unitOfMeasure")
    if value is None or (described is None and unit == "Wh"):
        return value
    multiplier = 0.0
    if isinstance(described, dict):
        unit, multiplier = described.get("unit", "Wh"), _number(described.get("multiplier", 0)) or 0.0
    if not isinstance(unit, str) or unit not in _TO_WH or abs(multiplier) > 9:  # noqa: PLR2004
        return None
    return float(value * _TO_WH[unit] * 10.0**multiplier)


def readings(payload: Payload) -> list[Reading]:
    """Readings of the energy import register: at the start, on the way, at the end.

    Of more than 1 500 the last one stands in place 1 501, and those between are left out: `all_of` refuses that list.
    """
    found: list[Reading] = []
    add = found.append
    start, stop = _number(payload.get("meterStart")), _number(payload.get("meterStop"))
    if start is not None:
        found.append(Reading(start, _stamp(payload.get("timestamp"))))
    for value in _meter_values(payload):
        samples = value.get("sampledValue")
        if type(samples) is not list:
            continue
        stamp = value.get("timestamp")
        for sample in samples:
            wh = _energy(sample) if type(sample) is dict else None
            if wh is not None:
                add(Reading(wh, stamp if type(stamp) is str and len(stamp) <= _MAX_STAMP_CHARS else None))
        if len(found) > MAX_READINGS:
            found[MAX_READINGS:] = [_last_sampled(payload) or found[-1]]
            break
    if stop is not None:
        found[MAX_READINGS:] = [Reading(stop, _stamp(payload.get("timestamp")))]
    return found


def _last_sampled(payload: Payload) -> Reading | None:
    for value in reversed(list(_meter_values(payload))):
        for sample in reversed(_objects(value.get("sampledValue"))):
            wh = _energy(sample)
            if wh is not None:
                return Reading(wh, _stamp(value.get("timestamp")))
    return None


def all_of(found: list[Reading]) -> list[Reading]:
    """The same list if it has all `readings` of its message. Raises TooManyItems."""
    return bounded(found, MAX_READINGS, "meter readings")


def largest_power_w(before: Reading | None, found: list[Reading]) -> float:
    """Largest mean power between one reading and the next, 0 where there is none. Raises TooManyItems."""
    largest = 0.0
    last_wh, last_at = (0.0, None) if before is None else (before.wh, before.at)
    for reading in all_of(found):
        wh, at = reading.wh, reading.at
        if last_at is not None and at is not None:
            gap = at - last_at
            power_w = (wh - last_wh) * 3600.0 / (gap.total_seconds() if gap > _SHORTEST else _SHORTEST_S)
            if power_w > largest:  # noqa: PLR1730  a call for every reading takes longer
                largest = power_w
        last_wh, last_at = wh, at
    return largest


def energies_wh(payload: Payload) -> list[float]:
    """The same as numbers only."""
    return [reading.wh for reading in readings(payload)]


def states_of_charge(payload: Payload) -> list[float]:
    """State of charge in percent, from samples and from 2.x charging needs."""
    found: list[float | None] = []
    for value in _meter_values(payload):
        samples = value.get("sampledValue")
        for sample in samples if type(samples) is list else ():
            if type(sample) is dict and sample.get("measurand") == "SoC":
                found.append(_number(sample.get("value")))  # noqa: PERF401  twice as fast where lists are short
    needs = payload.get("chargingNeeds")
    parameters = needs.get("dcChargingParameters") if isinstance(needs, dict) else None
    if isinstance(parameters, dict):
        found.append(_number(parameters.get("stateOfCharge")))
    return [value for value in found if value is not None]
