"""What charge points call a root certificate: its hash data, in each algorithm and by each way of naming a linked one."""

import hashlib
from collections.abc import Iterable
from typing import Final, get_args

from cryptography import x509

from gateway.link.messages import EdgeSettings
from gateway.provisioning.rollover import RolloverNames
from gateway.provisioning.roots import RootName
from pki.encoded import issuer_name, public_key_bits
from pki.hash_data import CertificateHashData, HashAlgorithm, certificate_hash_data
from pki.unreadable import UNREADABLE

__all__ = ["linked_names", "names_above", "rollover_names", "root_names"]

_ALGORITHMS: Final[tuple[HashAlgorithm, ...]] = get_args(HashAlgorithm)


def root_names(root: x509.Certificate) -> tuple[RootName, ...]:
    """Of a self-signed certificate. Raises ValueError for another one."""
    return tuple(_name(certificate_hash_data(root, root, algorithm)) for algorithm in _ALGORITHMS)


def linked_names(link: x509.Certificate, issuer: x509.Certificate) -> tuple[RootName, ...]:
    """Of a root that is signed by another one. Raises ValueError if it is not.

    A charge point that has lost the issuer, or takes every root for self-signed, hashes the root's own key instead.
    """
    found = [certificate_hash_data(link, issuer, algorithm) for algorithm in _ALGORITHMS]
    own = [
        each._replace(issuer_key_hash=hashlib.new(each.hash_algorithm.lower(), public_key_bits(link)).hexdigest())
        for each in found
    ]
    return tuple(map(_name, (*found, *own)))


def rollover_names(old: x509.Certificate, new: x509.Certificate, link: x509.Certificate | None) -> RolloverNames:
    """Of the certificates of a rollover. Raises ValueError if they are not what their places say."""
    return RolloverNames(root_names(old), root_names(new), linked_names(link, old) if link is not None else ())


def unfit(certificate: x509.Certificate, now: float) -> str:
    """Why a certificate is nothing to trust others by, or an empty string. `now`: seconds since the epoch."""
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        is_ca = False
    if not is_ca:
        return "it is no CA certificate (basicConstraints)"
    from_s, until_s = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return "" if from_s <= now <= until_s else "it is not valid now"


def names_above(settings: EdgeSettings) -> tuple[str, ...]:
    """Hashes, in each algorithm, of the names of the roots under which the listeners' server certificates are."""
    names: set[bytes] = set()
    for listener in settings.listeners:
        for pem in listener.certificates:
            chain = x509.load_pem_x509_certificates(pem.chain)
            names.add(issuer_name(chain[-1]))
    return tuple(sorted(_digests(names)))


def _digests(names: Iterable[bytes]) -> set[str]:
    return {hashlib.new(algorithm.lower(), name).hexdigest() for name in names for algorithm in _ALGORITHMS}


def _name(data: CertificateHashData) -> RootName:
    return RootName(data.hash_algorithm, data.issuer_name_hash, data.issuer_key_hash, data.serial_number)
