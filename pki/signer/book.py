"""The signer's own list: every order before it is signed, every signature, every revocation that it was told of.

What is written here has to be readable for ever, so it is looked at before it is written.
"""

import datetime
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pki.chained_file import START, ChainedFile, Position
from pki.errors import JournalDamaged, Reason, Refused
from pki.signer.protocol import SignedEntry

__all__ = ["Listed", "Ordered", "SignerBook"]

_LISTED_AT_ONCE: Final = 500
_REVOKED_AT_ONCE: Final = 20_000
_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_MAX_SERIAL_DIGITS: Final = 40
_DIGEST_BYTES: Final = 32
_FURTHEST_STEP: Final = 1_000_000
"""Records by which a journal may have grown since it was last heard of; what is beyond that would be remembered for ever."""


class Ordered(msgspec.Struct, frozen=True, tag="ordered", tag_field="record", forbid_unknown_fields=True):
    """This is about to be signed."""

    at: datetime.datetime
    serial: str
    issuer: str
    profile: str
    tbs: bytes
    journal: Position


class _Signed(msgspec.Struct, frozen=True, tag="signed", tag_field="record", forbid_unknown_fields=True):
    at: datetime.datetime
    serial: str
    signature: bytes


class Listed(
    msgspec.Struct, frozen=True, tag="crl", tag_field="record", forbid_unknown_fields=True, omit_defaults=True
):
    """This revocation list is about to be signed."""

    at: datetime.datetime
    issuer: str
    scope: str
    number: int
    tbs_sha256: bytes
    this_update: datetime.datetime | None = None


class _Remembered(msgspec.Struct, frozen=True, tag="remembered", tag_field="record", forbid_unknown_fields=True):
    at: datetime.datetime
    journal: Position
    revoked: str = ""


_Record = Ordered | _Signed | Listed | _Remembered


class _Dumped(msgspec.Struct, array_like=True):
    """Everything that a `SignerBook` knows. Serial numbers are bytes, each with the number of its record."""

    remembered: Position
    last_weighty: int
    ordered: list[tuple[bytes, int]]
    signed: list[tuple[bytes, int]]
    revoked: list[bytes]
    lists: list[Listed]


_FORM: Final = "list 1 " + " ".join((*_Dumped.__struct_fields__, *Listed.__struct_fields__))
"""The number is for when the same fields come to mean something else."""
_STATE: "Final[msgspec.msgpack.Decoder[_Dumped]]" = msgspec.msgpack.Decoder(_Dumped)


class SignerBook:
    """The list and what it amounts to. One thread at a time."""

    def __init__(self, path: Path, *, whole: bool = True, read_only: bool = False) -> None:
        """Raises JournalDamaged, JournalInUse, Misconfigured, OSError.

        `whole`: read from its first record on, and its snapshot compared with that; else the snapshot is good enough.
        `read_only`: as it is now, beside a signer that may be writing it.
        """
        self.remembered = START
        """The furthest place of the journal that this signer has seen."""
        self._last_weighty = 0
        self._ordered: dict[int, int] = {}
        self._signed: dict[int, int] = {}
        self._revoked: dict[int, None] = {}
        self._lists: dict[tuple[str, str], Listed] = {}
        self._file: ChainedFile[_Record] = ChainedFile(
            path, _Record, self._apply, read_only=read_only, folded=self, whole=whole
        )

    def close(self) -> None:
        """Lets another process have the list."""
        self._file.close()

    @property
    def has_wrong_snapshot(self) -> bool:
        """Read whole, the list was not what its snapshot had said; that is mended, and somebody should ask why."""
        return self._file.has_wrong_snapshot

    @property
    def form(self) -> str:
        """Of what `dump` writes."""
        return _FORM

    def dump(self) -> bytes:
        """What the list amounts to, for `restore`; the same for the same records."""
        dumped = _Dumped(
            self.remembered,
            self._last_weighty,
            [(_bytes(serial), sequence) for serial, sequence in self._ordered.items()],
            [(_bytes(serial), sequence) for serial, sequence in self._signed.items()],
            [_bytes(serial) for serial in self._revoked],
            list(self._lists.values()),
        )
        return msgspec.msgpack.encode(dumped)

    def restore(self, state: bytes) -> None:
        """What was dumped. Raises ValueError, and then nothing is restored."""
        try:
            found = _STATE.decode(state)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None
        self.remembered, self._last_weighty = found.remembered, found.last_weighty
        self._ordered = {int.from_bytes(serial, "big"): sequence for serial, sequence in found.ordered}
        self._signed = {int.from_bytes(serial, "big"): sequence for serial, sequence in found.signed}
        self._revoked = {int.from_bytes(serial, "big"): None for serial in found.revoked}
        self._lists = {(each.issuer, each.scope): each for each in found.lists}

    @property
    def place(self) -> Position:
        """The last record here that may not be lost: any but a mere place of the journal."""
        digest = self._file.digest_at(self._last_weighty)
        assert digest is not None
        return Position(self._last_weighty, digest)

    @property
    def signed_count(self) -> int:
        """How many serial numbers have been signed, ever."""
        return len(self._signed)

    def digest_at(self, sequence: int) -> bytes | None:
        """Of the record with this number; None if there is none."""
        return self._file.digest_at(sequence) if sequence >= 0 else None

    # What it knows.

    def order(self, serial: int) -> Ordered | None:
        """What was ordered under this number."""
        if serial not in self._ordered:
            return None
        record = self._file.read(self._ordered[serial])
        assert isinstance(record, Ordered)
        return record

    def signature(self, serial: int) -> bytes:
        """What was signed under this number; empty if nothing was."""
        if serial not in self._signed:
            return b""
        record = self._file.read(self._signed[serial])
        assert isinstance(record, _Signed)
        return record.signature

    def orders(self) -> Iterator[Ordered]:
        """All of them, oldest first; read from the disk."""
        for serial in list(self._ordered):
            order = self.order(serial)
            if order is not None:
                yield order

    def is_revoked(self, serial: int) -> bool:
        """True if it was told so."""
        return serial in self._revoked

    def revoked(self) -> Iterator[int]:
        """All that it was told of, in that order."""
        return iter(self._revoked)

    def last_list(self, issuer: str, scope: str) -> Listed | None:
        """The last revocation list of this scope."""
        return self._lists.get((issuer, scope))

    def listed(self, start: int) -> tuple[list[SignedEntry], int]:
        """Orders from number `start` on, oldest first, and where to go on (0: that was all)."""
        wanted = list(itertools.islice(self._ordered, max(0, start), max(0, start) + _LISTED_AT_ONCE))
        entries = []
        for serial in wanted:
            order = self.order(serial)
            assert order is not None
            entries.append(SignedEntry(f"{serial:x}", order.issuer, order.tbs, self.signature(serial)))
        end = max(0, start) + len(wanted)
        return entries, end if end < len(self._ordered) else 0

    def listed_revoked(self, start: int) -> tuple[list[str], int]:
        """Serial numbers in hex that it was told are revoked, from number `start` on, and where to go on (0: that was all)."""
        found = [
            f"{serial:x}" for serial in itertools.islice(self._revoked, max(0, start), max(0, start) + _REVOKED_AT_ONCE)
        ]
        end = max(0, start) + len(found)
        return found, end if end < len(self._revoked) else 0

    # What is added. Each is on the disk when it returns; raises OSError, and then nothing has been added.

    def verify_forward(self, journal: Position) -> None:
        """Raises Refused for a journal that is not further than the one remembered, or no place in one at all."""
        seen = self.remembered
        if len(journal.digest) != _DIGEST_BYTES or journal.sequence > seen.sequence + _FURTHEST_STEP:
            raise Refused(Reason.LINT, "that is no place in the journal")
        if journal.sequence < seen.sequence or (journal.sequence == seen.sequence and journal.digest != seen.digest):
            raise Refused(Reason.JOURNAL_STEP_BACK, f"{journal.sequence} after {seen.sequence}")

    def add_order(self, order: Ordered) -> None:
        """Before it is signed. The caller has looked at all of it, and at its place in the journal."""
        self._file.append(order)

    def add_signature(self, serial: int, signature: bytes, at: datetime.datetime) -> None:
        """After that."""
        self._file.append(_Signed(at, f"{serial:x}", signature))

    def add_list(self, record: Listed) -> None:
        """Before it is signed."""
        self._file.append(record)

    def remember(self, journal: Position, revoked: str, at: datetime.datetime) -> None:
        """Never to believe a journal that has not got here, nor a list without `revoked`. Raises Refused."""
        self.verify_forward(journal)
        if not set(revoked) <= _HEX_DIGITS or len(revoked) > _MAX_SERIAL_DIGITS:
            raise Refused(Reason.LINT, "what is to be remembered is no serial number")
        if journal != self.remembered or (revoked and int(revoked, 16) not in self._revoked):
            self._file.append(_Remembered(at, journal, revoked))

    def _apply(self, record: _Record, sequence: int) -> None:
        try:
            self._applied(record, sequence)
        except ValueError as error:
            raise JournalDamaged(
                f"the signer's list, record {sequence} cannot follow those before it: {error}"
            ) from None

    def _applied(self, record: _Record, sequence: int) -> None:
        match record:
            case Ordered():
                serial = int(record.serial, 16)
                if serial in self._ordered:
                    raise ValueError(f"serial number {record.serial} is ordered twice")
                self._ordered[serial] = sequence
                self._seen(record.journal)
            case _Signed():
                self._signed[int(record.serial, 16)] = sequence
            case Listed():
                self._lists[record.issuer, record.scope] = record
            case _Remembered():
                self._seen(record.journal)
                if record.revoked:
                    self._revoked[int(record.revoked, 16)] = None
        if not isinstance(record, _Remembered) or record.revoked:
            self._last_weighty = sequence

    def _seen(self, journal: Position) -> None:
        if journal.sequence >= self.remembered.sequence:
            self.remembered = journal


def _bytes(serial: int) -> bytes:
    return serial.to_bytes((serial.bit_length() + 7) // 8, "big")
