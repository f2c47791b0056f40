"""A peer that does not read slows the other one down; nothing is lost and the gateway's memory stays where it is."""

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator
from typing import Self, cast

import psutil
import pytest
import pytest_asyncio
from websockets.speedups import apply_mask

from gateway.websocket.handshake import accept_token
from tests.support.csms import FakeCSMS
from tests.support.peer import PING, PONG, TEXT, Peer, basic, frame
from tests.support.rig import Rig
from tests.support.site import PASSWORD, Site, local_port, of, running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
]
MEGABYTE = 1024 * 1024
MAX_MESSAGE_BYTES = MEGABYTE
ROOM = 24 * MEGABYTE
"""What the edge may grow by: buffers of both legs, one message in the making, and the allocator's own."""


def stream(number: int, values: int, chars: int = 5) -> str:
    """A SEND of OCPP 2.1, which nobody answers."""
    data = ",".join([f'{{"t":1.0,"v":"{"1" * chars}"}}'] * values)
    head = f'[6,"s{number}","NotifyPeriodicEventStream",{{"id":1,"pending":0,"basetime":"2026-01-01T00:00:00Z"'
    return head + f',"data":[{data}]}}]'


class StallingCSMS:
    """Accepts the upgrade and reads nothing more until `go` is set; then it counts."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.texts = 0
        self.last = b""
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/up"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._session(reader, writer)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_token(headers['sec-websocket-key'])}\r\n"
            f"Sec-WebSocket-Protocol: {headers['sec-websocket-protocol']}\r\n\r\n".encode()
        )
        await self.go.wait()
        while True:
            await self._frame(reader)

    async def _frame(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readexactly(2)
        length = head[1] & 0x7F
        if length >= 126:
            length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
        mask = await reader.readexactly(4)
        payload = apply_mask(await reader.readexactly(length), mask)
        if head[0] & 0x0F == TEXT:
            self.texts, self.last = self.texts + 1, payload

    async def until(self, texts: int) -> None:
        async with asyncio.timeout(120):
            while self.texts < texts:
                await asyncio.sleep(0.02)


def long_result(text: str) -> str:
    """Every call is answered with almost a megabyte."""
    call = json.loads(text)
    return f'[3,"{call[1]}",{{"status":"Accepted","data":"{"x" * (MAX_MESSAGE_BYTES - 200)}"}}]'


@pytest_asyncio.fixture(loop_scope="module")
async def stalling() -> AsyncIterator[StallingCSMS]:
    async with StallingCSMS() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    def prepare(rig: Rig) -> None:
        rig.config["csms"].append({"name": "stalling", "urls": ["ws://127.0.0.1:9/up"]})
        rig.config["websocket"] = {
            "messages_burst": 1_000_000,
            "messages_per_s": 1_000_000.0,
            "max_message_bytes": MAX_MESSAGE_BYTES,
            "max_write_buffer_bytes": 65_536,
            "write_deadline_s": 60.0,
            "close_timeout_s": 0.5,
        }
        rig.add("UP-1", security_profile=1, password=PASSWORD, csms="stalling")
        rig.add("UP-2", security_profile=2, password=PASSWORD, csms="stalling")
        rig.add("DOWN-1", security_profile=1, password=PASSWORD)
        rig.add("DOWN-2", security_profile=2, password=PASSWORD)

    upstream = FakeCSMS(answer=long_result)
    async with running(tmp_path_factory.mktemp("backpressure"), prepare, upstream) as made:
        yield made


async def point_to(site: Site, stalling: StallingCSMS) -> None:
    next(x for x in site.rig.config["csms"] if x["name"] == "stalling")["urls"] = [stalling.url]
    assert (await site.gateway.reload())["event"] == "config.reloaded"


def edge_bytes(site: Site) -> int:
    return int(psutil.Process(site.gateway.children()["edge-0"]).memory_info().rss)


def transport_of(peer: Peer) -> asyncio.Transport:
    return cast("asyncio.Transport", peer.writer.transport)


async def send_until_stalled(peer: Peer, wire: bytes, most: int) -> int:
    """How often `wire` could be written before nothing moved any more."""
    peer.writer.transport.set_write_buffer_limits(high=0)
    for number in range(most):
        peer.send(wire)
        try:
            async with asyncio.timeout(1.5):
                await peer.writer.drain()
        except TimeoutError:
            return number + 1
    raise AssertionError("never slowed down")


@pytest.mark.parametrize(("listener", "identity"), [("plain", "UP-1"), ("tls", "UP-2")])
async def test_csms_that_does_not_read_stops_the_charge_point_and_loses_nothing(
    site: Site, stalling: StallingCSMS, listener: str, identity: str
) -> None:
    await point_to(site, stalling)
    wire = frame(TEXT, stream(1, 2_500).encode())
    async with await site.session(identity, listener, subprotocols="ocpp2.1") as peer:
        before = edge_bytes(site)
        sent = await send_until_stalled(peer, wire, 150 * MEGABYTE // len(wire))
        assert edge_bytes(site) - before < ROOM
        peer.send(frame(TEXT, stream(2, 1).encode()))
        stalling.go.set()
        await stalling.until(sent + 1)
        assert stalling.last == stream(2, 1).encode()


@pytest.mark.parametrize(("listener", "identity"), [("plain", "DOWN-1"), ("tls", "DOWN-2")])
async def test_charge_point_that_does_not_read_stops_the_csms_and_loses_nothing(
    site: Site, listener: str, identity: str
) -> None:
    calls = [f'[2,"{identity}-{number}","DataTransfer",{{"vendorId":"v"}}]' for number in range(60)]
    async with await site.session(identity, listener) as peer:
        transport_of(peer).pause_reading()
        before = edge_bytes(site)
        for call in calls:
            peer.send_text(call)
        await site.csms.received(identity, calls[0])
        stalled, seen = 0, -1
        while stalled < 20:  # a CSMS that cannot send on does not read on
            await asyncio.sleep(0.05)
            stalled, seen = (
                (stalled + 1, seen) if len(site.csms.texts[identity]) == seen else (0, len(site.csms.texts[identity]))
            )
        assert len(site.csms.texts[identity]) < len(calls)
        assert edge_bytes(site) - before < ROOM
        transport_of(peer).resume_reading()
        answered = [json.loads(await peer.text())[1] for _ in calls]
        assert answered == [json.loads(call)[1] for call in calls]


async def test_few_compressed_bytes_do_not_become_many_plain_ones_in_memory(site: Site, stalling: StallingCSMS) -> None:
    await point_to(site, stalling)
    made = zlib.compressobj(9, wbits=-15)
    text = stream(1, 300, 2_400)
    squeezed = (made.compress(text.encode()) + made.flush(zlib.Z_SYNC_FLUSH))[:-4]
    bombs = 200_000 // len(squeezed)
    assert bombs * len(text) > 50 * MEGABYTE
    async with await site.peer() as peer:
        answer = await peer.ask(
            "/ocpp/UP-1",
            authorization=basic("UP-1", PASSWORD),
            subprotocols="ocpp2.1",
            extra=("Sec-WebSocket-Extensions: permessage-deflate",),
        )
        assert "sec-websocket-extensions" in answer.headers
        before = edge_bytes(site)
        peer.send(frame(TEXT, squeezed, rsv=4) * bombs)
        await peer.writer.drain()
        stalling_since = 0
        while stalling_since < 20:
            await asyncio.sleep(0.05)
            stalling_since += 1
            assert edge_bytes(site) - before < ROOM
        peer.send(frame(TEXT, stream(2, 1).encode()))
        stalling.go.set()
        await stalling.until(bombs + 1)
        assert stalling.last == stream(2, 1).encode()


async def test_peer_that_reads_nothing_for_too_long_is_dropped_and_one_that_reads_slowly_is_not(site: Site) -> None:
    site.rig.config["websocket"]["write_deadline_s"] = 3.0
    assert (await site.gateway.reload())["event"] == "config.reloaded"
    since, ended = site.gateway.mark(), len(site.csms.closes["DOWN-1"])
    async with await site.session("DOWN-1") as stuck, await site.session("DOWN-2", "tls") as slow:
        transport_of(stuck).pause_reading()
        for number in range(40):
            stuck.send_text(f'[2,"d{number}","DataTransfer",{{"vendorId":"v"}}]')
        for number in range(20):
            slow.send_text(f'[2,"d{number}","DataTransfer",{{"vendorId":"v"}}]')
        event_of_stuck = asyncio.get_running_loop().create_task(
            site.gateway.event("net.slow_reader", since, of(local_port(stuck)))
        )
        for number in range(20):
            await asyncio.sleep(0.2)  # longer than the deadline in all, and never for long
            assert json.loads(await slow.text())[1] == f"d{number}"
        event = await event_of_stuck
        assert event["charge_point_id"] == "DOWN-1"
        await site.closed("DOWN-1", ended)
        slow.send(frame(PING, b"still here"))
        while (received := await slow.frame()).opcode != PONG:
            assert received.opcode == PING
        assert received.payload == b"still here"
