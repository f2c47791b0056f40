"""Listeners over real sockets: who may connect, what is spoken, which certificate and suite, and the limits before TLS."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.config.load import ConfigError, load_config
from gateway.ocpp.vocabulary import SecurityProfile
from tests.support.peer import Peer, basic, upgrade
from tests.support.rig import Rig
from tests.support.site import PASSWORD, Site, local_port, of, running
from tests.support.tls_wire import TLSWire, alert_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning"),
]
ELSEWHERE = "127.0.0.9"
TLS_1_2 = {"maximum": ssl.TLSVersion.TLSv1_2}
OLD = {"minimum": ssl.TLSVersion.TLSv1, "maximum": ssl.TLSVersion.TLSv1_1, "ciphers": "AES128-SHA:@SECLEVEL=0"}


def prepare(rig: Rig) -> None:
    rig.named("plain")["allowed_networks"] = ["127.0.0.1/32"]
    for name, more in {
        "modern": {"cipher_policy": "modern"},
        "quarantine": {"cipher_policy": "legacy-quarantine"},
        "stdlib": {"engine": "stdlib"},
    }.items():
        tls = rig.tls_table("optional", **more)
        rig.config["listener"].append(rig.listener(name, [2, 3], tls=tls, allowed_networks=["127.0.0.0/8"]))
    rig.add("CP-1", security_profile=1, password=PASSWORD)
    rig.add("CP-2", security_profile=2, password=PASSWORD)
    rig.add("CP-3", security_profile=3, serial_number="SN-3")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("transport"), prepare) as made:
        yield made


async def connect_from(source: str, address: tuple[str, int]) -> Peer:
    reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
    return Peer(reader, writer)


async def handshake(site: Site, listener: str, **settings: Any) -> tuple[bool, TLSWire]:
    """Whether the TLS handshake went through, and its connection (closed)."""
    address = site.gateway.address(listener)
    async with await TLSWire.connect(address, site.rig.client_tls(**settings)) as wire:
        return await wire.handshake(), wire


# -- configuration


@pytest.mark.requirement("A00.FR.201")
async def test_plain_listener_without_networks_is_refused_at_start_and_with_them_it_is_not(tmp_path: Path) -> None:
    rig = Rig(tmp_path, csms_urls=["ws://127.0.0.1:9/up"])
    rig.named("plain")["allowed_networks"] = []
    with pytest.raises(ConfigError, match=r"A00\.FR\.201"):
        load_config(rig.write_config())
    rig.named("plain")["allowed_networks"] = ["10.0.0.0/8"]
    assert load_config(rig.write_config()).listeners[0].tls is None


@pytest.mark.requirement("A00.FR.006", "A00.FR.201", "A00.FR.312", "A00.FR.415")
async def test_profile_1_is_only_ever_served_by_a_plain_listener_that_somebody_wrote_down(tmp_path: Path) -> None:
    rig = Rig(tmp_path, csms_urls=["ws://127.0.0.1:9/up"])
    rig.named("tls")["security_profiles"] = [1, 2, 3]
    with pytest.raises(ConfigError, match="profile 1 is without TLS"):
        load_config(rig.write_config())
    rig.named("tls")["security_profiles"] = [2, 3]
    rig.named("plain")["security_profiles"] = [1, 2]
    with pytest.raises(ConfigError, match="serves profile 1 and nothing else"):
        load_config(rig.write_config())
    rig.config["listener"] = [table for table in rig.config["listener"] if table["name"] != "plain"]
    served = [each.security_profiles for each in load_config(rig.write_config()).listeners]
    assert not any(SecurityProfile.BASIC in profiles for profiles in served)


# -- who may connect


@pytest.mark.requirement("A00.FR.201")
async def test_address_outside_the_allowed_networks_is_dropped_without_a_byte(site: Site) -> None:
    async with await connect_from(ELSEWHERE, site.gateway.plain) as peer:
        port = local_port(peer)
        assert await peer.ended()
    event = await site.gateway.event("net.source_not_allowed", where=of(port))
    assert (event["peer"], event["listener"], event["reason"]) == (ELSEWHERE, "plain", "source-not-allowed")
    async with await connect_from("127.0.0.1", site.gateway.plain) as peer:
        answer = await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", PASSWORD))
        assert answer.status == 101


async def test_tls_listener_without_networks_is_open_to_every_address(site: Site) -> None:
    reader, writer = await asyncio.open_connection(
        *site.gateway.tls, local_addr=(ELSEWHERE, 0), ssl=site.rig.client_tls(), server_hostname="localhost"
    )
    async with Peer(reader, writer) as peer:
        answer = await peer.ask("/ocpp/CP-2", authorization=basic("CP-2", PASSWORD))
        assert answer.status == 101


# -- what is spoken


@pytest.mark.requirement("A00.FR.006")
async def test_tls_on_the_plain_listener_gets_an_alert_and_is_named_with_what_it_offered(site: Site) -> None:
    ok, wire = await handshake(site, "plain")
    assert not ok
    assert alert_of(wire.raw) == 40
    event = await site.gateway.event("tls.on_plain_listener", where=of(wire.port))
    assert (event["reason"], event["decision"], event["server_name"]) == (
        "tls-on-plain-listener",
        "tls_alert",
        "localhost",
    )
    assert event["tls_offered"] == ["TLSv1.3", "TLSv1.2"]


@pytest.mark.requirement("A00.FR.312", "A00.FR.415")
async def test_plain_http_on_a_tls_listener_is_named_and_gets_no_answer(site: Site) -> None:
    async with await Peer.connect(site.gateway.tls) as peer:
        port = local_port(peer)
        peer.send(upgrade("/ocpp/CP-2", authorization=basic("CP-2", PASSWORD)))
        assert await peer.ended()
    event = await site.gateway.event("tls.plaintext", where=of(port))
    assert (event["reason"], event["stage"], event["listener"]) == ("plain-on-tls-listener", "tls", "tls")
    assert PASSWORD not in str(event)


@pytest.mark.requirement("A00.FR.006", "A00.FR.306", "A00.FR.409")
async def test_profiles_2_and_3_share_one_port(site: Site) -> None:
    assert (await site.ask("CP-2", "tls")).status == 101
    certificate = site.rig.authority.charge_point("SN-3")
    assert (await site.ask("CP-3", "tls", password=None, certificate=certificate)).status == 101
    assert (await site.ask("CP-3", "tls", password=None)).status == 401


async def test_charge_point_without_sni_gets_in(site: Site) -> None:
    context = site.rig.client_tls()
    context.check_hostname = False
    async with await TLSWire.connect(site.gateway.tls, context, server_name=None) as wire:
        assert await wire.handshake()
        wire.send(upgrade("/ocpp/CP-2", authorization=basic("CP-2", PASSWORD)))
        assert b" 101 " in await wire.receive_until(b"\r\n\r\n")


async def test_sni_of_another_tenant_than_the_host_is_misdirected(site: Site) -> None:
    async with await TLSWire.connect(site.gateway.tls, site.rig.client_tls(), server_name="gw.example.test") as wire:
        assert await wire.handshake()
        wire.send(upgrade("/ocpp/CP-2", host="localhost", authorization=basic("CP-2", PASSWORD)))
        assert b" 421 " in await wire.receive_until(b"\r\n\r\n")
    async with await TLSWire.connect(site.gateway.tls, site.rig.client_tls(), server_name="gw.example.test") as wire:
        assert await wire.handshake()
        wire.send(upgrade("/ocpp/CP-2", host="gw.example.test", authorization=basic("CP-2", PASSWORD)))
        assert b" 101 " in await wire.receive_until(b"\r\n\r\n")


# -- certificates and suites


@pytest.mark.parametrize(
    ("suite", "kind"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", ec.EllipticCurvePublicKey),
        ("ECDHE-RSA-AES256-GCM-SHA384", rsa.RSAPublicKey),
        ("AES128-GCM-SHA256", rsa.RSAPublicKey),
    ],
)
@pytest.mark.requirement("A00.FR.307", "A00.FR.309", "A00.FR.318", "A00.FR.410", "A00.FR.412", "A00.FR.421")
async def test_the_certificate_that_the_suite_needs_is_presented(site: Site, suite: str, kind: type) -> None:
    ok, wire = await handshake(site, "tls", ciphers=suite, **TLS_1_2)
    assert ok
    certificate = x509.load_der_x509_certificate(wire.tls.getpeercert(binary_form=True) or b"")
    assert isinstance(certificate.public_key(), kind)
    assert certificate.subject.rfc4514_string().startswith("CN=localhost")


ACCEPTED = {
    "tls": {"static RSA": True, "ECDHE-RSA": True, "TLS 1.3": True, "CBC": False, "TLS 1.1": False},
    "stdlib": {"static RSA": True, "ECDHE-RSA": True, "TLS 1.3": True, "CBC": False, "TLS 1.1": False},
    "modern": {"static RSA": False, "ECDHE-RSA": True, "TLS 1.3": True, "CBC": False, "TLS 1.1": False},
    "quarantine": {"static RSA": True, "ECDHE-RSA": True, "TLS 1.3": True, "CBC": True, "TLS 1.1": True},
}
OFFERS: dict[str, dict[str, Any]] = {
    "static RSA": {**TLS_1_2, "ciphers": "AES256-GCM-SHA384"},
    "ECDHE-RSA": {**TLS_1_2, "ciphers": "ECDHE-RSA-AES128-GCM-SHA256"},
    "TLS 1.3": {"minimum": ssl.TLSVersion.TLSv1_3},
    "CBC": {**TLS_1_2, "ciphers": "AES128-SHA:AES256-SHA256:ECDHE-RSA-AES128-SHA@SECLEVEL=0"},
    "TLS 1.1": OLD,
}


@pytest.mark.parametrize("listener", ACCEPTED)
@pytest.mark.requirement(
    "A00.FR.313", "A00.FR.315", "A00.FR.320", "A00.FR.322", "A00.FR.416", "A00.FR.423", "A00.FR.425"
)
async def test_each_cipher_policy_accepts_exactly_what_it_says(site: Site, listener: str) -> None:
    taken = {}
    for name, offer in OFFERS.items():
        taken[name], wire = await handshake(site, listener, **offer)
        assert wire.tls.compression() is None
    assert taken == ACCEPTED[listener]


# -- limits before TLS


async def test_peer_that_does_not_finish_in_time_is_dropped_and_its_step_is_named(site: Site) -> None:
    site.rig.config["limits"]["handshake_timeout_s"] = 2.0
    assert (await site.gateway.reload())["event"] == "config.reloaded"
    session = await site.session("CP-1")
    for listener, sent, step in (
        ("tls", b"", "first_bytes"),
        ("tls", b"\x16\x03\x01\x02\x00\x01", "tls"),
        ("plain", b"GET /ocpp/CP-1 HTTP/1.1\r\nHost: x\r\n", "head"),
    ):
        async with await Peer.connect(site.gateway.address(listener)) as peer:
            port = local_port(peer)
            if sent:
                peer.send(sent)
            assert await peer.ended()
        event = await site.gateway.event("net.handshake_timeout", where=of(port))
        assert (event["reason"], event["detail"]) == ("handshake-timeout", f"in step {step}")
    async with session:  # one that did finish in time stays
        session.send_text('[2,"h1","Heartbeat",{}]')
        assert "h1" in await session.text()
    del site.rig.config["limits"]["handshake_timeout_s"]
    assert (await site.gateway.reload())["event"] == "config.reloaded"


async def test_connections_are_limited_per_address_and_in_all_before_anything_is_read(tmp_path: Path) -> None:
    def prepare(rig: Rig) -> None:
        rig.config["limits"] = {"handshakes_per_address": 2, "max_handshakes": 3}
        rig.add("CP-1", security_profile=1, password=PASSWORD)

    async with running(tmp_path, prepare) as made:
        await open_handshakes_are_capped(made)
        made.rig.config["limits"] = {"connects_per_address_per_minute": 3}
        assert (await made.gateway.reload())["event"] == "config.reloaded"
        await connects_are_paced(made)


async def open_handshakes_are_capped(site: Site) -> None:
    gateway = site.gateway
    held = [await Peer.connect(gateway.tls) for _ in range(2)]
    async with await Peer.connect(gateway.tls) as third:
        port = local_port(third)
        assert await third.ended()
    event = await gateway.event("net.connection_limit", where=of(port))
    assert event["reason"] == "too-many-connections"
    held.append(await connect_from("127.0.0.2", gateway.tls))  # another address has its own budget ...
    async with await connect_from("127.0.0.3", gateway.tls) as fourth:
        assert await fourth.ended()  # ... but all together are capped as well
    for peer in held:
        peer.abort()
    status = 0
    async with asyncio.timeout(120):  # as soon as the gateway has seen them go, there is room again
        while status != 101:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                status = (await site.ask("CP-1")).status


async def connects_are_paced(site: Site) -> None:
    for _ in range(3):
        async with await connect_from("127.0.0.7", site.gateway.plain) as peer:
            assert (await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", "wrong-password-1"))).status == 401
    async with await connect_from("127.0.0.7", site.gateway.plain) as peer:
        port = local_port(peer)
        assert await peer.ended()
    event = await site.gateway.event("net.connect_rate", where=of(port))
    assert event["reason"] == "connect-rate"
    async with await connect_from("127.0.0.8", site.gateway.plain) as peer:
        assert (await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", PASSWORD))).status == 101
