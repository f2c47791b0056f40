"""PROXY protocol headers: what is read, and what is refused as soon as it can be."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.proxy_protocol import ProxyHeaderInvalid, ProxySource, read_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def v2_tcp4(source: str = "192.0.2.7", port: int = 51234, tlv: bytes = b"") -> bytes:
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address("198.51.100.1").packed
    return v2(0x21, 0x11, addresses + port.to_bytes(2, "big") + (443).to_bytes(2, "big") + tlv)


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n", ProxySource("192.0.2.7", 51234)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n", ProxySource("2001:db8::7", 51234)),
        (b"PROXY UNKNOWN\r\n", ProxySource()),
        (b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n", ProxySource()),
        (v2_tcp4(), ProxySource("192.0.2.7", 51234)),
        (v2_tcp4(tlv=b"\x03\x00\x04abcd"), ProxySource("192.0.2.7", 51234)),
        (v2(0x20, 0x00, b""), ProxySource()),
        (v2(0x21, 0x21, bytes(15) + b"\x01" + bytes(15) + b"\x02" + b"\x00\x50\x01\xbb"), ProxySource("::1", 80)),
    ],
)
def test_legal_header_is_read_and_its_size_told(header: bytes, source: ProxySource) -> None:
    assert read_proxy_header(header + b"\x16\x03\x01rest") == (source, len(header))


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n", v2_tcp4()])
def test_header_cut_anywhere_waits_for_more(header: bytes) -> None:
    for cut in range(1, len(header)):
        assert read_proxy_header(header[:cut]) is None


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 51234 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 051234 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 5 443 \r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 5 443\r\n",
        b"PROXY TCP4 localhost 198.51.100.1 5 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 \xb2 443\r\n",
        b"PROXY " + b"x" * 107,
        v2(0x31, 0x11, bytes(12)),
        v2(0x22, 0x11, bytes(12)),
        v2(0x21, 0x31, bytes(216)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x12, bytes(12)),
        v2(0x21, 0x11, bytes(2049)),
    ],
)
def test_damaged_header_is_refused(header: bytes) -> None:
    with pytest.raises(ProxyHeaderInvalid):
        read_proxy_header(header)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_header_a_wait_or_a_refusal(data: bytes) -> None:
    try:
        found = read_proxy_header(data)
    except ProxyHeaderInvalid:
        return
    assert found is None or 0 < found[1] <= len(data)
