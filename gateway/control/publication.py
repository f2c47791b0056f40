"""What the PKI publishes, over HTTP: revocation lists, OCSP answers, CA certificates. From prepared bytes, holding no key.

A listener of its own, the one that charge points and other CAs' clients may reach without proof: small requests, few
connections, a rate for each source. Plain HTTP, as RFC 5280 and 6960 have it: all of it is signed.
"""

import asyncio
import datetime
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Final, Protocol

from aiohttp import web

from gateway.config.checks import split_address
from gateway.config.model import Publication
from pki.ocsp import MAX_REQUEST_BYTES, OCSPAnswer, request_from_path

__all__ = ["PublicationListener", "Publications", "PublishedCRL"]

_HEAD_TIMEOUT_S: Final = 10.0
_KEEPALIVE_S: Final = 5.0
_CERTIFICATE_AGE_S: Final = 86_400
_MAX_SOURCES: Final = 10_000
_MINUTE: Final = 60.0
_OCSP_REQUEST: Final = "application/ocsp-request"


class OCSPSource(Protocol):
    """What answers requests about the certificates of one issuer (`pki.ocsp.OCSPResponses`)."""

    def answer(self, request: bytes, now: datetime.datetime) -> OCSPAnswer:
        """The response to a request in DER. Never raises."""


@dataclass(frozen=True, slots=True)
class PublishedCRL:
    """A list, and from when until when it is good."""

    der: bytes
    this_update: datetime.datetime
    next_update: datetime.datetime


@dataclass(frozen=True, slots=True)
class Publications:
    """Everything that is published; replaced as a whole. By name of the issuer, lists by shard as well."""

    certificates: Mapping[str, bytes] = field(default_factory=dict)
    """CA certificates in DER."""
    crls: Mapping[tuple[str, int], PublishedCRL] = field(default_factory=dict)
    ocsp: Mapping[str, OCSPSource] = field(default_factory=dict)


class _Rates:
    """A token bucket for each source address."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str, per_minute: int, now: float) -> bool:
        """Take one token; False if there is none."""
        tokens, at = self._sources.get(address, (float(per_minute), now))
        tokens = min(float(per_minute), tokens + (now - at) * per_minute / _MINUTE)
        self._sources[address] = (max(0.0, tokens - 1.0), now)
        self._sources.move_to_end(address)
        if len(self._sources) > _MAX_SOURCES:
            self._sources.popitem(last=False)
        return tokens >= 1.0


class PublicationListener:
    """Serves `content`, which may be replaced at any time."""

    def __init__(self, settings: Publication, wall_clock: Callable[[], float] = time.time) -> None:
        self.content = Publications()
        self._settings = settings
        self._wall_clock = wall_clock
        self._rates = _Rates()
        self._silent: set[web.RequestHandler] = set()
        """Connections that have asked nothing yet, for the time that they are given."""
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    def serve(self, content: Publications) -> None:
        """This from now on."""
        self.content = content

    async def start(self) -> int:
        """Serve; the port that was bound. Raises OSError if the address is taken."""
        application = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[self._guard])
        application.add_routes(
            [
                web.get("/crl/{issuer}/{shard:[0-9]{1,6}}.crl", self._crl),
                web.get("/ca/{issuer}.crt", self._certificate),
                web.get("/ocsp/{issuer}/{request:.+}", self._ocsp_get),
                web.post("/ocsp/{issuer}", self._ocsp_post),
            ]
        )
        application.on_response_prepare.append(_say_little)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_KEEPALIVE_S,
            shutdown_timeout=1.0,
            max_line_size=MAX_REQUEST_BYTES * 2,
            max_field_size=4_096,
        )
        await self._runner.setup()
        host, port = split_address(self._settings.address)
        self._server = await asyncio.get_running_loop().create_server(self._protocol, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener and what is connected."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        runner = self._runner
        assert runner is not None
        assert runner.server is not None
        if len(runner.server.connections) >= self._settings.max_connections:
            return _Full()
        protocol = runner.server()
        self._silent.add(protocol)
        asyncio.get_running_loop().call_later(_HEAD_TIMEOUT_S, self._close_silent, protocol)
        return protocol

    def _close_silent(self, protocol: web.RequestHandler) -> None:
        """Whoever connects and asks nothing makes room for somebody else."""
        if protocol in self._silent:
            self._silent.discard(protocol)
            if protocol.transport is not None:
                protocol.transport.abort()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self._silent.discard(request.protocol)
        limit = self._settings.requests_per_address_per_minute
        if not self._rates.allows(request.remote or "", limit, time.monotonic()):
            return web.Response(status=429, headers={"Retry-After": "60"})
        return await handler(request)

    # -- answers

    async def _crl(self, request: web.Request) -> web.Response:
        found = self.content.crls.get((request.match_info["issuer"], int(request.match_info["shard"])))
        if found is None:
            raise web.HTTPNotFound
        return self._dated(request, found.der, "application/pkix-crl", found.this_update, found.next_update)

    async def _certificate(self, request: web.Request) -> web.Response:
        der = self.content.certificates.get(request.match_info["issuer"])
        if der is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": f"public, max-age={_CERTIFICATE_AGE_S}"}
        return web.Response(body=der, content_type="application/pkix-cert", headers=headers)

    async def _ocsp_get(self, request: web.Request) -> web.Response:
        try:
            asked = request_from_path(request.match_info["request"])
        except ValueError:
            asked = b""  # answered as malformed, in OCSP's own words
        return self._ocsp(request, asked)

    async def _ocsp_post(self, request: web.Request) -> web.Response:
        if request.content_type != _OCSP_REQUEST:
            raise web.HTTPUnsupportedMediaType
        return self._ocsp(request, await request.read())

    def _ocsp(self, request: web.Request, asked: bytes) -> web.Response:
        source = self.content.ocsp.get(request.match_info["issuer"])
        if source is None:
            raise web.HTTPNotFound
        answer = source.answer(asked, self._now())
        if answer.window is None:
            headers = {"Cache-Control": "no-store"}
            return web.Response(body=answer.der, content_type="application/ocsp-response", headers=headers)
        window = answer.window
        return self._dated(request, answer.der, "application/ocsp-response", window.this_update, window.next_update)

    def _dated(
        self,
        request: web.Request,
        body: bytes,
        kind: str,
        this_update: datetime.datetime,
        next_update: datetime.datetime,
    ) -> web.Response:
        """A signed thing that caches may keep until its next one (RFC 5019, 6.2)."""
        left_s = max(0, int((next_update - self._now()).total_seconds()))
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        headers = {
            "Last-Modified": format_datetime(this_update.astimezone(datetime.UTC), usegmt=True),
            "Expires": format_datetime(next_update.astimezone(datetime.UTC), usegmt=True),
            "Cache-Control": f"public, no-transform, must-revalidate, max-age={left_s}",
            "ETag": etag,
        }
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=kind, headers=headers)

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._wall_clock(), datetime.UTC)


class _Full(asyncio.Protocol):
    """There are connections enough."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()


async def _say_little(_: web.Request, response: web.StreamResponse) -> None:
    """Nobody needs to know what serves this."""
    response.headers["Server"] = "pki"
    response.headers["X-Content-Type-Options"] = "nosniff"
