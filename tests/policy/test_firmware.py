"""Who signs firmware: certificates and signatures that a charge point could check, and those it should never be shown."""

import base64
import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.policy.cel.certificates import issued_by
from gateway.policy.cel.operations import OperationError
from gateway.policy.facts import Facts

IMAGE = b"firmware"
BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def certificate(subject: str, key: Any, issuer: str, issuer_key: Any, *extensions: x509.ExtensionType) -> str:
    builder = x509.CertificateBuilder(
        name(issuer), name(subject), key.public_key(), 1, BEGIN, BEGIN + datetime.timedelta(days=30)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, algorithm).public_bytes(Encoding.PEM).decode()


ROOT = certificate("Maker Root", ROOT_KEY, "Maker Root", ROOT_KEY, x509.BasicConstraints(ca=True, path_length=None))


def usage(*, signature: bool) -> x509.KeyUsage:
    return x509.KeyUsage(signature, False, False, False, False, False, False, False, False)


def signed(key: Any) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        raw = key.sign(IMAGE, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    else:
        raw = key.sign(IMAGE, ec.ECDSA(hashes.SHA256()))
    return base64.b64encode(raw).decode()


def plain(signature: str) -> str:
    """The same signature as two numbers one behind the other."""
    r, s = decode_dss_signature(base64.b64decode(signature))
    return base64.b64encode(r.to_bytes(32) + s.to_bytes(32)).decode()


def facts(pem: Any, signature: Any) -> Facts:
    return Facts("UpdateFirmware", {"firmware": {"signingCertificate": pem, "signature": signature}})


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY], ids=["rsa", "ec"])
def test_a_certificate_and_a_signature_that_fits_its_key(key: Any) -> None:
    pem = certificate("Maker Firmware", key, "Maker Root", ROOT_KEY, usage(signature=True))
    found = facts(pem, signed(key)).firmware
    assert found.ok
    assert (found.not_before, found.not_after) == (BEGIN, BEGIN + datetime.timedelta(days=30))
    assert issued_by(found.certificate, [ROOT])


def test_other_ways_to_write_a_signature_are_read_as_well() -> None:
    pem = certificate("Maker Firmware", EC_KEY, "Maker Root", ROOT_KEY)
    assert facts(pem, plain(signed(EC_KEY))).firmware.ok
    text = signed(EC_KEY)
    assert facts(pem, f"{text[:64]}\r\n{text[64:]}\n").firmware.ok


def _bad() -> list[tuple[str, Any, Any]]:
    good = certificate("F", EC_KEY, "Maker Root", ROOT_KEY)
    small, odd = rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()
    ca = x509.BasicConstraints(ca=True, path_length=0)
    return [
        ("none", None, signed(EC_KEY)),
        ("no signature", good, None),
        ("text", "c", "s"),
        ("two certificates", good + good, signed(EC_KEY)),
        ("a CA", certificate("F", EC_KEY, "Maker Root", ROOT_KEY, ca), signed(EC_KEY)),
        (
            "not for signatures",
            certificate("F", EC_KEY, "Maker Root", ROOT_KEY, usage(signature=False)),
            signed(EC_KEY),
        ),
        ("weak key", certificate("F", small, "Maker Root", ROOT_KEY), base64.b64encode(bytes(128)).decode()),
        ("Ed25519", certificate("F", odd, "Maker Root", ROOT_KEY), base64.b64encode(bytes(64)).decode()),
        ("not base64", good, "?" + signed(EC_KEY)),
        ("of an RSA key", good, signed(RSA_KEY)),
        ("of zeros", good, base64.b64encode(bytes(64)).decode()),
        ("too long", good, "A" * 804),
    ]


@pytest.mark.parametrize(("pem", "signature"), [each[1:] for each in _bad()], ids=[each[0] for each in _bad()])
def test_what_no_charge_point_should_be_shown(pem: Any, signature: Any) -> None:
    assert not facts(pem, signature).firmware.ok


def test_messages_without_firmware_have_none() -> None:
    assert not Facts("Reset", {"type": "Soft"}).firmware.ok
    assert not Facts("UpdateFirmware", {"firmware": []}).firmware.ok


class TestIssuedBy:
    LEAF = certificate("Maker Firmware", EC_KEY, "Maker Root", ROOT_KEY)

    def test_a_namesake_of_the_root_is_not_the_root(self) -> None:
        other = ec.generate_private_key(ec.SECP256R1())
        impostor = certificate("Maker Root", other, "Maker Root", other)
        assert not issued_by(self.LEAF, [impostor])
        assert issued_by(self.LEAF, [impostor, ROOT])

    def test_nobody_is_pinned(self) -> None:
        assert not issued_by(self.LEAF, [])

    def test_a_certificate_between_is_none_of_the_roots(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        between = certificate("Sub", key, "Maker Root", ROOT_KEY, x509.BasicConstraints(ca=True, path_length=0))
        leaf = certificate("Maker Firmware", EC_KEY, "Sub", key)
        assert not issued_by(leaf, [ROOT])
        assert issued_by(leaf, [between]), "unless it is pinned itself"

    @pytest.mark.parametrize("text", ["", "c", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "é"])
    def test_what_is_no_certificate_is_issued_by_nobody(self, text: str) -> None:
        assert not issued_by(text, [ROOT])

    @pytest.mark.parametrize("roots", [["x"], [ROOT, "é"], [1], [ROOT] * 65, "x", None])
    def test_a_mistake_in_what_is_pinned_lets_nothing_pass(self, roots: Any) -> None:
        with pytest.raises(OperationError):
            issued_by(self.LEAF, roots)
