"""The revocation lists of the issuing CAs here: which there are, which are due, and the next ones. One file a shard.

Numbers are at least the seconds since the epoch: they go on growing if the files are lost, and the signer's memory of the
last number is never contradicted.
"""

import datetime
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from pki.crl import CRLStamp, build_crl, next_stamp, shard_of
from pki.inventory import Inventory
from pki.issuer import Issuer
from pki.keys import PrivateKey
from pki.revocation import RevokedCertificate
from pki.unreadable import UNREADABLE

__all__ = [
    "PUBLISHED",
    "ListFile",
    "OwnList",
    "is_due",
    "list_file",
    "list_url",
    "lists_in",
    "next_list",
    "read_list",
    "revoked_by_shard",
    "shard_count",
    "write_list",
    "write_public_file",
]

PUBLISHED: Final = "published"
"""Directory in that of the CA."""
_PUBLIC: Final = 0o644

ListFile = tuple[int, int, int]
"""Inode, time of change in ns and size: what is different if a list was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnList:
    """A list that is signed."""

    issuer: str
    """The issuing CA's name, as files have it."""
    shard: int
    der: bytes
    stamp: CRLStamp
    serials: frozenset[int]


def shard_count(issuer: Issuer) -> int:
    """How many lists an issuer has."""
    return issuer.publication.crl_shards if "{shard}" in issuer.publication.crl_url else 1


def list_url(issuer: Issuer, shard: int) -> str:
    """Where the list is published, as certificates have it; empty if they do not say."""
    return issuer.publication.crl_url.replace("{shard}", str(shard))


def revoked_by_shard(
    issuer: Issuer,
    inventory: Inventory,
    address_of: Callable[[int], str],
    now: datetime.datetime,
    lifetime: datetime.timedelta,
) -> dict[int, list[RevokedCertificate]]:
    """What each list has to name, also where that is nothing.

    `address_of`: where the certificate with this serial number says that its list is (`issuer.crl_address`). It counts, not
    how lists are divided today, as long as there is a list at that address. Expired ones stay on for two lives of a list:
    each has been on one that was made after it expired (RFC 5280, 3.3).
    """
    found: dict[int, list[RevokedCertificate]] = {shard: [] for shard in range(shard_count(issuer))}
    by_address = {list_url(issuer, shard): shard for shard in found}
    for entry in inventory.revoked(issuer.name, now - 2 * lifetime):
        serial = entry.serial_number
        found[by_address.get(address_of(serial), shard_of(serial, len(found)))].append(entry)
    return found


def is_due(current: OwnList | None, entries: Iterable[RevokedCertificate], now: datetime.datetime) -> bool:
    """True if there is none, half of its life is over, or it does not name somebody."""
    if current is None:
        return True
    stamp = current.stamp
    if now >= stamp.this_update + (stamp.next_update - stamp.this_update) / 2:
        return True
    return any(entry.serial_number not in current.serials for entry in entries)


def next_list(
    issuer: Issuer,
    shard: int,
    entries: Iterable[RevokedCertificate],
    current: OwnList | None,
    key: PrivateKey,
    now: datetime.datetime,
    lifetime: datetime.timedelta,
) -> OwnList:
    """The list after `current`, signed with `key` (`SignerClient.revocation_key`). Raises CRLTooSoon, Refused, SignerUnavailable."""
    stamp = next_stamp(None if current is None else current.stamp, now, lifetime)
    stamp = stamp._replace(number=max(stamp.number, int(stamp.this_update.timestamp())))
    der = build_crl(issuer.certificate, key, entries, stamp, url=list_url(issuer, shard))
    return _of(issuer, shard, der)


def read_list(directory: Path, issuer: Issuer, shard: int) -> OwnList | None:
    """The one in the file; None if there is none, or none that this issuer has signed. Raises OSError."""
    try:
        der = _path(directory, issuer.name, shard).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return _of(issuer, shard, der)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None


def list_file(directory: Path, issuer: Issuer, shard: int) -> ListFile | None:
    """To see whether there is something new to read; None if there is no file. Raises OSError."""
    try:
        found = _path(directory, issuer.name, shard).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def write_list(directory: Path, made: OwnList) -> None:
    """The file, whole or as it was before. Raises OSError."""
    path = _path(directory, made.issuer, made.shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_public_file(path, made.der)


def write_public_file(path: Path, data: bytes) -> None:
    """A file that everybody may read, whole or as it was before. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(_PUBLIC)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def lists_in(directory: Path, issuer: Issuer) -> Mapping[int, OwnList | None]:
    """By shard. Raises OSError."""
    return {shard: read_list(directory, issuer, shard) for shard in range(shard_count(issuer))}


def _path(directory: Path, issuer: str, shard: int) -> Path:
    return directory / PUBLISHED / issuer / f"{shard}.crl"


def _of(issuer: Issuer, shard: int, der: bytes) -> OwnList:
    """Raises ValueError if it is no list of the issuer."""
    found = x509.load_der_x509_crl(der)
    ends = found.next_update_utc
    if found.issuer != issuer.certificate.subject or ends is None or not found.is_signature_valid(issuer.public_key):
        raise ValueError("not a list of this issuer")
    number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return OwnList(
        issuer=issuer.name,
        shard=shard,
        der=der,
        stamp=CRLStamp(number, found.last_update_utc, ends),
        serials=frozenset(entry.serial_number for entry in found),
    )
