"""Building frames: the package `websockets`, which shares no code with ours but the mask, must read what we build."""

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from gateway.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameViolation,
    build_close,
    build_frame,
    is_valid_close_code,
)


def read_by_websockets(data: bytes, *, masked: bool) -> tuple[Frame, bytes]:
    """What the parser of `websockets` makes of it, and the bytes that it leaves over."""
    reader = StreamReader()
    reader.feed_data(data)
    parser: Generator[None, None, Frame] = Frame.parse(reader.read_exact, mask=masked)
    try:
        next(parser)
    except StopIteration as finished:
        frame: Frame = finished.value
        rest = reader.read_to_eof(100_000)
        reader.feed_eof()
        try:
            next(rest)
        except StopIteration as end:
            return frame, end.value
    raise AssertionError("websockets wants more bytes")


@given(
    st.sampled_from([TEXT, BINARY, CONTINUATION]),
    st.binary(max_size=300),
    st.none() | st.binary(min_size=4, max_size=4),
    st.booleans(),
)
def test_a_data_frame_is_read_by_websockets_as_it_was_meant(
    opcode: int, payload: bytes, mask: bytes | None, fin: bool
) -> None:
    frame, rest = read_by_websockets(build_frame(opcode, payload, mask, fin=fin), masked=mask is not None)
    assert (frame.opcode, frame.data, frame.fin, rest) == (opcode, payload, fin, b"")
    assert not (frame.rsv1 or frame.rsv2 or frame.rsv3)


def test_the_bit_of_a_compressed_message_is_set_on_request_only() -> None:
    assert build_frame(TEXT, b"", None, rsv1=True) == b"\xc1\x00"
    assert build_frame(TEXT, b"", None, fin=False) == b"\x01\x00"


@given(st.sampled_from([PING, PONG]), st.binary(max_size=125), st.none() | st.binary(min_size=4, max_size=4))
def test_a_control_frame_is_read_by_websockets_as_it_was_meant(opcode: int, payload: bytes, mask: bytes | None) -> None:
    frame, rest = read_by_websockets(build_frame(opcode, payload, mask), masked=mask is not None)
    assert (frame.opcode, frame.data, frame.fin, rest) == (opcode, payload, True, b"")


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
@pytest.mark.parametrize("mask", [None, b"\x01\x02\x03\x04"])
def test_the_length_takes_as_few_bytes_as_possible(size: int, head: bytes, mask: bytes | None) -> None:
    payload = b"x" * size
    frame = build_frame(TEXT, payload, mask)
    if mask is None:
        assert frame == head + payload
    else:
        assert frame[: len(head)] == bytes((head[0], head[1] | 0x80)) + head[2:]
        assert frame[len(head) : len(head) + 4] == mask
    assert read_by_websockets(frame, masked=mask is not None)[0].data == payload


def test_a_mask_changes_the_bytes_on_the_wire_and_nothing_else() -> None:
    plain, masked = build_frame(TEXT, b"hello", None), build_frame(TEXT, b"hello", b"\xff\x00\xff\x00")
    assert plain[2:] == b"hello"
    assert masked[6:] == b"\x97e\x93l\x90"


@pytest.mark.parametrize("mask", [None, b"abcd"])
def test_a_close_frame_carries_code_and_reason(mask: bytes | None) -> None:
    frame, _ = read_by_websockets(build_close(1008, "serial number", mask), masked=mask is not None)
    assert frame.opcode is Opcode.CLOSE
    assert Close.parse(frame.data) == Close(1008, "serial number")


def test_a_close_frame_without_code_is_empty_even_with_a_reason() -> None:
    assert build_close(None, "not sent", None) == build_frame(CLOSE, b"", None)


@given(st.text(max_size=200))
def test_a_close_reason_is_cut_between_characters_to_what_a_control_frame_holds(reason: str) -> None:
    frame = build_close(1001, reason, None)
    size, text = frame[1], frame[4:].decode("utf-8")
    assert size == len(frame) - 2 <= 125
    assert reason.startswith(text)
    assert text == reason or len((text + reason[len(text)]).encode("utf-8")) > 123


def test_exactly_the_codes_of_the_rfc_may_stand_in_a_close_frame() -> None:
    valid = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    assert {code for code in range(65_536) if is_valid_close_code(code)} == valid


def test_a_violation_says_what_happened_and_is_grave_unless_told_otherwise() -> None:
    violation = FrameViolation(1002, "ws.protocol", "reserved bit set")
    assert (violation.close_code, violation.event, violation.detail) == (1002, "ws.protocol", "reserved bit set")
    assert (violation.severity, str(violation)) == ("high", "reserved bit set")
    assert FrameViolation(1008, "ws.slow_message", "late", severity="low").severity == "low"
