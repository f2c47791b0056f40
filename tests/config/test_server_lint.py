"""What charge points stumble over in a server's certificate, each with a near-miss."""

import datetime
import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.config.server_lint import server_findings
from tests.support.hierarchy import certificate
from tests.support.tls_material import new_key

HOST = "cp.example.com"
ROOT = certificate("Root", ca=True)
SUB = certificate("Sub", issuer=ROOT, ca=True)


def findings(*names: str, cn: str = HOST, usage: Any = ExtendedKeyUsageOID.SERVER_AUTH, more: Any = ()) -> list[str]:
    alternative = [x509.SubjectAlternativeName([x509.DNSName(name) for name in names])] if names else []
    extensions = tuple((each, False) for each in alternative)
    leaf = certificate(cn, issuer=SUB, usage=usage, extensions=extensions)
    return list(server_findings([leaf.certificate, SUB.certificate, *more]))


@pytest.mark.parametrize("names", [(HOST,), (HOST.upper(),), ("other.example.com", HOST), (HOST, "a-1.b2.example.com")])
def test_a_good_one_has_none(names: tuple[str, ...]) -> None:
    assert findings(*names) == []


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "no subjectAltName"),
        (("other.example.com",), "not among its subjectAltNames"),
        ((HOST, "*.example.com"), "is a wildcard"),
        ((HOST, "gateway"), "'gateway' is not a fully qualified host name"),
        ((HOST, "under_score.example.com"), "not a fully qualified"),
        ((HOST, "10.0.0.1"), "not a fully qualified"),
    ],
)
def test_names(names: tuple[str, ...], words: str) -> None:
    (found,) = findings(*names)
    assert words in found


def test_a_wildcard_cn_is_said_once_elsewhere() -> None:
    assert findings("*.example.com", cn="*.example.com") == []


def test_an_address_alone_is_no_name() -> None:
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("10.0.0.1"))])
    usage = ExtendedKeyUsageOID.SERVER_AUTH
    leaf = certificate("10.0.0.1", issuer=SUB, usage=usage, extensions=((address, False),))
    (found,) = server_findings([leaf.certificate])
    assert "addresses alone" in found


@pytest.mark.parametrize(
    ("usage", "words"),
    [(None, "no extended key usage"), (ExtendedKeyUsageOID.CLIENT_AUTH, "no serverAuth")],
)
def test_what_it_is_for(usage: Any, words: str) -> None:
    (found,) = findings(HOST, usage=usage)
    assert words in found


def test_a_chain_that_is_too_long_or_too_big() -> None:
    assert findings(HOST, more=[ROOT.certificate]) == []
    long = findings(HOST, more=[SUB.certificate, ROOT.certificate])
    assert [each.partition(";")[0] for each in long] == ["the chain has 4 certificates"]
    names = [f"host-{number}.example.com" for number in range(160)]
    (big,) = findings(HOST, *names)
    assert "charge points with buffers of 4096 cannot take it" in big


def test_a_hash_that_is_refused_today() -> None:
    key, now = new_key("rsa"), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(SUB.certificate.subject)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    for algorithm, expected in ((hashes.SHA224(), 1), (hashes.SHA256(), 0)):
        assert len(list(server_findings([builder.sign(key, algorithm)]))) == expected
