"""What charge points stumble over in a server's certificate that TLS libraries accept: names, wildcards, hashes, size."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.ocpp.unreadable import UNREADABLE

__all__ = ["server_findings"]

_MAX_CHAIN_BYTES: Final = 4_096
"""TLS stacks for small devices are often built with record buffers of 4 kB (Mbed TLS, wolfSSL)."""
_MAX_CERTIFICATES: Final = 3
_HOST_NAME: Final = re.compile(
    r"(?:[A-Za-z0-9*](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)
_WEAK_HASHES: Final = frozenset({"md5", "sha1", "sha224"})


def server_findings(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """Sentences, none if there is nothing to say. `chain`: as it is sent, leaf first."""
    try:
        yield from _findings(chain)
    except UNREADABLE as error:
        yield f"it has a part that cannot be read: {error}"


def _findings(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    leaf = chain[0]
    common_names = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    yield from _names(common_names, leaf)
    yield from _use(leaf)
    for certificate in chain:
        if certificate.issuer != certificate.subject and _hash(certificate) in _WEAK_HASHES:
            yield f"'{certificate.subject.rfc4514_string()}' is signed with {_hash(certificate)}, which is refused today"
    size = sum(len(certificate.public_bytes(Encoding.DER)) for certificate in chain)
    if size > _MAX_CHAIN_BYTES:
        yield f"the chain has {size} bytes: charge points with buffers of {_MAX_CHAIN_BYTES} cannot take it"
    if len(chain) > _MAX_CERTIFICATES:
        yield f"the chain has {len(chain)} certificates; many charge points stop at {_MAX_CERTIFICATES}"


def _names(common_names: Sequence[str], leaf: x509.Certificate) -> Iterator[str]:
    """A00.FR.309, 510: the CN is the FQDN; modern stacks look at nothing but alternative names."""
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        yield "it has no subjectAltName: charge points with a modern TLS stack refuse it"
        return
    hosts = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    for name in common_names[:1]:
        if name.lower() not in {host.lower() for host in hosts} and not _is_address(name):
            yield f"its CN {name!r} is not among its subjectAltNames: modern charge points do not find it"
    for host in hosts:
        if host in common_names and host.startswith("*"):
            continue  # said of the CN
        if host.startswith("*"):
            yield f"{host!r} is a wildcard, which is refused by charge points without AllowCSMSTLSWildcards"
        elif not _HOST_NAME.fullmatch(host) and host != "localhost":
            yield f"{host!r} is not a fully qualified host name (A00.FR.510)"
    if addresses and not hosts:
        yield "it names addresses alone: OCPP wants a fully qualified host name (A00.FR.510)"


def _use(leaf: x509.Certificate) -> Iterator[str]:
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        yield "it has no extended key usage: some charge points demand serverAuth"
        return
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        yield "its extended key usage has no serverAuth: charge points refuse it"


def _hash(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return algorithm.name if algorithm is not None else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
