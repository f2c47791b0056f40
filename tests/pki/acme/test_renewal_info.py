"""Renewal information (RFC 9773): the identifier of the RFC's own example, what an answer may be, and a CA that gives advice."""

import asyncio
import datetime
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.control.own_certificate_source import request_for_names
from pki.acme.client import ACMEClient, ACMEFailed, ACMESettings
from pki.acme.jws import from_base64url
from pki.acme.renewal_info import RenewalAdvice, certificate_id, parse_advice, renewal_time
from pki.backends.http import TLSFiles
from tests.support.hierarchy import certificate
from tests.support.tls_material import Authority

NAME = "cp.example.com"
DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
WINDOW = {"start": "2026-03-02T00:00:00Z", "end": "2026-03-04T00:00:00Z"}


def numbered(serial: int, key_identifier: bytes | None) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(serial).not_valid_before(NOW).not_valid_after(NOW + DAY)
    if key_identifier is not None:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier(key_identifier, None, None), critical=False)
    return builder.sign(key, hashes.SHA256())


class TestIdentifier:
    AKI = bytes.fromhex("69885b6b87464041e1b37b847ba0ae2cde01c8d4")

    def test_that_of_the_rfc(self) -> None:
        """Section 4.1: the serial number 87 65 43 21 has a zero before it."""
        assert certificate_id(numbered(0x87654321, self.AKI)) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"

    def test_without_a_sign_to_avoid_there_is_no_zero(self) -> None:
        assert certificate_id(numbered(0x7F, self.AKI)).endswith(".fw")
        assert certificate_id(numbered(0x80, self.AKI)).endswith(".AIA")

    def test_without_the_issuers_key_there_is_none(self) -> None:
        with pytest.raises(ValueError, match="authority key identifier"):
            certificate_id(numbered(1, None))


class TestAnswer:
    def test_window_words_and_when_to_ask_again(self) -> None:
        body = json.dumps({"suggestedWindow": WINDOW, "explanationURL": "https://ca.example/\x1b[31mwhy", "more": 1})
        found = parse_advice(body.encode(), "7200")
        assert found == RenewalAdvice(NOW + DAY, NOW + 3 * DAY, "https://ca.example/ [31mwhy", 2 * HOUR)

    @pytest.mark.parametrize(
        ("asked", "waited"),
        [
            ("", 6 * HOUR),
            ("soon", 6 * HOUR),
            ("0", HOUR / 60),
            ("999999", DAY),
            ("9" * 400, 6 * HOUR),
            ("-5", 6 * HOUR),
        ],
    )
    def test_it_is_asked_again_between_a_minute_and_a_day(self, asked: str, waited: datetime.timedelta) -> None:
        assert parse_advice(json.dumps({"suggestedWindow": WINDOW}).encode(), asked).check_after == waited

    @pytest.mark.parametrize(
        "window",
        [
            None,
            {},
            {**WINDOW, "end": WINDOW["start"]},
            {"start": WINDOW["end"], "end": WINDOW["start"]},
            {**WINDOW, "end": "2026-03-04T00:00:00"},
            {**WINDOW, "end": "tomorrow"},
        ],
    )
    def test_what_is_no_window_is_no_advice(self, window: Any) -> None:
        with pytest.raises(ValueError, match="renewal information"):
            parse_advice(json.dumps({"suggestedWindow": window}).encode(), "")

    def test_what_is_no_json_is_no_advice(self) -> None:
        with pytest.raises(ValueError, match="renewal information"):
            parse_advice(b"<html>", "")


class TestMoment:
    """Of a certificate that lives from day 0 to day 24."""

    @staticmethod
    def picked(start: float, end: float, fraction: float = 0.5) -> float:
        advice = RenewalAdvice(NOW + start * DAY, NOW + end * DAY, "", HOUR)
        return (renewal_time(advice, NOW, NOW + 24 * DAY, fraction) - NOW) / DAY

    def test_within_the_window_by_lot(self) -> None:
        assert [self.picked(10, 12, fraction) for fraction in (0, 0.25, 1)] == [10, 10.5, 12]

    def test_a_window_that_is_over_is_now_but_never_in_the_first_part_of_the_life(self) -> None:
        assert self.picked(-10, -9) == 1
        assert self.picked(2, 3) == 2.5

    def test_a_window_that_comes_too_late_is_not_waited_for(self) -> None:
        assert self.picked(30, 40) == pytest.approx(21.6)
        assert self.picked(21, 22) == 21.5


class AdvisingCA:
    """An ACME server as far as an order without challenges needs one, with renewal information."""

    def __init__(self) -> None:
        self.root = certificate("Root", ca=True)
        self.web = Authority("Web Root")
        self.orders: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.replaced_already = False
        self.url = ""
        self._leaf = b""

    def directory(self) -> dict[str, str]:
        names = ("newNonce", "newAccount", "newOrder")
        return {**{name: f"{self.url}/{name}" for name in names}, "renewalInfo": f"{self.url}/renewal"}

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/directory", self._directory)
        application.router.add_get("/renewal/{id}", self._renewal)
        application.router.add_head("/newNonce", self._nonce)
        for path, handler in (
            ("/newAccount", self._account),
            ("/newOrder", self._order),
            ("/finalize", self._finalize),
            ("/certificate", self._certificate),
        ):
            application.router.add_post(path, handler)
        return application

    async def _directory(self, _: web.Request) -> web.Response:
        return web.json_response(self.directory())

    async def _renewal(self, request: web.Request) -> web.Response:
        self.asked.append(request.match_info["id"])
        return web.json_response({"suggestedWindow": WINDOW}, headers={"Retry-After": "3600"})

    async def _nonce(self, _: web.Request) -> web.Response:
        return web.Response(headers={"Replay-Nonce": "n"})

    async def _account(self, _: web.Request) -> web.Response:
        return web.json_response({}, headers={"Location": f"{self.url}/account", "Replay-Nonce": "n"})

    async def _order(self, request: web.Request) -> web.Response:
        order = json.loads(from_base64url((await request.json())["payload"]))
        self.orders.append(order)
        if "replaces" in order and self.replaced_already:
            problem = {"type": "urn:ietf:params:acme:error:alreadyReplaced"}
            return web.json_response(problem, status=409, headers={"Replay-Nonce": "n"})
        found = {"status": "ready", "authorizations": [], "finalize": f"{self.url}/finalize"}
        return web.json_response(found, status=201, headers={"Location": f"{self.url}/order", "Replay-Nonce": "n"})

    async def _finalize(self, request: web.Request) -> web.Response:
        wanted = json.loads(from_base64url((await request.json())["payload"]))
        csr = x509.load_der_x509_csr(from_base64url(wanted["csr"]))
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self._leaf = certificate(NAME, issuer=self.root, public_key=csr.public_key(), extensions=((names, False),)).pem
        found = {"status": "valid", "certificate": f"{self.url}/certificate"}
        return web.json_response(found, headers={"Replay-Nonce": "n"})

    async def _certificate(self, _: web.Request) -> web.Response:
        return web.Response(body=self._leaf, headers={"Replay-Nonce": "n"})


@pytest.fixture
async def ca(tmp_path: Path) -> AsyncIterator[AdvisingCA]:
    made = AdvisingCA()
    server = made.web.server(names=("localhost",))
    (tmp_path / "server.pem").write_bytes(server.pem + server.key_pem)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.pem")
    runner = web.AppRunner(made.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    made.url = f"https://localhost:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def client(ca: AdvisingCA) -> ACMEClient:
    settings = ACMESettings(directory=f"{ca.url}/directory", tls=TLSFiles(ca_pem=ca.web.pem.decode()))
    return ACMEClient(settings, ec.generate_private_key(ec.SECP256R1()), asyncio.sleep)


async def issued(asks: ACMEClient, replaced: x509.Certificate | None = None) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.load_pem_x509_csr(request_for_names(key, (NAME,)).encode())
    now = datetime.datetime.now(datetime.UTC)
    return (await asks.certificate(csr, (NAME,), lambda *_: None, now, replaced))[0]


async def test_the_ca_is_asked_about_this_very_certificate_and_a_renewal_says_what_it_replaces(ca: AdvisingCA) -> None:
    asks = client(ca)
    first = await issued(asks)
    advice = await asks.renewal_advice(first)
    assert advice == RenewalAdvice(NOW + DAY, NOW + 3 * DAY, "", HOUR)
    assert ca.asked == [certificate_id(first)]
    await issued(asks, first)
    assert [each.get("replaces") for each in ca.orders] == [None, certificate_id(first)]


async def test_what_is_replaced_already_is_ordered_as_something_new(ca: AdvisingCA) -> None:
    asks = client(ca)
    first = await issued(asks)
    ca.replaced_already = True
    assert await issued(asks, first) != first
    assert [each.get("replaces") for each in ca.orders] == [None, certificate_id(first), None]


async def test_a_ca_without_renewal_information_has_no_opinion_and_is_told_of_no_replacement(
    ca: AdvisingCA, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ca.directory()
    whole.pop("renewalInfo")
    monkeypatch.setattr(ca, "directory", lambda: whole)
    asks = client(ca)
    first = await issued(asks)
    assert await asks.renewal_advice(first) is None
    await issued(asks, first)
    assert ca.asked == []
    assert [each.get("replaces") for each in ca.orders] == [None, None]


async def test_an_answer_that_is_none_is_a_failure_in_words(ca: AdvisingCA, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {**ca.directory(), "renewalInfo": f"{ca.url}/nowhere"}
    monkeypatch.setattr(ca, "directory", lambda: lost)
    with pytest.raises(ACMEFailed, match=r"^renewalInfo: HTTP status 404"):
        await client(ca).renewal_advice(numbered(1, b"k" * 20))
    with pytest.raises(ACMEFailed, match=r"^renewalInfo: .*authority key identifier"):
        await client(ca).renewal_advice(numbered(1, None))
