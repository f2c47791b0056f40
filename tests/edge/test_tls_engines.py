"""Both TLS engines against OpenSSL's own client, in memory: what gets through, and the reason and alert for what does not."""

import contextlib
import datetime
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from gateway.config.model import Listener
from gateway.edge.tls import TLSFailure, first_bytes_refusal, reason_for_verify
from gateway.edge.tls_context import build_tls_context
from gateway.identity.refusal import Reason
from gateway.link.messages import ListenerSettings
from gateway.ocpp.vocabulary import SecurityProfile
from tests.support.memory_tls import (
    AUTHORITY,
    CHARGE_POINT,
    ENGINES,
    SERVER_EC,
    SERVER_RSA,
    Client,
    chain,
    context,
    only,
)
from tests.support.tls_material import DAY, Authority, Issued

_lib = SSL._lib  # type: ignore[attr-defined]
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.requirement("A00.FR.312", "A00.FR.402", "A00.FR.409", "A00.FR.410", "A00.FR.415", "A00.FR.416")
def test_good_client_gets_through_and_bytes_go_both_ways(engine: str, version: ssl.TLSVersion) -> None:
    client = Client(context(engine).accept(), configure=only(version))
    server = client.handshake()
    facts = server.facts()
    assert (facts.version, facts.server_name, facts.leaf_der, facts.resumed) == (
        version.name.replace("_", "."),
        "gw.example.test",
        CHARGE_POINT.der,
        False,
    )
    for size in (1, 300, 16_384, 16_385, 100_000):
        text = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        client.incoming.write(server.encrypt(text))
        assert client.read() == text
        wire = client.send(text)
        cut = len(wire) // 2
        assert server.decrypt(wire[:cut]) + server.decrypt(wire[cut:]) == text
    assert server.output() == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_connections_that_take_turns_with_their_buffers_lose_and_mix_nothing(
    version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.edge.tls_pyopenssl._MAX_AWAKE", 2)
    monkeypatch.setattr("gateway.edge.tls_pyopenssl._awake", places := deque[Any]())
    shared = context("pyopenssl")
    clients = [Client(shared.accept(), configure=only(version)) for _ in range(5)]
    servers = [client.handshake() for client in clients]
    for server in servers:
        server.facts()
    for turn in range(3):
        texts = [b"%d of %d, " % (number, turn) * 3000 for number in range(5)]
        wires = [client.send(text) for client, text in zip(clients, texts, strict=True)]
        heads = [server.decrypt(wire[:9000]) for server, wire in zip(servers, wires, strict=True)]
        for client, server, text in zip(clients, servers, texts, strict=True):
            client.incoming.write(server.encrypt(text[:100]))
            assert client.read() == text[:100]
        tails = [server.decrypt(wire[9000:]) for server, wire in zip(servers, wires, strict=True)]
        assert [head + tail for head, tail in zip(heads, tails, strict=True)] == texts
        assert [server.output() for server in servers] == [b""] * 5
        assert [each() for each in places] == [server for server in servers if server._into is not None]  # type: ignore[attr-defined]
        assert len(places) == 2


def test_input_that_came_with_the_handshake_outlasts_every_other_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.edge.tls_pyopenssl._MAX_AWAKE", 1)
    monkeypatch.setattr("gateway.edge.tls_pyopenssl._awake", deque[Any]())
    shared = context("pyopenssl")
    early, other = Client(shared.accept()), Client(shared.accept())
    server = early.server
    for _ in range(2):
        with contextlib.suppress(ssl.SSLWantReadError):
            early.ssl.do_handshake()
            early.ssl.write(b"GET / HTTP/1.1")
        server.handshake(early.outgoing.read())
        early.incoming.write(server.output())
    server.facts()
    busy = other.handshake()
    busy.facts()
    for _ in range(3):
        assert busy.decrypt(other.send(b"x")) == b"x"
    assert server.decrypt(b"") == b"GET / HTTP/1.1"
    other.incoming.write(busy.shutdown())
    assert server.decrypt(early.send(b"y")) == b"y"


@pytest.mark.parametrize("engine", ENGINES)
def test_peer_close_is_seen_and_ours_is_sent(engine: str) -> None:
    client = Client(context(engine).accept())
    server = client.handshake()
    with pytest.raises(ssl.SSLWantReadError):
        client.ssl.unwrap()
    assert server.decrypt(client.outgoing.read()) == b""
    assert server.closed
    client.incoming.write(server.shutdown())
    client.ssl.unwrap()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "suite",
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ],
)
@pytest.mark.requirement("A00.FR.317", "A00.FR.318", "A00.FR.421", "TC_086_CSMS", "TC_A_04_CSMS")
def test_each_ocpp_suite_is_negotiated(engine: str, suite: str) -> None:
    def configure(made: ssl.SSLContext) -> None:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        made.set_ciphers(suite)

    client = Client(context(engine).accept(), configure=configure)
    assert client.handshake().facts().cipher == suite
    assert client.ssl.compression() is None


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.requirement("A00.FR.318")
def test_modern_policy_refuses_static_rsa_and_keeps_forward_secrecy(engine: str) -> None:
    def configure(made: ssl.SSLContext) -> None:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        made.set_ciphers("AES128-GCM-SHA256")

    refused = Client(context(engine, policy="modern").accept(), configure=configure)
    with pytest.raises(TLSFailure) as failure:
        refused.handshake()
    assert failure.value.reason is Reason.TLS_CIPHER
    assert Client(context(engine, policy="modern").accept()).handshake().facts().version == "TLSv1.3"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.requirement("A00.FR.313", "A00.FR.314", "A00.FR.417", "A00.FR.418", "TC_A_06_CSMS")
def test_old_version_is_refused_with_protocol_version(engine: str, version: ssl.TLSVersion) -> None:
    client = Client(context(engine).accept(), configure=only(version))
    with pytest.raises(TLSFailure) as failure:
        client.handshake()
    assert failure.value.reason is Reason.TLS_VERSION
    assert "protocol version" in client.alert.replace("_", " ")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.requirement("A00.FR.319", "A00.FR.321", "A00.FR.320", "A00.FR.322", "A00.FR.425")
def test_unacceptable_suites_are_refused_with_handshake_failure(engine: str) -> None:
    def configure(made: ssl.SSLContext) -> None:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        made.set_ciphers("AES128-SHA:AES256-SHA256:NULL-SHA256:@SECLEVEL=0")

    client = Client(context(engine).accept(), configure=configure)
    with pytest.raises(TLSFailure) as failure:
        client.handshake()
    assert failure.value.reason is Reason.TLS_CIPHER
    assert "handshake failure" in client.alert.replace("_", " ")


STRANGER = Authority("Somebody Else")
NOT_YET = AUTHORITY.charge_point("SN-1", start=DAY, end=10 * DAY)
EXPIRED = AUTHORITY.charge_point("SN-1", start=-10 * DAY, end=-datetime.timedelta(hours=1))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("certificate", "reason", "alert"),
    [
        (EXPIRED, Reason.CERT_EXPIRED, "certificate expired"),
        (NOT_YET, Reason.CERT_NOT_YET_VALID, "bad certificate"),
        (STRANGER.charge_point("SN-1"), Reason.CERT_UNTRUSTED, "unknown ca"),
        (Issued(STRANGER.root, STRANGER.key), Reason.CERT_UNTRUSTED, "unknown ca"),
        (SERVER_EC, Reason.CERT_INVALID, ""),
        (None, Reason.CERT_MISSING, ""),
    ],
    ids=["expired", "not-yet-valid", "other-root", "self-signed", "server-certificate", "none"],
)
@pytest.mark.requirement("A00.FR.403", "A00.FR.407", "TC_A_08_CSMS")
def test_bad_client_certificate_has_its_reason_and_alert(
    engine: str, version: ssl.TLSVersion, certificate: Issued | None, reason: Reason, alert: str
) -> None:
    client = Client(context(engine).accept(), certificate=certificate, configure=only(version))
    with pytest.raises(TLSFailure) as failure:
        client.handshake()
    assert failure.value.reason is reason
    assert alert in client.alert.replace("_", " ")
    assert "alert" in client.alert


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, None),
        ({"path_length": 0}, None),
        ({"deeper": True, "path_length": 1}, None),
        ({"deeper": True, "path_length": 0}, Reason.CERT_INVALID),
        ({"ca": False}, Reason.CERT_INVALID),
    ],
)
@pytest.mark.requirement("A00.FR.403")
def test_path_of_the_client_certificate_is_validated(
    engine: str, options: dict[str, Any], reason: Reason | None
) -> None:
    client = Client(context(engine).accept(), certificate=chain(**options))
    if reason is None:
        assert client.handshake().facts().leaf_der
        return
    with pytest.raises(TLSFailure) as failure:
        client.handshake()
    assert failure.value.reason is reason
    assert "alert" in client.alert


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.requirement("A00.FR.006")
def test_optional_client_certificate_lets_both_in(engine: str) -> None:
    made = context(engine, client_certificate="optional")
    assert Client(made.accept(), certificate=None).handshake().facts().leaf_der == b""
    assert Client(made.accept()).handshake().facts().leaf_der == CHARGE_POINT.der


@pytest.mark.parametrize("engine", ENGINES)
def test_no_server_name_works(engine: str) -> None:
    assert Client(context(engine).accept(), server_name=None).handshake().facts().server_name == ""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumed_session_is_marked_and_keeps_its_certificate(engine: str, version: ssl.TLSVersion) -> None:
    made = context(engine)
    first = Client(made.accept(), configure=only(version))
    first.handshake()
    session = first.ssl.session
    again = Client(made.accept(), context=first.context, session=session).handshake().facts()
    assert again.resumed
    assert again.leaf_der == CHARGE_POINT.der


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_verified_issuers_are_told_also_when_the_session_is_resumed(engine: str, version: ssl.TLSVersion) -> None:
    made, below = context(engine), chain()
    subs = x509.load_pem_x509_certificates(below.pem)[1:]
    issuers = (*(each.public_bytes(Encoding.DER) for each in subs), AUTHORITY.root.public_bytes(Encoding.DER))
    first = Client(made.accept(), certificate=below, configure=only(version))
    assert first.handshake().facts().issuers_der == issuers
    again = Client(made.accept(), context=first.context, session=first.ssl.session).handshake().facts()
    assert again.resumed
    assert again.issuers_der == issuers
    direct = Client(made.accept()).handshake().facts()
    assert direct.issuers_der == issuers[1:]


@pytest.mark.parametrize("engine", ENGINES)
def test_who_shows_no_certificate_has_no_issuers(engine: str) -> None:
    made = context(engine, client_certificate="optional")
    assert Client(made.accept(), certificate=None).handshake().facts().issuers_der == ()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.requirement("A00.FR.429")
def test_where_the_registry_decides_tls_looks_at_everything_but_the_time(engine: str, version: ssl.TLSVersion) -> None:
    made = context(engine, expired_certificates="by-registry")
    for certificate in (EXPIRED, NOT_YET):
        facts = Client(made.accept(), certificate=certificate, configure=only(version)).handshake().facts()
        assert (facts.leaf_der, len(facts.issuers_der)) == (certificate.der, 1)
    late = STRANGER.charge_point("SN-1", start=-10 * DAY, end=-datetime.timedelta(hours=1))
    refused: list[tuple[Issued | None, Reason]] = [
        (late, Reason.CERT_UNTRUSTED),
        (SERVER_EC, Reason.CERT_INVALID),
        (None, Reason.CERT_MISSING),
    ]
    for bad, reason in refused:
        client = Client(made.accept(), certificate=bad, configure=only(version))
        with pytest.raises(TLSFailure) as failure:
            client.handshake()
        assert failure.value.reason is reason


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.requirement("A00.FR.702", "A00.FR.705")
def test_session_of_an_older_trust_generation_is_not_resumed(engine: str, version: ssl.TLSVersion) -> None:
    first = Client(context(engine, generation=1).accept(), configure=only(version))
    first.handshake()
    session = first.ssl.session
    again = Client(context(engine, generation=2).accept(), context=first.context, session=session).handshake().facts()
    assert not again.resumed


@pytest.mark.parametrize("engine", ENGINES)
def test_damaged_record_ends_the_connection(engine: str) -> None:
    client = Client(context(engine).accept())
    server = client.handshake()
    wire = bytearray(client.send(b"hello"))
    wire[-1] ^= 1
    with pytest.raises(TLSFailure) as failure:
        server.decrypt(bytes(wire))
    assert failure.value.reason is Reason.TLS_PROTOCOL


@pytest.mark.parametrize("engine", ENGINES)
def test_damaged_record_is_answered_with_an_alert_and_the_next_connection_is_not_touched(engine: str) -> None:
    made = context(engine)
    first, second = Client(made.accept()), Client(made.accept())
    broken, sound = first.handshake(), second.handshake()
    wire = bytearray(first.send(b"hello"))
    wire[-1] ^= 1
    with pytest.raises(TLSFailure):
        broken.decrypt(bytes(wire))
    first.incoming.write(broken.output())
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
        first.ssl.read(1)
    assert sound.decrypt(second.send(b"hello")) == b"hello"


def leave_an_error() -> None:
    """What another user of OpenSSL in this thread might leave behind."""
    _lib.BIO_new_file(b"/dev/null/nothing", b"r")
    assert _lib.ERR_peek_error()


def test_error_left_in_the_queue_by_somebody_else_ends_no_connection() -> None:
    client = Client(context("pyopenssl").accept())
    server = client.handshake()
    leave_an_error()
    assert server.decrypt(client.send(b"one")) == b"one"
    leave_an_error()
    assert server.decrypt(b"") == b""
    before = server.closed
    with pytest.raises(ssl.SSLWantReadError):
        client.ssl.unwrap()
    leave_an_error()
    assert server.decrypt(client.outgoing.read()) == b""
    assert (before, server.closed) == (False, True)
    _lib.ERR_clear_error()


def test_failure_of_one_connection_leaves_nothing_behind_for_the_next() -> None:
    first, second = Client(context("pyopenssl").accept()), Client(context("pyopenssl").accept())
    broken, other = first.handshake(), second.handshake()
    wire, last = bytearray(first.send(b"hello")), bytearray(second.send(b"hello"))
    wire[-1] ^= 1
    last[0] = 0x63
    with pytest.raises(TLSFailure):
        broken.decrypt(bytes(wire))
    assert _lib.ERR_peek_error() == 0
    with pytest.raises(TLSFailure) as failure:
        other.decrypt(bytes(last))
    assert "bad record mac" not in failure.value.detail


def test_error_left_in_the_queue_does_not_become_the_reason_of_a_failed_handshake() -> None:
    client = Client(context("pyopenssl").accept(), certificate=EXPIRED)
    leave_an_error()
    with pytest.raises(TLSFailure) as failure:
        client.handshake()
    assert failure.value.reason is Reason.CERT_EXPIRED
    assert "no such file" not in failure.value.detail
    assert _lib.ERR_peek_error() == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_data_and_close_notify_in_one_segment_are_both_seen(engine: str) -> None:
    client = Client(context(engine).accept())
    server = client.handshake()
    wire = client.send(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        client.ssl.unwrap()
    assert server.decrypt(wire + client.outgoing.read()) == b"last words"
    assert server.closed
    assert not Client(context(engine).accept()).handshake().closed


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_encrypted_behind_our_close_notify(engine: str) -> None:
    client = Client(context(engine).accept())
    server = client.handshake()
    assert server.encrypt(b"before")
    server.shutdown()
    with pytest.raises(TLSFailure):
        server.encrypt(b"behind")


def legacy(version: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    def configure(made: ssl.SSLContext) -> None:
        only(version)(made)
        made.set_ciphers("AES128-SHA:@SECLEVEL=0")

    return configure


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.requirement("A00.FR.313", "A00.FR.318", "A00.FR.416")
def test_old_version_and_its_suite_get_through_in_quarantine_and_nowhere_else(
    engine: str, version: ssl.TLSVersion
) -> None:
    quarantine = context(engine, policy="legacy-quarantine")
    facts = Client(quarantine.accept(), configure=legacy(version)).handshake().facts()
    assert (facts.version, facts.cipher) == (version.name.replace("_", ".").removesuffix(".0"), "AES128-SHA")
    for policy in ("ocpp-cert", "modern"):
        with pytest.raises(TLSFailure) as failure:
            Client(context(engine, policy=policy).accept(), configure=legacy(version)).handshake()
        assert failure.value.reason is Reason.TLS_VERSION


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_up_to_tls_1_2_unasked_output_can_be_a_refused_renegotiation(engine: str, version: ssl.TLSVersion) -> None:
    server = Client(context(engine).accept(), configure=only(version)).handshake()
    assert server.knows_renegotiation is (version is ssl.TLSVersion.TLSv1_2)


@pytest.mark.parametrize("engine", ENGINES)
def test_settings_without_tls_or_with_a_damaged_key_make_no_context(engine: str) -> None:
    plain = Listener(name="p", address="127.0.0.1:0", security_profiles=(SecurityProfile.BASIC,), csms="c")
    assert build_tls_context(ListenerSettings(plain, (), b""), 1) is None
    with pytest.raises((ValueError, ssl.SSLError, SSL.Error)):
        context(engine, certificates=(Issued(SERVER_EC.certificate, SERVER_RSA.key),))


@pytest.mark.parametrize(
    ("data", "tls_expected", "reason"),
    [
        (b"\x16\x03\x01\x02\x00", True, None),
        (b"\x16", True, None),
        (b"GET / HTTP/1.1", True, Reason.PLAIN_ON_TLS),
        (b"\x80\x2e\x01\x00\x02", True, Reason.TLS_VERSION),
        (b"\x00\x01\x02", True, Reason.NOT_TLS),
        (b"\x16\x04", True, Reason.NOT_TLS),
        (b"\x16\x03\x01", False, Reason.TLS_ON_PLAIN),
        (b"GET / HTTP/1.1", False, None),
    ],
)
@pytest.mark.requirement("A00.FR.311", "A00.FR.415")
def test_first_bytes_name_what_came(data: bytes, tls_expected: bool, reason: Reason | None) -> None:
    assert first_bytes_refusal(data, tls_expected=tls_expected) is reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (10, Reason.CERT_EXPIRED),
        (9, Reason.CERT_NOT_YET_VALID),
        (23, Reason.CERT_REVOKED),
        (20, Reason.CERT_UNTRUSTED),
        (66, Reason.CERT_WEAK),
        (26, Reason.CERT_INVALID),
    ],
)
def test_verify_codes_have_reasons(code: int, reason: Reason) -> None:
    assert reason_for_verify(code) is reason
