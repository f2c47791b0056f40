"""NIST's path validation suite (PKITS) at the edge: no certificate that must be refused gets in.

Each certificate of the suite is shown in a real handshake; what OpenSSL lets through is judged by our leaf policy and by
the suite's revocation lists, as control does it for a bundle with ``revocation = "hard"``. A refusal of a good
certificate is allowed where the suite tests what we do not support, and is listed here.
"""

import contextlib
import datetime
import functools
import ssl
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from gateway.edge.tls import TLSFailure
from gateway.identity.client_certificate import LeafCertificate, parse_issuer, parse_leaf, verify_leaf
from gateway.identity.evidence import CertificateName, TLSFacts
from gateway.identity.refusal import Refusal
from gateway.identity.trust import Chain as VerifiedChain
from pki.foreign_crl import CRLRejected, ForeignCRL, read_crl
from tests.support.memory_tls import ENGINES, Chain, Client, context
from tests.support.records import make_record

DATA = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
NAMES = sorted(path.stem for path in (DATA / "certs").glob("*EE.crt"))
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
NOW = datetime.datetime.now(datetime.UTC)

REFUSED = {f"DifferentPoliciesTest{number}EE" for number in (4, 5, 7, 8, 9, 12)}
"""Those that must be refused, and do not say so in their names."""
DELTA = {f"InvaliddeltaCRLTest{number}EE" for number in (3, 4, 6, 9, 10)}
"""What is revoked in a delta list alone: deltas are not read (RFC 5280, 5.2.4 leaves that open), the base list counts."""
NOT_SUPPORTED = (
    "DSA",  # no DSA keys (A00.FR.501), and TLS 1.3 has none
    "NegativeSerialNumber",  # no revocation could name it
    "indirectCRL",
    "cRLIssuer",
    "onlySomeReasons",
    "distributionPointTest",  # some by relative names
    "deltaCRL",
    "basicConstraintsNotCritical",  # strict_x509 wants it critical
    "onlyContainsCACertsTest13",  # a CA's certificate, which no charge point may show
    "pathLenConstraintTest8",
    "pathLenConstraintTest14",
    "DNnameConstraintsTest14",  # without O it is nobody's
)
EXPLICIT_POLICY = "no explicit policy (43)"
"""Neither engine can be told which policies are wanted: a chain that demands one is refused, whichever it has."""


def load(path: Path) -> x509.Certificate:
    return x509.load_der_x509_certificate(path.read_bytes())


@functools.cache
def authorities() -> tuple[x509.Certificate, ...]:
    found = []
    for path in sorted((DATA / "certs").glob("*.crt")):
        with contextlib.suppress(ValueError):  # one with inherited DSA parameters, which nobody knows any more
            if not path.stem.endswith("EE"):
                found.append(load(path))
    return tuple(found)


ANCHOR = load(DATA / "certs" / "TrustAnchorRootCertificate.crt")


def issuers_of(leaf: x509.Certificate) -> list[x509.Certificate]:
    """Everything that could stand between the leaf and the root, by name alone: which of it fits is OpenSSL's to say."""
    found: list[x509.Certificate] = []
    names = [leaf.issuer]
    while names:
        name = names.pop()
        for each in authorities():
            if same(each.subject, name) and each != ANCHOR and each not in found:
                found.append(each)
                names.append(each.issuer)
    return found


def same(one: x509.Name, other: x509.Name) -> bool:
    """As RFC 5280, 7.1 compares names: without case, blanks folded, whatever the string type."""
    return folded(one) == folded(other)


def folded(name: x509.Name) -> list[tuple[str, str]]:
    return [(each.oid.dotted_string, " ".join(str(each.value).lower().split())) for each in name]


@functools.cache
def shown(name: str) -> Chain | None:
    """Certificate, issuers and key; None for a key that no TLS client can use."""
    try:
        key, leaf, _ = pkcs12.load_key_and_certificates((DATA / "pkcs12" / f"{name}.p12").read_bytes(), b"password")
    except (UnsupportedAlgorithm, ValueError):
        return None
    assert key is not None
    assert leaf is not None
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in (leaf, *issuers_of(leaf)))
    return Chain(pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@functools.cache
def lists() -> tuple[ForeignCRL, ...]:
    found = []
    for path in sorted((DATA / "crls").glob("*.crl")):
        try:
            found.append(read_crl(path.read_bytes(), authorities(), NOW))
        except CRLRejected:
            continue
    return tuple(found)


def is_revoked(name: CertificateName) -> bool:
    return any(each.names(name.issuer, name.serial_number) for each in lists())


def verify(facts: TLSFacts) -> None:
    """Our leaf policy for whoever the certificate names, and its status. Raises Refusal."""
    leaf = parse_leaf(facts.leaf_der)
    chain = VerifiedChain(tuple(map(parse_issuer, facts.issuers_der)))
    record = make_record("CP-1", 3, serial_number="".join(leaf.common_names))
    verify_leaf(leaf, record, leaf.organizations, NOW.timestamp(), is_revoked, None, chain)
    assert is_current(leaf), "no current list of its issuer"


def is_current(leaf: LeafCertificate) -> bool:
    return any(
        each.is_about(leaf.issuer, leaf.crl_points)
        and each.next_update >= NOW
        and not is_revoked(CertificateName("", *each.signer))
        for each in lists()
    )


@functools.cache
def why_refused(engine: str, name: str) -> str:
    """Empty if the certificate gets in."""
    certificate = shown(name)
    if certificate is None:
        return "the key cannot be loaded"
    made = context(engine, trust_pem=ANCHOR.public_bytes(Encoding.PEM))
    try:
        client = Client(made.accept(), certificate=certificate)
        verify(client.handshake().facts())
    except TLSFailure as failure:
        return failure.detail
    except Refusal as refusal:
        return f"{refusal.reason.code}: {refusal.detail}"
    except (ssl.SSLError, AssertionError) as error:
        return str(error)
    return ""


def must_be_refused(name: str) -> bool:
    return name.startswith("Invalid") or name in REFUSED


def test_the_suite_is_there() -> None:
    assert len(NAMES) > 220
    assert len([name for name in NAMES if must_be_refused(name)]) > 100
    assert len(lists()) > 130


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name in NAMES if must_be_refused(name) and name not in DELTA])
@pytest.mark.requirement("A00.FR.403", "A00.FR.407", "A00.FR.702")
def test_what_must_be_refused_is_refused(engine: str, name: str) -> None:
    assert why_refused(engine, name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "name", [name for name in NAMES if not must_be_refused(name) and not any(part in name for part in NOT_SUPPORTED)]
)
@pytest.mark.requirement("A00.FR.403")
def test_what_is_good_gets_in(engine: str, name: str) -> None:
    why = why_refused(engine, name)
    assert why == "" or EXPLICIT_POLICY in why


@pytest.mark.parametrize("engine", ENGINES)
def test_most_of_what_is_good_gets_in(engine: str) -> None:
    good = [name for name in NAMES if not must_be_refused(name)]
    assert len([name for name in good if why_refused(engine, name) == ""]) >= 55
