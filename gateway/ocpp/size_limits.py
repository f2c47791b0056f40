"""How large a message of each kind can be by its schema: bytes of the frame, entries of its longest list. Pure.

Generous on purpose, so that no honest message is near it: every character may be an escape of six bytes, there is room for a
`customData` of any vendor, and lists may be four times as long as the schema says. A kind whose schema leaves a list open, or a text
of unlimited length, has no limit of its own; nor has one that could be larger than most gateways take at all.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

__all__ = ["NO_LIMIT", "SizeLimit", "limit_by_schema", "longest_list"]

_SLACK_BYTES: Final = 16_384
_LARGEST_BYTES: Final = 262_144
_BYTES_PER_CHAR: Final = 6
_FEWEST_ITEMS: Final = 100
_ITEMS_FACTOR: Final = 4
_OPEN_TEXTS: Final = frozenset({"data"})
"""Of any length. Other texts without a maxLength are URLs."""
_URL_CHARS: Final = 4_096
_NUMBER_BYTES: Final = 32
_TIME_CHARS: Final = 64
_MAX_DEPTH: Final = 40


class SizeLimit(msgspec.Struct, frozen=True):
    """Of one kind of message; None: no limit of its own."""

    max_bytes: int | None = None
    max_items: int | None = None
    """Entries of its longest list, wherever that is."""

    @property
    def harmless_bytes(self) -> float:
        """Up to so many bytes nothing has to be counted: an entry of a list takes two at least, with its comma."""
        most_items = math.inf if self.max_items is None else 2 * self.max_items
        return min(math.inf if self.max_bytes is None else self.max_bytes, most_items)


NO_LIMIT: Final = SizeLimit()


def limit_by_schema(schema: Mapping[str, Any]) -> SizeLimit:
    """What follows from the schema of a payload."""
    size, items = _largest(schema, schema, "", 0)
    if math.isinf(size):
        return NO_LIMIT
    size += _SLACK_BYTES
    return SizeLimit(None if size > _LARGEST_BYTES else int(size), max(_FEWEST_ITEMS, int(items) * _ITEMS_FACTOR))


def _largest(schema: Mapping[str, Any], root: Mapping[str, Any], name: str, depth: int) -> tuple[float, float]:
    """(bytes, entries of the longest list); infinite where the schema says nothing."""
    if depth > _MAX_DEPTH:
        return math.inf, math.inf
    if "$ref" in schema:
        return _largest(_resolved(schema["$ref"], root), root, name, depth + 1)
    match schema.get("type"):
        case "string":
            return _text_bytes(schema, name), 0
        case "array":
            each, items = _largest(schema.get("items", {}), root, name, depth + 1)
            most = schema.get("maxItems", math.inf)
            return most * (each + 1) + 2, max(most, items)
        case "object":
            return _object(schema, root, depth)
        case "number" | "integer" | "boolean":
            return _NUMBER_BYTES, 0
        case _:
            return math.inf, math.inf


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> tuple[float, float]:
    size, longest = 2.0, 0.0
    for name, inner in schema.get("properties", {}).items():
        each, items = _largest(inner, root, name, depth + 1)
        size += len(name) + 4 + each
        longest = max(longest, items)
    return size, longest


def _text_bytes(schema: Mapping[str, Any], name: str) -> float:
    if "enum" in schema:
        chars: float = max(len(word) for word in schema["enum"])
    elif schema.get("format") == "date-time":
        chars = _TIME_CHARS
    else:
        chars = schema.get("maxLength", math.inf if name in _OPEN_TEXTS else _URL_CHARS)
    return chars * _BYTES_PER_CHAR + 2


def _resolved(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    resolved: Mapping[str, Any] = found
    return resolved


def longest_list(payload: object) -> int:
    """Entries of the longest list anywhere in a payload; 0 where there is none."""
    waiting, longest = [payload], 0
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            waiting.extend(item.values())
        elif type(item) is list:
            longest = max(longest, len(item))
            waiting.extend(item)
    return longest
