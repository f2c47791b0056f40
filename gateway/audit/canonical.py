"""One spelling for one value: JSON as RFC 8785 canonicalises it, for the values that records are made of.

Floating-point numbers are refused, so that ECMAScript's way of printing them plays no part: times and quantities are
integers in a fixed unit. Names are ASCII, for which sorting by bytes and by UTF-16 code units is the same.
"""

from typing import Any, Final

import msgspec

__all__ = ["NotCanonical", "canonical", "canonical_fields"]

_MAX_INTEGER: Final = 2**53 - 1
"""What every JSON implementation reads exactly (RFC 8785, section 3.2.2.3; I-JSON)."""
_encode = msgspec.json.Encoder(order="sorted").encode


_encode_fields = msgspec.json.Encoder(order="deterministic").encode


class NotCanonical(ValueError):  # noqa: N818  a verdict
    """A value that has no canonical form here."""


def canonical(value: dict[str, Any]) -> bytes:
    """The canonical bytes of an object. Raises NotCanonical."""
    _check(value)
    try:
        return bytes(_encode(value))
    except UnicodeEncodeError as error:
        raise NotCanonical("a lone surrogate") from error


def canonical_fields(value: msgspec.Struct) -> bytes:
    """The same of a struct whose own fields stand in sorted order and hold text, integers below 2**53 and the like.

    Nothing is checked but the text: records that are made by the thousand are made so. Raises NotCanonical.
    """
    try:
        return _encode_fields(value)
    except UnicodeEncodeError as error:
        raise NotCanonical("a lone surrogate") from error


def _check(value: Any) -> None:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return
    if kind is int:
        if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
            raise NotCanonical("an integer beyond 2**53")
    elif isinstance(value, dict):
        for name, each in value.items():
            if type(name) is not str or not name.isascii():
                raise NotCanonical(f"a name that is not ASCII text: {name!r}")
            if type(each) is not str:  # most are
                _check(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check(each)
    elif isinstance(value, str):
        pass  # as enumerations are
    elif isinstance(value, int):
        _check(int(value))
    else:
        raise NotCanonical(f"a value of type {kind.__name__}")
