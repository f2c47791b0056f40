"""Every failed handshake sends its alert and becomes exactly one event; no resumed session outlives a revocation."""

import asyncio
import contextlib
import datetime
import hashlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.support.fleet import until
from tests.support.peer import TEXT, Peer, basic, frame, upgrade
from tests.support.rig import Rig, shared_authority, shared_server
from tests.support.site import BOOT, PASSWORD, Site, local_port, of, running
from tests.support.tls_material import DAY, Authority, Issued
from tests.support.tls_wire import TLSWire, alert_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning"),
]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
STRANGER = Authority("Somebody Else")
ENDED = datetime.timedelta(hours=1)
RESUMED = "TLSv1_2", "TLSv1_3"


class Attempt(NamedTuple):
    """A client that must fail: what it has, and what must come of it."""

    event: str
    reason: str
    alert: str
    certificate: Issued | None = None
    settings: Mapping[str, Any] = MappingProxyType({})


def of_authority(**options: Any) -> Issued:
    return shared_authority().charge_point("SN-3", **options)


ATTEMPTS = {
    "TLS 1.1": Attempt(
        "tls.downgrade",
        "tls-version",
        "protocol_version",
        settings={"minimum": ssl.TLSVersion.TLSv1, "maximum": ssl.TLSVersion.TLSv1_1, "ciphers": "ALL:@SECLEVEL=0"},
    ),
    "unfit suites": Attempt(
        "tls.downgrade",
        "tls-cipher",
        "handshake_failure",
        settings={"maximum": ssl.TLSVersion.TLSv1_2, "ciphers": "AES128-SHA:NULL-SHA256:@SECLEVEL=0"},
    ),
    "no certificate": Attempt("cert.missing", "certificate-missing", ""),
    "other root": Attempt("cert.untrusted", "certificate-untrusted", "unknown_ca", STRANGER.charge_point("SN-3")),
    "expired": Attempt(
        "cert.expired", "certificate-expired", "certificate_expired", of_authority(start=-9 * DAY, end=-ENDED)
    ),
    "not yet valid": Attempt(
        "cert.not_yet_valid", "certificate-not-yet-valid", "bad_certificate", of_authority(start=DAY)
    ),
    "server certificate": Attempt("cert.invalid", "certificate-invalid", "", shared_server("ec")),
}


def prepare(rig: Rig) -> None:
    rig.config["listener"].append(rig.listener("stdlib", [3], tls=rig.tls_table("required", engine="stdlib")))
    rig.add("CP-2", security_profile=2, password=PASSWORD)
    rig.add("CP-3", security_profile=3, serial_number="SN-3")
    for version in RESUMED:
        rig.add(f"CP-{version}", security_profile=3, serial_number=f"SN-{version}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("tls-events"), prepare) as made:
        yield made


async def fence(site: Site, since: int = 0) -> int:
    """Make an event of another kind and wait for it: whatever came before is in the log by then."""
    async with await Peer.connect(site.gateway.plain) as peer:
        peer.send(b"\x16\x03\x01")
        await site.gateway.event("tls.on_plain_listener", since, of(local_port(peer)))
    return site.gateway.mark()


async def only_event(site: Site, port: int, since: int) -> dict[str, Any]:
    """The one event about this port."""
    await fence(site, since)
    found = [event for event in site.gateway.events(since) if of(port)(event)]
    assert len(found) == 1, found
    return found[0]


async def attempt(site: Site, listener: str, certificate: Issued | None, **settings: Any) -> TLSWire:
    """A handshake and a request; `alert` tells how it ended, empty if the request was answered."""
    context = site.rig.client_tls(certificate, **settings)
    async with await TLSWire.connect(site.gateway.address(listener), context) as wire:
        if await wire.handshake():
            wire.send(upgrade("/ocpp/CP-3"))
            await wire.receive_until(b"\r\n\r\n")
        return wire


# -- failed handshakes


@pytest.mark.parametrize("listener", ["mtls", "stdlib"])
@pytest.mark.parametrize("name", ATTEMPTS)
@pytest.mark.requirement(
    "A00.FR.313", "A00.FR.314", "A00.FR.322", "A00.FR.401", "A00.FR.402", "A00.FR.403", "A00.FR.407", "A00.FR.408",
    "A00.FR.417", "A00.FR.418", "A00.FR.425",
)  # fmt: skip
async def test_failed_handshake_sends_its_alert_and_is_one_event(site: Site, name: str, listener: str) -> None:
    event, reason, alert, certificate, settings = ATTEMPTS[name]
    since = site.gateway.mark()
    wire = await attempt(site, listener, certificate, **settings)
    assert "alert" in wire.alert
    assert alert in wire.alert
    found = await only_event(site, wire.port, since)
    assert (found["event"], found["reason"], found["decision"]) == (event, reason, "tls_alert")
    assert (found["peer"], found["listener"], found["stage"]) == ("127.0.0.1", listener, "tls")
    assert found["tls_offered"], "what the peer offered is missing"
    assert found["detail"]
    good = await attempt(site, listener, of_authority())
    assert good.alert == ""


@pytest.mark.parametrize("version", VERSIONS)
async def test_offered_versions_and_server_name_are_in_the_event(site: Site, version: ssl.TLSVersion) -> None:
    since = site.gateway.mark()
    wire = await attempt(site, "mtls", None, minimum=version, maximum=version)
    found = await only_event(site, wire.port, since)
    assert (found["tls_offered"], found["server_name"]) == ([version.name.replace("_", ".")], "localhost")


async def test_client_that_does_not_trust_us_is_named_with_its_alert(site: Site) -> None:
    since = site.gateway.mark()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=STRANGER.pem.decode())
    async with await TLSWire.connect(site.gateway.tls, context) as wire:
        assert not await wire.handshake()
        await wire.to_the_end()
    found = await only_event(site, wire.port, since)
    assert (found["event"], found["reason"]) == ("tls.peer_alert", "tls-peer-alert")
    assert "unknown ca" in found["detail"]


@pytest.mark.parametrize(
    ("sent", "event", "alert"),
    [
        (b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", "tls.downgrade", 70),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07", "tls.malformed", None),
        (b"\x16\x03\x01\x00\x05\x05\x00\x00\x01\x00", "tls.malformed", 10),
        (b"GET / HTTP/1.1\r\n\r\n", "tls.plaintext", None),
    ],
    ids=["SSLv2 hello", "noise", "not a ClientHello", "plain HTTP"],
)
async def test_what_is_no_handshake_at_all_is_one_event_too(
    site: Site, sent: bytes, event: str, alert: int | None
) -> None:
    since = site.gateway.mark()
    async with await Peer.connect(site.gateway.tls) as peer:
        port = local_port(peer)
        peer.send(sent)
        received = b""
        with contextlib.suppress(OSError):
            received = await peer.reader.read()
    assert alert_of(received) == alert
    found = await only_event(site, port, since)
    assert (found["event"], found["decision"]) == (event, "tls_alert" if alert else "disconnect")


async def test_peer_that_resets_in_the_middle_of_the_handshake_is_one_event(site: Site) -> None:
    since = site.gateway.mark()
    async with await TLSWire.connect(site.gateway.tls, site.rig.client_tls()) as wire:
        with contextlib.suppress(ssl.SSLWantReadError):
            wire.tls.do_handshake()
        wire.flush()
        await wire._more()
        sock = wire.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    found = await only_event(site, wire.port, since)
    assert (found["event"], found["reason"], found["detail"]) == ("net.reset", "peer-went-away", "in step tls")
    assert found["tls_offered"]


async def test_peer_that_connects_and_leaves_without_a_byte_is_no_event(site: Site) -> None:
    since = site.gateway.mark()
    async with await Peer.connect(site.gateway.tls) as peer:
        port = local_port(peer)
        peer.writer.write_eof()
        assert await peer.ended()
    await fence(site, since)
    assert not [event for event in site.gateway.events(since) if of(port)(event)]


# -- established connections


async def test_close_notify_instead_of_a_request_is_answered_and_recorded(site: Site) -> None:
    since = site.gateway.mark()
    async with await TLSWire.connect(site.gateway.tls, site.rig.client_tls()) as wire:
        assert await wire.handshake()
        with contextlib.suppress(ssl.SSLWantReadError):
            wire.tls.unwrap()
        wire.flush()
        assert await wire.to_the_end() == b""
        assert wire.alert == ""
    found = await only_event(site, wire.port, since)
    assert (found["reason"], found["detail"]) == ("peer-went-away", "in step head")


async def live(site: Site, **settings: Any) -> TLSWire:
    """An admitted session of CP-2."""
    wire = await TLSWire.connect(site.gateway.tls, site.rig.client_tls(**settings))
    assert await wire.handshake()
    wire.send(upgrade("/ocpp/CP-2", authorization=basic("CP-2", PASSWORD)))
    assert b" 101 " in await wire.receive_until(b"\r\n\r\n")
    return wire


@pytest.mark.parametrize("version", VERSIONS)
async def test_damaged_record_in_a_live_session_gets_its_alert_and_the_csms_a_close(
    site: Site, version: ssl.TLSVersion
) -> None:
    since = site.gateway.mark()
    async with await live(site, minimum=version, maximum=version) as wire:
        connection = await site.csms.connected("CP-2")
        record = bytearray(wire.seal(frame(TEXT, BOOT.encode())))
        record[-1] ^= 1
        wire.writer.write(record)
        await wire.to_the_end()
        assert "bad_record_mac" in wire.alert
    event = await site.gateway.event("tls.malformed", since, of(wire.port))
    assert (event["decision"], event["charge_point_id"], event["verified"]) == ("tls_alert", "CP-2", True)
    assert await site.csms.close_code(connection) == 1001


async def test_text_and_close_notify_in_one_segment_are_both_acted_on(site: Site) -> None:
    ended = len(site.csms.closes["CP-2"])
    async with await live(site) as wire:
        text = '[2,"last","Heartbeat",{}]'
        data = wire.seal(frame(TEXT, text.encode()))
        with contextlib.suppress(ssl.SSLWantReadError):
            wire.tls.unwrap()
        wire.writer.write(data + wire.outgoing.read())  # and no FIN
        await wire.to_the_end()
        assert wire.alert == ""
    await site.csms.received("CP-2", text)
    await site.closed("CP-2", ended)


# -- resumption


async def resumed_attempt(
    site: Site, identity: str, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> TLSWire:
    wire = await TLSWire.connect(site.gateway.mtls, context, session=session)
    assert await wire.handshake()
    wire.send(upgrade(f"/ocpp/{identity}"))
    wire.raw = await wire.receive_until(b"\r\n\r\n")
    return wire


def has_settings_after(site: Site, generation: int) -> bool:
    status = site.gateway.live_status()
    return bool(status) and status["ready"] and status["generation"] > generation


@pytest.mark.parametrize("version", RESUMED)
@pytest.mark.requirement("A00.FR.702", "A00.FR.705", "A00.FR.407")
async def test_resumed_session_gets_in_until_its_certificate_is_revoked_and_then_never_again(
    site: Site, version: str
) -> None:
    identity, serial = f"CP-{version}", f"SN-{version}"
    certificate = site.rig.authority.charge_point(serial)
    limit = ssl.TLSVersion[version]
    context = site.rig.client_tls(certificate, minimum=limit, maximum=limit)
    async with await resumed_attempt(site, identity, context, None) as first:
        assert b" 101 " in first.raw
        session = first.tls.session
    await site.closed(identity)
    async with await resumed_attempt(site, identity, context, session) as again:
        assert b" 101 " in again.raw
        assert again.tls.session_reused
        session = again.tls.session
        since, generation = site.gateway.mark(), site.gateway.live_status()["generation"]
        with site.rig.registry() as registry:
            registry.revoke_certificate(
                sha256=hashlib.sha256(certificate.der).hexdigest(),
                reason="lost",
                now=time.time(),
            )
        assert b"\x88" in await again.receive_until(b"\x88")  # a close frame: the live session ends as well
    await site.gateway.event("session.revoked", since)
    await until(partial(has_settings_after, site, generation), "the edge has TLS contexts that know no old session")
    async with await resumed_attempt(site, identity, context, session) as late:
        assert not late.tls.session_reused
        assert b" 403 " in late.raw
    event = await site.gateway.event("cert.revoked", since, of(late.port))
    assert (event["reason"], event["charge_point_id"]) == ("certificate-revoked", identity)


async def test_session_of_one_listener_is_not_resumed_on_another(site: Site) -> None:
    context = site.rig.client_tls(of_authority())
    async with await TLSWire.connect(site.gateway.tls, context) as wire:
        assert await wire.handshake()
        wire.send(upgrade("/ocpp/nobody"))
        await wire.receive_until(b"\r\n\r\n")
        session = wire.tls.session
    for listener, reused in (("tls", True), ("mtls", False)):
        async with await TLSWire.connect(site.gateway.address(listener), context, session=session) as wire:
            assert await wire.handshake()
            assert wire.tls.session_reused is reused


async def test_handshakes_at_once_keep_their_reasons_apart(site: Site) -> None:
    since = await fence(site)
    names = [name for name in ATTEMPTS for _ in range(3)]
    wires = await asyncio.gather(
        *(attempt(site, "mtls", ATTEMPTS[name].certificate, **ATTEMPTS[name].settings) for name in names)
    )
    await fence(site, since)
    assert [ATTEMPTS[name].alert in wire.alert for name, wire in zip(names, wires, strict=True)] == [True] * len(names)
    counted: dict[str, int] = {}
    for event in site.gateway.events(since)[:-1]:
        counted[event["reason"]] = counted.get(event["reason"], 0) + event.get("count", 1)
    assert counted == {each.reason: 3 for each in ATTEMPTS.values()}
