"""Do our server certificates fit what a charge point has been given: host, time, and the root above them? Pure."""

import datetime
import hashlib
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from gateway.provisioning.preflight import RootMatch
from gateway.provisioning.station_facts import InstalledRoot
from pki.encoded import issuer_name
from pki.hash_data import CertificateHashData, certificate_hash_data, is_same_certificate

__all__ = ["Chain", "chain_problem", "root_match", "roots_above"]

Chain = tuple[x509.Certificate, ...]
"""The server's certificate, then those above it."""
_SOON: Final = datetime.timedelta(days=7)
_RANK: Final[dict[RootMatch, int]] = {"same": 0, "name": 1, "none": 2, "unknown": 3}


def chain_problem(chains: Sequence[Chain], host: str, now: datetime.datetime) -> str:
    """Why a charge point could refuse one of them, or an empty string. `host`: empty where it is not known."""
    for chain in chains:
        names = _names(chain[0])
        if host and host.lower() not in names:
            return f"no certificate for {host}: the CN is {', '.join(sorted(names)) or 'none'} (A00.FR.308)"
        ends = min(each.not_valid_after_utc for each in chain)
        if ends < now + _SOON:
            return f"a certificate of the chain ends on {ends:%Y-%m-%d}"
    return "" if chains else "the listener has no server certificate"


def _names(leaf: x509.Certificate) -> set[str]:
    """The CN, which is what OCPP looks at, and the DNS names beside it."""
    found = {str(each.value).lower() for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return found
    return found | {name.lower() for name in alternatives.get_values_for_type(x509.DNSName)}


def root_match(
    chains: Sequence[Chain], roots: Sequence[x509.Certificate], installed: tuple[InstalledRoot, ...] | None
) -> RootMatch:
    """Whether the charge point can verify each of the chains. `roots`: those above the chains, where they are known."""
    if installed is None:
        return "unknown"
    matches = [_match(chain, roots, installed) for chain in chains]
    return max(matches, key=_RANK.__getitem__, default="none")


def roots_above(chains: Sequence[Chain], roots: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...] | None:
    """The root of each chain, each once; None if one of them is not known. `roots`: where they are looked for."""
    found: list[x509.Certificate] = []
    for chain in chains:
        root = next((each for each in (chain[-1], *roots) if _is_root_of(each, chain[-1])), None)
        if root is None:
            return None
        if root not in found:
            found.append(root)
    return tuple(found) or None


def _match(chain: Chain, roots: Sequence[x509.Certificate], installed: tuple[InstalledRoot, ...]) -> RootMatch:
    top = chain[-1]
    root = next((each for each in (top, *roots) if _is_root_of(each, top)), None)
    for each in installed:
        data = _hash_data(each)
        if data is None:
            continue
        if root is None:
            name = hashlib.new(data.hash_algorithm.lower(), issuer_name(top)).hexdigest()
            if name == data.issuer_name_hash.lower():
                return "name"
        elif is_same_certificate(certificate_hash_data(root, root, data.hash_algorithm), data):
            return "same"
    return "none"


def _is_root_of(root: x509.Certificate, top: x509.Certificate) -> bool:
    try:
        root.verify_directly_issued_by(root)
        top.verify_directly_issued_by(root)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def _hash_data(root: InstalledRoot) -> CertificateHashData | None:
    """None for an algorithm that OCPP does not have."""
    for algorithm in ("SHA256", "SHA384", "SHA512"):
        if root.hash_algorithm == algorithm:
            return CertificateHashData(algorithm, root.issuer_name_hash, root.issuer_key_hash, root.serial_number)
    return None
