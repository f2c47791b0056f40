"""permessage-deflate over real sockets: for 2.x where offered, each leg for itself, and no payload byte ever changes."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from tests.support.csms import FakeCSMS
from tests.support.peer import CONTINUATION, TEXT, Frame, Peer, basic, frame
from tests.support.rig import Rig
from tests.support.site import PASSWORD, Site, running, tolerance_count

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
OFFER = "permessage-deflate; client_max_window_bits"
NUMBERS = count(1)
RSV1 = 4
MAX_MESSAGE_BYTES = 65_536


def silent(_: str) -> None:
    """Answers nothing."""


def prepare(rig: Rig) -> None:
    rig.config["websocket"] = {"messages_burst": 10_000, "max_message_bytes": MAX_MESSAGE_BYTES, "close_timeout_s": 0.5}
    url = rig.config["csms"][0]["urls"][0]
    rig.config["csms"][0]["permessage_deflate"] = True
    rig.config["csms"].append({"name": "plainly", "urls": [url], "permessage_deflate": False})
    rig.add("BOTH", security_profile=1, password=PASSWORD)
    rig.add("ONE-LEG", security_profile=1, password=PASSWORD, csms="plainly")
    rig.add("TOLERATED", security_profile=1, password=PASSWORD, tolerances=("deflate-1.6",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def only_1_6() -> AsyncIterator[FakeCSMS]:
    async with FakeCSMS(answer=silent, compression="deflate", subprotocols=("ocpp1.6",)) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, only_1_6: FakeCSMS) -> AsyncIterator[Site]:
    def prepare_all(rig: Rig) -> None:
        prepare(rig)
        rig.config["csms"].append({"name": "old", "urls": [only_1_6.url], "permessage_deflate": True})
        rig.add("OLD-CSMS", security_profile=1, password=PASSWORD, csms="old")

    upstream = FakeCSMS(answer=silent, compression="deflate", subprotocols=("ocpp2.1", "ocpp2.0.1", "ocpp1.6"))
    async with running(tmp_path_factory.mktemp("deflate"), prepare_all, upstream) as made:
        yield made


def compressed(text: str) -> bytes:
    """As RFC 7692, 7.2.1 says, without context."""
    made = zlib.compressobj(wbits=-15)
    return (made.compress(text.encode()) + made.flush(zlib.Z_SYNC_FLUSH))[:-4]


def plain(received: Frame) -> str:
    """Text of a data frame, compressed or not."""
    data = received.payload
    return (zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff") if received.rsv & RSV1 else data).decode()


def call(action: str = "Heartbeat", payload: str = "{}") -> str:
    return f'[2,"id-{next(NUMBERS)}","{action}",{payload}]'


async def connect(
    site: Site, identity: str, subprotocols: str = "ocpp2.0.1", offer: str | None = OFFER
) -> tuple[Peer, str | None]:
    """A session, and what was agreed with the charge point."""
    peer = await site.peer()
    extra = (f"Sec-WebSocket-Extensions: {offer}",) if offer is not None else ()
    answer = await peer.ask(
        f"/ocpp/{identity}", authorization=basic(identity, PASSWORD), subprotocols=subprotocols, extra=extra
    )
    if answer.status != 101:
        peer.abort()
        raise AssertionError(answer)
    return peer, answer.headers.get("sec-websocket-extensions")


@pytest.mark.parametrize(
    ("subprotocols", "offer", "agreed"),
    [
        ("ocpp2.0.1", OFFER, True),
        ("ocpp2.1", OFFER, True),
        ("ocpp2.0.1, ocpp1.6", OFFER, True),
        ("ocpp1.6", OFFER, False),
        ("ocpp1.6, ocpp2.0.1", OFFER, True),
        ("ocpp2.0.1", None, False),
        ("ocpp2.0.1", "permessage-bzip2", False),
        ("ocpp2.0.1", "permessage-deflate; server_max_window_bits=8", False),
        ("ocpp2.0.1", "permessage-deflate; unknown", False),
        ("ocpp2.0.1", "permessage-deflate; unknown, permessage-deflate", True),
    ],
)
async def test_compression_is_agreed_for_2_x_where_it_was_offered(
    site: Site, subprotocols: str, offer: str | None, agreed: bool
) -> None:
    peer, answer = await connect(site, "BOTH", subprotocols, offer)
    async with peer:
        assert (answer is not None) is agreed
        if answer is not None:
            assert "server_no_context_takeover" in answer
            assert "client_no_context_takeover" in answer


async def test_1_6_chosen_by_the_csms_means_no_compression_although_2_x_was_offered_too(
    site: Site, only_1_6: FakeCSMS
) -> None:
    peer, agreed = await connect(site, "OLD-CSMS", "ocpp2.0.1, ocpp1.6")
    async with peer:
        assert agreed is None
        await (await only_1_6.connected("OLD-CSMS")).send(call("DataTransfer", '{"vendorId":"v"}'))
        received = await peer.frame()
        assert (received.rsv, received.payload[:1]) == (0, b"[")


async def test_1_6_has_no_compression_unless_it_is_tolerated_and_that_is_counted(site: Site) -> None:
    peer, agreed = await connect(site, "TOLERATED", "ocpp1.6")
    async with peer:
        assert agreed is not None
        text = call()
        peer.send(frame(TEXT, compressed(text), rsv=RSV1))
        await site.csms.received("TOLERATED", text)
    peer, agreed = await connect(site, "TOLERATED", "ocpp2.0.1")
    async with peer:
        assert agreed is not None
    async with asyncio.timeout(120):  # edges tell their counters every second or two
        while not (counted := tolerance_count(site.gateway, "deflate-1.6")):
            await asyncio.sleep(0.1)  # the CSMS lives on this event loop
    assert counted == 1


@pytest.mark.parametrize(("identity", "offered"), [("BOTH", True), ("ONE-LEG", False)])
async def test_csms_is_offered_compression_only_where_it_is_configured(
    site: Site, identity: str, offered: bool
) -> None:
    peer, _ = await connect(site, identity)
    async with peer:
        assert bool(site.csms.header("sec-websocket-extensions")) is offered
    peer, _ = await connect(site, "BOTH", offer=None)
    async with peer:
        assert site.csms.header("sec-websocket-extensions") == []


@pytest.mark.parametrize("identity", ["BOTH", "ONE-LEG"])
async def test_payload_is_the_same_on_both_legs_whether_or_not_they_agree(site: Site, identity: str) -> None:
    peer, agreed = await connect(site, identity)
    assert agreed is not None
    async with peer:
        connection = await site.csms.connected(identity)
        for payload in ('{ "vendorId":"v", "data":"\\u00e9 é 1.50" }', '{ "vendorId" : "v" }'):
            squeezed, bare, down = (call("DataTransfer", payload) for _ in range(3))
            peer.send(frame(TEXT, compressed(squeezed), rsv=RSV1) + frame(TEXT, bare.encode()))
            await site.csms.received(identity, bare)
            assert squeezed in site.csms.texts[identity]
            await connection.send(down)
            received = await peer.frame()
            assert plain(received) == down
            assert bool(received.rsv & RSV1) is (identity == "BOTH")


async def test_compressed_message_in_fragments_arrives_whole(site: Site) -> None:
    for identity in ("BOTH", "ONE-LEG"):
        peer, _ = await connect(site, identity)
        async with peer:
            text = call("DataTransfer", '{"vendorId":"' + "v" * 200 + '"}')
            data = compressed(text)
            peer.send(frame(TEXT, data[:9], fin=False, rsv=RSV1) + frame(CONTINUATION, data[9:]))
            await site.csms.received(identity, text)


async def test_compressed_bytes_go_on_as_they_are_where_both_legs_agree(site: Site) -> None:
    peer, _ = await connect(site, "BOTH")
    async with peer:
        connection = await site.csms.connected("BOTH")
        await connection.send(call("DataTransfer", '{"vendorId":"' + "v" * 500 + '"}'))
        received = await peer.frame()
        assert received.rsv & RSV1
        assert len(received.payload) < 100
        assert not received.masked


async def test_compressed_frame_without_agreement_breaks_the_protocol(site: Site) -> None:
    for identity, subprotocols, offer in (("BOTH", "ocpp2.0.1", None), ("BOTH", "ocpp1.6", OFFER)):
        peer, agreed = await connect(site, identity, subprotocols, offer)
        async with peer:
            assert agreed is None
            text = call()
            peer.send(frame(TEXT, compressed(text), rsv=RSV1))
            assert await peer.close_code() == 1002
        assert text not in site.csms.texts[identity]


@pytest.mark.parametrize(
    ("size", "code"), [(MAX_MESSAGE_BYTES - 100, None), (MAX_MESSAGE_BYTES + 100, 1009), (50_000_000, 1009)]
)
async def test_bomb_is_not_inflated_beyond_the_limit(site: Site, size: int, code: int | None) -> None:
    peer, _ = await connect(site, "BOTH")
    async with peer:
        text = call("DataTransfer", '{"vendorId":"' + "v" * (size - 60) + '"}')
        peer.send(frame(TEXT, compressed(text), rsv=RSV1))
        if code is None:
            await site.csms.received("BOTH", text)
        else:
            assert await peer.close_code() == code
            assert text not in site.csms.texts["BOTH"]


async def test_damaged_compressed_data_is_invalid_data(site: Site) -> None:
    peer, _ = await connect(site, "BOTH")
    async with peer:
        peer.send(frame(TEXT, b"\xff\xff\xff\xff", rsv=RSV1))
        assert await peer.close_code() == 1007
