"""permessage-deflate (RFC 7692) without context takeover: no memory between messages, inflation bounded."""

import zlib
from typing import Final

import msgspec

from gateway.websocket.extensions import Extension, read_extension
from gateway.websocket.frames import FrameViolation
from gateway.websocket.violation import HandshakeInvalid

__all__ = [
    "DeflateParameters",
    "Inflater",
    "client_offer",
    "deflate",
    "negotiate",
    "read_client_answer",
]

_NAME: Final = "permessage-deflate"
_TAIL: Final = b"\x00\x00\xff\xff"
_LAST_BLOCK: Final = b"\x01\x00\x00\xff\xff"
"""An empty final block: where it is read as such, the stream before it was complete."""
_MIN_BITS, _MAX_BITS = 9, 15
"""zlib cannot do a raw window of 8 bits reliably; an offer that insists on it is declined."""


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


def negotiate(offers: tuple[Extension, ...]) -> tuple[DeflateParameters, str] | None:
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
    read = read_extension(value)
    if read is None or read[0] != _NAME:
        raise HandshakeInvalid("not the extension that was offered")
    seen = dict(read[1])
    if len(seen) != len(read[1]):
        raise HandshakeInvalid("extension parameter twice")
    bits = seen.pop("server_max_window_bits", str(_MAX_BITS))
    if "server_no_context_takeover" not in seen:
        raise HandshakeInvalid("context takeover was not offered")
    if not seen.keys() <= {"server_no_context_takeover", "client_no_context_takeover"} or any(seen.values()):
        raise HandshakeInvalid("extension parameter that was not offered")
    # 8 is a promise that zlib reads as well with a window of 9.
    server_bits = _MIN_BITS if bits == "8" else _bits(bits)
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
            if len(text) > self._max_bytes or inflater.unconsumed_tail:
                raise FrameViolation(1009, "ws.inflate", "message too large after inflation")
            # RFC 7692, 7.2.3.4: behind a block with BFINAL stands the header of an empty block, and nothing else.
            ended, behind = inflater.eof, inflater.unused_data
            more = b"" if ended else inflater.decompress(_LAST_BLOCK, 1)
        except zlib.error as error:
            raise FrameViolation(1007, "ws.inflate", "compressed data is damaged") from error
        if behind != b"\x00" + _TAIL if ended else more or not inflater.eof:
            raise FrameViolation(1007, "ws.inflate", "compressed data is cut off, or goes on behind its end")
        return text


def deflate(payload: bytes, window_bits: int) -> bytes:
    """One message compressed on its own (RFC 7692, 7.2.1)."""
    compressor = zlib.compressobj(wbits=-window_bits)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]
