"""A simulated CSMS on the `websockets` package, and a hostile one on bare sockets."""

import asyncio
import contextlib
import json
import ssl
from collections import defaultdict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

__all__ = ["FakeCSMS", "HostileCSMS"]

WAIT_S = 90.0
ALL = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")


def answer_everything(text: str) -> str | None:
    """BootNotification is accepted, every other Call gets an empty result."""
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    if not isinstance(frame, list) or frame[:1] != [2]:
        return None
    payload: dict[str, Any] = {}
    if frame[2] == "BootNotification":
        payload = {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300}
    if frame[2] == "Heartbeat":
        payload = {"currentTime": "2026-01-01T00:00:00Z"}
    return json.dumps([3, frame[1], payload], separators=(",", ":"))


class FakeCSMS:
    """Knows nothing of the gateway. Records what reaches it; `answer` maps a text to the answer or None."""

    def __init__(
        self,
        *,
        subprotocols: tuple[str, ...] = ALL,
        answer: Callable[[str], str | None] | None = answer_everything,
        tls: ssl.SSLContext | None = None,
        compression: str | None = None,
        refuse: HTTPStatus | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        connection_class: type[ServerConnection] = ServerConnection,
    ) -> None:
        self.answer = answer
        self.refuse = refuse
        self.delay_s = 0.0
        """How long an upgrade request waits for its answer."""
        self.requests: list[Request] = []
        self.texts: dict[str, list[str]] = defaultdict(list)
        self.holding: asyncio.Event | None = None
        """No request is answered until it is set."""
        self.connections: dict[str, ServerConnection] = {}
        self.closes: dict[str, list[int | None]] = defaultdict(list)
        self._changed = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._subprotocols = [Subprotocol(token) for token in subprotocols]
        self._tls, self._compression, self._host, self.port = tls, compression, host, port
        self._connection_class = connection_class
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Endpoint URL without identity."""
        return f"{'wss' if self._tls else 'ws'}://{'localhost' if self._tls else self._host}:{self.port}/up"

    async def start(self) -> Self:
        self._server = await serve(
            self._session,
            self._host,
            self.port,
            subprotocols=self._subprotocols,
            ssl=self._tls,
            compression=self._compression,
            process_request=self._request,
            ping_interval=None,
            max_size=None,
            close_timeout=2,
            open_timeout=None,
            create_connection=self._connection_class,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self._stopping.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        await self._note()
        if self.holding is not None:
            await self.holding.wait()
        if self.delay_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self.delay_s)
        return connection.respond(self.refuse, "no\n") if self.refuse else None

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _session(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        identity = connection.request.path.rpartition("/")[2]
        self.connections[identity] = connection
        await self._note()
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                text = message if isinstance(message, str) else message.hex()
                self.texts[identity].append(text)
                await self._note()
                reply = self.answer(text) if self.answer is not None else None
                if reply is not None:
                    await connection.send(reply)
        self.closes[identity].append(connection.close_code)
        await self._note()

    def forget(self) -> None:
        """What was said so far, so that a long run does not fill the memory."""
        for kept in (self.requests, self.texts, self.closes):
            kept.clear()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something to be true here. Raises TimeoutError."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    async def connected(self, identity: str) -> ServerConnection:
        """The connection of an identity (as it stands in the URL) once it is there."""
        await self.until(lambda: identity in self.connections)
        return self.connections[identity]

    async def asked(self, identity: str) -> None:
        """Wait until an upgrade request for this identity has arrived, answered or not."""
        await self.until(lambda: any(request.path.endswith(f"/{identity}") for request in self.requests))

    async def closed(self, identity: str, times: int = 1) -> list[int | None]:
        """Wait until so many connections of an identity are over; their close codes."""
        await self.until(lambda: len(self.closes[identity]) >= times)
        return self.closes[identity]

    async def close_code(self, connection: ServerConnection) -> int | None:
        """Wait until this very connection is over; its close code."""
        async with asyncio.timeout(WAIT_S):
            await connection.wait_closed()
        return connection.close_code

    async def received(self, identity: str, text: str) -> None:
        """Wait until exactly this text has arrived."""
        await self.until(lambda: text in self.texts[identity])

    def header(self, name: str, request: int = -1) -> list[str]:
        """Values of a header of a recorded upgrade request."""
        return list(self.requests[request].headers.get_all(name))


class HostileCSMS:
    """Answers every upgrade with the same bytes; `{accept}` in them is the right Sec-WebSocket-Accept."""

    def __init__(self, answer: bytes, then: bytes = b"") -> None:
        self.raw_answer, self.then = answer, then
        self.heads: list[bytes] = []
        self.received: bytes = b""
        self.behind: list[bytearray] = []
        """What came behind each of `heads`."""
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/up"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from gateway.websocket.handshake import accept_token

        # Closed also by a cancellation at the end of the loop: an unclosed transport would fail some later test.
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            behind = bytearray()
            self.behind.append(behind)
            key = next(
                line.partition(b":")[2].strip().decode()
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key:")
            )
            writer.write(self.raw_answer.replace(b"{accept}", accept_token(key).encode()) + self.then)
            await writer.drain()
            while data := await reader.read(65536):
                self.received += data
                behind += data
