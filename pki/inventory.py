"""What the journal amounts to: requests and certificates as they are now. A fold over records; no I/O, no clock."""

import datetime
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgspec
from cryptography import x509

from pki.chained_file import START, Position
from pki.errors import JournalDamaged
from pki.names import Subject
from pki.records import (
    Abandoned,
    Decided,
    Intended,
    Issued,
    JournalRecord,
    Noted,
    Opened,
    Received,
    Requested,
    Reserved,
    RevocationReason,
    Revoked,
    Told,
    TurnedDown,
)
from pki.revocation import RevokedCertificate

__all__ = ["CertificateEntry", "Inventory", "RequestEntry", "RequestState", "Revocation"]


class RequestState(Enum):
    """Where a request stands."""

    HELD = "held"
    APPROVED = "approved"
    RESERVED = "reserved"
    INTENDED = "intended"
    ISSUED = "issued"
    DENIED = "denied"
    ABANDONED = "abandoned"

    @property
    def is_open(self) -> bool:
        """Something is still to be done, by us or by somebody who decides."""
        return self in {RequestState.HELD, RequestState.APPROVED, RequestState.RESERVED, RequestState.INTENDED}

    @property
    def is_started(self) -> bool:
        """A crash or a silent signer has left it half-way, or it has just been approved."""
        return self in {RequestState.APPROVED, RequestState.RESERVED, RequestState.INTENDED}


class RequestEntry(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """A request as it is now."""

    id: str
    sequence: int
    """Its record in the journal, where the key is."""
    at: datetime.datetime
    profile: str
    issuer: str
    subject: Subject
    names: tuple[str, ...]
    spki_sha256: bytes
    csr_sha256: bytes
    rule: str
    applicant: str
    notes: tuple[str, ...]
    state: RequestState
    approved_at: datetime.datetime
    """When it was asked for, or approved."""
    serial: int | None = None
    reason: str = ""
    """Why it was denied or abandoned."""


class Revocation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When and why."""

    at: datetime.datetime
    reason: RevocationReason
    by: str
    sequence: int
    """Its record in the journal."""


class CertificateEntry(msgspec.Struct, kw_only=True):
    """A serial number and what became of it."""

    serial: int
    request: RequestEntry
    intended: int = 0
    """The record with what was to be signed; 0: not yet."""
    issued: int = 0
    """The record with the signature; 0: not yet."""
    not_before: datetime.datetime | None = None
    not_after: datetime.datetime | None = None
    revocation: Revocation | None = None
    told: Told | None = None
    """What the other CA that has issued it is known to know of its revocation."""

    @property
    def is_of_another_ca(self) -> bool:
        """Received, not signed here."""
        return self.issued != 0 and self.intended == self.issued

    def is_untold_at(self, now: datetime.datetime) -> bool:
        """Revoked here, and the CA that has issued it does not know for certain. Of what has expired nobody is told."""
        if self.revocation is None or not self.is_of_another_ca or self.not_after is None or self.not_after < now:
            return False
        return self.told is None or not self.told.state.is_over

    def is_valid_at(self, now: datetime.datetime) -> bool:
        """Issued, in its time, and not revoked."""
        if not self.issued or self.revocation is not None or self.not_before is None or self.not_after is None:
            return False
        return self.not_before <= now <= self.not_after


class _CertificateRow(msgspec.Struct, array_like=True, gc=False):
    """A `CertificateEntry` as it is dumped."""

    serial: bytes
    request: int
    """Place among the requests."""
    intended: int
    issued: int
    not_before: datetime.datetime | None
    not_after: datetime.datetime | None
    revocation: Revocation | None
    told: Told | None


class _Dumped(msgspec.Struct, array_like=True):
    """Everything that an `Inventory` knows. Serial numbers stand with the certificates only."""

    requests: list[RequestEntry]
    certificates: list[_CertificateRow]
    held: list[int]
    issued_count: int
    noted: Position
    opened: bool


_STATE: "Final[msgspec.msgpack.Decoder[_Dumped]]" = msgspec.msgpack.Decoder(_Dumped)
_FORMS: Final = (RequestEntry, Subject, Revocation, Told, _CertificateRow, _Dumped)
_FORM: Final = "inventory 1 " + " ".join(name for each in _FORMS for name in each.__struct_fields__)
"""The number is for when the same fields come to mean something else."""


@dataclass(slots=True)
class Inventory:
    """All requests and certificates. `apply` raises JournalDamaged for a record that cannot follow those before it."""

    requests: dict[str, RequestEntry] = field(default_factory=dict)
    certificates: dict[int, CertificateEntry] = field(default_factory=dict)
    issued_count: int = 0
    noted: Position = START
    """The place that the signer's own list had reached when it was last noted."""
    _by_key: dict[bytes, list[RequestEntry]] = field(default_factory=dict)
    _by_identity: dict[tuple[str, Subject], list[RequestEntry]] = field(default_factory=dict)
    _held: dict[tuple[str, Subject], RequestEntry] = field(default_factory=dict)
    _opened: bool = False

    @property
    def form(self) -> str:
        """Of what `dump` writes."""
        return _FORM

    def dump(self) -> bytes:
        """All of it, for `restore`; the same for the same records."""
        place = {name: number for number, name in enumerate(self.requests)}
        rows = [
            _CertificateRow(
                each.serial.to_bytes((each.serial.bit_length() + 7) // 8, "big"),
                place[each.request.id],
                each.intended,
                each.issued,
                each.not_before,
                each.not_after,
                each.revocation,
                each.told,
            )
            for each in self.certificates.values()
        ]
        requests = [msgspec.structs.replace(each, serial=None) for each in self.requests.values()]
        held = [place[each.id] for each in self._held.values()]
        dumped = _Dumped(requests, rows, held, self.issued_count, self.noted, self._opened)
        return msgspec.msgpack.encode(dumped)

    def restore(self, state: bytes) -> None:
        """What was dumped, in an inventory that has seen no record. Raises ValueError, and then it has seen none still."""
        try:
            found = _STATE.decode(state)
            requests = found.requests
            certificates = [
                (int.from_bytes(row.serial, "big"), requests[row.request], row) for row in found.certificates
            ]
            held = [requests[number] for number in found.held]
        except (msgspec.MsgspecError, IndexError) as error:
            raise ValueError(str(error)) from None
        for request in requests:
            self._add(request)
        for serial, request, row in certificates:
            request.serial = serial
            self.certificates[serial] = CertificateEntry(
                serial=serial,
                request=request,
                intended=row.intended,
                issued=row.issued,
                not_before=row.not_before,
                not_after=row.not_after,
                revocation=row.revocation,
                told=row.told,
            )
        self._held = {(each.profile, each.subject): each for each in held}
        self.issued_count, self.noted, self._opened = found.issued_count, found.noted, found.opened

    def _add(self, request: RequestEntry) -> None:
        self.requests[request.id] = request
        self._by_key.setdefault(request.spki_sha256, []).append(request)
        self._by_identity.setdefault((request.profile, request.subject), []).append(request)

    def held(self, profile: str, subject: Subject) -> RequestEntry | None:
        """The request of this identity that waits for a decision."""
        request = self._held.get((profile, subject))
        return request if request is not None and request.state is RequestState.HELD else None

    def by_key(self, spki_sha256: bytes) -> list[RequestEntry]:
        """Requests with this key, oldest first."""
        return self._by_key.get(spki_sha256, [])

    def of_identity(self, profile: str, subject: Subject) -> list[RequestEntry]:
        """Requests for certificates of this use under this name, oldest first."""
        return self._by_identity.get((profile, subject), [])

    def others_valid(self, entry: CertificateEntry, now: datetime.datetime) -> list[CertificateEntry]:
        """Further certificates of the same identity and use that are valid, oldest first."""
        same = self.of_identity(entry.request.profile, entry.request.subject)
        found = [self.certificates[each.serial] for each in same if each.serial is not None]
        return [each for each in found if each is not entry and each.is_valid_at(now)]

    def started(self) -> list[RequestEntry]:
        """Requests that wait for nobody and are not done."""
        return [request for request in self.requests.values() if request.state.is_started]

    def issued(self) -> Iterator[CertificateEntry]:
        """Certificates that exist as far as the journal knows, in the order of their serial numbers' reservation."""
        return (entry for entry in self.certificates.values() if entry.issued)

    def revoked(self, issuer: str, now: datetime.datetime) -> Iterator[RevokedCertificate]:
        """Revoked certificates of an issuer that have not expired, for its revocation lists and OCSP."""
        for entry in self.certificates.values():
            revocation = entry.revocation
            if (
                revocation is None
                or entry.request.issuer != issuer
                or (entry.not_after is not None and entry.not_after < now)
            ):
                continue
            yield RevokedCertificate(entry.serial, revocation.at, x509.ReasonFlags(revocation.reason.value))

    def apply(self, record: JournalRecord, sequence: int) -> None:
        """The next record."""
        try:
            self._apply(record, sequence)
        except (KeyError, ValueError) as error:
            raise JournalDamaged(f"journal, record {sequence} cannot follow those before it: {error}") from None

    def _apply(self, record: JournalRecord, sequence: int) -> None:
        if isinstance(record, Opened) is self._opened:
            raise ValueError("the first record, and no other, opens the journal")
        match record:
            case Opened():
                self._begin(record)
            case Requested():
                self._requested(record, sequence)
            case Decided():
                self._decided(record)
            case Reserved():
                self._reserved(record)
            case Intended():
                entry = self._certificate(record.serial, record.request, RequestState.RESERVED)
                entry.intended, entry.not_before, entry.not_after = sequence, record.not_before, record.not_after
                entry.request.state = RequestState.INTENDED
            case Issued():
                entry = self._certificate(record.serial, record.request, RequestState.INTENDED)
                entry.issued = sequence
                entry.request.state = RequestState.ISSUED
                self.issued_count += 1
                self.noted = record.list or self.noted
            case Noted():
                self.noted = record.list
            case Abandoned():
                self._abandoned(record)
            case Revoked():
                self._revoked(record, sequence)
            case Received() | TurnedDown() | Told():
                self._decided_elsewhere(record, sequence)

    def _begin(self, record: Opened) -> None:
        if record.format != 1:
            raise ValueError(f"format {record.format} is of a later release")
        self._opened = True

    def _requested(self, record: Requested, sequence: int) -> None:
        if record.request in self.requests:
            raise ValueError(f"request {record.request} is there already")
        request = RequestEntry(
            id=record.request,
            sequence=sequence,
            at=record.at,
            profile=record.profile,
            issuer=record.issuer,
            subject=record.subject,
            names=record.names,
            spki_sha256=hashlib.sha256(record.spki).digest(),
            csr_sha256=record.csr_sha256,
            rule=record.rule,
            applicant=record.applicant,
            notes=record.notes,
            state=RequestState.HELD if record.held else RequestState.APPROVED,
            approved_at=record.at,
        )
        self._add(request)
        if record.held:
            self._held[record.profile, record.subject] = request

    def _reserved(self, record: Reserved) -> None:
        request = self._request(record.request, RequestState.APPROVED)
        serial = int(record.serial, 16)
        if serial in self.certificates:
            raise ValueError(f"serial number {record.serial} is used already")
        self.certificates[serial] = CertificateEntry(serial=serial, request=request)
        request.serial, request.state = serial, RequestState.RESERVED

    def _abandoned(self, record: Abandoned) -> None:
        entry = self.certificates[int(record.serial, 16)]
        if entry.request.id != record.request or entry.issued:
            raise ValueError("it does not belong to the request, or was issued")
        entry.request.state, entry.request.reason = RequestState.ABANDONED, record.reason

    def _decided(self, record: Decided) -> None:
        request = self._request(record.request, RequestState.HELD)
        request.approved_at = record.at
        request.state = RequestState.APPROVED if record.approved else RequestState.DENIED
        request.reason = "" if record.approved else record.note

    def _decided_elsewhere(self, record: Received | TurnedDown | Told, sequence: int) -> None:
        if isinstance(record, Told):
            self._told(record)
            return
        if isinstance(record, Received):
            self._received(record, sequence)
            return
        request = self._request(record.request, RequestState.APPROVED)
        request.state, request.reason = RequestState.ABANDONED, record.reason

    def _received(self, record: Received, sequence: int) -> None:
        request = self.requests[record.request]
        if request.state not in {RequestState.APPROVED, RequestState.ABANDONED} or request.serial is not None:
            raise ValueError(f"request {record.request} is {request.state.value}")
        leaf = x509.load_der_x509_certificate(record.chain[0])
        serial = leaf.serial_number
        if serial in self.certificates:
            raise ValueError(f"serial number {serial:x} is used already")
        self.certificates[serial] = CertificateEntry(
            serial=serial,
            request=request,
            intended=sequence,
            issued=sequence,
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
        )
        request.serial, request.state, request.reason = serial, RequestState.ISSUED, ""
        self.issued_count += 1

    def _revoked(self, record: Revoked, sequence: int) -> None:
        entry = self.certificates[int(record.serial, 16)]
        if entry.revocation is not None or not entry.intended:
            raise ValueError("it is revoked already, or never existed")
        entry.revocation = Revocation(record.at, record.reason, record.by, sequence)

    def _told(self, record: Told) -> None:
        entry = self.certificates[int(record.serial, 16)]
        if entry.revocation is None or not entry.is_of_another_ca or (entry.told and entry.told.state.is_over):
            raise ValueError("it is of no other CA, is not revoked, or is told already")
        entry.told = record

    def _request(self, name: str, state: RequestState) -> RequestEntry:
        request = self.requests[name]
        if request.state is not state:
            raise ValueError(f"request {name} is {request.state.value}, not {state.value}")
        return request

    def _certificate(self, serial: str, request: str, state: RequestState) -> CertificateEntry:
        entry = self.certificates[int(serial, 16)]
        if entry.request is not self._request(request, state):
            raise ValueError(f"serial number {serial} is of another request")
        return entry
