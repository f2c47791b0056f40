"""A TLS client over a bare connection: shows alerts, resumes sessions, breaks records, stops in the middle."""

import asyncio
import contextlib
import ssl
from typing import Self

from tests.support.peer import WAIT_S

__all__ = ["TLSWire", "alert_of"]

ALERT = 21


def alert_of(data: bytes) -> int | None:
    """The description of the first plain alert record in `data` (TLS 1.2 and the first flight of TLS 1.3)."""
    at = 0
    while at + 5 <= len(data):
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] == ALERT and size == 2:
            return data[at + 6]
        at += 5 + size
    return None


class TLSWire:
    """`context` decides everything; the host name is not checked here unless the context does."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
        *,
        server_name: str | None = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.reader, self.writer = reader, writer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name, session=session)
        self.alert = ""
        """OpenSSL's name of the alert that ended the connection."""
        self.raw = b""
        """Everything the gateway has sent, as it was on the wire."""

    @classmethod
    async def connect(
        cls,
        address: tuple[str, int],
        context: ssl.SSLContext,
        *,
        server_name: str | None = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> Self:
        """A TCP connection; nothing is sent yet."""
        reader, writer = await asyncio.open_connection(*address)
        return cls(reader, writer, context, server_name=server_name, session=session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    @property
    def port(self) -> int:
        return int(self.writer.get_extra_info("sockname")[1])

    def flush(self) -> None:
        self.writer.write(self.outgoing.read())

    async def _more(self) -> bool:
        data = b""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(WAIT_S):
                data = await self.reader.read(65536)
        self.raw += data
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        return bool(data)

    async def handshake(self) -> bool:
        """True once the client side is done; False, and `alert` set, if the gateway ended it."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                await self._more()
                continue
            except ssl.SSLError as error:
                self.alert = (error.reason or "").lower()
                self.flush()
                return False
            self.flush()
            return True

    def seal(self, data: bytes) -> bytes:
        """The record(s) for `data`, not sent."""
        self.tls.write(data)
        return self.outgoing.read()

    def send(self, data: bytes) -> None:
        self.writer.write(self.seal(data))

    async def receive(self) -> bytes:
        """Decrypted bytes; empty at the end, and `alert` is set if there was one."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                await self._more()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                self.alert = (error.reason or "").lower()
                return b""

    async def receive_until(self, end: bytes) -> bytes:
        """Decrypted bytes up to and including `end`, or to the end of the stream."""
        data = b""
        while end not in data and (piece := await self.receive()):
            data += piece
        return data

    async def to_the_end(self) -> bytes:
        """Everything decrypted until the gateway ends the connection."""
        data = b""
        while piece := await self.receive():
            data += piece
        return data
