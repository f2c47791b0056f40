"""PROXY protocol over real sockets: believed from load balancers that were named, and from nobody else."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.peer import Peer, basic, upgrade
from tests.support.rig import Rig
from tests.support.site import PASSWORD, Site, local_port, of, running
from tests.support.tls_wire import TLSWire

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
]
BALANCER, SOMEBODY = "127.0.0.5", "127.0.0.6"
CHARGE_POINT = "192.0.2.7"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n"
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    + ipaddress.ip_address(CHARGE_POINT).packed
    + ipaddress.ip_address("198.51.100.1").packed
    + (51234).to_bytes(2, "big")
    + (443).to_bytes(2, "big")
)
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
OUTSIDE = b"PROXY TCP4 203.0.113.9 198.51.100.1 51234 443\r\n"


def prepare(rig: Rig) -> None:
    rig.config["csms"][0]["forwarded_headers"] = True
    rig.named("plain").update(
        proxy_protocol_from=[f"{BALANCER}/32"], allowed_networks=["192.0.2.0/24", f"{BALANCER}/32", f"{SOMEBODY}/32"]
    )
    rig.named("tls")["proxy_protocol_from"] = [f"{BALANCER}/32"]
    rig.add("CP-1", security_profile=1, password=PASSWORD)
    rig.add("CP-2", security_profile=2, password=PASSWORD)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("proxy-protocol"), prepare) as made:
        yield made


async def connect_from(source: str, address: tuple[str, int]) -> Peer:
    reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
    return Peer(reader, writer)


async def status(peer: Peer, header: bytes) -> int | None:
    """Status of an upgrade behind `header`, None if the connection is dropped instead."""
    async with peer:
        peer.send(header)
        try:
            return (await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", PASSWORD))).status
        except (asyncio.IncompleteReadError, OSError):
            return None


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_source_in_the_header_of_a_named_balancer_is_the_peer(site: Site, header: bytes) -> None:
    assert await status(await connect_from(BALANCER, site.gateway.plain), header) == 101
    assert site.csms.header("x-forwarded-for") == [CHARGE_POINT]
    since = site.gateway.mark()
    async with await connect_from(BALANCER, site.gateway.plain) as peer:
        peer.send(header)
        assert (await peer.ask("/ocpp/CP-1")).status == 401
    event = await site.gateway.event("auth.missing", since)
    assert (event["peer"], event["peer_port"]) == (CHARGE_POINT, 51234)


async def test_header_that_comes_in_pieces_is_put_together(site: Site) -> None:
    async with await connect_from(BALANCER, site.gateway.plain) as peer:
        for start in range(0, len(V2), 7):
            peer.send(V2[start : start + 7])
            await peer.writer.drain()
            await asyncio.sleep(0.01)  # so that the pieces are segments of their own
        assert (await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", PASSWORD))).status == 101
    assert site.csms.header("x-forwarded-for") == [CHARGE_POINT]


async def test_tls_follows_the_header(site: Site) -> None:
    reader, writer = await asyncio.open_connection(*site.gateway.tls, local_addr=(BALANCER, 0))
    writer.write(V1)
    async with TLSWire(reader, writer, site.rig.client_tls()) as wire:
        assert await wire.handshake()
        wire.send(upgrade("/ocpp/CP-2", authorization=basic("CP-2", PASSWORD)))
        assert b" 101 " in await wire.receive_until(b"\r\n\r\n")
    assert site.csms.header("x-forwarded-for") == [CHARGE_POINT]


@pytest.mark.requirement("A00.FR.201")
async def test_allowed_networks_are_about_the_source_in_the_header_and_not_about_the_balancer(site: Site) -> None:
    since = site.gateway.mark()
    assert await status(await connect_from(BALANCER, site.gateway.plain), OUTSIDE) is None
    event = await site.gateway.event("net.source_not_allowed", since)
    assert event["peer"] == "203.0.113.9"
    assert await status(await connect_from(BALANCER, site.gateway.plain), V1) == 101


async def test_health_check_of_the_balancer_counts_as_the_balancer_itself(site: Site) -> None:
    for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
        assert await status(await connect_from(BALANCER, site.gateway.plain), header) == 101
        assert site.csms.header("x-forwarded-for") == [BALANCER]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        V2[:12] + b"\x31",
    ],
    ids=["none", "too short", "wrong family", "wrong version"],
)
async def test_balancer_without_a_good_header_is_dropped(site: Site, header: bytes) -> None:
    since = site.gateway.mark()
    peer = await connect_from(BALANCER, site.gateway.plain)
    port = local_port(peer)
    assert await status(peer, header) is None
    event = await site.gateway.event("net.proxy_protocol", since, of(port))
    assert (event["reason"], event["peer"]) == ("proxy-protocol-invalid", BALANCER)


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_header_from_anybody_else_is_not_a_header(site: Site, header: bytes) -> None:
    since = site.gateway.mark()
    peer = await connect_from(SOMEBODY, site.gateway.plain)
    port = local_port(peer)
    assert await status(peer, header) == 400
    event = await site.gateway.event("http.malformed", since, of(port))
    assert event["peer"] == SOMEBODY
    assert await status(await connect_from(SOMEBODY, site.gateway.plain), b"") == 101
    assert site.csms.header("x-forwarded-for") == [SOMEBODY]
    async with await connect_from(SOMEBODY, site.gateway.tls) as other:
        port = local_port(other)
        other.send(header)
        assert await other.ended()
    event = await site.gateway.event("tls.plaintext" if header is V1 else "tls.malformed", since, of(port))
    assert event["peer"] == SOMEBODY
