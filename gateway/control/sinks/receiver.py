"""What a sink delivers through: a batch is taken, put off, or never taken as it is."""

import ssl
from typing import Protocol

from gateway.audit.siem import Located
from gateway.config.model import Sink

__all__ = ["Lines", "NotDelivered", "Receiver", "Rejected", "tls_context"]

Lines = list[tuple[Located, bytes]]


class NotDelivered(Exception):  # noqa: N818  a state
    """The receiver did not take the batch; it will be offered again."""


class Rejected(NotDelivered):
    """The receiver would not take this batch any other time either: something in it does not please it."""


class Receiver(Protocol):
    """One kind of sink."""

    def deliver(self, lines: Lines) -> int:
        """Everything, or NotDelivered, or Rejected. Returns how many the receiver has thrown away, and said so."""

    def close(self) -> None:
        """Let go of what is open."""


def tls_context(sink: Sink) -> ssl.SSLContext:
    """As a client of the receiver. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if sink.ca:
        context.load_verify_locations(sink.ca)
    else:
        context.load_default_certs()
    if sink.certificate:
        context.load_cert_chain(sink.certificate, sink.key)
    return context
