"""Certificate hash data: which certificate it names. Against openssl: tests/interop/test_revocation_judges.py."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pki.hash_data import CertificateHashData, certificate_hash_data, is_same_certificate, normal_serial
from tests.support.revocation_material import HOUR, authority, moment
from tests.support.tls_material import Authority

LEAF = authority().charge_point("SN-1").certificate
DATA = certificate_hash_data(LEAF, authority().root)


def test_all_fields_are_lower_case_hex_of_the_algorithms_length() -> None:
    for algorithm, digits in (("SHA256", 64), ("SHA384", 96), ("SHA512", 128)):
        found = certificate_hash_data(LEAF, authority().root, algorithm)  # type: ignore[arg-type]
        assert (found.hash_algorithm, len(found.issuer_name_hash), len(found.issuer_key_hash)) == (
            algorithm,
            digits,
            digits,
        )
        assert "".join(found[1:]) == "".join(found[1:]).lower()
        assert int(found.serial_number, 16) == LEAF.serial_number


def test_a_root_is_its_own_issuer() -> None:
    root = authority().root
    found = certificate_hash_data(root, root)
    assert found.issuer_name_hash == DATA.issuer_name_hash
    assert found.issuer_key_hash == DATA.issuer_key_hash


@pytest.mark.parametrize("other", [Authority("Another CA"), Authority("Revoking CA")], ids=["name", "same-name"])
def test_only_with_its_own_issuer(other: Authority) -> None:
    with pytest.raises(ValueError, match="issuer"):
        certificate_hash_data(LEAF, other.root)


def test_a_name_of_another_string_type_is_hashed_as_it_is() -> None:
    issuer = authority()
    printable = x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA", x509.name._ASN1Type.PrintableString)
    utf8 = x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA", x509.name._ASN1Type.UTF8String)
    found = set()
    for name in (x509.Name([printable]), x509.Name([utf8])):
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(issuer.key.public_key())
        builder = builder.serial_number(1).not_valid_before(moment()).not_valid_after(moment() + HOUR)
        root = builder.sign(issuer.key, hashes.SHA256())
        found.add(certificate_hash_data(root, root).issuer_name_hash)
    assert len(found) == 2


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"serial_number": "00" + DATA.serial_number.upper()}, True),
        ({"issuer_name_hash": DATA.issuer_name_hash.upper(), "issuer_key_hash": DATA.issuer_key_hash.upper()}, True),
        ({"serial_number": DATA.serial_number + "0"}, False),
        ({"issuer_name_hash": DATA.issuer_key_hash}, False),
        ({"issuer_key_hash": DATA.issuer_name_hash}, False),
        ({"hash_algorithm": "SHA384"}, False),
    ],
)
def test_case_and_leading_zeroes_do_not_count_and_everything_else_does(changes: dict[str, str], same: bool) -> None:
    assert is_same_certificate(DATA, DATA._replace(**changes)) is same  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "normal"), [("0A1b", "a1b"), ("0x0a", "a"), ("000", "0"), (" 5 ", "5"), ("100", "100")]
)
def test_serial_numbers_are_written_in_one_way(text: str, normal: str) -> None:
    assert normal_serial(text) == normal


def test_an_empty_serial_number_is_nobodys() -> None:
    assert not is_same_certificate(DATA, CertificateHashData(*DATA[:3], ""))
