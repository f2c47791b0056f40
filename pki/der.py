"""The few bytes of DER that are written here by hand, where a hundred thousand of them are written (X.690)."""

import datetime
from typing import Final

__all__ = ["INTEGER", "SEQUENCE", "element", "generalized_time", "utc_or_generalized_time"]

INTEGER: Final = 0x02
SEQUENCE: Final = 0x30

_FIRST_GENERALIZED_YEAR: Final = 2050
_SHORT_FORM: Final = 128


def element(tag: int, content: bytes) -> bytes:
    """Tag, length in its shortest form (8.1.3, 10.1), content."""
    size = len(content)
    if size < _SHORT_FORM:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def generalized_time(time: datetime.datetime) -> bytes:
    """In whole seconds, UTC (RFC 5280, 4.1.2.5.2)."""
    return b"\x18\x0f" + f"{time.astimezone(datetime.UTC):%Y%m%d%H%M%SZ}".encode()


def utc_or_generalized_time(time: datetime.datetime) -> bytes:
    """RFC 5280, 5.1.2.4: UTCTime through 2049, GeneralizedTime from then on."""
    time = time.astimezone(datetime.UTC)
    if time.year >= _FIRST_GENERALIZED_YEAR:
        return generalized_time(time)
    return b"\x17\x0d" + f"{time:%y%m%d%H%M%SZ}".encode()
