"""What the gateway publishes of its embedded CA, fetched and judged by openssl and pkilint."""

import contextlib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.cli.exit_codes import NOT_OK, OK
from gateway.demo.ports import free_ports
from tests.integration.test_enrolment import command
from tests.support.embedded_ca import EmbeddedCA
from tests.support.fleet import until
from tests.support.judges import judge, needs_openssl, needs_pkilint, pkilint
from tests.support.rig import Rig
from tests.support.site import Site, running
from tests.support.tls_material import Issued

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
PORT = free_ports(1)[0]
SHARDS = 4
BASE = f"http://127.0.0.1:{PORT}"
PUBLICATION = f"""crl_url = "{BASE}/crl/issuing/{{shard}}.crl"
crl_shards = {SHARDS}
ocsp_url = "{BASE}/ocsp/issuing"
issuer_url = "{BASE}/ca/issuing.crt"
"""


class Published:
    """A CA whose certificates say where they can be looked up, and who looks them up there."""

    def __init__(self, rig: Rig) -> None:
        self.ca = EmbeddedCA(rig, PUBLICATION)
        rig.config["publication"] = {"address": f"127.0.0.1:{PORT}"}
        self.work = rig.work
        chain = self.ca.hierarchy.issuing, self.ca.hierarchy.root
        self.issuing = self.write("issuing.pem", chain[0].public_bytes(Encoding.PEM))
        self.chain = self.write("chain.pem", b"".join(each.public_bytes(Encoding.PEM) for each in chain))

    def write(self, name: str, content: bytes) -> Path:
        path = self.work / name
        path.write_bytes(content)
        return path

    def leaf(self, shown: Issued) -> Path:
        return self.write(f"{shown.certificate.serial_number:x}.pem", shown.certificate.public_bytes(Encoding.PEM))

    def list_of(self, shown: Issued) -> x509.CertificateRevocationList:
        """The one that the certificate itself names."""
        points = shown.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        name = points[0].full_name
        assert name is not None
        return x509.load_der_x509_crl(fetch(name[0].value))

    def is_listed(self, shown: Issued) -> bool:
        with contextlib.suppress(urllib.error.URLError):
            found = self.list_of(shown)
            return found.get_revoked_certificate_by_serial_number(shown.certificate.serial_number) is not None
        return False

    def said_of(self, shown: Issued, digest: str = "-sha256") -> str:
        """What `openssl ocsp` gets to hear, verified."""
        leaf = self.leaf(shown)
        about = digest, "-issuer", self.issuing, "-cert", leaf, "-url", f"{BASE}/ocsp/issuing"
        done = judge("openssl", "ocsp", *about, "-no_nonce", "-CAfile", self.chain)
        if b"Response verify OK" not in done.stderr:
            return done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode().splitlines()[0].rpartition(": ")[2]


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        found: bytes = answer.read()
    return found


class Known:
    published: Published


def prepare(rig: Rig) -> None:
    Known.published = Published(rig)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("publication"), prepare) as made:
        yield made


@needs_openssl
async def test_a_revocation_is_published_at_once_and_only_that(site: Site) -> None:
    published = Known.published
    lost, kept = published.ca.issue("SN-1"), published.ca.issue("SN-2")
    await until(lambda: published.said_of(lost) == published.said_of(kept) == "good", "answers of OCSP")
    assert published.said_of(lost, "-sha1") == "good"
    assert (published.is_listed(lost), published.is_listed(kept)) == (False, False)
    before = published.list_of(lost)
    since = site.gateway.mark()
    published.ca.revoke(lost)
    await site.gateway.event("publication.crl_signed", since)
    await until(lambda: published.is_listed(lost), "the list with it")
    await until(lambda: published.said_of(lost) == "revoked", "the response that says so")
    assert (published.said_of(kept), published.is_listed(kept)) == ("good", False)
    assert number(published.list_of(lost)) > number(before)


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


@needs_openssl
@pytest.mark.usefixtures("site")
async def test_openssl_verifies_with_the_lists_that_the_certificates_name() -> None:
    published = Known.published
    lost, kept = published.ca.issue("SN-3"), published.ca.issue("SN-4")
    published.ca.revoke(lost)
    await until(lambda: published.is_listed(lost), "the list with it")
    pems = [x509.load_der_x509_crl(fetch(f"{BASE}/crl/issuing/{shard}.crl")) for shard in range(SHARDS)]
    crls = published.write("all.crl", b"".join(each.public_bytes(Encoding.PEM) for each in pems))
    verify = "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-crl_check", "-extended_crl"
    options = "-CAfile", published.chain, "-CRLfile", crls
    good = judge(*verify, *options, published.leaf(kept))
    assert good.returncode == 0, good
    refused = judge(*verify, *options, published.leaf(lost))
    assert b"certificate revoked" in refused.stderr + refused.stdout
    for each in pems:
        der = published.write("one.crl", each.public_bytes(Encoding.DER))
        said = judge("openssl", "crl", "-inform", "DER", "-in", der, "-verify", "-CAfile", published.chain, "-noout")
        assert b"verify OK" in said.stderr


@needs_openssl
@needs_pkilint
@pytest.mark.usefixtures("site")
async def test_pkilint_finds_nothing() -> None:
    published = Known.published
    shown = published.ca.issue("SN-5")
    published.ca.revoke(shown)
    await until(lambda: published.said_of(shown) == "revoked", "the response that says so")
    for shard in range(SHARDS):
        der = published.write("lint.crl", fetch(f"{BASE}/crl/issuing/{shard}.crl"))
        assert pkilint("lint_crl", "-t", "CRL", "-p", "PKIX", der) == []
    response = published.work / "response.der"
    about = "-issuer", published.issuing, "-cert", published.leaf(shown), "-url", f"{BASE}/ocsp/issuing"
    judge("openssl", "ocsp", *about, "-no_nonce", "-noverify", "-respout", response)
    assert pkilint("lint_ocsp_response", response) == []


async def test_the_issuing_ca_is_where_certificates_say(site: Site) -> None:
    published = Known.published
    der = fetch(f"{BASE}/ca/issuing.crt")
    assert x509.load_der_x509_certificate(der) == published.ca.hierarchy.issuing
    found = site.gateway.live_status()["publication"]
    assert {(each["issuer"], each["shard"]) for each in found["lists"]} == {
        *(("issuing", shard) for shard in range(SHARDS)),
        ("servers", 0),
    }
    assert [each["issuer"] for each in found["ocsp"]] == ["issuing"]
    assert found["failure"] == ""
    metrics = site.gateway.http("/metrics")[1]
    assert 'ocpp_gateway_own_revocation_list_seconds_left{issuer="servers"} 6' in metrics


@needs_openssl
async def test_how_the_responses_stand_is_what_openssl_hears(site: Site) -> None:
    published = Known.published
    shown = published.ca.issue("SN-5")
    serial = f"{shown.certificate.serial_number:x}"
    await until(lambda: published.said_of(shown) == "good", "the answer of OCSP")
    code, found = await command("pki", "ocsp", serial, config=site.rig.config_path)
    assert code == OK
    [issuing], [response] = found["issuers"], found["responses"]
    assert (issuing["issuer"], issuing["stale"]) == ("issuing", 0)
    assert (response["serial"], response["state"]) == (serial, "good")
    assert response["this_update"] < response["signed_next"] < response["next_update"]
    code, found = await command("pki", "ocsp", "abc", config=site.rig.config_path)
    assert (code, found["responses"]) == (NOT_OK, [{"serial": "abc", "issuer": "", "state": "missing"}])
    words = ("pki", "status", "--ca", site.rig.config["pki"]["ca"])
    assert (await command(*words, config=site.rig.config_path))[1]["ocsp"][0]["issuer"] == "issuing"
