"""The chain as the charge point wants it, cut to what it takes."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.certificate_calls import fitting
from pki.chains import ChainShape, ChainTooLong
from tests.pki.hierarchy import Hierarchy
from tests.support.tls_material import Authority

CA = Hierarchy()
LEAF = Authority().charge_point("SN-1").certificate


def pem(*certificates: x509.Certificate) -> str:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates).decode()


CHAIN = pem(LEAF, CA.issuing, CA.root)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("leaf+subs", (LEAF, CA.issuing)), ("+root", (LEAF, CA.issuing, CA.root)), ("leaf", (LEAF,))],
)
def test_shapes(shape: ChainShape, expected: tuple[x509.Certificate, ...]) -> None:
    assert fitting(CHAIN, shape, 10_000, may_be_alone=True) == pem(*expected)


def test_a_root_that_is_not_known_is_left_out() -> None:
    assert fitting(pem(LEAF, CA.issuing), "+root", 10_000, may_be_alone=True) == pem(LEAF, CA.issuing)


@pytest.mark.requirement("A02.FR.16")
def test_what_does_not_fit_goes_without_the_cas_and_not_at_all_if_it_is_too_long_itself() -> None:
    whole, alone = len(pem(LEAF, CA.issuing)), len(pem(LEAF))
    assert fitting(CHAIN, "leaf+subs", whole, may_be_alone=True) == pem(LEAF, CA.issuing)
    assert fitting(CHAIN, "leaf+subs", whole - 1, may_be_alone=True) == pem(LEAF)
    assert fitting(CHAIN, "leaf+subs", alone, may_be_alone=True) == pem(LEAF)
    with pytest.raises(ChainTooLong):
        fitting(CHAIN, "leaf+subs", alone - 1, may_be_alone=True)


def test_it_does_not_go_alone_where_nobody_would_know_it_by_itself() -> None:
    whole = len(pem(LEAF, CA.issuing))
    assert fitting(CHAIN, "leaf+subs", whole, may_be_alone=False) == pem(LEAF, CA.issuing)
    with pytest.raises(ChainTooLong):
        fitting(CHAIN, "leaf+subs", whole - 1, may_be_alone=False)
