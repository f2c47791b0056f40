"""What passes, passes as the sender's own bytes: odd JSON, number forms, key order, and the very frames."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from tests.support.csms import FakeCSMS, HostileCSMS
from tests.support.peer import CONTINUATION, PING, PONG, TEXT, frame
from tests.support.rig import Rig
from tests.support.site import PASSWORD, Site, running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
NUMBERS = count(1)
ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)
FROM_CSMS = b'[2,"early","GetConfiguration",{"key":["A"]}]'
FRAMES_FROM_CSMS = (
    frame(TEXT, FROM_CSMS[:5], fin=False, mask=None)
    + frame(CONTINUATION, FROM_CSMS[5:9], fin=False, mask=None)
    + frame(CONTINUATION, FROM_CSMS[9:], mask=None)
)
# `{id}` becomes a fresh message id. Each is one legal message that a re-encoding would change.
ODD = {
    "whitespace": '\t[ 2 , "{id}" ,\r\n"DataTransfer" , { "vendorId" : "v" , "data" : "a b" } ] ',
    "escapes": r'[2,"{id}","DataTransfer",{"vendorId":"\u0076\/\u00e9","data":"\ud83d\udd0c \u2028 \b\f"}]',
    "unescaped": '[2,"{id}","DataTransfer",{"vendorId":"vé","data":"🔌 / \u2028 ü"}]',
    "decomposed": '[2,"{id}","DataTransfer",{"vendorId":"v","data":"e\u0301 \u00e9"}]',
    "key order": '[2,"{id}","DataTransfer",{"z":1,"vendorId":"v","a":{"z":1,"b":2},"data":""}]',
    "number forms": '[2,"{id}","DataTransfer",{"vendorId":"v","data":[1.0,1.50,1e2,1E+2,-0,-0.0,0.1e-7,21.4,100]}]',
    "long fractions": '[2,"{id}","DataTransfer",{"vendorId":"v","data":[3.141592653589793238462643,0.1000000000]}]',
    "big integers": '[2,"{id}","DataTransfer",{"vendorId":"v","data":[9007199254740991,-9007199254740991]}]',
    "nesting": '[2,"{id}","DataTransfer",{"vendorId":"v","data":[[],{},[[{}]],null,true]}]',
    "JSON in a string": r'[2,"{id}","DataTransfer",{"vendorId":"v","data":"{\"a\" : [1.0 , \"\\u00e9\"]}"}]',
    "signed value": '[2,"{id}","DataTransfer",{"vendorId":"OCMF","data":"OCMF|{\\"FV\\":\\"1.0\\"}|{\\"SD\\":\\"30\\"}"}]',
    "long": '[2,"{id}","DataTransfer",{"vendorId":"v","data":"' + "x" * 70_000 + '"}]',
}
NOT_ODD = {
    "duplicate key": '[2,"{id}","DataTransfer",{"vendorId":"v","vendorId":"w"}]',
    "escaped duplicate key": r'[2,"{id}","DataTransfer",{"vendorId":"v","vendor\u0049d":"w"}]',
    "NaN": '[2,"{id}","DataTransfer",{"vendorId":"v","data":NaN}]',
    "leading zero": '[2,"{id}","DataTransfer",{"vendorId":"v","data":01}]',
    "lone surrogate": r'[2,"{id}","DataTransfer",{"vendorId":"v","data":"\ud83d"}]',
    "trailing data": '[2,"{id}","DataTransfer",{"vendorId":"v"}] []',
    "integer that a double cannot hold": '[2,"{id}","DataTransfer",{"vendorId":"v","data":9007199254740993}]',
    "comment": '[2,"{id}","DataTransfer",{"vendorId":"v"/**/}]',
}


def silent(_: str) -> None:
    """Answers nothing: what comes back to the charge point is only what a test sends."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorder() -> AsyncIterator[HostileCSMS]:
    async with HostileCSMS(ACCEPT, FRAMES_FROM_CSMS) as running_recorder:
        yield running_recorder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, recorder: HostileCSMS) -> AsyncIterator[Site]:
    def prepare(rig: Rig) -> None:
        rig.config["csms"].append({"name": "recorder", "urls": [recorder.url]})
        rig.config["websocket"] = {"messages_burst": 10_000, "close_timeout_s": 0.5}
        for profile, identity in ((1, "CP-1"), (2, "CP-2")):
            rig.add(identity, security_profile=profile, password=PASSWORD)
        rig.add("RAW", security_profile=1, password=PASSWORD, csms="recorder")

    work = tmp_path_factory.mktemp("byte-exact")
    async with running(work, prepare, FakeCSMS(answer=silent)) as made:
        yield made


def fresh(text: str) -> str:
    return text.replace("{id}", f"id-{next(NUMBERS)}")


@pytest.mark.parametrize(("listener", "identity"), [("plain", "CP-1"), ("tls", "CP-2")])
async def test_odd_messages_reach_the_csms_and_the_charge_point_byte_for_byte(
    site: Site, listener: str, identity: str
) -> None:
    async with await site.session(identity, listener) as peer:
        connection = await site.csms.connected(identity)
        for name, text in ODD.items():
            upwards, downwards = fresh(text), fresh(text)
            peer.send_text(upwards)
            await site.csms.received(identity, upwards)
            await connection.send(downwards)
            assert await peer.text() == downwards, name


async def test_odd_results_pass_byte_for_byte_both_ways(site: Site) -> None:
    result = '[3 , "{id}",{"status":"Accepted" , "data":"\\u00e9 1.50"} ]'
    async with await site.session("CP-1") as peer:
        connection = await site.csms.connected("CP-1")
        call = fresh('[2,"{id}","DataTransfer",{"vendorId":"v"}]')
        message_id = call.split('"')[1]
        peer.send_text(call)
        await site.csms.received("CP-1", call)
        await connection.send(result.replace("{id}", message_id))
        assert await peer.text() == result.replace("{id}", message_id)
        await connection.send(call)
        assert await peer.text() == call
        peer.send_text(result.replace("{id}", message_id))
        await site.csms.received("CP-1", result.replace("{id}", message_id))


@pytest.mark.parametrize("name", NOT_ODD)
async def test_what_two_parsers_read_differently_does_not_pass_and_the_next_message_does(site: Site, name: str) -> None:
    bad, good = fresh(NOT_ODD[name]), fresh(ODD["whitespace"])
    async with await site.session("CP-1") as peer:
        connection = await site.csms.connected("CP-1")
        peer.send_text(bad)
        peer.send_text(good)
        await site.csms.received("CP-1", good)
        assert bad not in site.csms.texts["CP-1"]
        await connection.send(bad)
        await connection.send(good.replace("id-", "down-"))
        while (received := await peer.text()) != good.replace("id-", "down-"):
            assert received.startswith("[4,")


@pytest.mark.parametrize("cuts", [(1,), (5, 6), (3, 3, 9), tuple(range(1, 40))])
async def test_fragmented_message_arrives_whole_and_unchanged(site: Site, cuts: tuple[int, ...]) -> None:
    text = fresh(ODD["unescaped"])
    raw, starts = text.encode(), (0, *cuts)
    pieces = [raw[start:end] for start, end in zip(starts, (*cuts, len(raw)), strict=True)]
    async with await site.session("CP-1") as peer:
        connection = await site.csms.connected("CP-1")
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            peer.send(frame(CONTINUATION if number else TEXT, piece, fin=last))
            if number == 0:
                peer.send(frame(PING, b"between"))  # control frames may come between fragments
        received = await peer.frame()
        assert (received.opcode, received.payload) == (PONG, b"between")
        await site.csms.received("CP-1", text)
        down = fresh(ODD["unescaped"])
        half = len(down) // 2
        await connection.send([down[:half], down[half:]])
        parts = [await peer.frame(), await peer.frame()]
        assert b"".join(part.payload for part in parts).decode() == down


async def test_the_very_frames_pass_with_their_fragments_and_masks(site: Site, recorder: HostileCSMS) -> None:
    texts = [fresh(ODD["whitespace"]).encode() for _ in range(3)]
    single = frame(TEXT, texts[0], mask=b"\x11\x22\x33\x44")
    fragmented = frame(TEXT, texts[1][:7], fin=False, mask=b"abcd") + frame(CONTINUATION, texts[1][7:], mask=b"efgh")
    together = frame(TEXT, texts[2], mask=b"\0\0\0\0")
    async with await site.session("RAW") as peer:
        received = b""
        while len(received) < len(FRAMES_FROM_CSMS):
            received += (await peer.frame()).raw
        assert received == FRAMES_FROM_CSMS
        for data in (single, fragmented[:9], fragmented[9:] + together):
            peer.send(data)
            await asyncio.sleep(0)
        async with asyncio.timeout(120):
            while recorder.received.count(together) == 0:
                await asyncio.sleep(0.02)
        assert single + fragmented + together in recorder.received
