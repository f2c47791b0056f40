"""Requests as real stacks write them: the proof is checked over the bytes as they came, and near them nothing gets through."""

import subprocess
import unicodedata
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from pki.csr import CertificateRequest, parse_csr, verify_subject
from pki.der import SEQUENCE, element
from pki.der_limits import children
from pki.errors import Reason, Refused
from pki.key_policy import DEFAULT_KEY_POLICY
from pki.names import Subject
from tests.pki.request_material import csr_pem, pem

KEY, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
CN, O = bytes.fromhex("0603550403"), bytes.fromhex("060355040a")  # noqa: E741
PRINTABLE, T61, UTF8 = 0x13, 0x14, 0x0C
EMPTY_ATTRIBUTES = b"\xa0\x00"
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
WITH_NULL = bytes.fromhex("300c06082a8648ce3d0403020500")
RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")


def name(*parts: tuple[bytes, int, bytes]) -> bytes:
    rdns = (element(0x31, element(SEQUENCE, kind + element(tag, value))) for kind, tag, value in parts)
    return element(SEQUENCE, b"".join(rdns))


PLAIN = name((O, UTF8, b"CPO"), (CN, UTF8, b"SN-1"))
UNDERSCORE = name((O, PRINTABLE, b"C_P&O"), (CN, PRINTABLE, b"SN_1"))
LATIN = name((O, T61, "Köln".encode("latin-1")), (CN, PRINTABLE, b"SN-1"))


def built(subject: bytes = PLAIN, attributes: bytes = EMPTY_ATTRIBUTES, algorithm: bytes = b"", key=KEY) -> bytes:
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    info = element(SEQUENCE, b"\x02\x01\x00" + subject + spki + attributes)
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm, signature = algorithm or RSA_SHA256, key.sign(info, padding.PKCS1v15(), hashes.SHA256())
    else:
        algorithm, signature = algorithm or ECDSA_SHA256, key.sign(info, ec.ECDSA(hashes.SHA256()))
    return element(SEQUENCE, info + algorithm + element(3, b"\0" + signature))


def parsed(text: str) -> CertificateRequest:
    return parse_csr(text, DEFAULT_KEY_POLICY)


def refusal(text: str) -> Reason:
    with pytest.raises(Refused) as refused:
        parsed(text)
    return refused.value.reason


CASES = {
    "underscore": (built(UNDERSCORE), "SN_1", "C_P&O", "characters that PrintableString does not have"),
    "latin": (built(LATIN), "SN-1", "Köln", "T61String"),
    "no-attributes": (built(attributes=b""), "SN-1", "CPO", "no attributes"),
    "null": (built(algorithm=WITH_NULL), "SN-1", "CPO", "NULL beside ECDSA"),
    "rsa": (built(UNDERSCORE, attributes=b"", key=RSA), "SN_1", "C_P&O", "no attributes"),
}


@pytest.mark.parametrize("case", CASES)
def test_they_are_read_as_openssl_reads_them(case: str, tmp_path: Path) -> None:
    der, common_name, organization, departure = CASES[case]
    found = parsed(pem(der))
    assert (found.common_name, found.organization) == (common_name, organization)
    assert departure in found.departures
    (tmp_path / "csr").write_text(pem(der))
    command = ["openssl", "req", "-in", str(tmp_path / "csr"), "-verify", "-noout"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_as_the_standard_has_it_departs_in_nothing() -> None:
    assert parsed(pem(built())).departures == ()


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_signature_is_one_in_any_dialect(case: str) -> None:
    der = bytearray(CASES[case][0])
    der[-1] ^= 1
    assert refusal(pem(bytes(der))) is Reason.CSR_BAD_SIGNATURE


def test_a_signature_of_other_bits_than_it_has_is_none() -> None:
    der = next(found for found in iter(lambda: built(attributes=b""), b"") if not found[-1] & 1)
    assert parsed(pem(der)).departures == ("no attributes",)
    start = len(der) - len(children(der)[2]) + 2
    assert refusal(pem(der[:start] + b"\1" + der[start + 1 :])) is Reason.CSR_BAD_DER


@given(st.sampled_from(sorted(CASES)), st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_gets_through(case: str, position: int, change: int) -> None:
    der = bytearray(CASES[case][0])
    der[position % len(der)] ^= change
    refusal(pem(bytes(der)))


@pytest.mark.parametrize(
    "der",
    [
        built(name((CN, PRINTABLE, b"SN\xff1"))),  # not even ASCII
        built(attributes=b"\xa1\x00"),
        built(algorithm=bytes.fromhex("300c06082a8648ce3d0403020501")[:-1] + b"\0\0"),
        built(algorithm=bytes.fromhex("300d06082a8648ce3d040302020101")),
        built(subject=element(0x31, b"")),
        built(subject=element(SEQUENCE, element(SEQUENCE, b""))),
    ],
    ids=["bytes", "attributes", "trailing", "parameters", "set", "no-set"],
)
def test_what_only_looks_like_a_dialect_is_refused(der: bytes) -> None:
    assert refusal(pem(der)).code.startswith("csr-")


def test_a_name_that_deceives_does_so_in_no_encoding() -> None:
    assert refusal(pem(built(name((CN, T61, b"SN\x001"))))) is Reason.NAME_CONTROL_CHARACTER
    assert refusal(pem(built(name((CN, PRINTABLE, b"SN_\x00"))))) is Reason.NAME_CONTROL_CHARACTER


GOOD = csr_pem(KEY)


@pytest.mark.parametrize(
    ("text", "departure"),
    [
        ("\ufeff" + GOOD, "byte order mark"),
        (GOOD.replace("\n", "\\n"), "line ends written out"),
        (GOOD.replace("\n", "\\r\\n"), "line ends written out"),
        ("Certificate Request:\n    Data:\n        Version: 1 (0x0)\n" + GOOD, "text before the request"),
    ],
)
def test_pem_as_it_comes(text: str, departure: str) -> None:
    found = parsed(text)
    assert found.departures == (departure,)
    assert found.csr_sha256 == parsed(GOOD).csr_sha256


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "\0",
        GOOD + "Certificate Request:\n",
        "-----BEGIN X-----\n-----END X-----\n" + GOOD,
        "----- \n" + GOOD,
        "words\n" + GOOD + GOOD,
        GOOD[:200] + "\\n" + GOOD[200:],
    ],
)
def test_pem_that_is_not_one_block_is_none(text: str) -> None:
    assert refusal(text) in {Reason.CSR_NOT_ONE_PEM_BLOCK, Reason.CSR_BAD_BASE64}


def test_an_organisation_is_the_same_however_it_is_composed() -> None:
    for form in ("NFC", "NFD"):
        request = parsed(csr_pem(KEY, organization=unicodedata.normalize(form, "Stadtwerke Köln")))
        for other in ("NFC", "NFD"):
            verify_subject(request, Subject("SN-1", unicodedata.normalize(other, "Stadtwerke Köln")))
    with pytest.raises(Refused):
        verify_subject(parsed(csr_pem(KEY, organization="Stadtwerke Koln")), Subject("SN-1", "Stadtwerke Köln"))
