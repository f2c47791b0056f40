"""Let's Encrypt's test CA for ACME, from Debian, with a name server that sends every name to this machine."""

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509

from gateway.demo.ports import free_ports
from tests.support.tls_material import Authority

__all__ = ["EAB_KEY", "Pebble", "pebble"]

EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@dataclass(frozen=True)
class Pebble:
    """Where it is, what vouches for it, and where it comes to for challenges."""

    directory: str
    roots: Path
    http_port: int
    management: str

    async def root(self) -> x509.Certificate:
        """Of the certificates that it issues; a new one at each start."""
        context = ssl.create_default_context(cafile=str(self.roots))
        async with aiohttp.ClientSession() as session, session.get(f"{self.management}/roots/0", ssl=context) as answer:
            return x509.load_pem_x509_certificate(await answer.read())


@contextlib.asynccontextmanager
async def pebble(work: Path, *, eab: bool = False, bad_nonces_percent: int = 0) -> AsyncIterator[Pebble]:
    """Running, until the block is left."""
    api, management, http, dns, control = free_ports(5)
    authority = Authority("Pebble Server Root")
    server = authority.server(names=("localhost",))
    for name, content in (("roots.pem", authority.pem), ("cert.pem", server.pem), ("key.pem", server.key_pem)):
        (work / f"pebble-{name}").write_bytes(content)
    settings: dict[str, Any] = {
        "listenAddress": f"127.0.0.1:{api}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(work / "pebble-cert.pem"),
        "privateKey": str(work / "pebble-key.pem"),
        "httpPort": http,
        "tlsPort": 1,
        "externalAccountBindingRequired": eab,
        "externalAccountMACKeys": {"kid-1": EAB_KEY} if eab else {},
    }
    (work / "pebble.json").write_text(json.dumps({"pebble": settings}))
    off = ("-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "")
    names = ("pebble-challtestsrv", *off, "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{control}")
    environment = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": str(bad_nonces_percent)}
    served = ("pebble", "-config", str(work / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}")
    async with _running(work / "names.log", names, {}), _running(work / "pebble.log", served, environment):
        found = Pebble(
            f"https://localhost:{api}/dir", work / "pebble-roots.pem", http, f"https://localhost:{management}"
        )
        for port in (api, management, control):
            await _listens(port, work / "pebble.log")
        yield found


@contextlib.asynccontextmanager
async def _running(log: Path, command: tuple[str, ...], environment: Mapping[str, str]) -> AsyncIterator[None]:
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=file, stderr=file, env={**os.environ, **environment}
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _listens(port: int, log: Path) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"nobody listens at {port}:\n{log.read_text()}")
