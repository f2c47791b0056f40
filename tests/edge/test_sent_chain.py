"""Which certificates the server sends: those of its file, and intermediates where that has the server's own alone."""

import ssl
from typing import Any, NamedTuple

import pytest
from cryptography import x509

from gateway.edge.sent_chain import completed
from tests.support.memory_tls import Client, context
from tests.support.tls_material import Authority


def below(authority: Authority, name: str) -> Authority:
    """An intermediate of `authority`."""
    made = Authority(name)
    made.root = authority._build(made.name, made.key, ca=True)
    return made


ROOT, OTHER = Authority("Root"), Authority("Other")
UPPER = below(ROOT, "Upper")
LOWER = below(UPPER, "Lower")
SERVER = LOWER.server()
TRUST = b"".join(each.pem for each in (OTHER, UPPER, ROOT, LOWER))


def names(pem: bytes) -> list[str]:
    return [each.subject.rfc4514_string() for each in x509.load_pem_x509_certificates(pem)]


class File(NamedTuple):
    """As much of an Issued as a context needs."""

    pem: bytes
    key_pem: bytes


def sent(file: bytes, key_pem: bytes, trust_pem: bytes) -> list[str]:
    def configure(made: ssl.SSLContext) -> None:
        made.verify_mode = ssl.CERT_NONE

    files: Any = (File(file, key_pem),)
    made = context("pyopenssl", certificates=files, trust_pem=trust_pem, client_certificate="optional")
    client = Client(made.accept(), certificate=None, configure=configure)
    client.handshake()
    found = client.ssl._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
    return names(b"".join(each.public_bytes().encode() for each in found))


@pytest.mark.requirement("A00.FR.307")
def test_intermediates_that_the_file_lacks_are_sent_and_no_root() -> None:
    assert sent(SERVER.pem, SERVER.key_pem, TRUST) == names(SERVER.pem + LOWER.pem + UPPER.pem)
    assert sent(SERVER.pem, SERVER.key_pem, ROOT.pem + UPPER.pem) == names(SERVER.pem), "nothing from behind a gap"
    direct = ROOT.server()
    assert sent(direct.pem, direct.key_pem, TRUST) == names(direct.pem)


def test_a_file_with_a_chain_is_sent_as_it_is() -> None:
    file = SERVER.pem + LOWER.pem
    assert completed(file, TRUST) == file
    assert sent(file, SERVER.key_pem, TRUST) == names(file)


def test_one_of_the_same_name_that_has_not_signed_is_none_of_the_chain() -> None:
    namesake = below(OTHER, "Lower")
    assert completed(SERVER.pem, namesake.pem) == SERVER.pem


def test_what_cannot_be_read_is_left_to_openssl() -> None:
    assert completed(b"no certificate", TRUST) == b"no certificate"
    assert completed(SERVER.pem, b"no certificate") == completed(SERVER.pem, b"") == SERVER.pem


def test_two_that_have_signed_each_other_end() -> None:
    one, two = below(OTHER, "One"), below(OTHER, "Two")
    one.root = two._build(one.name, one.key, ca=True)
    two.root = one._build(two.name, two.key, ca=True)
    leaf = one.server()
    assert names(completed(leaf.pem, two.pem + one.pem)) == names(leaf.pem + one.pem + two.pem)
