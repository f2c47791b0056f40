"""Certificate chains: put in order, cut to the shape that a peer understands, kept within its size limit."""

from collections.abc import Iterable
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from pki.unreadable import UNREADABLE

__all__ = [
    "ChainShape",
    "ChainTooLong",
    "chain_from",
    "is_issued_by",
    "is_self_signed",
    "ordered_chain",
    "pem_chain",
    "shaped",
]

ChainShape = Literal["leaf+subs", "+root", "leaf"]
"""``leaf+subs`` is the rule; ``+root`` for stacks that verify only with the root; ``leaf`` where there is no room."""


class ChainTooLong(ValueError):  # noqa: N818  names the state
    """The chain does not fit what the peer takes. `size` and `max_bytes`, of PEM text."""

    def __init__(self, size: int, max_bytes: int) -> None:
        super().__init__(f"the chain has {size} bytes of PEM, and {max_bytes} are the limit")
        self.size = size
        self.max_bytes = max_bytes


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """True if the issuer's name and its key's signature are on the certificate. Says nothing about validity."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def is_self_signed(certificate: x509.Certificate) -> bool:
    """True for a root: its own key has signed it."""
    return certificate.issuer == certificate.subject and is_issued_by(certificate, certificate)


def ordered_chain(leaf: x509.Certificate, others: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The leaf, its issuer, the issuer's issuer and so on, from certificates in any order (RFC 7030 promises none).

    Where one name has several certificates (root rollover) the self-signed one is taken last. Raises ValueError if a
    certificate is left over: a chain with a stranger in it was not meant for this leaf.
    """
    rest = {each for each in others if each != leaf}
    chain = chain_from(leaf, rest)
    strangers = rest.difference(chain)
    if strangers:
        names = ", ".join(sorted(each.subject.rfc4514_string() for each in strangers)[:3])
        raise ValueError(f"not in the chain of the leaf: {names}")
    return chain


def chain_from(leaf: x509.Certificate, pool: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The same, and what of `pool` does not belong to it is left out."""
    rest = sorted({each for each in pool if each != leaf}, key=is_self_signed)
    chain = [leaf]
    while not is_self_signed(chain[-1]):
        issuer = next((each for each in rest if is_issued_by(chain[-1], each)), None)
        if issuer is None:
            break
        chain.append(issuer)
        rest.remove(issuer)
    return tuple(chain)


def shaped(chain: tuple[x509.Certificate, ...], shape: ChainShape) -> tuple[x509.Certificate, ...]:
    """An ordered chain as the peer wants it. Raises ValueError if it wants a root and there is none."""
    if shape == "leaf":
        return chain[:1]
    has_root = is_self_signed(chain[-1])
    if shape == "+root" and not has_root:
        raise ValueError("the chain does not end in a root")
    return chain[:-1] if shape == "leaf+subs" and has_root and len(chain) > 1 else chain


def pem_chain(chain: Iterable[x509.Certificate], max_bytes: int) -> bytes:
    """PEM text of a chain, one block after the other. Raises ChainTooLong.

    `max_bytes`: what the peer takes (MaxCertificateChainSize, CertificateSignedMaxChainSize), 10 000 in the schemas.
    """
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
    if len(pem) > max_bytes:
        raise ChainTooLong(len(pem), max_bytes)
    return pem
