"""Key bindings and revocations. Whether a certificate is good: `gateway.identity.client_certificate`."""

import re

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from gateway.ocpp.vocabulary import ChargePointId
from gateway.store.errors import KeyBoundElsewhere, StoreError
from gateway.store.tables import bound_keys, revoked_certificates

__all__ = [
    "Revocations",
    "all_bound_keys",
    "bind",
    "binding_is_fresh",
    "normal_serial",
    "normal_sha256",
    "revocations",
    "revoke",
]

_REFRESH_AFTER_S = 3_600.0
"""last_seen_at of a key is only good to the hour, so that a reconnect does not cost a disk write."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SERIAL = re.compile(r"[0-9a-f]{1,64}")


class Revocations(msgspec.Struct, frozen=True, kw_only=True):
    """Every revoked certificate, in memory: it is asked after each handshake, resumed ones included."""

    sha256: frozenset[str] = frozenset()
    """Fingerprints of certificates, lower-case hex."""
    issuer_serials: frozenset[tuple[str, str]] = frozenset()
    """(issuer, serial number as lower-case hex without leading zeros)."""
    mark: tuple[int, int, float] = (0, 0, 0.0)
    """How many there are, the highest row and the latest time: whoever has the same has the same revocations."""

    def covers(self, *, sha256: str, issuer: str, serial: str) -> bool:
        """True if the certificate is revoked by its fingerprint or by issuer and serial number."""
        return sha256 in self.sha256 or (issuer, serial) in self.issuer_serials


def normal_sha256(text: str) -> str:
    """A fingerprint as 64 lower-case hex digits; colons are dropped. Raises StoreError."""
    digits = text.replace(":", "").strip().lower()
    if not _SHA256.fullmatch(digits):
        raise StoreError("A SHA-256 fingerprint is 64 hex digits.")
    return digits


def normal_serial(text: str) -> str:
    """A certificate serial number as lower-case hex without leading zeros. Raises StoreError."""
    digits = text.replace(":", "").strip().lower().removeprefix("0x")
    if not _SERIAL.fullmatch(digits):
        raise StoreError("A certificate serial number is written in hex digits.")
    return digits.lstrip("0") or "0"


def binding_is_fresh(connection: Connection, spki_sha256: str, charge_point_id: ChargePointId, now: float) -> bool:
    """True if the key is bound to this charge point and was seen lately. Raises KeyBoundElsewhere."""
    row = connection.execute(select(bound_keys).where(bound_keys.c.spki_sha256 == spki_sha256)).one_or_none()
    if row is None:
        return False
    if row.charge_point_id != charge_point_id:
        raise KeyBoundElsewhere(ChargePointId(row.charge_point_id))
    return bool(row.last_seen_at <= now < row.last_seen_at + _REFRESH_AFTER_S)


def bind(connection: Connection, spki_sha256: str, charge_point_id: ChargePointId, now: float) -> None:
    """Bind a free key or note that it was seen. Raises KeyBoundElsewhere. The charge point must exist."""
    if binding_is_fresh(connection, spki_sha256, charge_point_id, now):
        return
    seen = connection.execute(
        update(bound_keys).where(bound_keys.c.spki_sha256 == spki_sha256).values(last_seen_at=now)
    )
    if seen.rowcount == 0:
        connection.execute(
            insert(bound_keys).values(
                spki_sha256=spki_sha256, charge_point_id=charge_point_id, first_seen_at=now, last_seen_at=now
            )
        )


def all_bound_keys(connection: Connection) -> dict[str, ChargePointId]:
    """Owner by SHA-256 of the SubjectPublicKeyInfo."""
    rows = connection.execute(select(bound_keys.c.spki_sha256, bound_keys.c.charge_point_id))
    return {spki: ChargePointId(owner) for spki, owner in rows}


def revoke(connection: Connection, *, sha256: str, issuer: str, serial: str, reason: str, now: float) -> bool:
    """Add a revocation, named by fingerprint, by issuer and serial number, or both. False if it is there.

    Raises StoreError when the certificate is not named completely.
    """
    if not sha256 and not (issuer and serial):
        raise StoreError("Name the certificate by its SHA-256 fingerprint, or by issuer and serial number together.")
    key = {
        "sha256": normal_sha256(sha256) if sha256 else "",
        "issuer": issuer,
        "serial": normal_serial(serial) if serial else "",
    }
    if connection.execute(select(revoked_certificates.c.id).filter_by(**key)).first() is not None:
        return False
    connection.execute(insert(revoked_certificates).values(**key, reason=reason, revoked_at=now))
    return True


def revocations(connection: Connection, known: Revocations | None = None) -> Revocations:
    """Every revocation; `known` itself where nothing has been added since, as there may be a hundred thousand."""
    table = revoked_certificates.c
    count, highest, latest = connection.execute(
        select(func.count(), func.max(table.id), func.max(table.revoked_at))
    ).one()
    mark = int(count), int(highest or 0), float(latest or 0.0)
    if known is not None and known.mark == mark:
        return known
    rows = connection.execute(select(table.sha256, table.issuer, table.serial)).all()
    return Revocations(
        sha256=frozenset(row.sha256 for row in rows if row.sha256),
        issuer_serials=frozenset((row.issuer, row.serial) for row in rows if row.issuer and row.serial),
        mark=mark,
    )
