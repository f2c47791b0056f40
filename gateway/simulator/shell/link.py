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
    """Connect. Raises LinkFailed."""
    is_tls = wanted.url.startswith("wss:")
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
            create_connection=_factory(wanted),
        )
    except ssl.SSLError as error:
        raise LinkFailed("tls", error.reason or type(error).__name__) from None
    except InvalidStatus as error:
        status = error.response.status_code
        raise LinkFailed("refused" if status in _REFUSED else "unreachable", f"HTTP {status}") from None
    except (InvalidHandshake, InvalidURI, OSError, EOFError, ValueError) as error:
        failure: Failure = "tls" if _is_about_tls(error) else "unreachable"
        raise LinkFailed(failure, str(error) or type(error).__name__) from None


def _is_about_tls(error: BaseException | None) -> bool:
    """True if TLS is behind an error: with TLS 1.3 a refused certificate shows only when the answer is read."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


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


def _factory(wanted: Connect) -> type[ClientConnection]:
    """A connection class of its own where the library would be too correct."""
    if wanted.answers_pings and "," not in wanted.subprotocols:
        return ClientConnection

    class OddConnection(ClientConnection):
        def __init__(self, protocol: ClientProtocol, **options: Any) -> None:
            odd = _OddProtocol(protocol, wanted)
            protocol.connect = odd.connect  # type: ignore[method-assign]
            if not wanted.answers_pings:
                protocol.send_frame = odd.send_frame  # type: ignore[method-assign]
            super().__init__(protocol, **options)

    return OddConnection


def server_validity(connection: ClientConnection) -> tuple[float | None, float | None]:
    """From when until when the server's certificate is valid, in seconds since 1970; without TLS (None, None)."""
    tls = connection.transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if der is None:
        return None, None
    certificate = x509.load_der_x509_certificate(der)
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
