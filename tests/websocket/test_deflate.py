"""permessage-deflate: what is agreed, and that a compressed message has exactly one reading."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionName

from gateway.websocket.deflate import (
    DeflateParameters,
    Inflater,
    client_offer,
    deflate,
    negotiate,
    read_client_answer,
)
from gateway.websocket.extensions import Extension, read_extension
from gateway.websocket.frames import FrameViolation
from gateway.websocket.violation import HandshakeInvalid

OURS = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
TAIL = b"\x00\x00\xff\xff"


def offers(*texts: str) -> tuple[Extension, ...]:
    read = [read_extension(text) for text in texts]
    assert None not in read
    return tuple(offer for offer in read if offer is not None)


def violation_of(data: bytes, max_bytes: int = 1_000, bits: int = 15) -> int:
    with pytest.raises(FrameViolation) as caught:
        Inflater(max_bytes, bits).inflate(data)
    assert caught.value.event == "ws.inflate"
    return caught.value.close_code


def with_final_block(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(payload) + compressor.flush(zlib.Z_FINISH)


# -- negotiation as a server


@pytest.mark.parametrize(
    ("offer", "parameters", "answer"),
    [
        ("permessage-deflate", DeflateParameters(15, 15), OURS),
        ("permessage-deflate; client_max_window_bits", DeflateParameters(15, 15), OURS),
        (
            "permessage-deflate; client_max_window_bits=10",
            DeflateParameters(15, 10),
            f"{OURS}; client_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_max_window_bits=9",
            DeflateParameters(9, 15),
            f"{OURS}; server_max_window_bits=9",
        ),
        (
            'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits="15"; '
            "client_max_window_bits=15",
            DeflateParameters(15, 15),
            f"{OURS}; server_max_window_bits=15; client_max_window_bits=15",
        ),
    ],
)
def test_an_offer_is_accepted_without_context_takeover(offer: str, parameters: DeflateParameters, answer: str) -> None:
    assert negotiate(offers(offer)) == (parameters, answer)


@pytest.mark.parametrize(
    "offer",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; client_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=9x",
        "permessage-deflate; server_max_window_bits=100000000000000000000000",
        "permessage-deflate; client_max_window_bits=0",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; memory=1",
    ],
)
def test_an_offer_that_asks_for_something_else_is_declined_and_the_next_one_taken(offer: str) -> None:
    assert negotiate(offers(offer)) is None
    assert negotiate(offers(offer, "permessage-deflate")) == (DeflateParameters(15, 15), OURS)


def test_no_offer_is_no_agreement() -> None:
    assert negotiate(()) is None


@given(st.booleans(), st.booleans(), st.none() | st.integers(9, 15), st.none() | st.booleans() | st.integers(9, 15))
def test_websockets_as_a_client_agrees_with_our_answer(
    server_takeover: bool, client_takeover: bool, server_bits: int | None, client_bits: bool | int | None
) -> None:
    if client_bits is False:
        client_bits = None
    factory = ClientPerMessageDeflateFactory(server_takeover, client_takeover, server_bits, client_bits)
    offer = build_extension([(factory.name, factory.get_request_params())])
    agreed = negotiate(offers(offer))
    if client_bits is None or client_bits is True or agreed is not None:
        assert agreed is not None
        (_, parameters), *others = parse_extension(agreed[1])
        extension = factory.process_response_params(parameters, [])
        assert others == []
        assert extension.remote_no_context_takeover
        assert extension.local_no_context_takeover
        assert (extension.remote_max_window_bits, extension.local_max_window_bits) == (
            agreed[0].server_max_window_bits,
            agreed[0].client_max_window_bits,
        )


# -- negotiation as a client


def test_websockets_as_a_server_accepts_our_offer() -> None:
    (name, parameters), *others = parse_extension(client_offer())
    assert (name, others) == (ExtensionName("permessage-deflate"), [])
    answer, extension = ServerPerMessageDeflateFactory().process_request_params(parameters, [])
    assert extension.local_no_context_takeover
    assert read_client_answer(build_extension([(name, answer)])) == DeflateParameters()


@pytest.mark.parametrize(
    ("answer", "bits"),
    [
        ("permessage-deflate; server_no_context_takeover", 15),
        (OURS, 15),
        ("permessage-deflate;server_no_context_takeover;server_max_window_bits=10", 10),
        ('permessage-deflate; server_no_context_takeover; server_max_window_bits="10"', 10),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=8", 9),
    ],
)
def test_an_answer_that_keeps_to_the_offer_is_accepted(answer: str, bits: int) -> None:
    assert read_client_answer(answer) == DeflateParameters(server_max_window_bits=bits)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "permessage-deflate",
        "permessage-foo; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=15",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=7",
        'permessage-deflate; server_no_context_takeover; server_max_window_bits="10',
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover, permessage-deflate; server_no_context_takeover",
        "permessage-deflate\xa0; server_no_context_takeover",
    ],
)
def test_an_answer_that_says_something_else_is_invalid(answer: str) -> None:
    with pytest.raises(HandshakeInvalid):
        read_client_answer(answer)


# -- inflating


@given(st.binary(max_size=2_000), st.integers(9, 15))
def test_what_was_deflated_is_inflated_again(payload: bytes, bits: int) -> None:
    assert Inflater(2_000, bits).inflate(deflate(payload, bits)) == payload


@given(st.binary(max_size=300))
def test_any_bytes_inflate_within_the_limit_or_are_refused(data: bytes) -> None:
    try:
        assert len(Inflater(100, 15).inflate(data)) <= 100
    except FrameViolation as violation:
        assert violation.close_code in {1007, 1009}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (bytes.fromhex("f248cdc9c90700"), b"Hello"),  # RFC 7692, 7.2.3.1: one block
        (bytes.fromhex("000500faff48656c6c6f00"), b"Hello"),  # 7.2.3.3: stored
        (bytes.fromhex("f348cdc9c9070000"), b"Hello"),  # 7.2.3.4: BFINAL
        (bytes.fromhex("f24805000000ffffcac9c90700"), b"Hello"),  # 7.2.3.5: two blocks
        (b"\x00", b""),  # 7.2.3.6: empty
    ],
)
def test_the_examples_of_the_rfc_are_read(data: bytes, text: bytes) -> None:
    assert Inflater(100, 15).inflate(data) == text


def test_the_limit_is_exact_and_a_bomb_is_cut_at_once() -> None:
    assert len(Inflater(1_000, 15).inflate(deflate(bytes(1_000), 15))) == 1_000
    assert violation_of(deflate(bytes(1_001), 15)) == 1009
    assert violation_of(deflate(bytes(50_000_000), 15)) == 1009


@pytest.mark.parametrize("behind", [b"\x00\x00", b"x", TAIL, deflate(b'{"evil":1}', 15)])
def test_data_behind_the_final_block_is_refused(behind: bytes) -> None:
    final = with_final_block(b"good")
    assert Inflater(1_000, 15).inflate(final + b"\x00") == b"good"
    assert violation_of(final + behind) == 1007


def test_a_final_block_without_the_header_of_an_empty_one_is_refused() -> None:
    assert violation_of(with_final_block(b"good")) == 1007


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_message_that_is_cut_off_inside_a_block_is_refused(cut: int) -> None:
    whole = deflate(b"a text that is long enough for that", 15)
    assert violation_of(whole[:-cut]) == 1007


@pytest.mark.parametrize("claimed", [4, 5, 6, 8, 9, 11, 12, 13, 200])
def test_a_stored_block_that_is_longer_than_the_message_is_refused(claimed: int) -> None:
    head = b"\x00" + claimed.to_bytes(2, "little") + (claimed ^ 0xFFFF).to_bytes(2, "little")
    assert violation_of(head + b"abc") == 1007


def test_a_stored_block_that_takes_the_end_of_the_message_for_text_ends_in_no_text() -> None:
    data = b"\x00\x07\x00\xf8\xff" + b"abc"
    with pytest.raises(UnicodeDecodeError):
        Inflater(100, 15).inflate(data).decode("utf-8")


@pytest.mark.parametrize("data", [b"", b"\x07", b"\xff\xff\xff", b"\x06\x00"])
def test_what_is_not_a_stream_of_blocks_is_refused(data: bytes) -> None:
    assert violation_of(data) == 1007


def test_no_message_depends_on_the_one_before() -> None:
    compressor = zlib.compressobj(wbits=-15)
    first = (compressor.compress(b"the same text twice") + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    second = (compressor.compress(b"the same text twice") + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    inflater = Inflater(1_000, 15)
    assert inflater.inflate(first) == b"the same text twice"
    with pytest.raises(FrameViolation):
        inflater.inflate(second)
