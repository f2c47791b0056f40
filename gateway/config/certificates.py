"""Checks of the certificate and key files that a configuration names."""

import datetime
import itertools
import stat
from pathlib import Path as FilePath
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from gateway.config.findings import Findings
from gateway.config.model import CertificateFiles
from gateway.config.positions import Path
from gateway.config.server_lint import server_findings
from gateway.ocpp.unreadable import UNREADABLE

__all__ = ["check_client_pair", "check_listener_certificates", "check_pem", "check_private_file", "check_trust"]

_SOON = datetime.timedelta(days=14)
_DEV = "DEV ONLY"
_MIN_BITS = {"RSA": 2048, "EC": 224}


def check_private_file(file: str, path: Path, findings: Findings) -> bool:
    """It exists, can be read, and nobody else can read it."""
    try:
        mode = FilePath(file).stat().st_mode
        with FilePath(file).open("rb"):
            pass
    except OSError as error:
        findings.error(path, f"{file}: {error.strerror}")
        return False
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        findings.error(path, f"{file} can be read by others: chmod 600 {file}")
        return False
    return True


def check_pem(file: str, path: Path, findings: Findings, *, allow_dev: bool) -> list[x509.Certificate]:
    """The certificates in a PEM file; none (and a finding) if it cannot be used."""
    try:
        certificates = x509.load_pem_x509_certificates(FilePath(file).read_bytes())
    except OSError as error:
        findings.error(path, f"{file}: {error.strerror}")
        return []
    except UNREADABLE:
        findings.error(path, f"{file} holds no PEM certificates")
        return []
    try:
        names = [certificate.subject.rfc4514_string() for certificate in certificates]
    except UNREADABLE:
        findings.error(path, f"{file} has a certificate whose subject cannot be read")
        return []
    if not allow_dev and any(_DEV in name for name in names):
        findings.error(
            path,
            f"{file} is from the development PKI; gateway.unsafe_dev_certificates = true permits it, never in production",
        )
    return certificates


def check_trust(file: str, path: Path, findings: Findings, *, allow_dev: bool) -> None:
    """A file of trust anchors: one that is no CA, or has expired, lets nobody in."""
    now = datetime.datetime.now(datetime.UTC)
    for certificate in check_pem(file, path, findings, allow_dev=allow_dev):
        name = certificate.subject.rfc4514_string()
        if not _is_ca(certificate):
            findings.warning(path, f"{file}: {name} is not a CA certificate")
        if certificate.not_valid_after_utc < now:
            findings.warning(path, f"{file}: {name} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def check_client_pair(certificate: str, key: str, path: Path, findings: Findings) -> None:
    """The gateway's own client certificate for a CSMS: both files, and they belong together."""
    if certificate and key:
        _check_pair(CertificateFiles(certificate=certificate, key=key), path, findings, allow_dev=True)
    else:
        findings.error((*path, "key" if certificate else "certificate"), "certificate and key go together")


def _check_pair(files: CertificateFiles, path: Path, findings: Findings, *, allow_dev: bool) -> x509.Certificate | None:
    chain = check_pem(files.certificate, (*path, "certificate"), findings, allow_dev=allow_dev)
    if not chain or not check_private_file(files.key, (*path, "key"), findings):
        return None
    try:
        key: Any = load_pem_private_key(FilePath(files.key).read_bytes(), None)
        public_key = chain[0].public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        findings.error((*path, "key"), f"{files.key} is not an unencrypted PEM private key of a kind that TLS can use")
        return None
    if key.public_key() != public_key:
        findings.error((*path, "key"), f"{files.key} is not the key of {files.certificate}")
        return None
    _check_chain(chain, (*path, "certificate"), findings)
    return chain[0]


def _check_chain(chain: list[x509.Certificate], path: Path, findings: Findings) -> None:
    """Each certificate is followed by its issuer, and the root is left out (A00.FR.308, 411)."""
    for certificate, issuer in itertools.pairwise(chain):
        if certificate.issuer != issuer.subject:
            findings.warning(path, "the chain is out of order: after each certificate its issuer must follow")
            return
    if len(chain) > 1 and chain[-1].issuer == chain[-1].subject:
        findings.warning(path, "the chain includes the root, which charge points with little memory may stumble over")


def _check_leaf(leaf: x509.Certificate, path: Path, findings: Findings) -> None:
    """What charge points would stumble over (A00.FR.308/309/510, 511)."""
    key = leaf.public_key()
    least = _MIN_BITS["RSA" if isinstance(key, rsa.RSAPublicKey) else "EC"]
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and key.key_size < least:
        findings.error(path, f"a key of {key.key_size} bits is too weak, {least} is the least (A00.FR.502/503)")
    names = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1:
        findings.warning(path, "the certificate should have exactly one CN, the FQDN charge points use")
    if any(name.startswith("*") for name in names):
        findings.warning(path, "a wildcard certificate is refused by charge points without AllowCSMSTLSWildcards")
    if isinstance(leaf.public_key(), rsa.RSAPublicKey) and not _may_encipher_keys(leaf):
        findings.warning(path, "an RSA certificate without keyEncipherment cannot serve the static-RSA suites")
    now = datetime.datetime.now(datetime.UTC)
    if leaf.not_valid_after_utc < now:
        findings.warning(path, f"the certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d}")
    elif leaf.not_valid_after_utc < now + _SOON:
        findings.warning(path, f"the certificate expires on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


def _may_encipher_keys(leaf: x509.Certificate) -> bool:
    try:
        return leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment
    except (x509.ExtensionNotFound, *UNREADABLE):
        return True


def check_listener_certificates(
    certificates: tuple[CertificateFiles, ...], path: Path, findings: Findings, *, allow_dev: bool
) -> None:
    """Files, keys and names of a listener's certificates, and whether both key types are there (A00.FR.318/421).

    `path`: of the array that they stand in.
    """
    kinds = set()
    for index, files in enumerate(certificates):
        place = (*path, index)
        leaf = _check_pair(files, place, findings, allow_dev=allow_dev)
        if leaf is not None:
            public_key = leaf.public_key()
            kinds.add(
                "RSA"
                if isinstance(public_key, rsa.RSAPublicKey)
                else "ECDSA"
                if isinstance(public_key, ec.EllipticCurvePublicKey)
                else ""
            )
            _check_leaf(leaf, place, findings)
            for text in server_findings(x509.load_pem_x509_certificates(FilePath(files.certificate).read_bytes())):
                findings.warning((*place, "certificate"), text)
    missing = {"RSA", "ECDSA"} - kinds
    if kinds and missing:
        findings.warning(
            path,
            f"no {' and no '.join(sorted(missing))} certificate: charge points that support only that cannot connect",
        )
