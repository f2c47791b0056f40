"""Who is who over real sockets: URL, user name, certificate and BootNotification must name the same charge point."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.support.peer import basic
from tests.support.rig import OPERATOR, Rig, shared_authority
from tests.support.site import BOOT, PASSWORD, Site, local_port, of, running
from tests.support.tls_material import Issued, new_key

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
SHARED_KEY = new_key()


def prepare(rig: Rig) -> None:
    rig.config["listener"].append(
        rig.listener("plain-404", [1], allowed_networks=["127.0.0.0/8"], unknown_identity_status=404)
    )
    for identity in ("CP-1", "CP-10", "RDAM|123", "Box 7", "CP:1"):
        rig.add(identity, security_profile=1, password=PASSWORD)
    rig.add("TWO-X", security_profile=1, password=PASSWORD, versions=["ocpp2.0.1"])
    rig.add("OFF", security_profile=1, password=PASSWORD, enabled=False)
    for identity in ("A", "B", "KEY-1", "KEY-2", "BOOT", "BOOT-16", "OTHER"):
        rig.add(identity, security_profile=3, serial_number=f"SN-{identity}")
    rig.add("NO-SERIAL", security_profile=3)
    rig.add("GUEST", security_profile=3, serial_number="SN-GUEST", operator_names=("Guest CPO",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("identity"), prepare) as made:
        yield made


def certificate(common_name: str, organization: str = OPERATOR, **options: Any) -> Issued:
    return shared_authority().charge_point(common_name, organization, **options)


# -- Basic


@pytest.mark.requirement("A00.FR.204", "A00.FR.303", "TC_A_02_CSMS")
@pytest.mark.parametrize("user", ["CP-10", "CP-", "cp-1", "CP-1 ", "", "CP-1:CP-1"])
async def test_user_name_other_than_the_identity_in_the_url_is_refused(site: Site, user: str) -> None:
    status, event = await site.refused(await site.peer(), "/ocpp/CP-1", authorization=basic(user, PASSWORD))
    assert (status, event["event"]) in {(401, "identity.mismatch"), (401, "auth.failed")}
    assert event["charge_point_id"] == "CP-1"
    assert "verified" not in event
    assert (await site.ask("CP-1")).status == 101


@pytest.mark.requirement("A00.FR.203", "A00.FR.302")
async def test_credentials_are_asked_for_on_every_connection_and_nothing_stands_in_for_them(site: Site) -> None:
    async with await site.session("CP-1") as peer:
        cookie = ("Cookie: session=1", "X-Forwarded-For: 127.0.0.1")
        status, event = await site.refused(await site.peer(), "/ocpp/CP-1", extra=cookie)
        assert (status, event["reason"]) == (401, "auth-missing")
        peer.send_text(BOOT)
        assert "Accepted" in await peer.text()


@pytest.mark.requirement("A00.FR.202")
async def test_refusal_names_the_scheme_and_nothing_about_the_identity(site: Site) -> None:
    known = await site.ask("CP-1", password=None)
    wrong = await site.ask("CP-1", password="wrong-password-1")
    unknown = await site.ask("CP-2", password="wrong-password-1")
    assert known.headers["www-authenticate"] == 'Basic realm="OCPP", charset="UTF-8"'
    assert (known.status, known.headers) == (wrong.status, wrong.headers) == (unknown.status, unknown.headers)


@pytest.mark.requirement("A00.FR.004")
async def test_unknown_identity_gets_404_only_where_the_listener_says_so(site: Site) -> None:
    status, event = await site.refused(
        await site.peer("plain-404"), "/ocpp/nobody", authorization=basic("nobody", PASSWORD)
    )
    assert (status, event["event"]) == (404, "identity.unknown")
    assert (await site.ask("nobody")).status == 401
    assert (await site.ask("CP-1", "plain-404")).status == 101


async def test_switched_off_charge_point_hears_so_only_with_its_password(site: Site) -> None:
    assert (await site.ask("OFF", password="wrong-password-1")).status == 401
    status, event = await site.refused(await site.peer(), "/ocpp/OFF", authorization=basic("OFF", PASSWORD))
    assert (status, event["event"], event["verified"]) == (403, "identity.disabled", True)


@pytest.mark.parametrize(
    ("segment", "identity", "upstream"),
    [
        ("RDAM%7C123", "RDAM|123", "RDAM%7C123"),
        ("RDAM%7c123", "RDAM|123", "RDAM%7C123"),
        ("RDAM|123", "RDAM|123", "RDAM%7C123"),
        ("Box%207", "Box 7", "Box%207"),
        ("%43P-1", "CP-1", "CP-1"),
        ("CP:1", "CP:1", "CP%3A1"),
    ],
)
async def test_identity_is_decoded_once_and_encoded_anew_for_the_csms(
    site: Site, segment: str, identity: str, upstream: str
) -> None:
    async with await site.peer() as peer:
        answer = await peer.ask(f"/ocpp/{segment}", authorization=basic(identity, PASSWORD))
        assert answer.status == 101
    assert site.csms.requests[-1].path == f"/up/{upstream}"


@pytest.mark.parametrize(
    "segment", ["CP%252D1", "CP-1%2F", "..%2FCP-1", "CP-1%00", "CP-1?x=1", "CP-1;x", "x/CP-1", "CP-1%", "", "CP-1%20"]
)
async def test_what_two_parsers_could_read_differently_is_no_identity(site: Site, segment: str) -> None:
    status, event = await site.refused(await site.peer(), f"/ocpp/{segment}", authorization=basic("CP-1", PASSWORD))
    assert (status, event["stage"]) == (400, "identify")


async def test_case_is_exact_for_1_6_and_ignored_for_charge_points_of_2_x_only(site: Site) -> None:
    assert (await site.ask("cp-1")).status == 401
    async with await site.session("two-x", subprotocols="ocpp2.0.1"):
        assert site.csms.requests[-1].path == "/up/TWO-X"


# -- certificates


@pytest.mark.parametrize(
    ("identity", "shown", "outcome"),
    [
        ("A", certificate("SN-A"), (101, "")),
        ("A", certificate("SN-A", client=False), (101, "")),
        ("A", certificate("SN-A", kind="rsa"), (101, "")),
        ("GUEST", certificate("SN-GUEST", "Guest CPO"), (101, "")),
        ("B", certificate("SN-A"), (403, "certificate-of-another-charge-point")),
        ("A", certificate("SN-A0"), (403, "certificate-of-another-charge-point")),
        ("A", certificate("SN-"), (403, "certificate-of-another-charge-point")),
        ("A", certificate("A"), (403, "certificate-of-another-charge-point")),
        ("NO-SERIAL", certificate("SN-A"), (403, "certificate-of-another-charge-point")),
        ("A", certificate("SN-A", "Another CPO"), (403, "certificate-of-another-operator")),
        ("A", certificate("SN-A", OPERATOR + " Ltd"), (403, "certificate-of-another-operator")),
        ("GUEST", certificate("SN-GUEST"), (403, "certificate-of-another-operator")),
    ],
)
@pytest.mark.requirement(
    "A00.FR.403", "A00.FR.404", "A00.FR.405", "A00.FR.407", "A00.FR.408", "A00.FR.514", "TC_A_08_CSMS"
)
async def test_certificate_must_be_that_of_the_identity_in_the_url(
    site: Site, identity: str, shown: Issued, outcome: tuple[int, str]
) -> None:
    peer = await site.peer("mtls", shown)
    if outcome[0] == 101:
        async with peer:
            assert (await peer.ask(f"/ocpp/{identity}")).status == 101
        return
    status, event = await site.refused(peer, f"/ocpp/{identity}")
    assert (status, event["reason"], event["charge_point_id"]) == (*outcome, identity)


@pytest.mark.requirement("A00.FR.428")
async def test_certificate_that_serves_iso_15118_as_well_is_as_good_as_any(site: Site) -> None:
    components = [
        (NameOID.DOMAIN_COMPONENT, "CPO"),
        (NameOID.ORGANIZATION_NAME, OPERATOR),
        (NameOID.COMMON_NAME, "SN-A"),
    ]
    key = new_key()
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in components])
    shown = Issued(shared_authority()._build(subject, key), key)
    assert (await site.ask("A", "mtls", password=None, certificate=shown)).status == 101


@pytest.mark.requirement("A00.FR.427")
async def test_key_belongs_to_the_first_charge_point_that_used_it(site: Site) -> None:
    for _ in range(2):  # also with a new certificate for the same key
        assert (
            await site.ask("KEY-1", "mtls", password=None, certificate=certificate("SN-KEY-1", key=SHARED_KEY))
        ).status == 101
    peer = await site.peer("mtls", certificate("SN-KEY-2", key=SHARED_KEY))
    status, event = await site.refused(peer, "/ocpp/KEY-2")
    assert (status, event["event"], event["severity"]) == (403, "cert.key_shared", "critical")
    assert (await site.ask("KEY-2", "mtls", password=None, certificate=certificate("SN-KEY-2"))).status == 101


@pytest.mark.requirement("A00.FR.401")
async def test_authorization_beside_a_good_certificate_does_not_count(site: Site) -> None:
    for authorization in ("Basic !!!", "Bearer x", basic("somebody", "else")):
        async with await site.peer("mtls", certificate("SN-OTHER")) as peer:
            assert (await peer.ask("/ocpp/OTHER", authorization=authorization)).status == 101
        assert "authorization" not in site.csms.requests[-1].headers


# -- headers that only proxies may send


SPOOFED = (
    "X-Forwarded-For: 203.0.113.9",
    "Forwarded: for=203.0.113.9",
    "X_Forwarded_Proto: https",
    "X-Real-IP: 203.0.113.9",
    "Client-Cert: :MIIB:",
    "X-Client-Cert: MIIB",
    "X-SSL-Client-S-DN: CN=SN-A",
    "SSL-Client-Verify: SUCCESS",
    "X-Forwarded-Client-Cert: Hash=1",
)


async def test_forwarding_and_certificate_headers_of_a_charge_point_never_reach_the_csms(site: Site) -> None:
    since = site.gateway.mark()
    async with await site.peer() as peer:
        port = local_port(peer)
        answer = await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", PASSWORD), extra=SPOOFED)
        assert answer.status == 101
    sent = {name.lower() for name, _ in site.csms.requests[-1].headers.raw_items()}
    assert sent <= {
        "host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol",
    }  # fmt: skip
    event = await site.gateway.event("http.spoofed_header", since, of(port))
    assert event["decision"] == "sanitize"
    assert "ssl-client-verify" in event["detail"]
    assert "203.0.113.9" not in str(event)


async def test_certificate_in_a_header_proves_nothing(site: Site) -> None:
    status, event = await site.refused(await site.peer("tls"), "/ocpp/A", extra=SPOOFED)
    assert (status, event["event"]) == (401, "auth.missing")


async def test_harmless_headers_are_no_event(site: Site) -> None:
    since = site.gateway.mark()
    extra = ("User-Agent: box/1", "X-Garo-Serial: 7", "X-Forwarding: no")
    async with await site.peer() as peer:
        port = local_port(peer)
        assert (await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", PASSWORD), extra=extra)).status == 101
    await site.refused(await site.peer(), "/elsewhere/CP-1")  # an event that goes the same way, from the edge
    assert not [event for event in site.gateway.events(since) if of(port)(event)]


# -- BootNotification


def boot(serial_number: str | None) -> str:
    serial = "" if serial_number is None else f',"serialNumber":"{serial_number}"'
    return (
        f'[2,"b1","BootNotification",{{"reason":"PowerUp","chargingStation":{{"model":"M","vendorName":"V"{serial}}}}}]'
    )


@pytest.mark.parametrize(("serial_number", "stays"), [("SN-BOOT", True), (None, True), ("SN-BOOT2", False)])
@pytest.mark.requirement("B01.FR.11", "B01.FR.12")
async def test_serial_number_of_boot_notification_is_that_of_the_certificate_if_it_is_given(
    site: Site, serial_number: str | None, stays: bool
) -> None:
    since, ended = site.gateway.mark(), len(site.csms.closes["BOOT"])
    async with await site.peer("mtls", certificate("SN-BOOT")) as peer:
        assert (await peer.ask("/ocpp/BOOT", subprotocols="ocpp2.0.1")).status == 101
        peer.send_text(boot(serial_number))
        if stays:
            assert "Accepted" in await peer.text()
        else:
            assert await peer.close_code() == 1008
            await site.gateway.event("identity.serial_mismatch", since)
            assert boot(serial_number) not in site.csms.texts["BOOT"]
    await site.closed("BOOT", ended)


async def test_1_6_does_not_say_which_serial_number_counts_so_another_one_is_only_reported(site: Site) -> None:
    since = site.gateway.mark()
    async with await site.peer("mtls", certificate("SN-BOOT-16")) as peer:
        assert (await peer.ask("/ocpp/BOOT-16")).status == 101
        peer.send_text(BOOT.replace("}]", ',"chargePointSerialNumber":"other"}]'))
        assert "Accepted" in await peer.text()
        await site.gateway.event("identity.serial_differs", since)


async def test_fingerprint_of_the_certificate_is_in_the_events_of_its_session(site: Site) -> None:
    shown, since = certificate("SN-BOOT"), site.gateway.mark()
    async with await site.peer("mtls", shown) as peer:
        assert (await peer.ask("/ocpp/BOOT", subprotocols="ocpp2.0.1")).status == 101
        peer.send_text(boot("other"))
        event = await site.gateway.event("identity.serial_mismatch", since)
    assert event["certificate_sha256"] == hashlib.sha256(shown.der).hexdigest()
