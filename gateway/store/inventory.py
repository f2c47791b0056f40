"""What the registry knows of certificates as such, whomever they belong to. One call is one transaction."""

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from gateway.store import changes
from gateway.store.database import Database
from gateway.store.tables import journal_positions, known_certificates, revoked_certificates

__all__ = [
    "CERTIFICATE_STATES",
    "CertificateCounts",
    "CertificateState",
    "CertificateTable",
    "JournalPosition",
    "KnownCertificate",
    "OwnRevocation",
    "Sighting",
    "Source",
]

CertificateState = Literal["valid", "expiring", "superseded", "expired", "revoked"]
CERTIFICATE_STATES: Final[tuple[CertificateState, ...]] = get_args(CertificateState)
Source = Literal["issued", "imported", "seen"]
_AT_ONCE: Final = 500
_table = known_certificates
_SEEN_AGAIN: Final = (
    update(_table)
    .where(_table.c.sha256 == bindparam("known_sha256"))
    .values(
        charge_point_id=bindparam("seen_charge_point_id"),
        last_seen_at=bindparam("seen_at"),
        first_seen_at=case((_table.c.first_seen_at == 0.0, bindparam("seen_at")), else_=_table.c.first_seen_at),
        superseded_by="",
    )
)
"""One statement for all that are known, so that a reconnect storm is an executemany and no compiling."""
_RESPONDER: Final = "OCSPResponder"


class OwnRevocation(msgspec.Struct, frozen=True, kw_only=True):
    """A revocation in the journal of a CA of ours."""

    issuer: str
    """RFC 4514 text of the issuer's name."""
    serial: str
    """Lower-case hex without leading zeros."""
    reason: str
    revoked_at: float


class KnownCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate and what became of it. Times are seconds since the epoch; 0 where there is none."""

    sha256: str
    issuer: str
    serial: str
    common_name: str = ""
    organization: str = ""
    spki_sha256: str = ""
    profile: str = ""
    """Of our own CA; empty for certificates of others."""
    source: Source = "seen"
    charge_point_id: str = ""
    """Who has been admitted with it."""
    not_before: float = 0.0
    """Not known of one that was only seen."""
    not_after: float
    recorded_at: float = 0.0
    first_seen_at: float = 0.0
    last_seen_at: float = 0.0
    superseded_by: str = ""
    """SHA-256 of a newer one of the same names that has been seen since."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate was good for an admission. `facts`: what goes into the table if it is not there."""

    facts: KnownCertificate
    charge_point_id: str
    at: float


class JournalPosition(msgspec.Struct, frozen=True):
    """Up to where a CA's journal has been taken over."""

    directory: str
    sequence: int
    digest: str


class CertificateCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are in each state, and when the first of the ones that are in force ends (0: there is none)."""

    by_state: dict[CertificateState, int]
    nearest_end: float = 0.0


class CertificateTable:
    """A part of the registry. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # revocation

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

    # what comes to be known

    def record(self, entries: Sequence[KnownCertificate], position: JournalPosition | None = None) -> int:
        """Take over what was issued or imported; how many were not known. `position`: of the journal they come from."""
        added = 0
        with self._database.writing() as connection:
            changes.lock(connection)
            for start in range(0, len(entries), _AT_ONCE):
                added += _record(connection, entries[start : start + _AT_ONCE])
            if position is not None:
                _remember(connection, position)
        return added

    def saw(self, sightings: Sequence[Sighting]) -> None:
        """Note who was admitted with what. One that is older than another of the same names is superseded by it."""
        with self._database.writing() as connection:
            changes.lock(connection)
            for start in range(0, len(sightings), _AT_ONCE):
                _saw(connection, sightings[start : start + _AT_ONCE])

    def journal_position(self, directory: str) -> JournalPosition | None:
        """Up to where `record` has taken over this CA's journal."""
        query = select(journal_positions).where(journal_positions.c.directory == directory)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else JournalPosition(*row)

    # asking

    def find(
        self,
        now: float,
        expiring_s: float,
        text: str = "",
        *,
        state: CertificateState | None = None,
        ends_before: float | None = None,
        limit: int | None = None,
    ) -> list[tuple[KnownCertificate, CertificateState]]:
        """Certificates with their states, those that end first at the top; `expiring_s`: what "soon" means.

        `text` occurs in common name, organisation, issuer, serial number, fingerprint or charge point, in any case.
        `ends_before`: only ones in force that end before that, and whose whole life is longer than until then.
        """
        is_in = _state(now, expiring_s)
        query: Select[Any] = select(_table, is_in.label("state")).order_by(_table.c.not_after, _table.c.sha256)
        if text:
            columns = ("common_name", "organization", "issuer", "serial", "sha256", "charge_point_id")
            query = query.where(or_(*(_table.c[name].icontains(text, autoescape=True) for name in columns)))
        if state is not None:
            query = query.where(is_in == state)
        if ends_before is not None:
            is_near = and_(_table.c.not_after <= ends_before, _is_longer_than(ends_before - now))
            query = query.where(is_in.in_(("valid", "expiring")), is_near)
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(limit)).mappings().all()
        found = []
        for row in rows:
            values = {str.__str__(key): value for key, value in row.items()}
            is_state: CertificateState = values.pop("state")
            found.append((msgspec.convert(values, KnownCertificate), is_state))
        return found

    def counts(self, now: float, expiring_s: float) -> CertificateCounts:
        """All of them by state; responders, which come and go, are not counted.

        `nearest_end` is not that of a certificate whose whole life is no longer than `expiring_s`.
        """
        is_in = _state(now, expiring_s).label("state")
        first = func.min(case((_is_longer_than(expiring_s), _table.c.not_after)))
        query = select(is_in, func.count(), first).where(_table.c.profile != _RESPONDER)
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(is_in)).all()
        by_state: dict[CertificateState, int] = dict.fromkeys(CERTIFICATE_STATES, 0)
        ends = []
        for name, count, first_end in rows:
            by_state[name] = count
            if name in {"valid", "expiring"} and first_end is not None:
                ends.append(float(first_end))
        return CertificateCounts(by_state=by_state, nearest_end=min(ends, default=0.0))


def _revoke(connection: Connection, entries: Sequence[OwnRevocation]) -> list[OwnRevocation]:
    table = revoked_certificates
    query = select(table.c.issuer, table.c.serial).where(table.c.serial.in_([each.serial for each in entries]))
    known = {(row.issuer, row.serial) for row in connection.execute(query)}
    fresh = {(each.issuer, each.serial): each for each in entries if (each.issuer, each.serial) not in known}
    if fresh:
        rows = [{**msgspec.structs.asdict(each), "sha256": ""} for each in fresh.values()]
        connection.execute(insert(table), rows)
    return list(fresh.values())


def _known(connection: Connection, entries: Sequence[KnownCertificate]) -> dict[str, Any]:
    query = select(_table).where(_table.c.sha256.in_([each.sha256 for each in entries]))
    return {row.sha256: row for row in connection.execute(query)}


def _record(connection: Connection, entries: Sequence[KnownCertificate]) -> int:
    known = _known(connection, entries)
    fresh = {each.sha256: each for each in entries if each.sha256 not in known}
    if fresh:
        connection.execute(insert(_table), [msgspec.structs.asdict(each) for each in fresh.values()])
    for each in entries:
        row = known.get(each.sha256)
        if row is not None and row.source != "issued":
            facts = {name: getattr(each, name) for name in ("profile", "source", "not_before")}
            connection.execute(update(_table).where(_table.c.sha256 == each.sha256).values(**facts))
        if each.profile == _RESPONDER:
            _supersede(connection, each)
    return len(fresh)


def _saw(connection: Connection, sightings: Sequence[Sighting]) -> None:
    """In their order: one may supersede what the next one takes back into use."""
    query = select(_table.c.sha256, _table.c.first_seen_at)
    query = query.where(_table.c.sha256.in_([each.facts.sha256 for each in sightings]))
    first_seen_at: dict[str, float] = {row.sha256: row.first_seen_at for row in connection.execute(query)}
    again: list[dict[str, Any]] = []
    for each in sightings:
        if first_seen_at.get(each.facts.sha256):
            again.append(_again(each))
            continue
        _write_again(connection, again)
        if each.facts.sha256 in first_seen_at:
            connection.execute(_SEEN_AGAIN, _again(each))
        else:
            connection.execute(insert(_table).values(**_first(each)))
        _supersede(connection, each.facts)
    _write_again(connection, again)


def _write_again(connection: Connection, again: list[dict[str, Any]]) -> None:
    if again:
        connection.execute(_SEEN_AGAIN, again)
        again.clear()


def _first(sighting: Sighting) -> dict[str, Any]:
    times = dict.fromkeys(("first_seen_at", "last_seen_at", "recorded_at"), sighting.at)
    seen = {"charge_point_id": sighting.charge_point_id, "superseded_by": ""}
    return {**msgspec.structs.asdict(sighting.facts), **seen, **times}


def _again(sighting: Sighting) -> dict[str, Any]:
    """Parameters of `_SEEN_AGAIN`."""
    return {
        "known_sha256": sighting.facts.sha256,
        "seen_charge_point_id": sighting.charge_point_id,
        "seen_at": sighting.at,
    }


def _supersede(connection: Connection, newer: KnownCertificate) -> None:
    older = and_(
        _table.c.common_name == newer.common_name,
        _table.c.organization == newer.organization,
        _table.c.sha256 != newer.sha256,
        _table.c.not_after < newer.not_after,
        _table.c.superseded_by == "",
    )
    connection.execute(update(_table).where(older).values(superseded_by=newer.sha256))


def _remember(connection: Connection, position: JournalPosition) -> None:
    values = msgspec.structs.asdict(position)
    mine = journal_positions.c.directory == position.directory
    if connection.execute(update(journal_positions).where(mine).values(**values)).rowcount == 0:
        connection.execute(insert(journal_positions).values(**values))


def _is_longer_than(life_s: float) -> ColumnElement[Any]:
    """One that lives a day always ends within a week: that says nothing. The begin of one that was only seen is not known."""
    return or_(_table.c.not_before == 0.0, _table.c.not_after - _table.c.not_before > life_s)


def _state(now: float, expiring_s: float) -> ColumnElement[Any]:
    revoked = revoked_certificates.c
    is_revoked = or_(
        exists().where(revoked.sha256 == _table.c.sha256),
        exists().where(revoked.serial == _table.c.serial, revoked.issuer == _table.c.issuer),
    )
    return case(
        (is_revoked, literal("revoked")),
        (_table.c.not_after < now, literal("expired")),
        (_table.c.superseded_by != "", literal("superseded")),
        (and_(_table.c.not_after < now + expiring_s, _is_longer_than(expiring_s)), literal("expiring")),
        else_=literal("valid"),
    )
