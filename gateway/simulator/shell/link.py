"""One WebSocket of a simulated charge point: TLS, credentials, the oddities of its upgrade, and why it failed."""

import base64
import ssl
import tempfile
from typing import Any

from cryptography import x509
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.typing import Subprotocol

from gateway.simulator.core.effects import Connect
from gateway.simulator.core.events import Failure

__all__ = ["LinkFailed", "open_link", "server_validity"]

_OPEN_S = 30.0
_REFUSED = frozenset({401, 403})


class LinkFailed(Exception):  # noqa: N818  what has happened
    """No WebSocket."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure: Failure = failure
        self.detail = detail


async def open_link(wanted: Connect) -> ClientConnection:
    """Connect. Raises LinkFailed.

    With TLS 1.3 a refused certificate shows only when the answer is read: as what the transport was lost for.
    """
    is_tls = wanted.url.startswith("wss:")
    lost: list[Exception] = []
    if is_tls and not wanted.roots:
        raise LinkFailed("tls", "no root to trust")
    try:
        return await connect(
            wanted.url,
            subprotocols=[Subprotocol(wanted.subprotocols.rpartition(",")[2])],
            ssl=_tls_context(wanted) if is_tls else None,
            additional_headers=_authorization(wanted),
            open_timeout=_OPEN_S,
            close_timeout=5,
            ping_interval=wanted.ping_interval_s or None,
            compression=None,
            proxy=None,
            create_connection=_factory(wanted, lost),
        )
    except ssl.SSLError as error:
        raise LinkFailed("tls", error.reason or type(error).__name__) from None
    except InvalidStatus as error:
        status = error.response.status_code
        raise LinkFailed("refused" if status in _REFUSED else "unreachable", f"HTTP {status}") from None
    except (InvalidHandshake, InvalidURI, OSError, EOFError, ValueError) as error:
        causes = [error, *lost]
        about_tls = next((each for each in causes if isinstance(each, ssl.SSLError)), None)
        if about_tls is not None:
            raise LinkFailed("tls", about_tls.reason or "refused") from None
        if wanted.certificate_pem and isinstance(error.__cause__, EOFError):
            # Some servers send no alert: all that a charge point notices is that its certificate was the last word.
            raise LinkFailed("tls", "closed after the client certificate") from None
        raise LinkFailed("unreachable", str(error) or type(error).__name__) from None


def _authorization(wanted: Connect) -> dict[str, str] | None:
    if wanted.password is None:
        return None
    return {"Authorization": "Basic " + base64.b64encode(wanted.user.encode() + b":" + wanted.password).decode()}


def _tls_context(wanted: Connect) -> ssl.SSLContext:
    """Trusts these roots and no others; a root may be one that another has signed (partial chain, M05 remark)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata="\n".join(wanted.roots))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if wanted.certificate_pem:
        # The ssl module takes a certificate only from a file; this one is for its owner alone, and gone at once.
        with tempfile.NamedTemporaryFile("w", prefix="ocpp-gateway-simulator-") as file:
            file.write(f"{wanted.certificate_pem.rstrip()}\n{wanted.key_pem}")
            file.flush()
            context.load_cert_chain(file.name)
    return context


class _OddProtocol:
    """Changes one protocol object: what it offers in the upgrade, and whether it answers pings."""

    def __init__(self, protocol: ClientProtocol, wanted: Connect) -> None:
        self._protocol, self._wanted = protocol, wanted
        self._connect, self._send_frame = protocol.connect, protocol.send_frame

    def connect(self) -> Request:
        request = self._connect()
        del request.headers["Sec-WebSocket-Protocol"]
        request.headers["Sec-WebSocket-Protocol"] = self._wanted.subprotocols
        return request

    def send_frame(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.PONG:
            self._send_frame(frame)


def _factory(wanted: Connect, lost: list[Exception]) -> type[ClientConnection]:
    """A connection class that is as odd as wanted, and puts into `lost` what ended its transport."""

    class Connection(ClientConnection):
        def __init__(self, protocol: ClientProtocol, **options: Any) -> None:
            odd = _OddProtocol(protocol, wanted)
            if "," in wanted.subprotocols:
                protocol.connect = odd.connect  # type: ignore[method-assign]
            if not wanted.answers_pings:
                protocol.send_frame = odd.send_frame  # type: ignore[method-assign]
            super().__init__(protocol, **options)

        def connection_lost(self, exc: Exception | None) -> None:
            if exc is not None:
                lost.append(exc)
            super().connection_lost(exc)

    return Connection


def server_validity(connection: ClientConnection) -> tuple[float | None, float | None]:
    """From when until when the server's certificate is valid, in seconds since 1970; without TLS (None, None)."""
    tls = connection.transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if der is None:
        return None, None
    certificate = x509.load_der_x509_certificate(der)
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
