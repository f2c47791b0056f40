"""The publication listener: what it serves to whom, with which headers, and what it refuses. `openssl ocsp` is a client."""

import asyncio
import base64
import contextlib
import datetime
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from gateway.config.model import Publication
from gateway.control import publication
from gateway.control.publication import PublicationListener, Publications, PublishedCRL
from pki.crl import CRLStamp, build_crl
from pki.ocsp import OCSPResponses, OCSPSigner, OCSPWindow
from pki.revocation import RevokedCertificate
from tests.support.judges import judge, needs_openssl
from tests.support.revocation_material import HOUR, authority, moment, responder

NOW = moment()
CA = authority()
REVOKED, GOOD = CA.charge_point("SN-1").certificate, CA.charge_point("SN-2").certificate
CRL = build_crl(CA.root, CA.key, [RevokedCertificate(REVOKED.serial_number, NOW)], CRLStamp(1, NOW, NOW + HOUR))
REQUEST = (
    ocsp.OCSPRequestBuilder().add_certificate(REVOKED, CA.root, hashes.SHA256()).build().public_bytes(Encoding.DER)
)


def content() -> Publications:
    signed_by = responder(CA)
    signer, window = OCSPSigner(CA.root, signed_by.certificate, signed_by.key), OCSPWindow(NOW, NOW + HOUR)
    presigned = {
        GOOD.serial_number: signer.presign(GOOD.serial_number, None, window),
        REVOKED.serial_number: signer.presign(
            REVOKED.serial_number, RevokedCertificate(REVOKED.serial_number, NOW), window
        ),
    }
    return Publications(
        certificates={"issuing": CA.root.public_bytes(Encoding.DER)},
        crls={("issuing", 0): PublishedCRL(CRL, NOW, NOW + HOUR)},
        ocsp={"issuing": OCSPResponses(CA.root, presigned)},
    )


@contextlib.asynccontextmanager
async def serving(now: datetime.datetime = NOW, **settings: Any) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    listener = PublicationListener(Publication(address="127.0.0.1:0", **settings), now.timestamp)
    listener.content = content()
    port = await listener.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield f"http://127.0.0.1:{port}", session
    finally:
        await listener.stop()


async def test_a_list_comes_with_its_type_and_may_be_kept_until_the_next_one() -> None:
    async with serving(NOW + HOUR / 4) as (url, session):
        async with session.get(f"{url}/crl/issuing/0.crl") as answer:
            assert (answer.status, await answer.read()) == (200, CRL)
            headers = answer.headers
        assert headers["Content-Type"] == "application/pkix-crl"
        assert headers["Cache-Control"] == "public, no-transform, must-revalidate, max-age=2700"
        assert headers["Last-Modified"] == f"{NOW:%a, %d %b %Y %H:%M:%S} GMT"
        assert headers["Expires"] == f"{NOW + HOUR:%a, %d %b %Y %H:%M:%S} GMT"
        assert headers["Server"] == "pki"
        async with session.get(f"{url}/crl/issuing/0.crl", headers={"If-None-Match": headers["ETag"]}) as again:
            assert (again.status, await again.read()) == (304, b"")


async def test_one_that_has_run_out_is_not_to_be_kept() -> None:
    async with (
        serving(NOW + 2 * HOUR) as (url, session),
        session.get(f"{url}/crl/issuing/0.crl") as answer,
    ):
        assert answer.headers["Cache-Control"].endswith("max-age=0")


async def test_a_ca_certificate_is_served_in_der() -> None:
    async with serving() as (url, session), session.get(f"{url}/ca/issuing.crt") as answer:
        assert answer.headers["Content-Type"] == "application/pkix-cert"
        assert x509.load_der_x509_certificate(await answer.read()) == CA.root


@pytest.mark.parametrize(
    "path",
    ["/", "/crl/other/0.crl", "/crl/issuing/1.crl", "/crl/issuing/-1.crl", "/crl/issuing/0", "/ca/other.crt",
     "/ca/..%2Fissuing.crt", "/ocsp/other/" + base64.b64encode(REQUEST).decode(), "/metrics", "/status"],
)  # fmt: skip
async def test_nothing_else_is_there(path: str) -> None:
    async with serving() as (url, session), session.get(url + path) as answer:
        assert answer.status == 404


def status_in(der: bytes) -> Any:
    found = ocsp.load_der_ocsp_response(der)
    return found.response_status if found.response_status.value else found.certificate_status


async def test_ocsp_is_answered_by_post_and_get_alike() -> None:
    path = quote(base64.b64encode(REQUEST).decode(), safe="")
    async with serving() as (url, session):
        kind = {"Content-Type": "application/ocsp-request"}
        async with session.post(f"{url}/ocsp/issuing", data=REQUEST, headers=kind) as posted:
            by_post = await posted.read()
            assert posted.headers["Content-Type"] == "application/ocsp-response"
            assert posted.headers["Cache-Control"].endswith("max-age=3600")
        for spelling in (path, base64.b64encode(REQUEST).decode()):
            async with session.get(f"{url}/ocsp/issuing/{spelling}") as got:
                assert await got.read() == by_post
                assert got.headers["ETag"] == f'"{hashlib.sha256(by_post).hexdigest()}"'
    assert status_in(by_post) is ocsp.OCSPCertStatus.REVOKED


async def test_what_cannot_be_answered_is_told_in_ocsp_and_never_kept() -> None:
    async with serving() as (url, session):
        for path in ("noise", quote("MFE*", safe=""), "A" * 3_000):
            async with session.get(f"{url}/ocsp/issuing/{path}") as answer:
                assert answer.headers["Cache-Control"] == "no-store"
                assert status_in(await answer.read()) is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


async def test_a_post_of_another_kind_or_size_is_refused() -> None:
    async with serving() as (url, session):
        async with session.post(f"{url}/ocsp/issuing", data=REQUEST) as answer:
            assert answer.status == 415
        kind = {"Content-Type": "application/ocsp-request"}
        async with session.post(f"{url}/ocsp/issuing", data=b"x" * 4_000, headers=kind) as answer:
            assert answer.status == 413


async def test_a_source_that_asks_too_often_waits_and_is_heard_again() -> None:
    async with serving(requests_per_address_per_minute=6) as (url, session):
        statuses = []
        for _ in range(7):
            async with session.get(f"{url}/ca/issuing.crt") as answer:
                statuses.append(answer.status)
        assert statuses == [200] * 6 + [429]
    rates = publication._Rates()
    assert [rates.allows("a", 6, 0.0) for _ in range(7)] == [True] * 6 + [False]
    assert rates.allows("b", 6, 0.0)
    assert not rates.allows("a", 6, 9.0)
    assert rates.allows("a", 6, 20.0)


async def test_connections_are_limited_and_the_silent_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "_HEAD_TIMEOUT_S", 0.2)
    async with serving(max_connections=2) as (url, session):
        host, port = url.removeprefix("http://").split(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        reader, writer = await asyncio.open_connection(host, int(port))
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        for each, _ in silent:
            with contextlib.suppress(ConnectionError):
                assert await each.read() == b""
        async with session.get(f"{url}/ca/issuing.crt") as answer:
            assert answer.status == 200
        for _, opened in silent:
            opened.close()


@needs_openssl
@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
async def test_openssl_asks_over_http_and_believes_the_answer(tmp_path: Path, digest: str) -> None:
    (tmp_path / "ca.pem").write_bytes(CA.pem)
    async with serving() as (url, _):
        for certificate, status in ((REVOKED, "revoked"), (GOOD, "good")):
            (tmp_path / "leaf.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
            about = digest, "-issuer", tmp_path / "ca.pem", "-cert", tmp_path / "leaf.pem"
            trusted = "-CAfile", tmp_path / "ca.pem", "-url", f"{url}/ocsp/issuing"
            done = await asyncio.to_thread(judge, "openssl", "ocsp", *about, *trusted)
            assert b"Response verify OK" in done.stderr, done
            assert f"leaf.pem: {status}".encode() in done.stdout


async def test_without_content_there_is_nothing_and_no_error() -> None:
    listener = PublicationListener(Publication(address="127.0.0.1:0"))
    port = await listener.start()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/ca/issuing.crt") as answer:
        assert answer.status == 404
    await listener.stop()
