"""A simulated charge point on bare sockets: may send anything, and shows exactly what came back."""

import asyncio
import base64
import os
import ssl
import struct
from dataclasses import dataclass, field
from typing import Self

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Answer",
    "Frame",
    "Peer",
    "basic",
    "frame",
    "upgrade",
]

WAIT_S = 90.0
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def basic(user: str, password: str | bytes) -> str:
    """An Authorization header value."""
    raw = password if isinstance(password, bytes) else password.encode()
    return "Basic " + base64.b64encode(user.encode() + b":" + raw).decode()


def upgrade(
    target: str,
    *,
    host: str = "localhost",
    subprotocols: str | None = "ocpp1.6",
    authorization: str | None = None,
    extra: tuple[str, ...] = (),
) -> bytes:
    """A well-formed upgrade request; `extra`: further header lines."""
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocols is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocols}")
    if authorization is not None:
        lines.append(f"Authorization: {authorization}")
    return ("\r\n".join([*lines, *extra]) + "\r\n\r\n").encode("latin-1")


def frame(
    opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, mask: bytes | None = b"\x01\x02\x03\x04"
) -> bytes:
    """One WebSocket frame; `mask` None sends it unmasked."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if mask is not None else 0
    if len(payload) < 126:
        head = bytes([first, bit | len(payload)])
    elif len(payload) < 65536:
        head = bytes([first, bit | 126]) + struct.pack(">H", len(payload))
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", len(payload))
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@dataclass(frozen=True)
class Answer:
    """An HTTP response head and whatever body came with it."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Frame:
    """One frame received."""

    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    masked: bool
    raw: bytes = field(repr=False, default=b"")

    @property
    def close_code(self) -> int | None:
        return int.from_bytes(self.payload[:2], "big") if self.opcode == CLOSE and self.payload else None


class Peer:
    """One TCP (or TLS) connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(
        cls, address: tuple[str, int], *, tls: ssl.SSLContext | None = None, server_name: str | None = "localhost"
    ) -> Self:
        """Connect; with `tls` the handshake is done (a TLS 1.3 refusal may only show at the first read)."""
        async with asyncio.timeout(WAIT_S):
            reader, writer = await asyncio.open_connection(
                *address, ssl=tls, server_hostname=server_name if tls else None, limit=2**22
            )
        return cls(reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def send_text(self, text: str) -> None:
        self.send(frame(TEXT, text.encode()))

    async def answer(self) -> Answer:
        """The HTTP answer. Raises IncompleteReadError or OSError if the connection ends instead."""
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = b""
        if int(first.split(" ")[1]) != 101 and int(headers.get("content-length", "0")):
            async with asyncio.timeout(WAIT_S):
                body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(first.split(" ")[1]), headers, body)

    async def ask(self, target: str, **options: object) -> Answer:
        """Send an upgrade request, read its answer."""
        self.send(upgrade(target, **options))  # type: ignore[arg-type]
        return await self.answer()

    async def frame(self) -> Frame:
        """The next frame. Raises IncompleteReadError or OSError at the end of the stream."""
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readexactly(2)
            length, raw = head[1] & 0x7F, head
            if length >= 126:
                more = await self.reader.readexactly(2 if length == 126 else 8)
                length, raw = int.from_bytes(more, "big"), raw + more
            mask = await self.reader.readexactly(4) if head[1] & 0x80 else b""
            payload = await self.reader.readexactly(length)
        raw += mask + payload
        if mask:
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        return Frame(head[0] & 0x0F, payload, bool(head[0] & 0x80), head[0] >> 4 & 7, bool(mask), raw)

    async def text(self) -> str:
        """The next text message in one frame; pings in between are answered."""
        while True:
            received = await self.frame()
            if received.opcode == PING:
                self.send(frame(PONG, received.payload))
                continue
            assert received.opcode == TEXT, received
            return received.payload.decode()

    async def close_code(self) -> int | None:
        """The code of the close frame that comes next, texts and pings skipped; None if the stream just ends."""
        try:
            while True:
                received = await self.frame()
                if received.opcode == CLOSE:
                    return received.close_code
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def ended(self) -> bool:
        """True once the gateway has closed the connection; False if it stays open for the waiting time."""
        try:
            async with asyncio.timeout(WAIT_S):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def abort(self) -> None:
        """RST, as a peer that vanishes."""
        self.writer.transport.abort()

    def new_key(self) -> str:
        return base64.b64encode(os.urandom(16)).decode()
