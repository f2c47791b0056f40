"""The gateway's own server certificates on disk: one file for each kind of key, key and chain together, mode 0600.

Together, so that one rename replaces both: no crash leaves a key beside another key's certificate.
"""

import contextlib
import datetime
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from gateway.config.model import Config
from gateway.link.messages import CertificatePEM
from pki.authority import Authority
from pki.keys import PrivateKey
from pki.names import Subject
from pki.profiles import CSMS
from pki.unreadable import UNREADABLE

__all__ = ["OwnCertificate", "own_certificate_path", "own_pems", "read_own", "write_own"]

_DIRECTORY: Final = "server-certificates"
_PLACEHOLDER: Final = Subject("this gateway has no certificate yet", "none")
_HOUR: Final = datetime.timedelta(hours=1)


class OwnCertificate(NamedTuple):
    """A certificate with those above it, leaf first, and its key as PEM."""

    chain: tuple[x509.Certificate, ...]
    key_pem: bytes
    written_at: datetime.datetime

    def __repr__(self) -> str:
        return f"OwnCertificate({self.chain[0].serial_number:x}, <key hidden>)"

    @property
    def names(self) -> tuple[str, ...]:
        """Its DNS names."""
        try:
            found = self.chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return ()
        return tuple(found.value.get_values_for_type(x509.DNSName))

    @property
    def in_use_since(self) -> datetime.datetime:
        """When its life begins. Back-dating is no part of that: a short life would be none."""
        begins, ends = self.chain[0].not_valid_before_utc, self.chain[0].not_valid_after_utc
        return self.written_at if begins <= self.written_at <= ends else begins

    @property
    def renewal_at(self) -> datetime.datetime:
        """When two thirds of its life are over."""
        start, ends = self.in_use_since, self.chain[0].not_valid_after_utc
        return start + (ends - start) * 2 / 3

    @property
    def pem(self) -> CertificatePEM:
        """As edges get it."""
        return CertificatePEM(b"".join(each.public_bytes(Encoding.PEM) for each in self.chain), self.key_pem)


def own_certificate_path(config: Config, kind: str) -> Path:
    """The file of one kind of key; of another CA it is another file."""
    name = kind if config.server_certificates.acme is None else f"acme-{kind}"
    return Path(config.state_dir) / _DIRECTORY / f"{name}.pem"


def read_own(path: Path) -> OwnCertificate | None:
    """None if there is none, or none that can be used: then another one is made."""
    try:
        data = path.read_bytes()
        written_at = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
        key: Any = load_pem_private_key(data, None)
        chain = tuple(x509.load_pem_x509_certificates(data))
        if key.public_key() != chain[0].public_key():
            return None
    except (OSError, *UNREADABLE):
        return None
    return OwnCertificate(chain, _key_pem(key), written_at)


def write_own(path: Path, chain: tuple[x509.Certificate, ...], key: PrivateKey) -> None:
    """In place of the one before, in one step. Raises OSError."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    made = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        made.unlink()
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(_key_pem(key) + b"".join(each.public_bytes(Encoding.PEM) for each in chain))
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def own_pems(config: Config) -> tuple[CertificatePEM, ...]:
    """What listeners with `automatic_certificates` show.

    Until there is a first certificate, one that nobody trusts: the other listeners serve meanwhile.
    """
    found = [read_own(own_certificate_path(config, kind)) for kind in config.server_certificates.keys]
    there = tuple(each.pem for each in found if each is not None)
    return there or (_placeholder(),)


def _placeholder() -> CertificatePEM:
    now = datetime.datetime.now(datetime.UTC)
    root = Authority.create_root(Subject("nobody's root", "none"), "ec-p256", now)
    issued = root.issue(CSMS, _PLACEHOLDER, "ec-p256", now, names=("invalid",), lifetime=_HOUR)
    return CertificatePEM(issued.certificate.public_bytes(Encoding.PEM), _key_pem(issued.key))


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
