"""Receivers that are asked over HTTP: a signed webhook, and OTLP. 2xx is a receipt; everything else is not."""

import hashlib
import hmac
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from typing_extensions import override

from gateway import __version__
from gateway.audit.otlp import to_otlp
from gateway.config.model import Sink
from gateway.control.sinks.receiver import Lines, NotDelivered, Rejected, tls_context

__all__ = ["OTLPReceiver", "WebhookReceiver", "signature"]

_TIMEOUT_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 65_536
_NEVER: Final = frozenset({400, 413, 422})
"""Answers to what is in a request; others are about who asks, or when."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Records go where the configuration says and nowhere else."""

    @override
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class _Poster:
    """Says what an answer means. Raises OSError for files that cannot be read."""

    def __init__(self, sink: Sink) -> None:
        self._url, self._kind = sink.target, sink.kind
        handler = urllib.request.HTTPSHandler(context=tls_context(sink))
        self._open = urllib.request.build_opener(handler, _NoRedirect, urllib.request.ProxyHandler({})).open

    def post(self, body: bytes, headers: dict[str, str]) -> bytes:
        """The body of a 2xx answer. Raises NotDelivered, Rejected."""
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310  checked by the configuration
        try:
            with self._open(request, timeout=_TIMEOUT_S) as answer:
                return bytes(answer.read(_MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            error.close()
            kind = Rejected if error.code in _NEVER else NotDelivered
            raise kind(f"the {self._kind} answers {error.code}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NotDelivered(f"the {self._kind} cannot be reached: {error}") from error


def _secret(sink: Sink) -> bytes:
    """Raises OSError."""
    return Path(sink.secret_file).read_bytes().rstrip(b"\r\n")


def signature(secret: bytes, time_s: int, body: bytes) -> str:
    """What the header ``Ocpp-Gateway-Signature`` says: time, and HMAC-SHA-256 over time, a dot, and the body."""
    return f"t={time_s},v1={hmac.new(secret, b'%d.%s' % (time_s, body), hashlib.sha256).hexdigest()}"


class WebhookReceiver:
    """POSTs one JSON line a record."""

    def __init__(self, sink: Sink, clock: Callable[[], float] = time.time) -> None:
        self._poster = _Poster(sink)
        self._secret = _secret(sink)
        self._clock = clock

    def deliver(self, lines: Lines) -> int:
        body = b"".join(line + b"\n" for _, line in lines)
        signed = signature(self._secret, int(self._clock()), body)
        self._poster.post(body, {"Content-Type": "application/x-ndjson", "Ocpp-Gateway-Signature": signed})
        return 0

    def close(self) -> None:
        return


class OTLPReceiver:
    """OTLP/HTTP with JSON. A collector may take a part of a request; what it throws away it only counts."""

    def __init__(self, sink: Sink, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._poster = _Poster(sink)
        self._headers = {"Content-Type": "application/json"}
        if sink.secret_file:
            self._headers["Authorization"] = f"Bearer {_secret(sink).decode('ascii')}"
        self._clock_ns = clock_ns

    def deliver(self, lines: Lines) -> int:
        request = to_otlp(lines, __version__, self._clock_ns())
        return _thrown_away(self._poster.post(msgspec.json.encode(request), self._headers), len(lines))

    def close(self) -> None:
        return


class _PartialSuccess(msgspec.Struct):
    rejectedLogRecords: int | str = 0  # noqa: N815  OTLP's name


class _Answer(msgspec.Struct):
    partialSuccess: _PartialSuccess | None = None  # noqa: N815  OTLP's name


def _thrown_away(answer: bytes, offered: int) -> int:
    """What a collector says about it, in JSON's two spellings of 64 bits; what it does not say is nothing."""
    try:
        said: Any = msgspec.json.decode(answer or b"{}", type=_Answer).partialSuccess
        return min(offered, max(0, int(said.rejectedLogRecords))) if said else 0
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return 0
