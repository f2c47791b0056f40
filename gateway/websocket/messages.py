"""Reads one direction of a WebSocket connection: frames, fragments, control frames, limits. Total and incremental.

`MessageReader.single` is the hot path and handles exactly the usual case; `feed` handles everything. Both judge alike,
which tests/websocket/test_messages.py holds them to.
"""

from collections.abc import Iterator

import msgspec
from websockets.speedups import apply_mask

from gateway.websocket.deflate import DeflateParameters, Inflater
from gateway.websocket.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, FrameViolation, is_valid_close_code

__all__ = ["CloseReceived", "Event", "Message", "MessageReader", "Ping", "Pong", "ReaderLimits"]

_SINGLE = 0x81  # FIN, text, no RSV


class ReaderLimits(msgspec.Struct, frozen=True):
    """Limits of one direction; one object is shared by all readers."""

    max_message_bytes: int
    max_fragments: int
    fragment_deadline_s: float
    control_frames_per_s: float
    control_frames_burst: int


class Message(msgspec.Struct, gc=False):
    """A complete text message. `frames`: its original wire bytes, control frames in between left out."""

    payload: bytes
    frames: bytes
    compressed: bool
    fragmented: bool


class Ping(msgspec.Struct, gc=False):
    """A ping; answer it with the same payload."""

    payload: bytes


class Pong(msgspec.Struct, gc=False):
    """A pong, asked for or not."""

    payload: bytes


class CloseReceived(msgspec.Struct, gc=False):
    """A close frame; `code` is None when it had none (1005)."""

    code: int | None
    reason: str


Event = Message | Ping | Pong | CloseReceived


class _Assembly:
    """A fragmented message under construction; exists only while one is."""

    __slots__ = ("compressed", "count", "frames", "parts", "since", "size")

    def __init__(self, compressed: bool, since: float) -> None:
        self.compressed = compressed
        self.since = since
        self.parts: list[bytes] = []
        self.frames: list[bytes] = []
        self.size = 0
        self.count = 0


class MessageReader:
    """`expect_masked`: True where the peer is a client. `inflater`: None unless permessage-deflate was agreed."""

    __slots__ = (
        "_assembly",
        "_budget",
        "_budget_at",
        "_closed",
        "_expect_masked",
        "_held",
        "_held_since",
        "_inflater",
        "_limits",
        "_needed",
    )

    def __init__(self, *, expect_masked: bool, limits: ReaderLimits, inflater: Inflater | None) -> None:
        self._expect_masked = expect_masked
        self._limits = limits
        self._inflater = inflater
        self._held: bytearray | None = None
        """The beginning of an incomplete frame. Not looked at again before `_needed` bytes are there, so that a peer
        that trickles costs no more than one that does not."""
        self._held_since = 0.0
        self._needed = 0
        self._assembly: _Assembly | None = None
        self._budget: float = limits.control_frames_burst
        self._budget_at = 0.0
        self._closed = False

    @classmethod
    def for_peer(cls, limits: ReaderLimits, agreed: DeflateParameters | None, *, from_client: bool) -> "MessageReader":
        """For one side of a session. `agreed`: with this peer, who compresses with a window of its own."""
        inflater = None
        if agreed is not None:
            bits = agreed.client_max_window_bits if from_client else agreed.server_max_window_bits
            inflater = Inflater(limits.max_message_bytes, bits)
        return cls(expect_masked=from_client, limits=limits, inflater=inflater)

    # -- the hot path

    def single(self, data: bytes) -> bytes | None:  # noqa: C901, PLR0912  the hot path, unrolled on purpose
        """The payload if `data` is exactly one complete, final, uncompressed, valid text frame and nothing is pending.

        Else None, and nothing has changed: give the same bytes to `feed`.
        """
        size = len(data)
        if size < 2 or data[0] != _SINGLE or self._held is not None or self._assembly is not None or self._closed:  # noqa: PLR2004
            return None
        length = data[1]
        if self._expect_masked:
            length -= 0x80
            if length < 0:
                return None
            if length < 126:  # noqa: PLR2004
                at = 6
            elif length == 126 and size > 8:  # noqa: PLR2004
                length = data[2] << 8 | data[3]
                if length < 126:  # noqa: PLR2004  not minimal
                    return None
                at = 8
            else:
                return None
            if at + length != size or length > self._limits.max_message_bytes:
                return None
            payload = apply_mask(data[at:], data[at - 4 : at])
        else:
            if length < 126:  # noqa: PLR2004
                at = 2
            elif length == 126 and size > 4:  # noqa: PLR2004
                length = data[2] << 8 | data[3]
                if length < 126:  # noqa: PLR2004  not minimal
                    return None
                at = 4
            else:
                return None
            if at + length != size or length > self._limits.max_message_bytes:
                return None
            payload = data[at:]
        if payload.isascii() or _is_utf8(payload):
            return payload
        return None

    # -- everything

    @property
    def assembling_since(self) -> float | None:
        """When the incomplete message began, be it short of fragments or of the rest of a frame; None if there is none."""
        if self._assembly is not None:
            return self._assembly.since
        return None if self._held is None else self._held_since

    def check_deadline(self, now: float) -> None:
        """Raise FrameViolation if a message is taking too long."""
        since = self.assembling_since
        if since is None or now - since <= self._limits.fragment_deadline_s:
            return
        fragmented = self._assembly is not None
        self._end()
        if fragmented:
            raise FrameViolation(1008, "ws.fragment_flood", "fragmented message not finished in time")
        # A radio link that dies in the middle of a frame looks the same: no reason for an alarm.
        raise FrameViolation(1008, "ws.slow_message", "frame not finished in time", severity="low")

    def _end(self) -> None:
        self._closed = True
        self._held = self._assembly = None

    def feed(self, data: bytes, now: float) -> Iterator[Event]:
        """Events completed by `data`, in order; iterate to the end.

        Raises FrameViolation, after the events before it. Nothing is heard of a peer behind its close frame or
        behind a violation.
        """
        if self._closed:
            return
        since = now
        if self._held is not None:
            since = self._held_since
            self.check_deadline(now)
            self._held += data
            if len(self._held) < self._needed:
                return
            data, self._held = bytes(self._held), None
        try:
            yield from self._frames(data, since, now)
        except FrameViolation:
            self._end()
            raise

    def _frames(self, data: bytes, since: float, now: float) -> Iterator[Event]:
        """`since`: when the first byte of `data` came."""
        at, size = 0, len(data)
        while at < size:
            body_at, length = self._header(data, at) or (at, size - at + 1)  # an incomplete header needs one byte more
            end = body_at + length
            if end > size:
                self._held, self._needed, self._held_since = bytearray(data[at:]), end - at, now if at else since
                return
            event = self._frame(data, at, body_at, end, now)
            at = end
            if event is not None:
                yield event
            if self._closed:
                return

    def _header(self, data: bytes, at: int) -> tuple[int, int] | None:
        """(start of the payload, its length) or None if the header is incomplete. Decides what a header can decide."""
        if len(data) - at < 2:  # noqa: PLR2004
            return None
        first, second = data[at], data[at + 1]
        self._check_first(first)
        if bool(second & 0x80) is not self._expect_masked:
            raise FrameViolation(1002, "ws.protocol", "masking is wrong for this side")
        length, body = second & 0x7F, at + 2
        if first & 0x08:
            if length > 125:  # noqa: PLR2004
                raise FrameViolation(1002, "ws.protocol", "control frame over 125 bytes")
        elif length >= 126:  # noqa: PLR2004
            width = 2 if length == 126 else 8  # noqa: PLR2004
            if len(data) - body < width:
                return None
            length = int.from_bytes(data[body : body + width], "big")
            body += width
            self._check_long(length, width)
        if not first & 0x08:
            self._check_size(length)
        body += 4 if self._expect_masked else 0
        return (body, length) if body <= len(data) else None

    def _check_first(self, first: int) -> None:
        opcode, final = first & 0x0F, first & 0x80
        if first & 0x30 or (first & 0x40 and (self._inflater is None or opcode not in (TEXT, BINARY))):
            raise FrameViolation(1002, "ws.protocol", "reserved bit set")
        if opcode in (CLOSE, PING, PONG):
            if not final:
                raise FrameViolation(1002, "ws.protocol", "fragmented control frame")
        elif opcode == BINARY:
            raise FrameViolation(1003, "ws.unsupported_data", "binary frame; OCPP is text")
        elif opcode == CONTINUATION:
            if self._assembly is None:
                raise FrameViolation(1002, "ws.protocol", "continuation without a message")
        elif opcode != TEXT:
            raise FrameViolation(1002, "ws.protocol", "unknown opcode")
        elif self._assembly is not None:
            raise FrameViolation(1002, "ws.protocol", "new message inside a fragmented one")

    @staticmethod
    def _check_long(length: int, width: int) -> None:
        """RFC 6455, 5.2: the minimal number of bytes, and the top bit of 64 is 0."""
        if length >> 63 or length < (126 if width == 2 else 65_536):  # noqa: PLR2004
            raise FrameViolation(1002, "ws.protocol", "length is not minimally encoded")

    def _check_size(self, length: int) -> None:
        held = self._assembly.size if self._assembly is not None else 0
        if length + held > self._limits.max_message_bytes:
            raise FrameViolation(1009, "ws.too_big", f"message over {self._limits.max_message_bytes} bytes")

    def _frame(self, data: bytes, at: int, body_at: int, end: int, now: float) -> Event | None:
        payload = data[body_at:end]
        if self._expect_masked:
            payload = apply_mask(payload, data[body_at - 4 : body_at])
        first = data[at]
        opcode = first & 0x0F
        if opcode & 0x08:
            return self._control(opcode, payload, now)
        compressed, final = bool(first & 0x40), bool(first & 0x80)
        if opcode == TEXT and final:
            return Message(self._text(payload, compressed), data[at:end], compressed, fragmented=False)
        return self._fragment(payload, data[at:end], compressed, final, now)

    def _fragment(self, payload: bytes, frame: bytes, compressed: bool, final: bool, now: float) -> Message | None:
        assembly = self._assembly
        if assembly is None:
            assembly = self._assembly = _Assembly(compressed, now)
        assembly.count += 1
        assembly.size += len(payload)
        assembly.parts.append(payload)
        assembly.frames.append(frame)
        if assembly.count > self._limits.max_fragments:
            raise FrameViolation(1008, "ws.fragment_flood", f"more than {self._limits.max_fragments} fragments")
        self.check_deadline(now)
        if not final:
            return None
        self._assembly = None
        text = self._text(b"".join(assembly.parts), assembly.compressed)
        return Message(text, b"".join(assembly.frames), assembly.compressed, fragmented=True)

    def _text(self, payload: bytes, compressed: bool) -> bytes:
        if compressed:
            assert self._inflater is not None  # _check_first refused RSV1 otherwise
            payload = self._inflater.inflate(payload)
        if not payload.isascii() and not _is_utf8(payload):
            raise FrameViolation(1007, "ws.bad_utf8", "text is not UTF-8")
        return payload

    def _control(self, opcode: int, payload: bytes, now: float) -> Event:
        limits = self._limits
        gained = (now - self._budget_at) * limits.control_frames_per_s
        self._budget = min(float(limits.control_frames_burst), self._budget + max(0.0, gained)) - 1.0
        self._budget_at = now
        if self._budget < 0.0:
            raise FrameViolation(1008, "ws.control_flood", "too many control frames")
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        return self._close(payload)

    def _close(self, payload: bytes) -> CloseReceived:
        self._end()
        if not payload:
            return CloseReceived(None, "")
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or not is_valid_close_code(code):
            raise FrameViolation(1002, "ws.protocol", "bad close code")
        try:
            return CloseReceived(code, payload[2:].decode("utf-8"))
        except UnicodeDecodeError:
            raise FrameViolation(1007, "ws.bad_utf8", "close reason is not UTF-8") from None


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
