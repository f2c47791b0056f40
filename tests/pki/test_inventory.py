"""The fold over the journal: a record that cannot follow those before it is damage, whatever its digest says."""

import typing

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.chained_file import Position
from pki.errors import JournalDamaged
from pki.inventory import Inventory, RequestState
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
    ToldState,
    TurnedDown,
)
from pki.revocation import RevokedCertificate
from tests.pki.hierarchy import DAY, NOW, Hierarchy

OPENED = Opened(at=NOW)
HELD = Requested(
    at=NOW, request="r", profile="P", issuer="i", subject=Subject("SN", "CPO"), spki=b"k", csr_sha256=b"c", applicant="a", held=True, rule="x"
)  # fmt: skip
APPROVED = Decided(at=NOW, request="r", approved=True, by="alice")
DENIED = Decided(at=NOW, request="r", approved=False, by="alice", note="no")
RESERVED = Reserved(at=NOW, request="r", serial="ff")
INTENDED = Intended(at=NOW, request="r", serial="ff", not_before=NOW, not_after=NOW + DAY, tbs=b"")
ISSUED = Issued(at=NOW, request="r", serial="ff", signature=b"s")
ABANDONED = Abandoned(at=NOW, request="r", serial="ff", reason="lint")
REVOKED = Revoked(at=NOW, serial="ff", reason=RevocationReason.SUPERSEDED, by="alice")
WHOLE = (OPENED, HELD, APPROVED, RESERVED, INTENDED, ISSUED, REVOKED)


def folded(*records: JournalRecord) -> Inventory:
    inventory = Inventory()
    for sequence, record in enumerate(records, 1):
        inventory.apply(record, sequence)
    return inventory


def test_a_whole_life() -> None:
    states = [folded(*WHOLE[:length]).requests["r"].state.value for length in range(2, len(WHOLE) + 1)]
    assert states == ["held", "approved", "reserved", "intended", "issued", "issued"]
    entry = folded(*WHOLE).certificates[0xFF]
    assert (entry.intended, entry.issued, entry.is_valid_at(NOW)) == (5, 6, False)
    assert folded(*WHOLE[:-1]).certificates[0xFF].is_valid_at(NOW)
    assert folded(OPENED, HELD, DENIED).requests["r"].state is RequestState.DENIED
    assert folded(OPENED, HELD, APPROVED, RESERVED, ABANDONED).requests["r"].reason == "lint"
    assert folded(OPENED, HELD, APPROVED, RESERVED, INTENDED, REVOKED).certificates[0xFF].revocation is not None


def test_what_is_revoked_is_told_until_it_expires() -> None:
    inventory = folded(*WHOLE)
    told = RevokedCertificate(0xFF, NOW, x509.ReasonFlags.superseded)
    assert list(inventory.revoked("i", NOW + DAY)) == [told]
    assert list(inventory.revoked("other", NOW)) == list(inventory.revoked("i", NOW + 2 * DAY)) == []
    assert list(folded(*WHOLE[:-1]).revoked("i", NOW)) == []


@pytest.mark.parametrize("reason", RevocationReason)
def test_every_reason_is_one_of_x509(reason: RevocationReason) -> None:
    assert x509.ReasonFlags(reason.value).value == reason.value


@pytest.mark.parametrize(
    "records",
    [
        (HELD,),
        (OPENED, OPENED),
        (Opened(at=NOW, format=2),),
        (OPENED, HELD, HELD),
        (OPENED, APPROVED),
        (OPENED, HELD, APPROVED, APPROVED),
        (OPENED, HELD, DENIED, RESERVED),
        (OPENED, HELD, RESERVED),
        (OPENED, HELD, APPROVED, RESERVED, RESERVED),
        (OPENED, HELD, APPROVED, INTENDED),
        (OPENED, HELD, APPROVED, RESERVED, ISSUED),
        (*WHOLE[:5], INTENDED),
        (*WHOLE[:6], ISSUED),
        (*WHOLE[:6], ABANDONED),
        (*WHOLE, REVOKED),
        (OPENED, HELD, APPROVED, RESERVED, REVOKED),
        (OPENED, HELD, APPROVED, Reserved(at=NOW, request="r", serial="xyz")),
        (OPENED, HELD, APPROVED, RESERVED, Abandoned(at=NOW, request="q", serial="ff", reason="")),
    ],
)
def test_an_order_that_cannot_be_is_damage(records) -> None:
    folded(*records[:-1])
    with pytest.raises(JournalDamaged, match=f"record {len(records)} cannot follow"):
        folded(*records)


CERTIFICATE = Hierarchy().issuing


def asked(request: str, *, held: bool = True, name: str = "SN") -> Requested:
    return msgspec.structs.replace(HELD, request=request, held=held, subject=Subject(name, "CPO", country="DE"))


ALL: tuple[JournalRecord, ...] = (
    *WHOLE,
    asked("s"),
    Noted(at=NOW, list=Position(7, b"d" * 32)),
    asked("t"),  # the one that waits now
    Decided(at=NOW, request="t", approved=False, by="alice", note="no"),
    asked("u", name="SN-2"),
    asked("v", held=False),
    Reserved(at=NOW, request="v", serial="1" + "0" * 39),
    Abandoned(at=NOW, request="v", serial="1" + "0" * 39, reason="lint"),
    asked("w", held=False),
    TurnedDown(at=NOW, request="w", reason="no"),
    asked("x", held=False),
    Received(at=NOW, request="x", chain=(CERTIFICATE.public_bytes(Encoding.DER),)),
    Revoked(at=NOW, serial=f"{CERTIFICATE.serial_number:x}", reason=RevocationReason.SUPERSEDED, by="alice"),
    Told(at=NOW, serial=f"{CERTIFICATE.serial_number:x}", state=ToldState.FAILED, detail="gone"),
    Told(at=NOW, serial=f"{CERTIFICATE.serial_number:x}", state=ToldState.ACCEPTED),
    asked("y", held=False),
    Reserved(at=NOW, request="y", serial="aa"),
    Intended(at=NOW, request="y", serial="aa", not_before=NOW, not_after=NOW + DAY, tbs=b""),
    Issued(at=NOW, request="y", serial="aa", signature=b"s", list=Position(9, b"e" * 32)),
)


@pytest.mark.parametrize(
    "serial", [f"{CERTIFICATE.serial_number:x}", "ff", "abc"], ids=["settled", "not-revoked", "not-there"]
)
def test_nobody_is_told_of_what_is_settled_not_revoked_or_not_there(serial: str) -> None:
    with pytest.raises(JournalDamaged, match="cannot follow"):
        folded(*ALL, Told(at=NOW, serial=serial, state=ToldState.CONFIRMED))


def test_these_are_records_of_every_kind() -> None:
    assert {type(record) for record in ALL} == set(typing.get_args(JournalRecord))


def test_what_is_dumped_after_any_record_is_restored_and_goes_on_like_the_fold_itself() -> None:
    whole = folded(*ALL)
    for length in range(len(ALL) + 1):
        before, again = folded(*ALL[:length]), Inventory()
        again.restore(before.dump())
        assert again == before
        assert again.dump() == before.dump()
        for sequence, record in enumerate(ALL[length:], length + 1):
            again.apply(record, sequence)
        assert again == whole
        assert again.dump() == whole.dump()
        assert all(entry.request is again.requests[entry.request.id] for entry in again.certificates.values())


def test_what_no_inventory_has_dumped_is_an_error_and_leaves_it_empty() -> None:
    dumped = msgspec.msgpack.decode(folded(*ALL).dump())
    dumped[1][0][1] = 1_000  # a certificate of a request that is not there
    for state in (b"", b"\xc1", msgspec.msgpack.encode(dumped), msgspec.msgpack.encode(dumped[:3])):
        inventory = Inventory()
        with pytest.raises(ValueError, match=r"."):
            inventory.restore(state)
        assert inventory == Inventory()
