"""`openssl s_client` as a charge point that asks for an upgrade."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.peer import upgrade
from tests.support.site import Site
from tests.support.tls_material import Issued

__all__ = ["SClient"]

_WAIT_S = 90.0


class SClient:
    """Each connection is one of `openssl s_client`, with the certificate and the TLS version that this was made with."""

    def __init__(self, site: Site, work: Path, shown: Issued, version: str, listener: str, identity: str) -> None:
        """`version`: as its option, e.g. ``tls1_3``. The certificate is written to ``client.pem`` in `work`."""
        self.site, self.version, self.listener, self.identity = site, version, listener, identity
        self.file = work / "client.pem"
        self.file.write_bytes(shown.pem + shown.key_pem)

    @contextlib.asynccontextmanager
    async def asks(self, *options: str) -> AsyncIterator[str]:
        """What it printed, up to the answer of the gateway."""
        host, port = self.site.gateway.address(self.listener)
        process = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", f"{host}:{port}", f"-{self.version}", "-ign_eof"),
            *("-cert", str(self.file), "-cert_chain", str(self.file), *options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(upgrade(f"/ocpp/{self.identity}"))
        try:
            async with asyncio.timeout(_WAIT_S):
                said = await process.stdout.readuntil(b"HTTP/1.1 ")
                said += await process.stdout.readline()
            yield said.decode(errors="replace")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
