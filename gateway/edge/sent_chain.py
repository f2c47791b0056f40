"""Which certificates a server sends: those of its file, completed where that has the server's own alone. Pure."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

__all__ = ["completed"]


def completed(chain_pem: bytes, trust_pem: bytes) -> bytes:
    """PEM of the chain as it is sent, leaf first. `trust_pem`: where missing intermediates are looked for; may be empty.

    OpenSSL completes a lone server certificate from the roots that client certificates are verified by: with each
    handshake anew, signatures included, and with the root, which nobody needs (RFC 8446, 4.4.2). Charge points may have
    come to depend on the intermediates.
    """
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
        others = x509.load_pem_x509_certificates(trust_pem) if len(chain) == 1 and trust_pem else []
    except ValueError:
        return chain_pem  # OpenSSL says what it thinks of it
    intermediates = [each for each in others if each.subject != each.issuer]
    known = len(chain)
    while (above := _issuer(chain[-1], intermediates)) is not None and above not in chain:
        chain.append(above)
    added = b"".join(each.public_bytes(Encoding.PEM) for each in chain[known:])
    return b"\n".join((chain_pem.rstrip(), added)) if added else chain_pem


def _issuer(certificate: x509.Certificate, candidates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    for each in candidates:
        try:
            certificate.verify_directly_issued_by(each)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
        return each
    return None
