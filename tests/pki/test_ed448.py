"""Ed448, the other curve of ISO 15118-20: for the key of an SECC, and for no other certificate."""

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pki.approval import Operator
from pki.blocked_keys import BlockedKeys, spki_sha256
from pki.csr import parse_csr
from pki.errors import Misconfigured, Reason, Refused
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.key_policy import DEFAULT_KEY_POLICY, KeyPolicy, key_description, key_strength_bits
from pki.keys import write_key
from pki.lint import lint
from pki.names import Subject
from pki.profiles import CHARGE_POINT, ISSUING_CA, ROOT_CA, V2G20_SECC, V2G_SECC, CertificateProfile, SubjectKind
from pki.template import Contents, certificate_builder
from tests.pki.hierarchy import DAY, HOUR, NOW, Hierarchy, openssl_verify, write_pem
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import SECRET, NearSigner, make_signer_directory

CA = Hierarchy()
KEY = ed448.Ed448PrivateKey.generate()
SECC = Subject("SN-1", "CPO", country="DE", domain_component="CSO")


@pytest.fixture
def site(tmp_path: Path):
    """A CA with an issuing CA for V2G; its own keys are EC."""
    directory = make_signer_directory(tmp_path / "signer", CA)
    key, root = ec.generate_private_key(ec.SECP521R1()), CA.keys["root"]
    contents = Contents(
        profile=ISSUING_CA, subject=Subject("V2G", "CPO"), serial=7, not_before=NOW - HOUR, not_after=NOW + 900 * DAY
    )
    builder = certificate_builder(contents, key.public_key(), CA.root.subject, root.public_key())
    write_pem(directory / "v2g.pem", builder.sign(root, hashes.SHA256()), CA.root)
    write_key(key, directory / "v2g.key", SECRET)
    (directory / "v2g.toml").write_text(
        'certificate = "v2g.pem"\norganizations = ["CPO"]\nprofiles = ["V2G20SECCCertificate"]\n'
        '[key]\nfile = "v2g.key"\nsecret_file = "secret"\n'
    )
    signer = NearSigner(directory, lambda: NOW)
    ids = iter(range(1000))
    ca = Issuance(tmp_path / "journal", signer, IssuancePolicy(), NOW, lambda: f"r{next(ids)}")
    yield ca
    ca.close()
    signer.core.close()


def wanted(profile: CertificateProfile = V2G20_SECC, subject: Subject = SECC) -> Application:
    return Application(profile=profile.name, subject=subject, applicant=Operator("alice"))


def test_an_secc_gets_a_certificate_that_openssl_verifies(site: Issuance, tmp_path: Path) -> None:
    key, csr = tmp_path / "k.pem", tmp_path / "csr.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed448", "-out", key], check=True, capture_output=True)
    request = ["openssl", "req", "-new", "-key", key, "-subj", "/O=CPO/CN=SN-1", "-out", csr]
    subprocess.run(list(map(str, request)), check=True, capture_output=True)
    issued = site.issue(site.request(csr.read_text(), wanted(), NOW).id, NOW)
    certificate = issued.certificate
    assert isinstance(certificate.public_key(), ed448.Ed448PublicKey)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_agreement) == (True, False)  # RFC 8410, 5
    assert lint(certificate, V2G20_SECC, issuer=issued.chain[0]) == ()
    assert openssl_verify(tmp_path, certificate, list(issued.chain), CA.root, "any") == "OK"
    shown = subprocess.run(
        ["openssl", "x509", "-in", write_pem(tmp_path / "c.pem", certificate), "-noout", "-pubkey"],
        capture_output=True,
        check=True,
    )
    made = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], capture_output=True, check=True)
    assert shown.stdout == made.stdout


def test_secp521r1_still_agrees_on_keys(site: Issuance) -> None:
    request = site.request(csr_pem(ec.generate_private_key(ec.SECP521R1())), wanted(), NOW)
    usage = site.issue(request.id, NOW).certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_agreement


def test_no_other_certificate_has_such_a_key(site: Issuance) -> None:
    with pytest.raises(Refused) as refused:
        site.request(csr_pem(KEY), wanted(CHARGE_POINT, Subject("SN-1", "CPO")), NOW)
    assert refused.value.reason is Reason.KEY_TYPE
    with pytest.raises(Refused) as refused:
        parse_csr(csr_pem(KEY), DEFAULT_KEY_POLICY)
    assert refused.value.reason is Reason.KEY_TYPE


def test_a_wrong_signature_is_none() -> None:
    body = csr_pem(KEY)
    other = x509.load_pem_x509_csr(csr_pem(ed448.Ed448PrivateKey.generate()).encode())
    der = x509.load_pem_x509_csr(body.encode()).public_bytes(Encoding.DER)
    own = x509.load_pem_x509_csr(body.encode()).signature
    forged = der.replace(own, other.signature)

    text = (
        f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.b64encode(forged).decode()}\n-----END CERTIFICATE REQUEST-----\n"
    )
    with pytest.raises(Refused) as refused:
        parse_csr(text, DEFAULT_KEY_POLICY, ed448=True)
    assert refused.value.reason is Reason.CSR_BAD_SIGNATURE
    assert isinstance(parse_csr(body, DEFAULT_KEY_POLICY, ed448=True).public_key, ed448.Ed448PublicKey)


def test_it_may_be_blocked_as_any_key() -> None:
    policy = KeyPolicy(blocked=BlockedKeys([spki_sha256(KEY.public_key())]))
    with pytest.raises(Refused) as refused:
        parse_csr(csr_pem(KEY), policy, ed448=True)
    assert refused.value.reason is Reason.KEY_BLOCKED


def test_the_linter_knows_where_it_belongs() -> None:
    def codes(profile: CertificateProfile, subject: Subject) -> set[str]:
        contents = Contents(
            profile=profile, subject=subject, serial=1 << 150, not_before=NOW, not_after=NOW + profile.lifetime
        )
        root = CA.keys["root"]
        made = certificate_builder(contents, KEY.public_key(), CA.root.subject, root.public_key())
        return {each.code for each in lint(made.sign(root, hashes.SHA256()), profile)}

    assert codes(V2G20_SECC, SECC) == set()
    assert "key-type" in codes(V2G_SECC, Subject("SN-1", "CPO", country="DE", domain_component="CPO"))


def test_its_kind_and_strength_have_names() -> None:
    assert (key_description(KEY.public_key()), key_strength_bits(KEY.public_key())) == ("ed448", 224)
    assert len(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)) == 57


def test_no_ca_here_has_such_a_key() -> None:
    with pytest.raises(Misconfigured, match="no Ed448 key"):
        CertificateProfile(
            name="x", lifetime=DAY, subject=SubjectKind.AUTHORITY, is_ca=True, key_kinds=frozenset({"ed448"})
        )
    assert "ed448" not in ROOT_CA.key_kinds
