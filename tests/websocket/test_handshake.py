"""The opening handshake in both roles, held against the package `websockets` in the opposite one."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from gateway.websocket.handshake import (
    HandshakeInvalid,
    ServerAccept,
    UpgradeRequest,
    UpgradeViolation,
    accept_token,
    build_accepted,
    build_client_request,
    build_refused,
    read_upgrade,
    verify_server_response,
)
from gateway.websocket.head import HeadLimits, RequestHead, RequestHeadReader, ResponseHead, ResponseHeadReader

LIMITS = HeadLimits(max_head_bytes=16_384, max_headers=64, max_request_line_bytes=2_048)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3
TOKEN = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
USUAL = {
    "host": "gw.example.test",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": KEY,
    "sec-websocket-version": "13",
    "sec-websocket-protocol": "ocpp1.6",
}


def head(*more: tuple[str, str], method: str = "GET", **changes: str | None) -> RequestHead:
    """The usual request with changes; None takes a header away."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    fields = [(name, value) for name, value in (USUAL | named).items() if value is not None]
    return RequestHead(headers=(*fields, *more), method=method, target="/ocpp/CP-1")


def refused(given: RequestHead) -> str:
    with pytest.raises(UpgradeViolation) as caught:
        read_upgrade(given)
    return caught.value.kind


def answer(*more: tuple[str, str], status: int = 101, **changes: str | None) -> ResponseHead:
    usual: dict[str, str | None] = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": TOKEN,
        "sec-websocket-protocol": "ocpp1.6",
    }
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    fields = [(name, value) for name, value in (usual | named).items() if value is not None]
    return ResponseHead(headers=(*fields, *more), status=status)


# -- what a request asks for


def test_the_usual_request_is_read_without_flaws() -> None:
    assert read_upgrade(head(("authorization", "Basic eA=="), ("origin", "https://x"))) == UpgradeRequest(
        target="/ocpp/CP-1",
        host="gw.example.test",
        key=KEY,
        subprotocols=("ocpp1.6",),
        authorization="Basic eA==",
        origin="https://x",
        extensions=(),
        flaws=(),
        foreign_headers=(),
    )


def test_an_upgrade_request_does_not_show_its_credential() -> None:
    assert "c2VjcmV0" not in repr(read_upgrade(head(("authorization", "Basic c2VjcmV0"))))


@pytest.mark.parametrize("method", ["POST", "get", "HEAD", "CONNECT"])
def test_another_method_than_get_is_refused(method: str) -> None:
    assert refused(head(method=method)) == "method"


@pytest.mark.parametrize("upgrade", [None, "", "h2c", "websocket, h2c", "websockets"])
def test_what_does_not_ask_for_a_websocket_is_refused(upgrade: str | None) -> None:
    assert refused(head(upgrade=upgrade)) == "not-websocket"
    assert read_upgrade(head(upgrade="WebSocket")).flaws == ()


@pytest.mark.parametrize("version", [None, "", "8", "13, 8", "013", "+13", "14"])
def test_another_version_than_13_is_refused(version: str | None) -> None:
    assert refused(head(sec_websocket_version=version)) == "websocket-version"


@pytest.mark.parametrize(
    "connection", ["upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade,keep-alive", ", Upgrade ,", "Upgrade, Upgrade"]
)
def test_connection_may_name_upgrade_and_keep_alive(connection: str) -> None:
    assert read_upgrade(head(connection=connection)).flaws == ()


@pytest.mark.parametrize("connection", [None, "", "keep-alive", ","])
def test_a_connection_that_does_not_name_upgrade_is_a_flaw_that_a_registry_may_tolerate(connection: str | None) -> None:
    assert read_upgrade(head(connection=connection)).flaws == ("missing-connection-upgrade",)


@pytest.mark.parametrize("connection", ["Upgrade, Authorization", "close, Upgrade", "Upgrade x", "Upgrade;q=1"])
def test_a_connection_that_names_anything_else_is_refused(connection: str) -> None:
    assert refused(head(connection=connection)) == "ambiguous"


def test_connection_over_two_headers_counts_as_one_list() -> None:
    assert read_upgrade(head(("connection", "Upgrade"), connection="keep-alive")).flaws == ()
    assert refused(head(("connection", "x-secret"))) == "ambiguous"


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ",
        base64.b64encode(b"x" * 15).decode(),
        base64.b64encode(b"x" * 17).decode(),
        "dGhlIHNhbXBsZSBub25jZQ== ",
        "dGhlIHNhbXBs ZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==\xe9",
        "_-hlIHNhbXBsZSBub25jZQ==",
    ],
)
def test_a_key_that_is_not_sixteen_bytes_of_base64_is_refused(key: str | None) -> None:
    assert refused(head(sec_websocket_key=key)) == "malformed"


# -- subprotocols


@pytest.mark.requirement("TC_088_CSMS", "TC_B_58_CSMS")
def test_offered_subprotocols_are_read_in_their_order_each_once() -> None:
    request = read_upgrade(head(("sec-websocket-protocol", "ocpp1.6"), sec_websocket_protocol="ocpp2.1 ,\tocpp1.6"))
    assert request.subprotocols == ("ocpp2.1", "ocpp1.6")
    assert request.flaws == ()
    assert read_upgrade(head(sec_websocket_protocol="ocpp0.1,ocpp1.6")).subprotocols == ("ocpp0.1", "ocpp1.6")


@pytest.mark.requirement("TC_088_CSMS")
@pytest.mark.parametrize("offered", [None, "", ",", " , "])
def test_no_subprotocol_at_all_is_a_flaw(offered: str | None) -> None:
    request = read_upgrade(head(sec_websocket_protocol=offered, connection="keep-alive"))
    assert request.subprotocols == ()
    assert request.flaws == ("missing-connection-upgrade", "missing-subprotocol")


def test_an_empty_element_among_subprotocols_is_another_flaw() -> None:
    request = read_upgrade(head(sec_websocket_protocol=",ocpp2.0.1"))
    assert (request.subprotocols, request.flaws) == (("ocpp2.0.1",), ("empty-subprotocol-element",))


@pytest.mark.parametrize("offered", ["ocpp 1.6", "ocpp1.6;q=1", '"ocpp1.6"', "ocpp1.6\xe9", "a/b", "ocpp1.6,a b"])
def test_a_subprotocol_that_is_no_token_is_refused(offered: str) -> None:
    assert refused(head(sec_websocket_protocol=offered)) == "malformed"


def test_a_long_list_of_subprotocols_is_refused() -> None:
    assert len(read_upgrade(head(sec_websocket_protocol=",".join(f"p{at}" for at in range(16)))).subprotocols) == 16
    assert refused(head(sec_websocket_protocol=",".join(f"p{at}" for at in range(17)))) == "malformed"
    assert refused(head(sec_websocket_protocol="," * 2_049)) == "malformed"


# -- extensions, hosts, foreign headers


def test_offered_extensions_are_read_in_their_order_over_several_headers() -> None:
    request = read_upgrade(
        head(
            ("sec-websocket-extensions", 'permessage-deflate; server_max_window_bits="10", x-foo'),
            ("sec-websocket-extensions", "permessage-deflate"),
        )
    )
    assert request.extensions == (
        ("permessage-deflate", (("server_max_window_bits", "10"),)),
        ("x-foo", ()),
        ("permessage-deflate", ()),
    )


@pytest.mark.parametrize(
    "offered",
    ["permessage-deflate; ", 'x; a=", permessage-deflate, "', "permessage-deflate, b c", "permessage-deflate; a=b c"],
)
def test_where_one_extension_cannot_be_read_none_is_offered(offered: str) -> None:
    assert read_upgrade(head(sec_websocket_extensions=offered)).extensions == ()
    assert read_upgrade(head(sec_websocket_extensions=", permessage-deflate,")).extensions != ()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("GW.Example.Test", "gw.example.test"),
        ("gw.example.test:8443", "gw.example.test"),
        ("[::1]", "[::1]"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("10.0.0.1:80", "10.0.0.1"),
    ],
)
def test_the_host_is_compared_without_case_and_port(host: str, name: str) -> None:
    assert read_upgrade(head(host=host)).host == name


@pytest.mark.parametrize(
    "name",
    [
        "x-forwarded-for",
        "x_forwarded_for",
        "forwarded",
        "x-real-ip",
        "client-cert",
        "client-cert-chain",
        "x-client-cert",
        "ssl-client-verify",
        "x-ssl-client-dn",
        "x-ocpp-identity",
        "via",
        "x-client-ip",
        "x_remote_user",
        "x-auth-request-user",
        "x-amzn-mtls-clientcert-subject",
        "x-original-uri",
    ],
)
def test_headers_that_back_ends_trust_are_named(name: str) -> None:
    assert read_upgrade(head((name, "1"))).foreign_headers == (name,)


@pytest.mark.parametrize(
    "name", ["user-agent", "x-garo-id", "x-auth-token", "x-client-version", "client-certainly", "forwarded-not"]
)
def test_other_headers_are_nobodys_business(name: str) -> None:
    assert read_upgrade(head((name, "1"))).foreign_headers == ()


# -- our answers


def test_the_accept_token_is_that_of_the_rfc() -> None:
    assert accept_token(KEY) == TOKEN


@pytest.mark.requirement("TC_088_CSMS", "TC_B_58_CSMS")
@given(st.sampled_from(["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]))
def test_websockets_as_a_charge_point_is_accepted_and_accepts(token: str) -> None:
    client = ClientProtocol(
        parse_uri("ws://gw.example.test:8080/ocpp/CP%7C1"), subprotocols=[Subprotocol("ocpp0.1"), Subprotocol(token)]
    )
    client.send_request(client.connect())
    read = RequestHeadReader(LIMITS).feed(b"".join(client.data_to_send()))
    assert read is not None
    upgrade = read_upgrade(read)
    assert (upgrade.target, upgrade.host, upgrade.flaws) == ("/ocpp/CP%7C1", "gw.example.test", ())
    assert upgrade.subprotocols == ("ocpp0.1", token)
    client.receive_data(build_accepted(upgrade.key, token, None, (("Server", "gateway"),)))
    assert client.handshake_exc is None
    assert client.subprotocol == token


def test_a_subprotocol_or_extension_that_was_not_agreed_is_not_in_the_answer() -> None:
    plain = build_accepted(KEY, None, None)
    assert b"Sec-WebSocket-Protocol" not in plain
    assert b"Sec-WebSocket-Extensions" not in plain
    assert b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n" in build_accepted(KEY, "x", "permessage-deflate")


def test_a_refusal_is_complete_and_closes() -> None:
    wire = build_refused(401, "Unauthorized", (("WWW-Authenticate", 'Basic realm="ocpp"'),), b"no")
    reader = ResponseHeadReader(LIMITS)
    read = reader.feed(wire)
    assert read is not None
    assert (read.status, reader.rest) == (401, b"no")
    assert (read.get("connection"), read.get("content-length")) == ("close", "2")
    assert read.get("www-authenticate") == 'Basic realm="ocpp"'


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "a\rb", "a\0b", "\u20ac"])
def test_an_answer_cannot_be_split_by_a_value(value: str) -> None:
    with pytest.raises(ValueError, match=r"control character|encode"):
        build_accepted(KEY, "ocpp1.6", None, (("X", value),))
    assert b"X: a\xe9b" in build_accepted(KEY, "ocpp1.6", None, (("X", "a\xe9b"),))


# -- our requests


@pytest.mark.parametrize("subprotocols", [(), ("ocpp2.0.1", "ocpp1.6")])
@pytest.mark.parametrize("extensions", [None, "permessage-deflate; server_no_context_takeover"])
def test_websockets_as_a_csms_accepts_our_request(subprotocols: tuple[str, ...], extensions: str | None) -> None:
    wire = build_client_request(
        "csms.test:9000", "/x/RDAM%20123", KEY, subprotocols, extensions, [("Authorization", "Basic eA==")]
    )
    server = ServerProtocol(subprotocols=[Subprotocol(each) for each in subprotocols] or None)
    server.receive_data(wire)
    (request,) = server.events_received()
    assert isinstance(request, Request)
    assert (request.path, request.headers["Host"]) == ("/x/RDAM%20123", "csms.test:9000")
    assert request.headers["Authorization"] == "Basic eA=="
    server.send_response(server.accept(request))
    assert server.handshake_exc is None
    head_of_answer = ResponseHeadReader(LIMITS).feed(b"".join(server.data_to_send()))
    assert head_of_answer is not None
    expected = ServerAccept("ocpp2.0.1" if subprotocols else None, None)
    assert verify_server_response(head_of_answer, KEY, subprotocols) == expected


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/a\n", "/\0"])
def test_a_request_target_cannot_break_the_head(target: str) -> None:
    with pytest.raises(ValueError, match=r"space|control"):
        build_client_request("csms", target, KEY, (), None, [])


# -- the CSMS's answer


def test_an_answer_in_order_is_accepted_with_what_it_chose() -> None:
    assert verify_server_response(answer(), KEY, ("ocpp2.0.1", "ocpp1.6")) == ServerAccept("ocpp1.6", None)
    chosen = answer(
        ("sec-websocket-extensions", "a"),
        ("sec-websocket-extensions", "b; c"),
        sec_websocket_protocol=None,
        connection="keep-alive,\tUPGRADE",
        upgrade="WebSocket",
    )
    assert verify_server_response(chosen, KEY, ("ocpp1.6",)) == ServerAccept(None, "a, b; c")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (answer(upgrade=None), "no Upgrade"),
        (answer(upgrade="h2c"), "no Upgrade"),
        (answer(connection=None), "no Connection"),
        (answer(connection="keep-alive"), "no Connection"),
        (answer(connection="Upgrade\xa0"), "no Connection"),
        (answer(sec_websocket_accept=None), "Accept is wrong"),
        (answer(sec_websocket_accept=TOKEN.lower()), "Accept is wrong"),
        (answer(("sec-websocket-accept", TOKEN)), "more than once"),
        (answer(("sec-websocket-protocol", "ocpp1.6")), "more than once"),
        (answer(("upgrade", "websocket")), "more than once"),
        (answer(sec_websocket_protocol="ocpp2.1"), "not offered"),
        (answer(sec_websocket_protocol="OCPP1.6"), "not offered"),
        (answer(sec_websocket_protocol=""), "not offered"),
    ],
)
def test_an_answer_that_proves_nothing_is_invalid(given: ResponseHead, reason: str) -> None:
    with pytest.raises(HandshakeInvalid, match=re.escape(reason)) as caught:
        verify_server_response(given, KEY, ("ocpp2.0.1", "ocpp1.6"))
    assert caught.value.status is None


@pytest.mark.parametrize("status", [100, 200, 301, 401, 503])
def test_another_status_than_101_is_told(status: int) -> None:
    with pytest.raises(HandshakeInvalid) as caught:
        verify_server_response(answer(status=status), KEY, ("ocpp1.6",))
    assert caught.value.status == status
