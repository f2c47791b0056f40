"""The registry of charge points: what is known, proven and changed. It stores; `gateway.identity` judges.

Synchronous: one call is one transaction, durable on return. Any number of processes may have one open.
Every change moves the change counter, except what is learnt in passing (`learn`), key bindings, enrolments.
Raises only `gateway.store.errors.StoreError` and its kinds, and TypeError for a field that does not exist.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self

import msgspec
from sqlalchemy import Select, bindparam, delete, func, insert, or_, select, update

from gateway.audit.event import printable
from gateway.identity.claim import fold
from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.store import certificates, changes, one_row, refusals, schema
from gateway.store.campaigns import CampaignTable
from gateway.store.capabilities import CapabilityTable
from gateway.store.certificates import Revocations
from gateway.store.cluster import ClusterTable
from gateway.store.database import Database, open_database
from gateway.store.enrolments import EnrolmentTable
from gateway.store.errors import DamagedRow, StoreError
from gateway.store.inventory import CertificateTable
from gateway.store.refusals import RefusalEntry
from gateway.store.rows import LoweredFloor, checked, from_row
from gateway.store.tables import bound_keys, charge_points, lowered_floors
from gateway.store.upgrades import UpgradeTable

__all__ = ["LoweredFloor", "PasswordSlot", "Registry"]

PasswordSlot = Literal["current", "pending"]
_SLOTS: dict[PasswordSlot, str] = {"current": "password", "pending": "pending_password"}
_identity = charge_points.c.charge_point_id
_FIELDS = frozenset(ChargePointRecord.__struct_fields__)
_LEARNT = frozenset(
    {"password_reading", "answers_pings", "vendor", "model", "firmware", "last_seen_at", "last_address"}
)
_LEARN = (
    update(charge_points)
    .where(_identity == bindparam("known_identity"))
    .values(
        {
            name: func.coalesce(bindparam(f"learnt_{name}", type_=charge_points.c[name].type), charge_points.c[name])
            for name in sorted(_LEARNT)
        }
    )
)
"""One statement for whatever was learnt (NULL: nothing), so that a reconnect storm is an executemany and no compiling."""
_LEARN_ROWS = 500


class Registry:
    """The one door to the database."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database = self._database = database
        """For tables that have a module of their own."""
        self._clock = clock
        self.enrolments = EnrolmentTable(database)
        self.inventory = CertificateTable(database)
        self.upgrades = UpgradeTable(database)
        self.campaigns = CampaignTable(database)
        self.capabilities = CapabilityTable(database)
        self.cluster = ClusterTable(database)

    @classmethod
    def open(cls, url: str, *, migrate: bool = True, clock: Callable[[], float] = time.time, actor: str = "") -> Self:
        """Open ``sqlite:////path`` (made with its directory if missing, 0600 and 0700) or ``postgresql://...``.

        `actor`: who changes it, at most 200 characters; empty for the gateway itself.

        Raises StoreError if it cannot be opened, or has another schema than this release's after migration.
        """
        database = open_database(url, actor)
        try:
            if migrate:
                schema.migrate(database)
            schema.require_newest(database)
        except BaseException:
            database.close()
            raise
        return cls(database, clock)

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        self._database.close()

    # reading

    def load_all(
        self, *, on_damage: Callable[[DamagedRow], None] | None = None
    ) -> dict[ChargePointId, ChargePointRecord]:
        """Every record by identity. A damaged row is left out and told to `on_damage`; without it raises DamagedRow."""
        return {record.charge_point_id: record for record in self._records(select(charge_points), on_damage)}

    def load(self, ids: Iterable[ChargePointId]) -> dict[ChargePointId, ChargePointRecord]:
        """The records of these identities in one transaction; removed ones are missing from the answer."""
        with self._database.reading() as connection:
            found = (one_row.find(connection, charge_point_id) for charge_point_id in ids)
            return {record.charge_point_id: record for record in found if record is not None}

    def get(self, charge_point_id: str) -> ChargePointRecord | None:
        """The record of exactly this identity, or None."""
        with self._database.reading() as connection:
            return one_row.find(connection, charge_point_id)

    def find(
        self, text: str = "", *, group: str | None = None, limit: int | None = None, offset: int = 0
    ) -> list[ChargePointRecord]:
        """Records for a list, ordered by identity: `text` occurs in identity or serial number, in any case.

        For people who search; never for deciding who somebody is.
        """
        query = select(charge_points).order_by(_identity).limit(limit).offset(offset)
        if text:
            in_id = charge_points.c.fold.contains(fold(text), autoescape=True)
            query = query.where(or_(in_id, charge_points.c.serial_number.icontains(text, autoescape=True)))
        if group is not None:
            query = query.where(charge_points.c.group == group)
        return self._records(query)

    def change_counter(self) -> int:
        """Grows with every change by any process; one indexed read, cheap enough to ask every second."""
        with self._database.reading() as connection:
            return changes.current_counter(connection)

    def changed_since(self, counter: int) -> tuple[int, frozenset[ChargePointId]]:
        """The counter now and whose records changed or were removed after `counter`.

        A grown counter without an identity means a revocation; a `counter` from the future gives all.
        """
        with self._database.reading() as connection:
            return changes.changed_since(connection, counter)

    def actors_since(self, counter: int) -> dict[str, str]:
        """Who has changed what last, by identity (`changes.EVERYBODY`: revocations), where somebody said who he is."""
        with self._database.reading() as connection:
            return changes.actors_since(connection, counter)

    def _records(
        self, query: Select[Any], on_damage: Callable[[DamagedRow], None] | None = None
    ) -> list[ChargePointRecord]:
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        records = []
        for row in rows:
            try:
                records.append(from_row(row))
            except DamagedRow as error:
                if on_damage is None:
                    raise
                on_damage(error)
        return records

    # operator's changes

    def add(self, record: ChargePointRecord) -> None:
        """Register a charge point. Raises AlreadyExists, also for a case variant of a registered identity."""
        self.apply(add=[record])

    def replace(self, record: ChargePointRecord) -> None:
        """Put this record in the place of the registered one, whose floor stays if higher.

        Raises NotFound, BelowFloor.
        """
        self.apply(replace=[record])

    def apply(
        self,
        *,
        add: Iterable[ChargePointRecord] = (),
        replace: Iterable[ChargePointRecord] = (),
        change: Mapping[ChargePointId, Mapping[str, Any]] | None = None,
    ) -> None:
        """Several `add`, `replace` and changes of fields in one transaction: all or nothing. Raises what they raise.

        `change`: fields by identity, put into whatever its record is by now; a floor among them never lowers it.
        """
        to_add, to_replace, to_change = list(map(checked, add)), list(map(checked, replace)), change or {}
        now = self._clock()
        with self._database.writing() as connection:
            changes.lock(connection)
            for record in to_add:
                one_row.add(connection, record, now)
            for record in to_replace:
                registered = one_row.existing(connection, record.charge_point_id)
                floor = max((each for each in (registered.floor, record.floor) if each), default=None)
                created_at = record.created_at or registered.created_at
                one_row.replace(connection, msgspec.structs.replace(record, floor=floor, created_at=created_at), now)
            for charge_point_id, fields in to_change.items():
                one_row.change_fields(connection, charge_point_id, fields, now)
            ids = [*(record.charge_point_id for record in (*to_add, *to_replace)), *to_change]
            if ids:
                changes.note_change(connection, ids)

    def update(self, charge_point_id: str, /, **fields: Any) -> ChargePointRecord:
        """Change some fields and return the new record.

        Raises NotFound; BelowFloor for a security profile below the floor; StoreError for a wrong value;
        TypeError for a field that does not exist or has a method of its own (charge_point_id, floor).
        """
        wrong = sorted(fields.keys() - (_FIELDS - {"charge_point_id", "floor"}))
        if wrong:
            raise TypeError(f"update() cannot set {', '.join(wrong)}")
        with self._database.writing() as connection:
            changes.lock(connection)
            old = one_row.existing(connection, charge_point_id)
            new = checked(msgspec.structs.replace(old, **fields))
            if new == old:
                return old
            return one_row.replace_and_note(connection, new, self._clock())

    def remove(self, charge_point_id: str) -> None:
        """Remove the charge point with its key bindings. Raises NotFound. Revocations and refusals stay."""
        with self._database.writing() as connection:
            changes.lock(connection)
            record = one_row.existing(connection, charge_point_id)
            connection.execute(delete(charge_points).where(_identity == record.charge_point_id))
            changes.note_change(connection, [record.charge_point_id])

    def lower_floor(self, charge_point_id: str, to_floor: SecurityProfile | None, *, reason: str) -> None:
        """An operator's explicit act, kept with its reason.

        Raises NotFound; StoreError without a reason or if it is not lower.
        """
        if not reason.strip():
            raise StoreError("Lowering the floor needs a reason.")
        now = self._clock()
        with self._database.writing() as connection:
            changes.lock(connection)
            record = one_row.existing(connection, charge_point_id)
            if record.floor is None or (to_floor is not None and to_floor >= record.floor):
                floor = "none" if record.floor is None else str(int(record.floor))
                raise StoreError(f"The floor of '{printable(charge_point_id)}' is {floor}; give one below that.")
            values = {
                "from_floor": int(record.floor),
                "to_floor": to_floor and int(to_floor),
                "lowered_at": now,
            }
            connection.execute(
                insert(lowered_floors).values(charge_point_id=record.charge_point_id, reason=reason, **values)
            )
            one_row.replace_and_note(connection, msgspec.structs.replace(record, floor=to_floor), now)

    def lowered_floors(self, charge_point_id: str) -> list[LoweredFloor]:
        """Every time the floor of this identity was lowered, oldest first."""
        table = lowered_floors
        query = select(table).where(table.c.charge_point_id == charge_point_id).order_by(table.c.id)
        with self._database.reading() as connection:
            return [msgspec.convert(_plain(row), LoweredFloor) for row in connection.execute(query).mappings()]

    # what was proven

    def raise_floor(self, charge_point_id: str, to_floor: SecurityProfile) -> None:
        """Never below `to_floor` again (A05.FR.09): durable on return, never lowers. Raises NotFound."""
        self._change(charge_point_id, lambda record: one_row.with_floor(record, to_floor))

    # passwords, as hashes only

    def set_password(self, charge_point_id: str, phc: str | None, slot: PasswordSlot) -> None:
        """Put a hash (None: nothing) into a slot. Raises NotFound.

        A new current one forgets which reading matched.
        """
        password = StoredPassword(phc=phc, created_at=self._clock()) if phc else None

        def change(record: ChargePointRecord) -> ChargePointRecord:
            reading = "" if slot == "current" else record.password_reading
            return msgspec.structs.replace(record, **{_SLOTS[slot]: password}, password_reading=reading)

        self._change(charge_point_id, change)

    def promote_pending(self, charge_point_id: str, phc: str | None = None) -> None:
        """The pending password was used: it becomes the current one. Raises NotFound.

        Nothing pending: no change, so that two sessions may both report it. `phc`: the hash that was matched; another
        one that is pending by now was not used, and stays.
        """

        def change(record: ChargePointRecord) -> ChargePointRecord:
            if record.pending_password is None or phc not in {None, record.pending_password.phc}:
                return record
            promoted = record.pending_password
            return msgspec.structs.replace(record, password=promoted, pending_password=None, password_reading="")

        self._change(charge_point_id, change)

    def drop_pending(self, charge_point_id: str, phc: str | None = None) -> None:
        """The current password was used after all: forget the pending one. Raises NotFound.

        `phc`: the pending hash that this refutes; another one that is pending by now stays.
        """

        def change(record: ChargePointRecord) -> ChargePointRecord:
            if record.pending_password is None or phc not in {None, record.pending_password.phc}:
                return record
            return msgspec.structs.replace(record, pending_password=None)

        self._change(charge_point_id, change)

    def replace_phc(self, charge_point_id: str, old_phc: str, new_phc: str) -> bool:
        """Store the same password under a better hash, wherever `old_phc` still is. False if it is gone.

        `created_at` stays: that is how a better hash differs from a new password. Raises NotFound.
        """
        replaced = False

        def change(record: ChargePointRecord) -> ChargePointRecord:
            nonlocal replaced
            better: dict[str, StoredPassword] = {}
            for name in _SLOTS.values():
                password: StoredPassword | None = getattr(record, name)
                if password is not None and password.phc == old_phc:
                    better[name] = StoredPassword(phc=new_phc, created_at=password.created_at)
            replaced = bool(better)
            return msgspec.structs.replace(record, **better)

        self._change(charge_point_id, change)
        return replaced

    # what is learnt in passing

    def learn(
        self,
        charge_point_id: str,
        *,
        password_reading: str | None = None,
        answers_pings: bool | None = None,
        vendor: str | None = None,
        model: str | None = None,
        firmware: str | None = None,
        last_seen_at: float | None = None,
        last_address: str | None = None,
    ) -> None:
        """Note what was observed; None leaves a field alone.

        Not counted as a change; an unknown identity is ignored.
        """
        self.learn_many({charge_point_id: {
            "password_reading": password_reading, "answers_pings": answers_pings, "vendor": vendor,
            "model": model, "firmware": firmware, "last_seen_at": last_seen_at, "last_address": last_address,
        }})  # fmt: skip

    def learn_many(self, observed: dict[str, dict[str, Any]]) -> None:
        """`learn` for several charge points in one transaction: field values by identity."""
        identities = sorted(observed)
        if not identities:
            return
        with self._database.writing() as connection:
            for start in range(0, len(identities), _LEARN_ROWS):
                some = identities[start : start + _LEARN_ROWS]
                connection.execute(_LEARN, [_learnt_row(identity, observed[identity]) for identity in some])

    # certificates

    def bind_key(self, spki_sha256: str, charge_point_id: str, now: float) -> None:
        """The key is this charge point's from now on (A00.FR.427). Raises KeyBoundElsewhere, NotFound."""
        owner = ChargePointId(charge_point_id)
        with self._database.reading() as connection:
            if certificates.binding_is_fresh(connection, spki_sha256, owner, now):
                return
        with self._database.writing() as connection:
            changes.lock(connection)
            one_row.existing(connection, charge_point_id)
            certificates.bind(connection, spki_sha256, owner, now)

    def bound_keys(self) -> dict[str, ChargePointId]:
        """Owner by SHA-256 of the SubjectPublicKeyInfo."""
        with self._database.reading() as connection:
            return certificates.all_bound_keys(connection)

    def unbind_keys(self, charge_point_id: str) -> int:
        """Forget the keys of a charge point (its hardware was replaced); how many there were."""
        with self._database.writing() as connection:
            changes.lock(connection)
            gone = connection.execute(delete(bound_keys).where(bound_keys.c.charge_point_id == charge_point_id))
            if gone.rowcount:
                changes.note_change(connection, [ChargePointId(charge_point_id)])
            return gone.rowcount

    def revoke_certificate(
        self, *, sha256: str = "", issuer: str = "", serial: str = "", reason: str, now: float
    ) -> None:
        """Refuse a certificate from now on, named by fingerprint or by issuer and serial number.

        Raises StoreError if it is not named completely.
        """
        with self._database.writing() as connection:
            changes.lock(connection)
            name = {"sha256": sha256, "issuer": issuer, "serial": serial}
            if certificates.revoke(connection, **name, reason=reason, now=now):
                changes.note_change(connection)

    def revocations(self, known: Revocations | None = None) -> Revocations:
        """Every revocation, as sets; `known` itself where nothing has been added since."""
        with self._database.reading() as connection:
            return certificates.revocations(connection, known)

    # refusals

    def record_refusals(self, entries: Iterable[RefusalEntry]) -> None:
        """Append to the bounded log: 50 per claimed identity and per address, 20 000 in all."""
        with self._database.writing() as connection:
            refusals.insert_bounded(connection, entries)

    def refusals(
        self, *, charge_point_id: str | None = None, address: str | None = None, limit: int = 20
    ) -> list[RefusalEntry]:
        """The newest refusals first; both filters together must both fit."""
        with self._database.reading() as connection:
            return refusals.newest(connection, charge_point_id=charge_point_id, address=address, limit=limit)

    def _change(self, charge_point_id: str, change: Callable[[ChargePointRecord], ChargePointRecord]) -> None:
        with self._database.writing() as connection:
            changes.lock(connection)
            old = one_row.existing(connection, charge_point_id)
            new = change(old)
            if new != old:
                one_row.replace_and_note(connection, new, self._clock())


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """SQLAlchemy's keys are a subclass of str, which msgspec does not take."""
    return {str.__str__(key): value for key, value in row.items()}


def _learnt_row(charge_point_id: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Parameters of `_LEARN`."""
    if not fields.keys() <= _LEARNT:
        raise TypeError(f"nothing that is learnt in passing: {', '.join(fields.keys() - _LEARNT)}")
    return {"known_identity": charge_point_id, **{f"learnt_{name}": fields.get(name) for name in _LEARNT}}
