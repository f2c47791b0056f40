"""Which firmware is known to be good enough to be moved to a higher security profile: an operator's rules, judged. Pure.

Versions are free text of their vendors. What cannot be compared is not good: nobody knows which of the two is newer.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from gateway.audit.event import printable
from gateway.provisioning.campaign_plan import Stratum

__all__ = ["FirmwareRule", "firmware_obstacle", "has_rule", "is_at_least"]

_VERSION: Final = re.compile(r"[vV]?(\d{1,9}(?:\.\d{1,9}){0,7})((?!\.?\d).{0,64})", re.ASCII | re.DOTALL)


class FirmwareRule(msgspec.Struct, frozen=True, kw_only=True):
    """Firmware of one kind of charge point that is good enough for a higher security profile (docs/provisioning.md)."""

    vendor: str
    """As charge points write it in BootNotification, without regard to case."""
    model: str = ""
    """The same. Empty: every model of the vendor that has no rule of its own."""
    minimum: str = ""
    """The lowest version that is good, such as ``1.4.0``. Versions are numbers with dots between them, compared as numbers."""
    good: tuple[str, ...] = ()
    """Versions that are good besides, to the letter: those that are no numbers with dots."""


def firmware_obstacle(rules: Sequence[FirmwareRule], stratum: Stratum) -> str:
    """Why charge points of this kind must not be moved, in words; empty if their firmware is good or has no rule."""
    rule = _rule(rules, stratum)
    if rule is None or stratum.firmware in rule.good:
        return ""
    firmware = printable(stratum.firmware, 64)
    if not stratum.firmware:
        return "it has not said which firmware it has, and its kind has a rule ([[known_firmware]])"
    if not rule.minimum:
        return f"firmware {firmware} is not among those that are known to be good ([[known_firmware]])"
    newer = is_at_least(stratum.firmware, rule.minimum)
    if newer is None:
        return f"firmware {firmware} cannot be compared with {rule.minimum}, the lowest that is good: name it in good"
    return "" if newer else f"firmware {firmware} is below {rule.minimum}, the lowest that is known to be good"


def has_rule(rules: Sequence[FirmwareRule], stratum: Stratum) -> bool:
    """True if somebody has said which firmware of this kind is good."""
    return _rule(rules, stratum) is not None


def _rule(rules: Iterable[FirmwareRule], stratum: Stratum) -> FirmwareRule | None:
    """The one of the model, or that of its vendor."""
    of_vendor = [each for each in rules if each.vendor.casefold() == stratum.vendor.casefold()]
    of_model = [each for each in of_vendor if each.model and each.model.casefold() == stratum.model.casefold()]
    return next(iter([*of_model, *(each for each in of_vendor if not each.model)]), None)


def is_at_least(version: str, minimum: str) -> bool | None:
    """True if `version` is `minimum` or newer; None if that cannot be told.

    ``1.4.0-rc2`` is neither older nor newer than ``1.4.0``: vendors mean either by what follows the numbers.
    """
    found, wanted = _VERSION.fullmatch(version.strip()), _VERSION.fullmatch(minimum.strip())
    if found is None or wanted is None:
        return None
    have, need = _numbers(found[1]), _numbers(wanted[1])
    if have == need and found[2].casefold() != wanted[2].casefold():
        return None
    return have >= need


def _numbers(dotted: str) -> tuple[int, ...]:
    """Without zeroes at the end: ``1.4`` is ``1.4.0``."""
    numbers = [int(each) for each in dotted.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
