"""Servers of other CAs: EST, which strongSwan's client has accepted first; Vault, as its documentation says; openssl's CMP mock."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.demo.ports import free_ports
from tests.support.other_ca import OtherCA, certs_only, json_answer

__all__ = ["CMP_SECRET", "EST_PREFIX", "VAULT_TOKEN", "ESTServer", "VaultServer", "cmp_server"]

EST_PREFIX = "/.well-known/est"
VAULT_TOKEN = "hvs.s3cret"
CMP_SECRET = "s3cret-between-us"


@dataclass
class ESTServer:
    """RFC 7030, 4.1 and 4.2: a CSR in, certs-only out. The attributes say how it answers."""

    ca: OtherCA = field(default_factory=OtherCA)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    authorization: str = ""
    """What must be shown; empty: nothing."""
    line_length: int = 0
    """RFC 8951, 3.1: base64 in one line. strongSwan takes nothing else; older servers break lines."""
    raw: bool = False
    order: Callable[[list[x509.Certificate]], list[x509.Certificate]] = list
    token: str = ""
    tokens_given: int = 0
    seen: list[dict[str, str]] = field(default_factory=list)

    async def cacerts(self, _: web.Request) -> web.Response:
        return self._certificates(self.ca.root.certificate, self.ca.sub.certificate)

    async def enroll(self, request: web.Request) -> web.Response:
        self.seen.append(dict(request.headers))
        expected = f"Bearer {self.token}" if self.token else self.authorization
        if expected and request.headers.get("Authorization") != expected:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="est"'})
        assert request.content_type == "application/pkcs10"
        csr = x509.load_der_x509_csr(base64.b64decode(await request.read()))
        if self.status != 200:
            return web.Response(status=self.status, headers=self.headers, body=self.body or b"")
        issued = self.ca.issue(csr)
        return self._certificates(*self.order([issued, self.ca.sub.certificate]))

    async def give_token(self, request: web.Request) -> web.Response:
        fields = await request.post()
        user, _, secret = (
            base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
        )
        if (fields.get("grant_type"), unquote(user), unquote(secret)) != ("client_credentials", "me", "s:3cret"):
            return json_answer(401, {"error": "invalid_client"})
        self.tokens_given += 1
        self.token = f"token-{self.tokens_given}"
        return json_answer(200, {"access_token": self.token, "token_type": "Bearer", "expires_in": 1})

    def _certificates(self, *certificates: x509.Certificate) -> web.Response:
        text = certs_only(*certificates, line_length=self.line_length)
        body = base64.b64decode(text) if self.raw else text
        headers = {
            "Content-Transfer-Encoding": "base64",
            "Content-Type": "application/pkcs7-mime; smime-type=certs-only",
        }
        return web.Response(body=body, headers=headers)

    def routes(self) -> Any:
        return {
            ("GET", f"{EST_PREFIX}/cacerts"): self.cacerts,
            ("POST", f"{EST_PREFIX}/simpleenroll"): self.enroll,
            ("POST", f"{EST_PREFIX}/simpleenroll/ISO15118-2"): self.enroll,
            ("POST", "/token"): self.give_token,
        }


@dataclass
class VaultServer:
    """One mount with one role."""

    ca: OtherCA = field(default_factory=OtherCA)
    status: int = 200
    errors: list[str] = field(default_factory=list)
    with_chain: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def sign(self, request: web.Request) -> web.Response:
        body = await self._note(request)
        if request.headers.get("X-Vault-Token") != VAULT_TOKEN:
            return json_answer(403, {"errors": ["permission denied"]})
        if self.status != 200:
            return json_answer(self.status, {"errors": self.errors})
        leaf = self.ca.issue(x509.load_pem_x509_csr(body["csr"].encode()), body["common_name"])
        sub, root = (each.certificate for each in (self.ca.sub, self.ca.root))
        data: dict[str, Any] = {"certificate": pem(leaf), "issuing_ca": pem(sub), "serial_number": "00"}
        if self.with_chain:
            data["ca_chain"] = [pem(sub), pem(root)]
        return json_answer(200, {"data": data, "lease_id": "", "warnings": None})

    async def chain(self, _: web.Request) -> web.Response:
        return web.Response(body=self.ca.sub.pem + self.ca.root.pem)

    async def look_up(self, request: web.Request) -> web.Response:
        known = request.headers.get("X-Vault-Token") == VAULT_TOKEN
        return json_answer(200, {"data": {}}) if known else json_answer(403, {"errors": ["permission denied"]})

    async def revoke(self, request: web.Request) -> web.Response:
        await self._note(request)
        return json_answer(
            self.status, {"data": {"revocation_time": 1}} if self.status == 200 else {"errors": self.errors}
        )

    async def _note(self, request: web.Request) -> dict[str, Any]:
        self.headers.append(dict(request.headers))
        self.asked.append(json.loads(await request.read()))
        return self.asked[-1]

    def routes(self) -> Any:
        return {
            ("POST", "/v1/pki/sign/charge-points"): self.sign,
            ("GET", "/v1/pki/ca_chain"): self.chain,
            ("POST", "/v1/pki/revoke"): self.revoke,
            ("GET", "/v1/auth/token/lookup-self"): self.look_up,
        }


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode().strip()


@contextlib.asynccontextmanager
async def cmp_server(work: Path, ca: OtherCA, leaf: x509.Certificate, *options: str) -> AsyncIterator[str]:
    """`openssl cmp -port`, which gives this certificate to whoever knows the secret."""
    (work / "issued.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (work / "sub.pem").write_bytes(ca.sub.pem)
    (work / "secret").write_text(CMP_SECRET)
    port = free_ports(1)[0]
    process = await asyncio.create_subprocess_exec(
        *("openssl", "cmp", "-port", str(port), "-srv_ref", "fleet", "-srv_secret", f"file:{work / 'secret'}"),
        *("-rsp_cert", str(work / "issued.pem"), "-rsp_extracerts", str(work / "sub.pem"), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            await process.stdout.readuntil(b"ACCEPT ")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()
