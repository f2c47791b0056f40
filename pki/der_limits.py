"""The little DER that is read by hand: limits before a parser sees the bytes; and a signature put to its body."""

import itertools
from collections.abc import Iterator
from typing import Final

from pki.der import SEQUENCE, element

__all__ = ["TooComplex", "assemble_signed", "children", "verify_der_limits"]

_CONSTRUCTED: Final = 0x20
_HIGH_TAG: Final = 0x1F
_LONG_FORM: Final = 0x80
_BIT_STRING: Final = 0x03


class TooComplex(ValueError):  # noqa: N818  names the state
    """Deeper, or in more parts, than allowed."""


def _header(data: bytes, start: int, end: int) -> tuple[int, int, int]:
    """Tag, where the contents begin, where they end. Raises ValueError for anything that is not DER."""
    if end - start < 2:  # noqa: PLR2004
        raise ValueError("ends within a header")
    tag, length, position = data[start], data[start + 1], start + 2
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise ValueError("a tag of several bytes")
    if length >= _LONG_FORM:
        count = length & ~_LONG_FORM
        if not 1 <= count <= 4 or position + count > end:  # noqa: PLR2004
            raise ValueError("indefinite or impossible length")
        length = int.from_bytes(data[position : position + count], "big")
        if length < _LONG_FORM or length >> 8 * (count - 1) == 0:
            raise ValueError("a length that is not in its shortest form")
        position += count
    if position + length > end:
        raise ValueError("longer than what surrounds it")
    return tag, position, position + length


def verify_der_limits(data: bytes, *, max_depth: int, max_elements: int) -> int:
    """Walk one element with all that is in it; returns where it ends, so that the caller sees what follows.

    Raises ValueError for what is not DER, TooComplex for what is nested or divided beyond the limits.
    """
    _, start, end = _header(data, 0, len(data))
    left = max_elements - 1
    open_elements: list[Iterator[int]] = [_children(data, start, end)] if data[0] & _CONSTRUCTED else []
    while open_elements:
        child = next(open_elements[-1], None)
        if child is None:
            open_elements.pop()
            continue
        left -= 1
        if left < 0:
            raise TooComplex(f"more than {max_elements} parts")
        tag, inner, inner_end = _header(data, child, len(data))
        if tag & _CONSTRUCTED:
            if len(open_elements) >= max_depth:
                raise TooComplex(f"more than {max_depth} levels")
            open_elements.append(_children(data, inner, inner_end))
    return end


def _children(data: bytes, position: int, end: int) -> Iterator[int]:
    while position < end:
        _, _, next_one = _header(data, position, end)
        yield position
        position = next_one


def children(data: bytes) -> list[bytes]:
    """The parts of one constructed element, headers included. Raises ValueError."""
    _, start, end = _header(data, 0, len(data))
    starts = [*_children(data, start, end), end]
    return [data[one:other] for one, other in itertools.pairwise(starts)]


def assemble_signed(body: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """`SEQUENCE { body, algorithm, BIT STRING signature }`: a certificate, a CRL (RFC 5280, 4.1 and 5.1)."""
    return element(SEQUENCE, body + algorithm + element(_BIT_STRING, b"\0" + signature))
