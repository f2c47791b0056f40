"""OCA certification cases that bind the CSMS side (requirements, section 6), told in our own words and played over sockets.

The gateway is the CSMS that a charge point sees. Cases about messages it only passes on are not here.
"""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from gateway.config.load import ConfigError, load_config
from tests.support.peer import Answer, Peer, basic, upgrade
from tests.support.rig import Rig, shared_authority
from tests.support.site import Site, running
from tests.support.tls_material import DAY, Authority, Issued
from tests.support.tls_wire import TLSWire

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning"),
]
PLAIN_PASSWORD = "sixteen-chars-16"  # 16 to 20 characters are the password itself
HEX_PASSWORD = "00FF10a0b1c2d3e4f5A6B7C8D9EAFB0C1D2E3F40"  # 32 to 40 digits are its bytes in hex
SERIAL_NUMBER = "SN-0815"
SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": ec.EllipticCurvePublicKey,
    "ECDHE-ECDSA-AES256-GCM-SHA384": ec.EllipticCurvePublicKey,
    "AES128-GCM-SHA256": rsa.RSAPublicKey,
    "AES256-GCM-SHA384": rsa.RSAPublicKey,
}
BOOT = {
    "ocpp1.6": '[2,"b1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]',
    # model and vendorName only: TC_A_07 lists no serialNumber
    "ocpp2.0.1": '[2,"b1","BootNotification",{"reason":"PowerUp","chargingStation":{"model":"M","vendorName":"V"}}]',
}


def prepare(rig: Rig) -> None:
    for identity, profile, password in (
        ("CP-P1", 1, PLAIN_PASSWORD),
        ("CP-P1-HEX", 1, HEX_PASSWORD),
        ("CP-P2", 2, PLAIN_PASSWORD),
        ("CP-P2-HEX", 2, HEX_PASSWORD),
    ):
        rig.add(identity, security_profile=profile, password=password)
    rig.add("CP-P3", security_profile=3, serial_number=SERIAL_NUMBER)
    intermediate = Authority("Intermediate")
    intermediate.root = shared_authority()._build(intermediate.name, intermediate.key, ca=True)
    server = intermediate.server()
    key = str(rig.write_private("chained.key", server.key_pem))
    for name, chain in (("chained", server.pem + intermediate.pem), ("leaf-only", server.pem)):
        (rig.work / f"{name}.pem").write_bytes(chain)
        certificates = [{"certificate": str(rig.work / f"{name}.pem"), "key": key}]
        rig.config["listener"].append(rig.listener(name, [2], tls={"certificates": certificates}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("certification"), prepare) as made:
        yield made


async def connect(
    site: Site,
    identity: str,
    *,
    authorization: str | None = None,
    certificate: Issued | None = None,
    subprotocols: str = "ocpp1.6",
) -> tuple[Peer, Answer]:
    listener = "plain" if "P1" in identity else "tls"
    peer = await site.peer(listener, certificate)
    return peer, await peer.ask(f"/ocpp/{identity}", authorization=authorization, subprotocols=subprotocols)


async def boots(site: Site, identity: str, **options: Any) -> bool:
    """Whether the charge point is upgraded and its BootNotification accepted."""
    peer, answer = await connect(site, identity, **options)
    async with peer:
        if answer.status != 101:
            return False
        token = options.get("subprotocols", "ocpp1.6")
        assert answer.headers["sec-websocket-protocol"] == token
        peer.send_text(BOOT[token])
        return '"Accepted"' in await peer.text()


def charge_point_certificate(serial_number: str = SERIAL_NUMBER, **options: Any) -> Issued:
    return shared_authority().charge_point(serial_number, **options)


async def presented(site: Site, certificate: Issued | None, **settings: Any) -> tuple[str, x509.Certificate]:
    """Suite and server certificate of one handshake."""
    context = site.rig.client_tls(certificate, **settings)
    async with await TLSWire.connect(site.gateway.tls, context) as wire:
        assert await wire.handshake()
        cipher = wire.tls.cipher()
        assert cipher is not None
        return cipher[0], x509.load_der_x509_certificate(wire.tls.getpeercert(binary_form=True) or b"")


async def check_server_side(site: Site, certificate: Issued | None) -> None:
    """TLS 1.2 at least, all four suites, strong keys, a serial number, and the host name as CN."""
    for suite, kind in SUITES.items():
        name, shown = await presented(site, certificate, maximum=ssl.TLSVersion.TLSv1_2, ciphers=suite)
        assert name == suite
        key = shown.public_key()
        assert isinstance(key, kind)
        assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        assert key.key_size >= (2048 if kind is rsa.RSAPublicKey else 224)
        assert shown.serial_number > 0
        common_name = shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        assert common_name == "localhost"
        assert "*" not in str(common_name)


# -- OCPP 1.6


@pytest.mark.parametrize("identity", ["CP-P1", "CP-P2"])
@pytest.mark.requirement("TC_085_CSMS", "A00.FR.202", "A00.FR.203", "A00.FR.301", "A00.FR.302", "A00.FR.304")
async def test_tc_085_without_credentials_nobody_is_upgraded_and_with_them_boot_is_accepted(
    site: Site, identity: str
) -> None:
    peer, answer = await connect(site, identity)
    async with peer:
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
    assert await boots(site, identity, authorization=basic(identity, PLAIN_PASSWORD))
    as_bytes = bytes.fromhex(HEX_PASSWORD)
    for sent in (as_bytes, HEX_PASSWORD, HEX_PASSWORD.lower()):
        assert await boots(site, f"{identity}-HEX", authorization=basic(f"{identity}-HEX", sent))
    for wrong in (as_bytes[:-1], as_bytes + b"\0", HEX_PASSWORD[:-2]):
        assert not await boots(site, f"{identity}-HEX", authorization=basic(f"{identity}-HEX", wrong))


@pytest.mark.requirement(
    "TC_086_CSMS", "A00.FR.306", "A00.FR.307", "A00.FR.309", "A00.FR.313", "A00.FR.317", "A00.FR.318"
)
async def test_tc_086_server_certificate_and_suites_are_as_profile_2_demands(site: Site) -> None:
    await check_server_side(site, None)
    assert await boots(site, "CP-P2", authorization=basic("CP-P2", PLAIN_PASSWORD))


@pytest.mark.requirement(
    "TC_087_CSMS", "A00.FR.401", "A00.FR.402", "A00.FR.405", "A00.FR.409", "A00.FR.410", "A00.FR.412", "A00.FR.420", "A00.FR.421"
)  # fmt: skip
async def test_tc_087_client_certificate_is_the_proof_on_profile_3(site: Site) -> None:
    await check_server_side(site, charge_point_certificate())
    for kind in ("ec", "rsa"):
        certificate = charge_point_certificate(kind=kind)
        assert await boots(site, "CP-P3", certificate=certificate)
    assert not await boots(site, "CP-P3", authorization=basic("CP-P3", PLAIN_PASSWORD))


@pytest.mark.requirement("TC_088_CSMS")
async def test_tc_088_unknown_subprotocol_is_not_upgraded_and_the_known_one_is_chosen(site: Site) -> None:
    credentials = basic("CP-P1", PLAIN_PASSWORD)
    peer, answer = await connect(site, "CP-P1", authorization=credentials, subprotocols="ocpp0.1")
    async with peer:
        assert (answer.status, answer.headers.get("upgrade")) == (400, None)
    dialled = len(site.csms.requests)
    peer, answer = await connect(site, "CP-P1", authorization=credentials, subprotocols="ocpp0.1,ocpp1.6")
    async with peer:
        assert (answer.status, answer.headers["sec-websocket-protocol"]) == (101, "ocpp1.6")
    assert len(site.csms.requests) == dialled + 1
    assert site.csms.header("sec-websocket-protocol") == ["ocpp1.6"]


# -- OCPP 2.0.1


@pytest.mark.parametrize("identity", ["CP-P1", "CP-P2"])
@pytest.mark.requirement("TC_A_01_CSMS", "A00.FR.207", "A00.FR.324")
async def test_tc_a_01_valid_credentials_are_accepted(site: Site, identity: str) -> None:
    assert await boots(site, identity, authorization=basic(identity, PLAIN_PASSWORD), subprotocols="ocpp2.0.1")


@pytest.mark.parametrize("identity", ["CP-P1", "CP-P2"])
@pytest.mark.requirement("TC_A_02_CSMS", "A00.FR.204", "A00.FR.207", "A00.FR.303", "A00.FR.324")
async def test_tc_a_02_user_name_other_than_the_identity_is_not_upgraded(site: Site, identity: str) -> None:
    for user in (f"{identity}x", "CP-P1-HEX", ""):
        peer, answer = await connect(
            site, identity, authorization=basic(user, PLAIN_PASSWORD), subprotocols="ocpp2.0.1"
        )
        async with peer:
            assert answer.status == 401
    assert await boots(site, identity, authorization=basic(identity, PLAIN_PASSWORD), subprotocols="ocpp2.0.1")


@pytest.mark.parametrize("identity", ["CP-P1", "CP-P2"])
@pytest.mark.requirement("TC_A_03_CSMS", "A00.FR.207", "A00.FR.324")
async def test_tc_a_03_wrong_password_is_not_upgraded(site: Site, identity: str) -> None:
    for password in (PLAIN_PASSWORD[:-1], PLAIN_PASSWORD + "x", PLAIN_PASSWORD.upper(), HEX_PASSWORD):
        peer, answer = await connect(site, identity, authorization=basic(identity, password), subprotocols="ocpp2.0.1")
        async with peer:
            assert answer.status == 401
    assert await boots(site, identity, authorization=basic(identity, PLAIN_PASSWORD), subprotocols="ocpp2.0.1")


@pytest.mark.requirement("TC_A_04_CSMS", "A00.FR.307", "A00.FR.309", "A00.FR.313", "A00.FR.318")
async def test_tc_a_04_server_certificate_is_valid(site: Site) -> None:
    await check_server_side(site, None)
    assert await boots(site, "CP-P2", authorization=basic("CP-P2", PLAIN_PASSWORD), subprotocols="ocpp2.0.1")


@pytest.mark.requirement("TC_A_04_CSMS", "A00.FR.308", "A00.FR.411")
async def test_tc_a_04_chain_verifies_with_nothing_but_the_root_and_a_foreign_root_does_not_do(site: Site) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks chain and host name
    context.load_verify_locations(cadata=shared_authority().pem.decode())
    for listener, works in (("tls", True), ("chained", True), ("leaf-only", False)):
        async with await TLSWire.connect(site.gateway.address(listener), context) as wire:
            assert await wire.handshake() is works, listener
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.load_verify_locations(cadata=Authority("Somebody Else").pem.decode())
    async with await TLSWire.connect(site.gateway.tls, stranger) as wire:
        assert not await wire.handshake()


@pytest.mark.requirement("TC_A_06_CSMS", "A00.FR.313", "A00.FR.314", "A00.FR.315", "A00.FR.417", "A00.FR.418")
async def test_tc_a_06_too_low_a_tls_version_is_terminated_and_1_2_is_accepted(site: Site) -> None:
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        low = site.rig.client_tls(minimum=ssl.TLSVersion.TLSv1, maximum=version, ciphers="ALL:@SECLEVEL=0")
        async with await TLSWire.connect(site.gateway.tls, low) as wire:
            assert not await wire.handshake()
            assert "protocol_version" in wire.alert
    enough = site.rig.client_tls(maximum=ssl.TLSVersion.TLSv1_2)
    async with await TLSWire.connect(site.gateway.tls, enough) as wire:
        assert await wire.handshake()
        wire.send(upgrade("/ocpp/CP-P2", authorization=basic("CP-P2", PLAIN_PASSWORD), subprotocols="ocpp2.0.1"))
        assert b" 101 " in await wire.receive_until(b"\r\n\r\n")


@pytest.mark.requirement("TC_A_07_CSMS", "A00.FR.401", "A00.FR.403", "A00.FR.404", "A00.FR.405")
async def test_tc_a_07_valid_client_certificate_is_accepted(site: Site) -> None:
    assert await boots(site, "CP-P3", certificate=charge_point_certificate(), subprotocols="ocpp2.0.1")


INVALID = {
    "unknown root": Authority("Somebody Else").charge_point(SERIAL_NUMBER),
    "expired": charge_point_certificate(start=-9 * DAY, end=-DAY),
    "not yet valid": charge_point_certificate(start=DAY),
    "another serial number": charge_point_certificate(SERIAL_NUMBER + "6"),
    "another operator": shared_authority().charge_point(SERIAL_NUMBER, "Another CPO"),
}


@pytest.mark.parametrize("name", INVALID)
@pytest.mark.requirement("TC_A_08_CSMS", "A00.FR.403", "A00.FR.404", "A00.FR.405", "A00.FR.407", "A00.FR.429")
async def test_tc_a_08_invalid_client_certificate_is_terminated_and_then_a_valid_one_works(
    site: Site, name: str
) -> None:
    async with await TLSWire.connect(site.gateway.tls, site.rig.client_tls(INVALID[name])) as wire:
        answer = b""
        if await wire.handshake():
            wire.send(upgrade("/ocpp/CP-P3", subprotocols="ocpp2.0.1"))
            answer = await wire.to_the_end()
        assert "alert" in wire.alert or answer.startswith(b"HTTP/1.1 403 ")
    assert await boots(site, "CP-P3", certificate=charge_point_certificate(), subprotocols="ocpp2.0.1")


@pytest.mark.requirement("TC_B_58_CSMS")
async def test_tc_b_58_unknown_subprotocol_is_not_upgraded_and_the_known_one_is_chosen(site: Site) -> None:
    credentials = basic("CP-P2", PLAIN_PASSWORD)
    peer, answer = await connect(site, "CP-P2", authorization=credentials, subprotocols="ocpp0.1")
    async with peer:
        assert (answer.status, answer.headers.get("upgrade")) == (400, None)
    for offered in ("ocpp0.1,ocpp2.0.1", "ocpp0.1, ocpp2.0.1", "ocpp2.0.1"):
        peer, answer = await connect(site, "CP-P2", authorization=credentials, subprotocols=offered)
        async with peer:
            assert (answer.status, answer.headers["sec-websocket-protocol"]) == (101, "ocpp2.0.1")


# -- what a server certificate must be before it is ever presented


@pytest.mark.requirement("TC_086_CSMS", "TC_A_04_CSMS", "A00.FR.309", "A00.FR.412", "A00.FR.502")
async def test_weak_server_key_is_refused_at_start(tmp_path: Path) -> None:
    rig = Rig(tmp_path, csms_urls=["ws://127.0.0.1:9/up"])
    load_config(rig.write_config())
    weak = rsa.generate_private_key(65537, 1024)
    issued = Issued(shared_authority()._build(shared_authority().name, weak, server=("localhost",)), weak)
    (tmp_path / "weak.pem").write_bytes(issued.pem)
    rig.write_private("weak.key", issued.key_pem)
    rig.named("tls")["tls"]["certificates"] = [
        {"certificate": str(tmp_path / "weak.pem"), "key": str(tmp_path / "weak.key")}
    ]
    with pytest.raises(ConfigError, match="too weak"):
        load_config(rig.write_config())
