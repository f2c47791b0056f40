"""An attacker's end of a connection: bare sockets and our own TLS, so that nothing the gateway says is lost.

asyncio's transports throw away what was received as soon as a write fails; a flood that is cut off would then never
learn its close code. Here reading and writing are apart, and every TLS alert that arrives is noted.
"""

import asyncio
import contextlib
import functools
import socket
import struct
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL
from typing_extensions import override

from tests.attacks.hello import ALERTS
from tests.support.peer import WAIT_S, Peer
from tests.support.tls_material import Issued

__all__ = ["ClientTLS", "Link"]

_CHUNK = 65_536
_MOST_UNSENT = 1 << 20
_NO_LINGER = struct.pack("ii", 1, 0)


def _note_alert(connection: SSL.Connection, where: int, value: int) -> None:
    """OpenSSL tells what it reads; the connection's application data is the list of alerts."""
    if where == SSL.SSL_CB_READ_ALERT and value & 0xFF:
        connection.get_app_data().append(ALERTS.get(value & 0xFF, str(value & 0xFF)))


@dataclass(frozen=True, kw_only=True)
class ClientTLS:
    """How to speak TLS. Certificates of the gateway are not checked: this is the attacker's end."""

    server_name: str
    highest: int = SSL.TLS1_3_VERSION
    certificate: Issued | None = None

    @functools.cached_property
    def _context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_verify(SSL.VERIFY_NONE)
        context.set_max_proto_version(self.highest)
        context.set_info_callback(_note_alert)
        if self.certificate is not None:
            key = self.certificate.key
            assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
            context.use_certificate(self.certificate.certificate)
            context.use_privatekey(key)
        return context

    def connection(self, alerts: list[str], resume: SSL.Session | None) -> SSL.Connection:
        """A fresh client over memory BIOs; alerts that arrive are added to `alerts`."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(alerts)
        connection.set_tlsext_host_name(self.server_name.encode("ascii"))
        if resume is not None:
            connection.set_session(resume)
        connection.set_connect_state()
        return connection


class Link(Peer):
    """One connection to the gateway from a source address of its own. What was received is in `reader`."""

    def __init__(self, sock: socket.socket, tls: ClientTLS | None, resume: SSL.Session | None) -> None:
        self.reader = asyncio.StreamReader(limit=2**24)
        self.alerts: list[str] = []
        self.closed = False
        """True once the gateway has ended the connection, by FIN or RST."""
        self.handshake_done = tls is None
        self.received = 0
        """Bytes from the gateway, as on the wire."""
        self._sock = sock
        self._tls = tls.connection(self.alerts, resume) if tls is not None else None
        self._deaf = False
        self._unsent = bytearray()
        self._wake = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls,
        address: tuple[str, int],
        *,
        source: str,
        tls: ClientTLS | None = None,
        resume: SSL.Session | None = None,
        receive_buffer_bytes: int = 0,
    ) -> Self:
        """Connect, and shake hands if there is TLS. A refused handshake is no error: see `alerts` and `closed`.

        `resume`: the `session` of an earlier link with the same `tls`.
        """
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.bind((source, 0))
        loop = asyncio.get_running_loop()
        link = cls(sock, tls, resume)
        try:
            async with asyncio.timeout(WAIT_S):
                await loop.sock_connect(sock, address)
                if link._tls is not None:
                    await link._handshake(link._tls)
        except BaseException:
            sock.close()
            raise
        link._tasks = [loop.create_task(link._receive()), loop.create_task(link._transmit())]
        return link

    @override
    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """RST, as a peer that vanishes; waits until nothing of ours runs any more."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._sock.close()

    # -- TLS

    async def _handshake(self, tls: SSL.Connection) -> None:
        loop = asyncio.get_running_loop()
        while not self.handshake_done and not self._deaf:
            try:
                tls.do_handshake()
                self.handshake_done = True
            except SSL.WantReadError:
                pass
            except SSL.Error:
                self._deaf = True
            with contextlib.suppress(OSError):
                await loop.sock_sendall(self._sock, _pending(tls))
            if self.handshake_done or self._deaf:
                return
            try:
                data = await loop.sock_recv(self._sock, _CHUNK)
            except OSError:
                data = b""
            if not data:
                self._deaf = True
            else:
                self.received += len(data)
                tls.bio_write(data)

    def session(self) -> SSL.Session | None:
        """The TLS session, to resume it."""
        assert self._tls is not None
        return self._tls.get_session()

    def renegotiate(self) -> bool:
        """Send a ClientHello on the established connection; False if OpenSSL sees no connection to send it on."""
        tls = self._tls
        assert tls is not None
        if self._deaf or self.closed:
            return False
        try:
            if not tls.renegotiate():
                return False
            tls.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error:
            return False
        self._put(_pending(tls))
        return True

    # -- sending

    @override
    def send(self, data: bytes) -> None:
        tls = self._tls
        if tls is None:
            self._put(data)
            return
        if self._deaf or not data:
            return
        with contextlib.suppress(SSL.Error):
            tls.sendall(data)
        self._put(_pending(tls))

    def _put(self, data: bytes) -> None:
        if data:
            self._unsent += data
            self._wake.set()

    async def _transmit(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            data = bytes(self._unsent)
            try:
                await loop.sock_sendall(self._sock, data)
            except OSError:
                # The gateway is gone; what it said before can still be read.
                self._unsent.clear()
                return
            del self._unsent[: len(data)]
            if not self._unsent:
                self._wake.clear()

    async def sent(self) -> bool:
        """Wait until what is to be sent is nearly gone; False if the gateway takes no more."""
        while len(self._unsent) > _MOST_UNSENT and not self.closed:
            await asyncio.sleep(0.002)
        return not self.closed and not self._tasks[1].done()

    # -- receiving

    def stop_reading(self) -> None:
        """Read nothing more until `read_on`: the kernel's buffers fill."""
        self._reading.clear()

    def read_on(self) -> None:
        """Read again."""
        self._reading.set()

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        if self._tls is not None:
            self._decrypt(b"")
        while True:
            await self._reading.wait()
            try:
                data = await loop.sock_recv(self._sock, _CHUNK)
            except OSError:
                data = b""
            if not data:
                break
            self.received += len(data)
            if self._tls is None:
                self.reader.feed_data(data)
            else:
                self._decrypt(data)
        self.closed = True
        self.reader.feed_eof()

    def _decrypt(self, data: bytes) -> None:
        tls = self._tls
        assert tls is not None
        if self._deaf:
            return
        if data:
            tls.bio_write(data)
        try:
            while True:
                self.reader.feed_data(tls.recv(_CHUNK))
        except SSL.WantReadError:
            pass
        except SSL.Error:
            # close_notify, or an alert that `alerts` has noted.
            self._deaf = True
        self._put(_pending(tls))


def _pending(tls: SSL.Connection) -> bytes:
    """What TLS wants to send."""
    parts = []
    while True:
        try:
            parts.append(tls.bio_read(_CHUNK))
        except SSL.Error:
            return b"".join(parts)
