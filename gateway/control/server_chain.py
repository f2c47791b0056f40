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

__all__ = ["Chain", "chain_problem", "is_under", "links", "root_match", "roots_above"]

Chain = tuple[x509.Certificate, ...]
"""The server's certificate, then those above it."""
_SOON: Final = datetime.timedelta(days=7)
_LAST_PART: Final = 4
_RANK: Final[dict[RootMatch, int]] = {"same": 0, "name": 1, "none": 2, "unknown": 3}


def chain_problem(chains: Sequence[Chain], host: str, now: datetime.datetime) -> str:
    """Why a charge point could refuse one of them, or an empty string. `host`: empty where it is not known."""
    for chain in chains:
        names = _names(chain[0])
        if host and host.lower() not in names:
            return f"no certificate for {host}: the CN is {', '.join(sorted(names)) or 'none'} (A00.FR.308)"
        ending = [each.not_valid_after_utc for each in chain if _ends_soon(each, now)]
        if ending:
            return f"a certificate of the chain ends on {min(ending):%Y-%m-%d}"
    return "" if chains else "the listener has no server certificate"


def _ends_soon(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    """One that lives a day always ends within a week; what counts then is that somebody renews it, at two thirds of its life."""
    ends = certificate.not_valid_after_utc
    return ends - now < min(_SOON, (ends - certificate.not_valid_before_utc) / _LAST_PART)


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
    """The nearest root of each chain, each once; None if one is not known. `roots`: where they are looked for."""
    found: list[x509.Certificate] = []
    for chain in chains:
        above = _roots_of(chain, roots)
        if not above:
            return None
        if above[0] not in found:
            found.append(above[0])
    return tuple(found) or None


def is_under(chain: Sequence[x509.Certificate], root: x509.Certificate) -> bool:
    """True if whoever trusts this root alone can verify the chain: from the leaf up to one that the root has issued."""
    return _depth(chain, root) >= 0


def links(chain: Sequence[x509.Certificate], old: x509.Certificate, new: x509.Certificate) -> bool:
    """True if whoever trusts the old root alone can verify a chain under the new one, by the link in it."""
    return is_under(chain, old) and any(
        each.public_key() == new.public_key() and _has_issued(old, each) for each in chain
    )


def _depth(chain: Sequence[x509.Certificate], root: x509.Certificate) -> int:
    """Which certificate of a chain the root has issued, with an unbroken chain up to it; -1: none."""
    for place, certificate in enumerate(chain):
        if _has_issued(root, certificate):
            return place
        if place + 1 == len(chain) or not _has_issued(chain[place + 1], certificate):
            return -1
    return -1


def _roots_of(chain: Chain, roots: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Every known root under which a chain is, the nearest first: one with a link in it is under two."""
    known = [each for each in (chain[-1], *roots) if _has_issued(each, each) and is_under(chain, each)]
    return sorted(known, key=lambda each: _depth(chain, each))


def _match(chain: Chain, roots: Sequence[x509.Certificate], installed: tuple[InstalledRoot, ...]) -> RootMatch:
    above = _roots_of(chain, roots)
    top = chain[-1]
    for each in installed:
        data = _hash_data(each)
        if data is None:
            continue
        if any(is_same_certificate(certificate_hash_data(root, root, data.hash_algorithm), data) for root in above):
            return "same"
        name = hashlib.new(data.hash_algorithm.lower(), issuer_name(top)).hexdigest()
        if not above and name == data.issuer_name_hash.lower():
            return "name"
    return "none"


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def _hash_data(root: InstalledRoot) -> CertificateHashData | None:
    """None for an algorithm that OCPP does not have."""
    for algorithm in ("SHA256", "SHA384", "SHA512"):
        if root.hash_algorithm == algorithm:
            return CertificateHashData(algorithm, root.issuer_name_hash, root.issuer_key_hash, root.serial_number)
    return None
