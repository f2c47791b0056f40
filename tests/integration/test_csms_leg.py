"""The leg towards the CSMS: address, credentials, headers, TLS, fail-over, and how the two legs live and end together."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from gateway.websocket.handshake import accept_token
from tests.support.csms import HostileCSMS
from tests.support.peer import CLOSE, PING, PONG, TEXT, Peer, basic, frame, upgrade
from tests.support.rig import PREFIX, Rig, shared_authority
from tests.support.site import PASSWORD, Site, local_port, of, running
from tests.support.upstreams import ACCEPT, FIRST_CALL, HOSTILE, Upstreams, server_context, unmasked

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
HEARTBEAT = '[2,"h1","Heartbeat",{}]'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstreams() -> AsyncIterator[Upstreams]:
    made = Upstreams()
    async with contextlib.AsyncExitStack() as stack:
        for each in (made.tls, made.mtls, made.stranger, *made.hostile.values(), made.silent, made.closing):
            await stack.enter_async_context(each)  # type: ignore[arg-type]
        stack.callback(made.close)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, upstreams: Upstreams) -> AsyncIterator[Site]:
    def prepare(rig: Rig) -> None:
        entries = upstreams.entries(rig, rig.config["csms"][0]["urls"][0])
        rig.config["csms"] += [{"name": name, **entry} for name, entry in entries.items()]
        for name in ("main", *entries):
            rig.add(name, security_profile=1, password=PASSWORD, csms=name)
        rig.add("P3", security_profile=3, serial_number="SN-3", csms="headers")
        rig.add("P2", security_profile=2, password=PASSWORD, csms="headers")
        rig.add("early-tls", security_profile=2, password=PASSWORD)
        rig.config["listener"].append(
            rig.listener("plain-deep", [1], allowed_networks=["127.0.0.0/8"], path_prefix="/a/b")
        )

    async with running(tmp_path_factory.mktemp("csms-leg"), prepare) as made:
        yield made


async def refused(site: Site, name: str) -> tuple[int, str, dict[str, Any]]:
    """Status, event name and event of a charge point whose CSMS cannot be used."""
    status, event = await site.refused(await site.peer(), f"{PREFIX}/{name}", authorization=basic(name, PASSWORD))
    return status, event["event"], event


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that a server without a condition variable will see."""
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.02)


# -- address and credentials


async def test_identity_is_appended_to_the_configured_path_whatever_the_listener_s_path_is(site: Site) -> None:
    for listener, target in (("plain", "/ocpp/main"), ("plain-deep", "/a/b/main")):
        async with await site.peer(listener) as peer:
            assert (await peer.ask(target, authorization=basic("main", PASSWORD))).status == 101
        assert site.csms.requests[-1].path == "/up/main"
        assert site.csms.header("host") == [f"127.0.0.1:{site.csms.port}"]
    assert (await site.ask("main", "plain-deep")).status == 404


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("main", []),
        ("basic", [basic("gw-basic", "gateway-password")]),
        ("pass-through", [basic("pass-through", PASSWORD)]),
    ],
)
async def test_credentials_towards_the_csms_are_the_configured_ones(site: Site, name: str, sent: list[str]) -> None:
    async with await site.session(name):
        assert site.csms.header("authorization") == sent


async def test_configured_headers_are_filled_in_and_the_certificate_goes_as_rfc_9440_says(site: Site) -> None:
    certificate = site.rig.authority.charge_point("SN-3")
    async with await site.peer("tls", certificate) as peer:
        assert (await peer.ask("/ocpp/P3")).status == 101
    expected = {
        "x-who": ["P3 at 127.0.0.1"],
        "x-profile": ["3"],
        "x-forwarded-for": ["127.0.0.1"],
        "x-forwarded-proto": ["https"],
        "x-forwarded-host": ["localhost"],
        "client-cert": [":" + base64.b64encode(certificate.der).decode() + ":"],
    }
    assert {name: site.csms.header(name) for name in expected} == expected
    async with await site.session("headers"):
        assert site.csms.header("x-forwarded-proto") == ["http"]
        assert site.csms.header("x-forwarded-host") == []
        assert site.csms.header("client-cert") == []
    async with await site.session("P2", "tls", extra=("Client-Cert: :AAAA:", "X-Forwarded-For: 203.0.113.9")):
        assert site.csms.header("client-cert") == []
        assert site.csms.header("x-forwarded-for") == ["127.0.0.1"]
    async with await site.session("main"):
        assert site.csms.header("x-forwarded-for") == []


@pytest.mark.parametrize("name", ["gw_1.example.test", "a\tb:c", "a\r\nx-admin: 1"])
async def test_a_name_in_tls_that_is_no_host_name_is_not_told_and_keeps_nobody_out(site: Site, name: str) -> None:
    tls = site.rig.client_tls(site.rig.authority.charge_point("SN-3"))
    tls.check_hostname = False
    async with await Peer.connect(site.gateway.address("tls"), tls=tls, server_name=name) as peer:
        assert (await peer.ask("/ocpp/P3", host="127.0.0.1")).status == 101
        assert site.csms.header("x-forwarded-host") == ([name] if name == "gw_1.example.test" else [])
        assert site.csms.header("x-admin") == []


# -- TLS


@pytest.mark.parametrize(
    ("name", "works"),
    [
        ("tls", True),
        ("tls-named", True),
        ("tls-danger", True),
        ("mtls", True),
        ("tls-other-root", False),
        ("tls-system-roots", False),
        ("tls-other-name", False),
        ("mtls-without", False),
    ],
)
async def test_csms_is_verified_unless_danger_is_spelled_out(site: Site, name: str, works: bool) -> None:
    if works:
        async with await site.session(name) as peer:
            peer.send_text(HEARTBEAT)
            assert '"h1"' in await peer.text()
        return
    status, event, found = await refused(site, name)
    assert (status, event, found["severity"]) == (502, "upstream.tls", "critical")


# -- several addresses, timeouts


@pytest.mark.parametrize("name", ["first-dead", "first-closes", "first-silent"])
async def test_next_address_takes_over_when_the_first_cannot_be_reached(site: Site, name: str) -> None:
    async with await site.session(name) as peer:
        peer.send_text(HEARTBEAT)
        await site.csms.received(name, HEARTBEAT)


async def test_failed_address_is_left_alone_for_a_while(site: Site, upstreams: Upstreams) -> None:
    before = upstreams.closing.connections
    for _ in range(3):
        async with await site.session("first-closes"):
            pass
        await site.closed("first-closes")
    assert upstreams.closing.connections <= before + 1


async def test_address_that_is_back_is_used_again(site: Site, upstreams: Upstreams) -> None:
    async with await site.session("comes-back"):
        assert "comes-back" in site.csms.connections
    async with upstreams.wake() as revived:
        while "comes-back" not in revived.connections:
            async with await site.session("comes-back"):
                await asyncio.sleep(0.05)
        assert revived.requests[-1].path == "/up/comes-back"


@pytest.mark.parametrize("name", ["all-dead", "only-silent"])
async def test_no_address_that_answers_is_503_and_the_charge_point_may_come_back(site: Site, name: str) -> None:
    status, event, _ = await refused(site, name)
    assert (status, event) == (503, "upstream.unreachable")
    answer = await site.ask(name)
    assert answer.headers["retry-after"].isdigit()


async def test_another_address_takes_over_from_one_that_cannot_serve_and_nobody_from_a_csms_that_refuses(
    site: Site,
) -> None:
    async with await site.session("first-busy") as peer:
        peer.send_text(HEARTBEAT)
        await site.csms.received("first-busy", HEARTBEAT)
    status, event, found = await refused(site, "both-busy")
    assert (status, event, found["detail"]) == (502, "upstream.refused", "HTTP 503")
    status, event, found = await refused(site, "first-refuses")
    assert (status, event, found["detail"]) == (502, "upstream.refused", "HTTP 401")


# -- handshakes that are not


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("wrong-accept", "upstream.handshake_invalid"),
        ("other-version", "upstream.handshake_invalid"),
        ("extension", "upstream.handshake_invalid"),
        ("no-upgrade", "upstream.handshake_invalid"),
        ("no-http", "upstream.handshake_invalid"),
        ("says-200", "upstream.handshake_invalid"),
        ("says-401", "upstream.refused"),
        ("says-503", "upstream.refused"),
    ],
)
async def test_answer_that_is_no_proper_upgrade_is_502_and_the_charge_point_is_not_upgraded(
    site: Site, name: str, event: str
) -> None:
    assert (await refused(site, name))[:2] == (502, event)


# -- no frame is lost


async def test_frame_right_behind_the_csms_s_101_reaches_the_charge_point(site: Site) -> None:
    async with await site.session("early") as peer:
        assert await peer.text() == FIRST_CALL


async def test_frame_right_behind_the_csms_s_101_reaches_the_charge_point_over_tls_too(site: Site) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            head = await reader.readuntil(b"\r\n\r\n")
            key = next(x.split(b": ")[1] for x in head.split(b"\r\n") if x.lower().startswith(b"sec-websocket-key"))
            accepted = ACCEPT.replace(b"{accept}", accept_token(key.decode()).encode())
            writer.write(accepted + HOSTILE["early"][1])
            await reader.read(-1)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context(shared_authority()))
    port = server.sockets[0].getsockname()[1]
    entry = {"name": "early-tls", "urls": [f"wss://localhost:{port}/up"], "ca": str(site.rig.work / "root.pem")}
    site.rig.config["csms"].append(entry)
    assert (await site.gateway.reload())["event"] == "config.reloaded"
    with site.rig.registry() as registry:
        registry.update("early-tls", csms="early-tls")
    received = ""
    while not received:  # until control has seen the change, the site's own CSMS answers
        async with await site.session("early-tls", "tls") as peer:
            peer.send_text(HEARTBEAT)
            first = await peer.text()
            received = first if first != '[3,"h1",{"currentTime":"2026-01-01T00:00:00Z"}]' else ""
    assert received == FIRST_CALL
    server.close()


@pytest.mark.parametrize("listener", ["plain", "tls"])
async def test_frames_right_behind_the_request_reach_the_csms_in_order(site: Site, listener: str) -> None:
    identity = {"plain": "main", "tls": "P2"}[listener]
    texts = [f'[2,"{listener}{number}","Heartbeat",{{}}]' for number in range(3)]
    behind = b"".join(frame(TEXT, text.encode()) for text in texts)
    async with await site.peer(listener) as peer:
        peer.send(upgrade(f"/ocpp/{identity}", authorization=basic(identity, PASSWORD)) + behind)
        assert (await peer.answer()).status == 101
        await site.csms.received(identity, texts[-1])
    assert [text for text in site.csms.texts[identity] if listener in text] == texts


@pytest.mark.parametrize("listener", ["plain", "tls"])
async def test_frames_that_come_before_the_101_reach_the_csms_in_order(site: Site, listener: str) -> None:
    identity = {"plain": "main", "tls": "P2"}[listener]
    texts = [f'[2,"before-{listener}{number}","Heartbeat",{{}}]' for number in range(3)]
    asked = len(site.csms.requests)
    site.csms.holding = asyncio.Event()
    async with await site.peer(listener) as peer:
        peer.send(upgrade(f"/ocpp/{identity}", authorization=basic(identity, PASSWORD)))
        await site.csms.until(lambda: len(site.csms.requests) > asked)
        for text in texts:
            peer.send_text(text)
            assert (await site.ask("nobody", "plain")).status == 401  # by then the gateway has read what came before
        site.csms.holding.set()
        site.csms.holding = None
        assert (await peer.answer()).status == 101
        await site.csms.received(identity, texts[-1])
    assert [text for text in site.csms.texts[identity] if f"before-{listener}" in text] == texts


async def test_bytes_behind_a_refused_request_are_smuggling_and_reach_nobody(site: Site) -> None:
    since = site.gateway.mark()
    async with await site.peer() as peer:
        port = local_port(peer)
        peer.send(upgrade("/elsewhere/main") + upgrade("/ocpp/main", authorization=basic("main", PASSWORD)))
        assert (await peer.answer()).status == 404
        assert await peer.ended()
    await site.gateway.event("http.smuggling", since, of(port))


# -- ending together


async def test_csms_s_close_reaches_the_charge_point_with_code_and_reason(site: Site) -> None:
    async with await site.session("main") as peer:
        connection = await site.csms.connected("main")
        closing = asyncio.get_running_loop().create_task(connection.close(4000, "because"))
        received = await peer.frame()
        assert (received.opcode, received.payload) == (CLOSE, (4000).to_bytes(2, "big") + b"because")
        peer.send(frame(CLOSE, received.payload))
        assert await peer.ended()
        await closing


async def test_charge_point_s_close_reaches_the_csms_with_its_code_and_is_echoed(site: Site) -> None:
    for payload, code in (((3001).to_bytes(2, "big") + b"done", 3001), (b"", 1005)):
        async with await site.session("main") as peer:
            connection = await site.csms.connected("main")
            peer.send(frame(CLOSE, payload))
            assert (await peer.frame()).payload == payload[:2]
            assert await peer.ended()
        assert await site.csms.close_code(connection) == code


@pytest.mark.parametrize(
    ("name", "payload"), [("closes", (4001).to_bytes(2, "big") + b"bye"), ("closes-without-code", b"")]
)
async def test_close_right_behind_the_101_is_not_lost_either(site: Site, name: str, payload: bytes) -> None:
    async with await site.session(name) as peer:
        received = await peer.frame()
        assert (received.opcode, received.payload) == (CLOSE, payload)
        peer.send(frame(CLOSE, payload))
        assert await peer.ended()


async def test_charge_point_that_vanishes_is_a_going_away_for_the_csms(site: Site) -> None:
    peer = await site.session("main")
    connection = await site.csms.connected("main")
    peer.abort()
    assert await site.csms.close_code(connection) == 1001


async def test_csms_that_vanishes_is_a_restart_for_the_charge_point_so_that_it_queues(site: Site) -> None:
    async with await site.session("main") as peer:
        (await site.csms.connected("main")).transport.abort()
        assert await peer.close_code() == 1012


async def test_csms_that_breaks_the_websocket_protocol_is_named_and_both_legs_close(site: Site) -> None:
    since = site.gateway.mark()
    async with await site.session("masks") as peer:
        assert await peer.close_code() == 1011
        event = await site.gateway.event("upstream.protocol", since)
    assert event["charge_point_id"] == "masks"


async def test_charge_point_that_breaks_the_websocket_protocol_hears_why_and_the_csms_only_that_it_left(
    site: Site,
) -> None:
    async with await site.session("main") as peer:
        connection = await site.csms.connected("main")
        peer.send(frame(TEXT, HEARTBEAT.encode(), mask=None))
        assert await peer.close_code() == 1002
    assert await site.csms.close_code(connection) == 1001
    assert HEARTBEAT not in site.csms.texts["main"]


# -- pings


async def test_ping_is_answered_by_the_gateway_and_not_passed_on(site: Site, upstreams: Upstreams) -> None:
    recorder = upstreams.hostile["recorder"]
    async with await site.session("recorder") as peer:
        peer.send(frame(PING, b"charge point"))
        assert (await peer.frame()).payload == b"charge point"
        peer.send_text(HEARTBEAT)
        await until(lambda: (TEXT, HEARTBEAT.encode()) in unmasked(recorder.received))
        assert not any(payload == b"charge point" for _, payload in unmasked(recorder.received))
    async with await site.session("pinger"):
        pinger = upstreams.hostile["pinger"]
        await until(lambda: (PONG, b"abc") in unmasked(pinger.received))


async def test_both_legs_are_pinged_and_only_who_once_answered_must_go_on_answering(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with HostileCSMS(ACCEPT) as upstream:

        def prepare(rig: Rig) -> None:
            rig.config["csms"][0]["urls"] = [upstream.url]
            rig.config["websocket"] = {"ping_timeout_s": 1.0, "close_timeout_s": 0.5}
            for identity in ("ANSWERS", "NEVER", "TOLERATED"):
                tolerances = ("no-pong",) if identity == "TOLERATED" else ()
                rig.add(identity, security_profile=1, password=PASSWORD, tolerances=tolerances)

        async with running(tmp_path_factory.mktemp("pings"), prepare) as site:
            since = site.gateway.mark()
            never, tolerated = await site.session("NEVER"), await site.session("TOLERATED")
            answers = await site.session("ANSWERS")
            site.rig.config["websocket"]["ping_interval_s"] = 1.0
            assert (await site.gateway.reload())["event"] == "config.reloaded"  # also for live sessions
            for peer in (answers, tolerated):
                assert (await peer.frame()).opcode == PING
                peer.send(frame(PONG, b""))
            assert await answers.close_code() is None  # pinged again, not answered: dropped
            event = await site.gateway.event("net.keepalive", since)
            assert event["charge_point_id"] == "ANSWERS"
            await until(lambda: (CLOSE, (1001).to_bytes(2, "big")) in unmasked(upstream.received))
            assert (PING, b"") in unmasked(upstream.received)
            for peer in (never, tolerated):
                peer.send(frame(PING, b"still here"))
                while (received := await peer.frame()).opcode != PONG:
                    assert received.opcode == PING
                peer.abort()
            answers.abort()
