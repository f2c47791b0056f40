"""A V2G hierarchy by ceremonies, from a root of one's own to the certificate of a charge point; OpenSSL is the judge."""

import secrets
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from pki.approval import Operator
from pki.issuance import Application
from pki.issuer import extension_value
from pki.names import Subject
from pki.opened import issuance_in
from tests.pki.ceremony.test_ceremony import COMMON, ISSUING, ROOT, SECRET, SERVERS, Room
from tests.pki.hierarchy import DAY, NOW, openssl_verify
from tests.pki.request_material import csr_pem

KINDS = {"v2g-2": "ec-p256", "v2g-20": "ec-p521"}
LEAVES: dict[str, tuple[str, Any, str, int]] = {
    "v2g-2": ("V2GSECCCertificate", ec.SECP256R1(), "CPO", 800),
    "v2g-20": ("V2G20SECCCertificate", ec.SECP521R1(), "CSO", 1600),
}


def plan(
    mode: str, use: str, name: str, *, above: str = "", kind: str = "", directory: str = "", more: str = ""
) -> str:
    """A ceremony's file."""
    root = f'[root]\ncertificate = "{above}.pem"\nkey = {{ file = "{above}.key", secret_file = "root.secret" }}\n'
    secret = "issuing.secret" if directory else "root.secret"
    place = f"{directory}/{name}.key" if directory else f"{name}.key"
    return (
        f'mode = "{mode}"\nuse = "{use}"\n{COMMON}name = "{name}"\n'
        + (f'directory = "{directory}"\nlimits = {{ organizations = ["Example CPO"] }}\n' if directory else "")
        + f'{more}subject = {{ common_name = "V2G {name}", organization = "Example CPO", country = "DE" }}\n'
        + (root if above else "")
        + f'[key]\ngenerate = "{kind or KINDS[use]}"\nat = {{ file = "{place}", secret_file = "{secret}" }}\n'
    )


@pytest.fixture
def room(tmp_path: Path) -> Room:
    (tmp_path / "ca" / "signer").mkdir(parents=True, mode=0o700)
    (tmp_path / "ca").chmod(0o700)
    return Room(tmp_path)


def issued(room: Room, use: str, common_name: str = "DECPO1E0001") -> x509.Certificate:
    profile, curve, component, _ = LEAVES[use]
    subject = Subject(common_name, "Example CPO", country="DE", domain_component=component)
    with issuance_in(room.directory / "ca", NOW, lambda: secrets.token_hex(6)) as ca:
        text = csr_pem(ec.generate_private_key(curve), common_name=common_name, organization="")
        wanted = Application(profile=profile, subject=subject, applicant=Operator("alice"))
        return ca.issue(ca.request(text, wanted, NOW).id, NOW).certificate


@pytest.mark.parametrize("use", KINDS)
@pytest.mark.parametrize("subs", [1, 2])
def test_from_a_root_to_a_charge_point(room: Room, tmp_path: Path, use: str, subs: int) -> None:
    room.perform(plan("root", use, "top"))
    above = "top"
    if subs > 1:
        room.perform(plan("sub-ca", use, "sub1", above="top"))
        above = "sub1"
    room.perform(plan("issuing-ca", use, "sub2", above=above, directory="ca/signer"))
    leaf = issued(room, use)
    *chain, root = x509.load_pem_x509_certificates((room.directory / "ca" / "signer" / "sub2.pem").read_bytes())
    assert len(chain) == subs
    assert root == room.certificate("top.pem")
    assert leaf.subject.rfc4514_string() == f"DC={LEAVES[use][2]},CN=DECPO1E0001,O=Example CPO,C=DE"
    # Without the flags of TLS clients and servers: a car looks at neither use.
    assert openssl_verify(tmp_path, leaf, chain, root, "any") == "OK"
    lengths = [extension_value(each, x509.BasicConstraints).path_length for each in chain]  # type: ignore[union-attr]
    assert lengths == [0, 1][:subs]
    for each in (leaf, *chain, root):
        assert len(each.public_bytes(Encoding.DER)) <= LEAVES[use][3]
        key = each.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert isinstance(key.curve, type(LEAVES[use][1]))
        assert {name.rfc4514_attribute_name for name in each.subject} == {"C", "O", "CN", "DC"}
    assert all("DC=V2G" in each.subject.rfc4514_string() for each in (*chain, root))
    assert leaf.not_valid_after_utc - NOW == 60 * DAY


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text.replace('"ec-p256"', '"ec-p384"'), "V2GSubCA2 of ISO 15118-2"),
        (lambda text: text.replace('country = "DE"', 'country = "de"'), "subject.country 'de' is not two capital"),
        (lambda text: text.replace('"v2g-2"', '"charge-points"', 1), "subject.country: only CAs for V2G"),
        (lambda text: text.replace('"v2g-2"', '"v2g-20"', 1).replace("p256", "p521"), "has a key of kind ec-p256"),
        (
            lambda text: text.replace('["Example CPO"]', '["Example CPO"], unsafe_not_critical = true'),
            "name constraints",
        ),
        (lambda text: text.replace('["Example CPO"]', '["Example CPO"], domains = ["a.example"]'), "limits.domains"),
        (lambda text: f"lifetime_days = 400\n{text}", "lifetime_days: the CA itself ends"),
    ],
)
def test_what_is_no_such_ca_is_refused(room: Room, change: Any, problem: str) -> None:
    room.perform(plan("root", "v2g-2", "top"))
    good = plan("issuing-ca", "v2g-2", "sub2", above="top", directory="ca/signer")
    assert problem in room.problem(change(good))
    room.perform(good)


def test_nothing_comes_below_a_ca_that_may_have_none(room: Room) -> None:
    room.perform(plan("root", "v2g-2", "top"))
    room.perform(plan("sub-ca", "v2g-2", "sub1", above="top"))
    assert "path length 1: there may be no such CA" in room.problem(plan("sub-ca", "v2g-2", "again", above="sub1"))
    room.perform(plan("issuing-ca", "v2g-2", "sub2", above="sub1", directory="ca/signer"))


def test_a_root_for_charge_points_certifies_no_ca_for_v2g_nor_the_other_way_round(room: Room) -> None:
    """Edges trust that root, and what is for V2G is not limited."""
    room.perform(ROOT.replace("ec-p384", "ec-p256"))
    assert "DC=V2G" in room.problem(plan("issuing-ca", "v2g-2", "sub2", above="root", directory="ca/signer"))
    assert "DC=V2G" in room.problem(plan("sub-ca", "v2g-2", "sub1", above="root"))
    room.perform(plan("root", "v2g-2", "top"))
    of_v2g = ISSUING.replace('directory = "signer"', 'directory = "ca/signer"').replace('"signer/', '"ca/signer/')
    assert "DC=V2G" in room.problem(of_v2g.replace('"root.pem"', '"top.pem"').replace('"root.key"', '"top.key"'))
    room.perform(of_v2g)


KEY_USAGE = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
"""Certificates and revocation lists are signed."""


def corporate_root(room: Room, *components: str) -> None:
    """In the place of the room's root: a root as directories of companies (AD CS) name theirs."""
    parts = [x509.NameAttribute(NameOID.DOMAIN_COMPONENT, each) for each in components]
    name = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, "Corp Root")])
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    root = (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number(), NOW - DAY, NOW + 3650 * DAY)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(KEY_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    (room.directory / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    path = room.directory / "root.key"
    path.touch(0o600)
    sealed = BestAvailableEncryption(SECRET.encode())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))


@pytest.mark.parametrize("text", [ISSUING, SERVERS])
def test_a_root_of_a_company_directory_certifies_cas_for_charge_points_and_servers(
    room: Room, tmp_path: Path, text: str
) -> None:
    corporate_root(room, "com", "example")
    room.perform(text.replace('directory = "signer"', 'directory = "ca/signer"').replace('"signer/', '"ca/signer/'))
    name = "servers" if text == SERVERS else "charge-points"
    below, root = room.certificate(f"ca/signer/{name}.pem"), room.certificate("root.pem")
    assert openssl_verify(tmp_path, below, [], root, "any") == "OK"


def test_such_a_root_is_none_for_v2g_unless_a_component_says_so(room: Room) -> None:
    corporate_root(room, "com", "example")
    of_v2g = plan("issuing-ca", "v2g-2", "sub2", above="root", directory="ca/signer")
    assert "DC=V2G" in room.problem(of_v2g)
    corporate_root(room, "com", "example", "V2G")
    of_others = ISSUING.replace('directory = "signer"', 'directory = "ca/signer"').replace('"signer/', '"ca/signer/')
    assert "DC=V2G" in room.problem(of_others)
    room.perform(of_v2g)
