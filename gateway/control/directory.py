"""The registry in memory, so that an admission reads no disk. Follows changes that any process makes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
import structlog

from gateway.audit.actor import named_in_registry
from gateway.audit.event import Actor
from gateway.control.registry_changes import Change, change_of
from gateway.control.store_thread import StoreThread
from gateway.identity.claim import fold, matches
from gateway.identity.evidence import CertificateName
from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import ChargePointId
from gateway.store.certificates import Revocations
from gateway.store.changes import EVERYBODY
from gateway.store.errors import DamagedRow, StoreError
from gateway.store.registry import Registry

__all__ = ["Directory"]

_LEARNT: Final = ("vendor", "model", "firmware")
_log = structlog.get_logger("control.directory")


class _Everything(msgspec.Struct):
    counter: int
    records: dict[ChargePointId, ChargePointRecord]
    owners: dict[str, ChargePointId]
    revocations: Revocations
    actors: dict[str, str] = {}


def _read_all(registry: Registry, known: int) -> _Everything:
    # The counter first: a change in between is then read twice, never missed.
    counter = registry.change_counter()
    records = registry.load_all(on_damage=_log_damage)
    actors = registry.actors_since(known) if known >= 0 else {}
    return _Everything(counter, records, registry.bound_keys(), registry.revocations(), actors)


def _log_damage(error: DamagedRow) -> None:
    """As good as removed, and no reason to be blind to all the others."""
    _log.error("row_damaged", error=str(error))


def _read_changes(
    registry: Registry, known: int, revocations: Revocations
) -> tuple[_Everything, frozenset[ChargePointId]]:
    newest, changed = registry.changed_since(known)
    records = {}
    for identity in changed:
        try:
            record = registry.get(identity)
        except DamagedRow as error:
            _log_damage(error)
            continue
        if record is not None:
            records[identity] = record
    found = _Everything(newest, records, registry.bound_keys(), registry.revocations(revocations))
    found.actors = registry.actors_since(known)
    return found, changed


class Directory:
    """Records by folded identity, owners of keys, revocations."""

    def __init__(self) -> None:
        self._counter = -1
        self._records: dict[str, ChargePointRecord] = {}
        self._owners: dict[str, ChargePointId] = {}
        self._revocations = Revocations()
        self.on_change: Callable[[Change], None] = lambda _: None
        """Hears what another process has changed. What this one does is here before it is read."""
        self.revoked_by: Actor | None = None
        """Who has changed revocations, if the last `refresh` has read any and it is known."""

    async def load(self, store: StoreThread) -> bool:
        """Read everything. Returns whether revocations have changed."""
        known, before = self._counter, self._records
        everything = await store.call(lambda registry: _read_all(registry, known))
        self._records = {fold(identity): record for identity, record in everything.records.items()}
        if known >= 0:
            were = {each.charge_point_id: each for each in (*everything.records.values(), *before.values())}
            self._tell({identity: before.get(fold(identity)) for identity in were}, everything.actors)
        return self._take(everything)

    async def refresh(self, store: StoreThread) -> tuple[frozenset[ChargePointId], bool]:
        """Read what has changed. Returns the identities concerned and whether revocations have changed."""
        counter = await store.call(lambda registry: registry.change_counter())
        if counter == self._counter:
            return frozenset(), False
        if counter < self._counter:
            # Restored from a backup: what was added since then is in no list of changes.
            before = self.identities()
            revoked = await self.load(store)
            return before | self.identities(), revoked
        known, revocations = self._counter, self._revocations
        found, changed = await store.call(lambda registry: _read_changes(registry, known, revocations))
        were = {identity: self.get(identity) for identity in changed}
        # Removals first: a charge point removed and registered again in another case is one key here.
        for identity in changed - found.records.keys():
            self._records.pop(fold(identity), None)
        for record in found.records.values():
            self.put(record)
        self._tell(were, found.actors)
        return changed, self._take(found)

    def _tell(self, were: Mapping[ChargePointId, ChargePointRecord | None], actors: Mapping[str, str]) -> None:
        for identity, old in were.items():
            if change := change_of(old, self.get(identity), actors.get(identity, "")):
                self.on_change(change)
        self.revoked_by = named_in_registry(actors.get(EVERYBODY, ""))

    @property
    def counter(self) -> int:
        """Of the registry's changes, up to which they are here; -1 before anything was read."""
        return self._counter

    def _take(self, found: _Everything) -> bool:
        revoked = found.revocations is not self._revocations and found.revocations != self._revocations
        self._counter, self._owners, self._revocations = found.counter, found.owners, found.revocations
        return revoked

    def find(self, claimed: ChargePointId) -> ChargePointRecord | None:
        """The record this claim is about, or None."""
        record = self._records.get(fold(claimed))
        return record if record is not None and matches(claimed, record) else None

    def get(self, charge_point_id: str) -> ChargePointRecord | None:
        """The record of this identity, whatever its case."""
        return self._records.get(fold(charge_point_id))

    def is_registered(self, charge_point_id: str) -> bool:
        """True for an identity as it is spelled in the registry."""
        record = self.get(charge_point_id)
        return record is not None and record.charge_point_id == charge_point_id

    def put(self, record: ChargePointRecord) -> None:
        """A record that this process has just changed, or read. What was learnt may not have been written yet: it is kept."""
        key = fold(record.charge_point_id)
        known = self._records.get(key)
        if known is not None and known.created_at == record.created_at:
            kept = {
                name: getattr(known, name) for name in _LEARNT if not getattr(record, name) and getattr(known, name)
            }
            # What is as it was stays the object that it was: a fleet that comes for the first time is read anew, one by one.
            kept |= {
                name: getattr(known, name)
                for name in record.__struct_fields__
                if getattr(record, name) == getattr(known, name)
            }
            record = msgspec.structs.replace(record, **kept)
        self._records[key] = record

    def learnt(self, charge_point_id: ChargePointId, **fields: Any) -> None:
        """What was learnt in passing, which the registry does not count as a change."""
        record = self.get(charge_point_id)
        if record is not None:
            self.put(msgspec.structs.replace(record, **fields))

    async def learn_pings(self, store: StoreThread, charge_point_id: ChargePointId, *, answers: bool) -> None:
        """Seldom in a charge point's life. In order with what is read for the directory, or that would undo it there."""
        try:
            await store.call(lambda registry: registry.learn(charge_point_id, answers_pings=answers))
        except StoreError as error:
            _log.warning("observations_lost", count=1, error=str(error))
            return
        self.learnt(charge_point_id, answers_pings=answers)

    def owner_of(self, spki_sha256: str) -> ChargePointId | None:
        """To whom a certificate key is bound."""
        return self._owners.get(spki_sha256)

    def bound(self, spki_sha256: str, owner: ChargePointId) -> None:
        """This process has just bound a key."""
        self._owners[spki_sha256] = owner

    def is_revoked(self, certificate: CertificateName) -> bool:
        """True if the certificate is revoked, by its fingerprint or by issuer and serial number."""
        return self._revocations.covers(
            sha256=certificate.sha256, issuer=certificate.issuer, serial=certificate.serial_number
        )

    def revocations(self) -> Revocations:
        """Every revocation."""
        return self._revocations

    def records(self) -> Iterable[ChargePointRecord]:
        """All records."""
        return self._records.values()

    def identities(self) -> frozenset[ChargePointId]:
        """All identities, in the registry's spelling."""
        return frozenset(record.charge_point_id for record in self._records.values())

    def __len__(self) -> int:
        return len(self._records)
