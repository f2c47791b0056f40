"""The leg towards the CSMS: dialling, fail-over between its addresses, and the WebSocket handshake as a client.

One connection per charge point. Nothing the charge point sent as a header is passed on; every header is made here.
"""

import asyncio
import base64
import os
import re
import ssl
import time
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import structlog

from gateway.edge.memory_file import memory_file
from gateway.identity.claim import encode_identity
from gateway.identity.evidence import Admission, Transport
from gateway.identity.refusal import Reason, Refusal
from gateway.link.messages import CSMSSettings
from gateway.websocket.deflate import DeflateParameters, client_offer, read_client_answer
from gateway.websocket.handshake import HandshakeInvalid, ServerAccept, build_client_request, verify_server_response
from gateway.websocket.head import HeadLimits, HeadViolation, ResponseHead, ResponseHeadReader

__all__ = ["CSMSDialler", "Dialled"]

_HEAD_LIMITS = HeadLimits(max_head_bytes=16_384, max_headers=100, max_request_line_bytes=1_024)
_HOST_NAME: Final = re.compile(r"[a-z0-9._-]{1,253}").fullmatch
_HTTP: Final = "HTTP {}"
_NOT_SERVED: Final = frozenset(map(_HTTP.format, (502, 503, 504)))
"""What stands in front of a CSMS says so, or one that has too much to do."""
_log = structlog.get_logger("edge.csms")


class _Address(NamedTuple):
    host: str
    port: int
    secure: bool
    path: str
    host_header: str

    @classmethod
    def parse(cls, url: str) -> "_Address":
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        host = parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        return cls(host, port, secure, parts.path.rstrip("/"), parts.netloc.rpartition("@")[2])


class Dialled(NamedTuple):
    """An upgraded connection to the CSMS, to be given its leg in the same turn of the event loop."""

    transport: asyncio.Transport
    subprotocol: str | None
    deflate: DeflateParameters | None
    early: bytes
    """Frames that came right behind the CSMS's 101; they must reach the charge point."""


class _Handshake(asyncio.Protocol):
    """Sends one request, waits for one response head."""

    __slots__ = ("_reader", "_request", "answer", "early", "transport")

    def __init__(self, request: bytes, answer: "asyncio.Future[ResponseHead]") -> None:
        self._request = request
        self._reader = ResponseHeadReader(_HEAD_LIMITS)
        self.answer = answer
        self.early = b""
        """What has come behind the head."""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio.Transport.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            self.early += data
            if self.transport is not None:
                self.transport.pause_reading()  # the rest waits until there is a leg
            return
        try:
            head = self._reader.feed(data)
        except HeadViolation as violation:
            self.answer.set_exception(Refusal(Reason.CSMS_HANDSHAKE_INVALID, violation.detail))
            return
        if head is not None:
            self.early = self._reader.rest
            self.answer.set_result(head)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer.done():
            return
        # TLS 1.3: a CSMS that does not want our certificate says so only now.
        reason = Reason.CSMS_TLS if isinstance(exc, ssl.SSLError) else Reason.CSMS_UNREACHABLE
        self.answer.set_exception(Refusal(reason, f"connection closed: {exc or 'no answer'}"))


class CSMSDialler:
    """Dials one configured CSMS. Immutable settings; only the health of its addresses changes."""

    def __init__(self, settings: CSMSSettings) -> None:
        self.settings = settings
        self._addresses = [_Address.parse(url) for url in settings.csms.urls]
        self._unhealthy_until = [0.0] * len(self._addresses)
        self._tls = _client_context(settings) if any(a.secure for a in self._addresses) else None

    def _candidates(self) -> list[int]:
        """Indexes in the order to try: healthy ones as configured, then the rest, least recently failed first."""
        now = time.monotonic()
        healthy = [i for i, until in enumerate(self._unhealthy_until) if until <= now]
        rest = sorted(
            (i for i, until in enumerate(self._unhealthy_until) if until > now), key=self._unhealthy_until.__getitem__
        )
        return healthy + rest

    async def dial(
        self, admission: Admission, transport: Transport, authorization: str | None, *, deflate: bool
    ) -> Dialled:
        """An upgraded connection for this admission. Raises Refusal (stage csms).

        A CSMS that cannot be reached makes the next address take over. So does one that says 502, 503 or 504, as a load
        balancer does in front of a dead CSMS, for this charge point: it is there, and may well answer others. Any other
        answer is that of the CSMS.
        """
        refusal = Refusal(Reason.CSMS_UNREACHABLE, "no address configured")
        for index in self._candidates():
            address = self._addresses[index]
            try:
                dialled = await self._dial_one(address, admission, transport, authorization, deflate=deflate)
                self._unhealthy_until[index] = 0.0
                return dialled  # noqa: TRY300  the handler is about this address only
            except Refusal as failed:
                if failed.reason in {Reason.CSMS_UNREACHABLE, Reason.CSMS_TLS}:
                    self._failed(index, failed)
                elif failed.detail not in _NOT_SERVED:
                    raise
                refusal = failed
        raise refusal

    def _failed(self, index: int, refusal: Refusal) -> None:
        """Try it last for a while. Said once per while: a fleet that reconnects to a dead CSMS is many attempts."""
        now, csms = time.monotonic(), self.settings.csms
        if self._unhealthy_until[index] <= now:
            _log.warning("csms_address_failed", csms=csms.name, url=csms.urls[index], detail=refusal.detail)
        self._unhealthy_until[index] = now + csms.retry_unhealthy_after_s

    async def _dial_one(
        self, address: _Address, admission: Admission, transport: Transport, authorization: str | None, *, deflate: bool
    ) -> Dialled:
        csms = self.settings.csms
        key = base64.b64encode(os.urandom(16)).decode()
        offer_deflate = deflate and csms.permessage_deflate
        try:
            request = build_client_request(
                address.host_header,
                f"{address.path}/{encode_identity(admission.charge_point_id)}",
                key,
                admission.subprotocols,
                client_offer() if offer_deflate else None,
                self._headers(admission, transport, authorization),
            )
        except ValueError as error:
            raise Refusal(Reason.CSMS_HANDSHAKE_INVALID, f"a configured header cannot be sent: {error}") from error
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ResponseHead] = loop.create_future()
        protocol = _Handshake(request, answer)
        dialled: Dialled | None = None
        try:
            async with asyncio.timeout(csms.connect_timeout_s):
                await self._connect(protocol, address)
                head = await answer
            accepted, agreed = _verify(head, key, admission.subprotocols, offered_deflate=offer_deflate)
            assert protocol.transport is not None
            dialled = Dialled(protocol.transport, accepted.subprotocol, agreed, protocol.early)
        except ssl.SSLError as error:
            raise Refusal(Reason.CSMS_TLS, str(error.reason or error)) from error
        except (OSError, TimeoutError, UnicodeError) as error:
            raise Refusal(
                Reason.CSMS_UNREACHABLE, f"{address.host}:{address.port}: {str(error) or 'timeout'}"
            ) from error
        finally:
            if dialled is None and protocol.transport is not None:
                protocol.transport.abort()
            if answer.done() and not answer.cancelled():
                answer.exception()  # retrieved here at the latest: a late one is nobody's error
        return dialled

    async def _connect(self, protocol: "_Handshake", address: _Address) -> None:
        await asyncio.get_running_loop().create_connection(
            lambda: protocol,
            address.host,
            address.port,
            ssl=self._tls if address.secure else None,
            server_hostname=(self.settings.csms.server_name or address.host) if address.secure else None,
        )

    def _headers(self, admission: Admission, transport: Transport, authorization: str | None) -> list[tuple[str, str]]:
        csms, identity = self.settings.csms, str(admission.charge_point_id)
        fill = {
            "{id}": identity,
            "{address}": transport.peer.address,
            "{security_profile}": str(int(admission.security_profile)),
        }
        headers = [(name, _filled(value, fill)) for name, value in csms.headers.items()]
        if csms.authentication == "basic":
            pair = _filled(csms.username, fill).encode() + b":" + self.settings.password
            headers.append(("Authorization", "Basic " + base64.b64encode(pair).decode()))
        elif csms.authentication == "pass-through" and authorization is not None:
            headers.append(("Authorization", authorization))
        if csms.forwarded_headers:
            headers.append(("X-Forwarded-For", transport.peer.address))
            headers.append(("X-Forwarded-Proto", "https" if transport.tls else "http"))
            # What a charge point without TLS has asked for is not known; and in TLS a peer may write whatever it likes.
            if transport.tls and _HOST_NAME(transport.tls.server_name):
                headers.append(("X-Forwarded-Host", transport.tls.server_name))
        if csms.client_cert_header and transport.tls and transport.tls.leaf_der:
            # RFC 9440: a structured-field byte sequence.
            headers.append(("Client-Cert", ":" + base64.b64encode(transport.tls.leaf_der).decode() + ":"))
        return headers


def _filled(template: str, values: dict[str, str]) -> str:
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    return template


def _verify(
    head: ResponseHead, key: str, offered: tuple[str, ...], *, offered_deflate: bool
) -> tuple[ServerAccept, DeflateParameters | None]:
    """The CSMS's answer, fully checked. Raises Refusal."""
    try:
        accepted = verify_server_response(head, key, offered)
        if accepted.extensions is None:
            return accepted, None
        if not offered_deflate:
            raise HandshakeInvalid("an extension that was not offered")
        return accepted, read_client_answer(accepted.extensions)
    except HandshakeInvalid as invalid:
        status = getattr(invalid, "status", None)
        if status is not None and status >= 400:  # noqa: PLR2004  an honest HTTP error
            raise Refusal(Reason.CSMS_REFUSED, _HTTP.format(status)) from invalid
        raise Refusal(Reason.CSMS_HANDSHAKE_INVALID, str(invalid)) from invalid


def _client_context(settings: CSMSSettings) -> ssl.SSLContext:
    """TLS towards the CSMS: verification is on unless the configuration says danger in so many words."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca_pem:
        context.load_verify_locations(cadata=settings.ca_pem.decode("ascii", "ignore"))
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if settings.csms.danger_accept_any_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.client_certificate is not None:
        pem = settings.client_certificate
        with memory_file(pem.chain) as chain, memory_file(pem.key) as key:
            context.load_cert_chain(chain, key)
    return context
