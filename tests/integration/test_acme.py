"""A gateway that gets its listeners' certificates from an ACME CA: pebble, with challenges over a real listener."""

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.csms import FakeCSMS
from tests.support.fleet import until
from tests.support.judges import needs_pebble
from tests.support.pebble import Pebble, pebble
from tests.support.rig import GatewayProcess, Rig

pytestmark = [pytest.mark.integration, needs_pebble]
NAMES = ["cp.example.com", "cp2.example.com"]


def configure(rig: Rig, ca: Pebble, port: int) -> None:
    rig.config["server_certificates"] = {
        "names": NAMES,
        "acme": {
            "directory": ca.directory,
            "agree_to_terms": True,
            "contact": ["mailto:op@example.com"],
            "roots": str(ca.roots),
            "http_address": f"127.0.0.1:{port}",
        },
    }
    table = rig.named("tls")["tls"]
    table.pop("certificates", None)
    table["automatic_certificates"] = True


async def believed(gateway: GatewayProcess, ca: Pebble, ciphers: str) -> None:
    """Raises SSLError if it is not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=(await ca.root()).public_bytes(Encoding.PEM).decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    host, port = gateway.tls
    for name in NAMES:
        _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
        writer.transport.abort()


async def test_certificates_of_both_kinds_from_an_acme_ca(rig: Rig, csms: FakeCSMS, tmp_path: Path) -> None:
    del csms
    async with pebble(tmp_path, bad_nonces_percent=5) as ca:
        configure(rig, ca, ca.http_port)
        async with rig.gateway() as gateway:
            await until(lambda: all_in_force(gateway), "certificates in force")
            for ciphers in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
                await believed(gateway, ca, ciphers)
            with pytest.raises(ConnectionRefusedError):  # nobody listens once the order is through
                await asyncio.open_connection("127.0.0.1", ca.http_port)
        private = [rig.state / "acme-account.pem", *(rig.state / "server-certificates").iterdir()]
        assert len(private) == 3
        assert {path.stat().st_mode & 0o777 for path in private} == {0o600}


async def test_a_challenge_that_cannot_be_answered_is_told_and_mended_by_a_reload(
    rig: Rig, csms: FakeCSMS, tmp_path: Path
) -> None:
    del csms
    async with pebble(tmp_path) as ca:
        configure(rig, ca, 0)  # any port, and not the one that the CA comes to
        async with rig.gateway() as gateway:
            event = await gateway.event("server_certificate.renewal_failed")
            assert "authorization: " in event["detail"]
            assert "there is none" in event["detail"]
            rig.config["server_certificates"]["acme"]["http_address"] = f"127.0.0.1:{ca.http_port}"
            assert (await gateway.reload())["event"] == "config.reloaded"
            await until(lambda: all_in_force(gateway), "certificates in force")


def all_in_force(gateway: GatewayProcess) -> bool:
    told = gateway.live_status().get("server_certificates") or []
    return bool(told) and all(each.get("in_force") for each in told)
