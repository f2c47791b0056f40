"""What a CA returns: everything that is not exactly what was asked for is refused, and the near-miss passes."""

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.backends.interface import BackendMisbehaved, EnrollmentRequest, printable_reason
from pki.backends.returned import verified_answer
from tests.support.hierarchy import certificate
from tests.support.other_ca import OPERATOR, OtherCA, now, request_for
from tests.support.tls_material import DAY, Issued

CA = OtherCA()
REQUEST = request_for()
ROOT, SUB = CA.root.certificate, CA.sub.certificate
HOUR = datetime.timedelta(hours=1)


def leaf(**changes: Any) -> x509.Certificate:
    return CA.issue(REQUEST.csr, **changes)


def answer(*certificates: x509.Certificate, request: EnrollmentRequest = REQUEST) -> tuple[x509.Certificate, ...]:
    return verified_answer(certificates, request, CA.anchors, now()).chain


def refused(*certificates: x509.Certificate, request: EnrollmentRequest = REQUEST) -> str:
    with pytest.raises(BackendMisbehaved) as error:
        answer(*certificates, request=request)
    return str(error.value)


GOOD = leaf()


@pytest.mark.parametrize(
    "given", [(GOOD, SUB), (SUB, GOOD), (ROOT, SUB, GOOD), (GOOD, SUB, ROOT), (GOOD, GOOD, SUB, SUB)]
)
def test_the_chain_comes_out_leaf_first_and_without_the_root_whatever_the_order(
    given: tuple[x509.Certificate, ...],
) -> None:
    assert answer(*given) == (GOOD, SUB)


@pytest.mark.requirement("A00.FR.404", "A00.FR.405")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"common_name": "SN-2"}, "commonName is ['SN-2'], and 'SN-1' was asked for"),
        ({"common_name": "SN-1 "}, "commonName"),
        ({"organization": "Another CPO"}, "organizationName"),
        ({"ca": True}, "CA certificate"),
        ({"usage": ExtendedKeyUsageOID.SERVER_AUTH}, "extended key usage"),
        ({"usage": None}, "extended key usage"),
        ({"signs": False}, "key usage"),
        ({"start": HOUR}, "not valid before"),
        ({"end": 30 * DAY}, "less than 45"),
        ({"start": -9 * DAY, "end": -DAY}, "less than 45"),
        ({"end": 900 * DAY}, "more than 825"),
    ],
)
def test_a_certificate_that_is_not_what_was_asked_for(changes: dict[str, Any], why: str) -> None:
    assert why in refused(leaf(**changes), SUB)


def test_a_server_name_makes_it_a_server() -> None:
    for name in (x509.DNSName("gw.example.test"),):
        names = x509.SubjectAlternativeName([name])
        assert "name of a host" in refused(leaf(extensions=((names, False),)), SUB)
    harmless = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:cp:SN-1")])
    assert answer(leaf(extensions=((harmless, False),)), SUB)


def test_more_usages_than_one_are_too_many() -> None:
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    assert "extended key usage" in refused(leaf(usage=None, extensions=((both, False),)), SUB)


def test_the_key_is_that_of_the_request_in_exactly_one_certificate() -> None:
    other = CA.issue(request_for().csr)
    assert "0 certificates" in refused(other, SUB)
    assert "2 certificates" in refused(GOOD, leaf(), SUB)


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()])
def test_a_key_that_no_charge_point_may_have(key: Any) -> None:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)
    request = EnrollmentRequest(
        csr=csr, identity="CP-1", common_name="SN-1", organization=OPERATOR, idempotency_key="k"
    )
    assert "key of the request" in refused(CA.issue(csr), SUB, request=request)
    strong = request_for(key=ec.generate_private_key(ec.SECP384R1()))
    assert len(answer(CA.issue(strong.csr), SUB, request=strong)) == 2


def test_the_chain_ends_in_a_pinned_root() -> None:
    stranger = OtherCA()
    foreign = stranger.issue(REQUEST.csr)
    assert "not pinned" in refused(foreign, stranger.sub.certificate, stranger.root.certificate)
    assert "does not chain" in refused(foreign, stranger.sub.certificate)
    assert "does not chain" in refused(GOOD)
    assert "not in the chain" in refused(GOOD, SUB, stranger.sub.certificate)


def test_a_leaf_of_the_root_itself_is_a_chain_of_one() -> None:
    direct = leaf(issuer=CA.root)
    assert answer(direct) == (direct,)
    assert answer(direct, ROOT) == (direct,)


def test_what_the_cas_own_certificate_forbids_is_refused() -> None:
    below = certificate("Below", issuer=CA.sub, ca=True, end=90 * DAY)
    assert "path length" in refused(leaf(issuer=below), below.certificate, SUB)
    elsewhere = x509.NameConstraints(
        [x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Another CPO")]))], None
    )
    narrow: Issued = certificate("Narrow", issuer=CA.root, ca=True, end=90 * DAY, extensions=((elsewhere, True),))
    assert "does not chain" in refused(leaf(issuer=narrow, end=80 * DAY), narrow.certificate)


def test_a_flood_of_certificates_is_not_looked_at() -> None:
    assert "11 certificates" in refused(GOOD, *[SUB] * 10)


def test_a_cas_words_are_cut_to_one_printable_line() -> None:
    assert printable_reason("no\x1b[2J\nway \x00 at all") == "no [2J way at all"
    assert len(printable_reason("x" * 1_000)) == 200
