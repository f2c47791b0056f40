"""Capabilities as a file that may leave the house: kinds of charge points and counts, no identity, no time of day. Pure."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.capability import MAX_NAME_CHARS, MAX_VALUE_CHARS, Count

__all__ = ["read", "written"]

_SLACK: Final = 3
"""What was cut ends in three dots."""


class _Kind(msgspec.Struct, forbid_unknown_fields=True):
    vendor: str
    model: str
    firmware: str
    facts: dict[str, dict[str, int]]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["ocpp-gateway-capabilities"]
    version: Literal[1]
    kinds: list[_Kind]


def written(counts: Iterable[Count]) -> str:
    """The text of an export: JSON, the same for the same counts."""
    kinds: dict[Stratum, _Kind] = {}
    for each in sorted(counts, key=lambda count: (count.stratum, count.fact, count.value)):
        kind = kinds.setdefault(each.stratum, _Kind(*each.stratum, facts={}))
        values = kind.facts.setdefault(each.fact, {})
        values[each.value] = values.get(each.value, 0) + each.count
    file = _File(format="ocpp-gateway-capabilities", version=1, kinds=list(kinds.values()))
    return msgspec.json.format(msgspec.json.encode(file), indent=2).decode() + "\n"


def read(text: str, now: float) -> list[Count]:
    """What an export says, as imported evidence. Raises ValueError that says what is wrong."""
    try:
        file = msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=_File)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None
    found: dict[tuple[Stratum, str, str], Count] = {}
    for kind in file.kinds:
        stratum = Stratum(kind.vendor, kind.model, kind.firmware)
        for fact, values in kind.facts.items():
            for value, count in values.items():
                _verify(stratum, fact, value, count)
                found[stratum, fact, value] = Count(
                    stratum=stratum,
                    fact=fact,
                    value=value,
                    count=count,
                    first_at=now,
                    last_at=now,
                    evidence="imported",
                )
    return list(found.values())


def _verify(stratum: Stratum, fact: str, value: str, count: int) -> None:
    """Raise ValueError for what this release would never have written."""
    limit = MAX_NAME_CHARS + _SLACK
    texts = (*stratum, fact)
    if not any(stratum) or any(len(text) > limit or not text.isprintable() for text in texts):
        raise ValueError("a vendor, model, firmware or fact is empty, too long or not printable")
    if not fact or not value or len(value) > MAX_VALUE_CHARS + _SLACK or not value.isprintable():
        raise ValueError(f"the value of {fact} is empty, too long or not printable")
    if not 0 < count < 2**31:
        raise ValueError(f"the count of {fact} is not a positive number")
