"""The ACME client against pebble: what is issued, what is refused, and in whose words."""

import asyncio
import base64
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.control.own_certificate_source import request_for_names
from pki.acme.client import ACMEClient, ACMEFailed, ACMESettings, _challenges, _checked, _json, _why
from pki.acme.jws import from_base64url
from pki.backends.http import Answer, TLSFiles
from pki.keys import PrivateKey, generate_key
from tests.support.hierarchy import certificate
from tests.support.judges import needs_pebble
from tests.support.pebble import EAB_KEY, Pebble, pebble

NAMES = ("cp.example.com", "cp2.example.com")
Shown = dict[str, str]


def request(key: PrivateKey, names: tuple[str, ...] = NAMES) -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(request_for_names(key, names).encode())


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def client(ca: Pebble, **settings: Any) -> ACMEClient:
    tls = TLSFiles(ca_pem=ca.roots.read_text())
    key = ec.generate_private_key(ec.SECP256R1())
    return ACMEClient(ACMESettings(directory=ca.directory, tls=tls, **settings), key, asyncio.sleep)


@contextlib.asynccontextmanager
async def answering(port: int, shown: Shown) -> AsyncIterator[None]:
    """What a machine with these names serves at the port to which the CA comes."""

    async def challenge(asked: web.Request) -> web.Response:
        return web.Response(text=shown.get(asked.match_info["token"], "?"))

    application = web.Application()
    application.router.add_get("/.well-known/acme-challenge/{token}", challenge)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@needs_pebble
@pytest.mark.parametrize("bad_nonces_percent", [0, 30])
async def test_a_certificate_for_both_names_and_again_with_the_same_account(
    tmp_path: Path, bad_nonces_percent: int
) -> None:
    shown: Shown = {}
    async with pebble(tmp_path, bad_nonces_percent=bad_nonces_percent) as ca, answering(ca.http_port, shown):
        asks = client(ca, contact=("mailto:op@example.com",))
        for kind in ("ec-p256", "rsa-2048"):
            key = generate_key(kind)
            chain = await asks.certificate(request(key), NAMES, shown.__setitem__, now())
            assert chain[0].public_key() == key.public_key()
            names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert set(names.get_values_for_type(x509.DNSName)) == set(NAMES)
            chain[-1].verify_directly_issued_by(await ca.root())


@needs_pebble
async def test_a_challenge_that_nobody_answers_is_told_in_the_cas_words(tmp_path: Path) -> None:
    async with pebble(tmp_path) as ca, answering(ca.http_port, {}):
        with pytest.raises(ACMEFailed, match=r"^authorization: unauthorized: "):
            await client(ca).certificate(request(generate_key("ec-p256")), NAMES, lambda *_: None, now())


@needs_pebble
async def test_an_account_that_must_be_bound(tmp_path: Path) -> None:
    shown: Shown = {}
    csr = request(generate_key("ec-p256"))
    async with pebble(tmp_path, eab=True) as ca, answering(ca.http_port, shown):
        secret = from_base64url(EAB_KEY)
        bound = client(ca, key_id="kid-1", binding_key=secret)
        assert await bound.certificate(csr, NAMES, shown.__setitem__, now())
        for settings in (
            {},
            {"key_id": "kid-1", "binding_key": b"another"},
            {"key_id": "kid-2", "binding_key": secret},
        ):
            with pytest.raises(ACMEFailed, match=r"^newAccount: HTTP status 4"):
                await client(ca, **settings).certificate(csr, NAMES, shown.__setitem__, now())


@needs_pebble
async def test_a_ca_that_nobody_vouches_for_or_is_not_there(tmp_path: Path) -> None:
    csr = request(generate_key("ec-p256"))
    key = ec.generate_private_key(ec.SECP256R1())
    async with pebble(tmp_path) as ca:
        other = certificate("Another", ca=True).pem.decode()
        settings = ACMESettings(directory=ca.directory, tls=TLSFiles(ca_pem=other))
        with pytest.raises(ACMEFailed, match=r"(?i)certificate"):
            await ACMEClient(settings, key, asyncio.sleep).certificate(csr, NAMES, lambda *_: None, now())
    with pytest.raises(ACMEFailed, match="ConnectorError"):
        await ACMEClient(settings, key, asyncio.sleep).certificate(csr, NAMES, lambda *_: None, now())


class TestWhatComesBack:
    """Untrusted: key, names, times, order."""

    ROOT = certificate("Root", ca=True)
    SUB = certificate("Sub", issuer=ROOT, ca=True)
    KEY = ec.generate_private_key(ec.SECP256R1())

    def body(self, names: tuple[str, ...] = NAMES, *, key: Any = None, **changes: Any) -> bytes:
        alternative = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        leaf = certificate(
            NAMES[0],
            issuer=self.SUB,
            usage=ExtendedKeyUsageOID.SERVER_AUTH,
            public_key=(key or self.KEY).public_key(),
            extensions=((alternative, False),),
            **changes,
        )
        return leaf.pem + self.SUB.pem

    def checked(self, body: bytes) -> tuple[x509.Certificate, ...]:
        return _checked(body, request(self.KEY), NAMES, now())

    def test_what_was_asked_for_is_taken_with_and_without_the_root(self) -> None:
        for body in (self.body(), self.body(NAMES[::-1]), self.body() + self.ROOT.pem):
            assert [each == self.SUB.certificate for each in self.checked(body)] == [False, True]

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda self: self.body(key=ec.generate_private_key(ec.SECP256R1())), "another key"),
            (lambda self: self.body(NAMES[:1]), "other names"),
            (lambda self: self.body((*NAMES, "evil.example.com")), "other names"),
            (lambda self: self.body(end=-datetime.timedelta(hours=1)), "not valid now"),
            (lambda self: self.body(start=datetime.timedelta(hours=1)), "not valid now"),
            (lambda self: self.body() + certificate("Stranger", ca=True).pem, "not one that can be used"),
            (lambda _: b"<html>", "not one that can be used"),
            (lambda self: certificate("x", issuer=self.SUB).pem, "not one that can be used"),
        ],
    )
    def test_anything_else_is_not(self, make: Callable[["TestWhatComesBack"], bytes], words: str) -> None:
        with pytest.raises(ACMEFailed, match=words):
            self.checked(make(self))


@pytest.mark.parametrize("data", [b"", b"\xfb\xff", b"1", b"12", b"123"])
def test_keys_of_bindings_with_and_without_padding(data: bytes) -> None:
    padded = base64.urlsafe_b64encode(data).decode()
    assert from_base64url(padded) == from_base64url(padded.rstrip("=") + "\n") == data


@pytest.mark.parametrize("body", [b'{"a":"\xff"}', b'{"a":' + b"[" * 100_000, b"[]", b"<html>"])
def test_an_answer_that_is_no_object_is_a_failure_and_no_crash_of_ours(body: bytes) -> None:
    with pytest.raises(ACMEFailed, match="not JSON"):
        _json(Answer(200, body))


@pytest.mark.parametrize("challenges", [None, 7, {"type": "http-01"}, ["http-01"]])
def test_challenges_that_are_none(challenges: Any) -> None:
    assert _challenges({"challenges": challenges}) == []
    assert _why({"challenges": challenges}) == "invalid"
    assert _challenges({"challenges": [{"type": "http-01"}]}) == [{"type": "http-01"}]
