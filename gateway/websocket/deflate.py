"""permessage-deflate (RFC 7692) without context takeover: no memory between messages, inflation bounded."""

import zlib
from typing import Final

import msgspec

from gateway.websocket.frames import FrameViolation
from gateway.websocket.violation import HandshakeInvalid

__all__ = ["DeflateParameters", "Inflater", "client_offer", "deflate", "negotiate", "read_client_answer"]

_NAME: Final = "permessage-deflate"
_TAIL: Final = b"\x00\x00\xff\xff"
_MIN_BITS, _MAX_BITS = 9, 15
"""zlib cannot do a raw window of 8 bits reliably; an offer that insists on it is declined."""
_CHUNK_BYTES = 65_536

Offer = tuple[str, tuple[tuple[str, str | None], ...]]


class DeflateParameters(msgspec.Struct, frozen=True):
    """What was agreed. Neither side ever keeps context between messages."""

    server_max_window_bits: int = _MAX_BITS
    client_max_window_bits: int = _MAX_BITS


def _bits(value: str | None) -> int | None:
    """A window size as the RFC writes it, or None if it is not one that we can honour."""
    if value is None or not value.isascii() or not value.isdigit() or value.startswith("0"):
        return None
    number = int(value) if len(value) <= 2 else 0  # noqa: PLR2004  two digits at most
    return number if _MIN_BITS <= number <= _MAX_BITS else None


def _read_offer(parameters: tuple[tuple[str, str | None], ...]) -> tuple[DeflateParameters, str] | None:
    names = [name for name, _ in parameters]
    if len(set(names)) != len(names):
        return None
    server_bits = client_bits = _MAX_BITS
    answer = [_NAME, "server_no_context_takeover", "client_no_context_takeover"]
    for name, value in parameters:
        if name in {"server_no_context_takeover", "client_no_context_takeover"}:
            if value is not None:
                return None
        elif name == "server_max_window_bits":
            bits = _bits(value)
            if bits is None:
                return None
            server_bits = bits
            answer.append(f"server_max_window_bits={bits}")
        elif name == "client_max_window_bits":
            bits = _MAX_BITS if value is None else _bits(value)
            if bits is None:
                return None
            client_bits = bits
            if value is not None:
                answer.append(f"client_max_window_bits={bits}")
        else:
            return None
    return DeflateParameters(server_bits, client_bits), "; ".join(answer)


def negotiate(offers: tuple[Offer, ...]) -> tuple[DeflateParameters, str] | None:
    """The first acceptable offer as (parameters, value of our Sec-WebSocket-Extensions), or None to decline all."""
    for name, parameters in offers:
        if name == _NAME:
            agreed = _read_offer(parameters)
            if agreed is not None:
                return agreed
    return None


def client_offer() -> str:
    """What the gateway offers a CSMS."""
    return f"{_NAME}; server_no_context_takeover; client_no_context_takeover"


def read_client_answer(value: str) -> DeflateParameters:
    """The CSMS's answer to `client_offer`. Raises HandshakeInvalid when it is not what was offered (RFC 7692, 7.1)."""
    parts = [part.strip() for part in value.split(";")]
    seen: dict[str, str | None] = {}
    for part in parts[1:]:
        name, equals, text = part.partition("=")
        if name.strip() in seen:
            raise HandshakeInvalid("extension parameter twice")
        seen[name.strip()] = text.strip().strip('"') if equals else None
    if parts[0] != _NAME or "server_no_context_takeover" not in seen:
        raise HandshakeInvalid("not the extension that was offered")
    if not seen.keys() <= {"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits"}:
        raise HandshakeInvalid("extension parameter that was not offered")
    server_bits = _bits(seen["server_max_window_bits"]) if "server_max_window_bits" in seen else _MAX_BITS
    if server_bits is None:
        raise HandshakeInvalid("window bits")
    return DeflateParameters(server_max_window_bits=server_bits)


class Inflater:
    """Inflates single messages of at most `max_message_bytes`."""

    __slots__ = ("_max_bytes", "_window_bits")

    def __init__(self, max_message_bytes: int, window_bits: int) -> None:
        self._max_bytes = max_message_bytes
        self._window_bits = window_bits

    def inflate(self, data: bytes) -> bytes:
        """One message. Raises FrameViolation: 1009 beyond the limit (at most one byte more is produced), 1007 for garbage."""
        inflater = zlib.decompressobj(-self._window_bits)
        try:
            text = inflater.decompress(data + _TAIL, self._max_bytes + 1)
        except zlib.error as error:
            raise FrameViolation(1007, "ws.inflate", "compressed data is damaged") from error
        if len(text) > self._max_bytes or inflater.unconsumed_tail:
            raise FrameViolation(1009, "ws.inflate", "message too large after inflation")
        if inflater.unused_data and not inflater.unused_data.endswith(_TAIL):
            raise FrameViolation(1007, "ws.inflate", "data behind the end of the stream")
        return text


def deflate(payload: bytes, window_bits: int) -> bytes:
    """One message compressed on its own (RFC 7692, 7.2.1)."""
    compressor = zlib.compressobj(wbits=-window_bits)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]
