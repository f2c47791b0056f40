"""HTTPS as backends use it: pinned trust, no redirects, bounded answers, no proxy from the environment."""

import ssl
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from pki.backends.interface import BackendUnavailable

__all__ = ["Answer", "TLSFiles", "ask"]

_MAX_ANSWER_BYTES: Final = 262_144
_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSFiles:
    """How to know the CA's server, and how to prove oneself to it."""

    ca_pem: str
    """PEM text of the roots that may vouch for the server."""
    system_roots: bool = False
    """The system's roots instead: for public CAs alone, never where the CA's word is all there is."""
    certificate_file: str = ""
    """Client certificate chain, and its key; empty for none."""
    key_file: str = ""

    def context(self) -> ssl.SSLContext:
        """Raises OSError (ssl.SSLError is one) if a file cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.system_roots:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=self.ca_pem)
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""


async def ask(
    method: str,
    url: str,
    *,
    tls: TLSFiles | None,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Answer:
    """One request. Raises BackendUnavailable if there is no answer, or one that is too long.

    `tls` may be None for http:// alone, as to an agent on the same machine.
    """
    if not url.startswith("https://" if tls is not None else "http://"):
        raise BackendUnavailable("the address and the TLS settings do not fit together")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=False) as session,
            session.request(
                method,
                url,
                data=body,
                headers=headers,
                ssl=tls.context() if tls is not None else False,
                allow_redirects=False,
            ) as answer,
        ):
            text = await _bounded(answer)
            return Answer(answer.status, text, {name.lower(): value for name, value in answer.headers.items()})
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise BackendUnavailable(f"{type(error).__name__}: {error}") from None


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for piece in answer.content.iter_chunked(65_536):
        body += piece
        if len(body) > _MAX_ANSWER_BYTES:
            raise BackendUnavailable(f"an answer of more than {_MAX_ANSWER_BYTES} bytes")
    return body
