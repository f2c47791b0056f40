"""The ways out: a file, a syslog server over TLS, a webhook. Each delivers a batch or raises; none keeps anything."""

import contextlib
import fcntl
import hashlib
import hmac
import http.client
import os
import socket
import ssl
import struct
import termios
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import IO, Final, Protocol

from typing_extensions import override

from gateway.audit.siem import Located, octet_counted, to_syslog
from gateway.config.model import Sink
from gateway.config.sinks import syslog_address

__all__ = ["NotDelivered", "Receiver", "receiver_for", "signature"]

_TIMEOUT_S: Final = 20.0
_ACKNOWLEDGED_WITHIN_S: Final = 20.0
Lines = list[tuple[Located, bytes]]


class NotDelivered(Exception):  # noqa: N818  a state
    """The receiver did not take the batch; it will be offered again."""


class Receiver(Protocol):
    """One kind of sink."""

    def deliver(self, lines: Lines) -> None:
        """Everything, or NotDelivered."""

    def close(self) -> None:
        """Let go of what is open."""


def receiver_for(sink: Sink) -> Receiver:
    """The receiver that a configuration asks for. Raises OSError for a file that cannot be read."""
    if sink.kind == "file":
        return _FileReceiver(Path(sink.target))
    if sink.kind == "syslog":
        return _SyslogReceiver(sink)
    return _WebhookReceiver(sink)


def _tls_context(sink: Sink) -> ssl.SSLContext:
    """Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if sink.ca:
        context.load_verify_locations(sink.ca)
    else:
        context.load_default_certs()
    if sink.certificate:
        context.load_cert_chain(sink.certificate, sink.key)
    return context


class _FileReceiver:
    """Appends lines. Opened for each batch, so that any tool may rotate it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, lines: Lines) -> None:
        data = b"".join(line + b"\n" for _, line in lines)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                before = os.fstat(descriptor).st_size
                try:
                    done = 0
                    while done < len(data):
                        done += os.write(descriptor, memoryview(data)[done:])
                except OSError:
                    with contextlib.suppress(OSError):
                        os.ftruncate(descriptor, before)  # no half line stays behind
                    raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise NotDelivered(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        return


class _SyslogReceiver:
    """RFC 5424 messages with octet counting over TLS (RFC 5425).

    Syslog acknowledges nothing. A batch counts as delivered when the receiver's TCP has acknowledged all of it and has
    not ended the connection; what a server loses after that, it loses.
    """

    def __init__(self, sink: Sink) -> None:
        self._address = syslog_address(sink.target)
        self._context = _tls_context(sink)
        self._connection: ssl.SSLSocket | None = None

    def deliver(self, lines: Lines) -> None:
        try:
            connection = self._connection or self._connect()
            _refuse_if_ended(connection)
            connection.sendall(b"".join(octet_counted(to_syslog(where, line)) for where, line in lines))
            _wait_until_acknowledged(connection)
            _refuse_if_ended(connection)
        except (OSError, ValueError) as error:
            self.close()
            raise NotDelivered(f"syslog {self._address[0]}:{self._address[1]}: {error}") from error

    def _connect(self) -> ssl.SSLSocket:
        raw = socket.create_connection(self._address, _TIMEOUT_S)
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._connection = self._context.wrap_socket(raw, server_hostname=self._address[0])
        except (OSError, ValueError):
            raw.close()
            raise
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None


def _refuse_if_ended(connection: ssl.SSLSocket) -> None:
    """A syslog server says nothing; if something can be read, it is the end. Raises OSError."""
    connection.settimeout(0)
    try:
        if not connection.recv(1):
            raise ConnectionResetError("the server has ended the connection")
    except (ssl.SSLWantReadError, BlockingIOError):
        pass
    finally:
        connection.settimeout(_TIMEOUT_S)


def _wait_until_acknowledged(connection: ssl.SSLSocket) -> None:
    """Until the peer's TCP has everything. Raises OSError."""
    deadline = time.monotonic() + _ACKNOWLEDGED_WITHIN_S
    while struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]:
        if time.monotonic() > deadline:
            raise TimeoutError("the server takes nothing")
        time.sleep(0.005)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Records go where the configuration says and nowhere else."""

    @override
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def signature(secret: bytes, time_s: int, body: bytes) -> str:
    """What the header ``Ocpp-Gateway-Signature`` says: time, and HMAC-SHA-256 over time, a dot, and the body."""
    return f"t={time_s},v1={hmac.new(secret, b'%d.%s' % (time_s, body), hashlib.sha256).hexdigest()}"


class _WebhookReceiver:
    """POSTs one JSON line a record. 2xx is a receipt; everything else is not."""

    def __init__(self, sink: Sink, clock: Callable[[], float] = time.time) -> None:
        self._url = sink.target
        self._secret = Path(sink.secret_file).read_bytes().rstrip(b"\r\n")
        handler = urllib.request.HTTPSHandler(context=_tls_context(sink))
        self._open = urllib.request.build_opener(handler, _NoRedirect, urllib.request.ProxyHandler({})).open
        self._clock = clock

    def deliver(self, lines: Lines) -> None:
        body = b"".join(line + b"\n" for _, line in lines)
        headers = {
            "Content-Type": "application/x-ndjson",
            "Ocpp-Gateway-Signature": signature(self._secret, int(self._clock()), body),
        }
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310  checked by the configuration
        try:
            with self._open(request, timeout=_TIMEOUT_S):
                return
        except urllib.error.HTTPError as error:
            error.close()
            raise NotDelivered(f"the webhook answers {error.code}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NotDelivered(f"the webhook cannot be reached: {error}") from error

    def close(self) -> None:
        return
