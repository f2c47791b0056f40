"""The EST client against a server of the test's own, which strongSwan's client has accepted first."""

import asyncio
import base64
import contextlib
import datetime
import email.utils
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from pki.backends.est import ESTBackend, ESTSettings, OAuth2Client
from pki.backends.http import TLSFiles
from pki.backends.interface import (
    BackendMisbehaved,
    BackendUnavailable,
    ByHand,
    Denied,
    Issued,
    Pending,
    RevocationSource,
)
from tests.support.judges import STRONGSWAN_PKI, needs_strongswan
from tests.support.other_ca import https, now, request_for
from tests.support.other_ca_servers import EST_PREFIX, ESTServer
from tests.support.tls_material import Authority, new_key


@contextlib.asynccontextmanager
async def serving(
    server: ESTServer, work: Path, *, client_root: bytes = b"", files: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[ESTBackend]:
    async with https(work, server.routes(), client_root=client_root) as (address, root):
        tls = TLSFiles(ca_pem=root, **dict[str, Any](files or {}))
        if "oauth2" in settings:
            settings["oauth2"] = OAuth2Client(token_url=f"{address}/token", **settings["oauth2"])
        yield ESTBackend(ESTSettings(url=address + EST_PREFIX, tls=tls, anchors=server.ca.anchors, **settings), now)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"line_length": 64},
        {"line_length": 76},
        {"raw": True},
        {"order": lambda chain: chain[::-1]},
        {"order": lambda chain: chain * 2},
    ],
    ids=["base64", "64", "76", "der", "issuer-first", "twice"],
)
async def test_a_certificate_is_issued_however_it_is_wrapped(tmp_path: Path, shape: dict[str, Any]) -> None:
    server = ESTServer(**shape)
    request = request_for()
    async with serving(server, tmp_path) as backend:
        issued = await backend.enroll(request)
    assert isinstance(issued, Issued)
    leaf, sub = issued.chain
    assert leaf.public_key() == request.csr.public_key()
    assert sub == server.ca.sub.certificate


async def test_hubjects_order_root_among_them_is_put_right(tmp_path: Path) -> None:
    server = ESTServer()
    server.order = lambda chain: [server.ca.root.certificate, chain[1], chain[0]]
    async with serving(server, tmp_path, enroll_path="/simpleenroll/ISO15118-2") as backend:
        issued = await backend.enroll(request_for())
    assert isinstance(issued, Issued)
    assert [each.subject for each in issued.chain[1:]] == [server.ca.sub.certificate.subject]


@pytest.mark.parametrize(
    ("header", "expected"),
    [("300", 300.0), ("0", 5.0), ("", 60.0), ("soon", 60.0), ("999999999", 86_400.0), ("-5", 60.0)],
)
async def test_202_is_pending_until_the_time_that_the_server_names(
    tmp_path: Path, header: str, expected: float
) -> None:
    server = ESTServer(status=202, headers={"Retry-After": header} if header else {})
    async with serving(server, tmp_path) as backend:
        assert await backend.enroll(request_for()) == Pending(expected)


async def test_retry_after_may_be_a_date(tmp_path: Path) -> None:
    later = now() + datetime.timedelta(minutes=10)
    server = ESTServer(status=202, headers={"Retry-After": email.utils.format_datetime(later, usegmt=True)})
    async with serving(server, tmp_path) as backend:
        pending = await backend.enroll(request_for())
    assert isinstance(pending, Pending)
    assert 590 <= pending.retry_after_s <= 600


async def test_asking_again_after_pending_gets_the_certificate(tmp_path: Path) -> None:
    server, request = ESTServer(status=202), request_for()
    async with serving(server, tmp_path) as backend:
        assert isinstance(await backend.enroll(request), Pending)
        server.status = 200
        assert isinstance(await backend.enroll(request), Issued)


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_a_refusal_is_denied_in_the_servers_words(tmp_path: Path, status: int) -> None:
    server = ESTServer(status=status, body=b"key already\x1b[1m used\n")
    async with serving(server, tmp_path) as backend:
        assert await backend.enroll(request_for()) == Denied("key already [1m used")


@pytest.mark.parametrize("status", [204, 302, 401, 403, 404, 429, 500, 503])
async def test_anything_else_settles_nothing(tmp_path: Path, status: int) -> None:
    server = ESTServer(status=status, headers={"Location": "https://localhost:1/"} if status == 302 else {})
    async with serving(server, tmp_path) as backend:
        with pytest.raises(BackendUnavailable, match=str(status)):
            await backend.enroll(request_for())


async def test_an_answer_that_is_no_certificate_is_an_alarm(tmp_path: Path) -> None:
    server = ESTServer()
    server._certificates = lambda *_: web.Response(body=b"<html>")  # type: ignore[method-assign]
    async with serving(server, tmp_path) as backend:
        with pytest.raises(BackendMisbehaved, match="no certificates"):
            await backend.enroll(request_for())


async def test_a_certificate_of_another_name_is_an_alarm(tmp_path: Path) -> None:
    async with serving(ESTServer(), tmp_path) as backend:
        with pytest.raises(BackendMisbehaved, match="commonName"):
            await backend.enroll(request_for("SN-2"))


async def test_basic_credentials_are_shown(tmp_path: Path) -> None:
    shown = "Basic " + base64.b64encode(b"gateway:s:3cret").decode()
    async with serving(ESTServer(authorization=shown), tmp_path, username="gateway", password="s:3cret") as backend:
        assert isinstance(await backend.enroll(request_for()), Issued)
    async with serving(ESTServer(authorization=shown), tmp_path, username="gateway", password="wrong") as backend:
        with pytest.raises(BackendUnavailable, match="401"):  # ours to mend, not the charge point's
            await backend.enroll(request_for())


async def test_a_bearer_token_is_fetched_once_and_again_when_it_has_run_out(tmp_path: Path) -> None:
    server = ESTServer()
    async with serving(server, tmp_path, oauth2={"client_id": "me", "client_secret": "s:3cret"}) as backend:
        assert await backend.verify_access()
        for _ in range(2):
            assert isinstance(await backend.enroll(request_for()), Issued)
        assert server.tokens_given == 1
        server.token = "another one now"
        assert isinstance(await backend.enroll(request_for()), Issued)
        assert server.tokens_given == 2


async def test_no_token_is_no_answer_and_shows_no_secret(tmp_path: Path) -> None:
    async with serving(ESTServer(), tmp_path, oauth2={"client_id": "me", "client_secret": "wr0ng"}) as backend:
        with pytest.raises(BackendUnavailable, match="no token") as error:
            await backend.enroll(request_for())
        with pytest.raises(BackendUnavailable, match="no token"):
            await backend.verify_access()
    assert "wr0ng" not in str(error.value) + repr(backend._settings)


async def test_a_client_certificate_is_shown_where_the_server_demands_it(tmp_path: Path) -> None:
    authority = Authority("Clients")
    client = authority.charge_point("gateway")
    (tmp_path / "client.pem").write_bytes(client.pem)
    (tmp_path / "client.key").write_bytes(client.key_pem)
    files = {"certificate_file": str(tmp_path / "client.pem"), "key_file": str(tmp_path / "client.key")}
    async with serving(ESTServer(), tmp_path, client_root=authority.pem, files=files) as backend:
        assert isinstance(await backend.enroll(request_for()), Issued)
    async with serving(ESTServer(), tmp_path, client_root=authority.pem) as backend:
        with pytest.raises(BackendUnavailable):
            await backend.enroll(request_for())


async def test_a_server_that_nobody_vouches_for_is_not_asked(tmp_path: Path) -> None:
    server = ESTServer()
    async with https(tmp_path, server.routes()) as (address, _):
        tls = TLSFiles(ca_pem=Authority("Another").pem.decode())
        backend = ESTBackend(ESTSettings(url=address + EST_PREFIX, tls=tls, anchors=server.ca.anchors), now)
        with pytest.raises(BackendUnavailable, match=r"(?i)certificate"):
            await backend.enroll(request_for())
    assert server.seen == []


async def test_the_cas_certificates_are_shown_and_its_revocations_are_where_the_operator_says(tmp_path: Path) -> None:
    server, source = ESTServer(), RevocationSource(crls=("http://pki.example.test/ca.crl",))
    async with serving(server, tmp_path, revocation=source) as backend:
        assert set(await backend.chain()) == {server.ca.root.certificate, server.ca.sub.certificate}
        assert backend.revocation_source() == source
        assert not await backend.verify_access()
        leaf = server.ca.issue(request_for().csr)
        assert await backend.revoke(leaf, x509.ReasonFlags.key_compromise) == ByHand("EST has no revocation")


@needs_strongswan
async def test_strongswans_client_accepts_the_server_as_well(tmp_path: Path) -> None:
    """The judge of the fake: what it accepts is EST, so that our client is tested against EST."""
    server, key = ESTServer(), new_key("rsa")
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "SN-1")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    (tmp_path / "csr.der").write_bytes(csr.public_bytes(Encoding.DER))
    (tmp_path / "ca.pem").write_bytes(server.ca.root.pem)
    (tmp_path / "sub.pem").write_bytes(server.ca.sub.pem)
    async with https(tmp_path, server.routes()) as (address, root):
        (tmp_path / "tls.pem").write_text(root)
        assert STRONGSWAN_PKI is not None
        process = await asyncio.create_subprocess_exec(
            *(STRONGSWAN_PKI, "--est", "--url", address, "--in", str(tmp_path / "csr.der"), "--outform", "pem"),
            *("--cacert", str(tmp_path / "tls.pem"), "--cacert", str(tmp_path / "ca.pem")),
            *("--cacert", str(tmp_path / "sub.pem")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors
    assert x509.load_pem_x509_certificate(output).public_key() == key.public_key()
