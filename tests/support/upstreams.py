"""CSMSs of every kind for tests of the CSMS leg: on TLS, mute, closing at once, and answering wrongly in many ways."""

import asyncio
import contextlib
import socket
import ssl
import threading
from typing import Any, Self

from gateway.demo.ports import free_ports
from gateway.edge.memory_file import memory_file
from tests.support.csms import FakeCSMS, HostileCSMS
from tests.support.peer import CLOSE, PING, TEXT, frame
from tests.support.rig import Rig, shared_authority
from tests.support.tls_material import Authority

__all__ = ["ACCEPT", "FIRST_CALL", "HOSTILE", "Upstreams", "server_context", "unmasked"]

STRANGER = Authority("Somebody Else")
ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)
FIRST_CALL = '[2,"early","GetConfiguration",{"key":["A"]}]'


def server_context(authority: Authority, *, demand: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.server("ec")
    with memory_file(issued.pem + issued.key_pem) as path:
        context.load_cert_chain(path)
    if demand:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=shared_authority().pem.decode())
    return context


class Raw:
    """A server that says `answer` to whoever connects; with None it says nothing and keeps the connection."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer, self.connections = answer, 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/up"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.closing(writer), contextlib.suppress(OSError):
            if self.answer is not None:
                writer.write(self.answer)
            else:
                await reader.read(-1)


class Alerting:
    """A TLS server that demands a certificate and, other than asyncio's, says so with an alert before it closes."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"wss://localhost:{self._socket.getsockname()[1]}/up"

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._socket.accept()
                with self._context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as tls:
                    with contextlib.suppress(ssl.SSLError):
                        tls.do_handshake()
                    tls.shutdown(socket.SHUT_WR)
                    while tls.recv(65536):
                        pass


HOSTILE = {
    "early": (ACCEPT, frame(TEXT, FIRST_CALL.encode(), mask=None)),
    "recorder": (ACCEPT, b""),
    "pinger": (ACCEPT, frame(PING, b"abc", mask=None)),
    "closes": (ACCEPT, frame(CLOSE, (4001).to_bytes(2, "big") + b"bye", mask=None)),
    "closes-without-code": (ACCEPT, frame(CLOSE, b"", mask=None)),
    "masks": (ACCEPT, frame(TEXT, FIRST_CALL.encode())),
    "wrong-accept": (ACCEPT.replace(b"{accept}", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), b""),
    "other-version": (ACCEPT.replace(b"ocpp1.6", b"ocpp2.1"), b""),
    "extension": (ACCEPT.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), b""),
    "no-upgrade": (ACCEPT.replace(b"Upgrade: websocket\r\n", b""), b""),
    "no-http": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b""),
    "says-200": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    "says-401": (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", b""),
    "says-503": (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", b""),
}


class Upstreams:
    """The CSMSs beside the site's own."""

    def __init__(self) -> None:
        self.tls = FakeCSMS(tls=server_context(shared_authority()))
        self.mtls = FakeCSMS(tls=server_context(shared_authority(), demand=True))
        self.stranger = FakeCSMS(tls=server_context(STRANGER))
        self.hostile = {name: HostileCSMS(*what) for name, what in HOSTILE.items()}
        self.alerting = Alerting(server_context(shared_authority(), demand=True))
        self.silent, self.closing = Raw(None), Raw(b"")
        self._held = [socket.socket() for _ in range(2)]
        for held, port in zip(self._held, free_ports(2), strict=True):
            held.bind(("127.0.0.1", port))  # nobody listens, and nobody else can take the port
        self.dead, self.sleeping = (f"ws://127.0.0.1:{held.getsockname()[1]}/up" for held in self._held)

    def wake(self) -> FakeCSMS:
        """A CSMS at the address of `sleeping`, not started yet."""
        port = self._held[1].getsockname()[1]
        self._held[1].close()
        return FakeCSMS(port=port)

    def close(self) -> None:
        """Let go of what is no context manager."""
        self.alerting.close()
        for held in self._held:
            held.close()

    def entries(self, rig: Rig, main: str) -> dict[str, dict[str, Any]]:
        """The [[csms]] tables by name."""
        root = str(rig.work / "root.pem")
        own = rig.authority.charge_point("gateway")
        (rig.work / "own.pem").write_bytes(own.pem)
        rig.write_private("own.key", own.key_pem)
        rig.write_private("csms.password", b"gateway-password\n")
        identity = {"certificate": str(rig.work / "own.pem"), "key": str(rig.work / "own.key")}
        by_address = f"wss://127.0.0.1:{self.tls.port}/up"
        return {
            "basic": {
                "urls": [main],
                "authentication": "basic",
                "username": "gw-{id}",
                "password_file": str(rig.work / "csms.password"),
            },
            "pass-through": {"urls": [main], "authentication": "pass-through"},
            "headers": {
                "urls": [main],
                "headers": {"X-Who": "{id} at {address}", "X-Profile": "{security_profile}"},
                "forwarded_headers": True,
                "client_cert_header": True,
            },
            "tls": {"urls": [self.tls.url], "ca": root},
            "tls-other-root": {"urls": [self.stranger.url], "ca": root},
            "tls-system-roots": {"urls": [self.tls.url]},
            "tls-other-name": {"urls": [by_address], "ca": root},
            "tls-named": {"urls": [by_address], "ca": root, "server_name": "localhost"},
            "tls-danger": {"urls": [self.stranger.url], "danger_accept_any_certificate": True},
            "mtls": {"urls": [self.mtls.url], "ca": root, "authentication": "mtls", **identity},
            "mtls-without": {"urls": [self.alerting.url], "ca": root},
            "all-dead": {"urls": [self.dead]},
            "first-dead": {"urls": [self.dead, main]},
            "first-closes": {"urls": [self.closing.url, main]},
            "first-silent": {"urls": [self.silent.url, main], "connect_timeout_s": 2.0},
            "only-silent": {"urls": [self.silent.url], "connect_timeout_s": 0.5},
            "first-busy": {"urls": [self.hostile["says-503"].url, main]},
            "first-refuses": {"urls": [self.hostile["says-401"].url, main]},
            "both-busy": {"urls": [self.hostile["says-503"].url, self.hostile["says-503"].url]},
            "comes-back": {"urls": [self.sleeping, main], "retry_unhealthy_after_s": 0.2},
            **{name: {"urls": [each.url]} for name, each in self.hostile.items()},
        }


def unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """(opcode, payload) of the masked frames in `data`."""
    frames = []
    while len(data) >= 6:
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        mask, body = data[at : at + 4], data[at + 4 : at + 4 + size]
        frames.append((data[0] & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))))
        data = data[at + 4 + size :]
    return frames
