"""The revision of a bundle: SHA-256 of what was loaded. Pure."""

import hashlib
from collections.abc import Iterable
from enum import Enum
from typing import Any

import msgspec

from gateway.policy.rules import Pack
from gateway.policy.site import SitePolicy

__all__ = ["revision_of"]


def revision_of(packs: Iterable[Pack], site: SitePolicy) -> str:
    """64 hex digits for what decides, whatever its files are called, how they are laid out and in which order they came."""
    content = [sorted((_canonical(pack) for pack in packs), key=repr), _canonical(site)]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def _canonical(value: Any) -> Any:
    """Plain lists and texts in one order."""
    if isinstance(value, Pack):
        fields = {"rules": value.rules, "exemptions": value.exemptions, "parameters": value.parameters}
        ordered = {name: sorted((_canonical(item) for item in items), key=repr) for name, items in fields.items()}
        return [
            value.name,
            value.version,
            ordered["rules"],
            ordered["exemptions"],
            ordered["parameters"],
            _canonical(value.sets),
        ]
    if isinstance(value, msgspec.Struct):
        shown = [name for name in value.__struct_fields__ if name not in {"place", "shown_path"}]
        return [[name, _canonical(getattr(value, name))] for name in shown]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dict):
        return [[key, _canonical(value[key])] for key in sorted(value)]
    if isinstance(value, frozenset | set):
        return sorted((_canonical(item) for item in value), key=repr)
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value
