"""Fetches a firmware image to know its digest, and keeps nothing of it. Whoever names the address is not trusted.

Every connection, that of a redirect too, is checked where its socket is made: what is judged is the very address that is
connected to, so that a name cannot mean another one a moment later. No proxy of the environment is used, no cookie is kept,
and what went wrong is said without the address, which may hold a password.
"""

import asyncio
import hashlib
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urljoin

import aiohttp
import msgspec
from yarl import URL

from gateway.policy.urls import is_public

__all__ = [
    "FETCHED_SCHEMES",
    "FetchLimits",
    "FetchedImage",
    "ImageUnavailable",
    "fetch_image",
    "shown_url",
]

FETCHED_SCHEMES: Final = frozenset({"http", "https"})
"""The signature vouches for the image, so plain HTTP will do. FTP and SFTP are not spoken here."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_CHUNK_BYTES: Final = 65_536
_MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SILENCE_S: Final = 30.0
_MAX_SHOWN_CHARS: Final = 160
# Byte for byte what a charge point gets that asks for nothing special.
_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "ocpp-gateway"}


class ImageUnavailable(Exception):  # noqa: N818  names the state
    """Nobody knows what is there. Says why, in words without credentials."""


class FetchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How far a fetch may go."""

    max_image_bytes: int
    timeout_s: float
    private_hosts: Sequence[str] = ()
    """Names, and networks in CIDR, that may be connected to although they are not public."""
    ca: str = ""
    """PEM file with roots; empty: the system's."""


class FetchedImage(msgspec.Struct, frozen=True):
    """What was there."""

    sha256: bytes
    size: int


class _Reach:
    """Which addresses may be connected to on the way to one host."""

    def __init__(self, private_hosts: Sequence[str]) -> None:
        self._names = frozenset(each for each in private_hosts if "/" not in each)
        self._networks = [ipaddress.ip_network(each) for each in private_hosts if "/" in each]
        self.host = ""
        self.refused = ""
        """The last address that was not connected to."""

    def socket(self, where: Any) -> socket.socket:
        """For one attempt to connect; `where` as `socket.getaddrinfo` gives it. Raises OSError."""
        family, kind, protocol, _, address = where
        if not self._allows(str(address[0])):
            self.refused = str(address[0])
            raise OSError("not a public address")
        return socket.socket(family, kind, protocol)

    def _allows(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False  # 127.1 and its like, which C libraries read in ways of their own
        return is_public(address) or self.host in self._names or any(address in each for each in self._networks)


async def fetch_image(
    address: str, limits: FetchLimits, on_progress: Callable[[int, int], None] | None = None
) -> FetchedImage:
    """The digest of what is at an http or https address. Raises ImageUnavailable.

    `on_progress` hears how many bytes have just come, and how many it will be in all, 0 where that is not known.
    """
    reach = _Reach(limits.private_hosts)
    timeout = aiohttp.ClientTimeout(total=limits.timeout_s, sock_connect=_SILENCE_S, sock_read=_SILENCE_S)
    try:
        connector = aiohttp.TCPConnector(
            ssl=await asyncio.to_thread(_tls_context, limits.ca),
            socket_factory=reach.socket,
            use_dns_cache=False,
            force_close=True,
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            # All redirects together must not take longer than one fetch may.
            async with asyncio.timeout(limits.timeout_s):
                return await _follow(session, _parsed(address), reach, limits, on_progress)
    except TimeoutError:
        raise ImageUnavailable(f"no complete answer within {limits.timeout_s:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ImageUnavailable(_why(error, reach)) from None


async def _follow(
    session: aiohttp.ClientSession,
    url: URL,
    reach: _Reach,
    limits: FetchLimits,
    on_progress: Callable[[int, int], None] | None,
) -> FetchedImage:
    for _ in range(_MAX_REDIRECTS + 1):
        reach.host = (url.host or "").rstrip(".")
        async with session.get(url, headers=_HEADERS, allow_redirects=False) as answer:
            if answer.status not in _REDIRECTS:
                return await _digest(answer, limits.max_image_bytes, on_progress)
            before, url = url, _parsed(urljoin(str(url.with_user(None)), answer.headers.get("Location", "")))
        if before.scheme == "https" and url.scheme != "https":
            raise ImageUnavailable("the server sends us on from https to http")
    raise ImageUnavailable(f"the server sends us on more than {_MAX_REDIRECTS} times")


async def _digest(
    answer: aiohttp.ClientResponse, max_bytes: int, on_progress: Callable[[int, int], None] | None
) -> FetchedImage:
    if answer.status != 200:  # noqa: PLR2004
        raise ImageUnavailable(f"HTTP status {answer.status}")
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ImageUnavailable("the server compresses what was asked for as it is")
    expected = answer.content_length or 0
    digest, size = hashlib.sha256(), 0
    while size <= max_bytes and expected <= max_bytes and (chunk := await answer.content.read(_CHUNK_BYTES)):
        digest.update(chunk)
        size += len(chunk)
        if on_progress is not None:
            on_progress(len(chunk), expected)
    if max(size, expected) > max_bytes:
        raise ImageUnavailable(f"more than {max_bytes} bytes")
    if not size:
        raise ImageUnavailable("an empty answer")
    return FetchedImage(digest.digest(), size)


def _parsed(address: str) -> URL:
    """Raises ImageUnavailable, ValueError."""
    # A path or query that is plain is sent as it stands: it may be signed to the letter.
    url = URL(address, encoded=_PLAIN.fullmatch(address) is not None)
    if url.scheme not in FETCHED_SCHEMES or not url.host:
        raise ImageUnavailable("no http or https address")
    return url


def _tls_context(ca: str) -> ssl.SSLContext:
    """Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
    return context


def _why(error: Exception, reach: _Reach) -> str:
    """In our words: those of the library may repeat the address."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        found = error.certificate_error
        return f"the server's certificate is not good: {getattr(found, 'verify_message', '') or 'not for this host'}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name of the server cannot be resolved"
    if reach.refused and isinstance(error, aiohttp.ClientConnectorError):
        return f"{reach.refused} is no public address, and none of private_hosts"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS with the server has failed"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"the server cannot be reached: {error.os_error.strerror or 'no connection'}"
    if isinstance(error, aiohttp.InvalidURL):
        return "no address that every program reads alike"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "the answer broke off"
    return f"the fetch has failed: {type(error).__name__}"


def shown_url(address: str) -> str:
    """For logs: scheme, host and path; neither a user nor a query, which may be a key to what is there."""
    try:
        url = URL(address)
        text = (
            f"{url.scheme}://{url.raw_host or ''}{f':{url.explicit_port}' if url.explicit_port else ''}{url.raw_path}"
        )
    except ValueError:
        return "an address that cannot be read"
    return "".join(each if each.isprintable() else "?" for each in text[:_MAX_SHOWN_CHARS])
