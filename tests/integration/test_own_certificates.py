"""The listeners' own certificates with real processes: issued, renewed under live sessions, and what happens when that fails."""

import asyncio
import base64
import json
import os
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.pki.hierarchy import Hierarchy, openssl_verify
from tests.pki.signer_directory import make_signer_directory
from tests.support.csms import FakeCSMS
from tests.support.fleet import until
from tests.support.judges import needs_openssl
from tests.support.rig import GatewayProcess, Rig

pytestmark = pytest.mark.integration
NAMES = ["cp.example.com", "CP2.example.com"]
"""In whatever case: that is no reason to ask for another one."""
PASSWORD = "password-of-all-1"
LIFE_S = 600.0
ECDSA, RSA = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"


class Site:
    """A rig whose TLS listeners get their certificates themselves. `life_s`: of a certificate."""

    def __init__(self, rig: Rig, life_s: float = 86_000.0) -> None:
        self.rig, self.hierarchy = rig, Hierarchy()
        self.signer = make_signer_directory(rig.work / "ca" / "signer", self.hierarchy)
        with (self.signer / "servers.toml").open("a") as file:
            file.write(f"[lifetime_days]\nCSMSCertificate = {life_s / 86_400}\n")
        rig.config["server_certificates"] = {"names": NAMES, "ca": str(rig.work / "ca"), "organization": "CPO"}
        for name in ("tls", "mtls"):
            table = rig.named(name)["tls"]
            del table["certificates"]
            table["automatic_certificates"] = True

    def client_tls(self, ciphers: str = "") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.hierarchy.root.public_bytes(Encoding.PEM).decode())
        if ciphers:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
        return context

    async def shown(self, gateway: GatewayProcess, ciphers: str = ECDSA, name: str = NAMES[0]) -> x509.Certificate:
        """The certificate that a charge point gets to see, and believes."""
        host, port = gateway.tls
        _, writer = await asyncio.open_connection(host, port, ssl=self.client_tls(ciphers), server_hostname=name)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return x509.load_der_x509_certificate(der)

    def let_time_pass(self, leaf: x509.Certificate) -> None:
        """Until two thirds of an ECDSA certificate with LIFE_S are over, counted from its back-dated beginning."""
        os.utime(self.file("ec-p256"), (0, leaf.not_valid_before_utc.timestamp()))

    def file(self, kind: str) -> Path:
        return self.rig.state / "server-certificates" / f"{kind}.pem"


async def session(site: Site, gateway: GatewayProcess) -> ClientConnection:
    host, port = gateway.tls
    token = base64.b64encode(f"CP-1:{PASSWORD}".encode()).decode()
    return await connect(
        f"wss://{NAMES[0]}:{port}/ocpp/CP-1",
        host=host,
        ssl=site.client_tls(),
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {token}"},
    )


@pytest.mark.requirement("A00.FR.318", "A00.FR.421")
@needs_openssl
async def test_a_new_gateway_has_certificates_of_both_kinds_that_charge_points_believe(rig: Rig) -> None:
    site = Site(rig)
    async with rig.gateway() as gateway:
        for ciphers, kind in ((ECDSA, ec.EllipticCurvePublicKey), (RSA, rsa.RSAPublicKey)):
            leaf = await site.shown(gateway, ciphers)
            assert isinstance(leaf.public_key(), kind)
            assert leaf.subject.rfc4514_string() == "CN=cp.example.com,O=CPO"
            assert (await site.shown(gateway, ciphers, NAMES[1])) == leaf
            found = openssl_verify(
                rig.work, leaf, [site.hierarchy.server_issuing], site.hierarchy.root, purpose="sslserver"
            )
            assert found == "OK"
        assert [oct(site.file(kind).stat().st_mode & 0o777) for kind in ("ec-p256", "rsa-2048")] == ["0o600"] * 2
        told = gateway.status()["server_certificates"]
        assert [(each["key"], each["in_force"], each["failing"]) for each in told] == [
            ("ec-p256", True, ""),
            ("rsa-2048", True, ""),
        ]
        said = gateway.log() + json.dumps(gateway.events()) + json.dumps(gateway.status()) + gateway.http("/metrics")[1]
    assert "PRIVATE KEY" not in said
    assert 'ocpp_gateway_server_certificate_renewal_failures{key="rsa-2048"} 0.0' in said


async def test_a_renewal_reaches_the_next_handshake_and_no_live_session(rig: Rig, csms: FakeCSMS) -> None:
    site = Site(rig, life_s=LIFE_S)
    rig.add("CP-1", security_profile=2, password=PASSWORD)
    async with rig.gateway() as gateway:
        first = await site.shown(gateway)
        before = site.file("ec-p256").read_bytes()
        charge_point = await session(site, gateway)
        connection = await csms.connected("CP-1")
        site.let_time_pass(first)
        await until(lambda: site.file("ec-p256").read_bytes() != before, "a renewed certificate on the disk")
        async with asyncio.timeout(120):
            while (second := await site.shown(gateway)) == first:
                await asyncio.sleep(0.1)
        assert second.public_key() != first.public_key()
        await connection.send('[2,"1","TriggerMessage",{"requestedMessage":"Heartbeat"}]')
        async with asyncio.timeout(120):
            assert '"TriggerMessage"' in str(await charge_point.recv())
        await charge_point.close()
        assert not [event for event in gateway.events() if event["event"] == "server_certificate.renewal_failed"]


async def test_while_the_ca_is_away_the_last_good_certificate_stays_and_it_is_said(rig: Rig) -> None:
    site = Site(rig, life_s=LIFE_S)
    async with rig.gateway() as gateway:
        first = await site.shown(gateway)
        away = (site.signer / "servers.toml").rename(site.signer / "servers.off")
        site.let_time_pass(first)
        event = await gateway.event("server_certificate.renewal_failed")
        assert event["severity"] == "high"
        assert event["detail"].startswith("ec-p256: ")
        assert await site.shown(gateway) == first
        told = next(each for each in gateway.status()["server_certificates"] if each["key"] == "ec-p256")
        assert told["failing"]
        assert told["in_force"]
        assert 'renewal_failures{key="ec-p256"} 1.0' in gateway.http("/metrics")[1]
        away.rename(site.signer / "servers.toml")


async def test_another_control_process_goes_on_with_what_is_there(rig: Rig) -> None:
    site = Site(rig)
    async with rig.gateway() as gateway:
        first = await site.shown(gateway)
        before = gateway.children()["control"]
        os.kill(before, signal.SIGKILL)
        await until(lambda: gateway.children().get("control", before) != before, "another control")
        await until(lambda: gateway.live_status().get("server_certificates"), "it answers")
        assert await site.shown(gateway) == first
        assert [each["event"] for each in gateway.events()].count("server_certificate.issued") == 2


async def test_new_names_are_a_new_certificate_after_a_reload(rig: Rig) -> None:
    site = Site(rig)
    async with rig.gateway() as gateway:
        first = await site.shown(gateway)
        rig.config["server_certificates"]["names"] = ["new.example.com"]
        assert (await gateway.reload())["event"] == "config.reloaded"
        async with asyncio.timeout(120):
            while await shown_to_anybody(gateway) == first:
                await asyncio.sleep(0.1)
        leaf = await site.shown(gateway, name="new.example.com")
        assert leaf.subject.rfc4514_string() == "CN=new.example.com,O=CPO"


async def shown_to_anybody(gateway: GatewayProcess) -> x509.Certificate:
    """Also to one that would not believe it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ECDSA)
    host, port = gateway.tls
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(der)


async def test_a_first_start_without_the_ca_serves_the_other_listeners_and_nobody_believes_this_one(rig: Rig) -> None:
    site = Site(rig)
    away = (site.signer / "servers.toml").rename(site.signer / "servers.off")
    table: dict[str, Any] = rig.named("mtls")["tls"]
    table["automatic_certificates"] = False
    table["certificates"] = rig.tls_table("none")["certificates"]
    async with rig.gateway() as gateway:
        assert (await gateway.event("server_certificate.renewal_failed"))["detail"].count("there is none") == 1
        with pytest.raises(ssl.SSLError):
            await site.shown(gateway)
        host, port = gateway.mtls
        _, writer = await asyncio.open_connection(host, port, ssl=rig.client_tls(), server_hostname="localhost")
        writer.transport.abort()
        away.rename(site.signer / "servers.toml")
        await gateway.reload()
        await gateway.event("server_certificate.issued", where=lambda event: event["detail"].startswith("rsa-2048"))
        await until(lambda: all(each["in_force"] for each in gateway.status()["server_certificates"]), "in force")
        assert (await site.shown(gateway)).subject.rfc4514_string() == "CN=cp.example.com,O=CPO"
