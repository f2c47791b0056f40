"""Framing of link messages over a byte stream, without the stream."""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from gateway.link.messages import MAX_MESSAGE_BYTES, ControlMessage, EdgeMessage

__all__ = ["FrameReader", "LinkBroken", "control_reader", "edge_reader", "encode"]

_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()


class LinkBroken(Exception):  # noqa: N818  names the state, as BrokenPipeError does
    """The other process sent something that is not a message. Close the link and start over."""


def encode(message: EdgeMessage | ControlMessage) -> bytes:
    """One framed message, ready to write. Raises ValueError for one that the other side would not take."""
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"{type(message).__name__} of {len(body)} bytes is too long for the link")
    return len(body).to_bytes(4, "big") + body


class FrameReader(Generic[_T]):
    """Turns chunks of bytes into messages, however they are cut."""

    def __init__(self, decoder: "msgspec.msgpack.Decoder[_T]") -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[_T]:
        """Messages completed by `data`. Raises LinkBroken on garbage or an over-long frame."""
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < 4 + _size_at(buffer, 0):
                return
            data = bytes(buffer)
            buffer.clear()
        at = 0
        try:
            while len(data) - at >= 4 + (size := _size_at(data, at)):
                body, at = data[at + 4 : at + 4 + size], at + 4 + size
                try:
                    message = self._decoder.decode(body)
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    # Text that is not UTF-8 is a UnicodeDecodeError to msgspec, which is a ValueError.
                    raise LinkBroken(str(error)) from error
                yield message
        finally:  # also where the taker of a message has failed: the next ones are not lost by that
            buffer += data[at:]


def _size_at(data: bytes | bytearray, at: int) -> int:
    """What the length prefix says; 0 where it is not there yet, so that there is no message. Raises LinkBroken."""
    size = int.from_bytes(data[at : at + 4], "big") if len(data) - at >= 4 else 0  # noqa: PLR2004  length prefix
    if size > MAX_MESSAGE_BYTES:
        raise LinkBroken(f"frame of {size} bytes")
    return size


def edge_reader() -> FrameReader[EdgeMessage]:
    """Reads what edges send; used by control."""
    return FrameReader(msgspec.msgpack.Decoder(EdgeMessage))


def control_reader() -> FrameReader[ControlMessage]:
    """Reads what control sends; used by an edge."""
    return FrameReader(msgspec.msgpack.Decoder(ControlMessage))
