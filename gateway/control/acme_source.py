"""The listeners' certificates from an ACME CA: account key on disk, challenges answered on a listener of their own."""

import asyncio
import contextlib
import datetime
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.config.own_certificates import ACME
from gateway.config.peers import split_address
from gateway.control.background import in_background
from gateway.control.own_certificate_source import CertificateNotHad, Made, request_for_names
from pki.acme.client import ACMEClient, ACMEFailed, ACMESettings
from pki.acme.jws import from_base64url
from pki.acme.renewal_info import RenewalAdvice
from pki.backends.http import TLSFiles
from pki.errors import Misconfigured
from pki.keys import KeyKind, generate_key, write_key
from pki.secrets_at_rest import read_private_file

__all__ = ["ACMESource"]

_ACCOUNT: Final = "acme-account.pem"
_PATH: Final = "/.well-known/acme-challenge/{token}"


class ACMESource:
    """One CA. The account key is made at the first use."""

    def __init__(self, acme: ACME, state_dir: Path, names: tuple[str, ...]) -> None:
        self._acme = acme
        self._state_dir = state_dir
        self._names = names
        self._client: ACMEClient | None = None

    async def renewal_advice(self, certificate: x509.Certificate) -> RenewalAdvice | None:
        """RFC 9773, from a CA that has it. Raises CertificateNotHad."""
        try:
            return await (await self._asked_client()).renewal_advice(certificate)
        except (ACMEFailed, Misconfigured, OSError) as error:
            self._client = None
            raise CertificateNotHad(str(error)) from None

    async def issue(self, kind: KeyKind, replaced: x509.Certificate | None = None) -> Made:
        """An order of its own for each kind of key. Raises CertificateNotHad."""
        key = await in_background(partial(generate_key, kind))
        csr = x509.load_pem_x509_csr(request_for_names(key, self._names).encode("ascii"))
        shown: dict[str, str] = {}
        try:
            client = await self._asked_client()
            async with _answering(self._acme.http_address, shown):
                chain = await client.certificate(csr, self._names, shown.__setitem__, _now(), replaced)
        except (ACMEFailed, Misconfigured, OSError) as error:
            self._client = None  # the CA may have forgotten the account, or moved
            raise CertificateNotHad(str(error)) from None
        return chain, key

    async def _asked_client(self) -> ACMEClient:
        if self._client is None:
            self._client = await in_background(self._made_client)
        return self._client

    def _made_client(self) -> ACMEClient:
        acme = self._acme
        roots = Path(acme.roots).read_text("ascii", "replace") if acme.roots else ""
        binding = b""
        if acme.eab_key_file:
            try:
                binding = from_base64url(read_private_file(Path(acme.eab_key_file)).decode("ascii", "replace"))
            except ValueError:
                raise Misconfigured(f"{acme.eab_key_file}: not base64url") from None
        settings = ACMESettings(
            directory=acme.directory,
            tls=TLSFiles(ca_pem=roots, system_roots=not roots),
            contact=acme.contact,
            key_id=acme.eab_key_id,
            binding_key=binding,
        )
        return ACMEClient(settings, _account_key(self._state_dir / _ACCOUNT), asyncio.sleep)


def _account_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        made = path.with_suffix(".new")
        write_key(generate_key("ec-p256"), made)
        made.replace(path)
    try:
        key = load_pem_private_key(read_private_file(path), None)
    except (ValueError, TypeError):
        raise Misconfigured(f"{path}: not a private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Misconfigured(f"{path}: not a P-256 key")
    return key


@contextlib.asynccontextmanager
async def _answering(address: str, shown: dict[str, str]) -> AsyncIterator[None]:
    """What is in `shown` under its token, for as long as an order takes; everything else is not there. Raises Misconfigured."""

    async def challenge(request: web.Request) -> web.Response:
        text = shown.get(request.match_info["token"])
        return web.Response(text=text) if text is not None else web.Response(status=404)

    application = web.Application(client_max_size=0)
    application.router.add_get(_PATH, challenge)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _listening(runner, address)
        yield
    finally:
        await runner.cleanup()


async def _listening(runner: web.AppRunner, address: str) -> None:
    host, port = split_address(address)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise Misconfigured(f"http_address {address}: {why}") from None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
