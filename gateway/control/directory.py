"""The registry in memory, so that an admission reads no disk. Follows changes that any process makes."""

from collections.abc import Iterable

from gateway.control.store_thread import StoreThread
from gateway.identity.claim import fold, matches
from gateway.identity.client_certificate import LeafCertificate
from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import ChargePointId
from gateway.store.certificates import Revocations
from gateway.store.registry import Registry

__all__ = ["Directory"]


class Directory:
    """Records by folded identity, owners of keys, revocations."""

    def __init__(self) -> None:
        self._records: dict[str, ChargePointRecord] = {}
        self._owners: dict[str, ChargePointId] = {}
        self._revocations = Revocations()
        self._counter = -1

    async def load(self, store: StoreThread) -> None:
        """Read everything."""

        def read(
            registry: Registry,
        ) -> tuple[int, dict[ChargePointId, ChargePointRecord], dict[str, ChargePointId], Revocations]:
            # The counter first: a change in between is then read twice, never missed.
            return registry.change_counter(), registry.load_all(), registry.bound_keys(), registry.revocations()

        self._counter, records, self._owners, self._revocations = await store.call(read)
        self._records = {fold(identity): record for identity, record in records.items()}

    async def refresh(self, store: StoreThread) -> tuple[frozenset[ChargePointId], bool]:
        """Read what has changed. Returns the identities concerned and whether revocations may have changed."""
        counter = await store.call(lambda registry: registry.change_counter())
        if counter == self._counter:
            return frozenset(), False
        known = self._counter

        def read(
            registry: Registry,
        ) -> tuple[
            int, frozenset[ChargePointId], dict[ChargePointId, ChargePointRecord], dict[str, ChargePointId], Revocations
        ]:
            newest, changed = registry.changed_since(known)
            return newest, changed, registry.load(changed), registry.bound_keys(), registry.revocations()

        self._counter, changed, records, self._owners, revocations = await store.call(read)
        revoked = revocations != self._revocations
        self._revocations = revocations
        for identity in changed:
            if identity in records:
                self._records[fold(identity)] = records[identity]
            else:
                self._records.pop(fold(identity), None)
        return changed, revoked

    def find(self, claimed: ChargePointId) -> ChargePointRecord | None:
        """The record this claim is about, or None."""
        record = self._records.get(fold(claimed))
        return record if record is not None and matches(claimed, record) else None

    def get(self, charge_point_id: ChargePointId) -> ChargePointRecord | None:
        """The record of exactly this identity."""
        return self._records.get(fold(charge_point_id))

    def put(self, record: ChargePointRecord) -> None:
        """A record that this process has just changed."""
        self._records[fold(record.charge_point_id)] = record

    def owner_of(self, spki_sha256: str) -> ChargePointId | None:
        """To whom a certificate key is bound."""
        return self._owners.get(spki_sha256)

    def bound(self, spki_sha256: str, owner: ChargePointId) -> None:
        """This process has just bound a key."""
        self._owners[spki_sha256] = owner

    def is_revoked(self, leaf: LeafCertificate) -> bool:
        """True if the certificate is revoked."""
        return self._revocations.covers(sha256=leaf.sha256, issuer=leaf.issuer, serial=leaf.serial_number)

    def revoked_fingerprints(self) -> frozenset[str]:
        """SHA-256 of certificates revoked by fingerprint."""
        return self._revocations.sha256

    def records(self) -> Iterable[ChargePointRecord]:
        """All records."""
        return self._records.values()

    def __len__(self) -> int:
        return len(self._records)
