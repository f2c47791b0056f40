"""DER before a parser sees it: whatever the bytes, an end or a ValueError, and never more work than the limits say."""

import contextlib

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from pki.der_limits import TooComplex, assemble_signed, children, verify_der_limits
from tests.pki.hierarchy import Hierarchy
from tests.pki.request_material import csr_der, csr_pem

CERTIFICATE = Hierarchy().root
DER = csr_der(csr_pem())


def walked(data: bytes, depth: int = 16, elements: int = 500) -> int:
    return verify_der_limits(data, max_depth=depth, max_elements=elements)


@given(st.binary(max_size=200))
def test_any_bytes_are_walked_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert 2 <= walked(data) <= len(data)


def test_what_follows_is_left_to_the_caller() -> None:
    assert walked(DER) == len(DER)
    assert walked(DER + b"more") == len(DER)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"\x30\x81\x05" + b"\x05\x00" * 2 + b"\x00",
        b"\x30\x82\x00\x80" + bytes(128),
        b"\x30\x85\x00\x00\x00\x00\x01\x00",
        b"\x30\x03\x30\x02\x05",
        b"\x1f\x01\x00",
        b"\x30\x02\x02\x01",
    ],
    ids=["empty", "tag", "indefinite", "long form", "leading zero", "five octets", "overrun", "high tag", "cut"],
)
def test_what_is_not_der_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        walked(data)


def test_limits_are_exact() -> None:
    nested = b"\x05\x00"
    for _ in range(5):
        nested = b"\x30" + bytes([len(nested)]) + nested
    assert walked(nested, depth=5) == len(nested)
    with pytest.raises(TooComplex, match="more than 4 levels"):
        walked(nested, depth=4)
    wide = b"\x30\x0a" + b"\x05\x00" * 5
    assert walked(wide, elements=6) == len(wide)
    with pytest.raises(TooComplex, match="more than 5 parts"):
        walked(wide, elements=5)


def test_a_body_and_its_signature_make_the_certificate() -> None:
    tbs = CERTIFICATE.tbs_certificate_bytes
    der = assemble_signed(tbs, children(tbs)[2], CERTIFICATE.signature)
    assert x509.load_der_x509_certificate(der) == CERTIFICATE
