"""Another CA, behind an EST or a Vault server of the test's own: aiohttp over TLS, with certificates made on the fly."""

import base64
import contextlib
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.backends.interface import EnrollmentRequest
from tests.support.hierarchy import certificate
from tests.support.tls_material import DAY, Authority, Issued, Key, _name, new_key

__all__ = ["OtherCA", "https", "request_for"]

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
OPERATOR = "Example CPO"


def request_for(common_name: str = "SN-1", key: Key | None = None, **changes: Any) -> EnrollmentRequest:
    """A request; its CSR asks for names that nobody should look at."""
    key = key or new_key()
    csr = x509.CertificateSigningRequestBuilder().subject_name(_name("whatever", "Nobody")).sign(key, hashes.SHA256())
    values: dict[str, Any] = {"identity": "CP-1", "common_name": common_name, "organization": OPERATOR}
    return EnrollmentRequest(csr=csr, idempotency_key="key-1", **{**values, **changes})


@dataclass
class OtherCA:
    """Root, sub, and what it certifies: never what a request asks for."""

    root: Issued = field(default_factory=lambda: certificate("Other Root", ca=True, end=400 * DAY))
    sub: Issued = field(init=False)
    common_name: str = "SN-1"
    changes: dict[str, Any] = field(default_factory=dict)
    """Of `certificate`: what it does otherwise than it should."""
    issued: list[x509.Certificate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sub = certificate("Other Sub", issuer=self.root, ca=True, path_length=0, end=390 * DAY)

    @property
    def anchors(self) -> tuple[x509.Certificate, ...]:
        return (self.root.certificate,)

    def issue(
        self, csr: x509.CertificateSigningRequest | Key, common_name: str = "", **changes: Any
    ) -> x509.Certificate:
        options: dict[str, Any] = {
            "issuer": self.sub,
            "usage": CLIENT,
            "organization": OPERATOR,
            "end": 90 * DAY,
            "public_key": csr.public_key(),
        }
        made = certificate(common_name or self.common_name, **{**options, **self.changes, **changes}).certificate
        self.issued.append(made)
        return made


def certs_only(*certificates: x509.Certificate, line_length: int = 64) -> bytes:
    """A certs-only CMS message in base64, as EST answers."""
    text = base64.b64encode(serialize_certificates(list(certificates), Encoding.DER))
    if not line_length:
        return text
    return b"\r\n".join(text[start : start + line_length] for start in range(0, len(text), line_length)) + b"\r\n"


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def https(
    work: Path, routes: dict[tuple[str, str], Handler], *, client_root: bytes = b""
) -> AsyncIterator[tuple[str, str]]:
    """Serve; the address and the PEM of its root. `client_root`: whoever has no certificate of it is not let in."""
    authority = Authority("Server Root")
    server = authority.server(names=("localhost",))
    (work / "server.pem").write_bytes(server.pem + server.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(work / "server.pem")
    if client_root:
        context.load_verify_locations(cadata=client_root.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    application = web.Application()
    for (method, path), handler in routes.items():
        application.router.add_route(method, path, handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"https://localhost:{port}", authority.pem.decode()
    finally:
        await runner.cleanup()


def json_answer(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
