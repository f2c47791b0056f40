"""The ways out. Each delivers a batch or raises; none keeps anything. Here: a file, and a syslog server over TLS."""

import contextlib
import fcntl
import os
import socket
import ssl
import struct
import termios
import time
from pathlib import Path
from typing import Final

from gateway.audit.siem import octet_counted, to_syslog
from gateway.config.model import Sink
from gateway.config.sinks import syslog_address
from gateway.control.sinks.http_receivers import OTLPReceiver, WebhookReceiver
from gateway.control.sinks.kafka_receiver import KafkaReceiver
from gateway.control.sinks.nats_receiver import NATSReceiver
from gateway.control.sinks.receiver import Lines, NotDelivered, Receiver, tls_context

__all__ = ["receiver_for"]

_TIMEOUT_S: Final = 20.0
_ACKNOWLEDGED_WITHIN_S: Final = 20.0


def receiver_for(sink: Sink) -> Receiver:
    """The receiver that a configuration asks for. Raises OSError for a file that cannot be read."""
    if sink.kind == "file":
        return _FileReceiver(Path(sink.target))
    if sink.kind == "syslog":
        return _SyslogReceiver(sink)
    if sink.kind == "otlp":
        return OTLPReceiver(sink)
    if sink.kind == "kafka":
        return KafkaReceiver(sink)
    if sink.kind == "nats":
        return NATSReceiver(sink)
    return WebhookReceiver(sink)


class _FileReceiver:
    """Appends lines. Opened for each batch, so that any tool may rotate it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, lines: Lines) -> int:
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
        return 0

    def close(self) -> None:
        return


class _SyslogReceiver:
    """RFC 5424 messages with octet counting over TLS (RFC 5425).

    Syslog acknowledges nothing. A batch counts as delivered when the receiver's TCP has acknowledged all of it and has
    not ended the connection; what a server loses after that, it loses.
    """

    def __init__(self, sink: Sink) -> None:
        self._address = syslog_address(sink.target)
        self._context = tls_context(sink)
        self._connection: ssl.SSLSocket | None = None

    def deliver(self, lines: Lines) -> int:
        try:
            connection = self._connection or self._connect()
            _refuse_if_ended(connection)
            connection.sendall(b"".join(octet_counted(to_syslog(where, line)) for where, line in lines))
            _wait_until_acknowledged(connection)
            _refuse_if_ended(connection)
        except (OSError, ValueError) as error:
            self.close()
            raise NotDelivered(f"syslog {self._address[0]}:{self._address[1]}: {error}") from error
        return 0

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
