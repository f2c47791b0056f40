"""Strict HTTP heads: read byte by byte or at once alike, and nothing passes that two parsers could read differently."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.websocket.head import (
    HeadLimits,
    HeadViolation,
    RequestHead,
    RequestHeadReader,
    ResponseHead,
    ResponseHeadReader,
)

LIMITS = HeadLimits(max_head_bytes=400, max_headers=8, max_request_line_bytes=60)
LINE = b"GET /ocpp/CP-1 HTTP/1.1"
REQUEST = LINE + b"\r\nHost: gw.example.test\r\nUpgrade: websocket\r\n\r\n"


def request(*headers: bytes, line: bytes = LINE, host: bytes | None = b"Host: gw") -> bytes:
    lines = [line, *([host] if host is not None else []), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def read(chunks: Iterable[bytes], limits: HeadLimits = LIMITS) -> tuple[RequestHead | None, bytes] | str:
    """Head and rest, or the kind of the refusal."""
    reader = RequestHeadReader(limits)
    head: RequestHead | None = None
    rest = b""
    try:
        for chunk in chunks:
            if head is None:
                head = reader.feed(chunk)
                rest = reader.rest
            else:
                rest += chunk
    except HeadViolation as violation:
        return violation.kind
    return head, rest


def response(data: bytes) -> ResponseHead | str | None:
    try:
        return ResponseHeadReader(LIMITS).feed(data)
    except HeadViolation as violation:
        return violation.kind


# -- what any request may be made of

PARTS = st.lists(
    st.sampled_from(
        [
            LINE,
            b"GET / HTTP/1.0",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b"Host: gw",
            b"Connection: Upgrade",
            b"Authorization: Basic eA==",
            b"Content-Length: 0",
            b" folded",
            b"X: \xe9\x80",
            b": ",
            b"\0",
            b"x" * 70,
        ]
    )
    | st.binary(max_size=5),
    max_size=10,
).map(b"".join)


@settings(max_examples=300)
@given(PARTS | st.builds(lambda headers, rest: request(*headers) + rest, st.lists(PARTS, max_size=2), PARTS))
def test_where_a_request_is_split_changes_nothing(data: bytes) -> None:
    whole = read([data])
    bytewise = read(data[at : at + 1] for at in range(len(data)))
    if isinstance(whole, str):
        assert isinstance(bytewise, str)  # which of several flaws is seen first may differ
    else:
        assert bytewise == whole


@given(st.integers(1, len(REQUEST) - 1))
def test_a_request_in_two_pieces_is_read_and_what_follows_is_kept(cut: int) -> None:
    head = RequestHead(
        headers=(("host", "gw.example.test"), ("upgrade", "websocket")), method="GET", target="/ocpp/CP-1"
    )
    assert read([REQUEST[:cut], REQUEST[cut:] + b"\x81\x80"]) == (head, b"\x81\x80")
    assert read([REQUEST[:cut]]) == (None, b"")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_a_refusal_or_not_yet_enough(data: bytes) -> None:
    assert isinstance(read([data]), str | tuple)
    assert isinstance(response(data), ResponseHead | str | None)


# -- request line


@pytest.mark.parametrize(
    "line",
    [
        b"GET  /x HTTP/1.1",
        b"GET /x  HTTP/1.1",
        b" GET /x HTTP/1.1",
        b"GET /x HTTP/1.1 ",
        b"GET\t/x HTTP/1.1",
        b"GET /x",
        b"GET /x HTTP/1.0",
        b"GET /x HTTP/2",
        b"GET /x http/1.1",
        b"GET /x y HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"G(T /x HTTP/1.1",
        b"A" * 25 + b" /x HTTP/1.1",
        b"",
    ],
)
def test_a_request_line_that_is_not_exactly_one_is_refused(line: bytes) -> None:
    assert read([request(line=line)]) == "malformed"


def test_other_methods_are_read_so_that_they_can_be_answered() -> None:
    read_head = read([request(line=b"PROPFIND /x HTTP/1.1")])
    assert not isinstance(read_head, str)
    assert read_head[0] is not None
    assert (read_head[0].method, read_head[0].target) == ("PROPFIND", "/x")


@pytest.mark.parametrize("split", [0, 1, 60, 61, 62])
def test_a_request_line_of_the_greatest_length_passes_wherever_it_is_split(split: int) -> None:
    line = b"GET /" + b"x" * (60 - len("GET / HTTP/1.1")) + b" HTTP/1.1"
    assert len(line) == LIMITS.max_request_line_bytes
    data = request(line=line)
    assert not isinstance(read([data[:split], data[split:]]), str)
    longer = request(line=line.replace(b"/x", b"/xx"))
    assert read([longer[:split], longer[split:]]) == "uri-too-long"


def test_a_request_line_without_end_is_refused_as_soon_as_it_is_too_long() -> None:
    assert read([b"GET /" + b"x" * 56]) == (None, b"")
    assert read([b"GET /" + b"x" * 57]) == "uri-too-long"
    assert read([b"{" + b"x" * 61]) == "malformed"


@pytest.mark.parametrize("start", [b"\x16\x03\x01", b"(", b"\r\n", b"A" * 25])
def test_what_does_not_start_like_a_request_is_refused_at_once(start: bytes) -> None:
    assert read([start]) == "malformed"


# -- headers


@pytest.mark.parametrize(
    "header",
    [
        b" folded: x",
        b"\tfolded",
        b"X : y",
        b"X\t: y",
        b": y",
        b"no colon",
        b"X\0: y",
        b"X: a\0b",
        b"X: a\rb",
        b"X: a\x0bb",
        b"X: a\x7fb",
        b"X\xe9: y",
        b"(X): y",
    ],
)
def test_a_header_line_that_parsers_read_differently_is_refused(header: bytes) -> None:
    assert read([request(header)]) == "malformed"
    assert read([request(b"X: y", header)]) == "malformed"


@pytest.mark.parametrize("end", [b"\n", b"\r\n\n", b"\n\r\n", b"\n\n"])
def test_a_bare_line_feed_ends_nothing(end: bytes) -> None:
    assert read([LINE + end + b"Host: gw"]) == "malformed"
    assert read([LINE + b"\r\nHost: gw" + end]) == "malformed"
    assert read([LINE + b"\r\nHost: gw" + end + b"X: y\r\n\r\n"]) == "malformed"


def test_values_keep_their_bytes_and_lose_the_blanks_around_them() -> None:
    found = read([request(b"X-Name: \t a\xe9b  c \t", b"X-Empty:", b"x-name:2")])
    assert not isinstance(found, str)
    head = found[0]
    assert head is not None
    assert head.get("x-name") == "a\xe9b  c"
    assert head.get_all("x-name") == ("a\xe9b  c", "2")
    assert head.get("x-empty") == ""
    assert head.get("x-missing") is None


@pytest.mark.parametrize(
    "name",
    [b"Host", b"Authorization", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version", b"Upgrade", b"Origin"],
)
def test_a_header_that_counts_may_stand_only_once_in_whatever_case(name: bytes) -> None:
    first = () if name == b"Host" else (name + b": a",)
    assert read([request(*first, name.upper() + b": b")]) == "ambiguous"
    assert not isinstance(read([request(*first)]), str)


@pytest.mark.parametrize(
    "host", [b"Host: gw", b"Host: gw.example.test:443", b"Host: [2001:db8::1]", b"Host: [::1]:8080", b"host:10.0.0.1"]
)
def test_a_host_is_a_name_or_an_address_with_perhaps_a_port(host: bytes) -> None:
    assert not isinstance(read([request(host=host)]), str)


@pytest.mark.parametrize(
    "host",
    [
        None,
        b"Host:",
        b"Host: a b",
        b"Host: a,b",
        b"Host: a/b",
        b"Host: user@gw",
        b"Host: gw:",
        b"Host: gw:123456",
        b"Host: gw:https",
        b"Host: ::1",
        b"Host: [::1",
        b"Host: g\xe9",
    ],
)
def test_a_host_that_is_missing_or_means_several_things_is_refused(host: bytes | None) -> None:
    assert read([request(host=host)]) == "malformed"


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding:",
        b"transfer-encoding: identity",
        b"Content-Length: 5",
        b"Content-Length: +0",
        b"Content-Length: 0, 0",
        b"Content-Length: 00",
        b"Content-Length:",
    ],
)
def test_an_announced_body_is_refused(header: bytes) -> None:
    assert read([request(header)]) == "ambiguous"


def test_two_lengths_are_refused_and_one_of_zero_is_no_body() -> None:
    assert read([request(b"Content-Length: 0", b"Content-Length: 0")]) == "ambiguous"
    assert not isinstance(read([request(b"Content-Length: 0")]), str)


# -- limits


def test_too_many_headers_are_refused() -> None:
    seven = [b"X-%d: y" % at for at in range(7)]
    assert not isinstance(read([request(*seven)]), str)
    assert read([request(*seven, b"X-8: y")]) == "limit"


@pytest.mark.parametrize("bytewise", [False, True])
def test_a_head_of_the_greatest_size_passes_and_one_byte_more_does_not(bytewise: bool) -> None:
    padding = LIMITS.max_head_bytes - len(request(b"X: "))
    for more, good in ((0, True), (1, False)):
        data = request(b"X: " + b"y" * (padding + more))
        found = read((data[at : at + 1] for at in range(len(data))) if bytewise else [data])
        assert (found == "limit") is not good


def test_what_follows_a_head_does_not_count_for_its_limit() -> None:
    found = read([REQUEST + b"x" * 1_000])
    assert not isinstance(found, str)
    assert found[1] == b"x" * 1_000


def test_a_credential_that_fills_the_head_is_told_from_other_large_headers() -> None:
    assert read([request(b"AUTHORIZATION: Basic " + b"A" * 400)]) == "authorization-too-long"
    assert read([request(b"Authorization: Basic " + b"A" * 400)[:401]]) == "authorization-too-long"
    assert read([request(b"X-Authorization: Basic " + b"A" * 400)]) == "limit"
    assert read([request(b"X: " + b"A" * 400, b"Authorization: Basic eA==")]) == "limit"


def test_a_violation_carries_our_words() -> None:
    with pytest.raises(HeadViolation, match="host more than once") as caught:
        RequestHeadReader(LIMITS).feed(request(b"Host: b"))
    assert (caught.value.kind, caught.value.detail) == ("ambiguous", "host more than once")


# -- responses


def test_a_response_is_read_with_or_without_a_phrase() -> None:
    head = ResponseHead(headers=(("upgrade", "websocket"),), status=101)
    for line in (b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 101", b"HTTP/1.1 101 ", b"HTTP/1.1 101 \xe9"):
        assert response(line + b"\r\nUpgrade: websocket\r\n\r\n") == head


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 101 x\r\n\r\n",
        b"HTTP/1.1 1O1 x\r\n\r\n",
        b"HTTP/1.1 099 x\r\n\r\n",
        b"HTTP/1.1 600 x\r\n\r\n",
        b"HTTP/1.1 1011\r\n\r\n",
        b"HTTP/1.1  101 x\r\n\r\n",
        b"HTTP/1.1 101 a\0b\r\n\r\n",
        b"HTTP/1.1 101 x\nUpgrade: websocket\r\n\r\n",
        b"HTTP/2",
        b"\x16\x03",
        b"HTTP/1.1 101 x\nU",
        b"HTTP/1.1 101 x\r\n folded\r\n\r\n",
    ],
)
def test_a_response_that_is_not_exactly_one_is_refused(data: bytes) -> None:
    assert response(data) == "malformed"


def test_a_response_waits_for_its_end_and_keeps_what_follows() -> None:
    reader = ResponseHeadReader(LIMITS)
    assert reader.feed(b"HTT") is None
    assert reader.feed(b"P/1.1 101 x\r\n") is None
    head = reader.feed(b"\r\n\x81\x00")
    assert head == ResponseHead(headers=(), status=101)
    assert reader.rest == b"\x81\x00"


def test_a_response_without_end_is_cut_off_at_the_limit() -> None:
    assert response(b"HTTP/1.1 101 x\r\nX: " + b"y" * 400) == "limit"
    assert response(b"HTTP/1.1 101 x\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n") == "ambiguous"
