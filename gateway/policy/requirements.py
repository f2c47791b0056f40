"""What a pack needs beside itself, `metadata.requires`: versions of the gateway and of other packs. Pure.

    requires: ">=0.1"                                  # of the gateway
    requires: {gateway: ">=0.1", firmware: ">=1.0, <2"}

All comparisons of one text must hold; ``*`` is any version. Versions compare number by number, missing ones are 0, and what
follows a hyphen makes a version one before the release (``1.0.0-rc1`` is less than ``1.0``).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from gateway.policy.fields import Table
from gateway.policy.findings import DocumentPath

__all__ = ["GATEWAY", "Requirement", "Unmet", "read_requirements", "unmet_requirements"]

GATEWAY: Final = "gateway"
"""Stands for the gateway itself, in the place of a pack's name."""
_Version = tuple[tuple[int, ...], int]
_VERSION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})(-[0-9A-Za-z.-]{1,64})?(?:\+[0-9A-Za-z.-]{1,64})?")
_COMPARISON: Final = re.compile(r"(>=|<=|==|!=|>|<)\s*([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})")
_NUMBERS: Final = 4
_HOW: Final = 'write a requirement as ">=0.1", ">=1.0, <2" or "*"'
_HOLDS: Final[dict[str, Callable[[_Version, _Version], bool]]] = {
    ">=": lambda version, other: version >= other,
    "<=": lambda version, other: version <= other,
    "==": lambda version, other: version == other,
    "!=": lambda version, other: version != other,
    ">": lambda version, other: version > other,
    "<": lambda version, other: version < other,
}


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has to be there."""

    subject: str
    """A pack's name, or `GATEWAY`."""
    text: str
    """As written, e.g. ``>=1.0, <2``."""
    in_mapping: bool = True
    """False where the text stands for the gateway alone."""

    @property
    def path(self) -> DocumentPath:
        """Where it stands in its pack."""
        return ("metadata", "requires", self.subject) if self.in_mapping else ("metadata", "requires")


class Unmet(msgspec.Struct, frozen=True):
    """A requirement that does not hold, and how things are instead."""

    requirement: Requirement
    found: str | None
    """The version that is there; None where the pack is not loaded."""


def read_requirements(metadata: Table) -> tuple[Requirement, ...]:
    """From `requires` of a pack's metadata. What is wrong is noted there: P002 and P005."""
    value = metadata.get("requires", object, None)
    if value is None:
        return ()
    if not isinstance(value, dict):
        one = _read(metadata, ("requires",), Requirement(subject=GATEWAY, text="", in_mapping=False), value)
        return () if one is None else (one,)
    each = (_read(metadata, ("requires", name), Requirement(subject=str(name), text=""), value[name]) for name in value)
    return tuple(one for one in each if one is not None)


def _read(metadata: Table, path: DocumentPath, shape: Requirement, text: object) -> Requirement | None:
    if not isinstance(text, str):
        metadata.findings.error("P002", (*metadata.path, *path), f"a version is text: {_HOW}")
        return None
    parts = [part.strip() for part in text.split(",")]
    if text.strip() != "*" and not all(_COMPARISON.fullmatch(part) for part in parts):
        metadata.findings.error("P005", (*metadata.path, *path), f"{text!r} is no requirement"[:160], _HOW)
        return None
    return msgspec.structs.replace(shape, text=text.strip())


def unmet_requirements(
    requirements: tuple[Requirement, ...], gateway_version: str, packs: Mapping[str, str]
) -> Iterator[Unmet]:
    """What does not hold. `packs`: the version of each loaded pack by its name."""
    for each in requirements:
        found = gateway_version if each.subject == GATEWAY else packs.get(each.subject)
        if found is None or not _is_met(each.text, found):
            yield Unmet(each, found)


def _is_met(text: str, found: str) -> bool:
    """False also for a version that nothing can be said about, unless any will do."""
    if text == "*":
        return True
    version = _version(found)
    comparisons = [_COMPARISON.fullmatch(part.strip()) for part in text.split(",")]
    return version is not None and all(
        one is not None and (other := _version(one[2])) is not None and _HOLDS[one[1]](version, other)
        for one in comparisons
    )


def _version(text: str) -> _Version | None:
    """Four numbers, and 0 for what comes before a release."""
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    return tuple(numbers + [0] * (_NUMBERS - len(numbers))), 0 if found[2] else 1
