"""What the registry knows of certificates as such, whomever they belong to. One call is one transaction."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, insert, select

from gateway.store import changes
from gateway.store.database import Database
from gateway.store.tables import revoked_certificates

__all__ = ["CertificateTable", "OwnRevocation"]

_AT_ONCE: Final = 500


class OwnRevocation(msgspec.Struct, frozen=True, kw_only=True):
    """A revocation in the journal of a CA of ours."""

    issuer: str
    """RFC 4514 text of the issuer's name."""
    serial: str
    """Lower-case hex without leading zeros."""
    reason: str
    revoked_at: float


class CertificateTable:
    """A part of the registry. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revoke(self, entries: Sequence[OwnRevocation]) -> list[OwnRevocation]:
        """Refuse these from now on; gives back those that were not revoked before. They count as one change."""
        added: list[OwnRevocation] = []
        with self._database.writing() as connection:
            changes.lock(connection)
            for start in range(0, len(entries), _AT_ONCE):
                added += _revoke(connection, entries[start : start + _AT_ONCE])
            if added:
                changes.note_change(connection)
        return added


def _revoke(connection: Connection, entries: Sequence[OwnRevocation]) -> list[OwnRevocation]:
    table = revoked_certificates
    query = select(table.c.issuer, table.c.serial).where(table.c.serial.in_([each.serial for each in entries]))
    known = {(row.issuer, row.serial) for row in connection.execute(query)}
    fresh = {(each.issuer, each.serial): each for each in entries if (each.issuer, each.serial) not in known}
    if fresh:
        rows = [{**msgspec.structs.asdict(each), "sha256": ""} for each in fresh.values()]
        connection.execute(insert(table), rows)
    return list(fresh.values())
