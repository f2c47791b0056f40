"""Where an issuer publishes: what could not be written into a certificate, or found there, is refused beforehand."""

from typing import Any

import pytest

from pki.errors import Misconfigured
from pki.template import Publication


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"crl_url": "http://p/{shard}.crl", "crl_shards": 0}, "crl_shards is not between"),
        ({"crl_url": "http://p/{shard}.crl", "crl_shards": -4}, "crl_shards is not between"),
        ({"crl_url": "http://p/{shard}.crl", "crl_shards": 10_001}, "crl_shards is not between"),
        ({"crl_url": "http://p/all.crl", "crl_shards": 2}, "crl_url needs {shard}"),
        ({"crl_url": "http://pü.example/a.crl"}, "crl_url 'http://pü.example/a.crl' is not an http:// address"),
        ({"crl_url": "ldap://p/a.crl"}, "crl_url"),
        ({"crl_url": "http://p/a b.crl"}, "crl_url"),
        ({"crl_url": "http://p/{other}.crl"}, "crl_url"),
        ({"ocsp_url": "http://o/\n"}, "ocsp_url"),
        ({"ocsp_url": "https://o/"}, "ocsp_url"),
        ({"issuer_url": "p.example"}, "issuer_url"),
        ({"issuer_url": "http://"}, "issuer_url"),
    ],
)
def test_what_cannot_be_published_there_is_told(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(Misconfigured) as found:
        Publication(**given)
    assert problem in str(found.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"crl_url": "http://p/{shard}.crl", "crl_shards": 10_000},
        {"crl_url": "http://p/{shard}.crl", "crl_shards": 1},
        {"crl_url": "http://p.example:8080/crl/all.crl?a=1&b=%20"},
        {"ocsp_url": "http://10.0.0.1/ocsp/", "issuer_url": "http://[2001:db8::1]:80/ca.crt"},
        {"ocsp_url": "http://o.example"},
    ],
)
def test_what_can_be_is_taken(given: dict[str, Any]) -> None:
    assert Publication(**given).crl_shards >= 1


def test_addresses_are_those_of_its_shards() -> None:
    divided = Publication(crl_url="http://p/{shard}.crl", crl_shards=4)
    assert [divided.has_crl_url(f"http://p/{shard}.crl") for shard in (0, 3, 4)] == [True, True, False]
    assert not divided.has_crl_url("")
    assert not Publication().has_crl_url("")
