"""Answers of other CAs' responders that say "revoked", on the disk: a restart while a responder is down un-revokes nobody.

What is kept is the answer itself, which is verified again when it is read. A file of its own for each certificate, which an
operator may delete.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from pki.foreign_ocsp import ForeignStatus, OCSPRejected, read_ocsp_response
from pki.own_crls import write_public_file

__all__ = ["Evidence", "OCSPMemory"]

_SUFFIX: Final = ".ocsp"
_MAX_FILE_BYTES: Final = 262_144


class Evidence(msgspec.Struct, frozen=True):
    """Who said it, about which certificate of which issuer, and the answer; all in DER."""

    url: str
    leaf: bytes
    issuer: bytes
    response: bytes

    @property
    def leaf_sha256(self) -> str:
        """By which handshakes know it."""
        return hashlib.sha256(self.leaf).hexdigest()

    def status(self) -> ForeignStatus:
        """What it says, whenever that was. Raises OCSPRejected."""
        try:
            leaf, issuer = map(x509.load_der_x509_certificate, (self.leaf, self.issuer))
        except ValueError:
            raise OCSPRejected("a certificate that cannot be read") from None
        return read_ocsp_response(self.response, leaf, issuer, None)


class OCSPMemory:
    """One directory. Every method blocks; each raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, evidence: Evidence) -> None:
        """It is on the disk when this returns."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_public_file(self._path(evidence.leaf_sha256), msgspec.msgpack.encode(evidence))
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def forget(self, leaf_sha256: str) -> None:
        """It is not there any more."""
        self._path(leaf_sha256).unlink(missing_ok=True)

    def has(self, leaf_sha256: str) -> bool:
        """True if nobody has deleted it."""
        return self._path(leaf_sha256).exists()

    def recall(self, on_failure: Callable[[str], None]) -> list[tuple[Evidence, ForeignStatus]]:
        """Everything that is there. `on_failure` hears, in words, of each that cannot be believed; it stays where it is."""
        found = []
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            try:
                evidence = _read(path)
                found.append((evidence, evidence.status()))
            except (OSError, OCSPRejected, ValueError) as error:
                on_failure(f"{path}: {error}")
        return found

    def _path(self, leaf_sha256: str) -> Path:
        return self._directory / f"{leaf_sha256}{_SUFFIX}"


def _read(path: Path) -> Evidence:
    with path.open("rb") as file:
        evidence = msgspec.msgpack.decode(file.read(_MAX_FILE_BYTES), type=Evidence)
    if evidence.leaf_sha256 != path.stem:
        raise ValueError("it is about another certificate")
    return evidence
