"""Reading a ClientHello for events: what real clients send, and that nothing breaks it."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.client_hello import ClientHello, read_client_hello


def hello(server_name: str | None = "gw.example.test", maximum: ssl.TLSVersion | None = None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if maximum:
        context.maximum_version = maximum
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def test_offered_versions_and_server_name_are_read() -> None:
    read = read_client_hello(hello())
    assert read.server_name == "gw.example.test"
    assert read.versions == ("TLSv1.3", "TLSv1.2")
    assert 0x1301 in read.cipher_suites


def test_hello_without_extensions_for_versions_tells_the_legacy_version() -> None:
    assert read_client_hello(hello(maximum=ssl.TLSVersion.TLSv1_2)).versions == ("TLSv1.2",)


def test_no_server_name_is_empty() -> None:
    assert read_client_hello(hello(None)).server_name == ""


def test_hello_split_into_two_records_is_joined() -> None:
    record = hello()
    body = record[5:]
    parts = [body[:40], body[40:]]
    split = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)
    assert read_client_hello(split) == read_client_hello(record)


def test_cut_hello_tells_what_it_can() -> None:
    record = hello()
    for cut in range(len(record)):
        read_client_hello(record[:cut])
    assert read_client_hello(record[:3]) == ClientHello()


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_error(data: bytes) -> None:
    assert isinstance(read_client_hello(data), ClientHello)
    assert isinstance(read_client_hello(b"\x16\x03\x01" + len(data).to_bytes(2, "big") + data), ClientHello)
