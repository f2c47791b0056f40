"""ACME renewal information (RFC 9773): when the CA would like a certificate to be renewed. No I/O, no clock.

It is advice of somebody who is not asked to prove it: what comes of it stays within bounds that the certificate itself sets.
"""

import datetime
from typing import Final, NamedTuple

import msgspec
from cryptography import x509

from pki.acme.jws import base64url
from pki.backends.interface import printable_reason

__all__ = ["RenewalAdvice", "certificate_id", "parse_advice", "renewal_time"]

_CHECK_AGAIN: Final = datetime.timedelta(hours=6)
_SOONEST: Final = datetime.timedelta(minutes=1)
_LATEST: Final = datetime.timedelta(days=1)
_EARLIEST_PART: Final = 24
"""Not before this part of the life is over: a CA that always wants another one gets it that often, and not without end."""
_LAST_PART: Final = 10
"""Nor in this last part of it: there must be time to try again."""


class RenewalAdvice(NamedTuple):
    """A window, the reason in the CA's words (a link, as a rule), and when to ask again."""

    start: datetime.datetime
    end: datetime.datetime
    explanation: str
    check_after: datetime.timedelta


class _Window(msgspec.Struct):
    start: datetime.datetime
    end: datetime.datetime


class _Info(msgspec.Struct, rename="camel"):
    suggested_window: _Window
    explanation_url: str = msgspec.field(name="explanationURL", default="")


def certificate_id(certificate: x509.Certificate) -> str:
    """As section 4.1 makes it, of authority key identifier and serial number. Raises ValueError if it has no identifier."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        found = None
    if found is None:
        raise ValueError("a certificate without an authority key identifier")
    serial = certificate.serial_number
    # The content of the INTEGER in DER: an octet more where the first bit would be a sign.
    return f"{base64url(found)}.{base64url(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def parse_advice(body: bytes, retry_after: str) -> RenewalAdvice:
    """What the CA has answered (4.2, 4.3). Raises ValueError."""
    try:
        found = msgspec.json.decode(body, type=_Info)
    except msgspec.MsgspecError as error:
        raise ValueError(f"renewal information that is none: {error}") from None
    start, end = found.suggested_window.start, found.suggested_window.end
    if start.tzinfo is None or end.tzinfo is None or end <= start:
        raise ValueError("renewal information whose window is none")
    asked = datetime.timedelta(seconds=int(retry_after)) if _is_seconds(retry_after) else _CHECK_AGAIN
    return RenewalAdvice(
        start.astimezone(datetime.UTC),
        end.astimezone(datetime.UTC),
        printable_reason(found.explanation_url),
        min(max(asked, _SOONEST), _LATEST),
    )


def renewal_time(
    advice: RenewalAdvice, begins: datetime.datetime, ends: datetime.datetime, fraction: float
) -> datetime.datetime:
    """The moment in the window that `fraction`, from 0 to 1 and random, picks; within what a life from `begins` to `ends` allows."""
    wanted = advice.start + (advice.end - advice.start) * fraction
    life = ends - begins
    return min(max(wanted, begins + life / _EARLIEST_PART), ends - life / _LAST_PART)


def _is_seconds(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < len("1000000000")
