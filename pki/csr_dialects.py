"""Requests as real stacks write them: a few departures from PEM and DER that take nothing away from the proof.

What is read here is compared and signed nowhere: names in a request are only compared with the registry's, its key is
judged by the key policy, and its signature is checked over the bytes as they came. Each departure has a name.
"""

import re
from dataclasses import dataclass
from typing import Final

from pki.der import SEQUENCE, element
from pki.der_limits import children

__all__ = ["Readable", "pem_text", "readable_request"]

_BEGIN: Final = re.compile(r"-----BEGIN ")
_PRINTABLE_STRING, _T61_STRING, _UTF8_STRING, _BIT_STRING, _SET, _ATTRIBUTES = 0x13, 0x14, 0x0C, 0x03, 0x31, 0xA0
_STRICT_PRINTABLE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
_ECDSA: Final = bytes.fromhex("2a8648ce3d0403")
"""The identifiers of ECDSA with a hash, but for the hash (RFC 5758, 3.2)."""
_NULL: Final = b"\x05\x00"
_PARTS: Final = 3
"""Of a request: what is signed, how, the signature (RFC 2986, 4.2). And of what is signed, before the attributes."""


@dataclass(frozen=True, slots=True)
class Readable:
    """A request that a strict parser takes. `signed`, `signature`: as they came."""

    der: bytes
    signed: bytes
    signature: bytes
    departures: tuple[str, ...]


def pem_text(text: str) -> tuple[str, tuple[str, ...]]:
    r"""The PEM block of a text in a dialect: after a byte order mark, after words, with `\n` written out. And what departed."""
    departures = []
    if text.startswith("\ufeff"):
        text = text.removeprefix("\ufeff")
        departures.append("byte order mark")
    if "\\n" in text and "\n" not in text.strip():
        text = text.replace("\\r", "").replace("\\n", "\n")
        departures.append("line ends written out")
    begin = _BEGIN.search(text)
    words = text[: begin.start()] if begin is not None else ""
    if words.strip() and "-----" not in words:
        text = text.removeprefix(words)
        departures.append("text before the request")
    return text, tuple(departures)


def readable_request(der: bytes) -> Readable:
    """The request without the departures that are known here. Raises ValueError if it is not built as a request is."""
    signed, algorithm, signature = _parts(der, SEQUENCE, _PARTS)
    departures: list[str] = []
    info = _parts(signed, SEQUENCE)
    if len(info) < _PARTS or signature[0] != _BIT_STRING or _content(signature)[:1] != b"\0":
        raise ValueError("not built as a request is")
    names = [_relative_name(each, departures) for each in _parts(info[1], SEQUENCE)]
    info[1] = element(SEQUENCE, b"".join(names))
    if len(info) == _PARTS:
        info.append(element(_ATTRIBUTES, b""))
        departures.append("no attributes")
    hashed = _parts(algorithm, SEQUENCE)
    if hashed[1:] == [_NULL] and hashed[0][:1] == b"\x06" and _content(hashed[0])[:-1] == _ECDSA:
        algorithm = element(SEQUENCE, hashed[0])
        departures.append("NULL beside ECDSA")
    whole = element(SEQUENCE, element(SEQUENCE, b"".join(info)) + algorithm + signature) if departures else der
    return Readable(whole, signed, _content(signature)[1:], tuple(dict.fromkeys(departures)))


def _relative_name(rdn: bytes, departures: list[str]) -> bytes:
    return element(_SET, b"".join(_attribute(each, departures) for each in _parts(rdn, _SET)))


def _attribute(attribute: bytes, departures: list[str]) -> bytes:
    kind, value = _parts(attribute, SEQUENCE, 2)
    tag, content = value[0], _content(value)
    if tag == _PRINTABLE_STRING and content.isascii() and not set(content) <= _STRICT_PRINTABLE:
        value = element(_UTF8_STRING, content)
        departures.append("characters that PrintableString does not have")
    elif tag == _T61_STRING:
        value = element(_UTF8_STRING, content.decode("latin-1").encode())
        departures.append("T61String")
    return element(SEQUENCE, kind + value)


def _parts(whole: bytes, tag: int, count: int = 0) -> list[bytes]:
    found = children(whole)
    if whole[0] != tag or (count and len(found) != count):
        raise ValueError("not built as a request is")
    return found


def _content(part: bytes) -> bytes:
    """Of one element whose length was checked."""
    size = part[1]
    return part[2:] if size < 0x80 else part[2 + (size & 0x7F) :]  # noqa: PLR2004  the long form (X.690, 8.1.3.5)
