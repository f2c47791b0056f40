"""Reading one direction of a connection: any bytes, split anywhere, must be judged alike and lose nothing.

`outcome` is what a peer's bytes lead to: the events in order, and the violation that ended them, if one did.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from gateway.websocket.deflate import DeflateParameters, Inflater, deflate
from gateway.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    FrameViolation,
    build_close,
    build_frame,
)
from gateway.websocket.messages import (
    CloseReceived,
    Event,
    Message,
    MessageReader,
    Ping,
    Pong,
    ReaderLimits,
)

MASK = b"\x11\x22\x33\x44"
MAX = 300
LIMITS = ReaderLimits(
    max_message_bytes=MAX, max_fragments=4, fragment_deadline_s=30.0, control_frames_per_s=10.0, control_frames_burst=20
)
HEARTBEAT = b'[2,"1","Heartbeat",{}]'


class Outcome(NamedTuple):
    events: list[Event]
    violation: tuple[int, str, str] | None = None


def new_reader(
    *, masked: bool = True, inflater: Inflater | None = None, limits: ReaderLimits = LIMITS
) -> MessageReader:
    return MessageReader(expect_masked=masked, limits=limits, inflater=inflater)


def outcome(reader: MessageReader, chunks: Iterable[bytes], now: float = 5.0) -> Outcome:
    events: list[Event] = []
    try:
        for chunk in chunks:
            for event in reader.feed(chunk, now):
                events.append(event)  # noqa: PERF402  what came before a violation counts
    except FrameViolation as violation:
        return Outcome(events, (violation.close_code, violation.event, violation.detail))
    return Outcome(events)


def since(reader: MessageReader) -> float | None:
    return reader.assembling_since


def violation_of(data: bytes, *, masked: bool = True, inflater: Inflater | None = None) -> tuple[int, str]:
    found = outcome(new_reader(masked=masked, inflater=inflater), [data]).violation
    assert found is not None
    return found[:2]


def text(payload: bytes, *, mask: bytes | None = MASK) -> bytes:
    return build_frame(TEXT, payload, mask)


def fragments(parts: Sequence[bytes], *, between: bytes = b"") -> bytes:
    frames = [
        build_frame(TEXT if not at else CONTINUATION, part, MASK, fin=at == len(parts) - 1)
        for at, part in enumerate(parts)
    ]
    return between.join(frames)


def pieces(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for cut in sorted({cut % (len(data) + 1) for cut in cuts}):
        yield data[at:cut]
        at = cut
    yield data[at:]


# -- what any stream may be made of

PAYLOAD = st.binary(max_size=20) | st.text(max_size=20).map(str.encode) | st.just(b"x" * 130)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame: mostly in order, sometimes broken in one of the ways a header can be broken."""
    first = draw(st.sampled_from([0x81, 0x81, 0x01, 0x80, 0x00, 0x89, 0x8A, 0x88, 0x82, 0xC1, 0x41, 0x91, 0x83, 0x09]))
    payload = draw(PAYLOAD)
    mask = draw(st.sampled_from([MASK, MASK, MASK, b"\0\0\0\0", None]))
    frame = build_frame(first & 0x0F, payload, mask)
    return bytes((first,)) + frame[1:]


STREAM = st.lists(frames() | st.binary(max_size=10), max_size=8).map(b"".join)
CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@settings(max_examples=300)
@given(STREAM, st.booleans(), st.booleans())
def test_any_bytes_become_events_or_one_violation(data: bytes, masked: bool, compressed: bool) -> None:
    reader = new_reader(masked=masked, inflater=Inflater(MAX, 15) if compressed else None)
    events, violation = outcome(reader, [data])
    assert all(isinstance(event, Message | Ping | Pong | CloseReceived) for event in events)
    assert all(len(event.payload) <= MAX for event in events if isinstance(event, Message))
    assert violation is None or violation[0] in {1002, 1003, 1007, 1008, 1009}


@settings(max_examples=300)
@given(STREAM, CUTS, st.booleans(), st.booleans())
def test_where_the_bytes_are_split_changes_nothing(
    data: bytes, cuts: list[int], masked: bool, compressed: bool
) -> None:
    inflater = Inflater(MAX, 15) if compressed else None
    whole = outcome(new_reader(masked=masked, inflater=inflater), [data])
    assert outcome(new_reader(masked=masked, inflater=inflater), pieces(data, cuts)) == whole
    assert (
        outcome(new_reader(masked=masked, inflater=inflater), (data[at : at + 1] for at in range(len(data)))) == whole
    )


@settings(max_examples=300)
@given(frames() | STREAM, st.booleans())
def test_the_short_way_and_the_long_way_judge_alike(data: bytes, masked: bool) -> None:
    payload = new_reader(masked=masked).single(data)
    reader = new_reader(masked=masked)
    long_way = outcome(reader, [data])
    if payload is not None:
        assert long_way == Outcome([Message(payload, data, compressed=False, fragmented=False)])
    elif long_way.violation is None and len(long_way.events) == 1 and data[:1] == b"\x81":
        # Only what is not one whole frame may take the long way.
        assert since(reader) is not None or not isinstance(long_way.events[0], Message)


@settings(max_examples=200)
@given(STREAM)
def test_delivered_frames_are_bytes_that_were_received(data: bytes) -> None:
    at = 0
    for event in outcome(new_reader(), [data]).events:
        if isinstance(event, Message) and not event.fragmented:
            at = data.index(event.frames, at) + len(event.frames)
        if isinstance(event, Message):
            read_again = outcome(new_reader(), [event.frames])
            assert read_again == Outcome([event])


@given(st.lists(st.text(max_size=60).map(str.encode), min_size=1, max_size=4), st.booleans())
def test_a_message_in_fragments_with_pings_between_is_put_together(parts: list[bytes], pings: bool) -> None:
    ping = build_frame(PING, b"p", MASK)
    events, violation = outcome(new_reader(), [fragments(parts, between=ping if pings else b"")])
    *controls, message = events
    assert violation is None
    assert controls == [Ping(b"p")] * (len(parts) - 1 if pings else 0)
    assert message == Message(b"".join(parts), fragments(parts), compressed=False, fragmented=len(parts) > 1)


# -- against the package `websockets`


@given(st.text(max_size=80), st.sampled_from([Opcode.TEXT, Opcode.PING, Opcode.PONG]), st.booleans())
def test_frames_of_websockets_are_read(message: str, opcode: Opcode, masked: bool) -> None:
    payload = message.encode()[:125].decode("utf-8", "ignore").encode()
    wire = Frame(opcode, payload).serialize(mask=masked)
    read = outcome(new_reader(masked=masked), [wire])
    expected: dict[Opcode, Event] = {
        Opcode.TEXT: Message(payload, wire, compressed=False, fragmented=False),
        Opcode.PING: Ping(payload),
        Opcode.PONG: Pong(payload),
    }
    assert read == Outcome([expected[opcode]])


@given(st.text(max_size=80), st.booleans(), st.integers(9, 15), st.booleans())
def test_compressed_frames_of_websockets_are_read(message: str, masked: bool, bits: int, fragmented: bool) -> None:
    extension = PerMessageDeflate(True, True, bits, bits)
    payload = message.encode()
    parts = [Frame(Opcode.TEXT, payload)]
    if fragmented:
        cut = len(payload) // 2
        parts = [Frame(Opcode.TEXT, payload[:cut], fin=False), Frame(Opcode.CONT, payload[cut:])]
    wire = b"".join(part.serialize(mask=masked, extensions=[extension]) for part in parts)
    read = outcome(new_reader(masked=masked, inflater=Inflater(MAX, bits)), [wire])
    assert read == Outcome([Message(payload, wire, compressed=True, fragmented=fragmented)])


@given(st.text(max_size=200), st.booleans(), st.integers(9, 15))
def test_what_we_compress_websockets_inflates(message: str, masked: bool, bits: int) -> None:
    payload = message.encode()
    wire = build_frame(TEXT, deflate(payload, bits), MASK if masked else None, rsv1=True)
    read = outcome(new_reader(masked=masked, inflater=Inflater(1_000, bits), limits=LIMITS), [wire])
    assert [event.payload for event in read.events if isinstance(event, Message)] == [payload]
    extension = PerMessageDeflate(True, True, bits, bits)
    assert extension.decode(Frame(Opcode.TEXT, deflate(payload, bits), rsv1=True)).data == payload


# -- the short way


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("payload", [b"", HEARTBEAT, b"x" * 125, b"x" * 126, b"x" * MAX, "é€😀".encode()])
def test_one_whole_text_frame_takes_the_short_way(payload: bytes, mask: bytes | None) -> None:
    assert new_reader(masked=mask is not None).single(text(payload, mask=mask)) == payload


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        text(HEARTBEAT)[:-1],
        text(HEARTBEAT) + b"\x81",
        text(HEARTBEAT) * 2,
        text(HEARTBEAT, mask=None),
        b"\x81\xfe\x00\x01" + MASK + b"x",
        b"\x81\xff" + (65_536).to_bytes(8, "big") + MASK,
        text(b"x" * (MAX + 1)),
        text(b"\xff"),
        build_frame(TEXT, b"x", MASK, fin=False),
        build_frame(PING, b"", MASK),
        build_frame(TEXT, b"x", MASK, rsv1=True),
    ],
)
def test_what_is_not_exactly_one_good_text_frame_does_not(data: bytes) -> None:
    assert new_reader().single(data) is None


@pytest.mark.parametrize(
    "data",
    [
        text(HEARTBEAT),
        b"\x81\x7e\x00\x01x",
        b"\x81\x7f" + (65_536).to_bytes(8, "big"),
        text(b"x" * (MAX + 1), mask=None),
        text(b"\xff", mask=None),
    ],
)
def test_the_same_holds_where_frames_come_unmasked(data: bytes) -> None:
    assert new_reader(masked=False).single(data) is None


def test_nothing_takes_the_short_way_past_something_unfinished() -> None:
    partial, assembling, closed = new_reader(), new_reader(), new_reader()
    assert outcome(partial, [text(HEARTBEAT)[:3]]) == Outcome([])
    assert outcome(assembling, [build_frame(TEXT, b"[", MASK, fin=False)]) == Outcome([])
    assert outcome(closed, [build_close(1000, "", MASK)]).events == [CloseReceived(1000, "")]
    assert [each.single(text(HEARTBEAT)) for each in (partial, assembling, closed)] == [None, None, None]


# -- what a header decides


@pytest.mark.parametrize(
    ("data", "code", "event"),
    [
        (b"\x91\x80" + MASK, 1002, "ws.protocol"),
        (b"\xa1\x80" + MASK, 1002, "ws.protocol"),
        (b"\xc1\x80" + MASK, 1002, "ws.protocol"),
        (b"\xc9\x80" + MASK, 1002, "ws.protocol"),
        (b"\x83\x80" + MASK, 1002, "ws.protocol"),
        (b"\x8b\x80" + MASK, 1002, "ws.protocol"),
        (b"\x80\x80" + MASK, 1002, "ws.protocol"),
        (b"\x09\x80" + MASK, 1002, "ws.protocol"),
        (b"\x89\xfe\x00\x7e" + MASK, 1002, "ws.protocol"),
        (b"\x89\xff" + bytes(8) + MASK, 1002, "ws.protocol"),
        (b"\x82\x80" + MASK, 1003, "ws.unsupported_data"),
        (b"\x02\x80" + MASK, 1003, "ws.unsupported_data"),
        (b"\x81\xfe\x00\x7d", 1002, "ws.protocol"),
        (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", 1002, "ws.protocol"),
        (b"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00", 1002, "ws.protocol"),
        (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 1009, "ws.too_big"),
        (b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00", 1009, "ws.too_big"),
        (b"\x81\xfe\x01\x2d", 1009, "ws.too_big"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused_before_its_payload_comes(data: bytes, code: int, event: str) -> None:
    assert violation_of(data) == (code, event)


@pytest.mark.parametrize("mask", [None, MASK])
def test_masking_belongs_to_clients_only(mask: bytes | None) -> None:
    assert violation_of(text(b"[]", mask=mask), masked=mask is None) == (1002, "ws.protocol")
    assert violation_of(text(b"[]", mask=mask)[:2], masked=mask is None) == (1002, "ws.protocol")
    assert outcome(new_reader(masked=mask is not None), [text(b"[]", mask=mask)]).violation is None


def test_a_long_frame_within_the_limit_passes_with_its_64_bit_length() -> None:
    limits = ReaderLimits(70_000, 4, 30.0, 10.0, 20)
    wire = text(b"x" * 65_536)
    assert outcome(new_reader(limits=limits), [wire]) == Outcome([Message(b"x" * 65_536, wire, False, False)])


def test_a_frame_that_trickles_byte_by_byte_arrives_whole() -> None:
    limits = ReaderLimits(70_000, 4, 30.0, 10.0, 20)
    wire = text(b"y" * 65_536)
    reader = new_reader(limits=limits)
    read = outcome(reader, (wire[at : at + 1] for at in range(len(wire))))
    assert read == Outcome([Message(b"y" * 65_536, wire, False, False)])
    assert since(reader) is None
    assert reader.single(text(HEARTBEAT)) == HEARTBEAT


def test_compression_that_was_agreed_allows_the_bit_on_data_frames_only() -> None:
    inflater = Inflater(MAX, 15)
    assert violation_of(b"\xc9\x80" + MASK, inflater=inflater) == (1002, "ws.protocol")
    assert violation_of(b"\xc2\x80" + MASK, inflater=inflater) == (1003, "ws.unsupported_data")
    first = build_frame(TEXT, b"\x00", MASK, fin=False, rsv1=True)
    bad = build_frame(CONTINUATION, b"", MASK, rsv1=True)
    assert violation_of(first + bad, inflater=inflater) == (1002, "ws.protocol")
    assert outcome(new_reader(inflater=inflater), [text(HEARTBEAT)]).violation is None


def test_a_compressed_message_beyond_the_limit_is_refused_and_one_at_the_limit_passes() -> None:
    inflater = Inflater(MAX, 15)
    at_limit = build_frame(TEXT, deflate(b"a" * MAX, 15), MASK, rsv1=True)
    bomb = build_frame(TEXT, deflate(b"a" * 1_000_000, 15)[:MAX], MASK, rsv1=True)
    assert outcome(new_reader(inflater=inflater), [at_limit]) == Outcome([Message(b"a" * MAX, at_limit, True, False)])
    assert violation_of(bomb, inflater=inflater) == (1009, "ws.inflate")


def test_each_peer_is_read_with_the_window_that_is_its_own() -> None:
    limits = ReaderLimits(100_000, 4, 30.0, 10.0, 20)
    agreed = DeflateParameters(server_max_window_bits=9, client_max_window_bits=15)
    far = hashlib.shake_128(b"noise").hexdigest(15_000).encode()  # comes again further back than 2**9 bytes
    small = build_frame(TEXT, deflate(far + far, 9), None, rsv1=True)
    for mask in (MASK, None):
        reader = MessageReader.for_peer(limits, agreed, from_client=mask is not None)
        wire = build_frame(TEXT, deflate(far + far, 15), mask, rsv1=True)
        if mask is not None:
            assert outcome(reader, [wire]) == Outcome([Message(far + far, wire, True, False)])
        else:
            assert outcome(reader, [small, wire]) == Outcome(
                [Message(far + far, small, True, False)], (1007, "ws.inflate", "compressed data is damaged")
            )


@pytest.mark.parametrize("from_client", [True, False])
def test_without_an_agreement_nothing_compressed_is_read(from_client: bool) -> None:
    mask = MASK if from_client else None
    reader = MessageReader.for_peer(LIMITS, None, from_client=from_client)
    assert reader.single(text(HEARTBEAT, mask=mask)) == HEARTBEAT
    assert outcome(reader, [build_frame(TEXT, deflate(HEARTBEAT, 15), mask, rsv1=True)]).violation is not None


# -- fragments


def test_a_new_message_inside_a_fragmented_one_is_refused() -> None:
    first = build_frame(TEXT, b"[", MASK, fin=False)
    assert violation_of(first + text(b"]")) == (1002, "ws.protocol")
    assert violation_of(first + build_frame(BINARY, b"]", MASK)) == (1003, "ws.unsupported_data")
    assert outcome(new_reader(), [first + build_frame(CONTINUATION, b"]", MASK)]).events[0] == Message(
        b"[]", first + build_frame(CONTINUATION, b"]", MASK), False, True
    )


def test_fragments_together_may_be_as_large_as_one_message_and_no_larger() -> None:
    half = b"x" * (MAX // 2)
    assert outcome(new_reader(), [fragments([half, half])]).violation is None
    assert violation_of(fragments([half, half + b"x"])) == (1009, "ws.too_big")


@pytest.mark.parametrize("part", [b"x", b""])
def test_a_message_in_too_many_fragments_is_refused_even_if_they_are_empty(part: bytes) -> None:
    assert outcome(new_reader(), [fragments([part] * 4)]).violation is None
    assert violation_of(fragments([part] * 5)) == (1008, "ws.fragment_flood")


def test_a_character_may_be_cut_by_a_fragment_but_not_by_the_end() -> None:
    wire = fragments([b"\xe2", b"\x82", b"\xac"])
    assert outcome(new_reader(), [wire]).events == [Message(b"\xe2\x82\xac", wire, False, True)]
    assert violation_of(fragments([b"\xe2", b"\x82"])) == (1007, "ws.bad_utf8")


@pytest.mark.parametrize("payload", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
def test_text_that_is_not_utf8_is_refused(payload: bytes) -> None:
    assert violation_of(text(payload)) == (1007, "ws.bad_utf8")


def test_a_fragmented_message_has_a_deadline_from_its_first_fragment_on() -> None:
    reader = new_reader()
    first, more = build_frame(TEXT, b"[", MASK, fin=False), build_frame(CONTINUATION, b"1", MASK, fin=False)
    assert since(reader) is None
    reader.check_deadline(1_000_000.0)
    assert outcome(reader, [first], now=100.0) == Outcome([])
    assert outcome(reader, [more], now=129.0) == Outcome([])
    assert since(reader) == 100.0
    reader.check_deadline(130.0)
    with pytest.raises(FrameViolation, match="not finished in time") as caught:
        reader.check_deadline(130.1)
    assert (caught.value.close_code, caught.value.event, caught.value.severity) == (1008, "ws.fragment_flood", "high")
    assert since(reader) is None


def test_the_last_fragment_after_the_deadline_is_too_late() -> None:
    first, last = build_frame(TEXT, b"[", MASK, fin=False), build_frame(CONTINUATION, b"]", MASK)
    in_time, late = new_reader(), new_reader()
    assert outcome(in_time, [first], now=100.0) == outcome(late, [first], now=100.0) == Outcome([])
    assert outcome(in_time, [last], now=130.0).violation is None
    assert outcome(late, [last], now=130.1).violation is not None


def test_a_frame_that_trickles_has_the_same_deadline_without_raising_an_alarm() -> None:
    wire = text(HEARTBEAT)
    reader = new_reader()
    assert outcome(reader, [wire[:1]], now=100.0) == Outcome([])
    assert outcome(reader, [wire[1:10]], now=120.0) == Outcome([])
    assert since(reader) == 100.0
    assert outcome(reader, [wire[10:11]], now=130.0) == Outcome([])
    with pytest.raises(FrameViolation, match="frame not finished in time") as caught:
        list(reader.feed(wire[11:], 130.1))
    assert (caught.value.close_code, caught.value.event, caught.value.severity) == (1008, "ws.slow_message", "low")
    assert outcome(reader, [wire], now=130.2) == Outcome([])


def test_the_deadline_of_a_frame_starts_with_its_own_first_byte() -> None:
    wire = text(HEARTBEAT)
    reader = new_reader()
    assert outcome(reader, [wire[:5]], now=100.0) == Outcome([])
    assert len(outcome(reader, [wire[5:] + wire[:5]], now=120.0).events) == 1
    assert since(reader) == 120.0
    assert len(outcome(reader, [wire[5:]], now=150.0).events) == 1
    assert since(reader) is None


# -- control frames


def test_pings_above_the_budget_are_a_flood_and_time_refills_it() -> None:
    ping = build_frame(PING, b"x" * 125, MASK)
    patient, hasty = new_reader(), new_reader()
    assert len(outcome(patient, [ping] * 20, now=50.0).events) == 20
    assert len(outcome(patient, [ping] * 10, now=51.0).events) == 10
    assert len(outcome(hasty, [ping] * 20, now=50.0).events) == 20
    events, violation = outcome(hasty, [ping] * 11, now=51.0)
    assert len(events) == 10
    assert violation == (1008, "ws.control_flood", "too many control frames")


def test_a_clock_that_stands_still_or_goes_back_gives_no_budget() -> None:
    reader = new_reader()
    ping = build_frame(PING, b"", MASK)
    assert len(outcome(reader, [ping] * 20, now=50.0).events) == 20
    assert outcome(reader, [ping], now=10.0).violation is not None


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b"", CloseReceived(None, "")),
        (b"\x03\xe8", CloseReceived(1000, "")),
        (b"\x03\xe8" + "très bien".encode(), CloseReceived(1000, "très bien")),
        (b"\x0f\xa0own", CloseReceived(4000, "own")),
    ],
)
def test_a_close_frame_is_read_with_code_and_reason(payload: bytes, event: CloseReceived) -> None:
    assert outcome(new_reader(), [build_frame(CLOSE, payload, MASK)]) == Outcome([event])


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xed", 1002), (b"\x03\xee", 1002), (b"\x00\x00", 1002), (b"\x03\xe8\xff", 1007)],
)
def test_a_close_frame_with_a_bad_code_or_reason_is_refused(payload: bytes, code: int) -> None:
    assert violation_of(build_frame(CLOSE, payload, MASK))[0] == code


def test_nothing_counts_behind_a_close_frame() -> None:
    reader = new_reader()
    behind = text(HEARTBEAT) + b"\xff\xff\xff"
    assert outcome(reader, [text(b"[]") + build_close(1001, "bye", MASK) + behind]) == Outcome(
        [Message(b"[]", text(b"[]"), False, False), CloseReceived(1001, "bye")]
    )
    assert outcome(reader, [behind]) == Outcome([])
    assert since(reader) is None


def test_a_close_frame_inside_a_fragmented_message_ends_that_too() -> None:
    reader = new_reader()
    first = build_frame(TEXT, b"[", MASK, fin=False)
    assert outcome(reader, [first + build_close(1000, "", MASK)]).events == [CloseReceived(1000, "")]
    assert since(reader) is None


def test_messages_before_a_violation_in_the_same_segment_are_not_lost() -> None:
    reader = new_reader()
    good = text(b'[2,"1","StopTransaction",{}]')
    events, violation = outcome(reader, [good + b"\x83\x80" + MASK + good])
    assert [event.frames for event in events if isinstance(event, Message)] == [good]
    assert violation is not None
    assert violation[0] == 1002


def test_nothing_is_heard_of_a_peer_behind_its_violation() -> None:
    reader = new_reader()
    assert outcome(reader, [b"\x83\x80"]).violation is not None
    assert reader.single(text(HEARTBEAT)) is None
    assert outcome(reader, [text(HEARTBEAT)]) == Outcome([])
