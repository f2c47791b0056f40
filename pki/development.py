"""The development hierarchy: everything a demo or a test rig needs, marked DEV ONLY in every subject.

The gateway refuses these certificates unless its configuration says unsafe_dev_certificates. Keys are made on the
spot and never committed.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.authority import Authority, Issued, Subject
from pki.keys import KeyKind, write_key
from pki.profiles import CHARGE_POINT, CHARGE_POINT_ISSUING_CA, CSMS, CSMS_ISSUING_CA

__all__ = ["OPERATOR", "OTHER_OPERATOR", "ChargePointCertificate", "make_development_pki"]

OPERATOR = "Demo Operator"
OTHER_OPERATOR = "Other Operator"
_UNIT = "DEV ONLY"
_RENEW_BEFORE = datetime.timedelta(days=7)
_MARKER = "complete.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePointCertificate:
    """A client certificate to make: file name, CN (serial number), key kind, and what is wrong with it."""

    name: str
    serial_number: str
    kind: KeyKind = "ec-p256"
    other_operator: bool = False
    expired: bool = False


def _subject(common_name: str, organization: str = OPERATOR) -> Subject:
    return Subject(common_name, organization, _UNIT)


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _write(directory: Path, name: str, issued: Issued, *issuers: x509.Certificate) -> None:
    (directory / f"{name}.pem").write_bytes(_pem(issued.certificate, *issuers))
    write_key(issued.key, directory / f"{name}.key")


def _fresh(directory: Path, wanted: tuple[ChargePointCertificate, ...], host: str, now: datetime.datetime) -> bool:
    """True if the directory already holds exactly what is wanted, long enough."""
    marker = directory / _MARKER
    if not marker.exists() or marker.read_text() != _description(wanted, host):
        return False
    files = ["server-rsa", "server-ecdsa", *(entry.name for entry in wanted if not entry.expired)]
    keys = ["server-rsa", "server-ecdsa", *(entry.name for entry in wanted)]
    if not all((directory / name).exists() for name in ("root.pem", *(f"{key}.key" for key in keys))):
        return False
    try:
        leaves = [x509.load_pem_x509_certificates((directory / f"{name}.pem").read_bytes())[0] for name in files]
    except (OSError, ValueError):
        return False
    return all(leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc - _RENEW_BEFORE for leaf in leaves)


def _description(wanted: tuple[ChargePointCertificate, ...], host: str) -> str:
    return "\n".join([host, *(repr(entry) for entry in wanted), ""])


class _Hierarchy(NamedTuple):
    """A root, and below it a CA for each side."""

    root: Authority
    charge_points: Authority
    servers: Authority


def _hierarchy(organization: str, now: datetime.datetime) -> _Hierarchy:
    root = Authority.create_root(_subject(f"{organization} Root", organization), "ec-p256", now)
    below = (
        Authority(root.issue(profile, _subject(f"{organization} {name}", organization), "ec-p256", now))
        for profile, name in ((CHARGE_POINT_ISSUING_CA, "Charge Points"), (CSMS_ISSUING_CA, "Servers"))
    )
    return _Hierarchy(root, *below)


def make_development_pki(
    directory: Path,
    now: datetime.datetime,
    *,
    host: str = "localhost",
    charge_points: tuple[ChargePointCertificate, ...] = (),
) -> bool:
    """Make the hierarchy in `directory`, or leave it alone if it is complete and valid for another week.

    Writes root.pem (trust anchor for both directions), server-rsa.pem/.key, server-ecdsa.pem/.key and NAME.pem/.key
    for each charge point; chains are leaf first, without the root. Returns True if anything was made.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if _fresh(directory, charge_points, host, now):
        return False
    (directory / _MARKER).unlink(missing_ok=True)
    own, stranger = _hierarchy(OPERATOR, now), _hierarchy(OTHER_OPERATOR, now)
    (directory / "root.pem").write_bytes(_pem(own.root.certificate))
    names = (host, "localhost", "127.0.0.1", "::1") if host != "localhost" else ("localhost", "127.0.0.1", "::1")
    for name, kind in (("server-rsa", "rsa-2048"), ("server-ecdsa", "ec-p256")):
        server = own.servers.issue(CSMS, _subject(host), kind, now, names=names)  # type: ignore[arg-type]
        _write(directory, name, server, own.servers.certificate)
    for entry in charge_points:
        issuer = (stranger if entry.other_operator else own).charge_points
        organization = OTHER_OPERATOR if entry.other_operator else OPERATOR
        lifetime = -datetime.timedelta(days=1) if entry.expired else None
        leaf = issuer.issue(
            CHARGE_POINT, _subject(entry.serial_number, organization), entry.kind, now, lifetime=lifetime
        )
        _write(directory, entry.name, leaf, issuer.certificate)
    (directory / _MARKER).write_text(_description(charge_points, host))
    return True
