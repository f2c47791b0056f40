"""RFC 6455 frames: constants, building, and the one exception for a peer that breaks the rules."""

from typing import Final, Literal

from websockets.speedups import apply_mask

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "FrameViolation",
    "build_close",
    "build_frame",
    "is_valid_close_code",
]

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_MAX_CONTROL_PAYLOAD_BYTES = 125


class FrameViolation(Exception):  # noqa: N818  what the peer did, not what we did
    """A peer broke RFC 6455 or a limit. `close_code` is what it hears, the rest what we record."""

    def __init__(self, close_code: int, event: str, detail: str, *, severity: Literal["low", "high"] = "high") -> None:
        super().__init__(detail)
        self.close_code = close_code
        self.event = event
        self.detail = detail
        self.severity = severity


def is_valid_close_code(code: int) -> bool:
    """True for a code that may stand in a close frame (RFC 6455, 7.4)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999  # noqa: PLR2004  the RFC's ranges


def build_frame(opcode: int, payload: bytes, mask: bytes | None, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """One frame. `mask`: the four random bytes a client must use, None for a server (RFC 6455, 5.2)."""
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    size, mask_bit = len(payload), 0 if mask is None else 0x80
    if size < 126:  # noqa: PLR2004  7-bit length
        head = bytes((first, mask_bit | size))
    elif size < 65536:  # noqa: PLR2004  16-bit length
        head = bytes((first, mask_bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, mask_bit | 127)) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + apply_mask(payload, mask)


def build_close(code: int | None, reason: str, mask: bytes | None) -> bytes:
    """A close frame; without a code its payload is empty. The reason is cut to what fits."""
    if code is None:
        return build_frame(CLOSE, b"", mask)
    text = reason.encode("utf-8")[: _MAX_CONTROL_PAYLOAD_BYTES - 2].decode("utf-8", "ignore").encode("utf-8")
    return build_frame(CLOSE, code.to_bytes(2, "big") + text, mask)
