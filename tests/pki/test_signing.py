"""What comes back from a signer is compared with what was asked for."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pki.keys import KeyKind, certificate_key, generate_key
from pki.names import Subject
from pki.profiles import CHARGE_POINT
from pki.signatures import sign, signature_hash
from pki.signing import (
    ThrowAwayKeys,
    certificate_of,
    random_serial,
    unsigned_certificate,
    unsigned_revocation_list,
    verify_signed,
)
from pki.template import Contents, certificate_builder
from tests.pki.hierarchy import DAY, NOW, Hierarchy

CA = Hierarchy()
THROW_AWAY = ThrowAwayKeys()


def builder(issuer_key) -> x509.CertificateBuilder:
    contents = Contents(
        profile=CHARGE_POINT,
        subject=Subject("SN-1", "CPO"),
        serial=random_serial(),
        not_before=NOW,
        not_after=NOW + DAY,
    )
    leaf = ec.generate_private_key(ec.SECP256R1()).public_key()
    return certificate_builder(contents, leaf, CA.root.subject, issuer_key)


@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "ec-p521", "rsa-2048", "rsa-3072"])
def test_a_throw_away_signature_gives_the_body_that_the_issuer_signs(kind: KeyKind) -> None:
    key = generate_key(kind)
    tbs = THROW_AWAY.sign(builder(key.public_key()), key.public_key()).tbs_certificate_bytes
    certificate = x509.load_der_x509_certificate(certificate_of(tbs, sign(key, tbs)))
    verify_signed(certificate, tbs, key.public_key())
    assert isinstance(certificate.signature_hash_algorithm, type(signature_hash(key.public_key())))
    expected = {"ec-p384": "sha384", "ec-p521": "sha512"}.get(kind, "sha256")
    assert signature_hash(key.public_key()).name == expected


@pytest.mark.parametrize("kind", ["ec-p256", "rsa-2048"])
def test_anything_else_is_not_taken(kind: KeyKind) -> None:
    key, other = generate_key(kind), generate_key(kind)
    tbs = THROW_AWAY.sign(builder(key.public_key()), key.public_key()).tbs_certificate_bytes
    good = x509.load_der_x509_certificate(certificate_of(tbs, sign(key, tbs)))
    with pytest.raises(ValueError, match="another certificate"):
        verify_signed(good, tbs[:-1], key.public_key())
    with pytest.raises(ValueError, match="not the issuer's"):
        verify_signed(good, tbs, other.public_key())
    wrong = x509.load_der_x509_certificate(certificate_of(tbs, sign(other, tbs)))
    with pytest.raises(ValueError, match="not the issuer's"):
        verify_signed(wrong, tbs, key.public_key())


def test_an_algorithm_that_is_not_the_issuers_is_not_taken() -> None:
    key = CA.keys["root"]
    certificate = builder(key.public_key()).sign(key, hashes.SHA384())
    with pytest.raises(ValueError, match="signature algorithm"):
        verify_signed(certificate, certificate.tbs_certificate_bytes, key.public_key())
    with pytest.raises(ValueError, match="signature algorithm"):
        verify_signed(CA.issuing, CA.issuing.tbs_certificate_bytes, rsa.generate_private_key(65537, 2048).public_key())


@pytest.mark.parametrize(
    "body", [b"", b"\x30\x00", b"\x30\x04\x05\x00\x05\x00", CA.root.tbs_certificate_bytes + b"\0", b"x" * 50]
)
def test_what_is_not_the_body_of_a_certificate_or_list_is_told(body: bytes) -> None:
    with pytest.raises(ValueError):
        unsigned_certificate(body)
    with pytest.raises(ValueError):
        unsigned_revocation_list(body, certificate_key(CA.root))


def test_serial_numbers_have_twenty_octets_and_are_never_the_same() -> None:
    made = {random_serial() for _ in range(1000)}
    assert len(made) == 1000
    assert {serial.bit_length() for serial in made} == {159}
